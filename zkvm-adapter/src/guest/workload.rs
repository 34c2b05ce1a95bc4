//! Blocks that make the guest work, to measure what it costs.
//!
//! **The worst block.** What costs most steps for its weight is signatures, and most signatures for their weight are in
//! the certificates of empty batches: 66 weight units each. A transfer in a batch takes 41 and more, and half the steps of a
//! signature. Only the sequencers can make such a block, a quorum of them, for a certificate is checked no further than to
//! its first bad signature. All else that can be in a block costs less for its weight, as long as nobody tampered with the
//! state; how much it would be on paths of 250 levels is in `tests/guest/worst.rs`.

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::consensus::encode::serialize;
use bitcoin::hashes::Hash as _;
use bitcoin::secp256k1::{Keypair, Secp256k1, SecretKey};
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction as BitcoinTransaction, TxIn,
    TxMerkleNode, TxOut, Txid, Witness, transaction,
};
use trestle_rollup::envelope::Kind;
use trestle_rollup::native::RawBlock;
use trestle_rollup::state::{At, ReadState as _};
use trestle_rollup::tag::mint_message;
use trestle_rollup::{
    Account, Batch, Destination, Entry, Envelope, Parameters, ParametersError, SignedTransaction, Tag, Transaction,
    apply, schnorr, tagged_hash,
};

use crate::guest::{BlockError, Verdict, honest, run};
use crate::oracle::{AnswerError, Oracle};
use crate::step::Halt;

/// Steps that a block takes at most besides those for its weight: for the parameters and the paths of the records that
/// every block reads and writes.
pub const FIXED_STEPS: u64 = 1_000_000;

/// Steps that a block takes at most for each weight unit. The worst block takes 47,700; a signature whose scalars were
/// ground to have as many digits as possible takes 8% more than another.
pub const STEPS_PER_WEIGHT_UNIT: u64 = 55_000;

/// A Layer 2 at its tip, of a bridge whose keys are all known.
#[derive(Clone, Debug)]
pub struct Workload {
    parameters: Parameters,
    sequencers: Vec<Keypair>,
    entry: Entry,
    state: Oracle,
    /// How many outputs were spent so far.
    spent: u32,
}

/// A known key.
fn key(name: &str, index: usize) -> Keypair {
    // A hash is no key once in 2^128 times; then the next one is.
    let mut hash = tagged_hash("Trestle/workload", &[name.as_bytes(), &index.to_le_bytes()]);
    loop {
        if let Ok(secret) = SecretKey::from_slice(&hash) {
            return Keypair::from_secret_key(&Secp256k1::signing_only(), &secret);
        }
        hash = tagged_hash("Trestle/workload", &[&hash]);
    }
}

fn x_only(key: &Keypair) -> [u8; 32] {
    key.x_only_public_key().0.serialize()
}

impl Workload {
    /// An empty Layer 2 with so many sequencers.
    ///
    /// # Errors
    /// None for these parameters.
    pub fn new(sequencers: u8) -> Result<Self, ParametersError> {
        let sequencers: Vec<Keypair> = (0..usize::from(sequencers)).map(|index| key("sequencer", index)).collect();
        let parameters = Parameters {
            committee: x_only(&key("committee", 0)),
            vault_key: x_only(&key("vault", 0)),
            denominations: vec![1_000_000],
            withdrawal_fee: 5_000,
            cooperative_window: 16,
            operator_window: 30,
            grace: 12,
            operators: vec![x_only(&key("operator", 0))],
            sequencers: sequencers.iter().map(x_only).collect(),
            signers: Vec::new(),
            membership_delay: 12,
            genesis_height: 100,
            genesis_hash: [0x11; 32],
            bridge: [0; 32],
        };
        let mut state = Oracle::default();
        let entry = parameters.genesis(&mut state)?;
        Ok(Self { parameters, sequencers, entry, state, spent: 0 })
    }

    /// The next block, with these transactions after the coinbase. It has no proof of work, which the guest does not ask
    /// for.
    #[must_use]
    pub fn block(&self, transactions: Vec<BitcoinTransaction>) -> Block {
        let coinbase = BitcoinTransaction {
            version: transaction::Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output: OutPoint::null(),
                script_sig: ScriptBuf::from_bytes(vec![1; 5]),
                sequence: Sequence::MAX,
                witness: Witness::from_slice(&[[0u8; 32]]),
            }],
            output: vec![TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::new() }; 2],
        };
        let header = Header {
            version: Version::TWO,
            prev_blockhash: BlockHash::from_byte_array(self.entry.block_hash),
            merkle_root: TxMerkleNode::all_zeros(),
            time: 0,
            bits: CompactTarget::from_consensus(0x207f_ffff),
            nonce: 0,
        };
        let mut block = Block { header, txdata: std::iter::once(coinbase).chain(transactions).collect() };
        if let Some(root) = block.witness_root() {
            let commitment = Block::compute_witness_commitment(&root, &[0; 32]);
            let script = [&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed][..], commitment.as_byte_array()].concat();
            let output = block.txdata.first_mut().and_then(|coinbase| coinbase.output.last_mut());
            output.into_iter().for_each(|output| output.script_pubkey = ScriptBuf::from_bytes(script.clone()));
        }
        block.header.merkle_root = block.compute_merkle_root().unwrap_or(block.header.merkle_root);
        block
    }

    /// Runs the guest over the next block, which it must accept.
    ///
    /// # Errors
    /// If it does not, or comes to no verdict.
    pub fn run(&mut self, block: &Block) -> Result<Verdict, BlockError> {
        let (inputs, answer) = honest(&self.entry, &serialize(block), &mut self.state)?;
        let verdict = run(&inputs, &answer.oracle)?;
        if verdict.halt == Halt::Accept { Ok(verdict) } else { Err(BlockError::Rejected(verdict.halt)) }
    }

    /// Takes the next block into the Layer 2, natively.
    ///
    /// # Errors
    /// If it is not the next block.
    pub fn extend(&mut self, block: &Block) -> Result<(), BlockError> {
        let bytes = serialize(block);
        let mut raw = RawBlock::parse(&bytes).map_err(AnswerError::from)?;
        let mut new = Oracle::default();
        let applied = apply(&self.entry, &mut raw, &mut self.state, &mut new);
        self.entry = applied.map_err(|_| BlockError::NotNext)?.entry;
        self.state.extend(new);
        Ok(())
    }

    /// A transaction that spends one output more, with these outputs and the witness of its only input.
    pub fn transaction(&mut self, output: Vec<TxOut>, witness: Witness) -> BitcoinTransaction {
        let previous_output = self.next_input();
        self.spent = self.spent.saturating_add(1);
        let input =
            TxIn { previous_output, script_sig: ScriptBuf::new(), sequence: Sequence::ENABLE_RBF_NO_LOCKTIME, witness };
        BitcoinTransaction { version: transaction::Version(3), lock_time: LockTime::ZERO, input: vec![input], output }
    }

    fn next_input(&self) -> OutPoint {
        OutPoint { txid: Txid::all_zeros(), vout: self.spent }
    }

    /// A mint of the only denomination to a user.
    pub fn mint(&mut self, user: usize) -> BitcoinTransaction {
        let account = Account(x_only(&key("user", user)));
        let value = self.parameters.denominations.first().copied().unwrap_or_default();
        let message = mint_message(&self.parameters.instance(), &self.next_input().into(), &account, value);
        let signature = schnorr::sign(&message, &key("committee", 0));
        let vault = Destination::P2tr(self.parameters.vault_key).script_pubkey();
        let tag = Tag::Mint { account, signature }.script_pubkey(self.parameters.bridge_tag());
        let output = |value, script_pubkey| TxOut { value: Amount::from_sat(value), script_pubkey };
        self.transaction(vec![output(value, vault), output(0, tag)], Witness::new())
    }

    /// A transfer of one satoshi from one user to another, with a fee of one.
    #[must_use]
    pub fn transfer(&self, from: usize, to: usize, nonce: u64) -> SignedTransaction {
        let (payer, payee) = (key("user", from), Account(x_only(&key("user", to))));
        let transfer = Transaction::Transfer { from: Account(x_only(&payer)), to: payee, amount: 1, fee: 1, nonce };
        transfer.sign(&self.parameters.instance(), &payer)
    }

    /// The smallest transaction with a batch that all sequencers have certified.
    pub fn batch(&mut self, number: u64, transactions: &[SignedTransaction]) -> BitcoinTransaction {
        let mut batch = Batch::new(number, transactions);
        let digest = batch.digest(&self.parameters.instance());
        for (index, sequencer) in (0..=u8::MAX).zip(&self.sequencers) {
            batch.certify(index, schnorr::sign(&digest, sequencer));
        }
        // What the state does not have is named by its key.
        let mut state = At { host: &mut self.state, root: self.entry.state_root };
        let index = |account: &Account| Ok::<_, ()>(state.account(account).ok().and_then(|known| known.index));
        let payload = batch.compact(&self.parameters.instance(), index).unwrap_or_default();
        let envelope = Envelope { kind: Kind::Batch, payload };
        let script = envelope.script(self.parameters.bridge_tag(), &x_only(&key("poster", 0)));
        let control_block = [&[0xc0][..], &x_only(&key("poster", 0))].concat();
        let output = TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::new() };
        self.transaction(vec![output], Witness::from_slice(&[vec![1; 64], script, control_block]))
    }
}

/// Steps for each of `count` transfers between 20 users in one batch, its other costs left out.
///
/// # Errors
/// None, unless the guest is broken.
pub fn steps_per_transfer(count: u32) -> Result<u64, BlockError> {
    const USERS: usize = 20;
    let mut workload = Workload::new(4)?;
    let mints = (0..USERS).map(|user| workload.mint(user)).collect();
    workload.extend(&workload.block(mints))?;
    let mut steps = |count: u32| {
        let transfers: Vec<_> = (0..count as usize)
            .map(|number| workload.transfer(number % USERS, (number + 7) % USERS, (number / USERS) as u64))
            .collect();
        let batch = workload.batch(0, &transfers);
        workload.run(&workload.block(vec![batch])).map(|verdict| verdict.steps)
    };
    let (with, without) = (steps(count)?, steps(0)?);
    Ok(with.saturating_sub(without) / u64::from(count.max(1)))
}

/// What a block weighs and costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Its weight units.
    pub weight: u64,
    /// The signatures that are checked.
    pub signatures: u64,
    /// The guest's steps.
    pub steps: u64,
}

/// The worst block that weighs no more than `weight` units, run to its end: 1.9·10^11 steps for the whole 4,000,000.
///
/// # Errors
/// None, unless the guest is broken.
pub fn worst_block(weight: u64) -> Result<Cost, BlockError> {
    let mut workload = Workload::new(u8::MAX)?;
    let (mut batches, mut number) = (Vec::new(), 0);
    let mut free = weight.saturating_sub(workload.block(Vec::new()).weight().to_wu());
    loop {
        let batch = workload.batch(number, &[]);
        let Some(rest) = free.checked_sub(batch.weight().to_wu()) else { break };
        (free, number) = (rest, number + 1);
        batches.push(batch);
    }
    let block = workload.block(batches);
    let steps = workload.run(&block)?.steps;
    Ok(Cost { weight: block.weight().to_wu(), signatures: number * u64::from(u8::MAX), steps })
}
