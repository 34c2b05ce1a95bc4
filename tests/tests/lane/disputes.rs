//! Lies that end in Slash: as short as can be, with a hash, with everything forced on chain, and with a fork.

use bitcoin::Amount;
use trestle_bridge::lane::{LaneTx, nobody};
use trestle_bridge::transactions::contest;
use trestle_taptree_trace::lane::{HeaderPart, MessageId, Side};
use trestle_taptree_trace::leaf::Tree;
use trestle_taptree_trace::turn::{Stretch, Turn};

use crate::desk::Play;
use crate::game::{Claimed, Game};
use crate::members::key;
use crate::setup::{SCRIPT_FAILED, Setup};
use crate::world::CONFIRMATIONS;

/// Slash pays the challenger half of the bond with the lane, and burns the other half.
fn slash(claimed: &mut Claimed, game: &mut Game) {
    let bond = claimed.slot().contest.tx.output[contest::BOND as usize].value;
    let slash = game.end(&mut claimed.s, LaneTx::Slash(game.at));
    let presigned = game.graph.get(LaneTx::Slash(game.at)).unwrap();
    let lost = presigned.prevouts[0].value;
    assert_eq!(slash.output[1].value, bond / 2);
    assert_eq!(slash.output[1].script_pubkey, nobody());
    let anchor = slash.output[2].value;
    assert_eq!(slash.output[0].value, lost + bond - bond / 2 - anchor - presigned.fee());
    assert!(lost > Amount::from_sat(500_000), "more than half of the challenger's bond is left: {lost}");
    // Nothing is left to be paid back.
    let slow = claimed.s.complete(&claimed.slot().finalize_slow, trestle_bridge::transactions::Reveal::Nothing);
    claimed.s.assert_refused(&slow, "missing-inputs");
}

/// Every round of a stretch, from the operator's first to the challenger's last choice.
fn rounds(stretch: Stretch) -> impl Iterator<Item = Turn> {
    let opening = match stretch {
        Stretch::History => Turn::OpenBlock,
        Stretch::Trace => Turn::OpenStep,
        Stretch::Path => Turn::OpenNode,
    };
    (0..stretch.rounds())
        .flat_map(move |round| [Turn::Round(stretch, round), Turn::Choice(stretch, round)])
        .chain([opening])
}

fn instruction_lie(desk: &crate::desk::Desk) -> Play {
    Play::of_lie(desk, Tree::Step, "value.add", &[MessageId::StepLog])
}

#[test]
fn a_false_instruction_that_was_played_off_chain_costs_less_than_15_kvb() {
    let (mut claimed, mut game, play, transcript) =
        Claimed::played(instruction_lie, [Turn::OpenStep, Turn::StepOpened]);
    game.disprove(&mut claimed.s, &play, &transcript);
    slash(&mut claimed, &mut game);
    println!("{}: {} vB in {} transactions: {:?}", play.leaf, game.vbytes(), game.sizes.len(), game.sizes);
    assert!(game.vbytes() <= 15_000);
}

#[test]
fn a_false_hash_that_was_played_off_chain_costs_less_than_45_kvb() {
    for (tree, family, lie, node) in [
        (Tree::ReadNode, "read.hash", MessageId::ReadSibling, trestle_taptree_trace::lane::Search::Read),
        (Tree::WriteNode, "write.new.hash", MessageId::WriteSibling, trestle_taptree_trace::lane::Search::Write),
    ] {
        let (mut claimed, mut game, play, transcript) = Claimed::played(
            |desk| Play::of_lie(desk, tree, family, &[lie]),
            [Turn::OpenStep, Turn::StepOpened, Turn::OpenNode, Turn::NodeOpened(node)],
        );
        game.disprove(&mut claimed.s, &play, &transcript);
        slash(&mut claimed, &mut game);
        println!("{}: {} vB in {} transactions: {:?}", play.leaf, game.vbytes(), game.sizes.len(), game.sizes);
        assert!(game.vbytes() <= 45_000);
    }
}

/// The longest of all: who sees only the chain has everything that a disproof needs, and whose turn it is may let it pass nowhere.
#[test]
fn everything_can_be_forced_on_chain_and_every_turn_that_is_let_pass_loses() {
    let lie = MessageId::WriteChild(Side::New);
    let lies = [lie, MessageId::WriteSibling];
    let (mut claimed, mut game, play) =
        Claimed::entered(|desk| Play::of_lie(desk, Tree::WriteNode, "write.new.hash", &lies));
    let transcript = game.desk.transcript(&play);
    let turns = rounds(Stretch::History)
        .chain([Turn::BlockOpened])
        .chain(rounds(Stretch::Trace))
        .chain([Turn::StepOpened])
        .chain(rounds(Stretch::Path))
        .chain([Turn::NodeOpened(trestle_taptree_trace::lane::Search::Write)]);
    let first = claimed.s.miner.chain().tip().unwrap().height;
    for turn in turns {
        game.let_pass(&mut claimed.s);
        game.play(&mut claimed.s, turn, &transcript);
    }
    game.let_pass(&mut claimed.s);
    let read = game.read.clone();
    game.disprove(&mut claimed.s, &play, &read);
    slash(&mut claimed, &mut game);
    let blocks = claimed.s.miner.chain().tip().unwrap().height - first;
    println!("{}: {} vB in {} transactions, {blocks} blocks", play.leaf, game.vbytes(), game.sizes.len());
    assert_eq!(game.sizes.len() as u32, Turn::Entered.longest(CONFIRMATIONS) + 3);
}

#[test]
fn a_fork_of_headers_without_work_or_without_sense_is_disproved() {
    let lies = [HeaderPart::First, HeaderPart::Hash, HeaderPart::Inner].map(|part| MessageId::Header(1, part));
    for family in ["fork.1.work", "fork.1.previous", "fork.1.inner"] {
        let (mut claimed, mut game, play) = Claimed::entered(|desk| Play::of_lie(desk, Tree::Fork, family, &lies));
        let transcript = game.desk.transcript(&play);
        let headers = (0..=CONFIRMATIONS).map(Turn::Header);
        for turn in [Turn::OpenBlock, Turn::BlockOpened].into_iter().chain(headers).chain([Turn::Forked]) {
            game.let_pass(&mut claimed.s);
            game.play(&mut claimed.s, turn, &transcript);
        }
        game.let_pass(&mut claimed.s);
        game.disprove(&mut claimed.s, &play, &transcript);
        slash(&mut claimed, &mut game);
        println!("{}: {} vB in {} transactions: {:?}", play.leaf, game.vbytes(), game.sizes.len(), game.sizes);
    }
}

#[test]
fn a_lie_about_a_block_is_disproved_before_any_step_of_a_machine() {
    let lies = [MessageId::BlockRoot(trestle_taptree_trace::lane::End::Previous)];
    let (mut claimed, mut game, play, transcript) =
        Claimed::played(|desk| Play::of_lie(desk, Tree::Block, "", &lies), [Turn::OpenBlock, Turn::BlockOpened]);
    game.disprove(&mut claimed.s, &play, &transcript);
    slash(&mut claimed, &mut game);
}

#[test]
fn a_disproof_is_nobodys_but_the_challengers_and_for_nothing_but_what_it_signed() {
    let (claimed, game, play, transcript) = Claimed::played(instruction_lie, [Turn::OpenStep, Turn::StepOpened]);
    let s: &Setup = &claimed.s;
    let disproved = game.disproved(s, &play, &transcript);
    assert_eq!(s.refusal(&disproved), None);
    // The operator takes the coins of it, or signs it in the challenger's place.
    let mut other = disproved.clone();
    other.output[0].script_pubkey = nobody();
    s.assert_refused(&other, SCRIPT_FAILED);
    let stranger = key("stranger");
    let refused = game.graph.disproved(&game.desk.lane, game.at, play.shown.clone(), &transcript, &stranger);
    assert!(refused.is_err());
    // Slash waits for it.
    let slash = game.graph.end(game.part(LaneTx::Slash(game.at)), LaneTx::Slash(game.at)).unwrap();
    s.assert_refused(&slash, "missing-inputs");
    assert!(s.fits_in_a_block(&disproved));
    assert_eq!(s.refusal(&slash), None);
}
