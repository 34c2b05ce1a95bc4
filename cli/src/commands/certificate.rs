//! What a user keeps of a transaction that the sequencers ordered: their certificate.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use trestle_rollup::SignedTransaction;

use super::error::Error;
use super::session::Session;
use crate::rpc::types::{Hex32, Receipt, ReceiptQuery};
use crate::user::home;

/// The longest that a certificate is waited for; it takes a fraction of a second where enough sequencers are up.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(20);

/// Waits a moment for a transaction's certificate, checks it and keeps it; where, if there is one.
///
/// # Errors
/// It cannot be written.
pub fn keep(session: &Session, id: Hex32, signed: &SignedTransaction) -> Result<Option<PathBuf>, Error> {
    let start = Instant::now();
    let keys = |set: u32| {
        let keys = match set {
            0 => &session.parameters().sequencers,
            _ => session.status.sequencers.get(usize::try_from(set).ok()?)?,
        };
        Some(keys.iter().map(bitcoin::XOnlyPublicKey::serialize).collect::<Vec<_>>())
    };
    while start.elapsed() < PATIENCE {
        if let Ok(Receipt::Batched { certificate: Some(block), .. }) = session.node.receipt(ReceiptQuery::Submitted(id))
            && let Some(keys) = keys(block.set)
            && block.proves(signed, &session.bridge.instance, &keys)
        {
            let directory = session.home.dir().join("certificates");
            let file = directory.join(format!("{id}.json"));
            let failed = |error: std::io::Error| Error::Bridge(format!("cannot write {}: {error}", file.display()));
            fs::create_dir_all(&directory).map_err(failed)?;
            let json = serde_json::to_vec_pretty(&block).map_err(|error| failed(error.into()))?;
            home::replace(&file, &json)?;
            return Ok(Some(file));
        }
        std::thread::sleep(PAUSE);
    }
    Ok(None)
}
