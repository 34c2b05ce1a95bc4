//! `trestle wallet new`, `balance`, `address`.

use std::io::Read;

use bitcoin::Network;
use serde_json::json;
use trestle_bridge::wallet::{Mnemonic, new_mnemonic};

use super::error::Error;
use super::session::{Session, open_home};
use crate::amount::Shown;
use crate::args::{Global, WalletCommand, WalletNewArgs};
use crate::output::Report;
use crate::user::address::Layer2Address;
use crate::user::coins::Coins;
use crate::user::home::{self, Home};

/// The longest list of words that is read.
const MAX_WORDS_BYTES: u64 = 1024;

pub fn run(global: &Global, command: WalletCommand) -> Result<Report, Error> {
    match command {
        WalletCommand::New(args) => new(global, &args),
        WalletCommand::Balance => balance(global),
        WalletCommand::Address => address(global),
    }
}

fn new(global: &Global, args: &WalletNewArgs) -> Result<Report, Error> {
    let dir = home::directory(&global.wallet)?;
    let words = if args.restore { read_words()? } else { new_mnemonic() };
    let home = Home::create(&dir, args.network, &words)?;
    let address = layer2_address(&home);
    let json = json!({
        "wallet": home.dir(), "network": args.network, "mnemonic": words.to_string(),
        "account": address.account, "layer2_address": address.to_string(),
    });
    let advice =
        if args.network == Network::Regtest { "Next: `trestle faucet 1BTC`" } else { "Next: `trestle wallet address`" };
    let text = format!(
        "A wallet for {} in {}. Its words, which are the wallet:\n\n  {words}\n\nWrite them down where nobody else reads \
         them.\nLayer 2 address: {address}\n{advice}",
        args.network,
        home.dir().display(),
    );
    Ok(Report { text, json })
}

fn read_words() -> Result<Mnemonic, Error> {
    let mut text = String::new();
    std::io::stdin().take(MAX_WORDS_BYTES).read_to_string(&mut text).map_err(|e| Error::Words(e.to_string()))?;
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    Mnemonic::parse(&words).map_err(|e| Error::Words(e.to_string()))
}

fn balance(global: &Global) -> Result<Report, Error> {
    let session = Session::open(global)?;
    let account = session.node.account(session.keys.account())?;
    let bitcoin = session.coins()?.balance();
    let address = layer2_address(&session.home);
    let pending = bitcoin.unconfirmed + bitcoin.immature;
    let json = json!({
        "bitcoin": { "confirmed_sat": bitcoin.confirmed.to_sat(), "pending_sat": pending.to_sat() },
        "layer2": {
            "account": account.account, "layer2_address": address.to_string(),
            "balance_sat": account.balance.to_sat(), "available_sat": account.available.to_sat(), "nonce": account.nonce,
        },
    });
    let mut text = format!("Bitcoin  {}", Shown(bitcoin.confirmed));
    if pending.to_sat() > 0 {
        text += &format!(", and {} not settled yet", Shown(pending));
    }
    text += &format!("\nLayer 2  {}", Shown(account.balance));
    if account.available != account.balance {
        text += &format!(", {} once what the sequencers hold is executed", Shown(account.available));
    }
    Ok(Report { text, json })
}

fn address(global: &Global) -> Result<Report, Error> {
    let home = open_home(global)?;
    let layer2 = layer2_address(&home);
    let bitcoin = Coins::fresh_address(&home)?;
    let json = json!({
        "network": home.network(), "bitcoin_address": bitcoin.to_string(),
        "layer2_address": layer2.to_string(), "account": layer2.account,
    });
    Ok(Report { text: format!("Bitcoin  {bitcoin}\nLayer 2  {layer2}"), json })
}

fn layer2_address(home: &Home) -> Layer2Address {
    Layer2Address { network: home.network(), account: home.keys().account() }
}
