//! Reading what a signer delivers.

use bitcoin::secp256k1::schnorr::Signature;
use trestle_bridge::job::{DepositJob, Job};
use trestle_bridge::transactions::{FinalizeKind, RunTerms, SignRequest, reimburse};
use trestle_signer::event::Delivery;

use super::{Duty, Operator};
use crate::Error;
use crate::signatures::Signed;

impl Operator {
    /// Keeps the signatures of a delivery that are for this operator, if all of them are right.
    pub(super) fn delivered(&mut self, delivery: &Delivery) -> Result<Vec<Duty>, Error> {
        match &delivery.job {
            Job::Run(run) => {
                let run = self.known(&run.terms)?;
                let requests = delivery.job.stage(&self.bridge, &[], 0, &[]).map_err(refuse)?;
                let pairs = pair(requests, delivery.signatures.first().map_or(&[], Vec::as_slice))?;
                let was_signed = self.is_signed(run)?;
                let graph = self.runs[run].graph.clone();
                let lanes = graph.map_or(Ok(Vec::new()), |graph| self.read_lanes(&graph, &delivery.lanes))?;
                self.signatures.deliver(&pairs, &lanes)?;
                Ok(if was_signed { Vec::new() } else { self.funding(run)?.into_iter().collect() })
            }
            Job::Deposit(deposit) => {
                let pairs = self.read_deposit(deposit, &delivery.signatures)?;
                self.signatures.deliver(&pairs, &[])?;
                Ok(Vec::new())
            }
            Job::Cooperative(_) | Job::Admin(_) => Err(refuse("the job is not one for operators")),
        }
    }

    /// The place of the run with these terms.
    fn known(&self, terms: &RunTerms) -> Result<usize, Error> {
        let known = self.runs.iter().position(|run| run.graph.as_ref().is_some_and(|graph| graph.terms == *terms));
        known.ok_or_else(|| refuse(format!("{} begins no run of this operator with these terms", terms.slot(0))))
    }

    /// What the committee signed for the slots of this operator. Those of others are not for it to know: it has not their runs.
    fn read_deposit(&self, deposit: &DepositJob, signatures: &[Vec<Signature>]) -> Result<Vec<Signed>, Error> {
        let name = deposit.terms.outpoint;
        let [mint, reimburses, ..] = signatures else {
            return Err(refuse(format!("deposit {name}: signatures of {} stages", signatures.len())));
        };
        // By the mint signature the vault is known; if it is wrong, so is every signature that spends the vault.
        let [mint] = mint[..] else { return Err(refuse(format!("deposit {name}: {} mint signatures", mint.len()))) };
        let vault = deposit.terms.vault(&self.bridge, &mint).map_err(refuse)?;
        let each = FinalizeKind::ALL.len();
        if reimburses.len() != each * deposit.slots.len() {
            return Err(refuse(format!(
                "deposit {name}: {} signatures of {} slots",
                reimburses.len(),
                deposit.slots.len()
            )));
        }
        let mut pairs = vec![(deposit.terms.mint_request(&self.bridge).map_err(refuse)?, mint)];
        for (id, own) in deposit.slots.iter().zip(reimburses.chunks(each)) {
            if id.operator != self.index {
                continue;
            }
            let slot = self.runs().find_map(|graph| graph.slot(*id).cloned());
            let slot = slot.ok_or_else(|| refuse(format!("deposit {name}: {id} is no slot of this operator")))?;
            for (kind, signature) in FinalizeKind::ALL.into_iter().zip(own) {
                pairs.extend(pair(
                    reimburse(&self.bridge, &vault, &slot, kind).map_err(refuse)?.requests(),
                    &[*signature],
                )?);
            }
        }
        if pairs.len() == 1 {
            return Err(refuse(format!("deposit {name} has no slot of this operator")));
        }
        Ok(pairs)
    }
}

fn refuse(why: impl std::fmt::Display) -> Error {
    Error::Refused(why.to_string())
}

/// What was asked for and what came.
pub(super) fn pair(requests: Vec<SignRequest>, signatures: &[Signature]) -> Result<Vec<Signed>, Error> {
    if requests.len() != signatures.len() {
        return Err(refuse(format!("{} signatures, {} wanted", signatures.len(), requests.len())));
    }
    Ok(requests.into_iter().zip(signatures.iter().copied()).collect())
}
