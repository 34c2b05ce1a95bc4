//! What a lane takes: sizes of every kind of transaction, signatures, bytes; and that it is the same for everybody.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use bitcoin::Amount;
use trestle_bridge::connector::anchor;
use trestle_bridge::lane::{self, LaneGraph, LaneGraphError, LaneTx, NodeId, Way};
use trestle_bridge::parameters::Bridge;
use trestle_bridge::transactions::{BuildError, Presigned, Reveal, RunGraph, TxKind, deal};
use trestle_taptree_trace::lane::{Arity, Search};
use trestle_taptree_trace::leaf::{Disproof, Size};
use trestle_taptree_trace::turn::Turn;

use crate::desk::Desk;
use crate::game::secrets;
use crate::members::{Secrets, outpoint, verifies};

/// A lane that nobody has published anything of.
pub fn made_up(s: &Secrets) -> (RunGraph, Desk, LaneGraph) {
    let run = RunGraph::build(&s.bridge, s.made_up_run(2)).unwrap();
    let desk = Desk::new(s, run.slots[0].id, 1);
    let graph = desk.graph(&run.slots[0], run.terms.challengers[1].bond);
    (run, desk, graph)
}

/// The vsizes that the fees are reckoned with, those of the longest witnesses, by the kinds of transactions.
fn vsizes(bridge: &Bridge, graph: &LaneGraph) -> BTreeMap<String, BTreeSet<u64>> {
    assert_eq!(bridge.parameters.presigned_fee_rate.to_sat_per_vb_ceil(), 2);
    let mut sizes: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for (_, presigned) in graph.transactions() {
        let turns = presigned.name.split_once(": ").map_or("", |(_, turns)| turns);
        // Of rounds and headers all are alike.
        let alike = turns.replace(|c: char| c.is_ascii_digit(), "").replace(", ", "").replace("()", "");
        // What ends a turn does not depend on which turn it is.
        let name = match presigned.kind {
            TxKind::Step | TxKind::Disproved => format!("{} {alike}", presigned.kind),
            kind => kind.to_string(),
        };
        sizes.entry(name).or_default().insert(presigned.fee().to_sat().div_ceil(2));
    }
    sizes
}

#[test]
fn every_vsize_is_pinned() {
    let s = secrets();
    let (_, _, graph) = made_up(&s);
    let sizes = vsizes(&s.bridge, &graph);
    let sizes: Vec<_> =
        sizes.iter().flat_map(|(name, sizes)| sizes.iter().map(|size| (name.as_str(), *size))).collect();
    let expected = [
        ("Challenge", 224),
        ("Disproved BlockOpened", 28_288),
        ("Disproved Forked", 28_268),
        ("Disproved NodeOpened(Read)", 28_033),
        ("Disproved NodeOpened(Write)", 28_502),
        ("Disproved StepOpened", 26_954),
        ("NoShow", 221),
        ("OperatorWins", 124),
        ("Slash", 225),
        ("Step BlockOpened to Header", 206),
        ("Step BlockOpened to OpenStep", 883),
        ("Step BlockOpened to Round(Trace)", 206),
        ("Step Choice(History) to OpenBlock", 197),
        ("Step Choice(History) to Round(History)", 197),
        ("Step Choice(Path) to OpenNode", 197),
        ("Step Choice(Path) to Round(Path)", 197),
        ("Step Choice(Trace) to OpenStep", 197),
        ("Step Choice(Trace) to Round(Trace)", 197),
        ("Step Entered to OpenBlock", 429),
        ("Step Entered to OpenStep", 1_097),
        ("Step Entered to Round(History)", 182),
        ("Step Header to Forked", 8_979),
        ("Step Header to Header", 8_979),
        ("Step OpenBlock to BlockOpened", 9_377),
        ("Step OpenNode to NodeOpened(Read)", 3_441),
        ("Step OpenNode to NodeOpened(Write)", 4_929),
        ("Step OpenStep to StepOpened", 7_419),
        ("Step Round(History) to Choice(History)", 3_583),
        ("Step Round(Path) to Choice(Path)", 8_624),
        ("Step Round(Trace) to Choice(Trace)", 3_583),
        ("Step StepOpened to OpenNode", 340),
        ("Step StepOpened to Round(Path)", 272),
    ];
    assert_eq!(sizes, expected);
}

#[test]
fn everything_is_standard_and_can_be_bumped_and_pays_by_itself() {
    let s = Secrets::new(2, 2, |_| {});
    let (_, _, graph) = made_up(&s);
    for (what, presigned) in graph.transactions() {
        let vsize = presigned.fee().to_sat().div_ceil(2);
        let is_disproof = matches!(what, LaneTx::Disproved(_));
        assert_eq!(presigned.tx.version.0, if is_disproof { 2 } else { 3 });
        assert!(vsize < if is_disproof { 100_000 } else { 10_000 }, "{}: {vsize}", presigned.name);
        let last = presigned.tx.output.last().unwrap();
        let challenger = trestle_bridge::connector::OperatorConnector(s.bridge.parameters.challengers[1]);
        match is_disproof {
            true => assert_eq!(last.script_pubkey, challenger.script_pubkey()),
            false => assert_eq!(*last, anchor::output()),
        }
        let relayed = |output: &bitcoin::TxOut| output.value >= output.script_pubkey.minimal_non_dust();
        assert!(presigned.tx.output.iter().all(|output| relayed(output) || *output == anchor::output()));
    }
}

#[test]
fn a_lane_takes_few_signatures_and_far_less_than_2_mb() {
    for (s, signatures) in [(secrets(), 540), (Secrets::new(10, 2, |_| {}), 564)] {
        let start = Instant::now();
        let (_, desk, graph) = made_up(&s);
        let built = start.elapsed();
        let requests = graph.requests();
        let messages: BTreeSet<_> = requests.iter().map(|request| request.message).collect();
        assert_eq!((requests.len(), messages.len(), graph.signature_count()), (signatures, signatures, signatures));
        let signed = s.sign_all(&requests);
        assert!(requests.iter().zip(&signed).all(|(request, signature)| verifies(&s.bridge, request, signature)));
        let bytes = 64 * signatures + desk.lane.keys.bytes();
        println!(
            "K = {}: {} transactions, {signatures} signatures, {} bytes of them, {} of keys, built in {built:?}",
            s.bridge.parameters.confirmations,
            graph.presigned().count(),
            64 * signatures,
            desk.lane.keys.bytes()
        );
        assert!(bytes < 400_000);
        // Dealt out in one row, they are each transaction's own.
        for (presigned, own) in deal(graph.presigned(), &signed).unwrap() {
            if matches!(presigned.kind, TxKind::Slash | TxKind::OperatorWins) {
                assert!(presigned.complete(own, Reveal::Nothing).is_ok());
            }
        }
        assert!(deal(graph.presigned(), &signed[1..]).is_none());
    }
}

#[test]
fn the_same_arguments_give_the_same_graph_and_others_another() {
    let s = secrets();
    let (run, desk, graph) = made_up(&s);
    let bond = run.terms.challengers[1].bond;
    assert_eq!(graph.requests(), desk.graph(&run.slots[0], bond).requests());
    assert_ne!(graph.requests(), desk.graph(&run.slots[0], outpoint("another")).requests());
    let build = |slot: usize, challenger, lane: &_| {
        LaneGraph::build(&s.bridge, &run.slots[slot], challenger, bond, lane).unwrap_err()
    };
    let mut other = desk.lane.clone();
    assert_eq!(build(1, 1, &other), LaneGraphError::Other("slot"));
    assert_eq!(build(0, 0, &other), LaneGraphError::Other("challenger"));
    assert_eq!(build(0, 2, &other), LaneGraphError::NoChallenger(2));
    other.constants.slot = run.slots[1].id.to_bytes();
    assert_eq!(build(1, 1, &other), LaneGraphError::Other("claim key"));
    other = desk.lane.clone();
    other.constants.confirmations += 1;
    assert_eq!(build(0, 1, &other), LaneGraphError::Other("K"));
    // What the scripts say is part of what is signed.
    other = desk.lane.clone();
    other.constants.target[0] ^= 1;
    let with_other = LaneGraph::build(&s.bridge, &run.slots[0], 1, bond, &other).unwrap();
    assert_ne!(graph.requests(), with_other.requests());
}

/// The heaviest way from an output to the end of the lane: what it pays, and in how many transactions.
fn heaviest(graph: &LaneGraph, node: NodeId) -> (Amount, u64) {
    let pays = |what| graph.get(what).map_or(Amount::ZERO, Presigned::fee);
    let (slash, disproved) = (pays(LaneTx::Slash(node)), pays(LaneTx::Disproved(node)));
    let end = match graph.tree(node) {
        Some(_) => (disproved + slash, 2),
        None => (slash.max(pays(LaneTx::OperatorWins(node))), 1),
    };
    let steps = graph.node(node).next.iter().map(|next| {
        let (paid, transactions) = heaviest(graph, *next);
        (pays(LaneTx::Step(*next)) + paid, transactions + 1)
    });
    steps.chain([end]).max().unwrap()
}

#[test]
fn a_lane_of_another_arity_is_reckoned_as_the_one_that_is_built() {
    for confirmations in [2, 6] {
        let s = Secrets::new(2, 2, |p| p.confirmations = confirmations);
        let (run, desk, graph) = made_up(&s);
        let slot = &run.slots[0];
        let cost = graph.cost_with(slot, &desk.lane, Arity::BUILT).unwrap();
        assert_eq!(cost.signatures, graph.signature_count());
        assert_eq!(cost.turns, Turn::Entered.longest(confirmations));
        assert_eq!(cost.stored(), 64 * graph.signature_count() + desk.lane.keys.bytes());
        assert_eq!(cost.rounds, [8, 22, 3]);

        // Each transaction's fee is rounded up.
        let pays = |way: Way, paid: Amount, transactions: u64| {
            let reckoned = s.bridge.parameters.presigned_fee_rate.fee_wu(way.weight).unwrap().to_sat();
            assert_eq!(way.transactions, transactions);
            assert!((reckoned..=reckoned + transactions).contains(&paid.to_sat()), "{way:?}: {paid}");
        };
        let fee = |what| graph.get(what).unwrap().fee();
        let begun = slot.contest.fee() + fee(LaneTx::Challenge);
        let (paid, transactions) = heaviest(&graph, NodeId::ENTERED);
        pays(cost.on_chain, begun + paid, transactions + 2);

        let mut at = NodeId::ENTERED;
        let mut steps = |turns: &[Turn]| -> (Amount, NodeId) {
            let paid = turns.iter().map(|turn| {
                at = graph.next(at, *turn).unwrap();
                fee(LaneTx::Step(at))
            });
            (paid.sum(), at)
        };
        let weight = |at: NodeId, has: fn(&str) -> bool| {
            let tree = graph.tree(at).unwrap();
            let leaves = tree.leaves().iter().map(Box::as_ref).enumerate().filter(|(_, leaf)| has(&leaf.family()));
            let size = |(index, leaf): (usize, &dyn Disproof)| {
                Size::of(leaf, &desk.lane, tree.hashes.depth(index)).unwrap().witness as u64
            };
            leaves.map(size).max().unwrap()
        };
        // Disproved pays for the heaviest leaf of its tree, and a lighter one is so much lighter.
        let ends = |way: Way, has: fn(&str) -> bool, paid: Amount, at: NodeId, transactions: u64| {
            let lighter = (weight(at, |_| true) - weight(at, has)) / 2;
            let pays = (begun + paid + fee(LaneTx::Disproved(at)) + fee(LaneTx::Slash(at))).to_sat() - lighter;
            let reckoned = s.bridge.parameters.presigned_fee_rate.fee_wu(way.weight).unwrap().to_sat();
            assert_eq!(way.transactions, transactions);
            assert!(reckoned.abs_diff(pays) <= transactions, "{way:?}: {reckoned} {pays}");
        };
        let (paid, at) = steps(&[Turn::OpenStep, Turn::StepOpened]);
        ends(cost.instruction, |name| name != "value.unhash", paid, at, 6);
        let (more, at) = steps(&[Turn::OpenNode, Turn::NodeOpened(Search::Write)]);
        ends(cost.hash, |_| true, paid + more, at, 8);
        ends(cost.memory, |name| !name.contains("hash"), paid + more, at, 8);
    }
}

#[test]
fn more_parts_take_fewer_turns_and_more_bytes_to_play_on_chain() {
    let s = secrets();
    let (run, desk, graph) = made_up(&s);
    let cost = |parts| graph.cost_with(&run.slots[0], &desk.lane, Arity::new(parts).unwrap()).unwrap();
    let [two, four, sixteen] = [2, 4, 16].map(cost);
    assert_eq!(two.rounds, [16, 44, 6]);
    assert_eq!(two.turns, 2 * (16 + 44 + 6) + 7);
    assert!(two.on_chain.weight < four.on_chain.weight && four.on_chain.weight < sixteen.on_chain.weight);
    assert!(two.turns > four.turns && two.signatures > four.signatures && two.stored() < four.stored());
    // Fifteen values go into several transactions, of which none is too heavy for nodes or has too many items for Script.
    assert_eq!(sixteen.rounds, [4, 11, 2]);
    assert!(sixteen.turns > 2 * (4 + 11 + 2) + 7);
    // Off chain first rounds cost nothing, and choices little.
    assert!(two.hash.weight < four.hash.weight + four.hash.weight / 20);
}

/// What the check of the parameters asks of a challenger's bond pays for the longest lane, and is not much more than that takes.
#[test]
fn the_smallest_bonds_that_pass_pay_for_a_whole_lane() {
    for confirmations in [2, 6, 20] {
        let change = |p: &mut trestle_bridge::parameters::BridgeParameters| {
            p.confirmations = confirmations;
            (p.turn, p.delta1, p.delta2, p.refund_delay) = (23.into(), 21.into(), 3_000.into(), 60.into());
            (p.operator_window, p.grace, p.cooperative_window) = (60, 30, 16);
            p.bond = Amount::from_sat(2_491);
        };
        let most = Secrets::new(2, 2, change);
        let dust = Amount::from_sat(330);
        let least = lane::cost(&most.bridge) + dust;
        let s = Secrets::new(2, 2, |p| {
            change(p);
            p.challenger_bond = least;
        });
        let (_, _, graph) = made_up(&s);
        let ends = graph.transactions().filter(|(what, _)| !matches!(what, LaneTx::NoShow | LaneTx::Challenge));
        let left = ends.map(|(_, presigned)| presigned.tx.output[0].value).min().unwrap();
        println!("K = {confirmations}: of {least} the longest lane leaves {left}");
        assert!(left < least / 5, "{left} of {least} are never needed");
        let refused = |challenger_bond| {
            let mut parameters = s.bridge.parameters.clone();
            parameters.challenger_bond = challenger_bond;
            Bridge::new(parameters).is_err()
        };
        assert!(refused(least - Amount::ONE_SAT));
    }
}

#[test]
fn a_bond_that_does_not_pay_for_the_lane_makes_no_graph() {
    let s = secrets();
    let (run, desk, _) = made_up(&s);
    let mut bridge = s.bridge.clone();
    bridge.parameters.challenger_bond = Amount::from_sat(100_000);
    let refused = LaneGraph::build(&bridge, &run.slots[0], 1, outpoint("bond"), &desk.lane).unwrap_err();
    assert!(matches!(refused, LaneGraphError::Build(BuildError::TooSmall { .. })));
}
