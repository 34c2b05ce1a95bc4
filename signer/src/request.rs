//! Temporary.
use bitcoin::TapNodeHash;
/// .
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Tweak {
    /// .
    None,
    /// .
    KeyPath(Option<TapNodeHash>),
}
/// .
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SignRequest {
    /// .
    pub what: String,
    /// .
    pub message: [u8; 32],
    /// .
    pub tweak: Tweak,
}
