//! Deposits that the committee must not confirm, and those that it must confirm all the same.

use bitcoin::key::Keypair;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::{Amount, OutPoint};
use trestle_bridge::job::{DepositJob, Job};
use trestle_bridge::transactions::DepositTerms;
use trestle_cli::rpc::Backend;
use trestle_cli::rpc::types::DepositState;
use trestle_rollup::Account;
use trestle_signer::consent;

use super::play::{DENOMINATION, Play, TENTH, TENTH_SAT};

/// Somebody who deposits without the user's commands.
struct Depositor(Keypair);

impl Depositor {
    fn new() -> Self {
        Self(Keypair::new(&Secp256k1::new(), &mut rand::rngs::OsRng))
    }

    fn terms(&self, outpoint: OutPoint) -> DepositTerms {
        let key = self.0.x_only_public_key().0;
        DepositTerms { outpoint, denomination: DENOMINATION, account: Account::from(key), refund_key: key }
    }

    /// Pays into the output that these terms want, or another amount; returns the terms.
    fn pays(&self, play: &Play, amount: Option<Amount>) -> DepositTerms {
        let mut world = play.seen().world();
        let output = self.terms(OutPoint::null()).deposit_output(world.runtime.bridge()).unwrap();
        let (outpoint, _) = world.miner().pay(output.script_pubkey, amount.unwrap_or(output.value)).unwrap();
        self.terms(outpoint)
    }

    fn consents(&self, play: &Play, terms: DepositTerms) -> Signature {
        consent::sign(play.seen().world().runtime.bridge(), &job(terms), &self.0)
    }

    fn registers(&self, play: &Play, terms: DepositTerms) {
        play.seen().backend().deposit(terms, self.consents(play, terms)).unwrap();
    }
}

fn job(terms: DepositTerms) -> Job {
    Job::Deposit(DepositJob { terms, slots: Vec::new() })
}

fn state(play: &Play, terms: DepositTerms) -> Option<DepositState> {
    let account = bitcoin::XOnlyPublicKey::from_slice(&terms.account.0).unwrap();
    let known = play.seen().backend().deposits(account).unwrap();
    known.into_iter().find(|deposit| deposit.terms == terms).map(|deposit| deposit.state)
}

fn is_refused(play: &Play, terms: DepositTerms, with: &str) {
    match state(play, terms) {
        Some(DepositState::Refused { why }) => assert!(why.contains(with), "{why}"),
        other => panic!("{terms:?} is refused: {other:?}"),
    }
}

fn is_minted(play: &Play, terms: DepositTerms) -> bool {
    matches!(state(play, terms), Some(DepositState::Minted { .. }))
}

#[test]
fn no_deposit_is_confirmed_that_is_not_as_its_terms_say() {
    let mut play = Play::new(4, &[]);
    let [honest, poor, confused, thief] = [(); 4].map(|()| Depositor::new());
    let good = honest.pays(&play, None);
    let short = poor.pays(&play, Some(Amount::from_sat(TENTH_SAT)));
    let paid_to_another = confused.terms(poor.pays(&play, None).outpoint);
    play.mine();

    // A thief's terms for somebody else's output name the thief's key, so they are not the output's; and they come first.
    let stolen = thief.terms(good.outpoint);
    thief.registers(&play, stolen);
    for (who, terms) in [(&honest, good), (&poor, short), (&confused, paid_to_another)] {
        who.registers(&play, terms);
    }
    // The output's own key, and the thief's account: only the key's owner could consent.
    let foreign = DepositTerms { account: stolen.account, ..good };
    assert!(play.seen().backend().deposit(foreign, thief.consents(&play, foreign)).is_err());
    let consent = thief.consents(&play, foreign);
    play.seen().world().runtime.request(job(foreign), vec![consent]).unwrap();
    play.seen().world().runtime.request(job(foreign), Vec::new()).unwrap();

    play.until("the good deposit is minted", |play| is_minted(play, good).then_some(()));
    for _ in 0..8 {
        play.mine();
    }
    is_refused(&play, short, "is not on the chain as the job says");
    is_refused(&play, paid_to_another, "is not on the chain as the job says");
    assert!(!is_minted(&play, foreign));
    let world = play.seen().world();
    let view = world.runtime.ledger().state_at_tip();
    assert_eq!(view.account(&stolen.account).unwrap().balance, 0);
    assert_eq!(view.meta().unwrap().supply, TENTH_SAT);
}

#[test]
fn of_two_terms_for_one_output_one_is_minted() {
    let mut play = Play::new(4, &[]);
    let (owner, friend) = (Depositor::new(), Depositor::new());
    let first = owner.pays(&play, None);
    play.mine();
    let second = DepositTerms { account: friend.terms(first.outpoint).account, ..first };
    owner.registers(&play, first);
    owner.registers(&play, second);
    let minted = play.until("one is minted", |play| [first, second].into_iter().find(|terms| is_minted(play, *terms)));
    play.restart();
    for _ in 0..10 {
        play.mine();
    }
    let view = play.seen().world().runtime.ledger().state_at_tip();
    assert_eq!(view.account(&minted.account).unwrap().balance, TENTH_SAT);
    assert_eq!(view.meta().unwrap().supply, TENTH_SAT);
}

#[test]
fn a_deposit_beyond_the_runway_waits_until_there_is_room() {
    // Two operators with one slot each: one of them may be gone, so one vault can be paid back.
    let mut play = Play::new(1, &["alice", "bob"]);
    play.user("alice", &["deposit", TENTH]);
    play.until_balance("alice", TENTH_SAT);
    play.refused("bob", &["deposit", TENTH], "takes no deposit of 0.1 BTC now");

    // Who deposits all the same is not confirmed.
    let bold = Depositor::new();
    let terms = bold.pays(&play, None);
    play.mine();
    bold.registers(&play, terms);
    for _ in 0..9 {
        play.mine();
    }
    is_refused(&play, terms, "does not allow another vault");
    assert_eq!(play.seen().world().runtime.ledger().state_at_tip().meta().unwrap().supply, TENTH_SAT);

    // Both operators open another run: there is room again.
    for operator in 0..2 {
        play.seen().world().runtime.open_run(operator, DENOMINATION, 2).unwrap();
    }
    play.until("the bold deposit is minted", |play| is_minted(play, terms).then_some(()));
    assert_eq!(play.seen().world().runtime.ledger().state_at_tip().meta().unwrap().supply, 2 * TENTH_SAT);
    play.settled_deposits();
}
