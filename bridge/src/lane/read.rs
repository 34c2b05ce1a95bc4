//! Reading a mined transaction of a lane back: what it is, and what was signed in it.

use bitcoin::taproot::{LeafVersion, TAPROOT_ANNEX_PREFIX};
use bitcoin::{Script, TapLeafHash, Transaction, Witness};
use trestle_taptree_trace::lane::{ChoiceId, Lane, MessageId, MoveError, SignedChoice};
use trestle_taptree_trace::ots::Signature;

use super::leaf::read;
use super::output::Purpose;
use super::{LaneGraph, LaneTx, NodeId};

/// What both sides have signed in a step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// The operator's messages.
    pub messages: Vec<(MessageId, Signature)>,
    /// The challenger's choices: its own, or those that an opening repeats.
    pub choices: Vec<(ChoiceId, SignedChoice)>,
}

/// A transaction that spends an output of a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneRead {
    /// The output.
    pub spent: NodeId,
    /// How.
    pub how: LaneSpend,
}

/// How an output of a lane is spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LaneSpend {
    /// By a step, which makes the output `to`.
    Step {
        /// The output that it makes.
        to: NodeId,
        /// What was signed in it. An error is what no script of a lane accepts.
        said: Result<Said, MoveError>,
    },
    /// By a disproof: the leaf of the output's tree. If the transaction is not [`LaneTx::Disproved`], the challenger has forgone Slash.
    Disproof {
        /// Which leaf.
        leaf: usize,
        /// Whether Slash can follow.
        slashable: bool,
    },
    /// By Slash or OperatorWins: a turn was let pass.
    Late(LaneTx),
    /// By WinOnly: the operator has let its turn pass, and the challenger has taken its own.
    Taken,
    /// By something that nobody has signed, which no valid transaction does.
    Unknown,
}

impl LaneGraph {
    /// Reads a transaction that spends one of the lane's outputs; `None` if it spends none.
    ///
    /// Which it is follows from its id and from the leaf that it shows; what it has signed, from its witness, which may be anything.
    pub fn read(&self, lane: &Lane, tx: &Transaction) -> Option<LaneRead> {
        let mut inputs = tx.input.iter();
        let (spent, witness) =
            inputs.find_map(|input| Some((self.find_output(&input.previous_output)?, &input.witness)))?;
        let made = self.find(&tx.compute_txid());
        let how = match self.leaf_shown(spent, witness) {
            Some((Purpose::Step, leaf, items)) => match made {
                Some(LaneTx::Step(to)) => match self.output(spent).carried(self.node(to).turn, leaf) {
                    Some(carried) => LaneSpend::Step { to, said: read(carried, &lane.keys, &items) },
                    None => LaneSpend::Unknown,
                },
                _ => LaneSpend::Unknown,
            },
            Some((Purpose::Disproof(leaf), ..)) => {
                LaneSpend::Disproof { leaf, slashable: made == Some(LaneTx::Disproved(spent)) }
            }
            Some((Purpose::Take, ..)) => LaneSpend::Taken,
            None => match made {
                Some(late @ (LaneTx::Slash(_) | LaneTx::OperatorWins(_))) => LaneSpend::Late(late),
                _ => LaneSpend::Unknown,
            },
        };
        Some(LaneRead { spent, how })
    }

    /// What the leaf that a witness shows is for, its hash, and the items that satisfy it. `None` of a key-path spend.
    fn leaf_shown<'w>(&self, spent: NodeId, witness: &'w Witness) -> Option<(Purpose, TapLeafHash, Vec<&'w [u8]>)> {
        let mut items: Vec<&[u8]> = witness.iter().collect();
        if items.len() > 1 && items.last()?.first() == Some(&TAPROOT_ANNEX_PREFIX) {
            items.pop();
        }
        let control_block = items.pop()?;
        let script = Script::from_bytes(items.pop()?);
        let version = LeafVersion::from_consensus(control_block.first()? & 0xfe).ok()?;
        let hash = TapLeafHash::from_script(script, version);
        Some((self.output(spent).purpose(hash)?, hash, items))
    }
}
