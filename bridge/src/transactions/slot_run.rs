//! A run: a row of slots of one operator and one denomination, used one after the other, sharing one bond.
//!
//! The operator's wallet funds the run with a transaction whose output 0 is the bond of the first slot
//! ([`bond_output`]), and keeps it back until it holds every signature. Slot i's bond is
//! `bond + (slots − i)·step`, where step is what Claim and FinalizeFast of one slot take, so that the run pays for itself.

use std::collections::HashSet;

use bitcoin::absolute::Height;
use bitcoin::hashes::{Hash, hash160};
use bitcoin::{Amount, OutPoint, TxOut};
use serde::{Deserialize, Serialize};
use trestle_rollup::SlotId;
use trestle_taptree_trace::ots::{self, CLAIM, OtsError};

use super::{BuildError, FinalizeKind, Presigned, SignRequest, challenger_bond, claim, contest, finalize, retire};
use crate::connector::{Bond, Kill};
use crate::parameters::Bridge;

/// The most slots that a run can have.
pub const MAX_SLOTS: u32 = 1_000;

/// What a run is made from. Everything in it is public.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunTerms {
    /// Index of the operator.
    pub operator: u8,
    /// Index of the denomination.
    pub denomination: u8,
    /// Serial number of the first slot; the others follow. Never used by this operator before.
    pub first_serial: u32,
    /// Number of slots.
    pub slots: u32,
    /// Output 0 of the operator's funding transaction.
    pub bond: OutPoint,
    /// Where the Layer 2 stood when the run was made; at least K deep.
    pub checkpoint: Checkpoint,
    /// The one-time key of each slot's claim.
    pub claim_keys: Vec<ots::PublicKey>,
    /// The challengers' parts, in the order of the parameters.
    pub challengers: Vec<ChallengerInRun>,
}

/// An entry of the Layer 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// h0: the Bitcoin height.
    pub height: u32,
    /// R at that height.
    pub entry: [u8; 32],
}

/// What a challenger contributes to a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengerInRun {
    /// Its bond ([`challenger_bond::output`]).
    pub bond: OutPoint,
    /// The hash of its secret for each slot ([`contest::secret`]).
    pub contest_hashes: Vec<hash160::Hash>,
}

/// The terms of a run are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The number of slots is out of range, or the serial numbers overflow.
    #[error("a run has 1 to {MAX_SLOTS} slots, not {slots} from serial {first_serial}")]
    Slots {
        /// Slots asked for.
        slots: u32,
        /// Their first serial number.
        first_serial: u32,
    },
    /// A list is not as long as it should be.
    #[error("{got} {list}, not {expected}")]
    Count {
        /// Which list.
        list: &'static str,
        /// How many there should be.
        expected: usize,
        /// How many there are.
        got: usize,
    },
    /// A claim key is unusable.
    #[error("claim key of slot {slot}: {error}")]
    ClaimKey {
        /// Place of the slot in the run.
        slot: usize,
        /// What is wrong.
        error: OtsError,
    },
    /// A one-time key is used for two slots.
    #[error("slot {slot} has the claim key, or a challenger's hash, of an earlier one")]
    Reuse {
        /// Place of the slot in the run.
        slot: usize,
    },
    /// Two bonds are one output.
    #[error("{0} is the bond of two parties")]
    SharedBond(OutPoint),
    /// The checkpoint is so high that the run's end is no height.
    #[error("checkpoint height {0} is too high")]
    Height(u32),
    /// A transaction cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// Everything that is pre-signed for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunGraph {
    /// What it was made from.
    pub terms: RunTerms,
    /// The slots in order.
    pub slots: Vec<SlotGraph>,
    /// RetireChallenger of every challenger's bond.
    pub challenger_retires: Vec<Presigned>,
}

/// Everything that is pre-signed for a slot, but Reimburse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotGraph {
    /// The slot.
    pub id: SlotId,
    /// Claim.
    pub claim: Presigned,
    /// Contest.
    pub contest: Presigned,
    /// FinalizeFast.
    pub finalize_fast: Presigned,
    /// FinalizeUnentered.
    pub finalize_unentered: Presigned,
    /// FinalizeSlow.
    pub finalize_slow: Presigned,
    /// Retire.
    pub retire: Presigned,
}

/// The output 0 that the operator's funding transaction needs for a run of `slots` slots.
///
/// # Errors
/// If the parameters make transactions that cannot be built.
pub fn bond_output(bridge: &Bridge, first_claim_key: &ots::PublicKey, slots: u32) -> Result<TxOut, BuildError> {
    let value = bridge.parameters.bond + step(bridge, first_claim_key)? * u64::from(slots);
    Ok(TxOut { value, script_pubkey: Bond::new(bridge.committee.key(), first_claim_key).script_pubkey() })
}

impl RunTerms {
    /// The id of the slot at `place` in the run.
    pub fn slot(&self, place: u32) -> SlotId {
        SlotId {
            operator: self.operator,
            denomination: self.denomination,
            serial: self.first_serial.saturating_add(place),
        }
    }

    /// The output that has to be at [`Self::bond`].
    ///
    /// # Errors
    /// If the terms are wrong.
    pub fn bond_output(&self, bridge: &Bridge) -> Result<TxOut, RunError> {
        self.check(bridge)?;
        Ok(bond_output(bridge, &self.claim_keys[0], self.slots)?)
    }

    /// The height at which the run is over and its bonds can be taken back.
    ///
    /// # Errors
    /// If that is no height.
    pub fn end(&self) -> Result<Height, RunError> {
        let end =
            self.checkpoint.height.checked_add(retire::RUN_BLOCKS).and_then(|end| Height::from_consensus(end).ok());
        end.ok_or(RunError::Height(self.checkpoint.height))
    }

    /// Checks the terms by themselves. Whether the checkpoint is right, and the serial numbers unused, is for the caller to see.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, bridge: &Bridge) -> Result<(), RunError> {
        let name = || format!("run {}", self.slot(0));
        bridge
            .denomination(self.denomination)
            .ok_or_else(|| BuildError::Denomination { name: name(), index: self.denomination })?;
        bridge.operator(self.operator).ok_or_else(|| BuildError::Operator { name: name(), index: self.operator })?;
        if self.slots == 0 || self.slots > MAX_SLOTS || self.first_serial.checked_add(self.slots).is_none() {
            return Err(RunError::Slots { slots: self.slots, first_serial: self.first_serial });
        }
        self.end()?;
        let count = |list, got: usize, expected: usize| match got == expected {
            true => Ok(()),
            false => Err(RunError::Count { list, expected, got }),
        };
        count("claim keys", self.claim_keys.len(), self.slots as usize)?;
        count("challengers", self.challengers.len(), bridge.parameters.challengers.len())?;
        let mut bonds = HashSet::from([self.bond]);
        for challenger in &self.challengers {
            count("contest hashes", challenger.contest_hashes.len(), self.slots as usize)?;
            if !bonds.insert(challenger.bond) {
                return Err(RunError::SharedBond(challenger.bond));
            }
        }
        let mut links = HashSet::new();
        for (slot, key) in self.claim_keys.iter().enumerate() {
            key.check(&CLAIM).map_err(|error| RunError::ClaimKey { slot, error })?;
            let hashes = self.challengers.iter().map(|challenger| challenger.contest_hashes[slot].to_byte_array());
            if !key.0.iter().copied().chain(hashes).all(|link| links.insert(link)) {
                return Err(RunError::Reuse { slot });
            }
        }
        Ok(())
    }
}

impl RunGraph {
    /// Builds the graph. The same terms always give the same graph.
    ///
    /// # Errors
    /// If the terms are wrong.
    pub fn build(bridge: &Bridge, terms: RunTerms) -> Result<Self, RunError> {
        let mut bond = (terms.bond, terms.bond_output(bridge)?);
        let operator = bridge.operator(terms.operator).expect("checked with the terms");
        let end = terms.end()?;
        let committee = bridge.committee.key();
        let bonds: Vec<Bond> = terms.claim_keys.iter().map(|key| Bond::new(committee, key)).collect();
        let mut slots = Vec::with_capacity(bonds.len());
        for (place, own) in bonds.iter().enumerate() {
            let id = terms.slot(place as u32);
            let hashes: Vec<_> = terms.challengers.iter().map(|challenger| challenger.contest_hashes[place]).collect();
            let kill = Kill::new(committee, &hashes);
            let retire = retire::build(bridge, id, bond.clone(), own.merkle_root(), end, operator)?;
            let claim = claim::build(bridge, id, bond.0, bond.1, own, &kill)?;
            let (kill_at, kill_output) = (claim.outpoint(0), claim.tx.output[0].clone());
            let contest = contest::build(bridge, id, kill_at, kill_output.clone(), &kill)?;
            let next = bonds.get(place + 1).map_or_else(|| operator.script_pubkey(), Bond::script_pubkey);
            let finalize_fast = finalize::fast(bridge, id, (kill_at, kill_output), kill.merkle_root(), next, operator)?;
            let finalize_unentered = finalize::unentered(bridge, id, &contest, &kill, operator)?;
            let finalize_slow = finalize::slow(bridge, id, &contest, operator)?;
            bond = (finalize_fast.outpoint(finalize::BOND), finalize_fast.tx.output[finalize::BOND as usize].clone());
            slots.push(SlotGraph { id, claim, contest, finalize_fast, finalize_unentered, finalize_slow, retire });
        }
        let keys = bridge.entries.iter().zip(bridge.parameters.challengers.iter().copied());
        let challenger_retires = terms.challengers.iter().zip(keys);
        let challenger_retires = challenger_retires
            .map(|(own, keys)| challenger_bond::retire(bridge, own.bond, end, keys))
            .collect::<Result<_, _>>()?;
        Ok(RunGraph { terms, slots, challenger_retires })
    }

    /// Every transaction, in the order in which the committee signs.
    pub fn presigned(&self) -> impl Iterator<Item = &Presigned> {
        self.slots.iter().flat_map(SlotGraph::presigned).chain(&self.challenger_retires)
    }

    /// Every signature that the committee has to make, in order.
    pub fn requests(&self) -> Vec<SignRequest> {
        self.presigned().flat_map(Presigned::requests).collect()
    }

    /// The slot with this id.
    pub fn slot(&self, id: SlotId) -> Option<&SlotGraph> {
        let place = id.serial.checked_sub(self.terms.first_serial)?;
        self.slots.get(place as usize).filter(|slot| slot.id == id)
    }
}

impl SlotGraph {
    /// Its transactions, in the order in which the committee signs.
    pub fn presigned(&self) -> impl Iterator<Item = &Presigned> {
        [&self.claim, &self.contest, &self.finalize_fast, &self.finalize_unentered, &self.finalize_slow, &self.retire]
            .into_iter()
    }

    /// The Finalize of this kind.
    pub fn finalize(&self, kind: FinalizeKind) -> &Presigned {
        match kind {
            FinalizeKind::Fast => &self.finalize_fast,
            FinalizeKind::Unentered => &self.finalize_unentered,
            FinalizeKind::Slow => &self.finalize_slow,
        }
    }
}

/// What one slot takes of the bond: the fees of Claim and FinalizeFast, their anchors, and F.
fn step(bridge: &Bridge, claim_key: &ots::PublicKey) -> Result<Amount, BuildError> {
    // All claims and finalizes are of one size, so those of a made-up slot tell.
    let id = SlotId { operator: 0, denomination: 0, serial: 0 };
    let committee = bridge.committee.key();
    let own = Bond::new(committee, claim_key);
    let kill = Kill::new(committee, &[hash160::Hash::all_zeros()]);
    let bond = TxOut { value: Amount::MAX_MONEY, script_pubkey: own.script_pubkey() };
    let claim = claim::build(bridge, id, OutPoint::null(), bond, &own, &kill)?;
    let output = (claim.outpoint(0), claim.tx.output[0].clone());
    let operator = crate::connector::OperatorConnector(committee);
    let fast = finalize::fast(bridge, id, output, kill.merkle_root(), own.script_pubkey(), operator)?;
    Ok(Amount::MAX_MONEY - fast.tx.output[finalize::BOND as usize].value)
}
