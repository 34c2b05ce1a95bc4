//! A bridge with known keys, the transactions that concern it, and blocks to put them in.

pub mod chain;
pub mod mainnet;
pub mod memory;
pub mod shapes;
pub mod unhash;
pub mod world;

use std::convert::Infallible;

use bitcoin::absolute::LockTime;
use bitcoin::opcodes::all::OP_PUSHNUM_1;
use bitcoin::secp256k1::{Keypair, Secp256k1, SecretKey};
use bitcoin::transaction::Version;
use bitcoin::{Amount, ScriptBuf, Sequence, TxIn, TxOut, Witness};
use trestle_rollup::envelope::Kind;
use trestle_rollup::tag::{admin_message, mint_message};
use trestle_rollup::{
    Account, AdminOperation, Batch, Destination, Digest, Envelope, Membership, OutPoint, Parameters, SignedTransaction,
    SlotId, Tag, Transaction, Txid, WithdrawalId, schnorr,
};

/// A key pair for a name and an index.
pub fn key(name: &str, index: usize) -> Keypair {
    let secret = trestle_rollup::tagged_hash("test key", &[name.as_bytes(), &index.to_le_bytes()]);
    Keypair::from_secret_key(&Secp256k1::new(), &SecretKey::from_slice(&secret).expect("a hash is a valid key"))
}

/// The x-only bytes of a key.
pub fn x_only(key: &Keypair) -> [u8; 32] {
    key.x_only_public_key().0.serialize()
}

/// The account of a test user.
pub fn account(user: usize) -> Account {
    Account(x_only(&key("user", user)))
}

/// Where a test user is paid.
pub fn destination(user: usize) -> Destination {
    let hash = trestle_rollup::tagged_hash("test destination", &[&user.to_le_bytes()]);
    let short = *hash.first_chunk().expect("20 of 32 bytes");
    match user % 5 {
        0 => Destination::P2tr(hash),
        1 => Destination::P2wpkh(short),
        2 => Destination::P2pkh(short),
        3 => Destination::P2sh(short),
        _ => Destination::P2wsh(hash),
    }
}

/// How many signers the committee has.
pub const SIGNERS: u8 = 4;

/// A bridge whose keys are all known.
#[derive(Clone)]
pub struct Bridge {
    pub parameters: Parameters,
    pub instance: Digest,
    pub tag: [u8; 4],
}

impl Default for Bridge {
    fn default() -> Self {
        Self::new(2, 4)
    }
}

impl Bridge {
    /// A bridge with so many operators and sequencers, whose genesis is `chain::Chain::new`'s.
    pub fn new(operators: usize, sequencers: usize) -> Self {
        Self::with(Parameters {
            committee: x_only(&key("committee", 0)),
            vault_key: x_only(&key("vault", 0)),
            denominations: vec![1_000_000, 10_000_000, 100_000_000],
            withdrawal_fee: 5_000,
            cooperative_window: 2,
            operator_window: 3,
            grace: 2,
            operators: (0..operators).map(|index| x_only(&key("operator", index))).collect(),
            sequencers: (0..sequencers).map(|index| x_only(&key("sequencer", index))).collect(),
            signers: (0..SIGNERS).map(|index| x_only(&key("signer", usize::from(index)))).collect(),
            membership_delay: 3,
            genesis_height: 100,
            genesis_hash: chain::GENESIS_HASH,
            bridge: [0; 32],
        })
    }

    pub fn with(parameters: Parameters) -> Self {
        let (instance, tag) = (parameters.instance(), parameters.bridge_tag());
        Self { parameters, instance, tag }
    }

    /// The vault's output script.
    pub fn vault_script(&self) -> ScriptBuf {
        Destination::P2tr(self.parameters.vault_key).script_pubkey()
    }

    /// A mint of the denomination to the account, input 0 spending output `deposit` of some transaction.
    pub fn mint(&self, deposit: u32, account: Account, denomination: u8) -> bitcoin::Transaction {
        let value = self.parameters.denominations[usize::from(denomination)];
        let input = outpoint(deposit);
        let message = mint_message(&self.instance, &input, &account, value);
        let signature = schnorr::sign(&message, &key("committee", 0));
        self.tagged(input, value, self.vault_script(), Tag::Mint { account, signature })
    }

    /// A payout in full.
    pub fn payout(
        &self,
        input: u32,
        id: u32,
        to: Destination,
        denomination: u8,
        slot: Option<SlotId>,
    ) -> bitcoin::Transaction {
        let withdrawal = WithdrawalId(id);
        let tag = slot.map_or(Tag::Cooperative { withdrawal }, |slot| Tag::Payout { withdrawal, slot });
        let value = self.parameters.payout_value(denomination).expect("a denomination of the bridge");
        self.tagged(outpoint(input), value, to.script_pubkey(), tag)
    }

    /// An administrative change that the committee signed.
    pub fn admin(&self, input: u32, operation: AdminOperation) -> bitcoin::Transaction {
        let input = outpoint(input);
        let signature = schnorr::sign(&admin_message(&self.instance, &input, &operation), &key("committee", 0));
        self.tagged(input, 546, destination(0).script_pubkey(), Tag::Admin { operation, signature })
    }

    /// A transaction with a payment and a tag.
    pub fn tagged(&self, input: OutPoint, value: u64, script: ScriptBuf, tag: Tag) -> bitcoin::Transaction {
        let mut transaction = plain(input, vec![(value, script), (0, tag.script_pubkey(self.tag))]);
        transaction.input[0].witness = Witness::from_slice(&[vec![1; 64]]);
        transaction
    }

    /// A transaction whose input 0 reveals an envelope.
    pub fn envelope(&self, input: u32, kind: Kind, payload: Vec<u8>) -> bitcoin::Transaction {
        let script = Envelope { kind, payload }.script(self.tag, &x_only(&key("poster", 0)));
        revealing(outpoint(input), script)
    }

    /// A batch certified by the given sequencers.
    pub fn certified(&self, number: u64, transactions: &[SignedTransaction], by: &[u8]) -> Batch {
        let mut batch = Batch::new(number, transactions);
        for sequencer in by {
            let signer = key("sequencer", usize::from(*sequencer));
            batch.certify(*sequencer, schnorr::sign(&batch.digest(&self.instance), &signer));
        }
        batch
    }

    /// A transaction with a batch certified by all but one of the sequencers.
    pub fn batch(&self, input: u32, number: u64, transactions: &[SignedTransaction]) -> bitcoin::Transaction {
        let count = u8::try_from(self.parameters.sequencers.len()).expect("few sequencers");
        let quorum = trestle_rollup::quorum(count).expect("there are sequencers");
        let by: Vec<u8> = (0..quorum).collect();
        self.posted(input, &self.certified(number, transactions, &by))
    }

    /// A transaction with a batch, in which accounts are named by their keys.
    pub fn posted(&self, input: u32, batch: &Batch) -> bitcoin::Transaction {
        self.envelope(input, Kind::Batch, self.payload(batch))
    }

    /// A batch's payload, in which accounts are named by their keys.
    pub fn payload(&self, batch: &Batch) -> Vec<u8> {
        let Ok(payload) = batch.compact(&self.instance, |_| Ok::<_, Infallible>(None));
        payload
    }

    /// A change to the sequencers with these names and indices, signed by some of the first ones and of the signers.
    pub fn membership(&self, set: u32, new: &[(&str, usize)], by: &[u8], agreed: &[u8]) -> Membership {
        let sequencers = new.iter().map(|(name, index)| x_only(&key(name, *index))).collect();
        let mut change = Membership { set, sequencers, certificate: vec![], consent: vec![] };
        let message = change.message(&self.instance);
        by.iter().for_each(|&index| change.certify(index, schnorr::sign(&message, &key("sequencer", index.into()))));
        agreed.iter().for_each(|&index| change.agree(index, schnorr::sign(&message, &key("signer", index.into()))));
        change
    }

    /// A transaction with a forced transaction.
    pub fn forced(&self, input: u32, transaction: &SignedTransaction) -> bitcoin::Transaction {
        self.envelope(input, Kind::Forced, transaction.encode())
    }

    /// A signed transfer between test users.
    pub fn transfer(&self, from: usize, to: usize, amount: u64, fee: u64, nonce: u64) -> SignedTransaction {
        let (payer, payee) = (account(from), account(to));
        Transaction::Transfer { from: payer, to: payee, amount, fee, nonce }.sign(&self.instance, &key("user", from))
    }

    /// A signed withdrawal of a test user to its own destination.
    pub fn withdraw(&self, from: usize, denomination: u8, fee: u64, nonce: u64) -> SignedTransaction {
        let transaction =
            Transaction::Withdraw { from: account(from), destination: destination(from), denomination, fee, nonce };
        transaction.sign(&self.instance, &key("user", from))
    }
}

/// An output of some transaction outside the tests' blocks.
pub fn outpoint(number: u32) -> OutPoint {
    OutPoint { txid: Txid(trestle_rollup::tagged_hash("test outpoint", &[&number.to_le_bytes()])), vout: number % 7 }
}

/// A transaction of one input and the given outputs, satoshis and script.
pub fn plain(input: OutPoint, outputs: Vec<(u64, ScriptBuf)>) -> bitcoin::Transaction {
    bitcoin::Transaction {
        version: Version(3),
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: input.into(),
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::new(),
        }],
        output: outputs
            .into_iter()
            .map(|(value, script_pubkey)| TxOut { value: Amount::from_sat(value), script_pubkey })
            .collect(),
    }
}

/// A transaction whose input 0 spends a Taproot output by a leaf script.
pub fn revealing(input: OutPoint, script: Vec<u8>) -> bitcoin::Transaction {
    let change = ScriptBuf::from_bytes([&[OP_PUSHNUM_1.to_u8(), 32][..], &[7; 32]].concat());
    let mut transaction = plain(input, vec![(1000, change)]);
    let control = [&[0xc0][..], &x_only(&key("poster", 0))].concat();
    transaction.input[0].witness = Witness::from_slice(&[vec![1; 64], script, control]);
    transaction
}
