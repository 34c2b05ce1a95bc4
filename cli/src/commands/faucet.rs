//! `trestle faucet`.

use bitcoin::Network;
use serde_json::json;

use super::error::Error;
use super::session::{Session, open_home};
use crate::amount::Shown;
use crate::args::{FaucetArgs, Global};
use crate::output::Report;
use crate::user::coins::Coins;
use crate::user::node::Node;

pub fn run(global: &Global, args: &FaucetArgs) -> Result<Report, Error> {
    let home = open_home(global)?;
    if home.network() != Network::Regtest {
        return Err(Error::NoFaucet(home.network()));
    }
    let session = Session::begin(home, Node::new(&global.rpc)?)?;
    let amount = args.amount.0;
    let address = Coins::fresh_address(&session.home)?;
    let txid = session.node.faucet(address.as_unchecked().clone(), amount)?;
    let text = format!("{} on the way to {address}: transaction {txid}", Shown(amount));
    let json = json!({ "txid": txid, "address": address.to_string(), "amount_sat": amount.to_sat() });
    Ok(Report { text, json })
}
