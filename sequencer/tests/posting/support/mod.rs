//! A bridge with known keys, and a chain that can be reorganized.

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash as _;
use bitcoin::secp256k1::{Keypair, Secp256k1, SecretKey};
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode, TxOut,
    Txid, Witness, transaction,
};
use trestle_rollup::envelope::Kind;
use trestle_rollup::tag::mint_message;
use trestle_rollup::{
    Account, Batch, Destination, Digest, Envelope, Ledger, Membership, Parameters, SignedTransaction, Tag, schnorr,
    tagged_hash,
};

pub const CONFIRMATIONS: u32 = 3;

pub fn key(name: &str, index: usize) -> Keypair {
    let secret = tagged_hash("test key", &[name.as_bytes(), &index.to_le_bytes()]);
    Keypair::from_secret_key(&Secp256k1::new(), &SecretKey::from_slice(&secret).unwrap())
}

pub fn account(user: usize) -> Account {
    key("user", user).x_only_public_key().0.into()
}

fn x_only(key: &Keypair) -> [u8; 32] {
    key.x_only_public_key().0.serialize()
}

/// A bridge with this many sequencers.
pub fn parameters(sequencers: usize) -> Parameters {
    Parameters {
        committee: x_only(&key("committee", 0)),
        vault_key: x_only(&key("vault", 0)),
        denominations: vec![1_000_000, 10_000_000],
        withdrawal_fee: 5_000,
        cooperative_window: 4,
        operator_window: 8,
        grace: 4,
        operators: vec![x_only(&key("operator", 0))],
        sequencers: (0..sequencers).map(|index| x_only(&key("sequencer", index))).collect(),
        signers: (0..3).map(|index| x_only(&key("signer", index))).collect(),
        membership_delay: 12,
        genesis_height: 100,
        genesis_hash: [0x11; 32],
        bridge: [0; 32],
    }
}

/// Bitcoin, and the Layer 2 that follows from it.
pub struct World {
    pub db: sled::Db,
    pub ledger: Ledger,
    /// Transactions of each block above the genesis.
    pub blocks: Vec<Vec<Transaction>>,
    /// The same blocks as Bitcoin serializes them.
    pub raw: Vec<Vec<u8>>,
    /// What waits for a block.
    pub pool: Vec<Transaction>,
    coins: u32,
    branch: u32,
}

impl World {
    pub fn new(parameters: &Parameters) -> Self {
        let db = sled::Config::new().temporary(true).open().unwrap();
        let ledger = Ledger::open(&db, parameters).unwrap();
        let (blocks, raw, pool) = (Vec::new(), Vec::new(), Vec::new());
        Self { db, ledger, blocks, raw, pool, coins: 0, branch: 0 }
    }

    pub fn broadcast(&mut self, transaction: Transaction) {
        let known = |other: &Transaction| other.compute_txid() == transaction.compute_txid();
        if !self.pool.iter().any(known) && !self.blocks.iter().flatten().any(known) {
            self.pool.push(transaction);
        }
    }

    /// The next block, with these transactions.
    pub fn mine(&mut self, transactions: Vec<Transaction>) {
        let (height, entry) = self.ledger.tip();
        let block = assemble(entry.block_hash, height + 1, self.branch, transactions.clone());
        let raw = serialize(&block);
        self.ledger.extend(&raw).unwrap();
        self.raw.push(raw);
        self.blocks.push(transactions);
    }

    /// The next block, with everything that waits.
    pub fn mine_pool(&mut self) {
        let transactions = std::mem::take(&mut self.pool);
        self.mine(transactions);
    }

    /// Takes the last blocks away; what was in them waits again.
    pub fn disconnect(&mut self, depth: usize) {
        let kept = self.blocks.len().saturating_sub(depth);
        let gone: Vec<_> = self.blocks.drain(kept..).flatten().collect();
        self.raw.truncate(kept);
        self.ledger.rollback(100 + u32::try_from(kept).unwrap()).unwrap();
        self.branch += 1;
        self.pool.splice(0..0, gone);
    }

    fn coin(&mut self) -> OutPoint {
        self.coins += 1;
        OutPoint::new(Txid::from_byte_array(tagged_hash("test coin", &[&self.coins.to_le_bytes()])), 0)
    }

    /// A mint of the first denomination.
    pub fn mint(&mut self, user: usize) -> Transaction {
        let (input, account) = (self.coin(), account(user));
        let instance = self.ledger.parameters().instance();
        let value = self.ledger.parameters().denominations[0];
        let message = mint_message(&instance, &input.into(), &account, value);
        let tag = Tag::Mint { account, signature: schnorr::sign(&message, &key("committee", 0)) };
        let vault = Destination::P2tr(self.ledger.parameters().vault_key).script_pubkey();
        let outputs = vec![(value, vault), (0, tag.script_pubkey(self.ledger.parameters().bridge_tag()))];
        spend(input, Witness::from_slice(&[vec![1; 64]]), outputs)
    }

    /// Commit and reveal of an envelope.
    fn envelope(&mut self, kind: Kind, payload: Vec<u8>) -> (Transaction, Transaction) {
        let commit = spend(self.coin(), Witness::from_slice(&[vec![1; 64]]), vec![(1_000, ScriptBuf::new())]);
        let poster = x_only(&key("poster", 0));
        let script = Envelope { kind, payload }.script(self.ledger.parameters().bridge_tag(), &poster);
        let witness = Witness::from_slice(&[vec![1; 64], script, [&[0xc0][..], &poster].concat()]);
        let change = Destination::P2tr(poster).script_pubkey();
        let reveal = spend(OutPoint::new(commit.compute_txid(), 0), witness, vec![(500, change)]);
        (commit, reveal)
    }

    /// How a batch goes to Bitcoin, with all accounts by their keys.
    pub fn payload(&self, batch: &Batch) -> Vec<u8> {
        batch.compact(&self.ledger.parameters().instance(), |_| Ok::<_, std::convert::Infallible>(None)).unwrap()
    }

    pub fn posting(&mut self, payload: Vec<u8>) -> (Transaction, Transaction) {
        self.envelope(Kind::Batch, payload)
    }

    pub fn forced(&mut self, transaction: &SignedTransaction) -> (Transaction, Transaction) {
        self.envelope(Kind::Forced, transaction.encode())
    }

    /// A change to these sequencers, signed by three of the first set and all of the committee.
    pub fn change(&mut self, sequencers: &[usize]) -> (Transaction, Transaction) {
        let sequencers = sequencers.iter().map(|index| x_only(&key("sequencer", *index))).collect();
        let mut change = Membership { set: 1, sequencers, certificate: Vec::new(), consent: Vec::new() };
        let message = change.message(&self.ledger.parameters().instance());
        for index in 0..3 {
            change.certify(index, schnorr::sign(&message, &key("sequencer", usize::from(index))));
            change.agree(index, schnorr::sign(&message, &key("signer", usize::from(index))));
        }
        self.envelope(Kind::Membership, change.encode())
    }

    /// A batch that these sequencers certified.
    pub fn certified(&self, number: u64, transactions: &[SignedTransaction], signers: &[u8]) -> Batch {
        let mut batch = Batch::new(number, transactions);
        let digest = batch.digest(&self.ledger.parameters().instance());
        for index in signers {
            batch.certify(*index, schnorr::sign(&digest, &key("sequencer", usize::from(*index))));
        }
        batch
    }

    pub fn transfer(&self, from: usize, to: usize, amount: u64, fee: u64, nonce: u64) -> SignedTransaction {
        let (payer, to) = (account(from), account(to));
        let transfer = trestle_rollup::Transaction::Transfer { from: payer, to, amount, fee, nonce };
        transfer.sign(&self.ledger.parameters().instance(), &key("user", from))
    }

    pub fn withdraw(&self, from: usize, denomination: u8, fee: u64, nonce: u64) -> SignedTransaction {
        let destination = Destination::P2wpkh([7; 20]);
        let withdraw =
            trestle_rollup::Transaction::Withdraw { from: account(from), destination, denomination, fee, nonce };
        withdraw.sign(&self.ledger.parameters().instance(), &key("user", from))
    }

    pub fn id(&self, transaction: &SignedTransaction) -> Digest {
        transaction.transaction.sighash(&self.ledger.parameters().instance())
    }
}

fn spend(input: OutPoint, witness: Witness, outputs: Vec<(u64, ScriptBuf)>) -> Transaction {
    let sequence = Sequence::ENABLE_RBF_NO_LOCKTIME;
    let outputs = outputs.into_iter();
    Transaction {
        version: transaction::Version(3),
        lock_time: LockTime::ZERO,
        input: vec![TxIn { previous_output: input, script_sig: ScriptBuf::new(), sequence, witness }],
        output: outputs.map(|(value, script_pubkey)| TxOut { value: Amount::from_sat(value), script_pubkey }).collect(),
    }
}

fn assemble(parent: [u8; 32], height: u32, branch: u32, transactions: Vec<Transaction>) -> Block {
    let mut coinbase = spend(OutPoint::null(), Witness::from_slice(&[[0u8; 32]]), vec![(0, ScriptBuf::new())]);
    coinbase.input[0].script_sig = ScriptBuf::builder().push_int(i64::from(height)).push_slice([0; 4]).into_script();
    let header = Header {
        version: Version::TWO,
        prev_blockhash: BlockHash::from_byte_array(parent),
        merkle_root: TxMerkleNode::all_zeros(),
        time: branch,
        bits: CompactTarget::from_consensus(0x207f_ffff),
        nonce: 0,
    };
    let mut block = Block { header, txdata: std::iter::once(coinbase).chain(transactions).collect() };
    let root = block.witness_root().unwrap();
    let commitment = Block::compute_witness_commitment(&root, &[0; 32]);
    let script = [&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed][..], commitment.as_byte_array()].concat();
    block.txdata[0].output.push(TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::from_bytes(script) });
    block.header.merkle_root = block.compute_merkle_root().unwrap();
    block
}
