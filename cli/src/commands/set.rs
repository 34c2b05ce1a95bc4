//! `trestle set …`: changing who the sequencers are.

use std::fs;
use std::path::Path;

use bitcoin::XOnlyPublicKey;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::secp256k1::{Message, Secp256k1};
use serde::{Deserialize, Serialize};
use serde_json::json;
use trestle_bridge::parameters::Bridge;
use trestle_rollup::envelope::Kind;
use trestle_rollup::{Envelope, Membership, Signatures, majority, quorum};

use super::error::Error;
use super::force;
use super::session::{Session, open_home};
use crate::args::{Global, SetCommand, SetKeyArgs, SetLineArgs, SetPostArgs, SetProposeArgs, SetSignArgs};
use crate::output::Report;
use crate::rpc::types::{Hex32, Status};
use crate::runtime::Secrets;
use crate::sequencer::{self, Peer};
use crate::user::home;
use crate::user::node::Node;

/// A change on its way from one who has to sign it to the next.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    /// The bridge.
    instance: Hex32,
    /// The new set's number.
    set: u32,
    /// The sequencers of the new set.
    sequencers: Vec<XOnlyPublicKey>,
    /// Those of the set before, of whom a quorum has to sign.
    before: Vec<XOnlyPublicKey>,
    /// The committee's signers, of whom more than half have to sign.
    signers: Vec<XOnlyPublicKey>,
    /// The signatures of sequencers, by their indices.
    certificate: Vec<(u8, Signature)>,
    /// The signatures of signers, by their indices.
    consent: Vec<(u8, Signature)>,
}

impl Change {
    fn read(file: &Path) -> Result<Self, Error> {
        let json = fs::read(file).map_err(|error| unusable(file, &error))?;
        serde_json::from_slice(&json).map_err(|error| unusable(file, &error))
    }

    fn write(&self, file: &Path) -> Result<(), Error> {
        let json = serde_json::to_vec_pretty(self).map_err(|error| unusable(file, &error))?;
        home::replace(file, &json).map_err(|error| unusable(file, &error))
    }

    /// With the signatures that are valid.
    fn membership(&self) -> Membership {
        let sequencers = self.sequencers.iter().map(XOnlyPublicKey::serialize).collect();
        let mut change =
            Membership { set: self.set, sequencers, certificate: Signatures::new(), consent: Signatures::new() };
        let message = Message::from_digest(change.message(&self.instance.0));
        let secp = Secp256k1::verification_only();
        let is_valid = |keys: &[XOnlyPublicKey], index: u8, signature: &Signature| {
            let key = keys.get(usize::from(index));
            key.is_some_and(|key| secp.verify_schnorr(signature, &message, key).is_ok())
        };
        for (index, signature) in &self.certificate {
            if is_valid(&self.before, *index, signature) {
                change.certify(*index, signature.serialize());
            }
        }
        for (index, signature) in &self.consent {
            if is_valid(&self.signers, *index, signature) {
                change.agree(*index, signature.serialize());
            }
        }
        change
    }

    /// How many signatures of sequencers and of signers it still needs.
    fn missing(&self) -> (usize, usize) {
        let signed = self.membership();
        let count = |keys: &[XOnlyPublicKey]| u8::try_from(keys.len()).unwrap_or(u8::MAX);
        let needed = usize::from(quorum(count(&self.before)).unwrap_or(u8::MAX));
        let consent = usize::from(majority(count(&self.signers)));
        (needed.saturating_sub(signed.certificate.len()), consent.saturating_sub(signed.consent.len()))
    }

    fn report(&self, done: &str) -> Report {
        let (sequencers, signers) = self.missing();
        let rest = match (sequencers, signers) {
            (0, 0) => "it has all signatures: `trestle set post` posts it".to_owned(),
            _ => format!("it needs {sequencers} more of the sequencers and {signers} more of the signers"),
        };
        let json = json!({
            "set": self.set, "sequencers": self.sequencers,
            "missing": { "sequencers": sequencers, "signers": signers },
        });
        Report { text: format!("set {} of {} sequencers, {done}: {rest}", self.set, self.sequencers.len()), json }
    }
}

fn unusable(file: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::Bridge(format!("{}: {why}", file.display()))
}

/// Does what the command line says.
pub fn run(global: &Global, command: &SetCommand) -> Result<Report, Error> {
    match command {
        SetCommand::Key(args) => key(args),
        SetCommand::Line(args) => line(global, args),
        SetCommand::Propose(args) => propose(global, args),
        SetCommand::Sign(args) => sign(args),
        SetCommand::Post(args) => post(global, args),
    }
}

fn secret(directory: &Path) -> Result<bitcoin::secp256k1::Keypair, Error> {
    Secrets::open(directory).and_then(|secrets| secrets.key()).map_err(|error| Error::Bridge(error.to_string()))
}

fn key(args: &SetKeyArgs) -> Result<Report, Error> {
    let key = secret(&args.dir)?.x_only_public_key().0;
    Ok(Report { text: key.to_string(), json: json!({ "key": key }) })
}

/// The node that `--rpc` names, and its bridge.
fn bridge(global: &Global) -> Result<(Status, Bridge), Error> {
    let node = Node::new(&global.rpc)?;
    let status = node.status()?;
    let bridge = super::session::check(&status, &node)?;
    Ok((status, bridge))
}

fn line(global: &Global, args: &SetLineArgs) -> Result<Report, Error> {
    let (_, bridge) = bridge(global)?;
    let mut peers = match args.file.exists() {
        true => sequencer::read(&args.file).map_err(|error| Error::Bridge(error.to_string()))?,
        false => Vec::new(),
    };
    let peer = Peer::new(&bridge.instance, args.set, &secret(&args.dir)?, args.address);
    let json = json!(peer);
    peers.push(peer);
    sequencer::write(&args.file, &peers).map_err(|error| Error::Bridge(error.to_string()))?;
    Ok(Report { text: format!("line added to {}", args.file.display()), json })
}

fn propose(global: &Global, args: &SetProposeArgs) -> Result<Report, Error> {
    let (status, bridge) = bridge(global)?;
    let before = status.sequencers.last().cloned().unwrap_or_default();
    let signers = bridge.parameters.signers.iter().map(|key| key.x_only_public_key().0).collect();
    let mut keys = args.keys.clone();
    keys.sort_unstable();
    keys.dedup();
    if keys.len() != args.keys.len() || keys.len() > usize::from(u8::MAX) {
        return Err(Error::Bridge("a set has up to 255 sequencers, each once".into()));
    }
    let set = u32::try_from(status.sequencers.len()).unwrap_or(u32::MAX);
    let (certificate, consent) = (Vec::new(), Vec::new());
    let sequencers = args.keys.clone();
    let change = Change { instance: Hex32(bridge.instance), set, sequencers, before, signers, certificate, consent };
    change.write(&args.file)?;
    Ok(change.report("proposed"))
}

fn sign(args: &SetSignArgs) -> Result<Report, Error> {
    let mut change = Change::read(&args.file)?;
    let secret = secret(&args.dir)?;
    let own = secret.x_only_public_key().0;
    let message = Message::from_digest(change.membership().message(&change.instance.0));
    let signature = Secp256k1::new().sign_schnorr(&message, &secret);
    let mut done = Vec::new();
    for (role, keys, signatures) in
        [("a sequencer", &change.before, &mut change.certificate), ("a signer", &change.signers, &mut change.consent)]
    {
        let index = keys.iter().position(|key| *key == own).and_then(|index| u8::try_from(index).ok());
        if let Some(index) = index {
            signatures.retain(|(signed, _)| *signed != index);
            signatures.push((index, signature));
            done.push(role);
        }
    }
    if done.is_empty() {
        return Err(Error::Bridge(format!("{own} is neither a sequencer of the set before nor a signer")));
    }
    change.write(&args.file)?;
    Ok(change.report(&format!("signed as {}", done.join(" and "))))
}

fn post(global: &Global, args: &SetPostArgs) -> Result<Report, Error> {
    let change = Change::read(&args.file)?;
    let mut session = Session::begin(open_home(global)?, Node::new(&global.rpc)?)?;
    if change.instance.0 != session.bridge.instance {
        return Err(Error::Bridge("the change is of another bridge".into()));
    }
    if change.missing() != (0, 0) {
        return Err(Error::Bridge(change.report("not posted").text));
    }
    let envelope = Envelope { kind: Kind::Membership, payload: change.membership().encode() };
    let mut coins = session.coins()?;
    let posted = force::envelope(&mut session, &mut coins, &envelope)?;
    let [commit, reveal] = [&posted.commit.0, &posted.reveal.0];
    coins.send(&[commit, reveal]).map_err(|error| Error::unsent("change of the sequencers")(error.into()))?;
    let delay = session.bridge.rollup.membership_delay;
    let text = format!(
        "set {} is posted: it certifies what goes to Bitcoin {delay} blocks after {} is mined",
        change.set,
        reveal.compute_txid()
    );
    let mut json = posted.json();
    json["set"] = json!(change.set);
    Ok(Report { text, json })
}
