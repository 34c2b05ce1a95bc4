//! A transaction that the committee signs before it is needed, and what it takes to complete it.

use std::fmt;

use bitcoin::hashes::Hash;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::secp256k1::{Message, Secp256k1, XOnlyPublicKey};
use bitcoin::sighash::{Prevouts, SighashCache, TapSighashType};
use bitcoin::{Amount, OutPoint, TapLeafHash, TapNodeHash, Transaction, TxOut, Txid, Witness};
use trestle_taptree_trace::ots;

use super::CompleteError;
use crate::connector::{Bond, Kill, Leaf, Tweak, anchor, key_path_witness};

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
    /// Takes the bond of a challenger that contested and entered no lane.
    NoShow,
    /// Enters a lane.
    Challenge,
    /// Ends a turn of a lane.
    Step,
    /// Ends a lane by a disproof.
    Disproved,
    /// Pays a challenger whose lane is won, and burns half of the operator's bond.
    Slash,
    /// Pays an operator whose lane is won.
    OperatorWins,
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
    pub(super) committee: XOnlyPublicKey,
    pub(super) spends: Vec<Spend>,
}

/// How an input is satisfied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Spend {
    /// By the committee, on the key path.
    Committee(Option<TapNodeHash>),
    /// By the committee and one of these leaves.
    Leaves(Vec<Leaf>),
    /// By the committee and one of the leaves with these hashes, which are made again when they are needed.
    HashedLeaves(Vec<TapLeafHash>),
    /// By one party, on the key path, when the transaction is published.
    Party,
    /// By one party, by a leaf in which the committee has no part.
    PartyLeaf,
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
    /// RetireChallenger, NoShow, Challenge, Step: which of the leaves, the leaf, and the items below and above the committee's signature.
    Leaf(usize, &'a Leaf, [&'a [Vec<u8>]; 2]),
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
                Spend::Leaves(_) | Spend::HashedLeaves(_) => {
                    let leaves = spend.leaf_hashes();
                    let one = leaves.len() == 1;
                    requests.extend(leaves.into_iter().enumerate().map(|(index, leaf)| SignRequest {
                        what: if one { self.name.clone() } else { format!("{}, leaf {index}", self.name) },
                        message: leaf_message(&mut cache, input, &self.prevouts, leaf),
                        tweak: Tweak::None,
                    }));
                }
                Spend::Party | Spend::PartyLeaf => {}
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

    /// The leaves by which an input can be spent, if they are kept.
    pub(crate) fn leaves(&self, input: usize) -> &[Leaf] {
        match self.spends.get(input) {
            Some(Spend::Leaves(leaves)) => leaves,
            _ => &[],
        }
    }

    /// What is signed for a leaf of an input, by the committee or by a party.
    pub(crate) fn leaf_message(&self, input: usize, leaf: TapLeafHash) -> [u8; 32] {
        leaf_message(&mut SighashCache::new(&self.tx), input, &self.prevouts, leaf)
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
                let message = leaf_message(&mut cache, input, &self.prevouts, leaves[index].hash());
                verify(&self.committee, message, &own[index])?;
                Ok(leaves[index].witness(&items))
            }
            (Spend::HashedLeaves(leaves), Reveal::Leaf(index, leaf, [below, above]))
                if leaves.get(index) == Some(&leaf.hash()) =>
            {
                let message = leaf_message(&mut cache, input, &self.prevouts, leaf.hash());
                verify(&self.committee, message, &own[index])?;
                Ok(leaf.witness(&[below, &[own[index].serialize().to_vec()], above].concat()))
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
            _ => self.leaf_hashes().len(),
        }
    }

    /// Of the leaves that the committee signs.
    fn leaf_hashes(&self) -> Vec<TapLeafHash> {
        match self {
            Spend::Leaves(leaves) => leaves.iter().map(Leaf::hash).collect(),
            Spend::HashedLeaves(leaves) => leaves.clone(),
            Spend::Committee(_) | Spend::Party | Spend::PartyLeaf => Vec::new(),
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
    leaf: TapLeafHash,
) -> [u8; 32] {
    cache
        .taproot_script_spend_signature_hash(input, &Prevouts::All(prevouts), leaf, TapSighashType::Default)
        .expect("there is a prevout for every input")
        .to_byte_array()
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
            TxKind::NoShow => "NoShow",
            TxKind::Challenge => "Challenge",
            TxKind::Step => "Step",
            TxKind::Disproved => "Disproved",
            TxKind::Slash => "Slash",
            TxKind::OperatorWins => "OperatorWins",
        })
    }
}
