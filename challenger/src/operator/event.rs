//! What goes into an operator and what comes out.

use std::fmt;

use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::{Amount, Transaction, TxOut, Txid};
use trestle_bridge::transactions::{ChallengerInRun, RunTerms};
use trestle_rollup::{SlotId, WithdrawalId};
use trestle_signer::event::Delivery;

use crate::dispute;
use crate::lane::{Answer, Ask};

/// Something happened. A run is named by its first slot. Every event may be given twice; one that has become pointless changes
/// nothing.
#[derive(Debug, Clone)]
pub enum Event {
    /// The chain moved on, or the operator was just opened: look again at everything. Only for the tip of the whole chain, never
    /// for a block on the way there: what an old state asks for may be paid for nothing.
    Tip,
    /// The operator's owner wants a run. Refused while another one of the denomination is in the making, so that giving it
    /// twice makes one run.
    NewRun {
        /// Index of the denomination.
        denomination: u8,
        /// How many slots.
        slots: u32,
    },
    /// The challengers answered [`Duty::InviteChallengers`].
    Joined {
        /// The run.
        run: SlotId,
        /// Their parts, in the order of the parameters.
        challengers: Vec<ChallengerInRun>,
    },
    /// The wallet answered [`Duty::FundRun`].
    RunFunded {
        /// The run.
        run: SlotId,
        /// The signed transaction, which was not broadcast. It spends witness outputs only.
        tx: Transaction,
    },
    /// The owner gives up a run of which the committee's signatures have not come. The transaction that funded it, if any, may be
    /// released.
    AbandonRun {
        /// The run.
        run: SlotId,
    },
    /// The committee's signatures came: of a run of this operator, or of a deposit with slots of it. Every one is verified;
    /// if one is wrong none is kept.
    Delivered(Box<Delivery>),
    /// The wallet answered [`Duty::FundPayout`].
    PayoutFunded {
        /// The slot.
        slot: SlotId,
        /// The signed transaction, which was not broadcast. It spends witness outputs that are in blocks.
        tx: Transaction,
    },
    /// A challenger asks for a move of its lane, off chain. The transport vouches for who asks.
    Asked {
        /// The slot whose claim is disputed.
        slot: SlotId,
        /// Index of the challenger.
        challenger: u16,
        /// What it asks.
        ask: Box<Ask>,
    },
}

/// What the caller is to do. Each may be done any number of times; one that is lost comes again with a later [`Event::Tip`].
///
/// A tip gives all that is due; any other event gives what follows from it alone, and nothing if it is given again.
#[derive(Debug, Clone, PartialEq)]
pub enum Duty {
    /// Ask every challenger for its part in a run, for [`Event::Joined`].
    InviteChallengers {
        /// The run's first slot.
        run: SlotId,
        /// How many slots follow each other from there.
        slots: u32,
    },
    /// Have the wallet make and sign a transaction whose output 0 is this one, without broadcasting it, for
    /// [`Event::RunFunded`].
    FundRun {
        /// The run.
        run: SlotId,
        /// The first slot's bond.
        output: TxOut,
    },
    /// Ask the committee to sign a run; the signatures come as [`Event::Delivered`]. Comes again while signatures are missing:
    /// of the run itself, or of a Reimburse from a vault that is there (the delivery of its deposit was lost).
    RequestRun {
        /// The run.
        terms: Box<RunTerms>,
        /// The operator's consent ([`trestle_signer::consent`]); the challengers add theirs.
        consent: Signature,
    },
    /// Have the wallet make and sign a transaction with these as outputs 0 and 1, without broadcasting it, for
    /// [`Event::PayoutFunded`]. It spends coins that are in blocks, and can be replaced (BIP 125). One that was made before
    /// for this slot and not handed over must never be broadcast.
    FundPayout {
        /// The slot.
        slot: SlotId,
        /// The withdrawal.
        withdrawal: WithdrawalId,
        /// The payment and the tag.
        outputs: [TxOut; 2],
    },
    /// Broadcast a transaction, unless it is known.
    Broadcast {
        /// What it is and of what: `Claim 0/1/3`.
        name: String,
        /// The transaction.
        tx: Transaction,
        /// How to pay more for it; none for the wallet's own, which the wallet can bump by itself.
        child: Option<Child>,
    },
    /// A payout that was broadcast is slow, and its time runs out: pay more for it, by a child.
    Bump {
        /// The slot.
        slot: SlotId,
        /// The payout.
        tx: Transaction,
    },
    /// A payout that was broadcast must not be mined any more: spend one of its inputs otherwise, at a fee that replaces it
    /// and is mined soon.
    Cancel {
        /// The slot.
        slot: SlotId,
        /// The payout.
        tx: Transaction,
    },
    /// Something in the lane of a claim that was contested. It asks nothing of anybody: that is the challenger's.
    Dispute(dispute::Duty),
    /// Answer a challenger, off chain.
    Answer(Box<Answer>),
    /// Tell people. Comes again with every tip for as long as it is so.
    Alert(Alert),
}

/// How a child can pay for a pre-signed transaction when the fee market demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Child {
    /// The output that the child spends: an anchor, or the operator's own output, `tr(its key)`.
    pub vout: u32,
    /// The fee that the transaction pays by itself.
    pub fee: Amount,
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

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { slot, withdrawal, payout } => {
                write!(
                    f,
                    "payout {payout} of withdrawal {withdrawal} by {slot} was mined and does not count: it is lost"
                )
            }
            Self::ClaimFalse { slot, height } => {
                write!(f, "what was signed for {slot} about height {height} is no longer true")
            }
            Self::TooLate { slot } => write!(f, "{slot} was fulfilled too late to be claimed within its run"),
            Self::Contested { slot, since } => write!(f, "the claim of {slot} was contested at height {since}"),
            Self::Taken { slot } => write!(f, "the bond of {slot} was taken"),
            Self::NoVault { slot } => write!(f, "{slot} is finalized, and there is no vault to be reimbursed from"),
        }
    }
}
