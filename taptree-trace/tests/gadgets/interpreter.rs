//! The interpreter says what Bitcoin Core says.

use bitcoin::opcodes::Opcode;
use bitcoin::opcodes::all::*;
use bitcoin::script::{Builder, PushBytesBuf, ScriptBuf};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use trestle_taptree_trace::interpreter::{Failure, Rules, Value, run};

use crate::judge;

/// Everything that the interpreter knows, without conditionals and signatures.
const OPCODES: [Opcode; 50] = [
    OP_TOALTSTACK,
    OP_FROMALTSTACK,
    OP_VERIFY,
    OP_DUP,
    OP_OVER,
    OP_2DUP,
    OP_3DUP,
    OP_2OVER,
    OP_SWAP,
    OP_ROT,
    OP_2SWAP,
    OP_2ROT,
    OP_DROP,
    OP_2DROP,
    OP_NIP,
    OP_TUCK,
    OP_PICK,
    OP_ROLL,
    OP_1ADD,
    OP_1SUB,
    OP_NEGATE,
    OP_ABS,
    OP_NOT,
    OP_0NOTEQUAL,
    OP_ADD,
    OP_SUB,
    OP_MIN,
    OP_MAX,
    OP_BOOLAND,
    OP_BOOLOR,
    OP_NUMEQUAL,
    OP_NUMEQUALVERIFY,
    OP_NUMNOTEQUAL,
    OP_LESSTHAN,
    OP_GREATERTHAN,
    OP_LESSTHANOREQUAL,
    OP_GREATERTHANOREQUAL,
    OP_PUSHNUM_NEG1,
    OP_DEPTH,
    OP_SIZE,
    OP_WITHIN,
    OP_EQUAL,
    OP_EQUALVERIFY,
    OP_HASH160,
    OP_SHA256,
    OP_PUSHNUM_1,
    OP_PUSHNUM_2,
    OP_PUSHNUM_5,
    OP_PUSHNUM_16,
    OP_RETURN,
];

/// Items at the edges of what is a number, minimal or not.
fn item(random: &mut StdRng) -> Vec<u8> {
    let edges: [&[u8]; 14] = [
        &[],
        &[0],
        &[0x80],
        &[1],
        &[0x81],
        &[1, 0],
        &[2],
        &[16],
        &[0x7f],
        &[0xff, 0],
        &[0xff, 0xff, 0xff, 0x7f],
        &[0xff, 0xff, 0xff, 0xff],
        &[0, 0, 0, 0x80, 0],
        &[0, 0, 0, 0, 0x80],
    ];
    match random.gen_range(0..4) {
        0 => edges.choose(random).unwrap().to_vec(),
        1 => vec![random.gen_range(0..4)],
        2 => (0..random.gen_range(0..7)).map(|_| random.r#gen()).collect(),
        _ => vec![random.gen_range(1..20)],
    }
}

fn opcode(random: &mut StdRng, script: Builder, depth: usize) -> Builder {
    match random.gen_range(0..12) {
        0 => script.push_slice(PushBytesBuf::try_from(item(random)).unwrap()),
        1 if depth > 0 => {
            let mut script = script.push_opcode(*[OP_IF, OP_NOTIF].choose(random).unwrap());
            for _ in 0..random.gen_range(0..3) {
                script = opcode(random, script, depth - 1);
            }
            if random.r#gen() {
                script = opcode(random, script.push_opcode(OP_ELSE), depth - 1);
            }
            script.push_opcode(OP_ENDIF)
        }
        _ => script.push_opcode(*OPCODES.choose(random).unwrap()),
    }
}

/// The script, then what leaves one item that depends on how many there were and what is on top: 1 for half of them.
fn observed(script: ScriptBuf, modulus: i64) -> ScriptBuf {
    let end = Builder::new().push_opcode(OP_DEPTH).push_opcode(OP_SWAP).push_opcode(OP_0NOTEQUAL);
    let end = end.push_opcode(OP_ADD).push_int(modulus).push_opcode(OP_GREATERTHAN).push_opcode(OP_TOALTSTACK);
    let bytes = [script.to_bytes(), end.into_script().to_bytes()].concat();
    // Items are dropped as long as there are any: at most 40.
    let drop = Builder::new()
        .push_opcode(OP_DEPTH)
        .push_opcode(OP_0NOTEQUAL)
        .push_opcode(OP_IF)
        .push_opcode(OP_DROP)
        .push_opcode(OP_ENDIF);
    let drops = drop.into_script().to_bytes().repeat(40);
    [bytes, drops, Builder::new().push_opcode(OP_FROMALTSTACK).into_script().to_bytes()].concat().into()
}

#[test]
fn any_script_is_judged_as_bitcoin_core_judges_it() {
    let mut random = StdRng::seed_from_u64(1);
    let (mut accepted, mut ended) = (0, 0);
    for _ in 0..30_000 {
        let items: Vec<_> = (0..random.gen_range(4..9)).map(|_| item(&mut random)).collect();
        let mut script = Builder::new();
        for _ in 0..random.gen_range(1..6) {
            script = opcode(&mut random, script, 2);
        }
        let script = observed(script.into_script(), random.gen_range(2..9));
        let outcome = run(&script, &items, Rules::Consensus);
        let accepts = outcome.as_ref().is_ok_and(|outcome| outcome.accepts());
        assert_eq!(accepts, judge::accepts(&script, &items), "{script} on {items:?}: {outcome:?}");
        accepted += usize::from(accepts);
        ended += usize::from(outcome.is_ok());
    }
    // Neither answer is rare.
    assert!(accepted > 3_000 && ended > 2 * accepted / 3 && ended < 25_000, "{accepted} {ended}");
}

#[test]
fn the_limit_of_a_thousand_items_is_bitcoin_cores() {
    for count in [998, 999, 1000, 1001] {
        let pushes = |count| (0..count).fold(Builder::new(), |script, _| script.push_int(1));
        let drops = (1..count).fold(pushes(count - 10), |script, _| script.push_opcode(OP_DROP)).into_script();
        let items = vec![vec![1]; 10];
        let outcome = run(&drops, &items, Rules::Consensus);
        assert_eq!(outcome.as_ref().is_ok_and(|outcome| outcome.accepts()), count <= 1000);
        assert_eq!(judge::accepts(&drops, &items), count <= 1000);
        if let Ok(outcome) = outcome {
            assert_eq!(outcome.peak, count);
        }
    }
}

#[test]
fn what_default_nodes_do_not_relay_fails_by_the_standard_rules_only() {
    let add = Builder::new().push_opcode(OP_ADD).push_int(7).push_opcode(OP_NUMEQUAL).into_script();
    assert!(run(&add, &[vec![3, 0], vec![4]], Rules::Consensus).unwrap().accepts());
    assert_eq!(run(&add, &[vec![3, 0], vec![4]], Rules::Standard), Err(Failure::NotANumber));
    assert_eq!(run(&add, &[vec![0; 81], vec![4]], Rules::Standard), Err(Failure::TooLarge));
    let long = ScriptBuf::from_bytes(vec![1, 7, OP_NUMEQUAL.to_u8()]);
    assert!(run(&long, &[vec![7]], Rules::Consensus).unwrap().accepts());
    assert_eq!(run(&long, &[vec![7]], Rules::Standard), Err(Failure::NotANumber));
}

#[test]
fn an_item_is_a_number_or_bytes_and_keeps_its_bytes() {
    let mut random = StdRng::seed_from_u64(2);
    for _ in 0..10_000 {
        let bytes = item(&mut random);
        assert_eq!(Value::from_bytes(&bytes).to_bytes(), bytes);
    }
    for number in [0, 1, -1, 127, 128, -128, 255, 256, i64::from(i32::MAX), 1 << 31, -(1 << 31), (1 << 32) + 5] {
        assert_eq!(Value::from_bytes(&Value::Number(number).to_bytes()), Value::Number(number));
    }
}
