//! What came of a lane, and what it took: for the challenger's owner.

use bitcoin::{Amount, OutPoint, Transaction, Txid};
use serde::{Deserialize, Serialize};
use trestle_bridge::lane::{BUMP, LaneTx};
use trestle_bridge::transactions::{Presigned, contest};
use trestle_rollup::SlotId;
use trestle_taptree_trace::turn::Player;

use super::{Board, End, Error};
use crate::view::View;

/// A lane that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settlement {
    /// The slot whose claim was disputed.
    pub slot: SlotId,
    /// How it ended.
    pub end: End,
    /// Height of the block in which it did.
    pub since: u32,
    /// Every transaction of the lane, in the order in which they were mined; Contest is the first if this challenger contested.
    pub transactions: Vec<Played>,
    /// What the challenger was paid by the last of them.
    pub received: Amount,
}

/// A transaction of a lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Played {
    /// Which move it was, for people: `Step 0/1/3, lane 0: Entered to OpenStep`.
    pub name: String,
    /// Its id.
    pub txid: Txid,
    /// Height of its block.
    pub height: u32,
    /// Whether the move was the challenger's.
    pub own: bool,
    /// Whether its fee came out of the challenger's bond; the fee of Contest comes out of the operator's.
    pub of_bond: bool,
    /// The fee that it paid by itself.
    pub fee: Amount,
    /// The output by which a child could pay more.
    pub handle: OutPoint,
    /// What a child of the challenger's wallet paid.
    pub child_fee: Amount,
}

impl Settlement {
    /// The challenger's own moves.
    pub fn moves(&self) -> impl Iterator<Item = &Played> {
        self.transactions.iter().filter(|played| played.own)
    }

    /// What the bond has paid in fees, for the moves of both sides.
    pub fn bond_fees(&self) -> Amount {
        self.transactions.iter().filter(|played| played.of_bond).map(|played| played.fee).sum()
    }

    /// What the wallet has paid in children.
    pub fn wallet_fees(&self) -> Amount {
        self.transactions.iter().map(|played| played.child_fee).sum()
    }

    /// The same, with what the wallet has paid to spend these outputs.
    pub fn with_children(mut self, fees: &[(OutPoint, Amount)]) -> Self {
        for played in &mut self.transactions {
            let paid = fees.iter().find(|(handle, _)| *handle == played.handle);
            played.child_fee = paid.map_or(Amount::ZERO, |(_, fee)| *fee);
        }
        self
    }

    /// What came of a lane that has ended so, at this height; its children left out.
    pub(super) fn of(board: &Board, view: &dyn View, end: End, since: u32) -> Result<Self, Error> {
        let mut settlement = Self { slot: board.slot.id, end, since, transactions: Vec::new(), received: Amount::ZERO };
        if let Some(mined) = board.contest(view)?.filter(|mined| board.secret(mined).is_some()) {
            let contest = &board.slot.contest;
            settlement.transactions.push(Played { of_bond: false, ..played(contest, mined.height, true) });
        }
        settlement.follow(board, view)?;
        Ok(settlement)
    }

    /// Follows the challenger's bond from one transaction to the next.
    fn follow(&mut self, board: &Board, view: &dyn View) -> Result<(), Error> {
        let graph = &board.graph;
        let Some(entry) = graph.get(LaneTx::Challenge) else { return Ok(()) };
        let mut value = entry.prevouts.last().map_or(Amount::ZERO, |bond| bond.value);
        let mut at = board.bond;
        while let Some(mined) = view.spender(&at)? {
            let Some(what) = graph.find(&mined.tx.compute_txid()) else {
                // WinOnly, or a disproof for which nothing is signed.
                if at != board.bond {
                    self.transactions.push(unsigned(board, &mined.tx, mined.height, value));
                    self.received = first_value(&mined.tx);
                }
                return Ok(());
            };
            let presigned = graph.get(what).ok_or(trestle_bridge::lane::LaneGraphError::NoSuch(what))?;
            let own = match what {
                LaneTx::Step(to) => {
                    graph.previous(to).is_some_and(|from| graph.node(from).turn.mover() == Player::Challenger)
                }
                LaneTx::Challenge | LaneTx::Disproved(_) | LaneTx::Slash(_) => true,
                LaneTx::NoShow | LaneTx::OperatorWins(_) => false,
            };
            let of_lane = played(presigned, mined.height, own);
            self.transactions.push(match what {
                LaneTx::Disproved(_) => Played { handle: presigned.outpoint(BUMP), ..of_lane },
                _ => of_lane,
            });
            match what {
                LaneTx::Challenge | LaneTx::Step(_) | LaneTx::Disproved(_) => {
                    (at, value) = (presigned.outpoint(0), first_value(&presigned.tx));
                }
                LaneTx::Slash(_) => {
                    self.received = first_value(&presigned.tx);
                    return Ok(());
                }
                LaneTx::NoShow | LaneTx::OperatorWins(_) => return Ok(()),
            }
        }
        Ok(())
    }
}

fn played(of: &Presigned, height: u32, own: bool) -> Played {
    Played {
        name: of.name.clone(),
        txid: of.txid(),
        height,
        own,
        of_bond: true,
        fee: of.fee(),
        handle: of.anchor().unwrap_or_else(|| of.outpoint(contest::BOND)),
        child_fee: Amount::ZERO,
    }
}

/// What the challenger has made by itself, of an output that carried so much.
fn unsigned(board: &Board, tx: &Transaction, height: u32, value: Amount) -> Played {
    let paid: Amount = tx.output.iter().map(|output| output.value).sum();
    let txid = tx.compute_txid();
    Played {
        name: format!("WinOnly {}, lane {}", board.slot.id, board.graph.challenger),
        txid,
        height,
        own: true,
        of_bond: true,
        fee: value.checked_sub(paid).unwrap_or_default(),
        handle: OutPoint::new(txid, 0),
        child_fee: Amount::ZERO,
    }
}

fn first_value(tx: &Transaction) -> Amount {
    tx.output.first().map_or(Amount::ZERO, |output| output.value)
}
