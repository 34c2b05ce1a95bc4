//! What a signer tells people about the slots and vaults that it knows.

use trestle_bridge::job::{OpenSlots, runway};

use crate::machine::Signer;
use crate::policy::{CheckError, Knowledge};
use crate::store::Store;
use crate::view::View;

/// How one denomination stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The slots that can still be used, run by run.
    pub runs: Vec<OpenSlots>,
    /// Vaults that hold coins.
    pub vaults: u32,
    /// Deposits that could still be confirmed.
    pub room: u32,
}

impl<S: Store + Clone> Signer<S> {
    /// How a denomination stands.
    ///
    /// Fails if the view does.
    pub fn standing(&self, denomination: u8, view: &dyn View) -> Result<Standing, CheckError> {
        let knowledge = Knowledge { bridge: &self.bridge, book: &self.book, view };
        let runs = knowledge.funded_runs(denomination)?;
        let vaults = knowledge.unspent_vaults(denomination)?.len() as u32;
        let challengers = self.bridge.parameters.challengers.len() as u32;
        Ok(Standing { room: runway(&runs, challengers, vaults), runs, vaults })
    }
}
