//! The parsers of witnesses against the scripts whose witnesses they read.

use std::sync::OnceLock;

use bitcoin::ScriptBuf;
use bitcoin::hashes::{Hash, hash160};
use bitcoin::opcodes::all::OP_PUSHNUM_1;
use trestle_taptree_trace::interpreter::{Rules, run};
use trestle_taptree_trace::lane::{
    ChoiceId, LaneId, LaneKeys, MessageId, Move, Search, Transcript, challenger_keys, choose, operator_keys, sign,
};
use trestle_taptree_trace::ots::{SecretSeed, Signature, script_commit, script_commit_pairs};

use super::input::Input;

const CONFIRMATIONS: u16 = 1;
const LANE: LaneId = LaneId { instance: [1; 32], slot: [2; 6], challenger: 3 };

/// A move, the script that takes it, and a witness that it accepts.
struct Played {
    a_move: Move,
    script: ScriptBuf,
    items: Vec<Vec<u8>>,
}

struct Lane {
    keys: LaneKeys,
    moves: Vec<Played>,
}

/// The script as a leaf of its own.
fn alone(script: ScriptBuf) -> ScriptBuf {
    let mut bytes = script.into_bytes();
    bytes.push(OP_PUSHNUM_1.to_u8());
    bytes.into()
}

/// A lane in which everything was signed: all digits 0, but for the access of a path that is written.
fn lane() -> &'static Lane {
    static LANE_OF_ZEROS: OnceLock<Lane> = OnceLock::new();
    LANE_OF_ZEROS.get_or_init(|| {
        let (operator, challenger) = (SecretSeed::new([7; 32]), SecretSeed::new([8; 32]));
        let keys = operator_keys(&operator, &LANE, CONFIRMATIONS);
        let keys = LaneKeys::new(CONFIRMATIONS, keys, challenger_keys(&challenger, &LANE)).expect("a lane's keys");
        let mut transcript = Transcript::default();
        for id in MessageId::all(CONFIRMATIONS) {
            let mut fields: Vec<Vec<u8>> =
                id.layout().fields.iter().map(|field| vec![0; field.digits.div_ceil(2)]).collect();
            if id == MessageId::WritePosition {
                fields[0] = vec![5];
            }
            let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
            transcript.add(&keys, id, sign(&operator, &LANE, id, &fields).expect("it fits")).expect("the key's own");
        }
        for id in ChoiceId::all() {
            for option in [0, 5].into_iter().filter(|option| *option < id.options()) {
                let choice = choose(&challenger, &LANE, id, option).expect("there is such an option");
                transcript.choose(&keys, id, choice).expect("the key's own");
            }
        }
        let rounds = [Search::History, Search::Trace, Search::Read, Search::Write].map(|search| Move::Round(search, 1));
        let others = [Move::Block, Move::Step, Move::ReadNode, Move::WriteNode, Move::Header(0)];
        let play = |a_move: Move| Played {
            a_move,
            script: alone(a_move.script(&keys).expect("the lane has the keys")),
            items: a_move.witness(&transcript).expect("all is signed"),
        };
        let moves = rounds.into_iter().chain(others).map(play).collect();
        Lane { keys, moves }
    })
}

/// Items somebody has laid hands on.
fn tamper(input: &mut Input<'_>, items: &mut Vec<Vec<u8>>) {
    for _ in 0..input.byte() % 6 {
        if items.is_empty() {
            return;
        }
        let (at, other) = (input.below(items.len()), input.below(items.len()));
        match input.byte() % 9 {
            0 => items[at] = vec![input.byte()],
            1 => items[at] = items[other].clone(),
            2 => items[at] = hash160::Hash::hash(&items[at]).to_byte_array().to_vec(),
            3 => items[at].push(0),
            4 => drop(items.remove(at)),
            5 => items.insert(at, items[other].clone()),
            6 => items.swap(at, other),
            7 => {
                // Raise a digit: hash the link before it.
                items[at] = vec![items[at].first().map_or(1, |digit| digit.wrapping_add(1))];
                let link = at.wrapping_sub(1) % items.len();
                items[link] = hash160::Hash::hash(&items[link]).to_byte_array().to_vec();
            }
            _ => {
                let length = usize::from(input.byte() % 32);
                items[at] = input.bytes(length);
            }
        }
    }
}

fn accepts(script: &ScriptBuf, items: &[Vec<u8>]) -> bool {
    run(script, items, Rules::Consensus).is_ok_and(|outcome| outcome.accepts() && outcome.alt.is_empty())
}

/// Whatever the items are: the parser reads them if and only if the script accepts them.
pub fn read_witness(bytes: &[u8]) {
    let mut input = Input(bytes);
    let Lane { keys, moves } = lane();
    let which = input.below(moves.len() + 1);
    if let Some(Played { a_move, script, items }) = moves.get(which) {
        let mut items = items.clone();
        tamper(&mut input, &mut items);
        assert_eq!(a_move.read(keys, &items).is_ok(), accepts(script, &items), "{a_move:?} {items:x?}");
        return;
    }
    // One signature, of the shortest message, or items that are none at all.
    let (id, seed) = (MessageId::BlockIndex, SecretSeed::new([7; 32]));
    let signature = sign(&seed, &LANE, id, &[&input.array::<2>()]).expect("it fits");
    let (layout, key) = (id.layout(), keys.message(id).expect("the lane has the key"));
    let (mut triples, mut pairs) = (signature.witness(), signature.pairs());
    for items in [&mut triples, &mut pairs] {
        tamper(&mut input, items);
        if input.byte() == 0 {
            *items = (0..input.byte() % 40).map(|_| vec![input.byte(); usize::from(input.byte() % 64)]).collect();
        }
    }
    let read = Signature::from_witness(&layout, key, &triples);
    assert_eq!(read.is_ok(), accepts(&alone(script_commit(&layout, key)), &triples), "{triples:x?}");
    let read = Signature::from_pairs(&layout, key, &pairs);
    assert_eq!(read.is_ok(), accepts(&alone(script_commit_pairs(&layout, key)), &pairs), "{pairs:x?}");
}
