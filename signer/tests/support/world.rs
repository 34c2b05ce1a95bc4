//! A chain and a Layer 2 in memory, and each signer's view of them, which may lag behind.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, CompactTarget, FeeRate, OutPoint, Transaction, TxMerkleNode, TxOut, Txid};
use trestle_bridge::job::Job;
use trestle_bridge::parameters::Bridge;
use trestle_bridge::transactions::Checkpoint;
use trestle_rollup::state::ActiveOperators;
use trestle_rollup::{Assignment, Destination, Digest, Fulfilment, SlotId, Tag, Withdrawal, WithdrawalId};
use trestle_signer::{Spend, View, ViewError};

pub struct Chain {
    pub bridge: Bridge,
    pub tip: u32,
    pub fee_rate: FeeRate,
    pub outputs: HashMap<OutPoint, (TxOut, u32)>,
    pub spends: HashMap<OutPoint, Spend>,
    pub withdrawals: BTreeMap<u32, Withdrawal>,
    pub slots: HashMap<SlotId, Fulfilment>,
    mempool: BTreeMap<Txid, Transaction>,
}

/// The world; clones are the same world.
#[derive(Clone)]
pub struct World(pub Rc<RefCell<Chain>>);

/// Bits of every header, and four times the target that they stand for.
const BITS: u32 = 0x1d00_ffff;
pub const TARGET: [u8; 32] = {
    let mut target = [0; 32];
    target[26] = 0xfc;
    target[27] = 0xff;
    target[28] = 0x03;
    target
};

fn entry(height: u32) -> Digest {
    let mut entry = [7; 32];
    entry[..4].copy_from_slice(&height.to_le_bytes());
    entry
}

impl World {
    pub fn new(bridge: Bridge) -> Self {
        Self(Rc::new(RefCell::new(Chain {
            bridge,
            tip: 100,
            fee_rate: FeeRate::from_sat_per_vb_u32(3),
            outputs: HashMap::new(),
            spends: HashMap::new(),
            withdrawals: BTreeMap::new(),
            slots: HashMap::new(),
            mempool: BTreeMap::new(),
        })))
    }

    pub fn tip(&self) -> u32 {
        self.0.borrow().tip
    }

    /// What a signer sees that is `lag` blocks behind.
    pub fn view(&self, lag: u32) -> At {
        At { world: self.clone(), tip: self.tip() - lag }
    }

    /// A checkpoint that is deep enough.
    pub fn checkpoint(&self) -> Checkpoint {
        let height = self.tip() - 10;
        Checkpoint { height, entry: entry(height) }
    }

    /// Mines the output that a deposit or a run needs to exist.
    pub fn pay(&self, job: &Job) {
        let bridge = self.0.borrow().bridge.clone();
        let (outpoint, output) = match job {
            Job::Deposit(deposit) => (deposit.terms.outpoint, deposit.terms.deposit_output(&bridge).unwrap()),
            Job::Run(run) => (run.terms.bond, run.terms.bond_output(&bridge).unwrap()),
            _ => panic!("nothing to pay"),
        };
        let mut chain = self.0.borrow_mut();
        let tip = chain.tip;
        chain.outputs.entry(outpoint).or_insert((output, tip));
    }

    /// Spends an output by some other transaction.
    pub fn spend(&self, outpoint: OutPoint) {
        let mut chain = self.0.borrow_mut();
        let height = chain.tip;
        let txid = super::members::outpoint("some other transaction").txid;
        chain.spends.insert(outpoint, Spend { txid, height });
    }

    /// A withdrawal is requested in the block at the tip.
    pub fn withdraw(&self, id: u32) {
        let mut chain = self.0.borrow_mut();
        let withdrawal = Withdrawal {
            denomination: 0,
            requested_height: chain.tip,
            destination: Destination::from_script(&[&[0, 20][..], &[id as u8; 20]].concat()).unwrap(),
            paid: false,
            operators: 2,
        };
        chain.withdrawals.insert(id, withdrawal);
    }

    /// Puts a complete transaction into the mempool.
    pub fn broadcast(&self, transaction: &Transaction) {
        self.0.borrow_mut().mempool.insert(transaction.compute_txid(), transaction.clone());
    }

    /// The mempool is lost.
    pub fn lose_mempool(&self) {
        self.0.borrow_mut().mempool.clear();
    }

    /// Mines a block of everything in the mempool that spends unspent outputs.
    pub fn mine(&self) {
        let mut chain = self.0.borrow_mut();
        chain.tip += 1;
        let height = chain.tip;
        for (txid, transaction) in std::mem::take(&mut chain.mempool) {
            let unspent = |input: &bitcoin::TxIn| {
                let at = &input.previous_output;
                chain.outputs.contains_key(at) && !chain.spends.contains_key(at)
            };
            if !transaction.input.iter().all(unspent) {
                continue;
            }
            for input in &transaction.input {
                chain.spends.insert(input.previous_output, Spend { txid, height });
            }
            for (vout, output) in transaction.output.iter().enumerate() {
                chain.outputs.insert(OutPoint::new(txid, vout as u32), (output.clone(), height));
            }
            let payload = transaction
                .output
                .get(1)
                .and_then(|output| Tag::payload(output.script_pubkey.as_bytes(), chain.bridge.tag));
            if let Some(Tag::Cooperative { withdrawal }) = payload.and_then(Tag::decode) {
                chain.withdrawals.get_mut(&withdrawal.0).unwrap().paid = true;
            }
        }
    }
}

/// The world up to a height. Layer 2 state is always that of the world's tip, which no test minds.
pub struct At {
    world: World,
    tip: u32,
}

impl View for At {
    fn tip(&self) -> Result<u32, ViewError> {
        Ok(self.tip)
    }

    fn entry(&self, height: u32) -> Result<Option<Digest>, ViewError> {
        Ok((height <= self.tip).then(|| entry(height)))
    }

    fn header(&self, height: u32) -> Result<Option<Header>, ViewError> {
        let header = Header {
            version: Version::TWO,
            prev_blockhash: BlockHash::all_zeros(),
            merkle_root: TxMerkleNode::all_zeros(),
            time: height,
            bits: CompactTarget::from_consensus(BITS),
            nonce: 0,
        };
        Ok((height <= self.tip).then_some(header))
    }

    fn output(&self, outpoint: &OutPoint) -> Result<Option<(TxOut, u32)>, ViewError> {
        Ok(self.world.0.borrow().outputs.get(outpoint).filter(|(_, height)| *height <= self.tip).cloned())
    }

    fn spender(&self, outpoint: &OutPoint) -> Result<Option<Spend>, ViewError> {
        Ok(self.world.0.borrow().spends.get(outpoint).filter(|spend| spend.height <= self.tip).copied())
    }

    fn withdrawal(&self, id: WithdrawalId) -> Result<Option<Withdrawal>, ViewError> {
        Ok(self.world.0.borrow().withdrawals.get(&id.0).copied())
    }

    fn assignment(&self, id: WithdrawalId, height: u32) -> Result<Option<Assignment>, ViewError> {
        let mut active = ActiveOperators::default();
        active.set(0, true);
        active.set(1, true);
        let windows = self.world.0.borrow().bridge.rollup.windows();
        let pending = self.withdrawal(id)?.filter(|withdrawal| !withdrawal.paid);
        Ok(pending.map(|withdrawal| Assignment::at(id, &withdrawal, height, &windows, 2, &active)))
    }

    fn slot(&self, slot: SlotId) -> Result<Option<Fulfilment>, ViewError> {
        Ok(self.world.0.borrow().slots.get(&slot).copied())
    }

    fn pending_withdrawals(&self) -> Result<Vec<WithdrawalId>, ViewError> {
        let chain = self.world.0.borrow();
        Ok(chain
            .withdrawals
            .iter()
            .filter(|(_, withdrawal)| !withdrawal.paid)
            .map(|(id, _)| WithdrawalId(*id))
            .collect())
    }

    fn fee_rate(&self) -> Result<FeeRate, ViewError> {
        Ok(self.world.0.borrow().fee_rate)
    }
}
