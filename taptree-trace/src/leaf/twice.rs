//! Two signatures with one key that say different things.

use super::compare::difference;
use super::{Body, Disproof, Frame, Said};
use crate::lane::{LaneConstants, MessageId};

/// "The operator has signed two of these."
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Twice(pub MessageId);

impl Disproof for Twice {
    fn name(&self) -> String {
        format!("twice.{}", self.0)
    }

    fn family(&self) -> String {
        "twice.MESSAGE".to_string()
    }

    fn lie(&self) -> String {
        "Two different values of a message are signed with its key.".to_string()
    }

    fn reads(&self) -> Vec<MessageId> {
        vec![self.0, self.0]
    }

    fn hint_count(&self) -> usize {
        1
    }

    fn body(&self, frame: &Frame, _: &LaneConstants) -> Body {
        let mut writer = frame.writer();
        writer.differ(&frame.nth(0), &frame.nth(1), 0);
        writer.finish()
    }

    fn refutes(&self, said: &Said<'_>) -> Option<Vec<Vec<u8>>> {
        let [first, second] = said.statements.twice(self.0)?;
        Some(vec![difference(first.digits(), second.digits())?])
    }
}
