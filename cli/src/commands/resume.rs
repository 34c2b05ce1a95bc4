//! `trestle resume`: sends again what the journal holds and Bitcoin or the node does not.

use bitcoin::{Transaction, Txid};
use serde_json::json;
use trestle_bridge::chain::ChainError;
use trestle_bridge::wallet::WalletError;

use super::error::Error;
use super::session::Session;
use crate::args::Global;
use crate::output::Report;
use crate::user::coins::Coins;

pub fn run(global: &Global) -> Result<Report, Error> {
    let mut session = Session::open(global)?;
    let chain = session.chain()?;
    let mut coins = session.coins()?;
    let mut sent: Vec<Txid> = Vec::new();
    let mut refused: Vec<(Txid, String)> = Vec::new();
    let recorded: Vec<Transaction> = session.journal.transactions().cloned().collect();
    for transaction in &recorded {
        let txid = transaction.compute_txid();
        if chain.transaction(&txid)?.is_some_and(|found| found.height.is_some()) {
            continue;
        }
        match send(&mut coins, transaction)? {
            None => sent.push(txid),
            Some(reason) => refused.push((txid, reason)),
        }
    }
    let unregistered = session.journal.deposits().iter().filter(|d| !d.registered && d.refund.is_none());
    let terms: Vec<_> = unregistered.map(|d| d.terms).filter(|t| sent_or_known(&refused, &t.outpoint.txid)).collect();
    for terms in &terms {
        session.node.deposit(*terms, session.consent(*terms))?;
        session.registered(&terms.outpoint);
    }
    let mut lines: Vec<String> = sent.iter().map(|txid| format!("sent again: {txid}")).collect();
    lines.extend(terms.iter().map(|t| format!("registered: deposit {}", t.outpoint)));
    lines.extend(refused.iter().map(|(txid, reason)| format!("refused by Bitcoin: {txid} ({reason})")));
    if lines.is_empty() {
        lines.push("Nothing was left behind.".into());
    }
    let json = json!({
        "sent": sent,
        "registered": terms.iter().map(|t| t.outpoint).collect::<Vec<_>>(),
        "refused": refused.iter().map(|(txid, reason)| json!({ "txid": txid, "reason": reason })).collect::<Vec<_>>(),
    });
    Ok(Report { text: lines.join("\n"), json })
}

/// Sends one transaction; gives Bitcoin's reason if it is refused.
fn send(coins: &mut Coins, transaction: &Transaction) -> Result<Option<String>, Error> {
    match coins.send(&[transaction]) {
        Ok(()) => Ok(None),
        Err(WalletError::Chain(ChainError::Rejected { reason, .. })) => Ok(Some(reason)),
        Err(error) => Err(error.into()),
    }
}

fn sent_or_known(refused: &[(Txid, String)], txid: &Txid) -> bool {
    refused.iter().all(|(r, _)| r != txid)
}
