//! The ends of the trace and of the history, and what stays as it is.

use bitcoin::opcodes::all::*;
use trestle_rollup::Digest;
use trestle_zkvm_adapter::layout::{HALT_ACCEPT, HALT_REJECT};

use super::compare::{difference, digits_of};
use super::{Body, Disproof, Frame, Said, Writer};
use crate::lane::{CUT_DIGITS, End, LaneConstants, MessageId};

/// A lie about a state or an entry that no round signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// The trace does not begin in the program's first state.
    FirstState,
    /// The trace does not end in HALT_ACCEPT, and the disputed step of the history is one of those that the machine
    /// accepts: beyond N + 1 it rejects, and what is signed there is judged by [`Boundary::Repeated`].
    LastState,
    /// The machine had accepted, and is in another state.
    AcceptedMoved,
    /// The machine had rejected, and is in another state.
    RejectedMoved,
    /// The history does not begin at the checkpoint.
    FirstEntry,
    /// The history does not end in HALT_ACCEPT.
    LastEntry,
    /// Beyond the claim entries do not change, and this one does.
    Repeated,
}

impl Boundary {
    /// Those of the step tree.
    pub const STEP: [Self; 4] = [Self::FirstState, Self::LastState, Self::AcceptedMoved, Self::RejectedMoved];
    /// Those of the block tree.
    pub const BLOCK: [Self; 3] = [Self::FirstEntry, Self::LastEntry, Self::Repeated];

    /// The value that is false.
    const fn value(self) -> MessageId {
        match self {
            Self::FirstState => MessageId::StepBefore,
            Self::LastState | Self::AcceptedMoved | Self::RejectedMoved => MessageId::StepAfter,
            Self::FirstEntry => MessageId::BlockEntry(End::Previous),
            Self::LastEntry | Self::Repeated => MessageId::BlockEntry(End::Next),
        }
    }

    /// What the value is not, where that is constant.
    const fn constant(self, constants: &LaneConstants) -> Option<Digest> {
        match self {
            Self::FirstState => Some(constants.first_state),
            Self::LastState | Self::LastEntry => Some(HALT_ACCEPT),
            Self::FirstEntry => Some(constants.checkpoint),
            Self::AcceptedMoved | Self::RejectedMoved | Self::Repeated => None,
        }
    }

    /// The state that a machine halted in.
    const fn halted(self) -> Digest {
        match self {
            Self::RejectedMoved => HALT_REJECT,
            _ => HALT_ACCEPT,
        }
    }
}

impl Disproof for Boundary {
    fn name(&self) -> String {
        let name = match self {
            Self::FirstState => "step.first",
            Self::LastState => "step.last",
            Self::AcceptedMoved => "step.moved.accepted",
            Self::RejectedMoved => "step.moved.rejected",
            Self::FirstEntry => "entry.first",
            Self::LastEntry => "entry.last",
            Self::Repeated => "entry.repeated",
        };
        name.to_string()
    }

    fn lie(&self) -> String {
        let lie = match self {
            Self::FirstState => "The trace begins in another state than the program.",
            Self::LastState => "The trace of a step up to the claim's ends in another state than HALT_ACCEPT.",
            Self::AcceptedMoved => "The state before is HALT_ACCEPT, and the state after is another.",
            Self::RejectedMoved => "The state before is HALT_REJECT, and the state after is another.",
            Self::FirstEntry => "The history begins with another entry than the checkpoint.",
            Self::LastEntry => "The history ends with another entry than HALT_ACCEPT.",
            Self::Repeated => "Beyond N + 1 the next entry is another than the previous one.",
        };
        lie.to_string()
    }

    fn reads(&self) -> Vec<MessageId> {
        match self {
            Self::FirstState => vec![self.value(), MessageId::StepIndex],
            Self::LastState => vec![self.value(), MessageId::StepIndex, MessageId::BlockIndex, MessageId::Claim],
            Self::AcceptedMoved | Self::RejectedMoved => vec![self.value(), MessageId::StepBefore],
            Self::FirstEntry | Self::LastEntry => vec![self.value(), MessageId::BlockIndex],
            Self::Repeated => {
                vec![self.value(), MessageId::BlockEntry(End::Previous), MessageId::BlockIndex, MessageId::Claim]
            }
        }
    }

    fn hint_count(&self) -> usize {
        1
    }

    fn body(&self, frame: &Frame, constants: &LaneConstants) -> Body {
        let mut writer = frame.writer();
        let value = frame.message(self.value());
        let mut all = |index: MessageId, digit: i64| {
            for place in frame.message(index) {
                writer.copy(place).is(digit);
            }
        };
        match self {
            Self::FirstState => all(MessageId::StepIndex, 0),
            Self::LastState => {
                all(MessageId::StepIndex, 15);
                writer.index_and_claim(frame).op(OP_LESSTHANOREQUAL, 2, 1).op(OP_VERIFY, 1, 0);
            }
            Self::AcceptedMoved | Self::RejectedMoved => {}
            Self::FirstEntry => all(MessageId::BlockIndex, 0),
            Self::LastEntry => all(MessageId::BlockIndex, 15),
            Self::Repeated => {
                writer.index_and_claim(frame).op(OP_GREATERTHAN, 2, 1).op(OP_VERIFY, 1, 0);
            }
        }
        match (self, self.constant(constants)) {
            (_, Some(constant)) => writer.differs_from(&value, &digits_of(&constant), 0),
            (Self::Repeated, None) => writer.differ(&value, &frame.message(MessageId::BlockEntry(End::Previous)), 0),
            // The state before is on top.
            (_, None) => {
                let before = frame.message(MessageId::StepBefore);
                let halted = digits_of(&self.halted());
                let halted = halted.get(..CUT_DIGITS).unwrap_or_default();
                writer.differ(&value, &before, 0).is_row(halted)
            }
        };
        writer.finish()
    }

    fn refutes(&self, said: &Said<'_>) -> Option<Vec<Vec<u8>>> {
        let value = said.digits(self.value())?;
        let all = |index: MessageId, digit: u8| Some(said.digits(index)?.iter().all(|other| *other == digit));
        let order = || Some(said.number(MessageId::BlockIndex)?.cmp(&said.number(MessageId::Claim)?));
        let before = || said.digits(MessageId::StepBefore);
        let applies = match self {
            Self::FirstState => all(MessageId::StepIndex, 0)?,
            Self::LastState => all(MessageId::StepIndex, 15)? && order()?.is_le(),
            Self::AcceptedMoved | Self::RejectedMoved => digits_of(&self.halted()).starts_with(&before()?),
            Self::FirstEntry => all(MessageId::BlockIndex, 0)?,
            Self::LastEntry => all(MessageId::BlockIndex, 15)?,
            Self::Repeated => order()?.is_gt(),
        };
        let other = match (self, self.constant(said.constants)) {
            (_, Some(constant)) => digits_of(&constant),
            (Self::Repeated, None) => said.digits(MessageId::BlockEntry(End::Previous))?,
            (_, None) => before()?,
        };
        let hint = difference(&value, &other)?;
        applies.then(|| vec![hint])
    }
}

impl Writer {
    /// `→ j N`, of the block opening and of the claim.
    pub fn index_and_claim(&mut self, frame: &Frame) -> &mut Self {
        self.number(&frame.message(MessageId::BlockIndex)).number(&frame.field(MessageId::Claim, "N"))
    }
}
