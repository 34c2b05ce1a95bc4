//! Which jobs the leader proposes, and when.

use bitcoin::secp256k1::schnorr::Signature;
use trestle_bridge::job::{DepositJob, Job, RunJob};
use trestle_bridge::transactions::{CooperativeTerms, Vault, cooperative};
use trestle_rollup::WithdrawalId;

use crate::book::{Known, Progress};
use crate::event::Duty;
use crate::leader::{Queued, Waiting};
use crate::machine::{Error, LEADER, MAX_SESSIONS, Signer, refusal};
use crate::message::JobId;
use crate::policy::{Knowledge, Refusal};
use crate::store::{Batch, Store};
use crate::view::View;

impl<S: Store + Clone> Signer<S> {
    /// True while a job of the other kind, about the same denomination, is being signed: a deposit has to cover every slot and a run
    /// every vault, so that they go one after the other. For a while only: a job that gets stuck does not block for ever.
    fn blocked(&self, denomination: u8, by: fn(&Job) -> Option<u8>, tip: u32) -> bool {
        self.sessions.keys().any(|id| {
            let young = self.since.get(id).is_none_or(|since| since.saturating_add(self.patience()) >= tip);
            young && self.book.get(id).is_some_and(|known| by(&known.job) == Some(denomination))
        })
    }

    pub(crate) fn propose_administration(&mut self, view: &dyn View, out: &mut Vec<Duty>) -> Result<(), Error> {
        let idle = |(id, known): (&JobId, &Known)| {
            let admin = matches!(known.job, Job::Admin(_)) && known.progress == Progress::Open;
            (admin && !self.sessions.contains_key(id)).then(|| known.job.clone())
        };
        let jobs: Vec<Job> = self.book.jobs().filter_map(idle).collect();
        for job in jobs {
            self.propose(job, Vec::new(), view, out)?;
        }
        Ok(())
    }

    pub(crate) fn propose_runs(&mut self, view: &dyn View, out: &mut Vec<Duty>) -> Result<(), Error> {
        let tip = view.tip()?;
        for queued in std::mem::take(&mut self.queue) {
            let Job::Run(RunJob { terms, .. }) = &queued.job else { continue };
            if !queued.ready && queued.since.saturating_add(self.patience()) < tip {
                let reason = "the keys of its lanes do not come".into();
                out.push(Duty::Refused { job: JobId::of(&self.bridge, &queued.job), by: LEADER, reason });
                self.forget_lanes(terms)?;
                continue;
            }
            if !queued.ready || self.blocked(terms.denomination, deposit_denomination, tip) {
                self.queue.push_back(queued);
                continue;
            }
            let consents = queued.consents;
            let vaults =
                Knowledge { bridge: &self.bridge, book: &self.book, view }.unspent_vaults(terms.denomination)?;
            let job = Job::Run(RunJob { terms: terms.clone(), vaults });
            let id = JobId::of(&self.bridge, &job);
            if let Some(reason) = self.propose(job, consents, view, out)? {
                out.push(Duty::Refused { job: id, by: LEADER, reason });
                self.forget_lanes(terms)?;
            }
        }
        Ok(())
    }

    pub(crate) fn propose_deposits(&mut self, view: &dyn View, out: &mut Vec<Duty>) -> Result<(), Error> {
        let tip = view.tip()?;
        let waiting: Vec<Waiting> = self.waiting.values().cloned().collect();
        for Waiting { terms, consents, since } in waiting {
            let complete = self.book.deposits().any(|(_, other, known)| {
                other.outpoint == terms.outpoint && matches!(known.progress, Progress::Complete | Progress::Ended)
            });
            let knowledge = Knowledge { bridge: &self.bridge, book: &self.book, view };
            let gone = knowledge.settled(&terms.outpoint)?
                || since.saturating_add(u32::from(self.bridge.parameters.refund_delay.value())) < tip
                    && view.output(&terms.outpoint)?.is_none();
            if complete || gone {
                let mut batch = Batch::default();
                let claimed = Waiting::claimed(&terms);
                batch.remove(Waiting::key(&claimed));
                self.musig.store().commit(batch)?;
                self.waiting.remove(&claimed);
                continue;
            }
            let queued = |queued: &Queued| queued.ready && run_denomination(&queued.job) == Some(terms.denomination);
            if self.blocked(terms.denomination, run_denomination, tip) || self.queue.iter().any(queued) {
                continue;
            }
            let slots = knowledge.open_slots(terms.denomination)?;
            let covered = self.sessions.keys().any(|id| match self.book.get(id) {
                Some(Known { job: Job::Deposit(other), .. }) => {
                    other.terms.outpoint == terms.outpoint && slots.iter().all(|slot| other.slots.contains(slot))
                }
                _ => false,
            });
            if covered {
                continue;
            }
            if let Some(reason) = self.propose(Job::Deposit(DepositJob { terms, slots }), consents, view, out)? {
                // As it was asked for: without slots.
                let asked = Job::Deposit(DepositJob { terms, slots: Vec::new() });
                out.push(Duty::Refused { job: JobId::of(&self.bridge, &asked), by: LEADER, reason });
            }
        }
        Ok(())
    }

    pub(crate) fn propose_payouts(&mut self, view: &dyn View, out: &mut Vec<Duty>) -> Result<(), Error> {
        for withdrawal in view.pending_withdrawals()? {
            let Some(owed) = view.withdrawal(withdrawal)?.filter(|owed| !owed.paid) else { continue };
            let destination = owed.destination.script_pubkey();
            let rate = view.fee_rate()?.max(self.bridge.parameters.presigned_fee_rate);
            let fee = cooperative::fee(&self.bridge, &destination, rate).min(self.bridge.parameters.withdrawal_fee);
            let same = |terms: &CooperativeTerms| terms.withdrawal == withdrawal;
            if self
                .sessions
                .keys()
                .any(|id| matches!(self.book.get(id), Some(Known { job: Job::Cooperative(terms), .. }) if same(terms)))
            {
                continue;
            }
            let promised = self.book.promises().filter(|(_, terms)| same(terms)).max_by_key(|(_, terms)| terms.fee);
            let vaults = match promised {
                // A replacement pays a quarter more, or is not worth relaying.
                Some((_, terms)) if terms.fee + terms.fee / 4 >= fee => continue,
                Some((_, terms)) => vec![terms.vault],
                None => self.free_vaults(owed.denomination, view)?,
            };
            for vault in vaults {
                let terms = CooperativeTerms { withdrawal, vault, destination: destination.clone(), fee };
                match self.propose(Job::Cooperative(terms), Vec::new(), view, out)? {
                    Some(_) if self.may_pay(withdrawal, view)? => {}
                    _ => break,
                }
            }
        }
        Ok(())
    }

    /// True if a payout of this withdrawal by the committee could still be mined in time, whatever the vault.
    fn may_pay(&self, withdrawal: WithdrawalId, view: &dyn View) -> Result<bool, Error> {
        let knowledge = Knowledge { bridge: &self.bridge, book: &self.book, view };
        Ok(knowledge.committees_turn(withdrawal, 0)?)
    }

    /// Vaults that no payout was begun from, with an unspent ticket.
    fn free_vaults(&self, denomination: u8, view: &dyn View) -> Result<Vec<Vault>, Error> {
        let begun = |vault: &Vault| {
            self.book.jobs().any(|(_, known)| {
                let this = matches!(&known.job, Job::Cooperative(terms) if terms.vault == *vault);
                this && known.progress != Progress::Ended
            })
        };
        let mut free = Vec::new();
        for vault in self.book.vaults().filter(|vault| vault.denomination == denomination && !begun(vault)) {
            if view.spender(&vault.ticket())?.is_none() {
                free.push(vault);
            }
        }
        Ok(free)
    }

    /// Begins a job, if the leader itself finds it good. Otherwise says why not.
    fn propose(
        &mut self,
        job: Job,
        consents: Vec<Signature>,
        view: &dyn View,
        out: &mut Vec<Duty>,
    ) -> Result<Option<String>, Error> {
        let id = JobId::of(&self.bridge, &job);
        if self.sessions.contains_key(&id) || self.book.get(&id).is_some_and(|known| known.progress != Progress::Open) {
            return Ok(None);
        }
        if self.busy_with() >= MAX_SESSIONS {
            return Ok(Some("busy".into()));
        }
        let knowledge = Knowledge { bridge: &self.bridge, book: &self.book, view };
        if let Some(refusal) = refusal(knowledge.check(&id, &job))? {
            tracing::debug!(job = %id, %refusal, "not proposed");
            if let Refusal::Malformed(reason) = &refusal {
                out.push(Duty::Refused { job: id, by: LEADER, reason: reason.clone() });
            }
            return Ok(Some(refusal.to_string()));
        }
        if !self.take_up(id, job, consents, view, out)? {
            return Ok(Some("there is nothing to sign".into()));
        }
        Ok(None)
    }
}

fn deposit_denomination(job: &Job) -> Option<u8> {
    match job {
        Job::Deposit(deposit) => Some(deposit.terms.denomination),
        _ => None,
    }
}

fn run_denomination(job: &Job) -> Option<u8> {
    match job {
        Job::Run(run) => Some(run.terms.denomination),
        _ => None,
    }
}
