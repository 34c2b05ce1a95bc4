//! What one bridge is: its keys, amounts and delays.
//!
//! [`BridgeParameters`] is what people write down and exchange (JSON). [`Bridge`] is the same, checked, with what follows from
//! it worked out once; every builder of a transaction takes it.

mod check;

use bitcoin::hashes::{Hash, sha256};
use bitcoin::relative::Height;
use bitcoin::secp256k1::PublicKey;
use bitcoin::{Amount, BlockHash, FeeRate, Network, ScriptBuf, XOnlyPublicKey};
use serde::{Deserialize, Serialize};
use trestle_rollup::parameters::ParametersError as RollupError;
use trestle_zkvm_adapter::guest;

use crate::connector::{Committee, CommitteeError, Deposit, Entry, OperatorConnector, Ticket};

/// The parameters of one bridge. Everybody who takes part has the same, to the byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BridgeParameters {
    /// The Bitcoin network.
    pub network: Network,
    /// The committee, in the order in which the keys are aggregated.
    pub signers: Vec<PublicKey>,
    /// The operators; an operator is named by its index.
    pub operators: Vec<OperatorIdentity>,
    /// The challengers; a challenger is named by its index.
    pub challengers: Vec<XOnlyPublicKey>,
    /// The sequencers; a sequencer is named by its index.
    pub sequencers: Vec<XOnlyPublicKey>,
    /// What a vault can hold, in sat, ascending.
    #[serde(with = "sats")]
    pub denominations: Vec<Amount>,
    /// What a deposit has on top of its denomination, in sat: pays for Confirm and the vault's ticket.
    #[serde(with = "bitcoin::amount::serde::as_sat")]
    pub deposit_fee: Amount,
    /// What a withdrawal pays less than its denomination, at most, in sat.
    #[serde(with = "bitcoin::amount::serde::as_sat")]
    pub withdrawal_fee: Amount,
    /// T_refund: blocks after which a user may take an unconfirmed deposit back.
    pub refund_delay: Height,
    /// Δ1: blocks in which a claim may be contested, and then a lane entered.
    pub delta1: Height,
    /// Δ2: blocks after which a contested claim that was not disproved is finalized.
    pub delta2: Height,
    /// T_turn: blocks that a side of a lane has for each of its turns.
    pub turn: Height,
    /// K: confirmations after which a block is taken as settled.
    pub confirmations: u16,
    /// Blocks in which a withdrawal is the committee's.
    pub cooperative_window: u16,
    /// Blocks in which a withdrawal is one operator's to front.
    pub operator_window: u16,
    /// Blocks after the window in which the operator's payout still counts.
    pub grace: u16,
    /// The operator's stake in a run, in sat, which it gets back.
    #[serde(with = "bitcoin::amount::serde::as_sat")]
    pub bond: Amount,
    /// A challenger's stake in a run, in sat, which it gets back.
    #[serde(with = "bitcoin::amount::serde::as_sat")]
    pub challenger_bond: Amount,
    /// What a connector carries, in sat.
    #[serde(with = "bitcoin::amount::serde::as_sat")]
    pub connector: Amount,
    /// What pre-signed transactions pay by themselves, in sat per 1,000 weight units (250 is 1 sat/vB).
    pub presigned_fee_rate: FeeRate,
    /// The block after which the Layer 2 starts.
    pub genesis: Genesis,
    /// S_0, the first state of the program that disputes are decided by ([`guest::ROOT`]). Whose build has another
    /// program takes no part: the two would judge claims differently.
    pub guest: sha256::Hash,
}

/// One operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorIdentity {
    /// Names the operator on the Layer 2; on Bitcoin, F and the operator's refunds are `tr(key)`.
    pub key: XOnlyPublicKey,
}

/// The block after which the Layer 2 starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Genesis {
    /// Its height.
    pub height: u32,
    /// Its hash.
    pub hash: BlockHash,
}

/// Who takes part in a bridge: what the presets cannot know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    /// The committee.
    pub signers: Vec<PublicKey>,
    /// The operators' keys.
    pub operators: Vec<XOnlyPublicKey>,
    /// The challengers' keys.
    pub challengers: Vec<XOnlyPublicKey>,
    /// The sequencers' keys.
    pub sequencers: Vec<XOnlyPublicKey>,
}

/// What is wrong with a set of parameters, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParametersError {
    /// A list of keys is empty or too long.
    #[error("{count} {list}: give between 1 and {most}")]
    Count {
        /// Which list.
        list: &'static str,
        /// How many it has.
        count: usize,
        /// How many it may have.
        most: usize,
    },
    /// A key is in a list twice.
    #[error("{list} {index} has the key of an earlier one: give every one its own key")]
    DuplicateKey {
        /// Which list.
        list: &'static str,
        /// Where the key is found again.
        index: usize,
    },
    /// The signers' keys do not aggregate.
    #[error(transparent)]
    Committee(#[from] CommitteeError),
    /// An amount is too small for what it pays.
    #[error("{name} is {got}: raise it to at least {least} ({why})")]
    TooSmall {
        /// The parameter.
        name: &'static str,
        /// What it is.
        got: Amount,
        /// What it has to be.
        least: Amount,
        /// What it pays for.
        why: &'static str,
    },
    /// A number of blocks is too small.
    #[error("{name} is {got} blocks: raise it to at least {least} ({why})")]
    TooShort {
        /// The parameter.
        name: &'static str,
        /// What it is.
        got: u32,
        /// What it has to be.
        least: u32,
        /// Why.
        why: &'static str,
    },
    /// Bitcoin nodes would not relay the pre-signed transactions.
    #[error("presigned_fee_rate is {0}: give between 250 (1 sat/vB, the least that is relayed) and 250000")]
    FeeRate(FeeRate),
    /// This build judges claims by another program.
    #[error("guest is {0}: this build has {ours}; use the release that the bridge was made with", ours = sha256::Hash::from_byte_array(guest::ROOT))]
    Guest(sha256::Hash),
    /// What the Layer 2 says about its part.
    #[error("{0}")]
    Rollup(RollupError),
}

/// The most challengers that a run can have: FinalizeUnentered, which spends an entry of each, would not fit
/// the 10 kvB of a version 3 transaction otherwise.
pub const MAX_CHALLENGERS: usize = 160;

impl BridgeParameters {
    /// Parameters for regtest: short delays, denominations of 0.01, 0.1 and 1 BTC.
    pub fn regtest(members: Members, genesis: Genesis) -> Self {
        BridgeParameters {
            network: Network::Regtest,
            refund_delay: Height::from(60),
            delta1: Height::from(12),
            delta2: Height::from(688),
            turn: Height::from(9),
            confirmations: 6,
            cooperative_window: 16,
            operator_window: 30,
            grace: 12,
            ..Self::mainnet(members, genesis)
        }
    }

    /// Parameters with the delays that a bridge on the main network would have: about 2 days to contest, 3 weeks to be
    /// disputed.
    pub fn mainnet(members: Members, genesis: Genesis) -> Self {
        BridgeParameters {
            network: Network::Bitcoin,
            signers: members.signers,
            operators: members.operators.into_iter().map(|key| OperatorIdentity { key }).collect(),
            challengers: members.challengers,
            sequencers: members.sequencers,
            denominations: vec![
                Amount::from_sat(1_000_000),
                Amount::from_sat(10_000_000),
                Amount::from_sat(100_000_000),
            ],
            deposit_fee: Amount::from_sat(2_000),
            withdrawal_fee: Amount::from_sat(10_000),
            refund_delay: Height::from(2_016),
            delta1: Height::from(288),
            delta2: Height::from(3_168),
            turn: Height::from(36),
            confirmations: 6,
            cooperative_window: 144,
            operator_window: 144,
            grace: 36,
            bond: Amount::from_sat(5_000_000),
            challenger_bond: Amount::from_sat(1_000_000),
            connector: Amount::from_sat(330),
            presigned_fee_rate: FeeRate::from_sat_per_vb_u32(2),
            genesis,
            guest: sha256::Hash::from_byte_array(guest::ROOT),
        }
    }

    /// The least Δ2 for lanes of so many turns: a lane is entered within Δ1, each turn can take T_turn, and then there is time to
    /// have Slash mined.
    pub fn least_delta2(&self, turns: u32) -> u32 {
        u32::from(self.delta1.value()) + (turns + 2) * u32::from(self.turn.value()) + 1
    }

    /// Checks everything that a person could get wrong.
    ///
    /// # Errors
    /// The first thing that is wrong, and what to do about it.
    pub fn check(&self) -> Result<(), ParametersError> {
        Bridge::new(self.clone()).map(drop)
    }

    /// The committee.
    ///
    /// # Errors
    /// If the signers' keys do not aggregate.
    pub fn committee(&self) -> Result<Committee, CommitteeError> {
        Committee::new(&self.signers)
    }

    /// The Layer 2's part of the parameters.
    ///
    /// # Errors
    /// If the signers' keys do not aggregate.
    pub fn rollup(&self) -> Result<trestle_rollup::Parameters, CommitteeError> {
        Ok(self.rollup_of(&self.committee()?))
    }

    /// A hash of all the parameters, by which peers see that they have the same: SHA-256 of their JSON.
    pub fn digest(&self) -> [u8; 32] {
        let json = serde_json::to_vec(self).expect("parameters are plain data");
        sha256::Hash::hash(&json).to_byte_array()
    }

    fn rollup_of(&self, committee: &Committee) -> trestle_rollup::Parameters {
        let vault_key = committee.verifying_key(crate::connector::Tweak::KeyPath(None));
        trestle_rollup::Parameters {
            committee: committee.key().serialize(),
            vault_key: vault_key.serialize(),
            denominations: self.denominations.iter().map(|amount| amount.to_sat()).collect(),
            withdrawal_fee: self.withdrawal_fee.to_sat(),
            cooperative_window: self.cooperative_window,
            operator_window: self.operator_window,
            grace: self.grace,
            operators: self.operators.iter().map(|operator| operator.key.serialize()).collect(),
            sequencers: self.sequencers.iter().map(XOnlyPublicKey::serialize).collect(),
            signers: self.signers.iter().map(|key| key.x_only_public_key().0.serialize()).collect(),
            // So that everybody knows of a change, and that it stays, as long before it counts as it takes to be sure.
            membership_delay: self.confirmations.saturating_mul(2),
            genesis_height: self.genesis.height,
            genesis_hash: self.genesis.hash.to_byte_array(),
            bridge: self.digest(),
        }
    }
}

/// A bridge: checked parameters and what follows from them.
#[derive(Debug, Clone)]
pub struct Bridge {
    /// The parameters.
    pub parameters: BridgeParameters,
    /// The committee.
    pub committee: Committee,
    /// The ticket that every vault comes with.
    pub ticket: Ticket,
    /// The entry E_j of every challenger's lane.
    pub entries: Vec<Entry>,
    /// The Layer 2's part of the parameters.
    pub rollup: trestle_rollup::Parameters,
    /// What every signature of this bridge commits to.
    pub instance: [u8; 32],
    /// What tags and envelopes of this bridge start with.
    pub tag: [u8; 4],
}

impl Bridge {
    /// A bridge from its parameters.
    ///
    /// # Errors
    /// The first thing that is wrong with the parameters, and what to do about it.
    pub fn new(parameters: BridgeParameters) -> Result<Self, ParametersError> {
        if parameters.guest.to_byte_array() != guest::ROOT {
            return Err(ParametersError::Guest(parameters.guest));
        }
        check::keys(&parameters)?;
        check::blocks(&parameters)?;
        let committee = parameters.committee()?;
        let rollup = parameters.rollup_of(&committee);
        rollup.check().map_err(ParametersError::Rollup)?;
        let (instance, tag) = (rollup.instance(), rollup.bridge_tag());
        let signers: Vec<_> = parameters.signers.iter().map(|key| key.x_only_public_key().0).collect();
        let ticket = Ticket::new(committee.key(), &signers);
        let entries = parameters.challengers.iter().map(|key| Entry::new(committee.key(), *key)).collect();
        let bridge = Bridge { parameters, committee, ticket, entries, rollup, instance, tag };
        check::amounts(&bridge)?;
        Ok(bridge)
    }

    /// The script of vaults.
    pub fn vault_script(&self) -> &ScriptBuf {
        self.committee.script()
    }

    /// The amount of a denomination.
    pub fn denomination(&self, index: u8) -> Option<Amount> {
        self.parameters.denominations.get(usize::from(index)).copied()
    }

    /// Where an operator's F, refunds and reimbursements go: `tr(its key)`.
    pub fn operator(&self, index: u8) -> Option<OperatorConnector> {
        self.parameters.operators.get(usize::from(index)).map(|operator| OperatorConnector(operator.key))
    }

    /// The deposit output of a user with this refund key.
    pub fn deposit(&self, refund_key: XOnlyPublicKey) -> Deposit {
        Deposit::new(self.committee.key(), refund_key, self.parameters.refund_delay)
    }

    /// What a deposit of this denomination has to carry, exactly.
    pub fn deposit_amount(&self, denomination: u8) -> Option<Amount> {
        Some(self.denomination(denomination)? + self.parameters.deposit_fee)
    }
}

/// Amounts as a list of satoshis.
mod sats {
    use bitcoin::Amount;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(amounts: &[Amount], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(amounts.iter().map(|amount| amount.to_sat()))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Amount>, D::Error> {
        Ok(Vec::<u64>::deserialize(deserializer)?.into_iter().map(Amount::from_sat).collect())
    }
}
