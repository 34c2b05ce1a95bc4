//! What most commands begin with: the wallet, the node, and the certainty that they belong together.

use std::sync::Arc;

use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::{Amount, OutPoint, TxOut};
use trestle_bridge::chain::{self, Chain};
use trestle_bridge::job::{DepositJob, Job};
use trestle_bridge::parameters::{Bridge, BridgeParameters, ParametersError};
use trestle_bridge::transactions::DepositTerms;
use trestle_bridge::wallet::WalletError;
use trestle_rollup::SignedTransaction as SignedLayer2;
use trestle_signer::consent;

use super::error::Error;
use crate::args::Global;
use crate::rpc::types::{ChainEndpoint, Hex32, Status};
use crate::user::coins::Coins;
use crate::user::home::{self, Binding, Home};
use crate::user::journal::{Journal, SignedTransaction};
use crate::user::keys::Keys;
use crate::user::node::{Node, NodeError};

/// A wallet and its node, on one network and one bridge.
#[derive(Debug)]
pub struct Session {
    /// The wallet's directory.
    pub home: Home,
    /// The wallet's keys.
    pub keys: Keys,
    /// What is on its way.
    pub journal: Journal,
    /// The node.
    pub node: Node,
    /// The bridge as it stood when the command began.
    pub status: Status,
    /// The bridge, its parameters checked.
    pub bridge: Bridge,
    /// How to read Bitcoin.
    pub endpoint: ChainEndpoint,
}

impl Session {
    /// Asks the node, and checks that it and the wallet belong together.
    ///
    /// # Errors
    /// No node, another network, another bridge.
    pub fn begin(home: Home, node: Node) -> Result<Self, Error> {
        let status = node.status()?;
        let bridge = check(&status, &node)?;
        let network = bridge.parameters.network;
        if network != home.network() {
            return Err(Error::Network { wallet: home.network(), node: network, url: node.url().into() });
        }
        let endpoint = node.chain()?;
        bind(&home, &node, &bridge, &endpoint)?;
        let (keys, journal) = (home.keys(), home.journal()?);
        Ok(Self { home, keys, journal, node, status, bridge, endpoint })
    }

    /// Opens the wallet that `--wallet` names and begins with the node that `--rpc` names.
    ///
    /// # Errors
    /// No wallet, or as [`Self::begin`].
    pub fn open(global: &Global) -> Result<Self, Error> {
        let home = open_home(global)?;
        Self::begin(home, Node::new(&global.rpc)?)
    }

    /// The bridge's parameters.
    pub fn parameters(&self) -> &BridgeParameters {
        &self.bridge.parameters
    }

    /// Bitcoin, as the node says it can be reached.
    ///
    /// # Errors
    /// The address makes no sense.
    pub fn chain(&self) -> Result<Arc<dyn Chain>, Error> {
        connect(&self.endpoint, &self.home)
    }

    /// The coins, in step with the chain.
    ///
    /// # Errors
    /// The wallet's files, or the chain.
    pub fn coins(&self) -> Result<Coins, Error> {
        Ok(Coins::open(&self.home, &self.journal, self.chain()?, self.parameters().genesis.height)?)
    }

    /// The index of a denomination.
    ///
    /// # Errors
    /// [`Error::Denomination`], with those that there are.
    pub fn denomination(&self, amount: Amount) -> Result<u8, Error> {
        let denominations = &self.parameters().denominations;
        let index = denominations.iter().position(|d| *d == amount).and_then(|i| u8::try_from(i).ok());
        index.ok_or_else(|| Error::Denomination { given: amount, denominations: denominations.clone() })
    }

    /// Notes that the node has taken a deposit. If that cannot be written, the next `trestle resume` registers it once
    /// more, which changes nothing.
    pub fn registered(&mut self, outpoint: &OutPoint) {
        if let Err(error) = self.journal.record_registered(outpoint) {
            tracing::warn!(%error, "the registration of {outpoint} is not on record");
        }
    }

    /// Hands a signed transaction to the sequencers.
    ///
    /// # Errors
    /// The node refuses it, or [`Error::Uncertain`].
    pub fn submit(&self, signed: &SignedLayer2) -> Result<(), Error> {
        match self.node.submit(&signed.encode()) {
            Ok(_) => Ok(()),
            Err(refused @ NodeError::Refused { .. }) => Err(refused.into()),
            Err(why) => Err(Error::Uncertain(why)),
        }
    }

    /// The wallet's consent to the terms of a deposit, which the committee wants to see.
    pub fn consent(&self, terms: DepositTerms) -> Signature {
        let job = Job::Deposit(DepositJob { terms, slots: Vec::new() });
        consent::sign(&self.bridge, &job, self.keys.refund_pair())
    }

    /// Goes on with the node alone, so that other commands can use the wallet.
    pub fn into_node(self) -> Node {
        self.node
    }
}

/// Signs a payment of `output`, or says how much is missing.
///
/// # Errors
/// [`Error::TooLittleBitcoin`], the wallet's files, or the chain.
pub fn pay(session: &Session, coins: &mut Coins, output: TxOut) -> Result<SignedTransaction, Error> {
    let pays = output.value;
    let network = session.home.network();
    let has = coins.balance().total();
    let transaction = coins.pay(output).map_err(|error| match error {
        WalletError::InsufficientFunds { missing } => Error::TooLittleBitcoin { pays, missing, has, network },
        other => other.into(),
    })?;
    Ok(SignedTransaction(transaction))
}

/// Opens the wallet that `--wallet` names.
///
/// # Errors
/// There is none, or it is in use.
pub fn open_home(global: &Global) -> Result<Home, Error> {
    Ok(Home::open(&home::directory(&global.wallet)?)?)
}

/// Makes ready to read Bitcoin for a wallet.
///
/// # Errors
/// The address makes no sense.
pub fn connect(endpoint: &ChainEndpoint, home: &Home) -> Result<Arc<dyn Chain>, Error> {
    Ok(chain::connect(&endpoint.url, endpoint.cookie_file.as_deref(), home.network())?)
}

/// The bridge that a node runs.
///
/// # Errors
/// [`Error::Parameters`].
pub fn check(status: &Status, node: &Node) -> Result<Bridge, Error> {
    let impossible = |why: ParametersError| Error::Parameters { url: node.url().into(), why: why.to_string() };
    Bridge::new(status.parameters.clone()).map_err(impossible)
}

/// A wallet keeps to the bridge that it was first used with: its deposits could not be found on another.
fn bind(home: &Home, node: &Node, bridge: &Bridge, chain: &ChainEndpoint) -> Result<(), Error> {
    let instance = Hex32(bridge.instance);
    let known = home.binding()?;
    if let Some(known) = &known
        && known.instance != instance
    {
        let (dir, url) = (home.dir().into(), node.url().into());
        return Err(Error::OtherBridge { dir, wallet: known.instance, node: instance, url });
    }
    if known.is_none_or(|known| known.chain != *chain) {
        let parameters = bridge.parameters.clone();
        home.bind(&Binding { instance, parameters, chain: chain.clone() })?;
    }
    Ok(())
}
