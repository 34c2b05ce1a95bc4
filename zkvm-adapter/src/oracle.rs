//! Whoever answers UNHASH: the compressions that a native run over the same block has seen.
//!
//! The guest asks only about the block, its header included, and about nodes of the state before it (PROTOCOL §5). So an
//! honest party, which has the block and the Layer 2's nodes, knows all of them: [`answer`] asks the Layer 2 function
//! itself, natively, and keeps what it read.

use std::collections::HashMap;

use trestle_rollup::native::{RawBlock, RawBlockError};
use trestle_rollup::preimages::compressions;
use trestle_rollup::state::At;
use trestle_rollup::tree::StateError;
use trestle_rollup::{Digest, Entry, Error, Event, Host, SignatureCheck, Sink, apply, claim_holds};

use crate::inputs::Inputs;
use crate::step::{Preimages, hex};

/// Compressions by their results.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    known: HashMap<Digest, (Digest, [u8; 64])>,
}

/// Nobody knows what a digest is the compression of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody knows what {} is the compression of", hex(.0))]
pub struct Unknown(pub Digest);

impl Oracle {
    /// Learns all that lies below a block's hash.
    pub fn learn_block(&mut self, block: &RawBlock<'_>) {
        compressions(block, &mut |digest, m, b| {
            self.known.insert(*digest, (*m, *b));
        });
    }

    /// The digests whose preimages are known, in no order.
    pub fn digests(&self) -> impl Iterator<Item = &Digest> {
        self.known.keys()
    }

    /// Learns all that another one knows.
    pub fn extend(&mut self, other: Self) {
        self.known.extend(other.known);
    }

    /// Forgets a compression, as if it had never been known; whether it was.
    pub fn forget(&mut self, digest: &Digest) -> bool {
        self.known.remove(digest).is_some()
    }
}

impl Preimages for Oracle {
    fn preimage(&self, digest: &Digest) -> Option<(Digest, [u8; 64])> {
        self.known.get(digest).copied()
    }
}

/// A state whose nodes are all known.
impl Host for Oracle {
    type Error = Unknown;

    fn preimage(&mut self, digest: &Digest) -> Result<(Digest, [u8; 64]), Unknown> {
        Preimages::preimage(self, digest).ok_or(Unknown(*digest))
    }
}

/// Keeps the nodes of new states.
impl Sink for Oracle {
    fn node(&mut self, digest: &Digest, m: &Digest, b: &[u8; 64]) {
        self.known.insert(*digest, (*m, *b));
    }

    fn event(&mut self, _: Event) {}
}

/// A host that is listened to: what it answers for is learnt.
struct Recorded<'a, H> {
    host: &'a mut H,
    oracle: &'a mut Oracle,
}

impl<H: Host> Host for Recorded<'_, H> {
    type Error = H::Error;

    fn preimage(&mut self, digest: &Digest) -> Result<(Digest, [u8; 64]), H::Error> {
        let (m, b) = self.host.preimage(digest)?;
        self.oracle.known.insert(*digest, (m, b));
        Ok((m, b))
    }

    fn verify(&mut self, checks: &[SignatureCheck]) -> Vec<bool> {
        self.host.verify(checks)
    }

    fn verify_all(&mut self, checks: &[SignatureCheck]) -> bool {
        self.host.verify_all(checks)
    }
}

/// What native code says to a question, and everything that the guest can ask on its way to the same answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Whether step i of the history is right.
    pub right: bool,
    /// What entry i should be: for a block's step, if the block is the child of entry i − 1's.
    pub next: Option<Entry>,
    /// What answers the guest.
    pub oracle: Oracle,
}

/// Why a question cannot be answered. `H` is the error of the host that has the state's nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError<H> {
    /// The bytes are not a block.
    #[error("the block: {0}")]
    Block(#[from] RawBlockError),
    /// The block is not the one that entry i names.
    #[error("the block is {}, and entry i is that of {}", hex(.given), hex(.named))]
    OtherBlock {
        /// The hash of the given one.
        given: Digest,
        /// The hash in the entry.
        named: Digest,
    },
    /// A node of the state before could not be read.
    #[error("the state: {0}")]
    State(H),
}

/// Answers natively what the guest is asked.
///
/// `block` is the block of entry i, serialized; it is not looked at if i is no block's step. `host` has the nodes of
/// the state in entry i − 1.
///
/// # Errors
/// If it is not the block, or the host has not the state.
pub fn answer<H: Host>(inputs: &Inputs, block: &[u8], host: &mut H) -> Result<Answer, AnswerError<H::Error>> {
    let mut oracle = Oracle::default();
    let Inputs { previous, next, index, claimed, .. } = inputs;
    if (1..=*claimed).contains(index) {
        let mut block = RawBlock::parse(block)?;
        if block.hash() != next.block_hash {
            return Err(AnswerError::OtherBlock { given: block.hash(), named: next.block_hash });
        }
        oracle.learn_block(&block);
        let made = applied(previous, &mut block, &mut Recorded { host, oracle: &mut oracle })?;
        return Ok(Answer { right: made == Some(*next), next: made, oracle });
    }
    let right = if claimed.checked_add(1) == Some(*index) {
        let mut recorded = Recorded { host, oracle: &mut oracle };
        let mut state = At { host: &mut recorded, root: previous.state_root };
        let holds = claim_holds(&mut state, previous, inputs.slot, inputs.confirmations, inputs.block_hash_prefix);
        readable(holds)?.unwrap_or(false)
    } else {
        false
    };
    Ok(Answer { right, next: None, oracle })
}

/// The entry after a block; none if it is not the child of the entry's, or that has no state's root.
fn applied<H: Host>(
    previous: &Entry,
    block: &mut RawBlock<'_>,
    host: &mut H,
) -> Result<Option<Entry>, AnswerError<H::Error>> {
    match apply(previous, block, host, &mut ()) {
        Ok(applied) => Ok(Some(applied.entry)),
        Err(Error::NotChild) => Ok(None),
        Err(Error::State(error)) => readable(Err(error)),
        Err(Error::Block(never)) => match never {},
    }
}

/// What was read of a state; none if what stands there is no state.
fn readable<T, H>(read: Result<T, StateError<H>>) -> Result<Option<T>, AnswerError<H>> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(StateError::Node(_)) => Ok(None),
        Err(StateError::Host(error)) => Err(AnswerError::State(error)),
    }
}
