//! How a sequencer gets into a set whose predecessor it was not in: it asks one that was.

use jsonrpsee::http_client::HttpClientBuilder;
use trestle_rollup::Ledger;
use trestle_sequencer::consensus::{Handover, Part};

use super::Error;
use super::rpc::ApiClient as _;
use crate::runtime;

/// The last set that was announced, if this key is in it.
pub fn wanted(ledger: &Ledger, key: &[u8; 32]) -> Result<Option<u32>, Error> {
    let state = ledger.state_at_tip();
    let set = state.sequencers().map_err(runtime::Error::from)?.announced();
    let keys = state.keys_of_set(set).map_err(runtime::Error::from)?;
    Ok(keys.contains(key).then_some(set))
}

/// Asks for what a set begins with, and what it takes over; `None` if the set before has not closed yet. Nothing of the
/// answer is to be believed unchecked.
///
/// # Errors
/// Nobody answers, or not as a sequencer of this bridge does.
pub fn ask(url: &str, set: u32) -> Result<Option<(Handover, Vec<Part>)>, Error> {
    let why = |why: &str| Error::Set(format!("{url}: {why}"));
    let client = HttpClientBuilder::default().build(url).map_err(|error| why(&error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| why(&error.to_string()))?;
    runtime.block_on(async {
        let failed = |error: jsonrpsee::core::ClientError| why(&error.to_string());
        let Some(status) = client.handover(set).await.map_err(failed)? else { return Ok(None) };
        let handover = status.handover().ok_or_else(|| why("this is no handover"))?;
        let mut parts = Vec::new();
        for height in &handover.pending {
            let block = client.block(*height).await.map_err(failed)?;
            let part = block.and_then(|block| block.part());
            parts.push(part.ok_or_else(|| why(&format!("it does not have block {height}")))?);
        }
        Ok(Some((handover, parts)))
    })
}
