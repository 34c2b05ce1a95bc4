//! What each kind of tag and envelope does, and when it does nothing.

use super::{ensure, some};
use crate::assignment::Assignment;
use crate::block::{Action, Summary};
use crate::compress::Digest;
use crate::destination::Destination;
use crate::envelope::{Envelope, Kind};
use crate::event::{Event, Skip};
use crate::execute::{Effect, Refusal, Rules, execute};
use crate::host::{Host, SignatureCheck, Sink};
use crate::identifiers::{Account, SlotId, Txid, WithdrawalId};
use crate::state::{AccountState, Fulfilment, Key, Meta, ReadState, State, Withdrawal};
use crate::tag::{AdminOperation, Tag, admin_message, mint_message};
use crate::transaction::{SignedTransaction, Transaction};
use crate::tree::StateError;

/// A block being applied.
pub(super) struct Actions<'a, H, S> {
    pub(super) state: State<'a, H>,
    /// The root of the state before the block.
    pub(super) before: Digest,
    pub(super) rules: Rules,
    /// Written back to the state at the end of the block.
    pub(super) meta: Meta,
    pub(super) sink: &'a mut S,
}

/// Done, or nothing done and why; the outer error is the host's.
pub(super) type Outcome<E, T = ()> = Result<Result<T, Skip>, StateError<E>>;

/// The bit of a sequence number without which BIP 68 reads a relative lock time out of it.
const SEQUENCE_DISABLE_FLAG: u32 = 1 << 31;

impl<H: Host, S: Sink> Actions<'_, H, S> {
    /// Does what one Bitcoin transaction asks for.
    pub(super) fn act(&mut self, summary: &Summary) -> Result<(), StateError<H::Error>> {
        let outcome = match &summary.action {
            Action::Tag(None) => Err(Skip::Malformed),
            Action::Tag(Some(Tag::Mint { account, signature })) => self.mint(summary, account, signature)?,
            Action::Tag(Some(Tag::Payout { withdrawal, slot })) => self.payout(summary, *withdrawal, *slot)?,
            Action::Tag(Some(Tag::Cooperative { withdrawal })) => self.cooperative(summary, *withdrawal)?,
            Action::Tag(Some(Tag::Admin { operation, signature })) => {
                self.administer(summary, *operation, signature)?
            }
            Action::Envelope(Envelope { kind: Kind::Batch, payload }) => self.batch(summary.txid, payload)?,
            Action::Envelope(Envelope { kind: Kind::Forced, payload }) => self.forced(summary.txid, payload)?,
            Action::Envelope(Envelope { kind: Kind::Membership, payload }) => self.membership(summary.txid, payload)?,
        };
        if let Err(why) = outcome {
            self.sink.event(Event::Skipped { txid: summary.txid, why });
        }
        Ok(())
    }

    /// Credits the denomination that a new vault holds.
    ///
    /// The committee's signature names input 0's outpoint, which is spent once, so it mints once. It does not name the
    /// transaction: were input 0 a deposit that its user takes back, output 0 would be a vault that no Reimburse was
    /// signed for. A refund needs a relative lock time, so a sequence number without bit 31 (BIP 112): such a
    /// transaction mints nothing. All others spend the deposit by the committee's leaf, and are as it signed them.
    fn mint(&mut self, summary: &Summary, account: &Account, signature: &[u8; 64]) -> Outcome<H::Error> {
        let (value, script) = &summary.payment;
        let vault = Destination::P2tr(self.rules.vault_key);
        ensure!(script.is_some_and(|script| vault.is_paid_by(script.as_bytes())), Skip::NotAVault);
        let denomination = self.rules.denominations.iter().position(|denomination| denomination == value);
        let denomination = some!(denomination.and_then(|index| u8::try_from(index).ok()), Skip::NotADenomination);
        ensure!(summary.sequence & SEQUENCE_DISABLE_FLAG != 0, Skip::MaybeRefund);
        let message = mint_message(&self.rules.instance, &summary.input, account, *value);
        ensure!(self.committee_signed(message, signature), Skip::CommitteeSignature);

        let credited = self.state.account(account)?;
        let supply = some!(self.meta.supply.checked_add(*value), Skip::Overflow);
        let balance = some!(credited.balance.checked_add(*value), Skip::Overflow);
        let credited = AccountState { balance, ..credited };
        ensure!(self.state.set_account(&mut self.meta, *account, &credited)?, Skip::Overflow);
        self.meta.supply = supply;
        self.sink.event(Event::Minted { txid: summary.txid, outpoint: summary.input, account: *account, denomination });
        Ok(Ok(()))
    }

    /// Marks a withdrawal paid and a slot fulfilled.
    fn payout(&mut self, summary: &Summary, id: WithdrawalId, slot: SlotId) -> Outcome<H::Error> {
        let (withdrawal, assignment) = match self.paid_withdrawal(summary, id)? {
            Ok(paid) => paid,
            Err(skip) => return Ok(Err(skip)),
        };
        ensure!(slot.denomination == withdrawal.denomination, Skip::SlotDenomination);
        let assigned = matches!(assignment, Assignment::Operator { index, .. } if index == slot.operator);
        ensure!(assigned, Skip::NotAssigned);
        ensure!(self.state.slot(slot)?.is_none(), Skip::SlotUsed);

        self.state.set_withdrawal(id, &Withdrawal { paid: true, ..withdrawal })?;
        let fulfilment = Fulfilment { height: self.meta.height, withdrawal: id };
        self.state.set(Key::Slot(slot), fulfilment.encode())?;
        self.sink.event(Event::Paid { txid: summary.txid, id, slot });
        Ok(Ok(()))
    }

    /// Marks a withdrawal paid by the committee.
    fn cooperative(&mut self, summary: &Summary, id: WithdrawalId) -> Outcome<H::Error> {
        let (withdrawal, assignment) = match self.paid_withdrawal(summary, id)? {
            Ok(paid) => paid,
            Err(skip) => return Ok(Err(skip)),
        };
        ensure!(assignment == Assignment::Committee, Skip::NotAssigned);
        self.state.set_withdrawal(id, &Withdrawal { paid: true, ..withdrawal })?;
        self.sink.event(Event::PaidCooperatively { txid: summary.txid, id });
        Ok(Ok(()))
    }

    /// The pending withdrawal that output 0 pays in full, and whose it is now.
    fn paid_withdrawal(&mut self, summary: &Summary, id: WithdrawalId) -> Outcome<H::Error, (Withdrawal, Assignment)> {
        let withdrawal = some!(self.state.withdrawal(id)?, Skip::UnknownWithdrawal);
        ensure!(!withdrawal.paid, Skip::AlreadyPaid);
        let (value, script) = &summary.payment;
        let paid = script.is_some_and(|script| withdrawal.destination.is_paid_by(script.as_bytes()));
        ensure!(paid, Skip::WrongScript);
        let owed = self.rules.denomination(withdrawal.denomination);
        let owed = owed.and_then(|amount| amount.checked_sub(self.rules.withdrawal_fee));
        ensure!(owed.is_some_and(|owed| *value >= owed), Skip::TooLittle);
        let active = self.state.active_operators()?;
        let (height, operators) = (self.meta.height, self.meta.operators);
        let assignment = Assignment::at(id, &withdrawal, height, &self.rules.windows, operators, &active);
        Ok(Ok((withdrawal, assignment)))
    }

    /// Changes the operators.
    fn administer(&mut self, summary: &Summary, operation: AdminOperation, signature: &[u8; 64]) -> Outcome<H::Error> {
        let message = admin_message(&self.rules.instance, &summary.input, &operation);
        ensure!(self.committee_signed(message, signature), Skip::CommitteeSignature);
        match operation {
            AdminOperation::SetOperator { index, key } => {
                ensure!(index <= self.meta.operators, Skip::Administration);
                let least = some!(index.checked_add(1), Skip::Administration);
                ensure!(!self.has_key(index, &key)?, Skip::Administration);
                self.meta.operators = self.meta.operators.max(least);
                self.state.set(Key::Operator(index), key)?;
                self.set_active(index, true)?;
            }
            AdminOperation::RetireOperator { index } => {
                ensure!(self.state.active_operators()?.contains(index), Skip::Administration);
                self.set_active(index, false)?;
            }
        }
        self.sink.event(Event::Administered { txid: summary.txid, operation });
        Ok(Ok(()))
    }

    /// Whether another operator has the key.
    fn has_key(&mut self, except: u8, key: &[u8; 32]) -> Result<bool, StateError<H::Error>> {
        for index in (0..self.meta.operators).filter(|index| *index != except) {
            if self.state.value(Key::Operator(index))?.as_ref() == Some(key) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn set_active(&mut self, operator: u8, active: bool) -> Result<(), StateError<H::Error>> {
        let mut operators = self.state.active_operators()?;
        operators.set(operator, active);
        self.state.set(Key::ActiveOperators, operators.0)
    }

    /// Executes one transaction that was posted past the sequencers. Its poster paid Bitcoin; its fee is not taken.
    fn forced(&mut self, txid: Txid, payload: &[u8]) -> Outcome<H::Error> {
        let forced = some!(SignedTransaction::decode(payload), Skip::Malformed);
        let signed = self.state.host.verify(&[forced.check(&self.rules.instance)]) == [true];
        let outcome = self.execute(txid, &forced.transaction, signed, 0)?;
        self.sink.event(Event::Forced { txid, applied: outcome.is_ok() });
        Ok(outcome.map_err(|refusal| Skip::Refused { refusal }))
    }

    pub(super) fn execute(
        &mut self,
        txid: Txid,
        transaction: &Transaction,
        signed: bool,
        fee: u64,
    ) -> Result<Result<(), Refusal>, StateError<H::Error>> {
        let effect = execute(&mut self.state, &self.rules, &mut self.meta, transaction, signed, fee)?;
        Ok(effect.map(|effect| {
            self.sink.event(match effect {
                Effect::Transferred { from, to, amount } => Event::Transferred { txid, from, to, amount, fee },
                Effect::Requested { id, from, denomination, destination } => {
                    Event::WithdrawalRequested { txid, id, from, denomination, destination }
                }
            });
        }))
    }

    fn committee_signed(&mut self, message: Digest, signature: &[u8; 64]) -> bool {
        let check = SignatureCheck { key: self.rules.committee, message, signature: *signature };
        self.state.host.verify(&[check]) == [true]
    }
}
