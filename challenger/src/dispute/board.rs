//! What both sides of a lane have in common.

use bitcoin::hashes::hash160;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::{Amount, FeeRate, OutPoint};
use trestle_bridge::connector::Kill;
use trestle_bridge::lane::{LaneGraph, LaneGraphError, LaneTx, NodeId};
use trestle_bridge::parameters::Bridge;
use trestle_bridge::transactions::{RunGraph, SlotGraph, contest};
use trestle_rollup::SlotId;
use trestle_taptree_trace::lane::{Lane, LaneId, MessageId};
use trestle_taptree_trace::ots;

use super::{Error, Standing};
use crate::is_deep;
use crate::view::{Mined, View};

/// A lane with everything that is pre-signed for it.
pub struct Board {
    /// The lane's keys and constants.
    pub lane: Lane,
    /// Which lane it is.
    pub id: LaneId,
    /// The lane's transactions.
    pub graph: LaneGraph,
    /// The transactions of its slot.
    pub slot: SlotGraph,
    /// The committee's, in the order of [`LaneGraph::requests`].
    signatures: Vec<Signature>,
    /// The challenger's bond of the run.
    pub(super) bond: OutPoint,
    contest_hash: hash160::Hash,
    /// h0.
    pub(super) checkpoint: u32,
    /// K.
    pub(super) confirmations: u16,
    /// T_turn.
    pub(super) turn: u32,
    pub(super) delta1: u32,
    pub(super) delta2: u32,
    pub(super) fee_rate: FeeRate,
}

/// A claim that is mined.
pub(super) struct Claim {
    pub height: u32,
    pub signature: ots::Signature,
    /// N.
    pub n: u32,
}

impl Board {
    /// The lane of a challenger, given by its index, in a slot of a run. `signatures` are the committee's; each is verified when it is used.
    ///
    /// # Errors
    /// If there is no such lane, it is not made of these keys and constants, or there are not as many signatures as it needs.
    pub fn new(
        bridge: &Bridge,
        run: &RunGraph,
        slot: SlotId,
        challenger: usize,
        lane: Lane,
        signatures: Vec<Signature>,
    ) -> Result<Self, Error> {
        let no_lane = || Error::NoLane { slot, challenger };
        let index = u16::try_from(challenger).map_err(|_| no_lane())?;
        let part = run.terms.challengers.get(challenger).ok_or_else(no_lane)?;
        let own = run.slot(slot).ok_or_else(no_lane)?.clone();
        let place = (slot.serial - run.terms.first_serial) as usize;
        let contest_hash = *part.contest_hashes.get(place).ok_or_else(no_lane)?;
        let graph = LaneGraph::build(bridge, &own, challenger, part.bond, &lane)?;
        let (expected, got) = (graph.signature_count(), signatures.len());
        if expected != got {
            return Err(Error::Signatures { expected, got });
        }
        let p = &bridge.parameters;
        Ok(Self {
            lane,
            id: LaneId { instance: bridge.instance, slot: slot.to_bytes(), challenger: index },
            graph,
            slot: own,
            signatures,
            bond: part.bond,
            contest_hash,
            checkpoint: run.terms.checkpoint.height,
            confirmations: p.confirmations,
            turn: p.turn.value().into(),
            delta1: p.delta1.value().into(),
            delta2: p.delta2.value().into(),
            fee_rate: p.presigned_fee_rate,
        })
    }

    /// The committee's signatures of a transaction.
    pub(super) fn part(&self, what: LaneTx) -> Result<&[Signature], Error> {
        Ok(self.graph.part(what, &self.signatures).ok_or(LaneGraphError::NoSuch(what))?)
    }

    /// The claim, if it is mined.
    pub(super) fn claim(&self, view: &dyn View) -> Result<Option<Claim>, Error> {
        let Some(input) = self.slot.claim.tx.input.first() else { return Ok(None) };
        let Some(mined) = view.spender(&input.previous_output)? else { return Ok(None) };
        let Some(key) = self.lane.keys.message(MessageId::Claim) else { return Ok(None) };
        if mined.tx.compute_txid() != self.slot.claim.txid() {
            return Ok(None);
        }
        let items: Vec<&[u8]> = mined.tx.input.first().map(|input| input.witness.iter().collect()).unwrap_or_default();
        let [_committee, signed @ .., _script, _control_block] = items.as_slice() else { return Ok(None) };
        let signature = ots::Signature::from_witness(&ots::CLAIM, key, signed)?;
        let message = signature.message(&ots::CLAIM).ok_or(ots::OtsError::NotSigned)?;
        let n = message.field(0).iter().fold(0, |n, byte| n << 8 | u32::from(*byte));
        Ok(Some(Claim { height: mined.height, signature, n }))
    }

    /// Contest, if it is mined.
    pub(super) fn contest(&self, view: &dyn View) -> Result<Option<Mined>, Error> {
        let mined = view.spender(&self.slot.claim.outpoint(0))?;
        Ok(mined.filter(|mined| mined.tx.compute_txid() == self.slot.contest.txid()))
    }

    /// The secret by which this challenger contested; `None` if another did.
    pub(super) fn secret(&self, contest: &Mined) -> Option<Vec<u8>> {
        let witness = &contest.tx.input.first()?.witness;
        Kill::read_contest(&[self.contest_hash], witness).map(|(_, secret)| secret)
    }

    /// The height at which K′ was spent: by a Finalize, or by the Slash of some lane.
    pub(super) fn stake_gone(&self, view: &dyn View) -> Result<Option<u32>, Error> {
        Ok(view.spender(&self.slot.contest.outpoint(contest::BOND))?.map(|mined| mined.height))
    }

    /// What a side loses that lets a turn at this output pass: what the lane has, and the stake of the claim.
    pub(super) fn at_stake(&self, node: NodeId) -> Amount {
        let bond = self.slot.contest.tx.output.get(contest::BOND as usize).map_or(Amount::ZERO, |bond| bond.value);
        self.graph.node(node).output.value + bond / 2
    }

    /// Whether nothing can come of the lane any more: it is over, or cannot be entered without the bond, and that is settled.
    pub(super) fn is_settled(&self, view: &dyn View) -> Result<bool, Error> {
        let deep = |since| is_deep(since, self.confirmations, view.height());
        let gone = || Ok::<_, Error>(view.spender(&self.bond)?.is_some_and(|mined| deep(mined.height)));
        match Standing::of(self, view)? {
            Standing::Over { since, .. } => Ok(deep(since)),
            Standing::Ahead => Ok(true),
            // Who did not contest has no bond to lose.
            Standing::Unentered { since } => {
                let contested = self.contest(view)?.is_some_and(|contest| self.secret(&contest).is_some());
                Ok(deep(since) && (!contested || gone()?))
            }
            Standing::Open { .. } => gone(),
            Standing::At { .. } | Standing::Disproved { .. } => Ok(false),
        }
    }

    /// Whether the challenger's bond is there to be spent.
    pub(super) fn has_bond(&self, view: &dyn View) -> Result<bool, Error> {
        Ok(view.confirmed(&self.bond.txid)?.is_some() && view.spender(&self.bond)?.is_none())
    }
}
