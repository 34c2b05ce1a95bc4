//! The sets that a sequencer is in: how it gets into one, and what it signs for which.

use std::collections::BTreeSet;

use bitcoin::secp256k1::Keypair;
use commonware_cryptography::Digested;
use trestle_rollup::{Ledger, Signatures, quorum};

use super::super::block::Block;
use super::super::certificate::Part;
use super::super::certifier::{Certifier, Signed};
use super::super::chain::first_genesis;
use super::super::handover::Handover;
use super::super::message::{Message, Subject, TRANSACTIONS_BYTES};
use super::super::seal::seal;
use super::super::store::{Head, Store};
use super::{Duty, Error, Orderer, Set};
use crate::history::deep;
use crate::policy::Policy;
use crate::store::{Changes, StoreError};

impl Orderer {
    /// Opens the store in `db` of a sequencer that has not seen the blocks of the set before its own: it begins with the
    /// handover, whose pending blocks are `parts`.
    ///
    /// # Errors
    /// If no quorum of the set before certified this, the key is not in the set, the store is of a sequencer that is
    /// further, or a store fails.
    pub fn join(
        db: &sled::Db,
        key: Keypair,
        ledger: Ledger,
        confirmations: u32,
        policy: Policy,
        (handover, parts): (&Handover, &[Part]),
    ) -> Result<Self, Error> {
        let store = Store::open(db)?;
        let (set, instance) = (handover.genesis.set, ledger.parameters().instance());
        let is_further = store.head()?.is_some_and(|head| head.set >= set);
        let before = set.checked_sub(1).ok_or(Error::Handover(set))?;
        let keys = ledger.state_at_tip().keys_of_set(before)?;
        if is_further || !handover.verify(&instance, &keys, parts) {
            return Err(Error::Handover(set));
        }
        let keys = ledger.state_at_tip().keys_of_set(set)?;
        let certifier = Certifier::new(key, keys).ok_or(Error::NotAMember)?;
        let mut changes = Changes::default();
        changes.put_handover(handover);
        changes.put_head(&Head::of(&handover.digested()));
        changes.put_living(set);
        // A batch ends where the next one begins, and the last one before the set does.
        let numbers: BTreeSet<_> = parts.iter().map(|part| part.number).collect();
        if let Some(first) = numbers.first().and_then(|first| first.checked_sub(1)) {
            let start = handover.pending.first().map_or(handover.genesis.base, |height| height.saturating_sub(1));
            changes.put_cut(first, start);
        }
        for (height, part) in handover.pending.iter().zip(parts) {
            // The quorum signed the handover; who signed the part alone is not known.
            if store.part(*height)?.is_none() {
                changes.put_part(*height, &Part { certificate: Vec::new(), ..part.clone() });
            }
            changes.put_cut(part.number, *height);
            part.decoded().iter().for_each(|signed| changes.put_place(&signed.transaction.sighash(&instance), *height));
        }
        for number in &numbers {
            let of_number = parts.iter().filter(|part| part.number == *number);
            if store.batch(*number)?.is_none() {
                changes.put_batch(&seal(*number, &of_number.flat_map(Part::decoded).collect::<Vec<_>>()));
            }
        }
        if let Some(last) = handover.genesis.number.checked_sub(1) {
            changes.put_cut(last, handover.genesis.base);
        }
        for (set, subject, own) in adopt(handover, parts, &certifier, &instance, &mut changes) {
            changes.put_open(set, subject, !certifier.is_complete(&own.certificate));
        }
        store.commit(changes)?;
        drop(store);
        Self::open(db, key, ledger, confirmations, policy)
    }

    /// What the store knows of the sets that may still go on, and of what they have to certify.
    pub(super) fn open_sets(&mut self) -> Result<(), Error> {
        let (living, last) = (self.store.living()?, self.chain.head().set);
        for set in 0..=last {
            // It has nothing that was cut by a set before the one that it joined.
            self.begin(set, self.genesis(set)?.map_or(u64::MAX, |genesis| genesis.inner().number))?;
        }
        for set in living..=last {
            let Some(mut certifier) = self.certifier_of(set)? else { continue };
            for subject in self.store.open_subjects(set)? {
                let signed = self.signed(set, subject)?.ok_or(StoreError::Damaged("what lacks signatures"))?;
                // What it says is said again at a tick.
                let _ = certifier.signed(subject, signed);
            }
            self.certifiers.insert(set, certifier);
        }
        if self.certifiers.is_empty() { Err(Error::NotAMember) } else { Ok(()) }
    }

    /// Notes the first batch of a set, and how many of its sequencers are a quorum.
    pub(super) fn begin(&mut self, set: u32, begins: u64) -> Result<(), Error> {
        let count = self.chain.ledger().state_at_tip().keys_of_set(set)?.len();
        let needed = u8::try_from(count).ok().and_then(quorum).unwrap_or(u8::MAX);
        self.sets.insert(set, Set { begins, needed: usize::from(needed) });
        Ok(())
    }

    /// `None` if the own key is not in the set.
    pub(super) fn certifier_of(&self, set: u32) -> Result<Option<Certifier>, Error> {
        Ok(Certifier::new(self.key, self.chain.ledger().state_at_tip().keys_of_set(set)?))
    }

    /// The sets whose agreement this sequencer takes part in, with its index in each: the one that goes on, and those before
    /// until it [leaves](Self::leave) them.
    #[must_use]
    pub fn seats(&self) -> Vec<(u32, u8)> {
        self.certifiers.iter().map(|(set, certifier)| (*set, certifier.own())).collect()
    }

    /// The set whose agreement goes on. The sequencer may not be in it any more.
    #[must_use]
    pub fn set(&self) -> u32 {
        self.chain.head().set
    }

    /// The handover by which the set began that goes on, if its quorum is known: for who lacks it there.
    pub(super) fn own_handover(&self, subject: Subject) -> Result<Option<Message>, Error> {
        let set = self.chain.head().set;
        let handover = if subject == Subject::Handover(set.into()) { self.handover(set)? } else { None };
        Ok(handover.map(|handover| Message::Certificate { subject, signatures: handover.signatures }))
    }

    /// Who lacks the quorum of a handover asks in the new set, too: those of the old one may have left.
    pub(super) fn ask_for_handover(&self) -> Result<Option<Duty>, Error> {
        let set = self.chain.head().set;
        let before = set.checked_sub(1).filter(|before| self.certifiers.contains_key(before));
        if before.is_none() || !self.certifiers.contains_key(&set) || self.handover(set)?.is_some() {
            return Ok(None);
        }
        Ok(Some(Duty::Tell { set, to: None, message: Message::Ask { subject: Subject::Handover(set.into()) } }))
    }

    /// What a sequencer that has left promised and nobody executed yet is for those of its last set who stayed: as much as
    /// one message takes.
    pub(super) fn hand_on(&mut self) -> Result<Option<Duty>, Error> {
        let set = match self.certifiers.last_key_value() {
            Some((set, _)) if *set < self.chain.head().set => *set,
            _ => return Ok(None),
        };
        let state = self.chain.ledger().state_at_tip();
        let waiting: Vec<_> = self.pool.next_nonces().collect();
        let mut changes = Changes::default();
        for (account, _) in waiting {
            let next = state.account(&account)?.nonce;
            let passed = self.pool.pass(&account, next);
            self.forget_live(&passed, &mut changes);
        }
        self.store.commit(changes)?;
        let (mut some, mut bytes) = (Vec::new(), 0);
        for signed in self.pool.in_turn() {
            bytes += signed.encode().len();
            if bytes > TRANSACTIONS_BYTES {
                break;
            }
            some.push(*signed);
        }
        let message = Message::spread(&some).pop();
        Ok(message.map(|message| Duty::Tell { set, to: None, message }))
    }

    /// Lets go of the sets of which nothing is needed any more. Who is in the next one, too, does so when that counts in a
    /// deep block and the handover has its quorum. Who is not may be the only one that has it, and stays until a batch that
    /// the next set cut was executed in a deep block.
    ///
    /// # Errors
    /// If a store fails.
    pub fn leave(&mut self) -> Result<(), Error> {
        let deep = deep(self.chain.ledger(), self.chain.confirmations())?;
        let (counts, executed) = (deep.sequencers()?.at(deep.height()).0, deep.meta()?.batches);
        for (set, _) in self.seats() {
            let next = set.saturating_add(1);
            let Some(genesis) = self.genesis(next)?.filter(|_| set < self.chain.head().set) else { continue };
            let may_leave = match self.certifier_of(next)? {
                Some(_) => set < counts && self.handover(next)?.is_some(),
                None => executed > genesis.inner().number,
            };
            if may_leave {
                let mut changes = Changes::default();
                self.store.open_subjects(set)?.iter().for_each(|subject| changes.put_open(set, *subject, false));
                changes.put_living(next);
                self.store.commit(changes)?;
                self.certifiers.remove(&set);
            }
        }
        Ok(())
    }

    /// What a set begins with, if this sequencer knows it.
    ///
    /// # Errors
    /// If a store fails.
    pub fn genesis(&self, set: u32) -> Result<Option<Digested<Block>>, Error> {
        if set == 0 {
            return first_genesis(self.chain.ledger()).map(Some);
        }
        Ok(self.store.handover(set)?.map(|handover| handover.digested()))
    }

    /// The same, with the certificate of the set before and what that one left behind.
    ///
    /// # Errors
    /// If the store fails.
    pub fn handover(&self, set: u32) -> Result<Option<Handover>, Error> {
        let handover = self.store.handover(set)?;
        Ok(handover.filter(|handover| self.is_complete(set.saturating_sub(1), &handover.signatures)))
    }

    pub(super) fn is_complete(&self, set: u32, certificate: &Signatures) -> bool {
        self.sets.get(&set).is_some_and(|set| certificate.len() >= set.needed)
    }

    /// Whether a set cut this batch itself; otherwise it took it over, or never had it.
    fn has_cut(&self, set: u32, number: u64) -> bool {
        let begins = |set| self.sets.get(&set).map(|set: &Set| set.begins);
        begins(set).is_some_and(|first| number >= first)
            && set.checked_add(1).and_then(begins).is_none_or(|end| number < end)
    }

    /// The signatures known of something in the name of a set.
    pub(super) fn certificate(&self, set: u32, subject: Subject) -> Result<Option<Signatures>, Error> {
        Ok(match subject {
            Subject::Part(height) => self.part(height)?.filter(|part| part.set == set).map(|part| part.certificate),
            Subject::Batch(number) if self.has_cut(set, number) => {
                self.store.batch(number)?.map(|batch| batch.certificate)
            }
            Subject::Batch(number) => self.store.adopted(set, number)?,
            Subject::Handover(next) => self.handover_after(set, next)?.map(|handover| handover.signatures),
        })
    }

    fn handover_after(&self, set: u32, next: u64) -> Result<Option<Handover>, Error> {
        let next = u32::try_from(next).ok().filter(|next| set.checked_add(1) == Some(*next));
        Ok(next.map(|next| self.store.handover(next)).transpose()?.flatten())
    }

    /// Keeps a certificate of something that was signed here.
    pub(super) fn put_certificate(
        &self,
        set: u32,
        subject: Subject,
        certificate: Signatures,
        changes: &mut Changes,
    ) -> Result<(), Error> {
        match subject {
            Subject::Part(height) => {
                let part = self.part(height)?.ok_or(StoreError::Damaged("a part"))?;
                changes.put_part(height, &Part { certificate, ..part });
            }
            Subject::Batch(number) if self.has_cut(set, number) => {
                let batch = self.store.batch(number)?.ok_or(StoreError::Damaged("a batch"))?;
                changes.put_batch(&trestle_rollup::Batch { certificate, ..batch });
            }
            Subject::Batch(number) => changes.put_adopted(set, number, &certificate),
            Subject::Handover(next) => {
                let handover = self.handover_after(set, next)?.ok_or(StoreError::Damaged("a handover"))?;
                changes.put_handover(&Handover { signatures: certificate, ..handover });
            }
        }
        Ok(())
    }

    /// What was signed of something in the name of a set.
    fn signed(&self, set: u32, subject: Subject) -> Result<Option<Signed>, Error> {
        let instance = &self.instance;
        let digest = match subject {
            Subject::Part(height) => self.part(height)?.map(|part| part.digest(instance)),
            Subject::Batch(number) => self.store.batch(number)?.map(|batch| batch.digest(instance)),
            Subject::Handover(next) => match self.handover_after(set, next)? {
                Some(handover) => {
                    let parts = handover.pending.iter().map(|height| {
                        Ok::<_, Error>(self.part(*height)?.ok_or(StoreError::Damaged("a pending part"))?)
                    });
                    Some(handover.digest(instance, &parts.collect::<Result<Vec<_>, _>>()?))
                }
                None => None,
            },
        };
        let certificate = self.certificate(set, subject)?;
        Ok(digest.zip(certificate).map(|(digest, certificate)| Signed { digest, certificate }))
    }
}

/// Signs for a set what it takes over from the one before: the batches in these parts.
pub(super) fn adopt(
    handover: &Handover,
    parts: &[Part],
    certifier: &Certifier,
    instance: &trestle_rollup::Digest,
    changes: &mut Changes,
) -> Vec<(u32, Subject, Signed)> {
    let set = handover.genesis.set;
    let mut signed = Vec::new();
    for group in parts.chunk_by(|one, next| one.number == next.number) {
        let Some(number) = group.first().map(|part| part.number) else { continue };
        let transactions: Vec<_> = group.iter().flat_map(Part::decoded).collect();
        let own = certifier.sign(Subject::Batch(number), seal(number, &transactions).digest(instance));
        changes.put_adopted(set, number, &own.certificate);
        signed.push((set, Subject::Batch(number), own));
    }
    signed
}
