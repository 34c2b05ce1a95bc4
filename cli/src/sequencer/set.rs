//! Where the sequencers of a bridge find each other: `sequencers.json`.
//!
//! The bridge's parameters name the sequencers by their BIP 340 keys, for good: they are hashed into everything that is
//! signed. Where a sequencer is reached, and the key by which it is known there and votes, may change, and are not in
//! them; each sequencer signs its own line with its BIP 340 key, so it takes no trust in who hands the file out.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use bitcoin::XOnlyPublicKey;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::secp256k1::{Keypair, Message, Secp256k1};
use serde::{Deserialize, Serialize};
use trestle_bridge::parameters::Bridge;
use trestle_rollup::tagged_hash;
use trestle_sequencer::consensus::network_key;

use super::Error;
use crate::rpc::types::Hex32;
use crate::user::home;

/// One sequencer's line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// The key that the parameters name it by.
    pub key: XOnlyPublicKey,
    /// Its Ed25519 key, by which it is known on the network and votes.
    pub network_key: Hex32,
    /// Where it listens.
    pub address: SocketAddr,
    /// By `key`, over this bridge and the two fields before.
    pub signature: Signature,
}

fn message(instance: &[u8; 32], network_key: &[u8; 32], address: &SocketAddr) -> Message {
    let address = address.to_string();
    Message::from_digest(tagged_hash("Trestle/sequencer address", &[instance, network_key, address.as_bytes()]))
}

impl Peer {
    /// The line of who has this key.
    #[must_use]
    pub fn new(bridge: &Bridge, key: &Keypair, address: SocketAddr) -> Self {
        let network_key = network_key(key);
        let signature = Secp256k1::new().sign_schnorr(&message(&bridge.instance, &network_key, &address), key);
        Self { key: key.x_only_public_key().0, network_key: Hex32(network_key), address, signature }
    }
}

/// Reads the sequencers of a bridge: their network keys and addresses, in the order of their indices.
///
/// # Errors
/// The file is not one, or its lines are not those of the bridge's sequencers.
pub fn read(file: &Path, bridge: &Bridge) -> Result<Vec<([u8; 32], SocketAddr)>, Error> {
    let json = fs::read(file).map_err(|e| Error::file(file, e))?;
    let peers: Vec<Peer> = serde_json::from_slice(&json).map_err(|e| Error::file(file, e))?;
    let keys = &bridge.parameters.sequencers;
    if !peers.iter().map(|peer| &peer.key).eq(keys) {
        return Err(Error::Set(format!("{} does not list the sequencers of the parameters, in order", file.display())));
    }
    let member = |(index, peer): (usize, &Peer)| {
        let message = message(&bridge.instance, &peer.network_key.0, &peer.address);
        let signed = Secp256k1::verification_only().verify_schnorr(&peer.signature, &message, &peer.key);
        signed
            .map_err(|_| Error::Set(format!("{}: the signature of sequencer {index} is not valid", file.display())))?;
        Ok((peer.network_key.0, peer.address))
    };
    peers.iter().enumerate().map(member).collect()
}

/// Writes the file.
///
/// # Errors
/// It cannot be written.
pub fn write(file: &Path, peers: &[Peer]) -> Result<(), Error> {
    let json = serde_json::to_vec_pretty(peers).map_err(|e| Error::file(file, e))?;
    home::replace(file, &json).map_err(|e| Error::file(file, e))
}
