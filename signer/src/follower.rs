//! What every signer but the leader does: judges what is proposed, and signs what it found good.

use bitcoin::secp256k1::schnorr::Signature;
use musig2::AggNonce;
use trestle_bridge::job::Job;

use crate::book::{Known, Progress};
use crate::consent;
use crate::event::Duty;
use crate::machine::{Error, LEADER, MAX_SESSIONS, Signer, blame, refusal};
use crate::message::{JobId, Message};
use crate::musig::MusigError;
use crate::policy::Knowledge;
use crate::session::{Offer, SessionError};
use crate::store::{Batch, Store};
use crate::view::View;

impl<S: Store + Clone> Signer<S> {
    /// The leader proposes a job, or reminds of it.
    pub(crate) fn proposed(
        &mut self,
        job: Job,
        at: u32,
        consents: Vec<Signature>,
        view: &dyn View,
        out: &mut Vec<Duty>,
    ) -> Result<(), Error> {
        let id = JobId::of(&self.bridge, &job);
        if self.sessions.get(&id).is_some_and(|session| session.position() <= at) {
            return self.send_nonces(id, out);
        }
        if self.awaiting.contains(&id) {
            return self.fetch_keys(out);
        }
        let taken_up =
            self.book.get(&id).is_some_and(|known| known.progress != Progress::Open) || self.sessions.contains_key(&id);
        if taken_up {
            self.catch_up(id, LEADER, at, out)?;
            return Ok(());
        }
        let reason = if self.busy_with() >= MAX_SESSIONS {
            Some("busy".to_owned())
        } else if let Err(error) = consent::check(&self.bridge, &job, &consents) {
            Some(error.to_string())
        } else {
            let knowledge = Knowledge { bridge: &self.bridge, book: &self.book, view };
            refusal(knowledge.check(&id, &job))?.map(|refusal| refusal.to_string())
        };
        if let Some(reason) = reason {
            return self.refuse(id, reason, out);
        }
        if !self.take_up(id, job, consents, view, out)? {
            return self.refuse(id, "there is nothing to sign".into(), out);
        }
        self.send_nonces(id, out)
    }

    /// The leader announces the sums of all nonces.
    pub(crate) fn announced(
        &mut self,
        id: JobId,
        at: u32,
        nonces: Vec<Offer<AggNonce>>,
        view: &dyn View,
        out: &mut Vec<Duty>,
    ) -> Result<(), Error> {
        let (Some(session), Some(known)) = (self.sessions.get_mut(&id), self.book.get(&id)) else {
            self.catch_up(id, LEADER, at, out)?;
            return Ok(());
        };
        if session.position() != at {
            self.catch_up(id, LEADER, at, out)?;
            return Ok(());
        }
        let binding = |known: &mut Known| known.progress = Progress::Binding;
        let mut also = Batch::default();
        let binds_now = session.in_last_stage() && known.progress == Progress::Open;
        if binds_now {
            let knowledge = Knowledge { bridge: &self.bridge, book: &self.book, view };
            if let Some(refusal) = refusal(knowledge.check_again(&id, &known.job))? {
                return self.refuse(id, refusal.to_string(), out);
            }
            also = self.book.staged(&id, binding);
        }
        match session.sign(&mut self.musig, &nonces, also) {
            Ok(partials) => {
                if binds_now {
                    self.book.apply(&id, binding);
                }
                out.push(Duty::Send { to: LEADER, message: Message::Partials { job: id, at, partials } });
                Ok(())
            }
            Err(error) => match blame(error)? {
                // The leader does not know yet that a signature is held here: the nonces say it.
                SessionError::Musig(MusigError::Complete { .. }) => self.send_nonces(id, out),
                error => {
                    out.push(Duty::Suspect { signer: LEADER, why: error.to_string() });
                    Ok(())
                }
            },
        }
    }

    /// Says again, for every job, where this signer stands.
    pub(crate) fn follow_all(&mut self, view: &dyn View, out: &mut Vec<Duty>) -> Result<(), Error> {
        let tip = view.tip()?;
        let ids: Vec<JobId> = self.sessions.keys().copied().collect();
        for id in ids {
            self.since.entry(id).or_insert(tip);
            self.send_nonces(id, out)?;
        }
        self.fetch_keys(out)
    }

    /// Sends the leader this signer's nonces for the batch that it is at. The leader's answer brings it on from wherever that is.
    pub(crate) fn send_nonces(&mut self, id: JobId, out: &mut Vec<Duty>) -> Result<(), Error> {
        let Some(session) = self.sessions.get(&id) else { return Ok(()) };
        let at = session.position();
        match session.nonces(&mut self.musig, Batch::default()) {
            Ok(nonces) => out.push(Duty::Send { to: LEADER, message: Message::Nonces { job: id, at, nonces } }),
            Err(error) => tracing::warn!(job = %id, error = %blame(error)?, "no nonces"),
        }
        Ok(())
    }

    fn refuse(&mut self, id: JobId, reason: String, out: &mut Vec<Duty>) -> Result<(), Error> {
        out.push(Duty::Refused { job: id, by: self.index(), reason: reason.clone() });
        out.push(Duty::Send { to: LEADER, message: Message::Refuse { job: id, reason } });
        Ok(())
    }
}
