//! Every encoding is read back as it was written, and in no other form.

use proptest::prelude::*;
use trestle_rollup::{
    Account, AdminOperation, Batch, Destination, OutPoint, SignedTransaction, SlotId, Tag, Transaction, Txid,
    WithdrawalId,
};

fn accounts() -> impl Strategy<Value = Account> {
    any::<[u8; 32]>().prop_map(Account)
}

fn signatures() -> impl Strategy<Value = [u8; 64]> {
    prop::collection::vec(any::<u8>(), 64).prop_map(|bytes| bytes.try_into().unwrap())
}

fn slots() -> impl Strategy<Value = SlotId> {
    any::<[u8; 6]>().prop_map(SlotId::from_bytes)
}

fn destinations() -> impl Strategy<Value = Destination> {
    (0..5, any::<[u8; 32]>()).prop_map(|(kind, long)| {
        let short = *long.first_chunk().unwrap();
        match kind {
            0 => Destination::P2pkh(short),
            1 => Destination::P2sh(short),
            2 => Destination::P2wpkh(short),
            3 => Destination::P2wsh(long),
            _ => Destination::P2tr(long),
        }
    })
}

fn transactions() -> impl Strategy<Value = SignedTransaction> {
    let transfer = (accounts(), accounts(), any::<[u64; 3]>())
        .prop_map(|(from, to, [amount, fee, nonce])| Transaction::Transfer { from, to, amount, fee, nonce });
    let withdraw = (accounts(), destinations(), any::<u8>(), any::<[u64; 2]>()).prop_map(
        |(from, destination, denomination, [fee, nonce])| Transaction::Withdraw {
            from,
            destination,
            denomination,
            fee,
            nonce,
        },
    );
    (prop_oneof![transfer, withdraw], signatures())
        .prop_map(|(transaction, signature)| SignedTransaction { transaction, signature })
}

fn tags() -> impl Strategy<Value = Tag> {
    let key = any::<[u8; 32]>().prop_filter("a key is not zero", |key| *key != [0; 32]);
    let operation = (0..2, any::<u8>(), key).prop_map(|(operation, index, key)| match operation {
        0 => AdminOperation::SetOperator { index, key },
        _ => AdminOperation::RetireOperator { index },
    });
    let withdrawals = || any::<u32>().prop_map(WithdrawalId);
    prop_oneof![
        (accounts(), signatures()).prop_map(|(account, signature)| Tag::Mint { account, signature }),
        (withdrawals(), slots()).prop_map(|(withdrawal, slot)| Tag::Payout { withdrawal, slot }),
        withdrawals().prop_map(|withdrawal| Tag::Cooperative { withdrawal }),
        (operation, signatures()).prop_map(|(operation, signature)| Tag::Admin { operation, signature }),
    ]
}

proptest! {
    #[test]
    fn tags_round_trip(tag in tags(), bridge: [u8; 4]) {
        let script = tag.script(bridge);
        prop_assert!(script.len() <= trestle_rollup::tag::MAX_SCRIPT);
        prop_assert_eq!(Tag::payload(&script, bridge).and_then(Tag::decode), Some(tag));
    }

    #[test]
    fn whatever_reads_as_a_tag_is_written_so(script in prop::collection::vec(any::<u8>(), 0..120), tag in tags(), at: prop::sample::Index, byte: u8) {
        let mut changed = tag.script([1, 2, 3, 4]);
        let at = at.index(changed.len());
        changed[at] = byte;
        for script in [script, changed] {
            if let Some(read) = Tag::payload(&script, [1, 2, 3, 4]).and_then(Tag::decode) {
                prop_assert_eq!(read.script([1, 2, 3, 4]), script);
            }
        }
    }

    #[test]
    fn transactions_round_trip_and_have_one_form(
        signed in transactions(),
        at: prop::sample::Index,
        byte: u8,
        random in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let bytes = signed.encode();
        prop_assert_eq!(SignedTransaction::decode(&bytes), Some(signed));
        prop_assert_eq!(signed.to_string().parse(), Ok(signed));
        let (longer, shorter) = ([&bytes[..], &[0]].concat(), &bytes[..bytes.len() - 1]);
        prop_assert_eq!(SignedTransaction::decode(&longer), None);
        prop_assert_eq!(SignedTransaction::decode(shorter), None);
        let mut changed = bytes.clone();
        let at = at.index(changed.len());
        changed[at] = byte;
        for bytes in [changed, random] {
            if let Some(read) = SignedTransaction::decode(&bytes) {
                prop_assert_eq!(read.encode(), bytes);
            }
        }
    }

    #[test]
    fn batches_round_trip_and_have_one_form(
        number: u64,
        signed in prop::collection::vec(transactions(), 0..5),
        certificate in prop::collection::btree_map(any::<u8>(), signatures(), 0..5),
        random in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut batch = Batch::new(number, &signed);
        certificate.into_iter().rev().for_each(|(sequencer, signature)| batch.certify(sequencer, signature));
        prop_assert_eq!(Batch::decode(&batch.encode()), Some(batch.clone()));
        prop_assert_eq!(&batch.transactions, &signed);
        let json = serde_json::to_string(&batch).unwrap();
        prop_assert_eq!(serde_json::from_str::<Batch>(&json).unwrap(), batch);
        if let Some(read) = Batch::decode(&random) {
            prop_assert_eq!(read.encode(), random);
        }
    }

    #[test]
    fn destinations_are_the_scripts_that_rust_bitcoin_knows_and_no_others(
        destination in destinations(),
        at: prop::sample::Index,
        byte: u8,
    ) {
        let script = destination.script();
        prop_assert_eq!(Destination::from_script(&script), Some(destination));
        prop_assert!(destination.is_paid_by(&script));
        let mut changed = script.clone();
        changed[at.index(script.len())] = byte;
        let script = bitcoin::Script::from_bytes(&changed);
        let known = script.is_p2pkh() || script.is_p2sh() || script.is_p2wpkh() || script.is_p2wsh() || script.is_p2tr();
        prop_assert_eq!(Destination::from_script(&changed).is_some(), known);
    }

    #[test]
    fn names_round_trip_as_text_and_json(account in accounts(), slot in slots(), txid: [u8; 32], vout: u32) {
        let outpoint = OutPoint { txid: Txid(txid), vout };
        prop_assert_eq!(account.to_string().parse(), Ok(account));
        prop_assert_eq!(slot.to_string().parse(), Ok(slot));
        prop_assert_eq!(SlotId::from_bytes(slot.to_bytes()), slot);
        prop_assert_eq!(OutPoint::from_bytes(&outpoint.to_bytes()), outpoint);
        let native = bitcoin::OutPoint::from(outpoint);
        prop_assert_eq!(native.to_string(), outpoint.to_string());
        prop_assert_eq!(outpoint.to_string().parse(), Ok(outpoint));
        let json = serde_json::to_string(&(account, slot, outpoint)).unwrap();
        prop_assert_eq!(serde_json::from_str::<(Account, SlotId, OutPoint)>(&json).unwrap(), (account, slot, outpoint));
    }
}

#[test]
fn what_names_no_slot_is_refused() {
    for text in ["", "0", "0/1", "0/1/2/3", "256/0/0", "0/1/4294967296", "a/0/0", "0/ 1/2", "-1/0/0"] {
        assert!(text.parse::<SlotId>().is_err(), "{text}");
    }
    assert_eq!("0/1/17".parse(), Ok(SlotId { operator: 0, denomination: 1, serial: 17 }));
}

#[test]
fn no_multibyte_text_panics_in_a_parser() {
    for text in ["é".repeat(32), "ééééé".into(), "0é".repeat(22)] {
        assert!(text.parse::<Account>().is_err());
        assert!(text.parse::<Txid>().is_err());
        assert!(text.parse::<SignedTransaction>().is_err());
    }
}
