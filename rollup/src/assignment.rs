//! Whose turn it is to pay a withdrawal (PROTOCOL §3).
//!
//! ```text
//! requested          + cooperative     + operator window   + grace
//! |── committee ──────|── operator a ────|── its grace ──────|── operator b ────|── its grace ── …
//! ```
//!
//! A payout counts only in its payer's time: nobody can run ahead of an operator with a slot of its own. In the grace
//! a payout that was sent in time may still confirm, and no new one should be sent.

use crate::identifiers::WithdrawalId;
use crate::parameters::Windows;
use crate::state::{ActiveOperators, Withdrawal};

/// Who may pay a pending withdrawal at some height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignment {
    /// The committee, cooperatively. Also when no operator is active.
    Committee,
    /// One operator.
    Operator {
        /// Its index.
        index: u8,
        /// Whether it should still send a payout; false in the grace.
        fronting: bool,
    },
}

impl Assignment {
    /// The assignment of a withdrawal for a payout in the block at `height`.
    ///
    /// Operators take turns from `id mod count` on, where `count` is the number of operators when the withdrawal was
    /// requested; an inactive one's turn goes to the next active one. Only if all of those are inactive do later ones
    /// take turns too. So an operator that is added changes no assignment that an operator may be acting on, and one
    /// that is retired changes only its own.
    #[must_use]
    pub fn at(
        id: WithdrawalId,
        withdrawal: &Withdrawal,
        height: u32,
        windows: &Windows,
        operators: u8,
        active: &ActiveOperators,
    ) -> Self {
        let turn = || -> Option<Self> {
            let age = height.saturating_sub(withdrawal.requested_height);
            let age = age.checked_sub(u32::from(windows.cooperative))?;
            let period = u32::from(windows.operator).checked_add(u32::from(windows.grace))?;
            let (turn, phase) = (age.checked_div(period)?, age.checked_rem(period)?);
            let fronting = phase < u32::from(windows.operator);
            let among = |count: u8| {
                let first = (u64::from(id.0).checked_add(u64::from(turn))?).checked_rem(u64::from(count))?;
                let first = u8::try_from(first).ok()?;
                (first..count).chain(0..first).find(|index| active.contains(*index))
            };
            let index = among(withdrawal.operators).or_else(|| among(operators))?;
            Some(Self::Operator { index, fronting })
        };
        turn().unwrap_or(Self::Committee)
    }
}
