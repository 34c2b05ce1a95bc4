//! The user's side of the bridge: keys, coins, and the record of what is on its way.
//!
//! A wallet is a directory. Its twelve words are enough to restore everything in it but the [`journal`], and the journal
//! is what makes an interrupted command resumable: it is written before anything is broadcast.

pub mod address;
pub mod coins;
pub mod home;
pub mod journal;
pub mod keys;
pub mod node;
