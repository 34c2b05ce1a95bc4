//! Bytes that nobody else reads or changes: Noise over a stream, and messages in it.
//!
//! On the wire is nothing but ciphertext of a length that the receiver knows before: a message is its header (kind, and length as
//! 4 bytes, big-endian), encrypted, and then its bytes in as few pieces as Noise allows. So a length is looked at only
//! when it is known who has sent it.

use std::time::Duration;

use snow::{Builder, HandshakeState, TransportState};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::Error;

const PATTERN: &str = "Noise_NN_25519_ChaChaPoly_SHA256";

/// What is added to whatever is encrypted.
const TAG: usize = 16;
/// The most that is encrypted at once.
const PIECE: usize = 65_535 - TAG;
/// A message's kind and length.
const HEADER: usize = 5;
/// An ephemeral key: the first message of the handshake. The second is one with a tag.
const E: usize = 32;

/// A stream on which two sides have agreed on keys. Whatever fails, it is of no use afterwards; so it is when a call is given up.
pub struct Channel<S> {
    stream: S,
    noise: TransportState,
    hash: [u8; 32],
}

impl<S: AsyncRead + AsyncWrite + Unpin> Channel<S> {
    /// Agrees on keys with whoever is on the other side, as the one who has connected.
    ///
    /// # Errors
    /// If the stream fails, or what comes is no handshake.
    pub async fn initiate(mut stream: S) -> Result<Self, Error> {
        let mut handshake = Builder::new(PATTERN.parse()?).build_initiator()?;
        Self::speak(&mut stream, &mut handshake).await?;
        Self::listen(&mut stream, &mut handshake, E + TAG).await?;
        Self::agreed(stream, handshake)
    }

    /// Agrees on keys with whoever has connected.
    ///
    /// # Errors
    /// As [`Self::initiate`].
    pub async fn respond(mut stream: S) -> Result<Self, Error> {
        let mut handshake = Builder::new(PATTERN.parse()?).build_responder()?;
        Self::listen(&mut stream, &mut handshake, E).await?;
        Self::speak(&mut stream, &mut handshake).await?;
        Self::agreed(stream, handshake)
    }

    async fn speak(stream: &mut S, handshake: &mut HandshakeState) -> Result<(), Error> {
        // Room for a tag is asked for even where there is none.
        let mut message = vec![0; E + TAG + TAG];
        let length = handshake.write_message(&[], &mut message)?;
        message.truncate(length);
        Ok(stream.write_all(&message).await?)
    }

    async fn listen(stream: &mut S, handshake: &mut HandshakeState, length: usize) -> Result<(), Error> {
        let mut message = vec![0; length];
        stream.read_exact(&mut message).await?;
        handshake.read_message(&message, &mut [])?;
        Ok(())
    }

    fn agreed(stream: S, handshake: HandshakeState) -> Result<Self, Error> {
        let mut hash = [0; 32];
        hash.iter_mut().zip(handshake.get_handshake_hash()).for_each(|(to, from)| *to = *from);
        Ok(Self { stream, noise: handshake.into_transport_mode()?, hash })
    }

    /// The hash of all that was said in the handshake. It is another on every connection.
    pub const fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// The stream, behind the back of the other side.
    #[cfg(test)]
    pub(super) fn into_stream(self) -> S {
        self.stream
    }

    /// Sends bytes whose number the other side knows, at most 65 519.
    ///
    /// # Errors
    /// If the stream fails, or there are more.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut piece = vec![0; bytes.len() + TAG];
        self.noise.write_message(bytes, &mut piece)?;
        Ok(self.stream.write_all(&piece).await?)
    }

    /// Takes as many bytes as the other side sends with one [`Self::write`].
    ///
    /// # Errors
    /// If the stream fails, or the bytes are not the other side's next ones.
    pub async fn read(&mut self, length: usize) -> Result<Vec<u8>, Error> {
        let mut piece = vec![0; length + TAG];
        self.stream.read_exact(&mut piece).await?;
        self.decrypt(&piece)
    }

    fn decrypt(&mut self, piece: &[u8]) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; piece.len().saturating_sub(TAG)];
        let length = self.noise.read_message(piece, &mut bytes)?;
        bytes.truncate(length);
        Ok(bytes)
    }

    /// Sends a message.
    ///
    /// # Errors
    /// If the stream fails, or the message has 2^32 bytes.
    pub async fn send(&mut self, kind: u8, bytes: &[u8]) -> Result<(), Error> {
        let too_long = |_| Error::TooLong { kind, limit: u32::MAX as usize, length: bytes.len() };
        let length = u32::try_from(bytes.len()).map_err(too_long)?;
        self.write(&[&[kind], &length.to_be_bytes()[..]].concat()).await?;
        for piece in bytes.chunks(PIECE) {
            self.write(piece).await?;
        }
        Ok(self.stream.flush().await?)
    }

    /// Waits for a message, however long; once it has begun, it has to be here within `patience`. `limit` says how long a message of
    /// a kind may be, or that there is no place for it.
    ///
    /// # Errors
    /// If the stream fails or ends, the message is not the other side's next one, too slow, too long, or of such a kind.
    pub async fn receive(
        &mut self,
        patience: Duration,
        limit: impl Fn(u8) -> Option<usize>,
    ) -> Result<(u8, Vec<u8>), Error> {
        let first = self.stream.read_u8().await?;
        timeout(patience, self.receive_rest(first, limit)).await?
    }

    async fn receive_rest(&mut self, first: u8, limit: impl Fn(u8) -> Option<usize>) -> Result<(u8, Vec<u8>), Error> {
        let mut header = [0; HEADER + TAG];
        let (start, rest) = header.split_at_mut(1);
        start.fill(first);
        self.stream.read_exact(rest).await?;
        let header = self.decrypt(&header)?;
        let (kind, length) = match header.as_slice() {
            [kind, length @ ..] => (*kind, length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte))),
            [] => return Err(snow::Error::Input.into()),
        };
        let limit = limit(kind).ok_or(Error::Kind(kind))?;
        if length > limit {
            return Err(Error::TooLong { kind, limit, length });
        }
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            bytes.extend(self.read(PIECE.min(length - bytes.len())).await?);
        }
        Ok((kind, bytes))
    }
}
