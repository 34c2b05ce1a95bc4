//! Who is on the other side: the bridge's own keys sign the handshake.

use std::fmt;
use std::sync::Arc;

use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::secp256k1::{Keypair, Message, Secp256k1, XOnlyPublicKey};
use tokio::io::{AsyncRead, AsyncWrite};
use trestle_bridge::parameters::Bridge;
use trestle_rollup::tagged_hash;

use super::{Channel, Error};

/// What somebody on a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It answers.
    Operator,
    /// It has connected, and asks.
    Challenger,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Operator => "operator",
            Self::Challenger => "challenger",
        })
    }
}

/// One side of a connection: somebody of a bridge, with the key by which the parameters know it.
#[derive(Clone)]
pub struct Identity {
    /// The bridge.
    pub bridge: Arc<Bridge>,
    /// Its index in the parameters.
    pub index: u16,
    /// Its key.
    pub key: Keypair,
}

/// A challenger's index and its signature.
const CHALLENGER_SAYS: usize = 2 + SIGNATURE;
/// An operator's signature.
const SIGNATURE: usize = 64;

/// Who speaks with whom on a connection.
#[derive(Clone, Copy)]
pub(super) struct Parties {
    pub operator: u16,
    pub challenger: u16,
}

impl Parties {
    /// What the side with this role signs: tagged hash "Trestle/connection" (instance ‖ handshake hash ‖ role ‖ operator ‖ challenger),
    /// the role 0 for the operator and 1 for the challenger, indices as 2 bytes, big-endian.
    pub(super) fn digest(self, bridge: &Bridge, handshake: &[u8; 32], signer: Role) -> Message {
        let role = match signer {
            Role::Operator => 0,
            Role::Challenger => 1,
        };
        let (operator, challenger) = (self.operator.to_be_bytes(), self.challenger.to_be_bytes());
        let parts: [&[u8]; 5] = [&bridge.instance, handshake, &[role], &operator, &challenger];
        Message::from_digest(tagged_hash("Trestle/connection", &parts))
    }

    fn sign(self, own: &Identity, handshake: &[u8; 32], role: Role) -> Signature {
        Secp256k1::signing_only().sign_schnorr(&self.digest(&own.bridge, handshake, role), &own.key)
    }

    fn verify(self, bridge: &Bridge, handshake: &[u8; 32], role: Role, signature: &[u8]) -> Result<(), Error> {
        let (index, key) = match role {
            Role::Operator => (self.operator, operator_key(bridge, self.operator)),
            Role::Challenger => (self.challenger, challenger_key(bridge, self.challenger)),
        };
        let key = key.ok_or(Error::Nobody { role, index })?;
        let signature = Signature::from_slice(signature).map_err(|_| Error::Impostor { role, index })?;
        let message = self.digest(bridge, handshake, role);
        let verified = Secp256k1::verification_only().verify_schnorr(&signature, &message, &key);
        verified.map_err(|_| Error::Impostor { role, index })
    }
}

fn operator_key(bridge: &Bridge, index: u16) -> Option<XOnlyPublicKey> {
    bridge.parameters.operators.get(usize::from(index)).map(|operator| operator.key)
}

fn challenger_key(bridge: &Bridge, index: u16) -> Option<XOnlyPublicKey> {
    bridge.parameters.challengers.get(usize::from(index)).copied()
}

/// Shows the operator that it is asked by this challenger, and has it show that it is that operator. For who has connected.
///
/// # Errors
/// If the channel fails, or the other side is not that operator.
pub async fn authenticate_operator<S: AsyncRead + AsyncWrite + Unpin>(
    channel: &mut Channel<S>,
    own: &Identity,
    operator: u16,
) -> Result<(), Error> {
    let (handshake, parties) = (*channel.hash(), Parties { operator, challenger: own.index });
    let signature = parties.sign(own, &handshake, Role::Challenger);
    channel.write(&[&own.index.to_be_bytes(), &signature.serialize()[..]].concat()).await?;
    let signature = channel.read(SIGNATURE).await?;
    parties.verify(&own.bridge, &handshake, Role::Operator, &signature)
}

/// Has whoever has connected show which challenger it is, and then shows it that this is the operator; returns the challenger's index.
///
/// # Errors
/// If the channel fails, or the other side is no challenger that wants this operator.
pub async fn authenticate_challenger<S: AsyncRead + AsyncWrite + Unpin>(
    channel: &mut Channel<S>,
    own: &Identity,
) -> Result<u16, Error> {
    let (handshake, said) = (*channel.hash(), channel.read(CHALLENGER_SAYS).await?);
    let (index, signature) = said.split_first_chunk().ok_or(snow::Error::Input)?;
    let challenger = u16::from_be_bytes(*index);
    let parties = Parties { operator: own.index, challenger };
    parties.verify(&own.bridge, &handshake, Role::Challenger, signature)?;
    channel.write(&parties.sign(own, &handshake, Role::Operator).serialize()).await?;
    Ok(challenger)
}
