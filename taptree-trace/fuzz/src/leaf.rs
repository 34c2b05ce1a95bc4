//! Leaves against their native mirrors.

use std::sync::OnceLock;

use bitcoin::ScriptBuf;
use trestle_taptree_trace::interpreter::{Rules, run};
use trestle_taptree_trace::lane::{LaneConstants, MessageId, Statements};
use trestle_taptree_trace::leaf::semantics::Class;
use trestle_taptree_trace::leaf::{Disproof, Frame, Said, Tree, item};
use trestle_taptree_trace::ots::{Field, Message};
use trestle_zkvm_adapter::layout::{HALT_ACCEPT, HALT_REJECT};

use super::input::Input;

const CONFIRMATIONS: u16 = 1;
/// Values that digests are made of, so that two are often alike.
const DIGESTS: [[u8; 32]; 3] = [HALT_ACCEPT, HALT_REJECT, [0x5a; 32]];

struct Compiled {
    leaf: Box<dyn Disproof>,
    body: ScriptBuf,
}

fn constants() -> LaneConstants {
    LaneConstants {
        checkpoint: DIGESTS[0],
        first_state: DIGESTS[2],
        code: 0x1_0000..0x4_2000,
        slot: [1, 2, 3, 4, 5, 6],
        confirmations: CONFIRMATIONS,
        target: [0x7f; 32],
        challenger: "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798".parse().expect("a key"),
    }
}

fn leaves() -> &'static [Compiled] {
    static LEAVES: OnceLock<Vec<Compiled>> = OnceLock::new();
    LEAVES.get_or_init(|| {
        let leaves = Tree::ALL.into_iter().flat_map(|tree| tree.leaves(CONFIRMATIONS));
        let compile = |leaf: Box<dyn Disproof>| {
            let body = leaf.body(&Frame::new(leaf.hint_count(), &leaf.reads()), &constants()).script;
            Compiled { leaf, body }
        };
        leaves.map(compile).collect()
    })
}

/// The bytes of a field: words that are often instructions, digests that are often alike.
fn field(input: &mut Input<'_>, field: &Field) -> Vec<u8> {
    let count = field.digits.div_ceil(2);
    let mut bytes = match (field.name, input.byte() % 8) {
        ("instruction", class @ 0..7) => {
            let mut word = input.bytes(4);
            let all = Class::ALL;
            let number = usize::from(class) + 7 * usize::from(word[3] >> 7);
            // Every other word has a funct7 that there is.
            word[0] = if word[0] & 4 == 0 { [0, 0, 2, 0x40][usize::from(word[0] & 3)] | word[0] >> 7 } else { word[0] };
            word[3] = word[3] & 0x80 | all[number % all.len()].opcode() as u8;
            word
        }
        ("digest", which @ 0..6) => {
            let mut digest = DIGESTS[usize::from(which) % 3];
            // Every other time it differs somewhere.
            digest[usize::from(input.byte()) % 32] ^= if which < 3 { 0 } else { input.byte() };
            digest[..count].to_vec()
        }
        ("digest", _) | ("instruction", _) => input.bytes(count),
        ("pc", 0..6) => {
            let pc = 0x1_0000 + 4 * input.below(0x8000) as u32;
            pc.to_be_bytes().to_vec()
        }
        // Zero, all ones, small, anything.
        (_, 0) => vec![0; count],
        (_, 1) => vec![0xff; count],
        (_, 2 | 3) => [vec![0; count - 1], input.bytes(1)].concat(),
        _ => input.bytes(count),
    };
    if field.digits % 2 == 1 {
        bytes[0] &= 15;
    }
    bytes
}

fn message(input: &mut Input<'_>, id: MessageId) -> Message {
    let layout = id.layout();
    let fields: Vec<Vec<u8>> = layout.fields.iter().map(|each| field(input, each)).collect();
    let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
    layout.encode(&fields).expect("as long as the layout says")
}

/// Whatever was signed: the script accepts what its mirror refutes, with the items that the mirror gives; and if the mirror
/// does not, no items that the fuzzer finds.
pub fn judge_leaf(bytes: &[u8]) {
    let mut input = Input(bytes);
    let all = leaves();
    // Every other time one that judges the step's words.
    let judges = |compiled: &&Compiled| compiled.leaf.reads()[0] == MessageId::StepLog;
    let judging: Vec<&Compiled> = all.iter().filter(judges).collect();
    let Compiled { leaf, body } =
        if input.byte() < 128 { &all[input.below(all.len())] } else { judging[input.below(judging.len())] };
    let constants = constants();
    let (m, b): ([u8; 32], [u8; 64]) = ([input.byte(); 32], [input.byte(); 64]);
    let mut said = Statements::default();
    let mut messages = Vec::new();
    for id in leaf.reads() {
        let mut signed = message(&mut input, id);
        if id == MessageId::StepLeaf && input.byte() < 128 {
            signed = id.layout().encode(&[&trestle_rollup::compress(&m, &b)]).expect("a digest");
        }
        said.add(id, signed.clone());
        messages.push((id, signed));
    }
    let preimage = (m, b);
    let said = Said { statements: &said, constants: &constants, preimage: Some(&preimage) };
    let signed: Vec<Vec<u8>> =
        messages.iter().flat_map(|(_, message)| message.digits()).map(|d| item((*d).into())).collect();
    let accepts = |hints: &[Vec<u8>]| run(body, &[hints, &signed].concat(), Rules::Consensus).is_ok();
    let name = leaf.name();
    let count = leaf.hint_count();
    match leaf.refutes(&said) {
        Some(hints) => assert!(accepts(&hints), "{name}: {messages:?}"),
        None => {
            let hints: Vec<Vec<u8>> = (0..count)
                .map(|_| match input.byte() {
                    long @ 0xf0.. => input.bytes(usize::from(long & 15)),
                    small => item(small.into()),
                })
                .collect();
            assert!(!accepts(&hints), "{name}: {messages:?} {hints:?}");
        }
    }
}
