//! `trestle refund`: needs the wallet's files and Bitcoin, and the node only to find deposits that the files do not know.

use bitcoin::secp256k1::{Message, Secp256k1};
use bitcoin::{FeeRate, OutPoint};
use serde_json::json;
use trestle_bridge::chain::Chain;
use trestle_bridge::parameters::{Bridge, ParametersError};
use trestle_bridge::transactions::DepositTerms;
use trestle_bridge::transactions::refund::refund;

use super::error::Error;
use super::session::{self, Session, open_home};
use crate::amount::Shown;
use crate::args::{Global, RefundArgs};
use crate::output::Report;
use crate::rpc::types::ChainEndpoint;
use crate::user::coins::{Coins, TARGET};
use crate::user::home::Home;
use crate::user::journal::SignedTransaction;
use crate::user::node::{Node, NodeError};

pub fn run(global: &Global, args: &RefundArgs) -> Result<Report, Error> {
    let Known { home, bridge, endpoint, deposits } = known(global)?;
    let chain = session::connect(&endpoint, &home)?;
    let chain = chain.as_ref();
    let delay = u32::from(bridge.parameters.refund_delay.value());
    let terms = match args.outpoint {
        Some(outpoint) => {
            let terms = deposits.into_iter().find(|d| d.outpoint == outpoint).ok_or(Error::NoSuchDeposit(outpoint))?;
            if let Some(spender) = chain.spender(&outpoint)? {
                return Err(Error::Spent { outpoint, spender: spender.tx.compute_txid() });
            }
            ripe(chain, outpoint, delay)?;
            terms
        }
        None => choose(chain, &deposits, delay)?,
    };

    let keys = home.keys();
    let mut journal = home.journal()?;
    let address = Coins::fresh_address(&home)?;
    let rate = chain.fee_rate(TARGET)?.max(FeeRate::BROADCAST_MIN);
    let refund = refund(&bridge, &terms, address.script_pubkey(), rate)?;
    let fee = refund.prevout.value - refund.tx.output[0].value;
    let signature = Secp256k1::new().sign_schnorr(&Message::from_digest(refund.message()), keys.refund_pair());
    let transaction = refund.complete(&signature);
    let (txid, value) = (transaction.compute_txid(), transaction.output[0].value);
    journal.record_refund(&terms.outpoint, SignedTransaction(transaction.clone()))?;
    chain.broadcast(&[&transaction]).map_err(|e| Error::unsent("refund")(e.into()))?;

    let text = format!("{} of deposit {} on the way to {address}: transaction {txid}", Shown(value), terms.outpoint);
    let json = json!({
        "deposit": terms.outpoint, "txid": txid, "address": address.to_string(),
        "value_sat": value.to_sat(), "fee_sat": fee.to_sat(), "vsize": transaction.vsize(),
    });
    Ok(Report { text, json })
}

struct Known {
    home: Home,
    bridge: Bridge,
    endpoint: ChainEndpoint,
    deposits: Vec<DepositTerms>,
}

/// The deposits on record, and those that the node knows of this account: a wallet restored from its words has no record.
fn known(global: &Global) -> Result<Known, Error> {
    let home = open_home(global)?;
    let node = Node::new(&global.rpc)?;
    let binding = home.binding()?;
    let recorded: Vec<_> = home.journal()?.deposits().iter().map(|d| d.terms).collect();
    match (node.status(), binding) {
        (Err(NodeError::Down(_) | NodeError::Slow(_)), Some(binding)) => {
            let file = home.dir().join("bridge.json");
            let bad = |e: ParametersError| Error::Parameters { url: file.display().to_string(), why: e.to_string() };
            let bridge = Bridge::new(binding.parameters).map_err(bad)?;
            Ok(Known { home, bridge, endpoint: binding.chain, deposits: recorded })
        }
        (Err(error), _) => Err(error.into()),
        (Ok(_), _) => {
            let session = Session::begin(home, node)?;
            let mut deposits = recorded;
            let mine = |d: &DepositTerms| d.refund_key == session.keys.refund();
            let registered = session.node.deposits(session.keys.account())?.into_iter().map(|d| d.terms).filter(mine);
            for terms in registered {
                if !deposits.iter().any(|d| d.outpoint == terms.outpoint) {
                    deposits.push(terms);
                }
            }
            let Session { home, bridge, endpoint, .. } = session;
            Ok(Known { home, bridge, endpoint, deposits })
        }
    }
}

/// The one deposit that can be refunded now.
fn choose(chain: &dyn Chain, deposits: &[DepositTerms], delay: u32) -> Result<DepositTerms, Error> {
    let mut ready: Vec<DepositTerms> = Vec::new();
    let mut not_yet: Option<Error> = None;
    for terms in deposits {
        if chain.spender(&terms.outpoint)?.is_some() {
            continue;
        }
        match ripe(chain, terms.outpoint, delay) {
            Ok(()) => ready.push(*terms),
            Err(error @ (Error::NotYetRefundable { .. } | Error::DepositUnconfirmed(_))) => {
                not_yet.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    match ready.as_slice() {
        [] => Err(not_yet.unwrap_or(Error::NothingToRefund)),
        [terms] => Ok(*terms),
        several => Err(Error::SeveralToRefund(several.iter().map(|d| d.outpoint).collect())),
    }
}

/// Whether the timelock has run out (BIP 68): a refund could be in the next block.
fn ripe(chain: &dyn Chain, outpoint: OutPoint, delay: u32) -> Result<(), Error> {
    let mined = chain.transaction(&outpoint.txid)?.and_then(|found| found.height);
    let height = mined.ok_or(Error::DepositUnconfirmed(outpoint))? + delay - 1;
    match height.saturating_sub(chain.tip()?.height) {
        0 => Ok(()),
        remaining => Err(Error::NotYetRefundable { outpoint, remaining, height }),
    }
}
