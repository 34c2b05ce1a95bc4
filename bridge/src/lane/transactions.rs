//! The transactions of a lane, one function each. What they spend and pay is in [`crate::lane`].

use std::fmt;

use bitcoin::key::TweakedPublicKey;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, TxOut, XOnlyPublicKey};

use super::output::{LaneOutput, StepLeaves};
use crate::connector::{Entry, Kill, Leaf, Lost, NUMS, OperatorConnector};
use crate::parameters::Bridge;
use crate::transactions::draft::{AT_ONCE, Draft};
use crate::transactions::{BuildError, Presigned, SlotGraph, TxKind, challenger_bond, contest, finalize};

/// Disproved's output that Slash and WinOnly spend.
pub const LOST: u32 = 0;
/// Disproved's output that a child of the challenger's spends, to pay more.
pub const BUMP: u32 = 1;

/// Where what is burnt goes: a key of which nobody knows the secret, and for which nobody knows scripts. Nodes refuse to *send* coins to
/// an OP_RETURN unless they are told how many, which an Electrum server is not.
///
/// # Panics
/// Never: BIP 341's point is on the curve.
pub fn nobody() -> ScriptBuf {
    let nums = XOnlyPublicKey::from_slice(&NUMS).expect("BIP 341's point is on the curve");
    ScriptBuf::new_p2tr_tweaked(TweakedPublicKey::dangerous_assume_tweaked(nums))
}

/// What all transactions of a lane are made with.
pub(super) struct Maker<'a> {
    pub bridge: &'a Bridge,
    pub slot: &'a SlotGraph,
    pub challenger: usize,
    pub key: XOnlyPublicKey,
    pub operator: OperatorConnector,
}

/// An output that there will be.
pub(super) type Output = (OutPoint, TxOut);

/// Output `vout` of a transaction.
pub(super) fn output(of: &Presigned, vout: u32) -> Output {
    (of.outpoint(vout), of.tx.output[vout as usize].clone())
}

impl Maker<'_> {
    fn draft(&self, kind: TxKind, of: impl fmt::Display) -> Draft {
        Draft::new(kind, format_args!("{}, lane {}{of}", self.slot.id, self.challenger))
    }

    /// The end of every one: an anchor, and all that is left to output 0.
    fn finish(&self, draft: Draft) -> Result<Presigned, BuildError> {
        let rate = self.bridge.parameters.presigned_fee_rate;
        draft.anchor().change(0, rate)?.finish(&self.bridge.committee, rate)
    }

    fn turn(&self) -> Sequence {
        Sequence::from_height(self.bridge.parameters.turn.value())
    }

    /// The challenger's bond.
    fn bond(&self, draft: Draft, bond: OutPoint) -> Draft {
        let entry = &self.bridge.entries[self.challenger];
        draft.committee(bond, challenger_bond::output(self.bridge, entry), AT_ONCE, entry.merkle_root())
    }

    /// NoShow, with the leaf that it spends.
    pub fn no_show(&self, bond: OutPoint, leaf: &Leaf) -> Result<Presigned, BuildError> {
        let connector = output(&self.slot.finalize_unentered, finalize::NO_SHOW);
        // The challenger's secret and the committee's signature.
        let weight = leaf.witness_weight(Kill::CONTEST_ITEMS);
        let draft = self.draft(TxKind::NoShow, "").hashed_leaves(connector.0, connector.1, vec![leaf.hash()], weight);
        self.finish(self.bond(draft, bond).output(self.operator.script_pubkey(), Amount::ZERO))
    }

    /// Challenge, which pays the output of the first turn.
    pub fn challenge(&self, bond: OutPoint, entry: &Entry, first: &LaneOutput) -> Result<Presigned, BuildError> {
        let way_in = output(&self.slot.contest, contest::entry(self.challenger));
        let leaf = entry.challenger_leaf();
        let draft = self.draft(TxKind::Challenge, "").hashed_leaves(
            way_in.0,
            way_in.1,
            vec![leaf.hash()],
            leaf.witness_weight([64, 64]),
        );
        self.finish(self.bond(draft, bond).output(first.script_pubkey.clone(), Amount::ZERO))
    }

    /// A step, which pays the output of the next turn.
    pub fn step(&self, name: &str, from: &Output, step: &StepLeaves, to: &LaneOutput) -> Result<Presigned, BuildError> {
        let leaves = step.leaves.iter().map(|(_, hash)| *hash).collect();
        let draft = self
            .draft(TxKind::Step, name)
            .hashed_leaves(from.0, from.1.clone(), leaves, step.weight)
            .output(to.script_pubkey.clone(), Amount::ZERO);
        self.finish(draft)
    }

    /// Disproved, which the challenger alone signs. Its fee is that of the heaviest leaf.
    pub fn disproved(&self, name: &str, from: &Output, tree: &LaneOutput) -> Result<Presigned, BuildError> {
        let rate = self.bridge.parameters.presigned_fee_rate;
        self.draft(TxKind::Disproved, name)
            .party_leaf(from.0, from.1.clone(), tree.disproof_weight)
            .version(Version::TWO)
            .output(self.lost().script_pubkey(), Amount::ZERO)
            .output(OperatorConnector(self.key).script_pubkey(), self.bridge.parameters.connector)
            .change(LOST as usize, rate)?
            .finish(&self.bridge.committee, rate)
    }

    /// Slash of *lost*.
    pub fn slash_lost(&self, name: &str, disproved: &Presigned) -> Result<Presigned, BuildError> {
        let (outpoint, lost) = output(disproved, LOST);
        let draft = self.draft(TxKind::Slash, name);
        self.slash(draft.committee(outpoint, lost, AT_ONCE, self.lost().merkle_root()))
    }

    /// Slash of an output whose turn the operator has let pass.
    pub fn slash_late(&self, name: &str, from: &Output, of: &LaneOutput) -> Result<Presigned, BuildError> {
        let draft = self.draft(TxKind::Slash, name);
        self.slash(draft.committee(from.0, from.1.clone(), self.turn(), Some(of.merkle_root())))
    }

    fn slash(&self, draft: Draft) -> Result<Presigned, BuildError> {
        let (outpoint, bond) = output(&self.slot.contest, contest::BOND);
        let burnt = bond.value / 2;
        let draft = draft
            .committee(outpoint, bond, AT_ONCE, None)
            .output(OperatorConnector(self.key).script_pubkey(), Amount::ZERO)
            .output(nobody(), burnt);
        self.finish(draft)
    }

    /// OperatorWins of an output whose turn the challenger has let pass.
    pub fn operator_wins(&self, name: &str, from: &Output, of: &LaneOutput) -> Result<Presigned, BuildError> {
        let draft = self
            .draft(TxKind::OperatorWins, name)
            .committee(from.0, from.1.clone(), self.turn(), Some(of.merkle_root()))
            .output(self.operator.script_pubkey(), Amount::ZERO);
        self.finish(draft)
    }

    fn lost(&self) -> Lost {
        Lost::new(self.bridge.committee.key(), self.key)
    }
}
