//! What happened on Bitcoin, in order: who did what, with its size, fee and height.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bitcoin::{Amount, Block, Transaction, Txid};
use serde::Serialize;

/// One transaction that somebody of the bridge sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Who sent it first.
    pub actor: String,
    /// What it does, such as `FinalizeFast 0/1/0`.
    pub action: String,
    /// Its txid.
    pub txid: Txid,
    /// Its size, in virtual bytes.
    pub vsize: usize,
    /// What it pays to miners, in satoshis.
    #[serde(rename = "fee_sat", with = "bitcoin::amount::serde::as_sat")]
    pub fee: Amount,
    /// The height of its block; none while it is in no block.
    pub height: Option<u32>,
}

/// The steps so far. Shared by everyone who sends.
#[derive(Debug, Default)]
pub struct Timeline {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    steps: Vec<Step>,
    index: HashMap<Txid, usize>,
}

impl Timeline {
    /// Notes a transaction that was sent; only the first time counts.
    pub fn sent(&self, actor: &str, action: &str, tx: &Transaction, fee: Amount) {
        let mut inner = self.lock();
        let txid = tx.compute_txid();
        if inner.index.contains_key(&txid) {
            return;
        }
        let at = inner.steps.len();
        inner.index.insert(txid, at);
        inner.steps.push(Step {
            actor: actor.into(),
            action: action.into(),
            txid,
            vsize: tx.vsize(),
            fee,
            height: None,
        });
    }

    /// Whether the transaction was noted.
    pub fn knows(&self, txid: &Txid) -> bool {
        self.lock().index.contains_key(txid)
    }

    /// Takes in a block.
    pub fn connected(&self, height: u32, block: &Block) {
        let mut inner = self.lock();
        for txid in block.txdata.iter().map(Transaction::compute_txid) {
            if let Some(at) = inner.index.get(&txid).copied() {
                inner.steps[at].height = Some(height);
            }
        }
    }

    /// Forgets the block at `height`, which a reorganisation took out.
    pub fn disconnected(&self, height: u32) {
        for step in &mut self.lock().steps {
            if step.height == Some(height) {
                step.height = None;
            }
        }
    }

    /// All steps, in the order in which they were first sent.
    pub fn steps(&self) -> Vec<Step> {
        self.lock().steps.clone()
    }

    // A panic elsewhere leaves whole steps behind, so a poisoned lock is as good as another.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
