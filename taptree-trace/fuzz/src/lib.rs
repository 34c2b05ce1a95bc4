//! What is fuzzed: functions of any bytes, which panic if a property does not hold. `tests/fuzz.rs` runs them, too.

mod compress;
mod input;
mod keys;
mod leaf;
mod witness;

pub use compress::compress;
pub use keys::operator_keys;
pub use leaf::judge_leaf;
pub use witness::read_witness;
