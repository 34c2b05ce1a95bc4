//! Where a withdrawal is paid: one of the five standard output scripts that name a single condition.

use alloc::vec::Vec;

use crate::wire::Reader;

/// The script of a withdrawal's payout.
///
/// Anything else (bare scripts, unknown witness versions, `OP_RETURN`) is no destination: an operator must be able
/// to pay it with a transaction that every node relays, whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub enum Destination {
    /// Pay to public key hash: HASH160 of the key.
    P2pkh([u8; 20]),
    /// Pay to script hash: HASH160 of the script.
    P2sh([u8; 20]),
    /// Pay to witness public key hash (BIP 141): HASH160 of the key.
    P2wpkh([u8; 20]),
    /// Pay to witness script hash (BIP 141): SHA-256 of the script.
    P2wsh([u8; 32]),
    /// Pay to Taproot (BIP 341): the output key. It is not checked to be on the curve.
    P2tr([u8; 32]),
}

/// The longest script of a [`Destination`], in bytes.
pub const MAX_SCRIPT: usize = 34;

impl Destination {
    /// The number that stands for the kind in every encoding.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match self {
            Self::P2pkh(_) => 0,
            Self::P2sh(_) => 1,
            Self::P2wpkh(_) => 2,
            Self::P2wsh(_) => 3,
            Self::P2tr(_) => 4,
        }
    }

    /// The hash or key: 20 or 32 bytes.
    #[must_use]
    pub const fn payload(&self) -> &[u8] {
        match self {
            Self::P2pkh(hash) | Self::P2sh(hash) | Self::P2wpkh(hash) => hash,
            Self::P2wsh(bytes) | Self::P2tr(bytes) => bytes,
        }
    }

    /// What stands before and after the payload in the output script.
    const fn frame(&self) -> (&'static [u8], &'static [u8]) {
        match self {
            Self::P2pkh(_) => (&[0x76, 0xa9, 0x14], &[0x88, 0xac]), // DUP HASH160 <20> … EQUALVERIFY CHECKSIG
            Self::P2sh(_) => (&[0xa9, 0x14], &[0x87]),              // HASH160 <20> … EQUAL
            Self::P2wpkh(_) => (&[0x00, 0x14], &[]),                // 0 <20>
            Self::P2wsh(_) => (&[0x00, 0x20], &[]),                 // 0 <32>
            Self::P2tr(_) => (&[0x51, 0x20], &[]),                  // 1 <32>
        }
    }

    /// The output script.
    #[must_use]
    pub fn script(&self) -> Vec<u8> {
        let (before, after) = self.frame();
        [before, self.payload(), after].concat()
    }

    /// Whether `script` is exactly this destination's output script.
    #[must_use]
    pub fn is_paid_by(&self, script: &[u8]) -> bool {
        let (before, after) = self.frame();
        let payload = script.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
        payload == Some(self.payload())
    }

    /// The destination whose output script this is, if there is one.
    #[must_use]
    pub fn from_script(script: &[u8]) -> Option<Self> {
        let destination = match *script {
            [0x76, 0xa9, 0x14, ref rest @ ..] => Self::P2pkh(*rest.first_chunk()?),
            [0xa9, 0x14, ref rest @ ..] => Self::P2sh(*rest.first_chunk()?),
            [0x00, 0x14, ref rest @ ..] => Self::P2wpkh(*rest.first_chunk()?),
            [0x00, 0x20, ref rest @ ..] => Self::P2wsh(*rest.first_chunk()?),
            [0x51, 0x20, ref rest @ ..] => Self::P2tr(*rest.first_chunk()?),
            _ => return None,
        };
        destination.is_paid_by(script).then_some(destination)
    }

    /// Kind and payload, without a length: the kind fixes it.
    pub(crate) fn encode(&self, to: &mut Vec<u8>) {
        to.push(self.kind());
        to.extend_from_slice(self.payload());
    }

    /// Reads what [`Self::encode`] wrote.
    pub(crate) fn decode(from: &mut Reader<'_>) -> Option<Self> {
        let kind = from.u8()?;
        Self::read(kind, from)
    }

    /// Reads the payload of the given kind.
    pub(crate) fn read(kind: u8, from: &mut Reader<'_>) -> Option<Self> {
        Some(match kind {
            0 => Self::P2pkh(from.array()?),
            1 => Self::P2sh(from.array()?),
            2 => Self::P2wpkh(from.array()?),
            3 => Self::P2wsh(from.array()?),
            4 => Self::P2tr(from.array()?),
            _ => return None,
        })
    }
}

#[cfg(feature = "std")]
impl Destination {
    /// The output script, in rust-bitcoin's type.
    #[must_use]
    pub fn script_pubkey(&self) -> bitcoin::ScriptBuf {
        bitcoin::ScriptBuf::from_bytes(self.script())
    }
}
