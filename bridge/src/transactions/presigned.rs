//! A transaction that the committee signs before it is needed, and what it takes to complete it.

use std::fmt;

use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::secp256k1::{Message, Secp256k1, XOnlyPublicKey};
use bitcoin::sighash::{Prevouts, SighashCache, TapSighashType};
use bitcoin::transaction::Version;
use bitcoin::{Amount, FeeRate, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Weight, Witness};
use trestle_taptree_trace::ots;

use crate::connector::{Bond, Committee, KEY_PATH_WEIGHT, Kill, Leaf, Tweak, anchor, key_path_witness};

/// What a pre-signed transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TxKind {
    /// Makes a deposit a vault.
    Confirm,
    /// Claims that a slot is fulfilled.
    Claim,
    /// Objects to a claim.
    Contest,
    /// Ends a claim that nobody contested.
    FinalizeFast,
    /// Ends a contested claim of which no lane was entered.
    FinalizeUnentered,
    /// Ends a contested claim that nobody disproved.
    FinalizeSlow,
    /// Returns the bond of a run that is over.
    Retire,
    /// Returns a challenger's bond of a run that is over.
    RetireChallenger,
    /// Pays an operator back from a vault.
    Reimburse,
    /// Pays a withdrawal from a vault.
    Cooperative,
}

/// One signature that is asked of the committee.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SignRequest {
    /// What is signed, for people: `Claim 0/1/3`.
    pub what: String,
    /// The 32 bytes that BIP 340 signs.
    pub message: [u8; 32],
    /// The key that signs.
    pub tweak: Tweak,
}

/// A transaction without witnesses, and what its witnesses need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presigned {
    /// What it is.
    pub kind: TxKind,
    /// What it is and of what: `Claim 0/1/3`.
    pub name: String,
    /// The transaction, with empty witnesses. Its id is final.
    pub tx: Transaction,
    /// The outputs that it spends, in the order of its inputs.
    pub prevouts: Vec<TxOut>,
    committee: XOnlyPublicKey,
    spends: Vec<Spend>,
}

/// How an input is satisfied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Spend {
    /// By the committee, on the key path.
    Committee(Option<bitcoin::TapNodeHash>),
    /// By the committee and one of these leaves.
    Leaves(Vec<Leaf>),
    /// By one party, on the key path, when the transaction is published.
    Party,
}

/// What completes a transaction besides the committee's signatures.
#[derive(Debug, Clone, Copy)]
pub enum Reveal<'a> {
    /// Nothing.
    Nothing,
    /// Claim: the operator's one-time signature.
    Claim(&'a ots::Signature),
    /// Contest: a challenger's index and its secret for this slot.
    Contest(usize, &'a [u8; 32]),
    /// Reimburse: the operator's signature of [`Presigned::party_message`].
    Party(&'a Signature),
}

/// A transaction cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The inputs do not cover the outputs, the fee and a change that is not dust.
    #[error("{name}: the inputs carry {inputs}, it needs {needed}")]
    TooSmall {
        /// The transaction.
        name: String,
        /// What the inputs carry.
        inputs: Amount,
        /// What they would have to.
        needed: Amount,
    },
    /// The parameters have no such denomination.
    #[error("{name}: there is no denomination {index}")]
    Denomination {
        /// The transaction.
        name: String,
        /// The index asked for.
        index: u8,
    },
    /// The parameters have no such operator.
    #[error("{name}: there is no operator {index}")]
    Operator {
        /// The transaction.
        name: String,
        /// The index asked for.
        index: u8,
    },
    /// The parameters have no such signer.
    #[error("{name}: there is no signer {index}")]
    Signer {
        /// The transaction.
        name: String,
        /// The index asked for.
        index: usize,
    },
    /// A slot is used for what it is not for.
    #[error("{name}: the slot's denomination is {slot}, the vault's {vault}")]
    Fungibility {
        /// The transaction.
        name: String,
        /// The slot's denomination.
        slot: u8,
        /// The vault's denomination.
        vault: u8,
    },
    /// Nodes would not relay an output.
    #[error("{name}: {value} to {script} is dust, it has to be at least {least}")]
    Dust {
        /// The transaction.
        name: String,
        /// The output's value.
        value: Amount,
        /// The output's script.
        script: ScriptBuf,
        /// The least that is relayed.
        least: Amount,
    },
}

/// A transaction cannot be completed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompleteError {
    /// There are not as many signatures as [`Presigned::requests`].
    #[error("{name}: {got} committee signatures, not {expected}")]
    Count {
        /// The transaction.
        name: String,
        /// Signatures needed.
        expected: usize,
        /// Signatures given.
        got: usize,
    },
    /// A signature does not verify.
    #[error("{name}: the signature for input {input} is wrong")]
    Signature {
        /// The transaction.
        name: String,
        /// The input that it is for.
        input: usize,
    },
    /// The reveal is not the one that this kind of transaction needs.
    #[error("{name}: input {input} needs another reveal")]
    Reveal {
        /// The transaction.
        name: String,
        /// The input that needs it.
        input: usize,
    },
}

impl Presigned {
    /// The transaction's id.
    pub fn txid(&self) -> Txid {
        self.tx.compute_txid()
    }

    /// The output at `vout`, as a later transaction spends it.
    pub fn outpoint(&self, vout: u32) -> OutPoint {
        OutPoint::new(self.txid(), vout)
    }

    /// The fee that it pays by itself.
    pub fn fee(&self) -> Amount {
        let paid: Amount = self.tx.output.iter().map(|output| output.value).sum();
        self.prevouts.iter().map(|output| output.value).sum::<Amount>() - paid
    }

    /// Its anchor, if it has one: the last output.
    pub fn anchor(&self) -> Option<OutPoint> {
        let last = self.tx.output.len() - 1;
        (self.tx.output[last] == anchor::output()).then(|| self.outpoint(last as u32))
    }

    /// The signatures that the committee has to make, in order: by input, then by leaf.
    pub fn requests(&self) -> Vec<SignRequest> {
        let mut requests = Vec::new();
        let mut cache = SighashCache::new(&self.tx);
        for (input, spend) in self.spends.iter().enumerate() {
            match spend {
                Spend::Committee(root) => {
                    let message = key_path_message(&mut cache, input, &self.prevouts);
                    let what = if self.spends.len() == 1 {
                        self.name.clone()
                    } else {
                        format!("{}, input {input}", self.name)
                    };
                    requests.push(SignRequest { what, message, tweak: Tweak::KeyPath(*root) });
                }
                Spend::Leaves(leaves) => requests.extend(leaves.iter().enumerate().map(|(index, leaf)| {
                    let what =
                        if leaves.len() == 1 { self.name.clone() } else { format!("{}, leaf {index}", self.name) };
                    SignRequest {
                        what,
                        message: leaf_message(&mut cache, input, &self.prevouts, leaf),
                        tweak: Tweak::None,
                    }
                })),
                Spend::Party => {}
            }
        }
        requests
    }

    /// How many signatures [`Self::requests`] asks for.
    pub fn request_count(&self) -> usize {
        self.spends.iter().map(Spend::request_count).sum()
    }

    /// What the party that owns an input signs when it publishes the transaction (Reimburse's F).
    pub fn party_message(&self) -> Option<[u8; 32]> {
        let input = self.spends.iter().position(|spend| *spend == Spend::Party)?;
        Some(key_path_message(&mut SighashCache::new(&self.tx), input, &self.prevouts))
    }

    /// The transaction with its witnesses. `signatures` answer [`Self::requests`], in order; every one that is used is verified.
    ///
    /// # Errors
    /// If a signature is missing or wrong, or `reveal` is not what the transaction needs.
    pub fn complete(&self, signatures: &[Signature], reveal: Reveal) -> Result<Transaction, CompleteError> {
        if signatures.len() != self.request_count() {
            let (expected, got) = (self.request_count(), signatures.len());
            return Err(CompleteError::Count { name: self.name.clone(), expected, got });
        }
        let mut tx = self.tx.clone();
        let mut rest = signatures;
        for (input, spend) in self.spends.iter().enumerate() {
            let (own, later) = rest.split_at(spend.request_count());
            rest = later;
            tx.input[input].witness = self.witness(input, spend, own, reveal)?;
        }
        Ok(tx)
    }

    fn witness(
        &self,
        input: usize,
        spend: &Spend,
        own: &[Signature],
        reveal: Reveal,
    ) -> Result<Witness, CompleteError> {
        let mut cache = SighashCache::new(&self.tx);
        let verify = |key: &XOnlyPublicKey, message, signature: &Signature| {
            let verified =
                Secp256k1::verification_only().verify_schnorr(signature, &Message::from_digest(message), key);
            verified.map_err(|_| CompleteError::Signature { name: self.name.clone(), input })
        };
        match (spend, reveal) {
            (Spend::Committee(_), _) => {
                let message = key_path_message(&mut cache, input, &self.prevouts);
                verify(&self.output_key(input)?, message, &own[0])?;
                Ok(key_path_witness(&own[0]))
            }
            (Spend::Party, Reveal::Party(signature)) => {
                let message = key_path_message(&mut cache, input, &self.prevouts);
                verify(&self.output_key(input)?, message, signature)?;
                Ok(key_path_witness(signature))
            }
            (Spend::Leaves(leaves), _) => {
                let (index, items): (usize, _) = match (self.kind, reveal) {
                    (TxKind::Claim, Reveal::Claim(claim)) => (0, Bond::claim_items(&own[0], claim)),
                    (TxKind::Contest, Reveal::Contest(j, secret)) if j < leaves.len() => {
                        (j, Kill::contest_items(&own[j], secret))
                    }
                    (TxKind::Confirm, Reveal::Nothing) => (0, vec![own[0].serialize().to_vec()]),
                    _ => return Err(CompleteError::Reveal { name: self.name.clone(), input }),
                };
                let message = leaf_message(&mut cache, input, &self.prevouts, &leaves[index]);
                verify(&self.committee, message, &own[index])?;
                Ok(leaves[index].witness(&items))
            }
            _ => Err(CompleteError::Reveal { name: self.name.clone(), input }),
        }
    }

    /// The key of the P2TR output that `input` spends.
    fn output_key(&self, input: usize) -> Result<XOnlyPublicKey, CompleteError> {
        let program = self.prevouts[input].script_pubkey.as_bytes().get(2..).unwrap_or_default();
        XOnlyPublicKey::from_slice(program).map_err(|_| CompleteError::Signature { name: self.name.clone(), input })
    }
}

/// Deals a row of signatures out to the transactions whose requests, one after the other, they answer. `None` if there are not
/// exactly as many.
pub fn deal<'p, 's>(
    presigned: impl IntoIterator<Item = &'p Presigned>,
    signatures: &'s [Signature],
) -> Option<Vec<(&'p Presigned, &'s [Signature])>> {
    let mut rest = signatures;
    let mut dealt = Vec::new();
    for one in presigned {
        let (own, later) = rest.split_at_checked(one.request_count())?;
        rest = later;
        dealt.push((one, own));
    }
    rest.is_empty().then_some(dealt)
}

impl Spend {
    fn request_count(&self) -> usize {
        match self {
            Spend::Committee(_) => 1,
            Spend::Leaves(leaves) => leaves.len(),
            Spend::Party => 0,
        }
    }
}

pub(super) fn key_path_message(cache: &mut SighashCache<&Transaction>, input: usize, prevouts: &[TxOut]) -> [u8; 32] {
    cache
        .taproot_key_spend_signature_hash(input, &Prevouts::All(prevouts), TapSighashType::Default)
        .expect("there is a prevout for every input")
        .to_byte_array()
}

pub(super) fn leaf_message(
    cache: &mut SighashCache<&Transaction>,
    input: usize,
    prevouts: &[TxOut],
    leaf: &Leaf,
) -> [u8; 32] {
    cache
        .taproot_script_spend_signature_hash(input, &Prevouts::All(prevouts), leaf.hash(), TapSighashType::Default)
        .expect("there is a prevout for every input")
        .to_byte_array()
}

/// A transaction in the making: inputs, outputs, and which output takes what is left after the fee.
pub(super) struct Draft {
    kind: TxKind,
    name: String,
    tx: Transaction,
    prevouts: Vec<TxOut>,
    spends: Vec<Spend>,
    /// Weights of the longest witnesses.
    witness_weights: Vec<usize>,
}

/// The sequence number of an input that waits for nothing.
pub(super) const AT_ONCE: Sequence = Sequence::ENABLE_RBF_NO_LOCKTIME;

impl Draft {
    pub fn new(kind: TxKind, of: impl fmt::Display) -> Self {
        let tx = Transaction { version: Version(3), lock_time: LockTime::ZERO, input: Vec::new(), output: Vec::new() };
        let name = format!("{kind} {of}");
        Draft { kind, name, tx, prevouts: Vec::new(), spends: Vec::new(), witness_weights: Vec::new() }
    }

    fn input(
        mut self,
        outpoint: OutPoint,
        prevout: TxOut,
        sequence: Sequence,
        spend: Spend,
        witness_weight: usize,
    ) -> Self {
        self.tx.input.push(TxIn {
            previous_output: outpoint,
            script_sig: ScriptBuf::new(),
            sequence,
            witness: Witness::new(),
        });
        self.prevouts.push(prevout);
        self.spends.push(spend);
        self.witness_weights.push(witness_weight);
        self
    }

    /// An input that the committee signs on the key path.
    pub fn committee(
        self,
        outpoint: OutPoint,
        prevout: TxOut,
        sequence: Sequence,
        root: Option<bitcoin::TapNodeHash>,
    ) -> Self {
        self.input(outpoint, prevout, sequence, Spend::Committee(root), KEY_PATH_WEIGHT)
    }

    /// An input that a party signs on the key path when it publishes.
    pub fn party(self, outpoint: OutPoint, prevout: TxOut) -> Self {
        self.input(outpoint, prevout, AT_ONCE, Spend::Party, KEY_PATH_WEIGHT)
    }

    /// An input that the committee signs for each of `leaves`; the items of the longest witness have these lengths.
    pub fn leaves(self, outpoint: OutPoint, prevout: TxOut, leaves: Vec<Leaf>, longest: &[usize]) -> Self {
        let weight = leaves.iter().map(|leaf| leaf.witness_weight(longest.iter().copied())).max().unwrap_or(0);
        self.input(outpoint, prevout, AT_ONCE, Spend::Leaves(leaves), weight)
    }

    pub fn output(mut self, script_pubkey: ScriptBuf, value: Amount) -> Self {
        self.tx.output.push(TxOut { value, script_pubkey });
        self
    }

    pub fn anchor(mut self) -> Self {
        self.tx.output.push(anchor::output());
        self
    }

    pub fn lock_time(mut self, height: bitcoin::absolute::Height) -> Self {
        self.tx.lock_time = LockTime::from(height);
        self
    }

    /// Weight of the transaction with its longest witnesses.
    pub fn weight(&self) -> Weight {
        // Marker and flag; an empty witness is counted by the witness's own weight.
        self.tx.weight() + Weight::from_wu(2 + self.witness_weights.iter().sum::<usize>() as u64)
    }

    /// The fee that the whole transaction pays at `rate`.
    pub fn fee(&self, rate: FeeRate) -> Amount {
        rate.fee_wu(self.weight()).expect("a fee rate within bounds does not overflow")
    }

    /// Gives output `change` what the inputs leave after the other outputs and the fee at `rate`.
    pub fn change(mut self, change: usize, rate: FeeRate) -> Result<Self, BuildError> {
        let fee = self.fee(rate);
        self.tx.output[change].value = Amount::ZERO;
        let inputs = self.inputs();
        let others: Amount = self.tx.output.iter().map(|output| output.value).sum();
        let least = self.tx.output[change].script_pubkey.minimal_non_dust();
        let needed = others + fee + least;
        if inputs < needed {
            return Err(BuildError::TooSmall { name: self.name, inputs, needed });
        }
        self.tx.output[change].value = inputs - others - fee;
        Ok(self)
    }

    /// The finished transaction; it is checked that it pays at least `rate`.
    pub fn finish(self, committee: &Committee, rate: FeeRate) -> Result<Presigned, BuildError> {
        let paid: Amount = self.tx.output.iter().map(|output| output.value).sum();
        let (inputs, needed) = (self.inputs(), paid + self.fee(rate));
        if inputs < needed {
            return Err(BuildError::TooSmall { name: self.name, inputs, needed });
        }
        let Draft { kind, name, tx, prevouts, spends, .. } = self;
        Ok(Presigned { kind, name, tx, prevouts, committee: committee.key(), spends })
    }

    fn inputs(&self) -> Amount {
        self.prevouts.iter().map(|output| output.value).sum()
    }
}

impl fmt::Display for TxKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TxKind::Confirm => "Confirm",
            TxKind::Claim => "Claim",
            TxKind::Contest => "Contest",
            TxKind::FinalizeFast => "FinalizeFast",
            TxKind::FinalizeUnentered => "FinalizeUnentered",
            TxKind::FinalizeSlow => "FinalizeSlow",
            TxKind::Retire => "Retire",
            TxKind::RetireChallenger => "RetireChallenger",
            TxKind::Reimburse => "Reimburse",
            TxKind::Cooperative => "Cooperative",
        })
    }
}
