//! The state tree: a compact sparse binary Merkle tree from 32-byte keys to 32-byte values.
//!
//! A leaf sits at the shortest prefix of its key (most significant bit first) at which it is alone. So the root is a
//! function of the set of pairs only, whatever the order of insertion. Nothing is ever deleted.
//!
//! ```text
//! empty = 32 zero bytes      leaf = C(IV_LEAF, key ‖ value)      inner = C(IV_INNER, left ‖ right)
//! ```
//!
//! [`Tree`] is an overlay over nodes that a [`Host`] can produce: it reads a node when a path first enters it, keeps
//! it, and at [`Tree::commit`] hashes every node that changed once.

use alloc::boxed::Box;
use core::fmt;

use crate::compress::{Digest, IV_INNER, IV_LEAF, compress};
use crate::host::Host;
use crate::wire::{pack, write_hex};

/// The digest of a tree, or a subtree, without leaves.
pub const EMPTY: Digest = [0; 32];

/// Bits of a key, so levels of the deepest tree.
const DEPTH: usize = 256;

/// A tree of which the parts that were asked for are in memory.
#[derive(Clone, Debug)]
pub struct Tree {
    root: Node,
}

#[derive(Clone, Debug)]
enum Node {
    Empty,
    /// Not read yet.
    Known(Digest),
    Leaf(Box<Leaf>),
    Inner(Box<Inner>),
}

/// `digest` is `None` while a node is newer than its last hash.
#[derive(Clone, Debug)]
struct Leaf {
    key: Digest,
    value: Digest,
    digest: Option<Digest>,
}

#[derive(Clone, Debug)]
struct Inner {
    left: Node,
    right: Node,
    digest: Option<Digest>,
}

/// What one node says: the shared reading of a preimage by [`Tree`] and by stateless lookups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// A leaf's key and value.
    Leaf(Digest, Digest),
    /// An inner node's children, left and right.
    Inner(Digest, Digest),
}

impl Opened {
    /// Reads a node from its chaining value and block; `None` if it is no node of a state tree.
    #[must_use]
    pub fn read(m: &Digest, b: &[u8; 64]) -> Option<Self> {
        let ([first, second], []) = b.as_chunks::<32>() else {
            return None;
        };
        match m {
            m if *m == IV_LEAF => Some(Self::Leaf(*first, *second)),
            m if *m == IV_INNER => Some(Self::Inner(*first, *second)),
            _ => None,
        }
    }
}

/// Why a state cannot be read. Neither is ever the fault of a block's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateError<E> {
    /// The host could not answer.
    Host(E),
    /// What the host answered for this digest is not a node that belongs there.
    Node(Digest),
}

impl<E: fmt::Display> fmt::Display for StateError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(error) => error.fmt(f),
            Self::Node(digest) => {
                f.write_str("not a node of the Layer 2 state: ")?;
                write_hex(f, digest)
            }
        }
    }
}

/// Whether the bit of `key` at `depth` leads to the right.
fn goes_right(key: &Digest, depth: usize) -> bool {
    key.get(depth / 8).is_some_and(|byte| byte & (0x80 >> (depth % 8)) != 0)
}

/// The value at `key` under `root`, without keeping anything.
///
/// # Errors
/// If the host cannot produce a node, or produces one that is not a state tree's.
pub fn lookup<H: Host>(host: &mut H, root: &Digest, key: &Digest) -> Result<Option<Digest>, StateError<H::Error>> {
    let mut at = *root;
    for depth in 0..=DEPTH {
        if at == EMPTY {
            return Ok(None);
        }
        let (m, b) = host.preimage(&at).map_err(StateError::Host)?;
        match Opened::read(&m, &b).ok_or(StateError::Node(at))? {
            Opened::Leaf(found, value) => return Ok((found == *key).then_some(value)),
            Opened::Inner(left, right) => at = if goes_right(key, depth) { right } else { left },
        }
    }
    Err(StateError::Node(at))
}

impl Tree {
    /// The tree with this root.
    #[must_use]
    pub fn new(root: Digest) -> Self {
        Self { root: Node::known(root) }
    }

    /// The value at `key`.
    ///
    /// # Errors
    /// If the host cannot produce a node, or produces one that is not a state tree's.
    pub fn get<H: Host>(&mut self, host: &mut H, key: &Digest) -> Result<Option<Digest>, StateError<H::Error>> {
        let mut at = &mut self.root;
        for depth in 0..=DEPTH {
            at.open(host)?;
            match at {
                Node::Empty | Node::Known(_) => return Ok(None),
                Node::Leaf(leaf) => return Ok((leaf.key == *key).then_some(leaf.value)),
                Node::Inner(inner) => at = inner.child(goes_right(key, depth)),
            }
        }
        Err(StateError::Node(EMPTY))
    }

    /// Sets the value at `key`.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn set<H: Host>(&mut self, host: &mut H, key: Digest, new: Digest) -> Result<(), StateError<H::Error>> {
        let mut at = &mut self.root;
        for depth in 0..=DEPTH {
            at.open(host)?;
            match at {
                Node::Empty | Node::Known(_) => {
                    *at = Node::Leaf(Box::new(Leaf { key, value: new, digest: None }));
                    return Ok(());
                }
                Node::Leaf(leaf) if leaf.key == key => {
                    if leaf.value != new {
                        (leaf.value, leaf.digest) = (new, None);
                    }
                    return Ok(());
                }
                // Another key's leaf: move it one level down and look again from here.
                Node::Leaf(leaf) => {
                    let below = goes_right(&leaf.key, depth);
                    let leaf = core::mem::replace(at, Node::Empty);
                    let (left, right) = if below { (Node::Empty, leaf) } else { (leaf, Node::Empty) };
                    *at = Node::Inner(Box::new(Inner { left, right, digest: None }));
                }
                Node::Inner(_) => {}
            }
            let Node::Inner(inner) = at else { break };
            inner.digest = None;
            at = inner.child(goes_right(&key, depth));
        }
        Err(StateError::Node(EMPTY))
    }

    /// Hashes what changed, children first, hands every new node to `emit` as (digest, m, b), and returns the root.
    pub fn commit(&mut self, mut emit: impl FnMut(&Digest, &Digest, &[u8; 64])) -> Digest {
        self.root.commit(&mut emit)
    }
}

impl Inner {
    fn child(&mut self, right: bool) -> &mut Node {
        if right { &mut self.right } else { &mut self.left }
    }
}

impl Node {
    fn known(digest: Digest) -> Self {
        if digest == EMPTY { Self::Empty } else { Self::Known(digest) }
    }

    /// Replaces a digest by the node that it stands for.
    fn open<H: Host>(&mut self, host: &mut H) -> Result<(), StateError<H::Error>> {
        let Self::Known(digest) = *self else {
            return Ok(());
        };
        let (m, b) = host.preimage(&digest).map_err(StateError::Host)?;
        *self = match Opened::read(&m, &b).ok_or(StateError::Node(digest))? {
            Opened::Leaf(key, value) => Self::Leaf(Box::new(Leaf { key, value, digest: Some(digest) })),
            Opened::Inner(left, right) => Self::Inner(Box::new(Inner {
                left: Self::known(left),
                right: Self::known(right),
                digest: Some(digest),
            })),
        };
        Ok(())
    }

    // Recursion no deeper than DEPTH: `set` makes no inner node below it, and `get` and `set` open none.
    fn commit(&mut self, emit: &mut impl FnMut(&Digest, &Digest, &[u8; 64])) -> Digest {
        let (m, b): (&Digest, [u8; 64]) = match self {
            Self::Empty => return EMPTY,
            Self::Known(digest) => return *digest,
            Self::Leaf(leaf) => match leaf.digest {
                Some(digest) => return digest,
                None => (&IV_LEAF, pack(&[&leaf.key, &leaf.value])),
            },
            Self::Inner(inner) => match inner.digest {
                Some(digest) => return digest,
                None => (&IV_INNER, pack(&[&inner.left.commit(emit), &inner.right.commit(emit)])),
            },
        };
        let new = compress(m, &b);
        emit(&new, m, &b);
        match self {
            Self::Leaf(leaf) => leaf.digest = Some(new),
            Self::Inner(inner) => inner.digest = Some(new),
            Self::Empty | Self::Known(_) => {}
        }
        new
    }
}
