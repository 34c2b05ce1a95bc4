//! What a side of a lane wants done.

use bitcoin::{Amount, Transaction};
use trestle_bridge::lane::{BUMP, LaneTx, NodeId};
use trestle_bridge::transactions::Presigned;

use crate::lane::Ask;
use crate::operator::Child;

/// What the caller is to do. Each may be done any number of times; one that is lost comes again with a later tip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Ask the operator for a move; its answer goes to [`super::LaneWatchtower::receive`].
    Ask(Ask),
    /// Broadcast a transaction, unless it is known.
    Broadcast {
        /// What it is.
        purpose: Purpose,
        /// The same with what it is of, for people: `Challenge 0/1/3, lane 0`.
        name: String,
        /// The transaction.
        tx: Transaction,
        /// How a child can pay more for it.
        child: Child,
    },
    /// Pay more for a transaction that was broadcast, by a child.
    Bump {
        /// What it is.
        purpose: Purpose,
        /// The same for people.
        name: String,
        /// The transaction.
        tx: Transaction,
        /// What the child spends: an anchor, or an output `tr(key)` of the side's own.
        child: Child,
        /// Height of the last block in which nothing can come before it, if there is such a height.
        deadline: Option<u32>,
        /// What the side loses if it is not mined by then.
        stake: Amount,
    },
}

/// What a transaction to be broadcast is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// One that the committee has signed, or Disproved.
    Lane(LaneTx),
    /// The challenger takes what is its own at this output, where K′ is gone.
    WinOnly(NodeId),
}

/// The time that there is for a transaction.
#[derive(Clone, Copy)]
pub(super) struct Time {
    /// The height from which on it is wanted.
    pub from: u32,
    /// How many blocks it has.
    pub blocks: u32,
    /// The last block before something else can come in its place.
    pub deadline: Option<u32>,
    /// What is lost then.
    pub stake: Amount,
}

/// Adds a transaction of the lane's.
pub(super) fn publish(duties: &mut Vec<Duty>, what: LaneTx, of: &Presigned, tx: Transaction, time: Time, tip: u32) {
    let vout = match what {
        LaneTx::Disproved(_) => BUMP,
        _ => of.anchor().map_or(0, |anchor| anchor.vout),
    };
    push(duties, Purpose::Lane(what), of.name.clone(), tx, Child { vout, fee: of.fee() }, time, tip);
}

/// Adds a transaction, and its bump if it has waited for half of its time.
pub(super) fn push(
    duties: &mut Vec<Duty>,
    purpose: Purpose,
    name: String,
    tx: Transaction,
    child: Child,
    time: Time,
    tip: u32,
) {
    duties.push(Duty::Broadcast { purpose, name: name.clone(), tx: tx.clone(), child });
    if tip >= time.from + time.blocks / 2 {
        duties.push(Duty::Bump { purpose, name, tx, child, deadline: time.deadline, stake: time.stake });
    }
}
