//! When an operator acts, where the protocol leaves it the choice.

use trestle_bridge::parameters::BridgeParameters;

/// Margins, in blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Policy {
    /// Least rest of the operator's window in which a withdrawal is still fronted.
    pub front: u32,
    /// Rest of the window from which on an unconfirmed payout is bumped.
    pub bump: u32,
    /// Rest of the time in which a payout counts from which on an unconfirmed one is cancelled. For some blocks either may be
    /// mined; in the last K it must not be the payout, which a reorganization could then push out of its time.
    pub cancel: u32,
}

impl Policy {
    /// Fronts in the first three quarters of the window, bumps in the last, cancels half-way between the window and the last K
    /// blocks of the grace.
    pub fn new(parameters: &BridgeParameters) -> Self {
        let (window, grace) = (u32::from(parameters.operator_window), u32::from(parameters.grace));
        let cancel = (grace + u32::from(parameters.confirmations)) / 2;
        Self { front: (window / 4).max(1), bump: window / 4, cancel }
    }
}
