//! Fixtures: bytes that can never change without making another Layer 2.

use bitcoin::hex::DisplayHex as _;
use trestle_rollup::compress::{IV, IV_INNER, IV_KEY, IV_LEAF, IV_MEMORY, IV_R};
use trestle_rollup::envelope::Kind;
use trestle_rollup::state::Key;
use trestle_rollup::tag::{admin_message, mint_message};
use trestle_rollup::{
    Account, AccountState, AdminOperation, Batch, Destination, Digest, Entry, Envelope, Fulfilment, Membership, Meta,
    NextSequencers, OutPoint, Parameters, Sequencers, SignedTransaction, SlotId, Tag, Transaction, Txid, Withdrawal,
    WithdrawalId, compress,
};

fn parameters() -> Parameters {
    Parameters {
        committee: [1; 32],
        vault_key: [2; 32],
        denominations: vec![1_000_000, 10_000_000, 100_000_000],
        withdrawal_fee: 5_000,
        cooperative_window: 16,
        operator_window: 30,
        grace: 12,
        operators: vec![[3; 32], [4; 32]],
        sequencers: vec![[5; 32]],
        signers: vec![[8; 32], [9; 32]],
        membership_delay: 18,
        genesis_height: 100,
        genesis_hash: [6; 32],
        bridge: [7; 32],
    }
}

#[track_caller]
fn pin(bytes: impl AsRef<[u8]>, hex: &str) {
    assert_eq!(bytes.as_ref().to_lower_hex_string(), hex);
}

#[test]
fn constants_are_the_hashes_of_their_names() {
    let rows: [(&str, Digest); 5] =
        [("IV_R", IV_R), ("IV_INNER", IV_INNER), ("IV_LEAF", IV_LEAF), ("IV_KEY", IV_KEY), ("IV_MEMORY", IV_MEMORY)];
    for (name, constant) in rows {
        let mut block = [0; 64];
        block[..name.len()].copy_from_slice(name.as_bytes());
        assert_eq!(compress(&IV, &block), constant, "{name}");
    }
    // And C itself is SHA-256's: the digest of nothing.
    let mut empty = [0; 64];
    empty[0] = 0x80;
    pin(compress(&IV, &empty), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

#[test]
fn the_genesis_is_pinned() {
    let parameters = parameters();
    pin(
        parameters.encode(),
        "010101010101010101010101010101010101010101010101010101010101010102020202020202020202020202020202020202020202020202020202020202020300000040420f0000000000809698000000000000e1f50500000000881300000000000010001e000c001200020000000303030303030303030303030303030303030303030303030303030303030303040404040404040404040404040404040404040404040404040404040404040401000000050505050505050505050505050505050505050505050505050505050505050502000000080808080808080808080808080808080808080808080808080808080808080809090909090909090909090909090909090909090909090909090909090909096400000006060606060606060606060606060606060606060606060606060606060606060707070707070707070707070707070707070707070707070707070707070707",
    );
    pin(parameters.instance(), "91face73640f6a4ee6857a27df9504ca114d445ff3d42795ecba1be62a331c6f");
    pin(parameters.bridge_tag(), "91face73");
    let entry = parameters.genesis(&mut ()).unwrap();
    pin(entry.state_root, "4d883f5644709c6aafbe96dbdb61b9f97ef07a137d8fc7a8b3628e05cf80403c");
    pin(entry.digest(), "b3b8ef15ad706ee67a148e14722a603150389e99d12b1fffe22859bd2760b7bb");
    pin(
        Entry { block_hash: [1; 32], state_root: [2; 32] }.digest(),
        "b314228df2fc30183ea7e4f5644f7513d2452a9f589e11981be2d382a4c26a22",
    );
}

#[test]
fn transactions_are_pinned() {
    let instance = parameters().instance();
    let transfer =
        Transaction::Transfer { from: Account([7; 32]), to: Account([8; 32]), amount: 500, fee: 3, nonce: 0x0102 };
    pin(
        transfer.encode(),
        "0007070707070707070707070707070707070707070707070707070707070707070808080808080808080808080808080808080808080808080808080808080808f40100000000000003000000000000000201000000000000",
    );
    pin(transfer.sighash(&instance), "7a19a5fab4d055d2cc0f6b502feb14b2a26d3118c872182be1d4c8bad4875694");
    let withdraw = Transaction::Withdraw {
        from: Account([7; 32]),
        destination: Destination::P2wpkh([9; 20]),
        denomination: 1,
        fee: 3,
        nonce: 4,
    };
    pin(
        withdraw.encode(),
        "0107070707070707070707070707070707070707070707070707070707070707070102090909090909090909090909090909090909090903000000000000000400000000000000",
    );
    pin(withdraw.sighash(&instance), "aab1b8d5f36b280b49301175d0147ab3c3520c5a2ef726c3c5c9e7717a686c12");
    let signed = [transfer, withdraw].map(|transaction| SignedTransaction { transaction, signature: [6; 64] });
    let batch = Batch { number: 5, transactions: signed.to_vec(), certificate: vec![(2, [6; 64]), (9, [7; 64])] };
    pin(
        batch.compact(&instance, |account| Ok::<_, ()>((account.0[0] == 8).then_some(300))).unwrap(),
        "05020402060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060707070707070707070707070707070707070707070707070707070707070707070707070707070707070707070707070707070707070707070707070707070703102e6eebfb0e27d762c0e0d7c6d094bb9ede5836be4edeae22fc8bfe37e68d86120606060606060606060606060606060606060606060606060606060606060606000707070707070707070707070707070707070707070707070707070707070707ad020582020306060606060606060606060606060606060606060606060606060606060606060007070707070707070707070707070707070707070707070707070707070707070102090909090909090909090909090909090909090904",
    );
    pin(
        batch.encode(),
        "050000000000000002040206060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606070707070707070707070707070707070707070707070707070707070707070707070707070707070707070707070707070707070707070707070707070707070007070707070707070707070707070707070707070707070707070707070707070808080808080808080808080808080808080808080808080808080808080808f4010000000000000300000000000000020100000000000006060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606010707070707070707070707070707070707070707070707070707070707070707010209090909090909090909090909090909090909090300000000000000040000000000000006060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606060606",
    );
    pin(batch.digest(&instance), "7d9944fda1cc06adfdbc97bf76eaf05d60b2bb9f075453d13c85613d9fa28c66");
}

#[test]
fn tags_and_envelopes_are_pinned() {
    let (bridge, signature) = ([0xaa, 0xbb, 0xcc, 0xdd], [0x55; 64]);
    let slot = SlotId { operator: 1, denomination: 2, serial: 0x0304_0506 };
    let withdrawal = WithdrawalId(0x0708);
    pin(
        Tag::Mint { account: Account([7; 32]), signature }.script(bridge),
        "6a4c65aabbccdd00070707070707070707070707070707070707070707070707070707070707070755555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555",
    );
    pin(Tag::Payout { withdrawal, slot }.script(bridge), "6a0faabbccdd0108070000010206050403");
    pin(Tag::Cooperative { withdrawal }.script(bridge), "6a09aabbccdd0208070000");
    let operation = AdminOperation::SetOperator { index: 3, key: [4; 32] };
    pin(
        Tag::Admin { operation, signature }.script(bridge),
        "6a4c67aabbccdd030003040404040404040404040404040404040404040404040404040404040404040455555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555555",
    );
    let (instance, input) = (parameters().instance(), OutPoint { txid: Txid([1; 32]), vout: 2 });
    pin(
        mint_message(&instance, &input, &Account([7; 32]), 1_000_000),
        "9a6a3c297c031347ab717d1e135292434b932e5ff9ba8245538425fadf93c018",
    );
    pin(
        admin_message(&instance, &input, &operation),
        "868a794e82d6f8d834148397a413551195e1216f6b4dd4a23440c0704867e258",
    );
    let change =
        Membership { set: 1, sequencers: vec![[3; 32]], certificate: vec![(0, [4; 64])], consent: vec![(9, [5; 64])] };
    pin(change.message(&instance), "db8d25e9b55c05a9d44d4e434e0818af4b7c7db18f89ba36919622f5f9030dbb");
    pin(
        change.encode(),
        "0100000001030303030303030303030303030303030303030303030303030303030303030301010404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040402000205050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505",
    );
    let lengths = [0, 1, 75, 76, 255, 256, 519, 520, 521, 1040, 1041];
    let script = |length| Envelope { kind: Kind::Batch, payload: vec![0x42; length] }.script(bridge, &[9; 32]);
    pin(
        trestle_rollup::compress::sha256d(&[&lengths.map(script).concat()]),
        "d4ba3dd8e9a9b995bf0ffb02e3c9477d08d6dd5c40ff2c2a577c02945d6afe75",
    );
    pin(
        Envelope { kind: Kind::Forced, payload: vec![1, 2, 3] }.script(bridge, &[9; 32]),
        "200909090909090909090909090909090909090909090909090909090909090909ac006305aabbccdd110301020368",
    );
}

#[test]
fn keys_and_records_are_pinned() {
    pin(Key::Parameter(3).digest(), "16c04e53001e15dbdfa65b7a58c9ea2cec0a8dd5861f70092a7822e9f461c6ae");
    pin(Key::Meta.digest(), "76fdbe8007209cbb5e50b247fcaa806e339bb04a96e6d6a14d0295cad472fa55");
    pin(Key::Account(Account([7; 32])).digest(), "8553a0e74d6a2d60b6d5d2dccd9daccc795f3ba716cbe06ced5f73c5062736ff");
    pin(Key::Withdrawal(WithdrawalId(1)).digest(), "ed1745284a73fd116601cb9f20c15c3a7d191137191c45e0c9b432764da9aaf1");
    pin(Key::Destination(WithdrawalId(1)).digest(), "381d55ae8e921a4f02977bad78eb666ea7e98e65e98eba0c7fdd7e8735363b80");
    pin(
        Key::Slot(SlotId { operator: 1, denomination: 2, serial: 3 }).digest(),
        "2d9bf3d8daa1966828fb1191336710a2e041388698489204c667db48e2d11f61",
    );
    pin(Key::Operator(1).digest(), "ec365b74a6f8f00d2c484ceaa858eafa3dc5550d9b89316cfebb5455dcbaef4a");
    pin(Key::ActiveOperators.digest(), "5db099b8f75bd6c2fa24ff6b462f054e86312d57c7c14409d2e47d4624c7e2fb");
    pin(Key::Index(1).digest(), "984e2a0d9eda205a23cb1fbec1323df21b9e9c1ca2a54ec8d283c4ca5d2d8665");
    pin(Key::Sequencers.digest(), "a6a49716fad2c3e93db3f238db68de7a8622a54b26436a3759f3e44ec7a3a478");
    pin(Key::Signer(1).digest(), "ce5452c791f7f68b38349188e62a9ab82c0fdfc8bfeda05d5b8d6bd29768353e");
    pin(
        Key::Sequencer { set: 2, index: 1 }.digest(),
        "50a891dded6911522dbe58381efe949d4bbc178ebe674a37269bb0cc90a2977f",
    );
    pin(
        Meta { height: 1, supply: 2, withdrawals: 3, batches: 4, accounts: 6, operators: 5 }.encode(),
        "0100000002000000000000000300000004000000000000000600000005000000",
    );
    let next = Some(NextSequencers { count: 4, from: 5 });
    pin(
        Sequencers { set: 2, count: 3, next }.encode(),
        "0200000003040500000000000000000000000000000000000000000000000000",
    );
    pin(
        AccountState { balance: 1, nonce: 2, index: Some(3) }.encode(),
        "0100000000000000020000000000000003000000000000000000000000000000",
    );
    pin(
        Fulfilment { height: 1, withdrawal: WithdrawalId(2) }.encode(),
        "0100000002000000000000000000000000000000000000000000000000000000",
    );
    let withdrawal = Withdrawal {
        denomination: 1,
        requested_height: 2,
        destination: Destination::P2pkh([3; 20]),
        paid: true,
        operators: 4,
    };
    let (record, payload) = withdrawal.encode();
    pin(record, "0102000000010004000000000000000000000000000000000000000000000000");
    pin(payload, "0303030303030303030303030303030303030303000000000000000000000000");
}
