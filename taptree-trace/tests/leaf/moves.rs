//! Moves on chain: what an operator and a challenger can send, and what nobody can.

use bitcoin::ScriptBuf;
use bitcoin::hashes::{Hash, hash160};
use bitcoin::opcodes::all::OP_PUSHNUM_1;
use rand::Rng;
use trestle_taptree_trace::interpreter::{Rules, run};
use trestle_taptree_trace::lane::{
    ChoiceId, LaneKeys, LaneKeysError, MessageId, Move, MoveError, Search, Transcript, challenger_keys, choice_script,
    operator_keys,
};
use trestle_taptree_trace::ots::{CLAIM, PublicKey, SecretSeed, Signature, script_commit, script_commit_pairs};
use trestle_zkvm_adapter::opening::Access;

use crate::core::accepts;
use crate::table::{LANE, chosen, keys, signed};
use crate::world::{CONFIRMATIONS, History, Step, rng, say_node, say_step};

/// The script as a leaf of its own: nothing is left, and that is right.
fn alone(script: ScriptBuf) -> ScriptBuf {
    let mut script = script.into_bytes();
    script.push(OP_PUSHNUM_1.to_u8());
    script.into()
}

fn every_move() -> Vec<Move> {
    let rounds = [Search::History, Search::Trace, Search::Read, Search::Write]
        .into_iter()
        .flat_map(|search| (0..search.rounds()).map(move |round| Move::Round(search, round)));
    let openings = [Move::Block, Move::Step, Move::ReadNode, Move::WriteNode];
    rounds.chain(openings).chain((0..=CONFIRMATIONS).map(Move::Header)).collect()
}

/// A whole lane: both sides have signed everything, for step j of the history, step k of its trace, and the node at
/// `level` on the path of an access that is read, and of another that is written.
fn transcript(j: u64, k: u64, level: usize) -> Transcript {
    let history = History { claimed: 100 };
    let mut rng = rng(j ^ k);
    let mut said = history.statements(j);
    history.say_headers(&mut said, j);
    let step = Step::random(&mut rng, &history.inputs(j));
    say_step(&mut said, k, &step.opening.step);
    say_node(&mut said, &step.opening, Access::Rs2, level);
    say_node(&mut said, &step.opening, Access::WritePc, level);
    let mut transcript = signed(&said, MessageId::all(CONFIRMATIONS));
    let quarters =
        |index: u64, rounds: u8| (0..rounds).map(move |round| (index >> (2 * (rounds - 1 - round)) & 3) as u8);
    for (search, index) in [(Search::History, j), (Search::Trace, k), (Search::Read, level as u64)] {
        for (round, quarter) in (0..).zip(quarters(index, search.rounds())) {
            let id = ChoiceId::of_round(search, round);
            transcript.choose(keys(), id, chosen(id, quarter)).unwrap();
        }
    }
    // Named twice: the operator may answer either.
    for access in [Access::Rs2, Access::WritePc] {
        transcript.choose(keys(), ChoiceId::Access, chosen(ChoiceId::Access, access as u8)).unwrap();
    }
    transcript
}

#[test]
fn every_move_is_accepted_and_read_back() {
    let mut rng = rng(5);
    for number in 0..3 {
        let (j, k) = [(0, 0), (65535, (1 << 44) - 1), (rng.gen_range(1..65535), rng.gen_range(0..1 << 44))][number];
        let transcript = transcript(j, k, [0, 63, 26][number]);
        for a_move in every_move() {
            let script = alone(a_move.script(keys()).unwrap());
            let items = a_move.witness(&transcript).unwrap();
            let outcome = run(&script, &items, Rules::Standard).unwrap();
            assert!(outcome.accepts() && outcome.alt.is_empty(), "{a_move:?}");
            assert!(outcome.peak <= 960, "{a_move:?}: {}", outcome.peak);
            assert!(accepts(&script, &items), "{a_move:?}");
            let longest = a_move.longest_items();
            assert_eq!(longest.len(), items.len(), "{a_move:?}");
            assert!(items.iter().map(Vec::len).sum::<usize>() <= longest.iter().sum(), "{a_move:?}");

            let (messages, choices) = a_move.read(keys(), &items).unwrap();
            let mut again = Transcript::default();
            messages.into_iter().for_each(|(id, signature)| again.add(keys(), id, signature).unwrap());
            choices.into_iter().for_each(|(id, choice)| again.choose(keys(), id, choice).unwrap());
            assert_eq!(a_move.witness(&again).unwrap(), items);
        }
    }
}

#[test]
fn no_item_of_a_move_can_be_another() {
    let transcript = transcript(77, 1 << 40, 5);
    let mut rng = rng(6);
    for a_move in every_move() {
        let script = alone(a_move.script(keys()).unwrap());
        let items = a_move.witness(&transcript).unwrap();
        for _ in 0..12 {
            let mut wrong = items.clone();
            let at = rng.gen_range(0..wrong.len());
            let other = match rng.gen_range(0..4) {
                0 => vec![rng.gen_range(1..=40)],
                1 => Vec::new(),
                2 => (0..20).map(|_| rng.r#gen()).collect(),
                _ => wrong[rng.gen_range(0..items.len())].clone(),
            };
            wrong[at] = other;
            let accepted = run(&script, &wrong, Rules::Consensus).is_ok_and(|outcome| outcome.accepts());
            // 15 can be written as anything above; it reads back as it was.
            let same = a_move.read(keys(), &wrong).is_ok_and(|read| read == a_move.read(keys(), &items).unwrap());
            assert_eq!(accepted, same, "{a_move:?}: item {at}");
        }
    }
}

#[test]
fn an_opening_is_what_the_challenger_has_chosen() {
    let honest = transcript(77, 12345, 30);
    for (a_move, choices) in [
        (Move::Block, (0..8).map(ChoiceId::History).collect::<Vec<_>>()),
        (Move::Step, (0..22).map(ChoiceId::Trace).collect()),
        (Move::ReadNode, (0..3).map(ChoiceId::Path).chain([ChoiceId::Access]).collect()),
        (Move::WriteNode, (0..3).map(ChoiceId::Path).chain([ChoiceId::Access]).collect()),
    ] {
        let script = alone(a_move.script(keys()).unwrap());
        let items = a_move.witness(&honest).unwrap();
        let (_, read) = a_move.read(keys(), &items).unwrap();
        for choice in choices {
            let at = read.iter().position(|(id, _)| *id == choice).unwrap();
            let was = read[at].1;
            // The first choice's secret is on top of the others, below the index and the messages.
            let at = read.len() - 1 - at;
            assert_eq!(items[at], was.secret);
            for option in (0..choice.options()).filter(|option| *option != was.option) {
                let mut wrong = items.clone();
                wrong[at] = chosen(choice, option).secret.to_vec();
                assert!(run(&script, &wrong, Rules::Consensus).is_err(), "{choice} {option}");
                assert_eq!(a_move.read(keys(), &wrong), Err(MoveError::Witness));
            }
        }
        let mut unchosen = Transcript::default();
        for id in a_move.messages().into_iter().chain(a_move.index()) {
            unchosen.add(keys(), id, honest.signature(id).unwrap().clone()).unwrap();
        }
        assert!(matches!(a_move.witness(&unchosen), Err(MoveError::NotChosen { .. })));
    }
}

#[test]
fn a_path_that_is_read_is_not_opened_as_one_that_is_written() {
    let honest = transcript(77, 12345, 30);
    for (a_move, access) in [(Move::ReadNode, Access::Write), (Move::WriteNode, Access::Memory)] {
        let index = a_move.index().unwrap();
        let mut other = Transcript::default();
        for id in a_move.messages() {
            other.add(keys(), id, honest.signature(id).unwrap().clone()).unwrap();
        }
        let position = index.layout().encode(&[&[access as u8], &[30], &[0]]).unwrap();
        other.add(keys(), index, crate::table::sign(index, &position)).unwrap();
        for (round, quarter) in [(0, 1), (1, 3), (2, 2)] {
            other.choose(keys(), ChoiceId::Path(round), chosen(ChoiceId::Path(round), quarter)).unwrap();
        }
        other.choose(keys(), ChoiceId::Access, chosen(ChoiceId::Access, access as u8)).unwrap();
        let items = a_move.witness(&other).unwrap();
        let script = alone(a_move.script(keys()).unwrap());
        assert!(run(&script, &items, Rules::Consensus).is_err());
    }
}

#[test]
fn the_rounds_of_a_path_are_played_for_an_access_that_was_named() {
    let honest = transcript(77, 12345, 30);
    for (search, named) in [(Search::Read, 0..5), (Search::Write, 5..7)] {
        for a_move in (0..search.rounds()).map(|round| Move::Round(search, round)) {
            let script = alone(a_move.script(keys()).unwrap());
            let mut items = a_move.witness(&honest).unwrap();
            for access in 0..7 {
                items[0] = chosen(ChoiceId::Access, access).secret.to_vec();
                let accepted = run(&script, &items, Rules::Consensus).is_ok_and(|outcome| outcome.accepts());
                assert_eq!(accepted, named.contains(&access), "{a_move:?}: {access}");
                assert_eq!(a_move.read(keys(), &items).is_ok(), accepted);
            }

            let mut unnamed = Transcript::default();
            for id in a_move.messages() {
                unnamed.add(keys(), id, honest.signature(id).unwrap().clone()).unwrap();
            }
            let other = if named.contains(&0) { 6 } else { 0 };
            unnamed.choose(keys(), ChoiceId::Access, chosen(ChoiceId::Access, other)).unwrap();
            assert!(matches!(a_move.witness(&unnamed), Err(MoveError::NotChosen { .. })));
        }
    }
}

#[test]
fn a_challenger_makes_one_of_the_choices_there_are() {
    for id in ChoiceId::all() {
        let script = alone(choice_script(keys(), id).unwrap());
        for option in 0..id.options() {
            let choice = chosen(id, option);
            assert!(accepts(&script, &[choice.secret]));
            assert_eq!(keys().choice(id).unwrap().read(&choice.secret), Some(choice));
        }
        for other in [vec![], vec![0; 20], chosen(ChoiceId::Access, 0).secret[1..].to_vec()] {
            assert!(!accepts(&script, &[&other]));
            assert_eq!(keys().choice(id).unwrap().read(&other), None);
        }
    }
}

#[test]
fn what_is_sent_in_a_move_can_be_repeated_in_a_standard_transaction() {
    // An operator whose chain begins with a value of 200 bytes.
    let long = [5; 200];
    let hash = |value: &[u8]| hash160::Hash::hash(value).to_byte_array();
    let own: PublicKey = SecretSeed::new([7; 32]).public_key(&CLAIM, &LANE.key_id(MessageId::Claim, "claim"));
    let mut key = own.clone();
    key.0[0] = (1..15).fold(hash(&long), |link, _| hash(&link));
    let message = CLAIM.encode(&[&[0; 2], &[0; 4]]).unwrap();
    let name = LANE.key_id(MessageId::Claim, "claim");
    let honest: Signature = SecretSeed::new([7; 32]).sign(&CLAIM, &name, &message).unwrap();
    let (mut triples, mut pairs) = (honest.witness(), honest.pairs());
    let at = triples.len() - 2;
    (triples[at], pairs[0]) = (long.to_vec(), long.to_vec());
    assert!(accepts(&alone(script_commit(&CLAIM, &own)), &honest.witness()));
    assert!(!accepts(&alone(script_commit(&CLAIM, &key)), &triples));
    assert!(!accepts(&alone(script_commit_pairs(&CLAIM, &key)), &pairs));
}

#[test]
fn keys_that_are_not_a_lanes_are_refused() {
    let operator = operator_keys(&SecretSeed::new([7; 32]), &LANE, CONFIRMATIONS);
    let challenger = challenger_keys(&SecretSeed::new([8; 32]), &LANE);
    let new =
        |operator: &[PublicKey], challenger: &[_]| LaneKeys::new(CONFIRMATIONS, operator.to_vec(), challenger.to_vec());
    assert_eq!(new(&operator, &challenger).as_ref(), Ok(keys()));
    assert!(matches!(new(&operator[1..], &challenger), Err(LaneKeysError::Count { whose: "operator", .. })));
    assert!(matches!(new(&operator, &challenger[1..]), Err(LaneKeysError::Count { whose: "challenger", .. })));
    let mut short = operator.clone();
    short[3].0.pop();
    assert!(matches!(new(&short, &challenger), Err(LaneKeysError::Key { .. })));
    let mut few = challenger.clone();
    few[3].0.pop();
    assert!(matches!(new(&operator, &few), Err(LaneKeysError::Options(_))));
    let mut related = operator.clone();
    related[9].0[4] = hash160::Hash::hash(&related[30].0[17]).to_byte_array();
    assert!(matches!(new(&related, &challenger), Err(LaneKeysError::Related(..))));
    related[9].0[4] = related[30].0[17];
    assert!(matches!(new(&related, &challenger), Err(LaneKeysError::Related(..))));
}

#[test]
fn keys_are_exchanged_as_text() {
    let text = serde_json::to_string(keys()).unwrap();
    assert_eq!(serde_json::from_str::<LaneKeys>(&text).unwrap(), *keys());
    assert!(serde_json::from_str::<LaneKeys>(&text.replacen("\"confirmations\":2", "\"confirmations\":3", 1)).is_err());
}
