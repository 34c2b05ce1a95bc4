//! A row a transition: what happened before, the event, and the duties.

use bitcoin::hashes::{Hash, sha256};
use bitcoin::{Amount, ScriptBuf};
use trestle_bridge::transactions::LanePlace;
use trestle_bridge::transactions::claim::Statement;
use trestle_challenger::Error;
use trestle_challenger::watchtower::{Duty, Event};

use crate::world::{CONFIRMATIONS, COOPERATIVE, DELTA1, World, shown, slot};

/// Keys of which no lane can be made.
const BAD_KEYS: [u8; 32] = [0; 32];

/// What happens in a row.
#[derive(Clone, Copy, Debug)]
enum Step {
    Invite,
    /// An invitation to a run that shares slots with the other.
    InviteOverlapping,
    FundBond,
    /// The wallet funds something else.
    FundOther,
    Propose,
    /// Terms with another checkpoint.
    ProposeOther,
    /// Terms in which this challenger's secrets are not its own.
    ProposeStolen,
    /// Terms with another target.
    ProposeEasier,
    /// Terms in which this challenger's keys for the choices of a lane are not its own.
    ProposeStolenChoices,
    /// Terms whose lanes are made of keys that are no good.
    ProposeBadKeys,
    /// Every lane's keys come.
    Keys,
    /// The keys of the lane of slot 0 come.
    KeysOfOne,
    /// Keys come that were not asked for: another challenger's, and none at all.
    KeysOfOthers,
    /// The keys that are no good come.
    BadKeys,
    Deliver,
    /// The signatures of the lanes are missing, or of one of them.
    DeliverWithoutLanes,
    DeliverWithoutLane,
    /// A signature of a lane is wrong, or missing.
    DeliverLaneWrong,
    DeliverLaneShort,
    /// One signature is wrong.
    DeliverWrong,
    Tip,
    /// Everything up to the run's and the challenger's bonds on Bitcoin.
    Setup,
    /// The same, of a run in which this challenger was not asked.
    SetupStranger,
    /// The operator's bond is mined.
    Publish,
    /// What the watchtower wants broadcast is mined.
    Mine,
    Blocks(u32),
    Disconnect(usize),
    Restart,
    /// A withdrawal is paid for slot 0.
    Fulfil,
    /// The same for slot 1.
    FulfilOther,
    /// A withdrawal is paid for slot 0 to another script, or too little.
    PayOther,
    PayLess,
    /// A withdrawal is paid for slot 0 when it is not the operator's.
    PayEarly,
    /// Slot 0 is claimed, as of this many blocks before the tip.
    Claim(u32),
    /// Slot 0 is claimed about another block than the one so deep.
    ClaimOtherBlock(u32),
    /// Slot 0 is claimed about the block that will be so many after the tip.
    ClaimFuture(u32),
    /// Slot 0 is claimed about the checkpoint.
    ClaimCheckpoint,
    ContestByOther,
    FinalizeFast,
    /// The chain is as high as the end of the run.
    RunEnd,
}
use Step::*;

fn run(world: &mut World, step: Step) -> Result<Vec<Duty>, Error> {
    let k = u32::from(CONFIRMATIONS);
    match step {
        Invite => return world.process(Event::Invited { run: slot(0), slots: 2 }),
        InviteOverlapping => return world.process(Event::Invited { run: slot(1), slots: 2 }),
        FundBond => {
            let tx = world.bond.clone();
            return world.process(Event::BondFunded { run: slot(0), tx });
        }
        FundOther => {
            let tx = world.funding.clone();
            return world.process(Event::BondFunded { run: slot(0), tx });
        }
        Propose => {
            let terms = world.graph.terms.clone();
            return world.process(Event::Proposed(Box::new(terms)));
        }
        ProposeOther => {
            let mut terms = world.graph.terms.clone();
            terms.checkpoint.entry[0] ^= 1;
            return world.process(Event::Proposed(Box::new(terms)));
        }
        ProposeStolen => {
            let mut terms = world.graph.terms.clone();
            terms.challengers[1].contest_hashes.swap(0, 1);
            return world.process(Event::Proposed(Box::new(terms)));
        }
        ProposeEasier | ProposeStolenChoices | ProposeBadKeys => {
            let mut terms = world.graph.terms.clone();
            match step {
                ProposeEasier => terms.target[0] = 0,
                ProposeStolenChoices => terms.challengers[1].choice_keys.swap(0, 1),
                _ => terms.lanes[0][1] = sha256::Hash::hash(&BAD_KEYS),
            }
            return world.process(Event::Proposed(Box::new(terms)));
        }
        Keys => {
            let mut duties = Vec::new();
            for at in world.graph.terms.lane_places() {
                duties = world.process(Event::LaneKeys(world.lane_keys(at)))?;
            }
            return Ok(duties);
        }
        KeysOfOne => return world.process(Event::LaneKeys(world.lane_keys(LanePlace { slot: 0, challenger: 1 }))),
        KeysOfOthers => {
            world.process(Event::LaneKeys(vec![7; 200_000]))?;
            return world.process(Event::LaneKeys(world.lane_keys(LanePlace { slot: 0, challenger: 0 })));
        }
        BadKeys => return world.process(Event::LaneKeys(BAD_KEYS.into())),
        DeliverWithoutLanes | DeliverWithoutLane | DeliverLaneWrong | DeliverLaneShort => {
            let mut delivery = world.delivery();
            match step {
                DeliverWithoutLanes => delivery.lanes.clear(),
                DeliverWithoutLane => delivery.lanes.truncate(1),
                DeliverLaneWrong => delivery.lanes[1].signatures.swap(0, 1),
                _ => delivery.lanes[1].signatures.truncate(1),
            }
            return world.process(Event::Delivered(Box::new(delivery)));
        }
        Deliver => {
            let delivery = world.delivery();
            return world.process(Event::Delivered(Box::new(delivery)));
        }
        DeliverWrong => {
            let mut delivery = world.delivery();
            delivery.signatures[0].swap(0, 1);
            return world.process(Event::Delivered(Box::new(delivery)));
        }
        Tip => return world.process(Event::Tip),
        Setup => {
            for step in [Invite, FundBond, Propose, Keys, Deliver, Publish, Mine] {
                run(world, step)?;
            }
        }
        SetupStranger => {
            run(world, Deliver)?;
            run(world, Publish)?;
        }
        Publish => {
            let funding = world.funding.clone();
            world.chain.add(vec![funding]);
        }
        Mine => {
            let duties = world.process(Event::Tip)?;
            world.carry_out(&duties);
            world.mine();
        }
        Blocks(count) => world.mine_empty(count),
        Disconnect(depth) => drop(world.chain.disconnect(depth)),
        Restart => world.restart(),
        Fulfil | FulfilOther => {
            world.fulfil(usize::from(matches!(step, FulfilOther)));
            world.mine_empty(2 * k);
        }
        PayOther | PayLess | PayEarly => {
            let after = if matches!(step, PayEarly) { 0 } else { COOPERATIVE };
            world.pay(0, after, |output| match step {
                PayOther => output.script_pubkey = ScriptBuf::new_op_return([7]),
                PayLess => output.value -= Amount::ONE_SAT,
                _ => {}
            });
            world.mine_empty(2 * k);
        }
        Claim(depth) => {
            let claim = world.claim(0, world.statement(world.height() - depth));
            world.chain.add(vec![claim]);
        }
        ClaimOtherBlock(depth) => {
            let mut statement = world.statement(world.height() - depth);
            statement.block_prefix[3] ^= 1;
            let claim = world.claim(0, statement);
            world.chain.add(vec![claim]);
        }
        ClaimFuture(after) => {
            let n = u16::try_from(world.height() + after - world.graph.terms.checkpoint.height).unwrap();
            let claim = world.claim(0, Statement { n, block_prefix: [1, 2, 3, 4] });
            world.chain.add(vec![claim]);
        }
        ClaimCheckpoint => {
            let claim = world.claim(0, world.statement(world.graph.terms.checkpoint.height));
            world.chain.add(vec![claim]);
        }
        ContestByOther => {
            let contest = world.other_contest(0);
            world.chain.add(vec![contest]);
        }
        FinalizeFast => {
            let presigned = world.graph.slots[0].finalize_fast.clone();
            let finalize = world.complete(&presigned, trestle_bridge::transactions::Reveal::Nothing);
            world.chain.add(vec![finalize]);
        }
        RunEnd => world.chain.jump(world.graph.terms.end().unwrap().to_consensus_u32() - world.height()),
    }
    Ok(Vec::new())
}

#[test]
fn every_transition_is_as_the_table_says() {
    const OTHER: &str = "4 is False(OtherBlock)";
    const FALSE: &str = "4 is False(NotFulfilled)";
    const NONE: &str = "4 is False(NoSuchBlock)";
    const CONTEST: &str = "broadcast contest 4";
    const BUMP: &str = "bump contest 4";
    let k = u32::from(CONFIRMATIONS);
    #[rustfmt::skip]
    let table: &[(&[Step], Step, &[&str])] = &[
        // Joining a run.
        (&[], Tip, &[]),
        (&[], Invite, &["fund bond"]),
        (&[Invite], Invite, &["fund bond"]),
        (&[Invite, Restart], Tip, &["fund bond"]),
        (&[Invite], InviteOverlapping, &["refused: slots of this run are in the run of 0/0/4 too"]),
        (&[], FundBond, &["refused: nobody has invited this challenger to a run of 0/0/4"]),
        (&[Invite], FundOther, &["refused: output 0 is not the bond"]),
        (&[Invite], FundBond, &["join"]),
        (&[Invite, FundBond], FundBond, &["join"]),
        (&[Invite, FundBond, Restart], Tip, &["join"]),
        (&[], Propose, &["refused: nobody has invited this challenger to a run of 0/0/4"]),
        (&[Invite], Propose, &["refused: this challenger's part in the run of 0/0/4 is another one"]),
        (&[Invite, FundBond], ProposeStolen, &["refused: this challenger's part in the run of 0/0/4 is another one"]),
        (&[Invite, FundBond], ProposeStolenChoices, &["refused: this challenger's part in the run of 0/0/4 is another one"]),
        // It consents when it has the operator's keys of its lanes.
        (&[Invite, FundBond], Propose, &["fetch keys", "fetch keys"]),
        (&[Invite, FundBond, Propose, Restart], Tip, &["fetch keys", "fetch keys"]),
        (&[Invite, FundBond, Propose], KeysOfOthers, &["fetch keys", "fetch keys"]),
        (&[Invite, FundBond, Propose], KeysOfOne, &["fetch keys"]),
        (&[Invite, FundBond, Propose, KeysOfOne], KeysOfOne, &["fetch keys"]),
        (&[Invite, FundBond, Propose, KeysOfOne, Restart], Tip, &["fetch keys"]),
        (&[Invite, FundBond, Propose], Keys, &["consent", "request"]),
        (&[Invite, FundBond, Propose, Keys, Restart], Tip, &["consent", "request"]),
        (&[Invite, FundBond, Propose, Keys], ProposeOther, &["refused: the run of 0/0/4 has other terms"]),
        // Keys that were not asked for are not kept for later.
        (&[Invite, FundBond, Keys], Propose, &["fetch keys", "fetch keys"]),
        // Keys that make no lane are not asked for again, and there is no consent.
        (&[Invite, FundBond], ProposeBadKeys, &["fetch keys", "fetch keys"]),
        (&[Invite, FundBond, ProposeBadKeys], BadKeys, &["fetch keys"]),
        (&[Invite, FundBond, ProposeBadKeys, BadKeys], Keys, &[]),
        (&[Invite, FundBond, ProposeBadKeys, BadKeys, Keys, Restart], Tip, &["fetch keys"]),
        // Terms whose checkpoint or target is not what this node has are not consented to.
        (&[Invite, FundBond, ProposeOther], Keys, &[]),
        (&[Invite, FundBond, ProposeEasier], Keys, &[]),
        (&[Invite, FundBond, Propose, Keys, Disconnect(1)], Tip, &[]),
        // What the committee signed counts more than what an operator proposed.
        (&[Invite, FundBond, ProposeOther, Keys, Deliver, Publish], Tip, &["broadcast bond"]),
        (&[Invite, FundBond, Propose, Keys], DeliverWrong, &["refused: the committee's signature of Claim 0/0/4 is wrong"]),
        (&[Invite, FundBond, Propose, Keys], Deliver, &[]),
        (&[Invite, FundBond, Propose, Keys, Deliver], Deliver, &[]),
        // A run without its lanes is not signed.
        (&[Invite, FundBond, Propose, Keys], DeliverWithoutLanes, &["consent", "request"]),
        (&[Invite, FundBond, Propose, Keys], DeliverWithoutLane, &["consent", "request"]),
        (&[Invite, FundBond, Propose, Keys, DeliverWithoutLane, Publish], Tip, &["consent", "request"]),
        (&[Invite, FundBond, Propose, Keys, DeliverWithoutLane], Deliver, &[]),
        (&[Invite, FundBond, Propose, Keys], DeliverLaneWrong, &["refused: the committee's signature of 0 of the lane of challenger 1 in 0/0/5 is wrong"]),
        (&[Invite, FundBond, Propose, Keys], DeliverLaneShort, &["refused: 1 signatures of 2 of a lane"]),
        (&[Invite, FundBond, Deliver], Tip, &["fetch keys", "fetch keys"]),
        // Its bond goes out when the operator's is out, and comes back when the run is over.
        (&[Invite, FundBond, Propose, Keys, Deliver, Publish], Tip, &["broadcast bond"]),
        (&[Invite, FundBond, Propose, Keys, Publish], Tip, &["consent", "request"]),
        (&[Setup], Tip, &[]),
        (&[Setup, Restart], Tip, &[]),
        (&[Setup, Disconnect(1), Blocks(2)], Tip, &["broadcast bond"]),
        // It has the run ended first, and waits until that is deep: there could be a last, false claim.
        (&[Setup, RunEnd], Tip, &["broadcast end 4"]),
        (&[Setup, RunEnd, Blocks(3)], Tip, &["broadcast end 4", "bump end 4"]),
        (&[Setup, RunEnd, Mine], Tip, &[]),
        (&[Setup, RunEnd, Mine, Blocks(k - 1)], Tip, &[]),
        (&[Setup, RunEnd, Mine, Blocks(k)], Tip, &["broadcast retire", "bump retire"]),
        (&[Setup, RunEnd, Mine, Blocks(k), Restart], Tip, &["broadcast retire", "bump retire"]),
        (&[Setup, RunEnd, Mine, Blocks(k - 1), Disconnect(3)], Tip, &["broadcast end 4"]),
        (&[Setup, RunEnd, Mine, Blocks(k), Mine], Tip, &[]),
        (&[Setup, RunEnd, Mine, Blocks(k), Mine, Disconnect(1)], Tip, &["broadcast retire", "bump retire"]),
        // A true claim.
        (&[Setup, Fulfil, Claim(k)], Tip, &["4 is True"]),
        (&[Setup, Fulfil, Claim(k), Restart], Tip, &["4 is True"]),
        (&[Setup, Fulfil, Claim(1)], Tip, &[]),
        (&[Setup, Fulfil, Claim(1), Blocks(k - 2)], Tip, &["4 is True"]),
        (&[Setup, Fulfil, Claim(k), Disconnect(1)], Tip, &[]),
        (&[Setup, Fulfil, Claim(k), ContestByOther], Tip, &["4 is True"]),
        // False ones.
        (&[Setup, Blocks(k), Claim(k)], Tip, &[FALSE, CONTEST]),
        (&[Setup, Blocks(k), Claim(k), Restart], Tip, &[FALSE, CONTEST]),
        (&[Setup, Blocks(k), Claim(k), Tip], Tip, &[FALSE, CONTEST]),
        (&[Setup, Blocks(k), Claim(k), Blocks(k + 1)], Tip, &[FALSE, CONTEST, BUMP]),
        (&[Setup, Blocks(k), Claim(k), Mine], Tip, &[FALSE]),
        (&[Setup, Blocks(k), Claim(k), Mine, Disconnect(1)], Tip, &[FALSE, CONTEST]),
        (&[Setup, Blocks(k), Claim(k), ContestByOther], Tip, &[FALSE]),
        (&[Setup, Fulfil, ClaimOtherBlock(k)], Tip, &[OTHER, CONTEST]),
        // The payout comes later, or counts for another slot or for nothing.
        (&[Setup, Blocks(k), Claim(k), Fulfil], Tip, &[FALSE, CONTEST, BUMP]),
        (&[Setup, FulfilOther, Claim(k)], Tip, &[FALSE, CONTEST]),
        (&[Setup, PayOther, Claim(k)], Tip, &[FALSE, CONTEST]),
        (&[Setup, PayLess, Claim(k)], Tip, &[FALSE, CONTEST]),
        (&[Setup, PayEarly, Claim(k)], Tip, &[FALSE, CONTEST]),
        (&[Setup, Fulfil, ClaimFuture(1)], Tip, &[NONE, CONTEST]),
        (&[Setup, Fulfil, ClaimFuture(500)], Tip, &[NONE, CONTEST]),
        (&[Setup, Fulfil, ClaimCheckpoint], Tip, &[FALSE, CONTEST]),
        // Too late to contest: it is reported all the same.
        (&[Setup, Blocks(k), Claim(k), Blocks(DELTA1 as u32), FinalizeFast], Tip, &[FALSE]),
        (&[Setup, Blocks(k), Claim(k), Blocks(DELTA1 as u32), FinalizeFast, Blocks(k)], Tip, &[FALSE]),
        (&[Setup, Blocks(k), Claim(k), Blocks(DELTA1 as u32), FinalizeFast, Blocks(k), Tip], Tip, &[]),
        // Without a part in the run it reports.
        (&[SetupStranger, Blocks(k), Claim(k)], Tip, &[FALSE]),
    ];
    for (before, event, duties) in table {
        let mut world = World::new(2);
        for step in *before {
            run(&mut world, *step).unwrap_or_else(|error| panic!("{before:?}, at {step:?}: {error}"));
        }
        let got = match run(&mut world, *event) {
            Ok(duties) => shown(&duties),
            Err(error) => vec![error.to_string()],
        };
        assert_eq!(got, *duties, "{before:?}, then {event:?}");
    }
}

#[test]
fn a_payout_with_too_few_blocks_on_top_at_the_claimed_block_makes_the_claim_false() {
    let k = u32::from(CONFIRMATIONS);
    for (depth, verdict) in [(k, "4 is True"), (k + 1, "4 is False(NotFulfilled)")] {
        let mut world = World::new(2);
        run(&mut world, Setup).unwrap();
        run(&mut world, Fulfil).unwrap();
        // The payout is 2 K below the tip.
        run(&mut world, Claim(depth)).unwrap();
        assert_eq!(shown(&run(&mut world, Tip).unwrap())[0], verdict);
    }
}

/// Whoever contested it would have a lane in which nothing is false, and lose its bond.
#[test]
fn a_claim_about_the_checkpoint_is_true_if_the_payout_was_deep_there() {
    let k = u32::from(CONFIRMATIONS);
    for (deep, verdict) in [(k, "4 is True"), (k - 1, "4 is False(NotFulfilled)")] {
        let mut world = World::new(2);
        world.fulfil(0);
        world.mine_empty(deep);
        world.start_here();
        for step in [Setup, Blocks(k), ClaimCheckpoint] {
            run(&mut world, step).unwrap();
        }
        assert_eq!(shown(&run(&mut world, Tip).unwrap())[0], verdict);
    }
}

#[test]
fn verdicts_are_on_disk() {
    let mut world = World::new(2);
    for step in [Setup, Fulfil, Claim(3), Tip, Restart] {
        run(&mut world, step).unwrap();
    }
    let reports = world.tower.reports().unwrap();
    assert_eq!((reports.len(), reports[0].slot, reports[0].height), (1, slot(0), Some(world.height() - 4)));
}
