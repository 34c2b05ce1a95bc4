//! An operator that lies, to see that it is caught: for demonstrations and tests, with a bond that may be lost.

use trestle_bridge::transactions::RunGraph;
use trestle_bridge::transactions::claim::Statement;
use trestle_zkvm_adapter::Fault;

use super::Operator;
use crate::Error;
use crate::statement::statement_at;
use crate::view::View;

/// What is lied about: that the next slot of every run is fulfilled, though nobody was paid.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lie {
    /// The lie in the trace by which the guest comes to accept that. Without one the trace just ends so.
    pub fault: Option<Fault>,
    /// Whether it answers nobody off chain, so that all is played on chain.
    pub silent: bool,
}

impl Operator {
    /// Lies from now on.
    pub fn lie(&mut self, lie: Lie) {
        self.lie = Some(lie);
    }

    /// What a liar claims: the last block that is deep.
    pub(super) fn false_statement(&self, view: &dyn View, graph: &RunGraph) -> Result<Option<Statement>, Error> {
        let deep = view.height().saturating_sub(u32::from(self.bridge.parameters.confirmations));
        statement_at(view, graph.terms.checkpoint.height, deep)
    }
}
