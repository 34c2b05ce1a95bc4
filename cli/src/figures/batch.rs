//! What a batch of transfers takes on Bitcoin: all bytes of the two transactions that post it.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;

use bitcoin::absolute::LockTime;
use bitcoin::key::{Keypair, TapTweak as _};
use bitcoin::transaction::Version;
use bitcoin::{FeeRate, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};
use trestle_bridge::transactions::envelope::Posting;
use trestle_rollup::compact::most_bytes;
use trestle_rollup::envelope::Kind;
use trestle_rollup::{Account, Batch, Envelope, SignedTransaction, schnorr, tagged_hash};
use trestle_sequencer::Policy;

use super::secrets::{Secrets, key, outpoint, x_only};
use super::{Figure, FiguresError};

/// Accounts that there are.
const ACCOUNTS: u32 = 100_000;
/// Transfers in a batch. The first is the one that is compared with the goal.
const SIZES: [usize; 3] = [1_000, 100, 5_000];
/// More transfers than any batch has.
const MOST: usize = 10_000;
/// Bytes that a transfer was to take at most, all included.
const GOAL: f64 = 48.0;
/// Sequencers that sign: a quorum of four.
const QUORUM: u8 = 3;

pub fn measure(progress: &dyn Fn(&str)) -> Result<Vec<Figure>, FiguresError> {
    progress(&format!("batches of transfers among {ACCOUNTS} accounts"));
    let secrets = Secrets::new()?;
    let (transfers, indices) = transfers(&secrets.bridge.instance, MOST);
    let mut figures = Vec::new();
    for (count, published) in SIZES.into_iter().zip([true, false, false]) {
        let posted = post(&secrets, transfers.get(..count).unwrap_or_default(), &indices)?;
        #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
        let each = |name: &str, bytes: usize, unit| Figure::new(name.to_owned(), bytes as f64 / count as f64, unit);
        if published {
            figures.push(each("batch.bytes_per_transfer", posted.bytes, "B").against(GOAL));
        }
        figures.push(each(&format!("batch.{count}.bytes_per_transfer"), posted.bytes, "B"));
        figures.push(each(&format!("batch.{count}.payload_per_transfer"), posted.payload, "B"));
        figures.push(each(&format!("batch.{count}.vbytes_per_transfer"), posted.vbytes, "vB"));
    }
    let count = full(&transfers, &indices);
    let posted = post(&secrets, transfers.get(..count).unwrap_or_default(), &indices)?;
    figures.push(Figure::count("batch.full.transfers", count, "transfers"));
    figures.push(Figure::count("batch.full.weight", posted.weight, "WU"));
    Ok(figures)
}

/// How many of the transfers the sequencers take into one batch.
fn full(transfers: &[SignedTransaction], indices: &HashMap<Account, u32>) -> usize {
    let mut filled = 0;
    let fits = |signed: &&SignedTransaction| {
        let Ok(bytes) = most_bytes(&signed.transaction, |who| Ok::<_, Infallible>(indices.get(who).copied()));
        filled += bytes;
        filled <= Policy::default().batch_bytes
    };
    transfers.iter().take_while(fits).count()
}

/// What posting a batch takes.
struct Posted {
    payload: usize,
    bytes: usize,
    vbytes: usize,
    /// Weight units of the transaction that reveals it.
    weight: usize,
}

/// Commit and reveal, as a poster makes them.
fn post(
    secrets: &Secrets,
    transfers: &[SignedTransaction],
    indices: &HashMap<Account, u32>,
) -> Result<Posted, FiguresError> {
    let instance = &secrets.bridge.instance;
    let mut batch = Batch::new(1_000, transfers);
    let digest = batch.digest(instance);
    (0..QUORUM).for_each(|index| batch.certify(index, schnorr::sign(&digest, &key("sequencer"))));
    let Ok(payload) = batch.compact(instance, |account| Ok::<_, Infallible>(indices.get(account).copied()));
    let envelope = Envelope { kind: Kind::Batch, payload };
    let poster = key("poster");
    let change = ScriptBuf::new_p2tr_tweaked(x_only(&poster).dangerous_assume_tweaked());
    let posting = Posting::new(&secrets.bridge, &envelope, x_only(&poster), change.clone(), FeeRate::BROADCAST_MIN)
        .map_err(|error| FiguresError::Unexpected(error.to_string()))?;
    let carrier = posting.commit_output();
    let coin = TxIn {
        previous_output: outpoint("coin"),
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: Witness::from_slice(&[[1; 64]]),
    };
    let output = vec![carrier.clone(), TxOut { value: carrier.value, script_pubkey: change }];
    let commit = Transaction { version: Version::TWO, lock_time: LockTime::ZERO, input: vec![coin], output };
    let reveal = posting.reveal(bitcoin::OutPoint::new(commit.compute_txid(), 0), carrier.value)?;
    let signature = schnorr::sign(&reveal.message(), &poster);
    let signature = bitcoin::secp256k1::schnorr::Signature::from_slice(&signature);
    let reveal = reveal.complete(&signature.map_err(|error| FiguresError::Unexpected(error.to_string()))?);
    Ok(Posted {
        payload: envelope.payload.len(),
        bytes: commit.total_size() + reveal.total_size(),
        vbytes: commit.vsize() + reveal.vsize(),
        weight: usize::try_from(reveal.weight().to_wu()).unwrap_or(usize::MAX),
    })
}

/// Transfers between two random accounts each, which have made up to 1,000 before, of amounts with 3 to 8 digits, each as
/// often. Nine of ten pay the same fee. With the index of every account that occurs.
fn transfers(instance: &[u8; 32], count: usize) -> (Vec<SignedTransaction>, HashMap<Account, u32>) {
    let mut drawn = 0u64;
    let mut below = move |limit: u64| {
        drawn += 1;
        let hash = tagged_hash("Trestle/figures", &[&drawn.to_le_bytes()]);
        hash.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)) % limit
    };
    let mut users: BTreeMap<u32, (Keypair, u64)> = BTreeMap::new();
    let mut transfer = || {
        let [from, to] = [(); 2].map(|()| {
            let index = u32::try_from(below(ACCOUNTS.into())).unwrap_or_default();
            users.entry(index).or_insert_with(|| (key(&format!("user {index}")), below(1_000)));
            index
        });
        let least = 10u64.pow(2 + u32::try_from(below(6)).unwrap_or_default());
        let amount = least + below(9 * least);
        let fee = if below(10) == 0 { 10 + below(200) } else { 10 };
        let to = users.get(&to).map_or(Account([0; 32]), |(key, _)| Account(x_only(key).serialize()));
        let (key, nonce) = users.get_mut(&from)?;
        let from = Account(x_only(key).serialize());
        let signed = trestle_rollup::Transaction::Transfer { from, to, amount, fee, nonce: *nonce }.sign(instance, key);
        *nonce += 1;
        Some(signed)
    };
    let transfers = (0..count).filter_map(|_| transfer()).collect();
    let indices = users.iter().map(|(index, (key, _))| (Account(x_only(key).serialize()), *index)).collect();
    (transfers, indices)
}
