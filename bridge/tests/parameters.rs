//! What parameters are refused, and why.
#![allow(clippy::type_complexity, reason = "the rows of tables")]

mod members;

use bitcoin::hashes::{Hash, sha256};
use bitcoin::relative::Height;
use bitcoin::{Amount, FeeRate, Network};
use members::Secrets;
use trestle_bridge::connector::Tweak;
use trestle_bridge::parameters::{Bridge, BridgeParameters, Members, ParametersError};

fn parameters() -> BridgeParameters {
    Secrets::new(3, 3, |_| {}).bridge.parameters
}

fn refused(change: impl FnOnce(&mut BridgeParameters)) -> ParametersError {
    let mut parameters = parameters();
    change(&mut parameters);
    parameters.check().expect_err("these are refused")
}

#[test]
fn parameters_survive_json_to_the_byte() {
    let parameters = parameters();
    let json = serde_json::to_string(&parameters).unwrap();
    let back: BridgeParameters = serde_json::from_str(&json).unwrap();
    assert_eq!(back, parameters);
    assert_eq!(serde_json::to_string(&back).unwrap(), json);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["denominations"], serde_json::json!([1_000_000, 10_000_000, 100_000_000]));
    assert_eq!(value["presigned_fee_rate"], 500);
    assert_eq!((&value["delta1"], &value["network"]), (&serde_json::json!(12), &serde_json::json!("regtest")));
    let unknown = json.replacen('{', "{\"delta3\":1,", 1);
    assert!(serde_json::from_str::<BridgeParameters>(&unknown).is_err());
}

#[test]
fn both_presets_are_sound() {
    let p = parameters();
    let members = Members {
        signers: p.signers.clone(),
        operators: p.operators.iter().map(|operator| operator.key).collect(),
        challengers: p.challengers.clone(),
        sequencers: p.sequencers.clone(),
    };
    let mainnet = BridgeParameters::mainnet(members, p.genesis);
    assert_eq!(mainnet.check(), Ok(()));
    assert_eq!(mainnet.network, Network::Bitcoin);
    assert_eq!(p.check(), Ok(()));
}

#[test]
fn what_a_person_gets_wrong_is_said_with_what_to_do() {
    let text = |change: fn(&mut BridgeParameters)| refused(change).to_string();
    let rows: [(fn(&mut BridgeParameters), &str); 18] = [
        (|p| p.signers.clear(), "0 signers: give between 1 and 255"),
        (|p| p.operators.clear(), "0 operators: give between 1 and 255"),
        (|p| p.challengers.clear(), "0 challengers: give between 1 and 160"),
        (|p| p.sequencers.clear(), "0 sequencers: give between 1 and 255"),
        (|p| p.signers[2] = p.signers[0], "signer 2 has the key of an earlier one: give every one its own key"),
        (
            |p| p.challengers[1] = p.challengers[0],
            "challenger 1 has the key of an earlier one: give every one its own key",
        ),
        (|p| p.denominations.clear(), "0 denominations; 1 to 8 are possible"),
        (|p| p.denominations.swap(0, 1), "denomination 1 is not greater than the one before"),
        (
            |p| p.delta1 = Height::from(6),
            "delta1 is 6 blocks: raise it to at least 7 (a challenger looks at a claim when it is `confirmations` deep, and \
             needs time to contest)",
        ),
        (
            |p| p.delta2 = Height::from(24),
            "delta2 is 24 blocks: raise it to at least 688 (a lane is entered within delta1, each of its turns can take `turn` \
             blocks, and then Slash has to be mined)",
        ),
        (
            |p| p.turn = Height::from(8),
            "turn is 8 blocks: raise it to at least 9 (a move can have to wait until another is `confirmations` deep, and must \
             then be mined itself, though a reorganisation may leave it out)",
        ),
        (
            |p| p.challenger_bond = Amount::from_sat(400_000),
            "challenger_bond is 0.00400000 BTC: raise it to at least 0.00413900 BTC (it pays for a whole lane on chain)",
        ),
        (
            |p| p.confirmations = 0,
            "confirmations is 0 blocks: raise it to at least 1 (a block that nothing was built on is not settled)",
        ),
        (
            |p| p.refund_delay = Height::from(17),
            "refund_delay is 17 blocks: raise it to at least 18 (a deposit is confirmed when it is `confirmations` deep)",
        ),
        (
            |p| p.deposit_fee = Amount::from_sat(1_180),
            "deposit_fee is 0.00001180 BTC: raise it to at least 0.00001181 BTC (it pays for Confirm, its anchor and the ticket)",
        ),
        (
            |p| p.connector = Amount::from_sat(329),
            "connector is 0.00000329 BTC: raise it to at least 0.00000330 BTC (less is dust, and not relayed)",
        ),
        (
            |p| p.bond = Amount::from_sat(2_000),
            "bond is 0.00002000 BTC: raise it to at least 0.00002491 BTC (it pays for Contest, with a connector for every \
             challenger, and can be halved)",
        ),
        (
            |p| p.presigned_fee_rate = FeeRate::from_sat_per_kwu(249),
            "presigned_fee_rate is 249: give between 250 (1 sat/vB, the least that is relayed) and 250000",
        ),
    ];
    for (change, expected) in rows {
        assert_eq!(text(change), expected);
    }
    let another = sha256::Hash::from_byte_array([1; 32]);
    assert_eq!(refused(|p| p.guest = another), ParametersError::Guest(another));
    // A K for which no delta2 is long enough, and one that is far beyond.
    for k in [255, u16::MAX - 3] {
        let long = move |p: &mut BridgeParameters| {
            (p.confirmations, p.delta1, p.turn, p.delta2) = (k, Height::MAX, Height::MAX, Height::MAX);
        };
        assert!(matches!(refused(long), ParametersError::TooShort { name: "delta2", .. }));
    }
    assert!(matches!(refused(|p| p.grace = 5), ParametersError::TooShort { name: "grace", .. }));
    assert!(matches!(refused(|p| p.operator_window = 12), ParametersError::TooShort { name: "operator_window", .. }));
    assert!(matches!(
        refused(|p| p.withdrawal_fee = Amount::from_sat(312)),
        ParametersError::TooSmall { name: "withdrawal_fee", .. }
    ));
}

#[test]
fn the_smallest_amounts_that_pass_make_transactions_that_can_be_built() {
    let s = Secrets::new(3, 3, |p| {
        p.deposit_fee = Amount::from_sat(1_181);
        p.bond = Amount::from_sat(2_491);
        p.challenger_bond = Amount::from_sat(413_900);
    });
    let terms = s.made_up_run(2);
    // What is left of the bond has to pay for FinalizeSlow too, and F.
    let graph = trestle_bridge::transactions::RunGraph::build(&s.bridge, terms);
    assert!(graph.is_ok(), "{}", graph.unwrap_err());
}

#[test]
fn every_parameter_is_part_of_the_digest() {
    let base = parameters().digest();
    let changes: [fn(&mut BridgeParameters); 6] = [
        |p| p.delta2 = Height::from(689),
        |p| p.challengers.swap(0, 1),
        |p| p.signers.swap(0, 1),
        |p| p.connector = Amount::from_sat(331),
        |p| p.genesis.height += 1,
        |p| p.challenger_bond += Amount::ONE_SAT,
    ];
    for change in changes {
        let mut parameters = parameters();
        change(&mut parameters);
        assert_ne!(parameters.digest(), base);
    }
}

#[test]
fn the_layer_2_knows_the_committee_and_its_vaults() {
    let bridge = Bridge::new(parameters()).unwrap();
    assert_eq!(bridge.rollup.committee, bridge.committee.key().serialize());
    let vault = [&[0x51, 32][..], &bridge.rollup.vault_key].concat();
    assert_eq!(bridge.vault_script().as_bytes(), vault);
    let tweaked: musig2::secp::Point = bridge.committee.key_agg_context(Tweak::KeyPath(None)).aggregated_pubkey();
    assert_eq!(tweaked.serialize_xonly(), bridge.rollup.vault_key);
    assert_eq!(bridge.instance, bridge.rollup.instance());
    assert_eq!(bridge.tag, bridge.rollup.bridge_tag());
}

#[test]
fn a_deposits_committee_leaf_is_the_one_that_mints() {
    let s = Secrets::new(3, 3, |_| {});
    let deposit = s.bridge.deposit(s.user.x_only_public_key().0);
    let p = s.bridge.committee.key().serialize();
    assert_eq!(deposit.confirm_leaf().script.as_bytes(), [&[32][..], &p, &[0xac]].concat());
    let descriptor = deposit.descriptor().to_string();
    let (nums, user) = ("50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0", deposit.user());
    assert!(
        descriptor.starts_with(&format!("tr({nums},{{pk({}),and_v(v:pk({user}),older(60))}})#", deposit.committee()))
    );
}
