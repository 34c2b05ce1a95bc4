//! `trestle send` and `trestle withdraw`: what is signed, and what is checked before.

use bitcoin::address::NetworkUnchecked;
use bitcoin::{Address, Amount, Network};
use serde_json::json;
use trestle_rollup::{Account, Destination, SignedTransaction, Transaction};

use super::error::Error;
use super::session::{Session, open_home};
use super::{certificate, describe, wait};
use crate::amount::{AmountArg, Shown};
use crate::args::{Global, SendArgs, WithdrawArgs};
use crate::output::{Output, Report};
use crate::rpc::types::{AccountStatus, Hex32, ReceiptQuery};
use crate::user::address::{AddressError, Layer2Address};
use crate::user::coins::Coins;
use crate::user::journal::WithdrawalEntry;
use crate::user::node::Node;

pub fn send(global: &Global, args: &SendArgs) -> Result<Report, Error> {
    let home = open_home(global)?;
    let to = Layer2Address::parse(&args.to, home.network())?;
    let session = Session::begin(home, Node::new(&global.rpc)?)?;
    let fee = fee(&session, args.fee)?;
    let account = session.node.account(session.keys.account())?;
    let amount = args.amount.0;
    let nonce = account.next_nonce;
    let signed = transfer(&session, to, amount, fee, nonce, account.available)?;
    session.submit(&signed)?;
    let id = id(&session, &signed);
    let kept = certificate::keep(&session, id, &signed)?;
    let mut text = format!("{} sent to {to}, fee {}: transaction {id}", Shown(amount), Shown(fee));
    if let Some(file) = &kept {
        text += &format!("\nFinal; the sequencers' certificate is in {}", file.display());
    }
    let json = json!({
        "id": id, "to": to.to_string(), "amount_sat": amount.to_sat(), "fee_sat": fee.to_sat(), "nonce": nonce,
        "certificate": kept,
    });
    Ok(Report { text, json })
}

pub fn withdraw(global: &Global, args: &WithdrawArgs, output: &Output) -> Result<Report, Error> {
    let home = open_home(global)?;
    let given = args.address.as_deref().map(|a| bitcoin_address(a, home.network())).transpose()?;
    let mut session = Session::begin(home, Node::new(&global.rpc)?)?;
    let fee = fee(&session, args.fee)?;
    let account = session.node.account(session.keys.account())?;
    let wanted = Wanted::new(&session, args.amount.0, fee, account.available, given)?;
    let signed = wanted.sign(&session, fee, account.next_nonce);
    let id = id(&session, &signed);
    let transaction = ReceiptQuery::Submitted(id);
    session.journal.record(Some(wanted.entry(transaction)), None)?;
    session.submit(&signed)?;
    requested(session, wanted, transaction, args.wait, output, json!({ "id": id, "fee_sat": fee.to_sat() }))
}

/// A withdrawal that can be made.
pub struct Wanted {
    denomination: u8,
    amount: Amount,
    address: Address,
    destination: Destination,
    payout: Amount,
}

impl Wanted {
    /// Checks that `amount` is a denomination and that `available` pays for it; then takes a fresh address of the wallet
    /// where none is given.
    ///
    /// # Errors
    /// [`Error::Denomination`], [`Error::TooLittleLayer2`], or the wallet's files.
    pub fn new(
        session: &Session,
        amount: Amount,
        fee: Amount,
        available: Amount,
        given: Option<(Address, Destination)>,
    ) -> Result<Self, Error> {
        let denomination = session.denomination(amount)?;
        enough(amount, fee, available)?;
        let (address, destination) = match given {
            Some(given) => given,
            None => {
                let own = Coins::fresh_address(&session.home)?;
                let destination = destination(&own)?;
                (own, destination)
            }
        };
        // Parameters that pass `check` leave something of every denomination.
        let payout = amount.checked_sub(session.parameters().withdrawal_fee).ok_or(Error::Overflow)?;
        Ok(Self { denomination, amount, address, destination, payout })
    }

    /// Signs the transaction that requests it.
    pub fn sign(&self, session: &Session, fee: Amount, nonce: u64) -> SignedTransaction {
        let transaction = Transaction::Withdraw {
            from: account(session),
            destination: self.destination,
            denomination: self.denomination,
            fee: fee.to_sat(),
            nonce,
        };
        transaction.sign(&session.bridge.instance, session.keys.account_pair())
    }

    /// What the journal keeps.
    pub fn entry(&self, transaction: ReceiptQuery) -> WithdrawalEntry {
        WithdrawalEntry { transaction, denomination: self.amount, destination: self.address.as_unchecked().clone() }
    }
}

/// Reports a withdrawal that was requested, now or when it is paid. `with` is added to the JSON object.
///
/// # Errors
/// As [`wait::withdrawal`].
pub fn requested(
    session: Session,
    wanted: Wanted,
    transaction: ReceiptQuery,
    wait: bool,
    output: &Output,
    with: serde_json::Value,
) -> Result<Report, Error> {
    let Wanted { amount, address, payout, .. } = wanted;
    let mut json = json!({
        "denomination_sat": amount.to_sat(), "payout_sat": payout.to_sat(), "destination": address.to_string(),
    });
    if let (Some(all), Some(with)) = (json.as_object_mut(), with.as_object()) {
        all.extend(with.clone());
    }
    let text = if wait {
        let node = session.into_node();
        output.progress(&format!("withdrawal of {} to {address}", Shown(amount)));
        let paid = wait::withdrawal(&node, transaction, address.as_unchecked(), output)?;
        json["withdrawal"] = json!(paid);
        format!("{} at {address}: {}", Shown(payout), describe::withdrawal(&paid.state))
    } else {
        format!(
            "Withdrawal of {} requested: {} go to {address}\n`trestle status` shows how far it is.",
            Shown(amount),
            Shown(payout),
        )
    };
    Ok(Report { text, json })
}

/// The name by which the sequencers know a transaction: the message that its signature signs.
pub fn id(session: &Session, signed: &SignedTransaction) -> Hex32 {
    Hex32(signed.transaction.sighash(&session.bridge.instance))
}

/// Signs a transfer, if `available` pays for it.
///
/// # Errors
/// [`Error::TooLittleLayer2`].
pub fn transfer(
    session: &Session,
    to: Layer2Address,
    amount: Amount,
    fee: Amount,
    nonce: u64,
    available: Amount,
) -> Result<SignedTransaction, Error> {
    enough(amount, fee, available)?;
    let transaction = Transaction::Transfer {
        from: account(session),
        to: Account(to.account.serialize()),
        amount: amount.to_sat(),
        fee: fee.to_sat(),
        nonce,
    };
    Ok(transaction.sign(&session.bridge.instance, session.keys.account_pair()))
}

/// Reads a Bitcoin address that a withdrawal can go to.
///
/// # Errors
/// What is wrong with it.
pub fn bitcoin_address(text: &str, network: Network) -> Result<(Address, Destination), Error> {
    let is_layer2 = || !matches!(Layer2Address::parse(text, network), Err(AddressError::Malformed(_)));
    let address = match text.parse::<Address<NetworkUnchecked>>() {
        Ok(address) => address,
        Err(_) if is_layer2() => return Err(Error::NotABitcoinAddress(text.into())),
        Err(e) => return Err(Error::BitcoinAddress { given: text.into(), why: e.to_string() }),
    };
    let address =
        address.require_network(network).map_err(|_| Error::BitcoinAddressNetwork { given: text.into(), network })?;
    let destination = destination(&address)?;
    Ok((address, destination))
}

fn destination(address: &Address) -> Result<Destination, Error> {
    Destination::from_script(address.script_pubkey().as_bytes()).ok_or_else(|| Error::Destination(address.to_string()))
}

fn account(session: &Session) -> Account {
    Account(session.keys.account().serialize())
}

fn enough(amount: Amount, fee: Amount, has: Amount) -> Result<(), Error> {
    let needs = amount.checked_add(fee).ok_or(Error::Overflow)?;
    if needs > has { Err(Error::TooLittleLayer2 { needs, has }) } else { Ok(()) }
}

fn fee(session: &Session, given: Option<AmountArg>) -> Result<Amount, Error> {
    let least = session.status.minimum_fee;
    match given {
        Some(AmountArg(fee)) if fee < least => Err(Error::FeeTooLow(least)),
        Some(AmountArg(fee)) => Ok(fee),
        None => Ok(least),
    }
}

/// The nonce that a forced transaction has to carry, given the nonces of those on their way.
pub fn forced_nonce(account: &AccountStatus, on_their_way: impl IntoIterator<Item = u64>) -> u64 {
    on_their_way.into_iter().filter(|n| *n >= account.nonce).map(|n| n + 1).max().unwrap_or(account.nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forced_transaction_follows_those_on_their_way_and_no_others() {
        let key = bitcoin::secp256k1::Keypair::from_seckey_slice(&bitcoin::secp256k1::Secp256k1::new(), &[1; 32]);
        let account = AccountStatus {
            account: key.expect("a scalar").x_only_public_key().0,
            balance: Amount::ZERO,
            nonce: 5,
            available: Amount::ZERO,
            next_nonce: 9,
        };
        assert_eq!(forced_nonce(&account, []), 5, "what the sequencers hold may never be posted");
        assert_eq!(forced_nonce(&account, [3, 4]), 5);
        assert_eq!(forced_nonce(&account, [3, 5, 6]), 7);
    }

    #[test]
    fn only_addresses_that_a_payout_can_go_to_are_taken() {
        let read = |text: &str| bitcoin_address(text, Network::Regtest);
        assert!(read("bcrt1q6rhpng9evdsfnn833a4f4vej0asu6dk5srld6x").is_ok());
        assert!(matches!(read("bcrt1q6rhpng9evdsfnn833a4f4vej0asu6dk5srld6y"), Err(Error::BitcoinAddress { .. })));
        let mainnet = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
        assert!(matches!(read(mainnet), Err(Error::BitcoinAddressNetwork { .. })));
        let anchor = "bcrt1pfeesnyr2tx";
        assert!(matches!(read(anchor), Err(Error::Destination(_))));
        let layer2 = Layer2Address { network: Network::Regtest, account: read_key() }.to_string();
        assert!(matches!(read(&layer2), Err(Error::NotABitcoinAddress(_))));
    }

    fn read_key() -> bitcoin::XOnlyPublicKey {
        "a407bf65f2e99c5eca122989073c987cd8025bbd1e792239ad073c4252e83d77".parse().expect("a key")
    }
}
