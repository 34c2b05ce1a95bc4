//! `trestle force send` and `trestle force withdraw`: the same transactions, past the sequencers.

use bitcoin::secp256k1::{Message, Secp256k1};
use bitcoin::{Amount, OutPoint};
use serde_json::json;
use trestle_bridge::transactions::envelope::Posting;
use trestle_rollup::envelope::Kind;
use trestle_rollup::{Envelope, SignedTransaction as Layer2Transaction};

use super::error::Error;
use super::layer2::{self, Wanted};
use super::session::{self, Session, open_home};
use super::{describe, wait};
use crate::amount::Shown;
use crate::args::{ForceCommand, ForceSendArgs, ForceWithdrawArgs, Global};
use crate::output::{Output, Report};
use crate::rpc::types::{AccountStatus, Receipt, ReceiptQuery};
use crate::user::address::Layer2Address;
use crate::user::coins::Coins;
use crate::user::journal::{ForcedEntry, SignedTransaction};
use crate::user::node::Node;

/// Nobody takes a fee from a forced transaction: Bitcoin's miners have theirs.
const FEE: Amount = Amount::ZERO;

pub fn run(global: &Global, command: ForceCommand, output: &Output) -> Result<Report, Error> {
    match command {
        ForceCommand::Send(args) => send(global, &args, output),
        ForceCommand::Withdraw(args) => withdraw(global, &args, output),
    }
}

fn send(global: &Global, args: &ForceSendArgs, output: &Output) -> Result<Report, Error> {
    let home = open_home(global)?;
    let to = Layer2Address::parse(&args.to, home.network())?;
    let mut session = Session::begin(home, Node::new(&global.rpc)?)?;
    let account = session.node.account(session.keys.account())?;
    let amount = args.amount.0;
    let signed = layer2::transfer(&session, to, amount, FEE, nonce(&session, &account), account.balance)?;
    let id = layer2::id(&session, &signed);
    let posted = post(&mut session, &signed, None)?;
    let mut json = posted.json();
    json["id"] = json!(id);
    json["to"] = json!(to.to_string());
    json["amount_sat"] = json!(amount.to_sat());
    let state = if args.wait {
        let height = wait::executed(&session.into_node(), posted.query(), output)?;
        json["height"] = json!(height);
        describe::receipt(&Receipt::Executed { height, txid: None, withdrawal: None })
    } else {
        format!("it takes effect when {} is mined", posted.reveal.0.compute_txid())
    };
    Ok(Report { text: format!("{} sent to {to} through Bitcoin, transaction {id}: {state}", Shown(amount)), json })
}

fn withdraw(global: &Global, args: &ForceWithdrawArgs, output: &Output) -> Result<Report, Error> {
    let home = open_home(global)?;
    let given = args.address.as_deref().map(|a| layer2::bitcoin_address(a, home.network())).transpose()?;
    let mut session = Session::begin(home, Node::new(&global.rpc)?)?;
    let account = session.node.account(session.keys.account())?;
    let wanted = Wanted::new(&session, args.amount.0, FEE, account.balance, given)?;
    let signed = wanted.sign(&session, FEE, nonce(&session, &account));
    let posted = post(&mut session, &signed, Some(&wanted))?;
    let mut with = posted.json();
    with["id"] = json!(layer2::id(&session, &signed));
    layer2::requested(session, wanted, posted.query(), args.wait, output, with)
}

/// What the blocks say, and after it what this wallet forced already: the sequencers are not asked.
fn nonce(session: &Session, account: &AccountStatus) -> u64 {
    layer2::forced_nonce(account, session.journal.forced().iter().map(|f| f.nonce))
}

/// The two Bitcoin transactions that carry an envelope.
pub struct Posted {
    /// Pays the output that commits to it.
    pub commit: SignedTransaction,
    /// Shows it.
    pub reveal: SignedTransaction,
    fee: Amount,
}

impl Posted {
    fn query(&self) -> ReceiptQuery {
        ReceiptQuery::Forced(self.reveal.0.compute_txid())
    }

    /// What a report says of them.
    pub fn json(&self) -> serde_json::Value {
        json!({
            "commit": self.commit.0.compute_txid(), "reveal": self.reveal.0.compute_txid(),
            "bitcoin_fee_sat": self.fee.to_sat(), "vsize": self.commit.0.vsize() + self.reveal.0.vsize(),
        })
    }
}

/// The two Bitcoin transactions that carry an envelope, paid by the wallet, not sent yet.
pub fn envelope(session: &mut Session, coins: &mut Coins, envelope: &Envelope) -> Result<Posted, Error> {
    let key = session.keys.envelope_pair();
    let (rate, change) = (coins.fee_rate()?, coins.address()?.script_pubkey());
    let posting = Posting::new(&session.bridge, envelope, key.x_only_public_key().0, change, rate)?;
    let carrier = posting.commit_output();
    let value = carrier.value;
    let commit = session::pay(session, coins, carrier)?;
    let reveal = posting.reveal(OutPoint::new(commit.0.compute_txid(), 0), value)?;
    let fee = coins.fee_of(&commit.0).unwrap_or_default() + (value - reveal.tx.output[0].value);
    let signature = Secp256k1::new().sign_schnorr(&Message::from_digest(reveal.message()), key);
    let reveal = SignedTransaction(reveal.complete(&signature));
    Ok(Posted { commit, reveal, fee })
}

/// Writes the transaction down in its envelope and sends it.
fn post(session: &mut Session, signed: &Layer2Transaction, withdrawal: Option<&Wanted>) -> Result<Posted, Error> {
    let mut coins: Coins = session.coins()?;
    let envelope = Envelope { kind: Kind::Forced, payload: signed.encode() };
    let posted = self::envelope(session, &mut coins, &envelope)?;
    let (id, nonce) = (layer2::id(session, signed), signed.transaction.nonce());
    let forced = ForcedEntry { id, nonce, commit: posted.commit.clone(), reveal: posted.reveal.clone() };
    session.journal.record(withdrawal.map(|w| w.entry(posted.query())), Some(forced))?;
    coins.send(&[&posted.commit.0, &posted.reveal.0]).map_err(|e| Error::unsent("forced transaction")(e.into()))?;
    Ok(posted)
}
