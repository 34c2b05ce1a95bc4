//! What a block did to the Layer 2, for those who act on it. Events are not part of the state.

use crate::destination::Destination;
use crate::execute::Refusal;
use crate::identifiers::{Account, OutPoint, SlotId, Txid, WithdrawalId};
use crate::tag::AdminOperation;

/// One thing that happened. `txid` is always the Bitcoin transaction that it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub enum Event {
    /// A deposit was confirmed: output 0 of `txid` is the new vault.
    Minted {
        /// The transaction that confirmed it.
        txid: Txid,
        /// What its input 0 spent: the deposit.
        outpoint: OutPoint,
        /// Who was credited.
        account: Account,
        /// Index of the denomination.
        denomination: u8,
    },
    /// A batch was executed, after the events of its transactions.
    Batch {
        /// The batch's number.
        number: u64,
        /// The transaction that carried it.
        txid: Txid,
        /// How many of its transactions were executed.
        applied: u32,
        /// How many were skipped.
        skipped: u32,
        /// Satoshis that its certifiers shared.
        fees: u64,
    },
    /// A forced transaction was read; if it was applied, after its event.
    Forced {
        /// The transaction that carried it.
        txid: Txid,
        /// Whether it was executed.
        applied: bool,
    },
    /// One account paid another.
    Transferred {
        /// The transaction that carried the batch or the envelope.
        txid: Txid,
        /// Who paid.
        from: Account,
        /// Who was paid.
        to: Account,
        /// Satoshis.
        amount: u64,
        /// Satoshis for the sequencers: zero if the transfer was forced.
        fee: u64,
    },
    /// An account asked for a payout on Bitcoin.
    WithdrawalRequested {
        /// The transaction that carried the batch or the envelope.
        txid: Txid,
        /// The withdrawal's number.
        id: WithdrawalId,
        /// Whose coins they were.
        from: Account,
        /// Index of the denomination.
        denomination: u8,
        /// Where it is to be paid.
        destination: Destination,
    },
    /// An operator paid a withdrawal and fulfilled a slot.
    Paid {
        /// The payout.
        txid: Txid,
        /// The withdrawal.
        id: WithdrawalId,
        /// The slot.
        slot: SlotId,
    },
    /// The committee paid a withdrawal.
    PaidCooperatively {
        /// The payout.
        txid: Txid,
        /// The withdrawal.
        id: WithdrawalId,
    },
    /// There will be other sequencers.
    SequencersChanged {
        /// The transaction that carried the change.
        txid: Txid,
        /// The new set's number.
        set: u32,
        /// Height of the first block whose batches the new ones certify.
        from: u32,
    },
    /// Operators changed.
    Administered {
        /// The transaction with the tag.
        txid: Txid,
        /// The change.
        operation: AdminOperation,
    },
    /// A transaction meant for this bridge did nothing.
    Skipped {
        /// That transaction.
        txid: Txid,
        /// Why.
        why: Skip,
    },
}

/// Why a tag or an envelope of this bridge did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub enum Skip {
    /// The bytes are none of the encodings.
    Malformed,
    /// Mint: output 0 is not the vault's script.
    NotAVault,
    /// Mint: output 0's amount is no denomination.
    NotADenomination,
    /// Mint: input 0 could be a refund, which the committee has not signed (its sequence number lacks bit 31).
    MaybeRefund,
    /// Mint or administration: the committee's signature is not valid.
    CommitteeSignature,
    /// Mint or batch: a sum would be more than fits.
    Overflow,
    /// Payout: there is no such withdrawal.
    UnknownWithdrawal,
    /// Payout: the withdrawal was paid before.
    AlreadyPaid,
    /// Payout: output 0 is not the withdrawal's script.
    WrongScript,
    /// Payout: output 0 is less than the denomination less the fee.
    TooLittle,
    /// Payout: the slot is of another denomination.
    SlotDenomination,
    /// Payout: the withdrawal is not the payer's at this height.
    NotAssigned,
    /// Payout: the slot was used before.
    SlotUsed,
    /// Batch: not the next number.
    BatchNumber,
    /// Batch or change of the sequencers: too few of their signatures, one of no sequencer, or one that is not valid.
    Certificate,
    /// Batch: it names an account by an index that none had in the block before.
    AccountIndex,
    /// Batch: the sum of the signatures is not valid.
    Aggregate,
    /// Change of the sequencers: not the next set's number, or the last change does not count yet.
    SetNumber,
    /// Change of the sequencers: none at all, or one twice.
    Members,
    /// Change of the sequencers: too few signatures of the committee's signers, one of none, or one that is not valid.
    Majority,
    /// Forced transaction: it cannot be executed.
    Refused {
        /// Why not.
        refusal: Refusal,
    },
    /// Administration: the index or the key is not possible.
    Administration,
}
