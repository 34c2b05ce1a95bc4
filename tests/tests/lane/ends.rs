//! How a lane ends without a disproof, and where there is nothing left to slash.

use trestle_bridge::lane::{LaneSpend, LaneTx};
use trestle_bridge::transactions::{Reveal, finalize};
use trestle_taptree_trace::lane::MessageId;
use trestle_taptree_trace::leaf::Tree;
use trestle_taptree_trace::turn::Turn;

use crate::desk::{Desk, Play};
use crate::game::{Claimed, DELTAS, Game, TURN};
use crate::setup::SCRIPT_FAILED;

fn lie(desk: &Desk) -> Play {
    Play::of_lie(desk, Tree::Step, "value.add", &[MessageId::StepLog])
}

#[test]
fn an_operator_that_is_silent_is_slashed() {
    let (mut claimed, mut game, _, transcript) = Claimed::played(lie, [Turn::OpenStep]);
    let late = game.let_pass(&mut claimed.s);
    let tx = game.end(&mut claimed.s, late);
    let read = game.graph.read(&game.desk.lane, &tx).unwrap();
    assert_eq!((read.spent, read.how), (game.at, LaneSpend::Late(late)));
    // The operator answers when it is too late.
    let (_, answer) = game.step_to(&claimed.s, Turn::StepOpened, &transcript);
    claimed.s.assert_refused(&answer, "missing-inputs");
}

#[test]
fn a_challenger_that_is_silent_loses_its_bond_to_the_operator() {
    let (mut claimed, mut game, _) = Claimed::entered(lie);
    let late = game.let_pass(&mut claimed.s);
    let lane = game.output().value;
    let tx = game.end(&mut claimed.s, late);
    let read = game.graph.read(&game.desk.lane, &tx).unwrap();
    assert_eq!((read.spent, read.how), (game.at, LaneSpend::Late(late)));
    let s = &mut claimed.s;
    assert_eq!(tx.output[0].script_pubkey, s.secrets.bridge.operator(0).unwrap().script_pubkey());
    assert_eq!(tx.output[0].value, lane - game.graph.get(late).unwrap().fee() - tx.output[1].value);
    // The claim stands when its time is over, and not before: the lane of this challenger is over, others might not be.
    let slow = s.complete(&claimed.run.slots[0].finalize_slow, Reveal::Nothing);
    s.assert_refused(&slow, "non-BIP68-final");
    s.mine(u32::from(DELTAS.1 - TURN) - 3);
    s.assert_refused(&slow, "non-BIP68-final");
    s.mine(1);
    s.run(&claimed.run.slots[0].finalize_slow, Reveal::Nothing);
}

#[test]
fn a_challenger_that_contests_and_does_not_enter_loses_its_bond() {
    let mut claimed = Claimed::open();
    let mut game = claimed.lane(1);
    let other = claimed.lane(0);
    let play = lie(&game.desk);
    claimed.contested(&mut game, &play);
    let slot = claimed.slot().clone();
    let no_show = game.graph.no_show(game.part(LaneTx::NoShow), &claimed.secret(1)).unwrap();
    claimed.s.assert_refused(&no_show, "missing-inputs");
    claimed.s.run_after(&slot.finalize_unentered, u32::from(DELTAS.0));
    // Who did not contest loses nothing: nobody knows its secret.
    let s = &claimed.s;
    assert_eq!(s.refusal(&other.graph.no_show(other.part(LaneTx::NoShow), &claimed.secret(0)).unwrap()), None);
    s.assert_refused(&other.graph.no_show(other.part(LaneTx::NoShow), &claimed.secret(1)).unwrap(), SCRIPT_FAILED);
    s.assert_refused(&game.graph.no_show(game.part(LaneTx::NoShow), &[7; 32]).unwrap(), SCRIPT_FAILED);
    let presigned = game.graph.get(LaneTx::NoShow).unwrap().clone();
    assert_eq!(presigned.tx.input[0].previous_output, slot.finalize_unentered.outpoint(finalize::NO_SHOW));
    claimed.s.mine_with_child(&no_show, presigned.fee(), presigned.anchor().unwrap().vout, None);
    let operator = claimed.s.secrets.bridge.operator(0).unwrap().script_pubkey();
    assert_eq!(no_show.output[0].script_pubkey, operator);
}

#[test]
fn a_lane_that_is_entered_keeps_the_claim_from_being_finalized_as_unentered() {
    let (mut claimed, game, _) = Claimed::entered(lie);
    claimed.s.mine(u32::from(DELTAS.0));
    let unentered = claimed.s.complete(&claimed.slot().finalize_unentered, Reveal::Nothing);
    claimed.s.assert_refused(&unentered, "missing-inputs");
    let no_show = game.graph.no_show(game.part(LaneTx::NoShow), &claimed.secret(1)).unwrap();
    claimed.s.assert_refused(&no_show, "missing-inputs");
}

/// K′ is gone: WinOnly is mined, and Slash never can be.
fn wins_only(claimed: &mut Claimed, game: &mut Game) {
    let slash = game.graph.end(game.part(LaneTx::Slash(game.at)), LaneTx::Slash(game.at)).unwrap();
    claimed.s.assert_refused(&slash, "missing-inputs");
    let tx = game.win_only(&claimed.s, game.desk.challenger);
    assert_eq!(claimed.s.refusal(&tx), None);
    claimed.s.assert_refused(&game.win_only(&claimed.s, 1 - game.desk.challenger), SCRIPT_FAILED);
    assert!(claimed.s.fits_in_a_block(&tx));
    println!("WinOnly: {} vB", tx.vsize());
}

#[test]
fn a_disproof_after_finalize_slow_still_gets_the_challengers_bond_back() {
    let (mut claimed, mut game, play, transcript) = Claimed::played(lie, [Turn::OpenStep, Turn::StepOpened]);
    let slow = claimed.slot().finalize_slow.clone();
    claimed.s.mine(u32::from(DELTAS.1));
    claimed.s.run(&slow, Reveal::Nothing);
    game.disprove(&mut claimed.s, &play, &transcript);
    wins_only(&mut claimed, &mut game);
}

#[test]
fn when_one_lane_has_slashed_the_others_get_their_bonds_back() {
    let mut claimed = Claimed::open();
    let mut games = [claimed.lane(0), claimed.lane(1)];
    let play = lie(&games[0].desk);
    claimed.contested(&mut games[0], &play);
    for game in &mut games {
        game.enter(&mut claimed.s);
        let transcript = game.desk.transcript(&lie(&game.desk));
        game.play(&mut claimed.s, Turn::OpenStep, &transcript);
    }
    let [first, second] = &mut games;
    let late = second.let_pass(&mut claimed.s);
    second.end(&mut claimed.s, late);
    wins_only(&mut claimed, first);
    let tx = first.win_only(&claimed.s, 0);
    let read = first.graph.read(&first.desk.lane, &tx).unwrap();
    assert_eq!((read.spent, read.how), (first.at, LaneSpend::Taken));
}

#[test]
fn nobody_plays_for_the_challenger() {
    let mut claimed = Claimed::open();
    let mut game = claimed.lane(1);
    let play = lie(&game.desk);
    let transcript = game.desk.transcript(&play);
    claimed.contested(&mut game, &play);
    // Another challenger, the operator and a signer have the committee's signatures, and all that was played off chain.
    let strangers = [claimed.s.secrets.challengers[0], claimed.s.secrets.operators[0], claimed.s.secrets.signers[0]];
    for stranger in &strangers {
        assert!(game.graph.challenge(game.part(LaneTx::Challenge), stranger).is_err());
    }
    let own = claimed.s.secrets.challengers[1];
    let challenge = game.graph.challenge(game.part(LaneTx::Challenge), &own).unwrap();
    forged(&claimed, &challenge, 1);
    game.enter(&mut claimed.s);
    for turn in [Turn::OpenStep, Turn::OpenBlock] {
        let to = game.graph.next(game.at, turn).unwrap();
        for stranger in strangers.iter().map(Some).chain([None]) {
            assert!(game.graph.step(&game.desk.lane, game.part(LaneTx::Step(to)), to, &transcript, stranger).is_err());
        }
        let (_, step) = game.step_to(&claimed.s, turn, &transcript);
        assert_eq!(claimed.s.refusal(&step), None);
        forged(&claimed, &step, 1);
        // Nor does the challenger play for the committee.
        forged(&claimed, &step, 0);
    }
}

/// One of the two signatures of a challenger's leaf is replaced by that of another.
fn forged(claimed: &Claimed, tx: &bitcoin::Transaction, item: usize) {
    for other in [vec![], tx.input[0].witness.nth(1 - item).unwrap().to_vec(), vec![1; 64]] {
        let mut items = tx.input[0].witness.to_vec();
        items[item] = other;
        let mut forged = tx.clone();
        forged.input[0].witness = bitcoin::Witness::from_slice(&items);
        claimed.s.assert_refused(&forged, SCRIPT_FAILED);
        assert!(!claimed.s.fits_in_a_block(&forged));
    }
}
