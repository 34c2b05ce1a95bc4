//! Completing the transactions of a lane.

use bitcoin::key::Keypair;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::sighash::TapSighashType;
use bitcoin::{FeeRate, ScriptBuf, Transaction, taproot};
use trestle_taptree_trace::lane::{Lane, Transcript};
use trestle_taptree_trace::leaf;
use trestle_taptree_trace::turn::{Carried, Player};

use super::leaf::items;
use super::transactions::{LOST, output};
use super::{LaneGraph, LaneGraphError, LaneTx, NodeId};
use crate::connector::{Lost, sign_leaf};
use crate::transactions::draft::AT_ONCE;
use crate::transactions::{OwnSpend, Presigned, Reveal};

/// Which disproof a challenger shows: what [`trestle_taptree_trace::leaf::Found`] says.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Which of the tree's leaves.
    pub index: usize,
    /// Its unsigned items.
    pub hints: Vec<Vec<u8>>,
}

/// In all of these `signatures` are the transaction's own, those that its [`Presigned::requests`] ask for; every one that is used is
/// verified. Of all the lane's they are its [`LaneGraph::part`].
impl LaneGraph {
    /// NoShow. `secret` is what Contest has revealed of this challenger.
    ///
    /// # Errors
    /// If a signature is missing or wrong.
    pub fn no_show(&self, signatures: &[Signature], secret: &[u8]) -> Result<Transaction, LaneGraphError> {
        let presigned = self.presigned_as(LaneTx::NoShow)?;
        let reveal = Reveal::Leaf(0, &self.no_show_leaf, [&[secret.to_vec()], &[]]);
        Ok(presigned.complete(signatures, reveal)?)
    }

    /// Challenge, signed by the challenger.
    ///
    /// # Errors
    /// If a signature is missing or wrong, or the key is another's.
    pub fn challenge(&self, signatures: &[Signature], challenger: &Keypair) -> Result<Transaction, LaneGraphError> {
        let presigned = self.presigned_as(LaneTx::Challenge)?;
        let message = presigned.leaf_message(0, self.challenge_leaf.hash());
        let party = self.sign(LaneTx::Challenge, challenger, message)?;
        let reveal = Reveal::Leaf(0, &self.challenge_leaf, [&[], &[party.serialize().to_vec()]]);
        Ok(presigned.complete(signatures, reveal)?)
    }

    /// The step that makes the output `to`, with what is signed in `transcript`. If it is the challenger's, it signs; of a step that can
    /// carry one move or another it is the first that is signed.
    ///
    /// # Errors
    /// If something is not signed, or not by who should have.
    pub fn step(
        &self,
        lane: &Lane,
        signatures: &[Signature],
        to: NodeId,
        transcript: &Transcript,
        challenger: Option<&Keypair>,
    ) -> Result<Transaction, LaneGraphError> {
        let what = LaneTx::Step(to);
        let presigned = self.presigned_as(what)?;
        let from = self.previous(to).ok_or(LaneGraphError::NoSuch(what))?;
        let output = self.output(from);
        let turn = self.node(to).turn;
        let step = output.steps.iter().find(|step| step.to == turn).ok_or(LaneGraphError::NoSuch(what))?;
        let mut refused = LaneGraphError::NoSuch(what);
        for (index, (carried, hash)) in step.leaves.iter().enumerate() {
            let party = match carried {
                Carried::Move(_) => None,
                Carried::Choices(_) => {
                    let key = challenger.ok_or(LaneGraphError::Challenger(what))?;
                    Some(self.sign(what, key, presigned.leaf_message(0, *hash))?)
                }
            };
            match items(carried, transcript, party.as_ref()) {
                Ok(items) => {
                    let leaf = output.step(carried, lane)?;
                    return Ok(presigned.complete(signatures, Reveal::Leaf(index, &leaf, [&[], &items]))?);
                }
                Err(why) => refused = why,
            }
        }
        Err(refused)
    }

    /// Disproved, on an output with a tree, by a leaf that what is signed in `transcript` satisfies. The committee has no part in it.
    ///
    /// # Errors
    /// If there is no such leaf, something that it reads is not signed, or the key is another's.
    pub fn disproved(
        &self,
        lane: &Lane,
        on: NodeId,
        shown: Shown,
        transcript: &Transcript,
        challenger: &Keypair,
    ) -> Result<Transaction, LaneGraphError> {
        let what = LaneTx::Disproved(on);
        let presigned = self.presigned_as(what)?;
        let (disproof, leaf) = self.output(on).disproof(shown.index, lane)?;
        let signature = self.sign(what, challenger, presigned.leaf_message(0, leaf.hash()))?;
        let signature = taproot::Signature { signature, sighash_type: TapSighashType::Default };
        let items = leaf::witness(disproof, shown.hints, transcript, &signature)?;
        let mut tx = presigned.tx.clone();
        tx.input[0].witness = leaf.witness(&items);
        Ok(tx)
    }

    /// Slash or OperatorWins, which need nothing but the committee's signatures and, after a turn that has passed, time.
    ///
    /// # Errors
    /// If a signature is missing or wrong.
    pub fn end(&self, signatures: &[Signature], what: LaneTx) -> Result<Transaction, LaneGraphError> {
        let presigned = self.presigned_as(what)?;
        Ok(presigned.complete(signatures, Reveal::Nothing)?)
    }

    /// WinOnly: the challenger takes what Disproved has made of the lane or, T_turn after an output at which it was the operator's turn,
    /// that output. It is the challenger's alone to sign.
    ///
    /// # Errors
    /// If nothing of the kind is at the output, or the fee leaves dust.
    pub fn win_only(&self, at: NodeId, destination: ScriptBuf, fee_rate: FeeRate) -> Result<OwnSpend, LaneGraphError> {
        let node = self.node(at);
        let name = format!("WinOnly {}, lane {}: {:?}", self.slot, self.challenger, node.turn);
        let (spent, leaf, sequence) = match node.turn.mover() {
            Player::Operator => {
                let leaf = self.output(at).take(self.challenger_key);
                ((node.outpoint, node.output.clone()), leaf, self.turn)
            }
            Player::Challenger => {
                let what = LaneTx::Disproved(at);
                let disproved = self.presigned_as(what)?;
                let lost = Lost::new(self.committee, self.challenger_key);
                (output(disproved, LOST), Some(lost.take_leaf().clone()), AT_ONCE)
            }
        };
        let leaf = leaf.ok_or(LaneGraphError::NoSuch(LaneTx::Slash(at)))?;
        Ok(OwnSpend::new(&name, spent, (leaf, sequence), destination, fee_rate)?)
    }

    fn presigned_as(&self, what: LaneTx) -> Result<&Presigned, LaneGraphError> {
        self.get(what).ok_or(LaneGraphError::NoSuch(what))
    }

    /// The challenger's signature, if the key is its.
    fn sign(&self, what: LaneTx, key: &Keypair, message: [u8; 32]) -> Result<Signature, LaneGraphError> {
        if key.x_only_public_key().0 != self.challenger_key {
            return Err(LaneGraphError::Challenger(what));
        }
        Ok(sign_leaf(key, message))
    }
}
