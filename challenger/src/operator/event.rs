//! What goes into an operator and what comes out.

use std::fmt;

use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::{Amount, OutPoint, Transaction, TxOut, Txid};
use trestle_bridge::job::RunJob;
use trestle_bridge::transactions::{ChallengerInRun, FinalizeKind, SignRequest};
use trestle_rollup::{SlotId, WithdrawalId};

/// What happens to an operator. Every event may come twice; one that has become pointless changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The chain moved on, or the operator was just opened. Only for the tip of the whole chain, never for a block on the
    /// way there: what an old state asks for may be paid for nothing.
    Tip,
    /// A person wants a new run. Refused while another one of the denomination is in the making, so that a run is not made twice.
    OpenRun {
        /// Index of the denomination.
        denomination: u8,
        /// Number of slots.
        slots: u32,
    },
    /// The challengers answered [`Duty::AskChallengers`].
    ChallengersJoined {
        /// First slot of the run.
        first: SlotId,
        /// One a challenger, in the order of the parameters.
        challengers: Vec<ChallengerInRun>,
    },
    /// The wallet made, and did not broadcast, the transaction that [`Duty::FundRun`] asked for.
    RunFunded {
        /// First slot of the run.
        first: SlotId,
        /// Its output 0 is the bond. Every input is a segwit one.
        tx: Transaction,
    },
    /// A person gives up a run of which the committee's signatures have not come. What funded it may be released.
    AbandonRun {
        /// First slot of the run.
        first: SlotId,
    },
    /// Somebody delivered signatures of the committee, in whatever order and however often ([`Operator::read`](super::Operator::read)
    /// takes them out of a signer's delivery). Every one is verified; if one is wrong, none is kept and the event is refused.
    SignaturesDelivered(Vec<(SignRequest, Signature)>),
    /// The wallet made, and did not broadcast, the transaction that [`Duty::FundPayout`] asked for.
    PayoutFunded {
        /// The slot that fronts.
        slot: SlotId,
        /// Its outputs 0 and 1 are those asked for. Every input is a segwit one.
        tx: Transaction,
    },
}

/// What a transaction to be broadcast is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// Funds the run that begins with this slot.
    Run(SlotId),
    /// Pays a withdrawal.
    Payout(SlotId, WithdrawalId),
    /// Claims that the slot is fulfilled.
    Claim(SlotId),
    /// Ends the claim.
    Finalize(SlotId, FinalizeKind),
    /// Pays the operator back from this vault.
    Reimburse(SlotId, OutPoint),
    /// Takes back the bond of a run that is over.
    Retire(SlotId),
}

/// What the caller is to do. Each may be done any number of times, and is asked for again while it is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Duty {
    /// Ask every challenger for its part in a run; the answer is [`Event::ChallengersJoined`].
    AskChallengers {
        /// First slot of the run.
        first: SlotId,
        /// Number of slots.
        slots: u32,
    },
    /// Make a transaction with this output 0; the answer is [`Event::RunFunded`].
    FundRun {
        /// First slot of the run.
        first: SlotId,
        /// The bond.
        bond: TxOut,
    },
    /// Ask the committee for the signatures of this job; the answer is [`Event::SignaturesDelivered`]. Its consents are the operator's
    /// ([`Operator::consent`](super::Operator::consent)) and the challengers'. Comes again while signatures are missing: of the
    /// run itself, or of Reimburse from a vault whose deposit's delivery was lost.
    RequestSignatures(Box<RunJob>),
    /// Make a transaction with these as its outputs 0 and 1; the answer is [`Event::PayoutFunded`]. A transaction that was
    /// made for this slot and withdrawal before, and not handed over, must never be broadcast.
    FundPayout {
        /// The slot that fronts.
        slot: SlotId,
        /// The withdrawal.
        withdrawal: WithdrawalId,
        /// Payment and tag.
        outputs: [TxOut; 2],
        /// Height of the last block in which the payout counts.
        deadline: u32,
    },
    /// Spend an input of this payout back to the wallet, at a fee that replaces it and is mined soon: it may not count if
    /// it is mined later.
    Cancel {
        /// The slot that fronts.
        slot: SlotId,
        /// The payout to be replaced.
        payout: Transaction,
    },
    /// Broadcast a transaction, unless it is known.
    Broadcast {
        /// What it is.
        purpose: Purpose,
        /// The transaction.
        tx: Transaction,
    },
    /// Pay more for a transaction that was broadcast, by a child.
    Bump {
        /// What it is.
        purpose: Purpose,
        /// The transaction.
        tx: Transaction,
        /// What it pays itself, where that is known here; the wallet knows the payout's.
        fee: Option<Amount>,
        /// Its pay-to-anchor output; without one the child spends an output of the operator's own.
        anchor: Option<OutPoint>,
        /// Height of the block by which it should be mined, if there is such a height.
        deadline: Option<u32>,
    },
    /// Tell people. Comes again with every tip for as long as it is so.
    Alert(Alert),
}

/// What people have to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alert {
    /// A payout was mined and does not count: its coins are gone.
    Lost {
        /// The slot that it named.
        slot: SlotId,
        /// The withdrawal that it paid.
        withdrawal: WithdrawalId,
        /// The payout.
        payout: Txid,
    },
    /// A reorganization deeper than K made false what the slot's one-time key signed. It signs nothing else.
    ClaimFalse {
        /// The slot.
        slot: SlotId,
        /// The height that the claim speaks of.
        height: u32,
    },
    /// The slot was fulfilled too late to be claimed within its run.
    TooLate {
        /// The slot.
        slot: SlotId,
    },
    /// A claim was contested; its run ends with it.
    Contested {
        /// The slot.
        slot: SlotId,
        /// Height of Contest.
        since: u32,
    },
    /// The slot's bond was taken by a transaction that is none of the run's.
    Taken {
        /// The slot.
        slot: SlotId,
    },
    /// The slot is finalized, and there is no unspent vault from which its Reimburse is signed.
    NoVault {
        /// The slot.
        slot: SlotId,
    },
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(first) => write!(f, "Run funding {first}"),
            Self::Payout(slot, withdrawal) => write!(f, "Payout of withdrawal {withdrawal} by {slot}"),
            Self::Claim(slot) => write!(f, "Claim {slot}"),
            Self::Finalize(slot, kind) => write!(f, "Finalize{kind:?} {slot}"),
            Self::Reimburse(slot, _) => write!(f, "Reimburse {slot}"),
            Self::Retire(slot) => write!(f, "Retire {slot}"),
        }
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { slot, withdrawal, payout } => {
                write!(f, "payout {payout} of withdrawal {withdrawal} by {slot} was mined and does not count: it is lost")
            }
            Self::ClaimFalse { slot, height } => write!(f, "what was signed for {slot} about height {height} is no longer true"),
            Self::TooLate { slot } => write!(f, "{slot} was fulfilled too late to be claimed within its run"),
            Self::Contested { slot, since } => write!(f, "the claim of {slot} was contested at height {since}"),
            Self::Taken { slot } => write!(f, "the bond of {slot} was taken"),
            Self::NoVault { slot } => write!(f, "{slot} is finalized, and there is no vault to be reimbursed from"),
        }
    }
}
