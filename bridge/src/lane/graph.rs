//! All transactions of a lane, made by one recursion over the steps of its turns.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::{OutPoint, Sequence, TxOut, Txid, XOnlyPublicKey};
use trestle_rollup::SlotId;
use trestle_taptree_trace::lane::{Lane, MessageId};
use trestle_taptree_trace::leaf::LaneTree;
use trestle_taptree_trace::turn::{Player, Turn};

use super::LaneGraphError;
use super::output::LaneOutput;
use super::transactions::{Maker, Output, output};
use crate::connector::{Bond, Leaf};
use crate::parameters::Bridge;
use crate::transactions::{Presigned, SignRequest, SlotGraph, contest};

/// One of a lane's outputs, by its number in the order of the graph. 0 is Challenge's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(super) usize);

impl NodeId {
    /// The output of Challenge, with which the lane begins.
    pub const ENTERED: Self = Self(0);
}

/// One of a lane's transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LaneTx {
    /// Takes the bond of a challenger that contested and entered no lane.
    NoShow,
    /// Enters the lane, and makes [`NodeId::ENTERED`].
    Challenge,
    /// The step that makes this output.
    Step(NodeId),
    /// The disproof on this output, by any of its leaves.
    Disproved(NodeId),
    /// Slash: if it was the operator's turn at this output, T_turn after it; if it was the challenger's, after Disproved.
    Slash(NodeId),
    /// The challenger has let its turn at this output pass.
    OperatorWins(NodeId),
}

/// An output that waits for a turn.
#[derive(Debug, Clone)]
pub struct LaneNode {
    /// The turn.
    pub turn: Turn,
    /// Where it is.
    pub outpoint: OutPoint,
    /// The output.
    pub output: TxOut,
    /// What the steps from here make, in the order of [`Turn::steps`].
    pub next: Vec<NodeId>,
}

/// A transaction of the lane, and which of the lane's signatures are its.
#[derive(Debug)]
struct Made {
    what: LaneTx,
    presigned: Presigned,
    signatures: Range<usize>,
}

/// Everything that is pre-signed for a lane.
///
/// The order, of transactions and of what the committee signs, is: NoShow; Challenge; and then for the output of Challenge, and so for
/// each that follows: what ends the lane there (if it is the operator's turn Slash; if it is the challenger's OperatorWins and, where
/// there are disproofs, Disproved and its Slash), and each step in the order of [`Turn::steps`] with all that follows it.
#[derive(Debug)]
pub struct LaneGraph {
    /// The slot.
    pub slot: SlotId,
    /// The challenger's index.
    pub challenger: usize,
    pub(super) committee: XOnlyPublicKey,
    pub(super) challenger_key: XOnlyPublicKey,
    pub(super) no_show_leaf: Leaf,
    pub(super) challenge_leaf: Leaf,
    /// T_turn.
    pub(super) turn: Sequence,
    outputs: BTreeMap<Turn, LaneOutput>,
    nodes: Vec<LaneNode>,
    made: Vec<Made>,
    places: HashMap<LaneTx, usize>,
    by_outpoint: HashMap<OutPoint, NodeId>,
    by_txid: HashMap<Txid, LaneTx>,
}

impl LaneGraph {
    /// Builds the lane of the challenger with this index in a slot, whose bond of the run is at `bond`. The same arguments always give
    /// the same graph.
    ///
    /// # Errors
    /// If the lane's keys and constants are not those of the slot, the challenger and the parameters, or the bond does not pay for it.
    /// The constants that a run's terms name (the checkpoint, the program, the target) are the caller's to compare.
    pub fn build(
        bridge: &Bridge,
        slot: &SlotGraph,
        challenger: usize,
        bond: OutPoint,
        lane: &Lane,
    ) -> Result<Self, LaneGraphError> {
        let entry = bridge.entries.get(challenger).ok_or(LaneGraphError::NoChallenger(challenger))?;
        let key = bridge.parameters.challengers[challenger];
        check(bridge, slot, key, lane)?;
        let operator = bridge.operator(slot.id.operator).ok_or(LaneGraphError::Other("operator"))?;
        // K's leaves and the no-show connector's are the same.
        let kill_leaves = slot.contest.leaves(0);
        let no_show_leaf = kill_leaves.get(challenger).ok_or(LaneGraphError::NoChallenger(challenger))?.clone();
        let maker = Maker { bridge, slot, challenger, key, operator };
        let mut graph = Self {
            slot: slot.id,
            challenger,
            committee: bridge.committee.key(),
            challenger_key: key,
            challenge_leaf: entry.challenger_leaf().clone(),
            turn: Sequence::from_height(bridge.parameters.turn.value()),
            outputs: outputs(bridge, lane)?,
            nodes: Vec::new(),
            made: Vec::new(),
            places: HashMap::new(),
            by_outpoint: HashMap::new(),
            by_txid: HashMap::new(),
            no_show_leaf,
        };
        let outputs = std::mem::take(&mut graph.outputs);
        graph.add(LaneTx::NoShow, maker.no_show(bond, &graph.no_show_leaf)?);
        let challenge = maker.challenge(bond, entry, &outputs[&Turn::Entered])?;
        let entered = output(&challenge, 0);
        graph.add(LaneTx::Challenge, challenge);
        graph.grow(&maker, &outputs, Turn::Entered, &entered)?;
        graph.outputs = outputs;
        Ok(graph)
    }

    /// Adds an output and all that follows it.
    fn grow(
        &mut self,
        maker: &Maker<'_>,
        outputs: &BTreeMap<Turn, LaneOutput>,
        turn: Turn,
        at: &Output,
    ) -> Result<NodeId, LaneGraphError> {
        let node = NodeId(self.nodes.len());
        let own = &outputs[&turn];
        self.nodes.push(LaneNode { turn, outpoint: at.0, output: at.1.clone(), next: Vec::new() });
        self.by_outpoint.insert(at.0, node);
        let name = format!(": {turn:?}");
        match turn.mover() {
            Player::Operator => self.add(LaneTx::Slash(node), maker.slash_late(&name, at, own)?),
            Player::Challenger => {
                self.add(LaneTx::OperatorWins(node), maker.operator_wins(&name, at, own)?);
                if own.tree().is_some() {
                    let disproved = maker.disproved(&name, at, own)?;
                    let slash = maker.slash_lost(&name, &disproved)?;
                    self.add(LaneTx::Disproved(node), disproved);
                    self.add(LaneTx::Slash(node), slash);
                }
            }
        }
        for step in &own.steps {
            let name = format!("{name} to {:?}", step.to);
            let presigned = maker.step(&name, at, step, &outputs[&step.to])?;
            let next = NodeId(self.nodes.len());
            let made = output(&presigned, 0);
            self.add(LaneTx::Step(next), presigned);
            self.nodes[node.0].next.push(next);
            self.grow(maker, outputs, step.to, &made)?;
        }
        Ok(node)
    }

    fn add(&mut self, what: LaneTx, presigned: Presigned) {
        let first = self.signature_count();
        let signatures = first..first + presigned.request_count();
        self.places.insert(what, self.made.len());
        self.by_txid.insert(presigned.txid(), what);
        self.made.push(Made { what, presigned, signatures });
    }

    /// Every transaction, in the order in which the committee signs. It signs nothing for Disproved.
    pub fn presigned(&self) -> impl Iterator<Item = &Presigned> {
        self.made.iter().map(|made| &made.presigned)
    }

    /// Every transaction with what it is, in the same order.
    pub fn transactions(&self) -> impl Iterator<Item = (LaneTx, &Presigned)> {
        self.made.iter().map(|made| (made.what, &made.presigned))
    }

    /// Every signature that the committee has to make, in order.
    pub fn requests(&self) -> Vec<SignRequest> {
        self.presigned().flat_map(Presigned::requests).collect()
    }

    /// How many signatures [`Self::requests`] asks for.
    pub fn signature_count(&self) -> usize {
        self.made.last().map_or(0, |last| last.signatures.end)
    }

    /// One of the transactions.
    pub fn get(&self, what: LaneTx) -> Option<&Presigned> {
        Some(&self.made[*self.places.get(&what)?].presigned)
    }

    /// Which of the transactions has this id.
    pub fn find(&self, txid: &Txid) -> Option<LaneTx> {
        self.by_txid.get(txid).copied()
    }

    /// Which of the lane's outputs this is.
    pub fn find_output(&self, outpoint: &OutPoint) -> Option<NodeId> {
        self.by_outpoint.get(outpoint).copied()
    }

    /// An output.
    pub fn node(&self, node: NodeId) -> &LaneNode {
        // Ids are the graph's own.
        &self.nodes[node.0]
    }

    /// Every output, in the order of their ids.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &LaneNode)> {
        self.nodes.iter().enumerate().map(|(index, node)| (NodeId(index), node))
    }

    /// The output that the step from `node` to `turn` makes.
    pub fn next(&self, node: NodeId, turn: Turn) -> Option<NodeId> {
        self.node(node).next.iter().copied().find(|next| self.node(*next).turn == turn)
    }

    /// The output that the step which made `node` has spent; `None` of the first.
    pub fn previous(&self, node: NodeId) -> Option<NodeId> {
        let step = self.get(LaneTx::Step(node))?;
        self.find_output(&step.tx.input.first()?.previous_output)
    }

    /// The disproofs that can be made on an output.
    pub fn tree(&self, node: NodeId) -> Option<&LaneTree> {
        self.output(node).tree()
    }

    pub(super) fn output(&self, node: NodeId) -> &LaneOutput {
        &self.outputs[&self.node(node).turn]
    }

    /// What a transaction needs of all the lane's signatures, those that answer [`Self::requests`]. `None` if there is no such
    /// transaction, or there are fewer.
    pub fn part<'s>(&self, what: LaneTx, all: &'s [Signature]) -> Option<&'s [Signature]> {
        all.get(self.made[*self.places.get(&what)?].signatures.clone())
    }
}

/// The lane's own keys and constants have to be those of what it is built for.
fn check(bridge: &Bridge, slot: &SlotGraph, key: XOnlyPublicKey, lane: &Lane) -> Result<(), LaneGraphError> {
    let constants = &lane.constants;
    let confirmations = bridge.parameters.confirmations;
    let bond = &slot.claim.prevouts[0].script_pubkey;
    let claim = lane.keys.message(MessageId::Claim);
    let is_claims = |claim| Bond::new(bridge.committee.key(), claim).script_pubkey() == *bond;
    let checks = [
        ("slot", constants.slot == slot.id.to_bytes()),
        ("challenger", constants.challenger == key),
        ("K", constants.confirmations == confirmations && lane.keys.confirmations() == confirmations),
        ("claim key", claim.is_some_and(is_claims)),
        ("entry", slot.contest.tx.output.len() == bridge.entries.len() + contest::entry(0) as usize + 1),
    ];
    checks.into_iter().try_for_each(|(what, right)| if right { Ok(()) } else { Err(LaneGraphError::Other(what)) })
}

/// The output of every turn that there can be.
fn outputs(bridge: &Bridge, lane: &Lane) -> Result<BTreeMap<Turn, LaneOutput>, LaneGraphError> {
    let sequence = Sequence::from_height(bridge.parameters.turn.value());
    let mut outputs = BTreeMap::new();
    let mut left = vec![Turn::Entered];
    while let Some(turn) = left.pop() {
        if let Entry::Vacant(place) = outputs.entry(turn) {
            let output = place.insert(LaneOutput::new(turn, lane, bridge.committee.key(), sequence)?);
            left.extend(output.steps.iter().map(|step| step.to));
        }
    }
    Ok(outputs)
}
