//! Someone who answers for the preimages of one block, and keeps count.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use trestle_rollup::native::RawBlock;
use trestle_rollup::preimages::compressions;
use trestle_rollup::{Digest, Host};

/// Compressions by their results.
#[derive(Clone, Default)]
pub struct Preimages {
    pub known: HashMap<Digest, (Digest, [u8; 64])>,
    /// What was asked for.
    pub asked: RefCell<HashSet<Digest>>,
}

/// Nobody knows its preimage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown(pub Digest);

impl Preimages {
    /// Everything below a block's hash.
    pub fn of(block: &RawBlock<'_>) -> Self {
        let mut preimages = Self::default();
        compressions(block, &mut |digest, m, b| {
            preimages.known.insert(*digest, (*m, *b));
        });
        preimages
    }
}

impl Host for &Preimages {
    type Error = Unknown;

    fn preimage(&mut self, digest: &Digest) -> Result<(Digest, [u8; 64]), Unknown> {
        self.asked.borrow_mut().insert(*digest);
        self.known.get(digest).copied().ok_or(Unknown(*digest))
    }
}
