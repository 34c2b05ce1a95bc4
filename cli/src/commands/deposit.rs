//! `trestle deposit`.

use bitcoin::OutPoint;
use serde_json::json;
use trestle_bridge::transactions::DepositTerms;

use super::error::Error;
use super::session::{self, Session};
use super::{describe, wait};
use crate::amount::Shown;
use crate::args::{DepositArgs, Global};
use crate::output::{Output, Report};
use crate::user::journal::DepositEntry;

pub fn run(global: &Global, args: &DepositArgs, output: &Output) -> Result<Report, Error> {
    let mut session = Session::open(global)?;
    let denomination = args.amount.0;
    let index = session.denomination(denomination)?;
    if session.status.runway.iter().any(|r| r.denomination == denomination && r.room == 0) {
        return Err(Error::NoRoom(denomination));
    }
    let (account, refund_key) = (session.keys.account(), session.keys.refund());
    // The outpoint follows from the transaction that pays the output, and the output does not depend on it.
    let terms = |outpoint| DepositTerms { outpoint, denomination: index, account: account.into(), refund_key };
    let deposit = terms(OutPoint::null()).deposit_output(&session.bridge)?;
    let value = deposit.value;
    let mut coins = session.coins()?;
    let funding = session::pay(&session, &mut coins, deposit)?;
    let outpoint = OutPoint::new(funding.0.compute_txid(), 0);
    let terms = terms(outpoint);
    let fee = coins.fee_of(&funding.0);
    session.journal.record_deposit(DepositEntry {
        terms,
        funding: funding.clone(),
        registered: false,
        refund: None,
    })?;

    let unsent = Error::unsent("deposit");
    coins.send(&[&funding.0]).map_err(|e| unsent(e.into()))?;
    let mut status = session.node.deposit(terms, session.consent(terms)).map_err(|e| unsent(e.into()))?;
    session.registered(&outpoint);

    let (confirmations, delay) = (session.parameters().confirmations, session.parameters().refund_delay);
    if args.wait {
        drop(coins);
        output.progress(&format!("deposit {outpoint}"));
        status = wait::deposit(&session.into_node(), account, outpoint, denomination, output)?;
    }
    let text = if args.wait {
        format!("{} deposited: {}", Shown(denomination), describe::deposit(&status.state))
    } else {
        format!(
            "{} on the way to the bridge: {outpoint}\nThe committee confirms it when it is {confirmations} blocks deep; then it \
             is on the Layer 2. `trestle status` shows how far it is.\nIf the committee never does, `trestle refund` takes it \
             back after {delay} blocks.",
            Shown(denomination),
        )
    };
    let json = json!({
        "deposit": status, "value_sat": value.to_sat(), "fee_sat": fee.map(|f| f.to_sat()),
        "txid": outpoint.txid, "vsize": funding.0.vsize(),
    });
    Ok(Report { text, json })
}
