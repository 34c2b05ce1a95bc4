//! Proofs of accounts against R_h, for who does not follow Bitcoin's blocks.

use bitcoin::hex::{DisplayHex, FromHex};
use bitcoin::{Amount, XOnlyPublicKey};
use serde::{Deserialize, Serialize};
use trestle_rollup::compress::{IV_INNER, IV_LEAF};
use trestle_rollup::state::Key;
use trestle_rollup::tree::{EMPTY, Opened};
use trestle_rollup::{Account, AccountState, Digest, Host as _, Ledger, compress};

use super::Error;
use crate::rpc::types::{EntryStatus, Hex32};
use crate::runtime;

/// An account's balance and nonce at a height, and why it is so: the nodes of the state tree on the way to its leaf, or
/// to where that would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountProof {
    /// R_h and what it commits to.
    #[serde(flatten)]
    pub entry: EntryStatus,
    /// The account.
    pub account: XOnlyPublicKey,
    /// What it has.
    #[serde(rename = "balance_sat", with = "bitcoin::amount::serde::as_sat")]
    pub balance: Amount,
    /// The nonce that a transaction would have to carry.
    pub nonce: u64,
    /// How many accounts came into being before it; none if it was never heard of.
    pub index: Option<u32>,
    /// The blocks of the nodes from the root down, 64 bytes each in hexadecimal.
    pub nodes: Vec<String>,
}

/// Proves an account at a height.
///
/// # Errors
/// The ledger has no such height, or fails.
pub fn prove(ledger: &Ledger, account: XOnlyPublicKey, entry: EntryStatus) -> Result<AccountProof, Error> {
    let state = ledger.state(entry.height).map_err(runtime::Error::from)?;
    let found = state.account(&Account::from(account)).map_err(runtime::Error::from)?;
    let (key, mut nodes) = (Key::Account(account.into()).digest(), Vec::new());
    let (mut at, mut host) = (entry.state_root.0, ledger.nodes());
    for depth in 0..256 {
        if at == EMPTY {
            break;
        }
        let (chaining, block) = host.preimage(&at).map_err(runtime::Error::from)?;
        nodes.push(block.to_lower_hex_string());
        match Opened::read(&chaining, &block) {
            Some(Opened::Inner(left, right)) => at = if goes_right(&key, depth) { right } else { left },
            _ => break,
        }
    }
    Ok(AccountProof {
        entry,
        account,
        balance: Amount::from_sat(found.balance),
        nonce: found.nonce,
        index: found.index,
        nodes,
    })
}

impl AccountProof {
    /// Whether it proves what it says against this R_h.
    #[must_use]
    pub fn holds(&self, r: &Digest) -> bool {
        use bitcoin::hashes::Hash as _;
        let (block_hash, state_root) = (self.entry.block_hash.to_byte_array(), self.entry.state_root.0);
        let entry = trestle_rollup::Entry { block_hash, state_root };
        let state = AccountState { balance: self.balance.to_sat(), nonce: self.nonce, index: self.index };
        entry.digest() == *r && self.entry.entry == Hex32(*r) && self.leads(&state_root, &state).unwrap_or(false)
    }

    fn leads(&self, root: &Digest, state: &AccountState) -> Option<bool> {
        let key = Key::Account(self.account.into()).digest();
        let mut at = *root;
        for (depth, node) in self.nodes.iter().enumerate() {
            let block = <[u8; 64]>::from_hex(node).ok()?;
            let ([first, second], []) = block.as_chunks::<32>() else { return None };
            if at == compress(&IV_LEAF, &block) {
                let is_last = depth + 1 == self.nodes.len();
                let is_so = if first == &key { *second == state.encode() } else { *state == AccountState::default() };
                return Some(is_last && is_so);
            }
            if at != compress(&IV_INNER, &block) {
                return None;
            }
            at = if goes_right(&key, depth) { *second } else { *first };
        }
        Some(at == EMPTY && *state == AccountState::default())
    }
}

fn goes_right(key: &Digest, depth: usize) -> bool {
    key.get(depth / 8).is_some_and(|byte| byte & (0x80 >> (depth % 8)) != 0)
}
