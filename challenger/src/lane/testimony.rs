//! What a side of a lane says, or knows, of what the lane is about.
//!
//! The same questions are put to the operator, which signs what its testimony says, and to the challenger, which
//! compares. Indices are those of the history (PROTOCOL §6): entry i is that of block h0 + i.
//!
//! An answer never changes: a testimony is about blocks that are K deep. A challenger plays only once block h0 + N is, or
//! it would choose by what is unknown and may be true tomorrow.

use trestle_rollup::{Digest, Entry};
use trestle_zkvm_adapter::{Disputable, Inputs};

/// Why there is no answer now. Nothing was said.
pub type TestimonyError = Box<dyn std::error::Error + Send + Sync>;

/// A compression: m and b of C(m, b).
pub type Preimage = (Digest, [u8; 64]);

/// What a side says.
pub trait Testimony {
    /// Entry i, for 0 ≤ i ≤ 2^16: up to N that of its block, beyond it HALT_ACCEPT if the claim is true, else
    /// HALT_REJECT. `None` if there is no such block.
    ///
    /// # Errors
    /// If it cannot be found out.
    fn entry(&mut self, index: u32) -> Result<Option<Digest>, TestimonyError>;

    /// The parts of an entry; beyond N anything. An operator alone is asked.
    ///
    /// # Errors
    /// If they cannot be found out.
    fn parts(&mut self, index: u32) -> Result<Entry, TestimonyError>;

    /// The header of an entry's block. An operator alone is asked.
    ///
    /// # Errors
    /// If it cannot be found out.
    fn header(&mut self, index: u32) -> Result<[u8; 80], TestimonyError>;

    /// Whether the block of an entry up to N is the one with this hash, so that the machine can be run over it. A challenger
    /// alone is asked.
    ///
    /// # Errors
    /// If it cannot be found out.
    fn knows_block(&mut self, index: u32, hash: &Digest) -> Result<bool, TestimonyError>;

    /// What becomes of a machine with these inputs. It is asked for a lane's one dispute again and again: keep it.
    ///
    /// # Errors
    /// If it cannot be found out.
    fn trace(&mut self, inputs: &Inputs) -> Result<&mut dyn Disputable, TestimonyError>;

    /// What a digest that a machine with these inputs has unhashed is the compression of, if it is known. A challenger alone
    /// is asked.
    ///
    /// # Errors
    /// If it cannot be found out.
    fn preimage(&mut self, inputs: &Inputs, digest: &Digest) -> Result<Option<Preimage>, TestimonyError>;
}
