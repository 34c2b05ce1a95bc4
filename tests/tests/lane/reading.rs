//! Reading mined transactions back, whatever their witnesses are.

use bitcoin::{Transaction, Witness};
use rand::Rng;
use rand::rngs::StdRng;
use trestle_bridge::lane::{LaneSpend, LaneTx, NodeId};
use trestle_taptree_trace::lane::{MessageId, Search};
use trestle_taptree_trace::leaf::Tree;
use trestle_taptree_trace::turn::{Player, Stretch, Turn};

use crate::desk::Play;
use crate::game::secrets;
use crate::sizes::made_up;
use crate::world::rng;

/// The transaction with another witness.
fn with(tx: &Transaction, items: &[Vec<u8>]) -> Transaction {
    let mut tx = tx.clone();
    tx.input[0].witness = Witness::from_slice(items);
    tx
}

/// A witness that is a little, or altogether, different.
fn changed(rng: &mut StdRng, mut items: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    for _ in 0..rng.gen_range(1..4) {
        let at = rng.gen_range(0..=items.len());
        let other = match (rng.gen_range(0..5), items.get(at)) {
            (0, _) => Vec::new(),
            (1, _) => vec![0x50, 1, 2],
            (2, Some(item)) if !item.is_empty() => item[1..].to_vec(),
            (3, Some(_)) => items[rng.gen_range(0..items.len())].clone(),
            _ => (0..rng.gen_range(0..40)).map(|_| rng.r#gen()).collect(),
        };
        match rng.gen_range(0..4) {
            0 => items.insert(at, other),
            1 => items.truncate(at),
            _ if at < items.len() && rng.r#gen() => drop(items.remove(at)),
            _ if at < items.len() => items[at] = other,
            _ => items.clear(),
        }
    }
    items
}

#[test]
fn every_step_is_read_and_no_witness_is_too_strange() {
    let s = secrets();
    let (_, desk, graph) = made_up(&s);
    let signatures = s.sign_all(&graph.requests());
    let play = Play::of_lie(&desk, Tree::ReadNode, "read.hash", &[MessageId::ReadSibling]);
    let transcript = desk.transcript(&play);
    let mut rng = rng(9);
    let key = &s.challengers[1];
    let mut seen = 0;
    for (node, _) in graph.nodes() {
        let Some(from) = graph.previous(node) else { continue };
        let key = (graph.node(from).turn.mover() == Player::Challenger).then_some(key);
        // On the way to a node that is written nothing is signed here.
        let Ok(tx) =
            graph.step(&desk.lane, graph.part(LaneTx::Step(node), &signatures).unwrap(), node, &transcript, key)
        else {
            continue;
        };
        let read = graph.read(&desk.lane, &tx).unwrap();
        assert_eq!(read.spent, from);
        let LaneSpend::Step { to, said: Ok(said) } = &read.how else { panic!("{:?}", read.how) };
        assert_eq!(*to, node);
        let again = said.messages.iter().all(|(id, signature)| transcript.signature(*id) == Some(signature))
            && said.choices.iter().all(|(id, choice)| transcript.choice(*id, choice.option) == Some(choice));
        assert!(again);
        seen += 1;
        let items = tx.input[0].witness.to_vec();
        // An annex changes nothing.
        let annexed = with(&tx, &[items.clone(), vec![vec![0x50, 7]]].concat());
        assert_eq!(graph.read(&desk.lane, &annexed), Some(read));
        for _ in 0..4 {
            let strange = with(&tx, &changed(&mut rng, items.clone()));
            assert_eq!(graph.read(&desk.lane, &strange).unwrap().spent, from);
        }
    }
    assert!(seen > 150, "{seen} steps");
}

#[test]
fn a_transaction_that_is_not_the_lanes_is_none_of_it() {
    let s = secrets();
    let (run, desk, graph) = made_up(&s);
    for (what, presigned) in graph.transactions() {
        let read = graph.read(&desk.lane, &presigned.tx);
        // It spends an output of the lane, but shows nothing.
        let spends = !matches!(what, LaneTx::NoShow | LaneTx::Challenge);
        let after_disproof = matches!(what, LaneTx::Slash(node) if graph.node(node).turn.mover() == Player::Challenger);
        assert_eq!(read.is_some(), spends && !after_disproof, "{what:?}");
        let late = matches!(what, LaneTx::Slash(_) | LaneTx::OperatorWins(_));
        if let Some(read) = read {
            assert_eq!(read.how, if late { LaneSpend::Late(what) } else { LaneSpend::Unknown });
        }
    }
    assert!(run.presigned().all(|other| graph.read(&desk.lane, &other.tx).is_none()));
}

#[test]
fn a_disproof_that_pays_something_else_is_told_apart() {
    let s = secrets();
    let (_, desk, graph) = made_up(&s);
    let play = Play::of_lie(&desk, Tree::Step, "value.add", &[MessageId::StepLog]);
    let transcript = desk.transcript(&play);
    let opened =
        graph.next(NodeId::ENTERED, Turn::OpenStep).and_then(|node| graph.next(node, Turn::StepOpened)).unwrap();
    let tx = graph.disproved(&desk.lane, opened, play.shown.clone(), &transcript, &s.challengers[1]).unwrap();
    let mut other = tx.clone();
    other.output.pop();
    for (tx, slashable) in [(tx, true), (other, false)] {
        let read = graph.read(&desk.lane, &tx).unwrap();
        assert_eq!(read.how, LaneSpend::Disproof { leaf: play.shown.index, slashable });
    }
}

#[test]
fn of_two_paths_the_operator_plays_the_one_that_it_has_signed() {
    let s = secrets();
    let (_, desk, graph) = made_up(&s);
    let signatures = s.sign_all(&graph.requests());
    let ways = [
        (Tree::ReadNode, "read.hash", MessageId::ReadSibling, Search::Read),
        (Tree::WriteNode, "write.new.hash", MessageId::WriteSibling, Search::Write),
    ];
    let turns = [Turn::OpenStep, Turn::StepOpened, Turn::Round(Stretch::Path, 0), Turn::Choice(Stretch::Path, 0)];
    let mut at = NodeId::ENTERED;
    for turn in turns {
        at = graph.next(at, turn).unwrap();
    }
    for (tree, family, lie, search) in ways {
        let transcript = desk.transcript(&Play::of_lie(&desk, tree, family, &[lie]));
        let tx =
            graph.step(&desk.lane, graph.part(LaneTx::Step(at), &signatures).unwrap(), at, &transcript, None).unwrap();
        let LaneSpend::Step { said, .. } = graph.read(&desk.lane, &tx).unwrap().how else { panic!("no step") };
        let is_of = |id: &MessageId| match search {
            Search::Read => matches!(id, MessageId::Read(_)),
            _ => matches!(id, MessageId::Write(..)),
        };
        assert!(said.unwrap().messages.iter().all(|(id, _)| is_of(id)));
    }
}
