//! What the committee is asked to sign together.
//!
//! A job has stages. A stage is signed only when every signer holds all signatures of the stages before it: that is what
//! makes a deposit safe ([`DepositJob`]). Everything that is signed follows from the job, the parameters, the runs and the
//! earlier signatures; every signer works it out by itself.

use bitcoin::OutPoint;
use bitcoin::hashes::{Hash, HashEngine, sha256};
use bitcoin::secp256k1::schnorr::Signature;
use serde::{Deserialize, Serialize};
use trestle_rollup::{AdminOperation, SlotId, Tag};

use crate::parameters::Bridge;
use crate::transactions::{
    BuildError, CooperativeTerms, DepositTerms, FinalizeKind, Presigned, RunError, RunGraph, RunTerms, SignRequest,
    SlotGraph, Tweak, Vault, reimburse,
};

/// One thing that the committee signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Job {
    /// Makes a deposit a vault.
    Deposit(DepositJob),
    /// Makes a run.
    Run(RunJob),
    /// Pays a withdrawal from a vault.
    Cooperative(CooperativeTerms),
    /// Changes who takes part in the Layer 2.
    Admin(AdminTerms),
}

/// A deposit to confirm. Stage 0 is the mint signature, on which Confirm's id depends; stage 1 Reimburse from the new vault for
/// every open slot of its denomination; stage 2 Confirm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DepositJob {
    /// The deposit.
    pub terms: DepositTerms,
    /// The open slots of its denomination.
    pub slots: Vec<SlotId>,
}

/// A run to sign. Stage 0 is everything of every slot and Reimburse from every vault that there is. The operator publishes the
/// bond when it holds all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunJob {
    /// The run.
    pub terms: RunTerms,
    /// The unspent vaults of its denomination.
    pub vaults: Vec<Vault>,
}

/// A change of the operators or sequencers, for the transaction whose input 0 spends `outpoint`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminTerms {
    /// What input 0 of the transaction that carries the tag spends.
    pub outpoint: OutPoint,
    /// The change.
    pub operation: AdminOperation,
}

/// What a job's signatures are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signed {
    /// A pre-signed transaction: the signatures are its [`Presigned::requests`], in order.
    Transaction(Box<Presigned>),
    /// Reimburse of one slot from one vault, in one variant.
    Reimburse(Box<Reimbursement>),
    /// A message by itself: a mint or an administrative change.
    Message(SignRequest),
}

/// One Reimburse, and what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reimbursement {
    /// The slot whose F it spends.
    pub slot: SlotId,
    /// The vault that it spends.
    pub vault: Vault,
    /// Which of the three.
    pub kind: FinalizeKind,
    /// The transaction.
    pub presigned: Presigned,
}

/// What a job asks for cannot be worked out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// The job has no such stage.
    #[error("the job has {stages} stages, there is no stage {index}")]
    Stage {
        /// The stage asked for.
        index: usize,
        /// How many there are.
        stages: usize,
    },
    /// The signatures of an earlier stage are missing.
    #[error("stage {index} needs the signature of stage {earlier}")]
    Earlier {
        /// The stage asked for.
        index: usize,
        /// The stage whose signatures it needs.
        earlier: usize,
    },
    /// The job names a slot of a run that is not known.
    #[error("slot {0} is of no known run")]
    UnknownSlot(SlotId),
    /// A run's terms are wrong.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A transaction cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
}

impl Job {
    /// What names the job: SHA-256 of instance ‖ the job as JSON.
    pub fn id(&self, bridge: &Bridge) -> [u8; 32] {
        let mut engine = sha256::Hash::engine();
        engine.input(&bridge.instance);
        engine.input(&serde_json::to_vec(self).expect("a job is plain data"));
        sha256::Hash::from_engine(engine).to_byte_array()
    }

    /// The number of stages.
    pub fn stages(&self) -> usize {
        match self {
            Job::Deposit(_) => 3,
            Job::Run(_) | Job::Cooperative(_) | Job::Admin(_) => 1,
        }
    }

    /// What stage `index` signs, given the signatures of the stages before it (only a deposit's later stages look at them). `runs`
    /// has every run of which the job names a slot.
    ///
    /// # Errors
    /// If there is no such stage, an earlier signature is missing, or something in the job is wrong.
    pub fn signed(
        &self,
        bridge: &Bridge,
        runs: &[RunGraph],
        index: usize,
        earlier: &[Vec<Signature>],
    ) -> Result<Vec<Signed>, JobError> {
        if index >= self.stages() {
            return Err(JobError::Stage { index, stages: self.stages() });
        }
        match self {
            Job::Deposit(job) => job.signed(bridge, runs, index, earlier),
            Job::Run(job) => job.signed(bridge),
            Job::Cooperative(terms) => Ok(vec![Signed::Transaction(Box::new(terms.build(bridge)?))]),
            Job::Admin(terms) => Ok(vec![Signed::Message(terms.request(bridge))]),
        }
    }

    /// The signatures that stage `index` asks for, in the order of [`Self::signed`].
    ///
    /// # Errors
    /// As [`Self::signed`].
    pub fn stage(
        &self,
        bridge: &Bridge,
        runs: &[RunGraph],
        index: usize,
        earlier: &[Vec<Signature>],
    ) -> Result<Vec<SignRequest>, JobError> {
        Ok(self.signed(bridge, runs, index, earlier)?.iter().flat_map(Signed::requests).collect())
    }
}

impl Signed {
    /// The signatures that it needs, in order.
    pub fn requests(&self) -> Vec<SignRequest> {
        match self {
            Signed::Transaction(presigned) => presigned.requests(),
            Signed::Reimburse(reimbursement) => reimbursement.presigned.requests(),
            Signed::Message(request) => vec![request.clone()],
        }
    }
}

impl DepositJob {
    fn signed(
        &self,
        bridge: &Bridge,
        runs: &[RunGraph],
        index: usize,
        earlier: &[Vec<Signature>],
    ) -> Result<Vec<Signed>, JobError> {
        if index == 0 {
            return Ok(vec![Signed::Message(self.terms.mint_request(bridge)?)]);
        }
        let mint = earlier.first().and_then(|stage| stage.first()).ok_or(JobError::Earlier { index, earlier: 0 })?;
        if index == 2 {
            return Ok(vec![Signed::Transaction(Box::new(self.terms.confirm(bridge, mint)?))]);
        }
        let vault = self.terms.vault(bridge, mint)?;
        let mut signed = Vec::with_capacity(3 * self.slots.len());
        for id in &self.slots {
            let slot = runs.iter().find_map(|run| run.slot(*id)).ok_or(JobError::UnknownSlot(*id))?;
            signed.extend(reimbursements(bridge, vault, slot)?);
        }
        Ok(signed)
    }
}

impl RunJob {
    fn signed(&self, bridge: &Bridge) -> Result<Vec<Signed>, JobError> {
        let graph = RunGraph::build(bridge, self.terms.clone())?;
        let mut signed: Vec<_> = graph.presigned().map(|one| Signed::Transaction(Box::new(one.clone()))).collect();
        for vault in &self.vaults {
            for slot in &graph.slots {
                signed.extend(reimbursements(bridge, *vault, slot)?);
            }
        }
        Ok(signed)
    }
}

impl AdminTerms {
    /// The signature that the committee makes.
    pub fn request(&self, bridge: &Bridge) -> SignRequest {
        let message = trestle_rollup::tag::admin_message(&bridge.instance, &self.outpoint.into(), &self.operation);
        SignRequest { what: format!("administration, {:?}", self.operation), message, tweak: Tweak::None }
    }

    /// The tag, which goes to output 1 of a transaction whose input 0 spends the terms' outpoint.
    pub fn tag(&self, bridge: &Bridge, signature: &Signature) -> bitcoin::ScriptBuf {
        Tag::Admin { operation: self.operation, signature: signature.serialize() }.script_pubkey(bridge.tag)
    }
}

/// The three Reimburse of one slot from one vault.
fn reimbursements(bridge: &Bridge, vault: Vault, slot: &SlotGraph) -> Result<Vec<Signed>, BuildError> {
    let one = |kind| {
        let presigned = reimburse(bridge, &vault, slot, kind)?;
        Ok(Signed::Reimburse(Box::new(Reimbursement { slot: slot.id, vault, kind, presigned })))
    };
    FinalizeKind::ALL.into_iter().map(one).collect()
}

/// The open slots of one run: those neither finalized and reimbursed nor beyond reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenSlots {
    /// The operator.
    pub operator: u8,
    /// How many.
    pub slots: u32,
}

/// How many more deposits of a denomination may be confirmed (docs/protocol.md, Runway).
///
/// The vaults must never be more than the withdrawals that open slots can serve when no signer answers: all open slots of the
/// denomination, less those of the operator that has most, less one for the bond of every challenger but the honest one in
/// every remaining run.
pub fn runway(runs: &[OpenSlots], challengers: u32, vaults: u32) -> u32 {
    let left = |without: u8| -> u32 {
        let runs = runs.iter().filter(|run| run.operator != without);
        runs.map(|run| run.slots.saturating_sub(challengers.saturating_sub(1))).sum()
    };
    let served = runs.iter().map(|run| left(run.operator)).min().unwrap_or(0);
    served.saturating_sub(vaults)
}
