//! What a committee of ten has to sign, keep, send and compute for a deposit and for a slot.
//!
//! Ten signers run in this one thread, each with its own store on disk, through the sessions of `trestle-signer`: every
//! nonce and signature is recorded, flushed and verified as in a real committee, and every message is encoded and decoded.
//! Only the network, and the look at the chain before a job is taken up, are left out.

use std::time::Instant;

use bitcoin::secp256k1::schnorr::Signature;
use tempfile::TempDir;
use trestle_bridge::job::{DepositJob, Job};
use trestle_bridge::lane::{LaneWork, Lanes};
use trestle_bridge::transactions::{DepositTerms, LanePlace, Presigned, RunGraph, RunTerms, SignRequest, SlotGraph};
use trestle_rollup::Account;
use trestle_signer::consent;
use trestle_signer::message::{JobId, Message};
use trestle_signer::musig::Musig;
use trestle_signer::plan::{JobPlan, LaneRequests};
use trestle_signer::session::{Plan, Session};
use trestle_signer::store::Batch;

use super::secrets::{CHALLENGERS, SIGNERS, Secrets, key, outpoint, x_only};
use super::{Figure, FiguresError, median};

/// Open slots of a deposit's denomination when it is confirmed.
const OPEN_SLOTS: u32 = 20;
const RUNS: usize = 5;
/// ANCHORS, "Strata (garbled circuits)": 11 + 4(n−1) signatures per deposit and operator, n = 10. Clementine takes 4,760.
const STRATA_SIGNATURES: f64 = 470.0;

pub fn measure(progress: &dyn Fn(&str)) -> Result<Vec<Figure>, FiguresError> {
    let secrets = Secrets::new()?;
    let runs = [RunGraph::build(&secrets.bridge, secrets.run(OPEN_SLOTS))?];

    progress(&format!("{SIGNERS} signers sign a deposit for {OPEN_SLOTS} open slots"));
    let terms = DepositTerms {
        outpoint: outpoint("deposit"),
        denomination: 0,
        account: Account([3; 32]),
        refund_key: x_only(&key("user")),
    };
    let slots = runs[0].slots.iter().map(|slot| slot.id).collect();
    let job = Job::Deposit(DepositJob { terms, slots });
    let plan = JobPlan { bridge: &secrets.bridge, runs: &runs, job: &job, lanes: &NoLanes };
    let (deposit_seconds, deposit) = timed(&secrets, &plan)?;
    let [mint, reimburse, confirm] = deposit.signatures.as_slice() else {
        return Err(FiguresError::Unexpected("a deposit is not signed in three stages".into()));
    };
    let consents = vec![consent::sign(&secrets.bridge, &job, &key("user"))];
    let propose = Message::Propose { job: Box::new(job.clone()), at: 0, consents }.encode().len();

    progress(&format!("{SIGNERS} signers sign a slot with {CHALLENGERS} challengers"));
    let slot: Vec<&Presigned> = runs[0].slots.first().into_iter().flat_map(SlotGraph::presigned).collect();
    let (slot_seconds, slot) = timed(&secrets, &Transactions(&slot))?;
    let per_slot = slot.signatures.concat().len();

    progress(&format!("{SIGNERS} signers build and sign a lane"));
    let keys = secrets.lane_keys(0, 0);
    let build = || -> Result<_, FiguresError> {
        let at = LanePlace { slot: 0, challenger: 0 };
        let requests = Lanes.requests(&secrets.bridge, &runs[0], at, &keys);
        requests.map_err(|error| FiguresError::Unexpected(error.to_string()))
    };
    let build_seconds = median(RUNS, || {
        let start = Instant::now();
        (0..SIGNERS).try_for_each(|_| build().map(drop))?;
        Ok(start.elapsed().as_secs_f64())
    })?;
    let requests = build()?;
    let (lane_seconds, lane) = timed(&secrets, &Requests(&requests))?;
    let per_lane = lane.signatures.concat().len();

    Ok(vec![
        Figure::count("committee.signatures_per_deposit", reimburse.len(), "signatures").against(STRATA_SIGNATURES),
        Figure::count("committee.deposit_signatures_total", mint.len() + reimburse.len() + confirm.len(), "signatures"),
        Figure::count("committee.signatures_per_slot", per_slot + CHALLENGERS * per_lane, "signatures"),
        Figure::count("committee.bytes_per_deposit", reimburse.iter().map(|one| one.serialize().len()).sum(), "B"),
        Figure::count("committee.wire_bytes_per_deposit_and_signer", propose + deposit.wire_bytes, "B"),
        Figure::new("committee.sign_slot_seconds", slot_seconds, "s"),
        Figure::new("committee.sign_deposit_seconds", deposit_seconds, "s"),
        Figure::count("lane.signatures", per_lane, "signatures"),
        Figure::new("lane.setup_seconds", build_seconds + lane_seconds, "s"),
    ])
}

/// Signs a few times, each with signers that have signed nothing before, and returns the median and one of the results.
fn timed(secrets: &Secrets, plan: &dyn Plan) -> Result<(f64, Signed), FiguresError> {
    let mut signed = Signed::default();
    let seconds = median(RUNS, || {
        let mut signers = Signers::open(secrets)?;
        let start = Instant::now();
        signed = signers.sign(plan)?;
        Ok(start.elapsed().as_secs_f64())
    })?;
    Ok((seconds, signed))
}

/// A plan to sign these transactions in one stage.
pub struct Transactions<'a>(pub &'a [&'a Presigned]);

impl Plan for Transactions<'_> {
    fn stages(&self) -> usize {
        1
    }

    fn stage(&self, _: usize, _: &[Vec<Signature>]) -> Result<Vec<SignRequest>, String> {
        Ok(self.0.iter().flat_map(|presigned| presigned.requests()).collect())
    }
}

/// A plan to sign these in one stage.
struct Requests<'a>(&'a [SignRequest]);

impl Plan for Requests<'_> {
    fn stages(&self) -> usize {
        1
    }

    fn stage(&self, _: usize, _: &[Vec<Signature>]) -> Result<Vec<SignRequest>, String> {
        Ok(self.0.to_vec())
    }
}

/// A deposit is about no lane.
struct NoLanes;

impl LaneRequests for NoLanes {
    fn requests(&self, _: &RunTerms, at: LanePlace) -> Result<Vec<SignRequest>, String> {
        Err(format!("no lane is signed, and not {at:?}"))
    }
}

/// What came of a plan.
#[derive(Default)]
pub struct Signed {
    /// The final signatures by stage; every signer holds them.
    pub signatures: Vec<Vec<Signature>>,
    /// What one signer and the leader sent each other, both ways, after the proposal.
    pub wire_bytes: usize,
}

/// The committee, each signer with a database of its own.
pub struct Signers {
    signers: Vec<Musig<sled::Tree>>,
    _directory: TempDir,
}

impl Signers {
    pub fn open(secrets: &Secrets) -> Result<Self, FiguresError> {
        let directory = tempfile::tempdir()?;
        let keys = &secrets.bridge.parameters.signers;
        let open = |(index, keypair): (usize, _)| -> Result<_, FiguresError> {
            let database = sled::open(directory.path().join(index.to_string()))?;
            Ok(Musig::open(database.open_tree("signer")?, keypair, keys)?)
        };
        let signers = secrets.signers.iter().enumerate().map(open).collect::<Result<_, _>>()?;
        Ok(Self { signers, _directory: directory })
    }

    /// Signs a plan to the end: per batch nonces to signer 0, their sums back, partial signatures, final signatures.
    pub fn sign(&mut self, plan: &dyn Plan) -> Result<Signed, FiguresError> {
        let [leader, followers @ ..] = self.signers.as_mut_slice() else {
            return Err(FiguresError::Unexpected("a committee without signers".into()));
        };
        let mut lead = Session::open(plan, leader)?;
        let mut sessions = followers.iter().map(|musig| Session::open(plan, musig)).collect::<Result<Vec<_>, _>>()?;
        let mut wires = vec![Wire::default(); followers.len()];
        let unexpected = |what: &str| FiguresError::Unexpected(format!("signing: {what}"));
        while !lead.done() {
            let (job, at) = (JobId([0; 32]), lead.position());
            let mut announced = None;
            for (index, ((musig, session), wire)) in followers.iter_mut().zip(&mut sessions).zip(&mut wires).enumerate()
            {
                let nonces = session.nonces(musig, Batch::default())?;
                let Message::Nonces { nonces, .. } = wire.carry(Message::Nonces { job, at, nonces })? else {
                    return Err(unexpected("no nonces"));
                };
                announced = lead.nonces_from(leader, index + 1, nonces, Batch::default())?;
            }
            let announced = announced.ok_or_else(|| unexpected("nonces are missing"))?;
            let mut signatures = None;
            for (index, ((musig, session), wire)) in followers.iter_mut().zip(&mut sessions).zip(&mut wires).enumerate()
            {
                let sums = Message::AggregateNonces { job, at, nonces: announced.clone() };
                let Message::AggregateNonces { nonces, .. } = wire.carry(sums)? else {
                    return Err(unexpected("no sums"));
                };
                let partials = session.sign(musig, &nonces, Batch::default())?;
                let Message::Partials { partials, .. } = wire.carry(Message::Partials { job, at, partials })? else {
                    return Err(unexpected("no partial signatures"));
                };
                signatures = lead.partials_from(leader, index + 1, partials)?;
            }
            let signatures = signatures.ok_or_else(|| unexpected("partial signatures are missing"))?;
            for ((musig, session), wire) in followers.iter_mut().zip(&mut sessions).zip(&mut wires) {
                let all = Message::Signatures { job, at, signatures: signatures.clone() };
                let Message::Signatures { signatures, .. } = wire.carry(all)? else {
                    return Err(unexpected("no signatures"));
                };
                session.complete(plan, musig, &signatures, Batch::default())?;
            }
            lead.complete(plan, leader, &signatures, Batch::default())?;
        }
        let wire_bytes = wires.iter().map(|wire| wire.bytes).max().unwrap_or(0);
        Ok(Signed { signatures: lead.signatures().to_vec(), wire_bytes })
    }
}

/// Between the leader and one signer.
#[derive(Clone, Default)]
struct Wire {
    bytes: usize,
}

impl Wire {
    /// What the other side reads.
    fn carry(&mut self, message: Message) -> Result<Message, FiguresError> {
        let bytes = message.encode();
        self.bytes += bytes.len();
        Ok(Message::decode(&bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deposit_takes_3_signatures_a_slot_and_2_more() {
        let secrets = Secrets::new().unwrap();
        let runs = [RunGraph::build(&secrets.bridge, secrets.run(2)).unwrap()];
        let refund_key = x_only(&key("user"));
        let terms =
            DepositTerms { outpoint: outpoint("deposit"), denomination: 0, account: Account([3; 32]), refund_key };
        let job = Job::Deposit(DepositJob { terms, slots: runs[0].slots.iter().map(|slot| slot.id).collect() });
        let plan = JobPlan { bridge: &secrets.bridge, runs: &runs, job: &job, lanes: &NoLanes };
        let signed = Signers::open(&secrets).unwrap().sign(&plan).unwrap();
        let counts: Vec<_> = signed.signatures.iter().map(Vec::len).collect();
        assert_eq!(counts, [1, 3 * 2, 1]);
        assert!(signed.wire_bytes > 0);
    }
}
