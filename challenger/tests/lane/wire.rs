//! What comes from the other side is judged before anything is done with it.

use std::collections::HashSet;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use trestle_challenger::lane::{
    Answer, Ask, Challenger, Defender, Error, Next, Question, SignatureBytes, WireError, leading,
};
use trestle_rollup::SlotId;
use trestle_taptree_trace::lane::{ChoiceId, MessageId, Move, Search, SignedChoice, choose};
use trestle_taptree_trace::ots::Signature;

use crate::games::{Honest, Operator};
use crate::honest::claimed;
use crate::liar::Side;
use crate::store::Disk;
use crate::toy::{CONFIRMATIONS, LANE, challenger_seed, lane, operator_seed};

/// The signature that an answer carries.
pub fn read(id: MessageId, bytes: &SignatureBytes) -> Signature {
    let items: Vec<Vec<u8>> = bytes
        .0
        .chunks(21)
        .flat_map(|pair| [pair[..20].to_vec(), if pair[20] == 0 { vec![] } else { vec![pair[20]] }])
        .collect();
    Signature::from_pairs(&id.layout(), lane().keys.message(id).unwrap(), &items).unwrap()
}

fn chosen(id: ChoiceId, option: u8) -> SignedChoice {
    choose(&challenger_seed(), &LANE, id, option).unwrap()
}

fn operator(seed: u64) -> (Operator, u32) {
    let n = claimed(&mut StdRng::seed_from_u64(seed));
    (Operator::new(Side::honest(n)), n)
}

#[test]
fn asks_that_lead_nowhere_change_nothing() {
    let (mut operator, n) = operator(40);
    let mut ask = |choices: Vec<SignedChoice>, wanted| operator.answer(&Ask { choices, wanted }).unwrap();
    let round = |round| Move::Round(Search::History, round);
    let (zero, one) = (chosen(ChoiceId::History(0), 0), chosen(ChoiceId::History(0), 1));
    for (choices, wanted) in
        [(vec![], round(1)), (vec![zero], round(0)), (vec![zero; 9], Move::Block), (vec![], Move::Step)]
    {
        assert!(matches!(ask(choices, wanted), Err(Error::OutOfOrder { .. })), "{wanted:?}");
    }
    for wanted in [round(8), round(255), Move::Round(Search::Write, 3), Move::Header(3), Move::Header(u16::MAX)] {
        assert!(matches!(ask(vec![], wanted), Err(Error::NoSuchMove(_))), "{wanted:?}");
    }
    let foreign = SignedChoice { secret: [7; 20], ..zero };
    let beyond = SignedChoice { option: 4, ..zero };
    let other = chosen(ChoiceId::History(1), 0);
    let mismatched = SignedChoice { option: 1, ..zero };
    for wrong in [foreign, beyond, other, mismatched] {
        assert!(matches!(ask(vec![wrong], round(1)), Err(Error::Transcript(_))));
    }
    // Nothing of these counts.
    let first = ask(vec![one], round(1)).unwrap();
    assert!(matches!(ask(vec![zero], round(1)), Err(Error::ChosenBefore { followed: 1, .. })));
    assert_eq!(ask(vec![one], round(1)).unwrap(), first);
    let at = |quarter: u8| [one].into_iter().chain((1..8).map(move |round| chosen(ChoiceId::History(round), quarter)));
    let to = |access: u8, rounds: u8| {
        let trace = (0..22).map(|round| chosen(ChoiceId::Trace(round), 0));
        let path = (0..rounds).map(|round| chosen(ChoiceId::Path(round), 1));
        at(2).chain(trace).chain([chosen(ChoiceId::Access, access)]).chain(path).collect::<Vec<_>>()
    };
    // An access that is read has no path that is written.
    assert!(matches!(ask(to(2, 0), Move::Round(Search::Write, 0)), Err(Error::OtherAccess(Search::Write))));
    assert!(matches!(ask(to(6, 3), Move::ReadNode), Err(Error::OtherAccess(Search::Read))));
    assert!(ask(to(6, 3), Move::WriteNode).is_ok());
    assert!(matches!(ask(to(2, 3), Move::ReadNode), Err(Error::ChosenBefore { choice: ChoiceId::Access, .. })));
    assert!(n > 0);
}

#[test]
fn answers_that_are_none_change_nothing() {
    let mut rng = StdRng::seed_from_u64(41);
    let (mut operator, n) = operator(41);
    let mut challenger = Honest::new(Side::doubting(n), &operator);
    let Next::Ask(ask) = challenger.next() else { panic!("nothing is asked") };
    let answer = operator.answer(&ask).unwrap().unwrap();
    let other = operator
        .answer(&Ask { choices: vec![chosen(ChoiceId::History(0), 0)], wanted: Move::Round(Search::History, 1) })
        .unwrap()
        .unwrap();
    assert!(matches!(challenger.receive(ask.wanted, &other), Err(Error::OneTime(_))));
    let mut long = answer.clone();
    long.signatures.extend(answer.signatures.clone());
    for wrong in [Answer { signatures: vec![] }, long] {
        assert!(matches!(challenger.receive(ask.wanted, &wrong), Err(Error::Signatures { .. })));
    }
    for _ in 0..200 {
        let mut wrong = answer.clone();
        let bytes = &mut wrong.signatures[rng.gen_range(0..3)].0;
        let at = rng.gen_range(0..bytes.len());
        match rng.gen_range(0..4) {
            0 => bytes.truncate(at),
            1 => bytes.push(0),
            2 => bytes[at / 21 * 21 + 20] = rng.gen_range(16..=255),
            _ => bytes[at] ^= rng.gen_range(1..=255),
        }
        let refused = challenger.receive(ask.wanted, &wrong);
        assert!(matches!(refused, Err(Error::Length { .. } | Error::OneTime(_))), "{refused:?}");
    }
    assert_eq!(challenger.next(), Next::Ask(ask.clone()));
    challenger.receive(ask.wanted, &answer).unwrap();
    assert!(matches!(challenger.next(), Next::Ask(next) if next != ask));
}

/// Every move of a lane, and one round more of each search.
fn moves() -> Vec<Move> {
    let searches = [Search::History, Search::Trace, Search::Read, Search::Write];
    let rounds =
        searches.into_iter().flat_map(|search| (0..=search.rounds()).map(move |round| Move::Round(search, round)));
    let openings = [Move::Block, Move::Step, Move::ReadNode, Move::WriteNode];
    rounds.chain(openings).chain((0..=CONFIRMATIONS + 1).map(Move::Header)).collect()
}

fn question(wanted: Move) -> Question {
    let secret = |at: usize| [at as u8; 20];
    let choices = (0..leading(wanted).len()).map(|at| SignedChoice { option: at as u8 % 7, secret: secret(at) });
    let slot = SlotId { operator: 3, denomination: 1, serial: 0x0102_0304 };
    Question { slot, challenger: 0x0506, ask: Ask { choices: choices.collect(), wanted } }
}

#[test]
fn a_question_is_read_as_it_was_written_and_has_the_length_of_its_move() {
    let mut numbers = HashSet::new();
    let mut longest = 0;
    for wanted in moves() {
        let question = question(wanted);
        let bytes = question.encode();
        let read = Question::decode(CONFIRMATIONS, &bytes);
        if matches!(wanted, Move::Round(search, round) if round == search.rounds())
            || wanted == Move::Header(CONFIRMATIONS + 1)
        {
            assert!(matches!(read, Err(WireError::NoSuchMove(_))), "{wanted:?}");
            continue;
        }
        assert_eq!(read, Ok(question));
        assert!(numbers.insert(bytes[8..12].to_vec()), "{wanted:?} has another's number");
        longest = longest.max(bytes.len());
        for cut in [0, 11, bytes.len() - 1, bytes.len().saturating_sub(21)] {
            let read = Question::decode(CONFIRMATIONS, &bytes[..cut]);
            assert!(cut == bytes.len() || matches!(read, Err(WireError::Length { .. })), "{wanted:?} {cut}");
        }
        for more in [1, 21] {
            let long = [bytes.clone(), vec![0; more]].concat();
            assert!(
                matches!(Question::decode(CONFIRMATIONS, &long), Err(WireError::Length { .. })),
                "{wanted:?} {more}"
            );
        }
    }
    assert_eq!(longest, Question::longest());
}

#[test]
fn an_answer_is_read_as_it_was_written_and_has_the_length_of_its_move() {
    let (mut operator, n) = operator(42);
    let mut challenger = Honest::new(Side::doubting(n), &operator);
    let Next::Ask(ask) = challenger.next() else { panic!("nothing is asked") };
    let answer = operator.answer(&ask).unwrap().unwrap();
    let bytes = answer.encode();
    assert_eq!(Answer::decode(ask.wanted, &bytes), Ok(answer.clone()));
    challenger.receive(ask.wanted, &Answer::decode(ask.wanted, &bytes).unwrap()).unwrap();
    let (expected, long) = (bytes.len(), [bytes.clone(), vec![0]].concat());
    assert_eq!(Answer::length(ask.wanted), expected);
    for wrong in [&bytes[..0], &bytes[..20], &bytes[..expected - 1], &long] {
        let got = wrong.len();
        assert_eq!(Answer::decode(ask.wanted, wrong), Err(WireError::Length { expected, got }));
    }
    for other in moves().into_iter().filter(|other| Answer::length(*other) != expected) {
        assert!(Answer::decode(other, &bytes).is_err(), "{other:?}");
    }
}

#[test]
fn a_store_is_one_players() {
    let disk = Disk::default();
    let (operator, _) = operator(43);
    let defender = |id| Defender::open(lane().clone(), id, operator_seed(), operator.claim(), disk.clone());
    assert!(defender(LANE).is_ok());
    let mut other = LANE;
    other.challenger += 1;
    assert!(matches!(defender(other), Err(Error::OtherPlayer)));
    let challenger = Challenger::open(lane().clone(), LANE, challenger_seed(), operator.claim(), disk.clone());
    assert!(matches!(challenger, Err(Error::OtherPlayer)));
}
