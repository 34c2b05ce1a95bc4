//! A lane on chain: everything that the dispute of one claim by one challenger can come to, signed before it begins.
//!
//! The lane's rules are [`trestle_taptree_trace::turn`]'s. Here every [`Turn`] is an output, every step of it a transaction that
//! spends that output and makes the next, by one recursion ([`LaneGraph::build`]). The scripts of an output depend on its turn
//! alone, not on the way that led there, so each is hashed once, and none is kept: whoever spends a leaf makes its script again.
//!
//! ```text
//! Contest ─┬─ E_j ─────────────┐
//!          │    bond of j ─── Challenge ─ Entered ─ step ─ … ─┬─ (operator's turn, T_turn) ───── Slash, or WinOnly
//!          │                                                  ├─ (challenger's turn, T_turn) ─── OperatorWins
//!          └─ K′ ─ (Slash)                                    └─ Disproved ─ lost ────────────── Slash, or WinOnly
//! FinalizeUnentered ─ no-show connector ─┐
//!                       bond of j ───── NoShow
//! ```
//!
//! | transaction | spends | pays | published by |
//! | --- | --- | --- | --- |
//! | NoShow | the no-show connector, by j's leaf; j's bond | the operator; an anchor | the operator, if j contested and nobody entered |
//! | Challenge | E_j, by its leaf; j's bond | the output of [`Turn::Entered`]; an anchor | challenger j |
//! | a step | the output of its turn, by a leaf that takes what is signed in it | the next output; an anchor | whose turn it is |
//! | Disproved | the output of a turn with a tree, by a disproof leaf | *lost* ([`Lost`]); the challenger, for a child | challenger j |
//! | Slash | K′, and lost, or the output of an operator's turn after T_turn | the challenger: the lane and half of K′; nobody: the other half; an anchor | anybody |
//! | OperatorWins | the output of a challenger's turn after T_turn | the operator; an anchor | anybody |
//! | WinOnly | lost, or the output of an operator's turn after T_turn, by the challenger's own leaf | wherever it likes | challenger j, where K′ is gone |
//!
//! The operator's leaves are `… <P> CHECKSIG`, the challenger's `… <challenger> CHECKSIGVERIFY <P> CHECKSIG`: the operator knows the
//! challenger's secrets from off-chain play, so these alone would not say who plays. What the operator has signed counts, whoever
//! shows it. All is version 3 but Disproved, which can have 28 kvB, where version 3 ends at 10: it is version 2, and what
//! it spends, and what spends it, waits for its block. A step, Disproved and the ends pay their fees out of the lane, so out of the
//! challenger's bond.
//!
//! [`Turn`]: trestle_taptree_trace::turn::Turn
//! [`Turn::Entered`]: trestle_taptree_trace::turn::Turn::Entered
//! [`Lost`]: crate::connector::Lost

mod complete;
mod cost;
mod error;
mod graph;
mod leaf;
mod model;
mod output;
mod read;
mod transactions;
mod work;

pub use complete::Shown;
pub use cost::cost;
pub use error::LaneGraphError;
pub use graph::{LaneGraph, LaneNode, LaneTx, NodeId};
pub use model::{ArityCost, Way};
pub use read::{LaneRead, LaneSpend, Said};
pub use transactions::{BUMP, LOST, nobody};
pub use work::{LaneWork, Lanes};
