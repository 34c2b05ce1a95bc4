//! A native node's side: serialized blocks, a database, and views of any height.

mod block;
mod codec;
mod ledger;
mod store;
mod view;

pub use block::{RawBlock, RawBlockError, Rest};
pub use ledger::Ledger;
pub use store::LedgerError;
pub use view::{Draft, View};
