//! What goes into a watchtower and what comes out.

use bitcoin::hashes::sha256;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::{Amount, OutPoint, Transaction, TxOut};
use serde::{Deserialize, Serialize};
use trestle_bridge::transactions::{ChallengerInRun, RunTerms};
use trestle_rollup::SlotId;
use trestle_signer::Delivery;
use trestle_taptree_trace::lane::Move;

use crate::dispute::{self, Settlement};
use crate::lane::Answer;

/// Something happened to a watchtower. Every event may be given twice. A run is named by its first slot.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The chain moved on, or the watchtower was just opened.
    Tip,
    /// An operator asks for this challenger's part in a run. The transport vouches for the operator being `run.operator`.
    Invited {
        /// The run.
        run: SlotId,
        /// How many slots follow each other from there.
        slots: u32,
    },
    /// The wallet made, and did not broadcast, the transaction that [`Duty::FundBond`] asked for.
    BondFunded {
        /// The run.
        run: SlotId,
        /// The signed transaction, which was not broadcast: its output 0 is the bond, and it spends witness outputs only.
        tx: Transaction,
    },
    /// An operator completed the terms of a run, and asks for this challenger's consent.
    Proposed(Box<RunTerms>),
    /// Somebody answered [`Duty::FetchLaneKeys`] with these bytes. They are looked at only if their digest was asked for.
    LaneKeys(Vec<u8>),
    /// The committee's signatures of a run came.
    Delivered(Box<Delivery>),
    /// An operator has answered what [`crate::dispute::Duty::Ask`] asked. The transport vouches for who answers.
    Answered {
        /// The slot whose claim is disputed.
        slot: SlotId,
        /// What was asked for.
        wanted: Move,
        /// The answer.
        answer: Box<Answer>,
    },
    /// The wallet has answered [`Duty::AskFees`].
    Paid {
        /// The slot whose claim was disputed.
        slot: SlotId,
        /// Of those outputs that a transaction of the wallet's spends in a block: its fee.
        fees: Vec<(OutPoint, Amount)>,
    },
}

/// What a transaction to be broadcast is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// The challenger's bond of the run that begins with this slot.
    Bond(SlotId),
    /// Objects to the claim of this slot.
    Contest(SlotId),
    /// Ends the run that has come to this slot, in which the operator could claim otherwise.
    End(SlotId),
    /// Takes back the bond of the run that begins with this slot.
    Retire(SlotId),
}

/// What the caller is to do. Each may be done any number of times, and is asked for again while it is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Duty {
    /// Make a transaction with this output 0; the answer is [`Event::BondFunded`].
    FundBond {
        /// The run.
        run: SlotId,
        /// The bond.
        output: TxOut,
    },
    /// Hand this challenger's part in a run to its operator.
    Join {
        /// The run.
        run: SlotId,
        /// The part.
        part: ChallengerInRun,
    },
    /// Bring the operator's keys of a lane, as bytes, for [`Event::LaneKeys`].
    FetchLaneKeys {
        /// The operator, which has them.
        operator: u8,
        /// SHA-256 of the bytes.
        digest: sha256::Hash,
    },
    /// Hand this challenger's consent ([`trestle_signer::consent`]) to the run's operator.
    Consent {
        /// The run.
        run: SlotId,
        /// The signature of its terms.
        consent: Signature,
    },
    /// Ask a signer for the signatures of a run, which are not all here: they come as [`Event::Delivered`].
    RequestSignatures {
        /// The run.
        run: SlotId,
        /// The bond by which signers know it.
        bond: OutPoint,
    },
    /// Tell whoever wants to know what was found about a claim.
    Report(Report),
    /// Broadcast a transaction, unless it is known.
    Broadcast {
        /// What it is.
        purpose: Purpose,
        /// The transaction.
        tx: Transaction,
    },
    /// Pay more for a transaction that was broadcast, by a child of its anchor.
    Bump {
        /// What it is.
        purpose: Purpose,
        /// The transaction.
        tx: Transaction,
        /// What it pays itself.
        fee: Amount,
        /// Its pay-to-anchor output.
        anchor: Option<OutPoint>,
        /// Height of the block by which it should be mined, if there is such a height.
        deadline: Option<u32>,
        /// What the challenger loses, or does not get, if it is not.
        stake: Amount,
    },
    /// A dispute is over, and it is to be found out what the wallet paid in it, for [`Event::Paid`].
    AskFees {
        /// The slot claimed.
        slot: SlotId,
        /// The outputs that children can have spent.
        outputs: Vec<OutPoint>,
    },
    /// Tell the owner what came of a dispute, and what it took. Comes once, and again after a restart.
    Settled(Settlement),
    /// Something in this challenger's lane of a claim that is false.
    Dispute {
        /// The slot claimed.
        slot: SlotId,
        /// What is to be done.
        duty: dispute::Duty,
    },
}

/// What was found about a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The slot claimed.
    pub slot: SlotId,
    /// Height of the block with the claim.
    pub claimed: u32,
    /// The height that the claim speaks of; none if it cannot be read.
    pub height: Option<u32>,
    /// What was found.
    pub verdict: Verdict,
}

/// What a watchtower thinks of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The slot was fulfilled and deep, at that block.
    True,
    /// It was not.
    False(Reason),
}

/// Why a claim is false.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Reason {
    /// The claim is not signed in a form that can be read.
    #[error("the claim cannot be read")]
    Unreadable,
    /// It speaks of a block that was not there when it was made.
    #[error("the claim speaks of a block that no claim can be about")]
    NoSuchBlock,
    /// The block at that height is another one.
    #[error("the claim speaks of another block than the one at that height")]
    OtherBlock,
    /// The slot was not fulfilled, at its denomination and deep, at that block.
    #[error("the slot was not fulfilled at that block")]
    NotFulfilled,
}
