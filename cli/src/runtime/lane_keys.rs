//! Brings the operators' keys of lanes to the signers and challengers that lack them. They check the digest: whoever carries the keys
//! is not trusted.

use std::collections::{HashSet, VecDeque};

use bitcoin::hashes::sha256;
use trestle_challenger::watchtower;

use super::challenger::Answer;
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

    /// Gives a challenger an event, and the keys that it asks for then; returns what else it says to others.
    pub(super) fn give_challenger(&mut self, index: usize, event: watchtower::Event) -> Result<Vec<Answer>, Error> {
        let mut said = Vec::new();
        let mut brought = HashSet::new();
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let Some(challenger) = self.challengers.get_mut(index) else {
                return Err(Error::Silent("that challenger"));
            };
            for answer in challenger.give(&self.sender, event)? {
                match answer {
                    Answer::LacksKeys { operator, digest } if brought.insert(digest) => {
                        events.extend(self.lane_keys(operator, &digest)?.map(watchtower::Event::LaneKeys));
                    }
                    Answer::LacksKeys { .. } => {}
                    answer => said.push(answer),
                }
            }
        }
        Ok(said)
    }

    pub(super) fn lane_keys(&self, operator: u8, digest: &sha256::Hash) -> Result<Option<Vec<u8>>, Error> {
        let Some(operator) = self.operators.get(usize::from(operator)) else { return Ok(None) };
        Ok(operator.machine().lane_keys(digest)?)
    }
}
