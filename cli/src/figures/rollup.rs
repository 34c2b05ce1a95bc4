//! How fast a node follows the Layer 2: through [`Ledger::extend`], with signatures checked, the state hashed and
//! everything on disk when it returns. Each run is in a fresh database.

use std::collections::HashMap;
use std::convert::Infallible;
use std::thread;
use std::time::Instant;

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version as BlockVersion};
use bitcoin::consensus::encode::{deserialize, serialize};
use bitcoin::hashes::Hash;
use bitcoin::key::Keypair;
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode, TxOut,
    Witness,
};
use trestle_rollup::envelope::Kind;
use trestle_rollup::tag::mint_message;
use trestle_rollup::{
    Account, Batch, Destination, Digest, Envelope, Event, Ledger, Parameters, SignedTransaction, Tag, schnorr,
};

use super::secrets::{key, outpoint, x_only};
use super::{Figure, FiguresError, median};

const ACCOUNTS: usize = 1_000;
const TRANSFERS: usize = 10_000;
/// A batch has to fit in a standard transaction of 400,000 weight units.
const BATCHES: usize = 5;
const RUNS: usize = 5;
const DENOMINATION: u64 = 1_000_000;

/// A block of Bitcoin's main chain, 1.4 MB, in which nothing concerns the bridge.
pub(super) const MAINNET_BLOCK: &[u8] = include_bytes!(
    "../../../tests/data/mainnet_block_000000000000000000000c835b2adcaedc20fdf6ee440009c249452c726dafae.raw"
);

pub fn measure(progress: &dyn Fn(&str)) -> Result<Vec<Figure>, FiguresError> {
    progress(&format!("a block with {TRANSFERS} signed transfers"));
    let rate = apply_rate(1)?;
    progress("a block of Bitcoin's main chain");
    let mainnet = mainnet_block()?;
    Ok(vec![Figure::new("rollup.apply", rate, "tx/s"), Figure::new("rollup.mainnet_block_seconds", mainnet, "s")])
}

pub(super) fn parameters(genesis_hash: [u8; 32]) -> Parameters {
    Parameters {
        committee: x_only(&key("committee")).serialize(),
        vault_key: x_only(&key("vault")).serialize(),
        denominations: vec![DENOMINATION],
        withdrawal_fee: 5_000,
        cooperative_window: 16,
        operator_window: 30,
        grace: 12,
        operators: vec![x_only(&key("operator")).serialize()],
        sequencers: vec![x_only(&key("sequencer")).serialize()],
        signers: vec![],
        membership_delay: 12,
        genesis_height: 100,
        genesis_hash,
        bridge: [0; 32],
    }
}

/// Transfers a second that so many ledgers apply at once, each of them all, on all cores together.
pub fn apply_rate(ledgers: usize) -> Result<f64, FiguresError> {
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    Ok(TRANSFERS as f64 / transfers(ledgers)?)
}

/// Seconds for a block of [`BATCHES`] batches, in which each of [`ACCOUNTS`] accounts pays ten others: until the last of
/// so many ledgers, each of which applies all of it, is done.
fn transfers(ledgers: usize) -> Result<f64, FiguresError> {
    let parameters = parameters([0x11; 32]);
    let instance = parameters.instance();
    let users: Vec<Keypair> = (0..ACCOUNTS).map(|user| key(&format!("user {user}"))).collect();
    let account = |user: usize| Account(x_only(&users[user % ACCOUNTS]).serialize());

    let mints = (0..ACCOUNTS).map(|user| mint(&parameters, outpoint(&format!("deposit {user}")), account(user)));
    let funding = block(parameters.genesis_hash, 101, mints.collect());

    let transfer = |index: usize| {
        let (from, nonce) = (index % ACCOUNTS, (index / ACCOUNTS) as u64);
        let to = account(index * 7 + 1);
        trestle_rollup::Transaction::Transfer { from: account(from), to, amount: 1_000, fee: 10, nonce }
            .sign(&instance, &users[from])
    };
    let signed: Vec<SignedTransaction> = (0..TRANSFERS).map(transfer).collect();
    // They came into being in this order.
    let indices: HashMap<Account, u32> = (0..ACCOUNTS).map(account).zip(0..).collect();
    let batches = (0..).zip(signed.chunks(TRANSFERS / BATCHES));
    let batches = batches.map(|(number, signed)| batch(&parameters, &instance, number, signed, &indices)).collect();
    let full = block(funding.block_hash().to_byte_array(), 102, batches);

    let (funding, full) = (serialize(&funding), serialize(&full));
    median(RUNS, || {
        let ledgers = (0..ledgers).map(|_| ledger(&parameters)).collect::<Result<Vec<_>, _>>()?;
        for (_, ledger) in &ledgers {
            ledger.extend(&funding)?;
        }
        let start = Instant::now();
        let applied: Vec<_> = thread::scope(|scope| {
            let threads = ledgers.iter().map(|(_, ledger)| scope.spawn(|| ledger.extend(&full)));
            // All are begun before the first is waited for.
            let threads: Vec<_> = threads.collect();
            threads.into_iter().map(thread::ScopedJoinHandle::join).collect()
        });
        let seconds = start.elapsed().as_secs_f64();
        for events in applied {
            let events = events.map_err(|_| FiguresError::Unexpected("a ledger panicked".into()))??;
            let done = events.iter().filter(|event| matches!(event, Event::Transferred { .. })).count();
            expect(done == TRANSFERS, || format!("{done} of {TRANSFERS} transfers were done"))?;
        }
        Ok(seconds)
    })
}

fn mainnet_block() -> Result<f64, FiguresError> {
    let header: Header = deserialize(MAINNET_BLOCK.get(..80).unwrap_or_default())
        .map_err(|error| FiguresError::Unexpected(error.to_string()))?;
    let parameters = parameters(header.prev_blockhash.to_byte_array());
    median(RUNS, || {
        let (_directory, ledger) = ledger(&parameters)?;
        let start = Instant::now();
        let events = ledger.extend(MAINNET_BLOCK)?;
        let seconds = start.elapsed().as_secs_f64();
        expect(events.is_empty(), || format!("{} events in a block that has none", events.len()))?;
        Ok(seconds)
    })
}

/// A ledger in a new database on disk.
pub(super) fn ledger(parameters: &Parameters) -> Result<(tempfile::TempDir, Ledger), FiguresError> {
    let directory = tempfile::tempdir()?;
    let ledger = Ledger::open(&sled::open(directory.path())?, parameters)?;
    Ok((directory, ledger))
}

fn expect(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), FiguresError> {
    if holds { Ok(()) } else { Err(FiguresError::Unexpected(otherwise())) }
}

/// A Confirm, as far as the Layer 2 looks at it.
fn mint(parameters: &Parameters, deposit: OutPoint, account: Account) -> Transaction {
    let message = mint_message(&parameters.instance(), &deposit.into(), &account, DENOMINATION);
    let tag = Tag::Mint { account, signature: schnorr::sign(&message, &key("committee")) };
    let vault = Destination::P2tr(parameters.vault_key).script_pubkey();
    let outputs = vec![output(DENOMINATION, vault), output(0, tag.script_pubkey(parameters.bridge_tag()))];
    transaction(deposit, Witness::from_slice(&[[1; 64]]), outputs)
}

/// A transaction that reveals a certified batch.
fn batch(
    parameters: &Parameters,
    instance: &Digest,
    number: u64,
    signed: &[SignedTransaction],
    indices: &HashMap<Account, u32>,
) -> Transaction {
    let mut batch = Batch::new(number, signed);
    batch.certify(0, schnorr::sign(&batch.digest(instance), &key("sequencer")));
    let poster = x_only(&key("poster")).serialize();
    let Ok(payload) = batch.compact(instance, |account| Ok::<_, Infallible>(indices.get(account).copied()));
    let envelope = Envelope { kind: Kind::Batch, payload };
    let leaf = envelope.script(parameters.bridge_tag(), &poster);
    let witness = Witness::from_slice(&[vec![1; 64], leaf, [&[0xc0][..], &poster].concat()]);
    let change = output(1_000, Destination::P2tr(poster).script_pubkey());
    transaction(outpoint(&format!("batch {number}")), witness, vec![change])
}

/// A block with its merkle root and witness commitment, without proof of work.
fn block(parent: [u8; 32], height: u32, transactions: Vec<Transaction>) -> Block {
    let coinbase_output = output(312_500_000, ScriptBuf::from_bytes(vec![0x51]));
    let mut coinbase = transaction(OutPoint::null(), Witness::from_slice(&[[0; 32]]), vec![coinbase_output]);
    coinbase.input[0].script_sig = ScriptBuf::builder().push_int(i64::from(height)).push_slice([0; 4]).into_script();
    let header = Header {
        version: BlockVersion::TWO,
        prev_blockhash: BlockHash::from_byte_array(parent),
        merkle_root: TxMerkleNode::all_zeros(),
        time: 0,
        bits: CompactTarget::from_consensus(0x207f_ffff),
        nonce: 0,
    };
    let mut block = Block { header, txdata: std::iter::once(coinbase).chain(transactions).collect() };
    let witness_root = block.witness_root().expect("there is a coinbase");
    let commitment = Block::compute_witness_commitment(&witness_root, &[0; 32]);
    // BIP 141, Commitment structure.
    let script = [&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed][..], commitment.as_byte_array()].concat();
    block.txdata[0].output.push(output(0, ScriptBuf::from_bytes(script)));
    block.header.merkle_root = block.compute_merkle_root().expect("there is a coinbase");
    block
}

fn transaction(input: OutPoint, witness: Witness, output: Vec<TxOut>) -> Transaction {
    let input = TxIn {
        previous_output: input,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness,
    };
    Transaction { version: Version::TWO, lock_time: LockTime::ZERO, input: vec![input], output }
}

fn output(sats: u64, script_pubkey: ScriptBuf) -> TxOut {
    TxOut { value: Amount::from_sat(sats), script_pubkey }
}
