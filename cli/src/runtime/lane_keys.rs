//! Brings the operators' keys of lanes to the signers that lack them. They check the digest: whoever carries the keys is not trusted.

use std::collections::HashSet;

use bitcoin::hashes::sha256;

use super::{Error, Runtime};

impl Runtime {
    /// Brings every signer the keys that it asked for, and so on until none asks for any.
    pub(super) fn bring_signers_keys(&mut self) -> Result<(), Error> {
        let mut brought = HashSet::new();
        loop {
            let mut wanted = self.signers.take_wanted_keys();
            wanted.retain(|wanted| brought.insert(*wanted));
            if wanted.is_empty() {
                return Ok(());
            }
            for (signer, operator, digest) in wanted {
                if let Some(keys) = self.lane_keys(operator, &digest)? {
                    self.signers.bring_keys(&self.sender, signer, keys)?;
                }
            }
        }
    }

    fn lane_keys(&self, operator: u8, digest: &sha256::Hash) -> Result<Option<Vec<u8>>, Error> {
        let Some(operator) = self.operators.get(usize::from(operator)) else { return Ok(None) };
        Ok(operator.machine().lane_keys(digest)?)
    }
}
