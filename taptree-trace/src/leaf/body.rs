//! What a leaf's body is.

use bitcoin::ScriptBuf;

/// The part of a leaf's script that judges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// From the [`super::Frame`]: fails unless what was signed is the lie. The alternative stack is as before.
    pub script: ScriptBuf,
    /// How many items it leaves, whatever they are.
    pub left: usize,
}
