//! Reading what a signer delivers.

use bitcoin::secp256k1::schnorr::Signature;
use trestle_bridge::job::{DepositJob, Job, RunJob};
use trestle_bridge::transactions::{FinalizeKind, RunTerms, SignRequest, reimburse};
use trestle_signer::consent;
use trestle_signer::event::Delivery;

use super::Operator;
use crate::Error;

impl Operator {
    /// The signatures in a delivery that are for this operator, each with what it should sign, for
    /// [`Event::SignaturesDelivered`](super::Event::SignaturesDelivered), which verifies them. Those of a deposit that concern other
    /// operators' slots are left out: they are not for this one to know.
    ///
    /// # Errors
    /// [`Error::Refused`] if the job has nothing to do with this operator, or the signatures are not as many as it asks for.
    pub fn read(&self, delivery: &Delivery) -> Result<Vec<(SignRequest, Signature)>, Error> {
        match &delivery.job {
            Job::Run(run) => {
                self.known(&run.terms)?;
                let requests = delivery.job.stage(&self.bridge, &[], 0, &[])?;
                pair(requests, delivery.signatures.first().map_or(&[], Vec::as_slice))
            }
            Job::Deposit(deposit) => self.read_deposit(deposit, &delivery.signatures),
            Job::Cooperative(_) | Job::Admin(_) => Err(Error::Refused("the job is not one for operators".into())),
        }
    }

    /// The operator's consent to the terms of a run of its own, which the committee asks for.
    ///
    /// # Errors
    /// [`Error::Refused`] if they are not the terms of a run of this operator.
    pub fn consent(&self, run: &RunJob) -> Result<Signature, Error> {
        self.known(&run.terms)?;
        Ok(consent::sign(&self.bridge, &Job::Run(run.clone()), &self.key))
    }

    fn known(&self, terms: &RunTerms) -> Result<(), Error> {
        let known = self.runs().any(|graph| graph.terms == *terms);
        known.then_some(()).ok_or_else(|| Error::Refused(format!("{} begins no run of this operator with these terms", terms.slot(0))))
    }

    fn read_deposit(&self, deposit: &DepositJob, signatures: &[Vec<Signature>]) -> Result<Vec<(SignRequest, Signature)>, Error> {
        let name = deposit.terms.outpoint;
        let [mint, reimburses, ..] = signatures else {
            return Err(Error::Refused(format!("deposit {name}: signatures of {} stages", signatures.len())));
        };
        // By the mint signature the vault is known; if it is wrong, so is every signature that spends the vault.
        let [mint] = mint[..] else { return Err(Error::Refused(format!("deposit {name}: {} mint signatures", mint.len()))) };
        let vault = deposit.terms.vault(&self.bridge, &mint)?;
        let each = FinalizeKind::ALL.len();
        if reimburses.len() != each * deposit.slots.len() {
            return Err(Error::Refused(format!("deposit {name}: {} signatures of {} slots", reimburses.len(), deposit.slots.len())));
        }
        let mut pairs = vec![(deposit.terms.mint_request(&self.bridge)?, mint)];
        for (id, own) in deposit.slots.iter().zip(reimburses.chunks(each)) {
            if id.operator != self.index {
                continue;
            }
            let slot = self.runs().find_map(|graph| graph.slot(*id).cloned());
            let slot = slot.ok_or_else(|| Error::Refused(format!("deposit {name}: {id} is no slot of this operator")))?;
            for (kind, signature) in FinalizeKind::ALL.into_iter().zip(own) {
                pairs.extend(pair(reimburse(&self.bridge, &vault, &slot, kind)?.requests(), &[*signature])?);
            }
        }
        if pairs.len() == 1 {
            return Err(Error::Refused(format!("deposit {name} has no slot of this operator")));
        }
        Ok(pairs)
    }
}

fn pair(requests: Vec<SignRequest>, signatures: &[Signature]) -> Result<Vec<(SignRequest, Signature)>, Error> {
    if requests.len() != signatures.len() {
        return Err(Error::Refused(format!("{} signatures, {} wanted", signatures.len(), requests.len())));
    }
    Ok(requests.into_iter().zip(signatures.iter().copied()).collect())
}
