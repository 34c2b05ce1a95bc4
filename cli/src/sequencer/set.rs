//! Where the sequencers of a bridge find each other: `sequencers.json`.
//!
//! The bridge's parameters, and each change of the set, name the sequencers by their BIP 340 keys. Where a sequencer is
//! reached, and the key by which it is known there and votes, may change, and are not in them; each sequencer signs its
//! own line with its BIP 340 key, so it takes no trust in who hands the file out. The sets have networks of their own: who
//! is in two of them has a line, and an address, for each. Of two lines for one place the later one counts.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use bitcoin::XOnlyPublicKey;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::secp256k1::{Keypair, Message, Secp256k1};
use serde::{Deserialize, Serialize};
use trestle_rollup::{Digest, tagged_hash};
use trestle_sequencer::consensus::network_key;

use super::Error;
use crate::rpc::types::Hex32;
use crate::user::home;

/// One sequencer's line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Number of the set; the one of the parameters has 0.
    pub set: u32,
    /// The key that names it.
    pub key: XOnlyPublicKey,
    /// Its Ed25519 key, by which it is known on the network and votes.
    pub network_key: Hex32,
    /// Where it listens.
    pub address: SocketAddr,
    /// By `key`, over this bridge, the set and the two fields before.
    pub signature: Signature,
}

fn message(instance: &Digest, set: u32, network_key: &[u8; 32], address: &SocketAddr) -> Message {
    let (set, address) = (set.to_le_bytes(), address.to_string());
    Message::from_digest(tagged_hash("Trestle/sequencer address", &[instance, &set, network_key, address.as_bytes()]))
}

impl Peer {
    /// The line of who has this key.
    #[must_use]
    pub fn new(instance: &Digest, set: u32, key: &Keypair, address: SocketAddr) -> Self {
        let network_key = network_key(key);
        let signature = Secp256k1::new().sign_schnorr(&message(instance, set, &network_key, &address), key);
        Self { set, key: key.x_only_public_key().0, network_key: Hex32(network_key), address, signature }
    }
}

/// Reads all lines.
///
/// # Errors
/// The file is not one.
pub fn read(file: &Path) -> Result<Vec<Peer>, Error> {
    let json = fs::read(file).map_err(|e| Error::file(file, e))?;
    serde_json::from_slice(&json).map_err(|e| Error::file(file, e))
}

/// The network keys and addresses of a set, whose members have these keys, in the order of their indices.
///
/// # Errors
/// The file is not one, a member has no line in it for this set, or one that it has not signed.
pub fn members(
    file: &Path,
    instance: &Digest,
    set: u32,
    keys: &[[u8; 32]],
) -> Result<Vec<([u8; 32], SocketAddr)>, Error> {
    let peers = read(file)?;
    let member = |(index, key): (usize, &[u8; 32])| {
        let line = peers.iter().rev().find(|peer| peer.set == set && peer.key.serialize() == *key);
        let why = |what| Error::Set(format!("{}: {what} sequencer {index} of set {set}", file.display()));
        let peer = line.ok_or_else(|| why("there is no line of"))?;
        let message = message(instance, set, &peer.network_key.0, &peer.address);
        let signed = Secp256k1::verification_only().verify_schnorr(&peer.signature, &message, &peer.key);
        signed.map_err(|_| why("the line is not signed by"))?;
        Ok((peer.network_key.0, peer.address))
    };
    keys.iter().enumerate().map(member).collect()
}

/// Writes the file.
///
/// # Errors
/// It cannot be written.
pub fn write(file: &Path, peers: &[Peer]) -> Result<(), Error> {
    let json = serde_json::to_vec_pretty(peers).map_err(|e| Error::file(file, e))?;
    home::replace(file, &json).map_err(|e| Error::file(file, e))
}
