//! How far a lane has come, as blocks tell.

use std::collections::HashMap;

use bitcoin::Transaction;
use serde::{Deserialize, Serialize};
use trestle_bridge::lane::{LaneRead, LaneSpend, LaneTx, NodeId};
use trestle_bridge::transactions::{contest, finalize};

use super::{Board, Error};
use crate::lane::Shown;
use crate::view::View;

/// The state of a lane. Heights are of the transaction that led there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The claim is not contested: there is no way in.
    Ahead,
    /// The claim is contested, and the lane can be entered.
    Open {
        /// Height of Contest.
        since: u32,
    },
    /// Nobody has entered a lane; FinalizeUnentered took the entry.
    Unentered {
        /// Its height.
        since: u32,
    },
    /// Entered, and not over.
    At {
        /// The output that waits for its turn.
        node: NodeId,
        /// Its height.
        since: u32,
        /// All that the lane's transactions have signed.
        shown: Shown,
    },
    /// The challenger has disproved what the operator said.
    Disproved {
        /// The output on which it did.
        on: NodeId,
        /// Height of Disproved.
        since: u32,
    },
    /// Nothing more comes of it.
    Over {
        /// How it ended.
        end: End,
        /// When.
        since: u32,
    },
}

/// How a lane ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// NoShow: the challenger contested, entered no lane, and has lost its bond.
    NoShow,
    /// Slash: the operator has lost.
    Slashed,
    /// WinOnly, or a disproof that nothing is signed for: the challenger has won, and took no part of the operator's bond.
    Taken,
    /// OperatorWins: the challenger has lost its bond.
    OperatorWon,
}

/// What was read of a lane's transactions, by the output that they spend: to verify what was signed in one takes up to a
/// thousand hashes.
#[derive(Default)]
pub struct Reader(HashMap<NodeId, (Transaction, LaneRead)>);

impl Reader {
    fn read(&mut self, board: &Board, node: NodeId, tx: Transaction) -> Result<&LaneRead, Error> {
        if self.0.get(&node).is_none_or(|(known, _)| *known != tx) {
            let read = board.graph.read(&board.lane, &tx).ok_or(Error::Unknown(node))?;
            self.0.insert(node, (tx, read));
        }
        self.0.get(&node).map(|(_, read)| read).ok_or(Error::Unknown(node))
    }
}

impl Standing {
    /// How far the lane has come at the view's tip.
    ///
    /// # Errors
    /// If the chain cannot be read, or has what cannot be.
    pub fn of(board: &Board, view: &dyn View) -> Result<Self, Error> {
        Self::read(board, view, &mut Reader::default())
    }

    /// The same for whoever looks again at every tip.
    ///
    /// # Errors
    /// As [`Standing::of`].
    pub fn read(board: &Board, view: &dyn View, reader: &mut Reader) -> Result<Self, Error> {
        let Some(contested) = board.contest(view)? else { return Ok(Self::Ahead) };
        let entry = board.slot.contest.outpoint(contest::entry(board.graph.challenger));
        let Some(entered) = view.spender(&entry)? else { return Ok(Self::Open { since: contested.height }) };
        if board.graph.find(&entered.tx.compute_txid()) == Some(LaneTx::Challenge) {
            return Self::walked(board, view, entered.height, reader);
        }
        let connector = board.slot.finalize_unentered.outpoint(finalize::NO_SHOW);
        Ok(match view.spender(&connector)? {
            Some(taken) if board.graph.find(&taken.tx.compute_txid()) == Some(LaneTx::NoShow) => {
                Self::Over { end: End::NoShow, since: taken.height }
            }
            _ => Self::Unentered { since: entered.height },
        })
    }

    /// Goes from the output of Challenge, mined at this height, to where the lane is.
    fn walked(board: &Board, view: &dyn View, mut since: u32, reader: &mut Reader) -> Result<Self, Error> {
        let graph = &board.graph;
        let (mut node, mut shown) = (NodeId::ENTERED, Shown::default());
        loop {
            let Some(next) = view.spender(&graph.node(node).outpoint)? else {
                return Ok(Self::At { node, since, shown });
            };
            since = next.height;
            match &reader.read(board, node, next.tx)?.how {
                LaneSpend::Step { to, said } => {
                    // Whatever cannot be read no script accepts.
                    let said = said.as_ref().map_err(|_| Error::Unknown(node))?;
                    shown.messages.extend(said.messages.iter().cloned());
                    shown.choices.extend(&said.choices);
                    node = *to;
                }
                LaneSpend::Disproof { slashable: true, .. } => return Self::disproved(board, view, node, since),
                LaneSpend::Disproof { slashable: false, .. } | LaneSpend::Taken => {
                    return Ok(Self::Over { end: End::Taken, since });
                }
                LaneSpend::Late(LaneTx::OperatorWins(_)) => {
                    return Ok(Self::Over { end: End::OperatorWon, since });
                }
                LaneSpend::Late(_) => return Ok(Self::Over { end: End::Slashed, since }),
                LaneSpend::Unknown => return Err(Error::Unknown(node)),
            }
        }
    }

    /// What became of *lost*.
    fn disproved(board: &Board, view: &dyn View, on: NodeId, since: u32) -> Result<Self, Error> {
        let Some(disproved) = board.graph.get(LaneTx::Disproved(on)) else { return Err(Error::Unknown(on)) };
        let Some(taken) = view.spender(&disproved.outpoint(trestle_bridge::lane::LOST))? else {
            return Ok(Self::Disproved { on, since });
        };
        let end = match board.graph.find(&taken.tx.compute_txid()) {
            Some(LaneTx::Slash(_)) => End::Slashed,
            _ => End::Taken,
        };
        Ok(Self::Over { end, since: taken.height })
    }
}
