//! Mints: when a deposit becomes coins of the Layer 2, and every way in which it does not.

use bitcoin::{Amount, ScriptBuf, Sequence};
use trestle_rollup::tag::mint_message;
use trestle_rollup::{Skip, Tag, schnorr};

use crate::support::world::World;
use crate::support::{Bridge, account, destination, key, outpoint};

#[test]
fn a_mint_credits_the_account_and_the_supply() {
    let mut world = World::funded();
    assert_eq!(world.balance(0), 11_000_000);
    assert_eq!(world.supply(), 11_000_000);
}

#[test]
fn a_mint_is_refused() {
    type Change = fn(&Bridge, &mut bitcoin::Transaction);
    let rows: &[(&str, Skip, Change)] = &[
        ("another script", Skip::NotAVault, |_, tx| tx.output[0].script_pubkey = destination(0).script_pubkey()),
        ("a longer script", Skip::NotAVault, |_, tx| {
            let longer = [tx.output[0].script_pubkey.as_bytes(), &[0x61]].concat();
            tx.output[0].script_pubkey = ScriptBuf::from_bytes(longer);
        }),
        ("no denomination", Skip::NotADenomination, |_, tx| tx.output[0].value += Amount::ONE_SAT),
        ("another denomination", Skip::CommitteeSignature, |_, tx| tx.output[0].value = Amount::from_sat(10_000_000)),
        ("another input", Skip::CommitteeSignature, |_, tx| tx.input[0].previous_output = outpoint(10).into()),
        ("the same transaction, another output", Skip::CommitteeSignature, |_, tx| {
            tx.input[0].previous_output.vout += 1;
        }),
        ("a refund's sequence number", Skip::MaybeRefund, |_, tx| tx.input[0].sequence = Sequence::from_height(60)),
        ("another account", Skip::CommitteeSignature, |bridge, tx| {
            let message = mint_message(&bridge.instance, &outpoint(9), &account(0), 1_000_000);
            let tag = Tag::Mint { account: account(1), signature: schnorr::sign(&message, &key("committee", 0)) };
            tx.output[1].script_pubkey = tag.script_pubkey(bridge.tag);
        }),
        ("not the committee's key", Skip::CommitteeSignature, |bridge, tx| {
            let message = mint_message(&bridge.instance, &outpoint(9), &account(0), 1_000_000);
            let tag = Tag::Mint { account: account(0), signature: schnorr::sign(&message, &key("operator", 0)) };
            tx.output[1].script_pubkey = tag.script_pubkey(bridge.tag);
        }),
        ("another instance", Skip::CommitteeSignature, |bridge, tx| {
            let message = mint_message(&[0; 32], &outpoint(9), &account(0), 1_000_000);
            let tag = Tag::Mint { account: account(0), signature: schnorr::sign(&message, &key("committee", 0)) };
            tx.output[1].script_pubkey = tag.script_pubkey(bridge.tag);
        }),
        ("a byte too many", Skip::Malformed, |_, tx| {
            let mut script = tx.output[1].script_pubkey.to_bytes();
            script[2] += 1;
            script.push(0);
            tx.output[1].script_pubkey = ScriptBuf::from_bytes(script);
        }),
        ("a byte too few", Skip::Malformed, |_, tx| {
            let mut script = tx.output[1].script_pubkey.to_bytes();
            script[2] -= 1;
            script.pop();
            tx.output[1].script_pubkey = ScriptBuf::from_bytes(script);
        }),
    ];
    for (name, why, change) in rows {
        let mut world = World::new();
        let mut mint = world.bridge.mint(9, account(0), 0);
        change(&world.bridge, &mut mint);
        assert_eq!(world.skip(mint), Some(*why), "{name}");
    }
}

#[test]
fn what_is_no_tag_by_position_or_form_mints_nothing() {
    type Change = fn(&Bridge, &mut bitcoin::Transaction);
    let rows: &[(&str, Change)] = &[
        ("swapped outputs", |_, tx| tx.output.swap(0, 1)),
        ("the tag third", |_, tx| tx.output.insert(1, tx.output[0].clone())),
        ("no vault before the tag", |_, tx| drop(tx.output.remove(0))),
        ("another bridge's tag", |_, tx| {
            let mut script = tx.output[1].script_pubkey.to_bytes();
            script[3] ^= 1;
            tx.output[1].script_pubkey = ScriptBuf::from_bytes(script);
        }),
        ("a longer push opcode than needed", |_, tx| {
            let script = tx.output[1].script_pubkey.to_bytes();
            let script = [&[0x6a, 0x4d, script[2], 0], &script[3..]].concat();
            tx.output[1].script_pubkey = ScriptBuf::from_bytes(script);
        }),
        ("something after the push", |_, tx| {
            let script = [tx.output[1].script_pubkey.as_bytes(), &[0x51]].concat();
            tx.output[1].script_pubkey = ScriptBuf::from_bytes(script);
        }),
    ];
    for (name, change) in rows {
        let mut world = World::new();
        let mut mint = world.bridge.mint(9, account(0), 0);
        change(&world.bridge, &mut mint);
        assert_eq!(world.skip(mint), None, "{name}");
        assert_eq!(world.supply(), 0, "{name}");
    }
}

#[test]
fn the_vault_script_without_a_tag_mints_nothing_and_a_coinbase_does_nothing() {
    let mut world = World::new();
    let vault = crate::support::plain(outpoint(1), vec![(1_000_000, world.bridge.vault_script())]);
    assert_eq!(world.skip(vault), None);
    assert_eq!(world.supply(), 0);
    // A mint as the whole coinbase: only input 0's outpoint differs from a valid one's.
    let mut block = crate::support::chain::assemble(world.chain.tip, 102, 0, vec![]);
    let mint = world.bridge.mint(1, account(0), 0);
    block.txdata[0].output.splice(0..0, mint.output);
    block.header.merkle_root = block.compute_merkle_root().unwrap();
    let events = world.layer.extend(&bitcoin::consensus::encode::serialize(&block));
    assert_eq!(events, []);
}
