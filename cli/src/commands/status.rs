//! `trestle status`.

use serde_json::{Value, json};
use trestle_bridge::parameters::Bridge;

use super::error::Error;
use super::session::{self, Session, open_home};
use super::{describe, wait};
use crate::amount::Shown;
use crate::args::Global;
use crate::output::Report;
use crate::rpc::types::{Hex32, Receipt, ReceiptQuery, Status};
use crate::user::home::HomeError;
use crate::user::node::Node;

pub fn run(global: &Global) -> Result<Report, Error> {
    let node = Node::new(&global.rpc)?;
    match open_home(global) {
        Ok(home) => {
            let session = Session::begin(home, node)?;
            let mut report = bridge(&session.status, &session.bridge, &session.node);
            let wallet = wallet(&session)?;
            report.text = format!("{}\n\n{}", report.text, wallet.text);
            report.json["wallet"] = wallet.json;
            Ok(report)
        }
        // The bridge can be looked at with no wallet.
        Err(Error::Home(HomeError::Missing(_) | HomeError::NoHome)) => {
            let status = node.status()?;
            Ok(bridge(&status, &session::check(&status, &node)?, &node))
        }
        Err(error) => Err(error),
    }
}

fn bridge(status: &Status, bridge: &Bridge, node: &Node) -> Report {
    let instance = Hex32(bridge.instance);
    let mut text = format!(
        "Bridge   {instance} on {}, {}\nBitcoin  block {} {}\nLayer 2  block {}, R = {}\n         supply {}, withdrawals pending: {}",
        status.parameters.network,
        node.url(),
        status.bitcoin.height,
        status.bitcoin.hash,
        status.layer2.height,
        status.layer2.entry,
        Shown(status.layer2.supply),
        status.layer2.pending_withdrawals,
    );
    text += "\n\nDenomination  room  vaults  open slots  runway";
    for r in &status.runway {
        text += &format!(
            "\n{:<12}  {:>4}  {:>6}  {:>10}  {} withdrawals, {} blocks",
            Shown(r.denomination).to_string(),
            r.room,
            r.vaults,
            r.open_slots,
            r.withdrawals,
            r.blocks
        );
    }
    text += "\n";
    for role in &status.roles {
        text += &format!("\n{:<12}  {}", format!("{} {}", role.role, role.index), role.state);
    }
    let mut json = json!(status);
    json["instance"] = json!(instance);
    Report { text, json }
}

fn wallet(session: &Session) -> Result<Report, Error> {
    let shown = |index| session.bridge.denomination(index).map_or_else(|| "?".into(), |d| Shown(d).to_string());
    let registered = session.node.deposits(session.keys.account())?;
    let mut text = format!("Wallet {}", session.home.dir().display());
    let mut deposits: Vec<Value> = Vec::new();
    for found in &registered {
        let state = describe::deposit(&found.state);
        text += &format!("\ndeposit of {} at {}: {state}", shown(found.terms.denomination), found.terms.outpoint);
        deposits.push(json!(found));
    }
    for entry in session.journal.deposits() {
        let outpoint = entry.terms.outpoint;
        if let Some(refund) = &entry.refund {
            text += &format!("\nrefund of {outpoint} by {}", refund.0.compute_txid());
        } else if !registered.iter().any(|d| d.terms.outpoint == outpoint) {
            let amount = shown(entry.terms.denomination);
            text += &format!("\ndeposit of {amount} at {outpoint}: the node does not know it, run `trestle resume`");
            deposits.push(json!({ "outpoint": outpoint, "state": "unregistered" }));
        }
    }
    let mut withdrawals: Vec<Value> = Vec::new();
    for entry in session.journal.withdrawals() {
        let receipt = session.node.receipt(entry.transaction)?;
        let found = match receipt {
            Receipt::Executed { height, .. } => {
                wait::find_withdrawal(&session.node, entry.transaction, height, &entry.destination)?
            }
            _ => None,
        };
        let state = found.as_ref().map_or_else(|| describe::receipt(&receipt), |w| describe::withdrawal(&w.state));
        let to = entry.destination.clone().assume_checked();
        text += &format!("\nwithdrawal of {} to {to}: {state}", Shown(entry.denomination));
        withdrawals.push(json!({ "transaction": entry.transaction, "receipt": receipt, "withdrawal": found }));
    }
    let mut forced: Vec<Value> = Vec::new();
    for entry in session.journal.forced() {
        let reveal = entry.reveal.0.compute_txid();
        let receipt = session.node.receipt(ReceiptQuery::Forced(reveal))?;
        text += &format!("\nforced transaction {}, shown by {reveal}: {}", entry.id, describe::receipt(&receipt));
        forced.push(json!({ "id": entry.id, "reveal": reveal, "receipt": receipt }));
    }
    let json = json!({
        "wallet": session.home.dir(), "deposits": deposits, "withdrawals": withdrawals, "forced": forced,
    });
    Ok(Report { text, json })
}
