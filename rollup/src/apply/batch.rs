//! What needs the sequencers' certificate: batches, and changes of the sequencers.

use alloc::vec::Vec;

use super::actions::{Actions, Outcome};
use super::{ensure, some};
use crate::certificate::{majority, quorum};
use crate::compact::Posted;
use crate::event::{Event, Skip};
use crate::host::{Host, SignatureCheck, Sink};
use crate::identifiers::{Account, Txid};
use crate::membership::Membership;
use crate::parameters::duplicate;
use crate::state::{AccountState, At, Key, NextSequencers, ReadState as _, Sequencers};
use crate::tree::StateError;

impl<H: Host, S: Sink> Actions<'_, H, S> {
    /// Executes what a quorum of the sequencers certified.
    pub(super) fn batch(&mut self, txid: Txid, payload: &[u8]) -> Outcome<H::Error> {
        let posted = some!(Posted::decode(payload), Skip::Malformed);
        ensure!(posted.number == self.meta.batches, Skip::BatchNumber);
        let next = some!(self.meta.batches.checked_add(1), Skip::Overflow);
        // Accounts are looked up in the state before the block: an index that was given in the block is not to be relied
        // on, and nothing of these paths is kept.
        let mut before = At { host: &mut *self.state.host, root: self.before };
        let opened = match posted.open(&self.rules.instance, |index| before.account_at(index))? {
            Ok(opened) => opened,
            Err(skip) => return Ok(Err(skip)),
        };
        let certificate = posted.to_certificate(&opened);
        let message = certificate.digest(&self.rules.instance);
        let certifiers = some!(self.certifiers(&certificate.signatures, &message)?, Skip::Certificate);
        ensure!(self.state.host.verify_aggregate(&opened.signatures, &opened.sum), Skip::Aggregate);
        self.meta.batches = next;

        let (mut applied, mut skipped, mut fees) = (0u32, 0u32, 0u64);
        for transaction in &opened.transactions {
            match self.execute(txid, transaction, true, transaction.fee())? {
                // What was taken from balances is no more than the supply, so the sum fits.
                Ok(()) => (applied, fees) = (applied.saturating_add(1), fees.saturating_add(transaction.fee())),
                Err(_) => skipped = skipped.saturating_add(1),
            }
        }
        self.share(&certifiers, fees)?;
        self.sink.event(Event::Batch { number: posted.number, txid, applied, skipped, fees });
        Ok(Ok(()))
    }

    /// The accounts of the sequencers that signed a message, if they are a quorum of those whom the block's batches need,
    /// and all their signatures valid.
    fn certifiers(
        &mut self,
        signatures: &[(u8, [u8; 64])],
        message: &[u8; 32],
    ) -> Result<Option<Vec<Account>>, StateError<H::Error>> {
        let (set, count) = self.state.sequencers()?.at(self.meta.height);
        let at = |index| (index < count).then_some(Key::Sequencer { set, index });
        let signers = self.signed_by(quorum(count), signatures, message, at)?;
        Ok(signers.map(|keys| keys.into_iter().map(Account).collect()))
    }

    /// The keys, which are at `at`, of those who signed a message, if there are as many as `needed`, and all signatures
    /// are valid.
    fn signed_by(
        &mut self,
        needed: Option<u8>,
        signatures: &[(u8, [u8; 64])],
        message: &[u8; 32],
        at: impl Fn(u8) -> Option<Key>,
    ) -> Result<Option<Vec<[u8; 32]>>, StateError<H::Error>> {
        if needed.is_none_or(|needed| signatures.len() < usize::from(needed)) {
            return Ok(None);
        }
        let mut keys = Vec::with_capacity(signatures.len());
        for (index, _) in signatures {
            let Some(at) = at(*index) else { return Ok(None) };
            keys.push(self.state.value(at)?.unwrap_or_default());
        }
        let signed = signatures.iter().zip(&keys);
        let check = |((_, signature), key): (&(_, [u8; 64]), &[u8; 32])| SignatureCheck {
            key: *key,
            message: *message,
            signature: *signature,
        };
        let checks: Vec<_> = signed.map(check).collect();
        Ok(self.state.host.verify_all(&checks).then_some(keys))
    }

    /// Credits the certifiers with equal parts of the fees, the first with what does not divide.
    fn share(&mut self, certifiers: &[Account], fees: u64) -> Result<(), StateError<H::Error>> {
        let Ok(count) = u64::try_from(certifiers.len()) else {
            return Ok(());
        };
        let (Some(part), Some(mut extra)) = (fees.checked_div(count), fees.checked_rem(count)) else {
            return Ok(());
        };
        for certifier in certifiers {
            let credit = part.saturating_add(core::mem::take(&mut extra));
            if credit == 0 {
                continue;
            }
            let account = self.state.account(certifier)?;
            // No balance is more than the supply, which fits: the fees were taken from balances.
            let balance = account.balance.saturating_add(credit);
            // There is an index left for it: 2^32 accounts would take more blocks than twenty years have.
            self.state.set_account(&mut self.meta, *certifier, &AccountState { balance, ..account })?;
        }
        Ok(())
    }

    /// Sets who certifies from a later block on.
    pub(super) fn membership(&mut self, txid: Txid, payload: &[u8]) -> Outcome<H::Error> {
        let change = some!(Membership::decode(payload), Skip::Malformed);
        let sequencers = self.state.sequencers()?;
        let (set, count) = sequencers.at(self.meta.height);
        // What is announced and does not count yet has the next number already.
        let pending = sequencers.next.is_some_and(|next| self.meta.height < next.from);
        ensure!(!pending && set.checked_add(1) == Some(change.set), Skip::SetNumber);
        let new = some!(u8::try_from(change.sequencers.len()).ok().filter(|new| *new > 0), Skip::Members);
        ensure!(duplicate(&change.sequencers).is_none(), Skip::Members);
        let message = change.message(&self.rules.instance);
        ensure!(self.certifiers(&change.certificate, &message)?.is_some(), Skip::Certificate);
        let signers = self.rules.signers;
        let at = |index| (index < signers).then_some(Key::Signer(index));
        let consent = self.signed_by(Some(majority(signers)), &change.consent, &message, at)?;
        ensure!(consent.is_some(), Skip::Majority);
        let from = self.meta.height.checked_add(self.rules.membership_delay.into());
        let from = some!(from, Skip::Overflow);

        for (index, key) in (0..=u8::MAX).zip(&change.sequencers) {
            self.state.set(Key::Sequencer { set: change.set, index }, *key)?;
        }
        let next = Some(NextSequencers { count: new, from });
        self.state.set(Key::Sequencers, Sequencers { set, count, next }.encode())?;
        self.sink.event(Event::SequencersChanged { txid, set: change.set, from });
        Ok(Ok(()))
    }
}
