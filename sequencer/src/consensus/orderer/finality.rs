//! What a sequencer does with a block that is final: it signs, once and for all.

use commonware_cryptography::{Digested, Digestible as _};

use super::super::block::Block;
use super::super::certificate::Part;
use super::super::certifier::Signed;
use super::super::handover::Handover;
use super::super::message::Subject;
use super::super::seal::seal;
use super::super::store::Head;
use super::sets::adopt;
use super::{Duty, Error, Orderer};
use crate::store::Changes;

/// What was signed in the name of a set, by its number.
type SignedNow = Vec<(u32, Subject, Signed)>;

impl Orderer {
    /// Takes the next final block: signs what it adds to its batch, the batch if it ends here, and what the next set begins
    /// with if it is the set's last, once and for all, and tells the others. One that was taken before changes nothing.
    ///
    /// # Errors
    /// If the block does not follow what was final, or a store fails.
    pub fn finalized(&mut self, block: &Digested<Block>) -> Result<Vec<Duty>, Error> {
        let before = *self.chain.head();
        let inner = block.inner();
        let is_past = inner.set < before.set || inner.height < before.height;
        if is_past || block.digest() == before.digest {
            return Ok(Vec::new());
        }
        let fork = Error::Fork { height: inner.height };
        if !self.chain.is_next(inner) {
            return Err(fork);
        }
        // Who is in the next set, and what is left to it, is known at the anchor.
        let closed_at = if inner.closes { self.chain.facts_at(inner.anchor)? } else { None };
        if inner.closes && closed_at.is_none() {
            return Err(Error::Behind);
        }
        self.chain.prepare(&self.store, block)?;
        let mut changes = Changes::default();
        let head = Head::of(block);
        changes.put_head(&head);
        let mut signed = self.sign(inner, &mut changes)?.ok_or(fork)?;
        self.forget_old(&mut changes)?;
        self.settle(inner, &mut changes);
        let expired = self.pool.expire(head.height);
        self.forget_live(&expired, &mut changes);
        if let Some((executed, _)) = closed_at {
            self.close(block, executed, &mut signed, &mut changes)?;
        }
        for (set, subject, own) in &signed {
            changes.put_open(*set, *subject, !self.is_complete(*set, &own.certificate));
        }
        self.store.commit(changes)?;
        self.chain.advance(block, head);
        let duties = self.told(signed);
        if let Some(certifier) = self.certifiers.get_mut(&inner.set) {
            certifier.forget_early(|subject| match subject {
                Subject::Part(height) => *height <= head.height,
                Subject::Batch(number) => *number < head.number,
                Subject::Handover(_) => inner.closes,
            });
        }
        Ok(duties)
    }

    /// What was signed is on disk: it may be told.
    pub(super) fn told(&mut self, signed: SignedNow) -> Vec<Duty> {
        let mut duties = Vec::new();
        for (set, subject, signed) in signed {
            let complete = self.is_complete(set, &signed.certificate);
            let told = self.certifiers.get_mut(&set).and_then(|certifier| certifier.signed(subject, signed));
            duties.extend(told.map(|message| Duty::Tell { set, to: None, message }));
            duties.extend(complete.then_some(Duty::Certified(subject)));
        }
        duties
    }

    /// Signs what a final block says; `None` if something else was signed in its place.
    fn sign(&self, block: &Block, changes: &mut Changes) -> Result<Option<SignedNow>, Error> {
        let Block { set, height, number, .. } = *block;
        let certifier = self.certifiers.get(&set).ok_or(Error::NotAMember)?;
        let mut signed = Vec::new();
        if !block.transactions.is_empty() {
            if self.store.part(height)?.is_some() {
                return Ok(None);
            }
            let part = part_of(block);
            let own = certifier.sign(Subject::Part(height), part.digest(&self.instance));
            changes.put_part(height, &Part { certificate: own.certificate.clone(), ..part });
            signed.push((set, Subject::Part(height), own));
        }
        if block.cut {
            if self.store.batch(number)?.is_some() {
                return Ok(None);
            }
            let mut transactions = Vec::new();
            for part in self.store.parts_from(self.store.first_height(number)?) {
                transactions.extend(part?.1.decoded());
            }
            transactions.extend(block.decoded().unwrap_or_default());
            let batch = seal(number, &transactions);
            let own = certifier.sign(Subject::Batch(number), batch.digest(&self.instance));
            changes.put_batch(&trestle_rollup::Batch { certificate: own.certificate.clone(), ..batch });
            changes.put_cut(number, height);
            signed.push((set, Subject::Batch(number), own));
        }
        Ok(Some(signed))
    }

    /// Signs what the next set begins with and, for the next set, the batches that this one leaves behind: all but the first
    /// `executed`.
    fn close(
        &mut self,
        block: &Digested<Block>,
        executed: u64,
        signed: &mut SignedNow,
        changes: &mut Changes,
    ) -> Result<(), Error> {
        let genesis = Block::genesis_after(block);
        let (set, next) = (block.inner().set, genesis.set);
        let first = self.store.first_height(executed.min(block.inner().number))?;
        let (mut pending, mut parts) = (Vec::new(), Vec::new());
        for part in self.store.parts_from(first) {
            let (height, part) = part?;
            pending.push(height);
            parts.push(part);
        }
        if !block.inner().transactions.is_empty() {
            pending.push(block.inner().height);
            parts.push(part_of(block.inner()));
        }
        let mut handover = Handover { genesis, pending, signatures: Vec::new() };
        if let Some(certifier) = self.certifiers.get(&set) {
            let subject = Subject::Handover(next.into());
            let own = certifier.sign(subject, handover.digest(&self.instance, &parts));
            handover.signatures = own.certificate.clone();
            signed.push((set, subject, own));
        }
        changes.put_handover(&handover);
        self.begin(next, handover.genesis.number)?;
        if let Some(certifier) = self.certifier_of(next)? {
            signed.extend(adopt(&handover, &parts, &certifier, &self.instance, changes));
            self.certifiers.insert(next, certifier);
        }
        Ok(())
    }

    /// Notes where a final block's transactions are, and lets go of what waited in their place.
    fn settle(&mut self, block: &Block, changes: &mut Changes) {
        for signed in block.decoded().unwrap_or_default() {
            let transaction = &signed.transaction;
            let id = transaction.sighash(&self.instance);
            changes.put_place(&id, block.height);
            let passed = self.pool.pass(&transaction.from(), transaction.nonce().saturating_add(1));
            self.forget_live(&passed, changes);
            self.forget_live(&[id], changes);
        }
    }
}

/// What a block adds to its batch, without a signature.
fn part_of(block: &Block) -> Part {
    let Block { set, number, first, .. } = *block;
    Part { set, number, first, transactions: block.transactions.clone(), certificate: Vec::new() }
}
