//! A leaf's script and witness, whole.

use bitcoin::opcodes::all::{OP_2DROP, OP_CHECKSIGVERIFY, OP_DROP, OP_PUSHNUM_1};
use bitcoin::script::{Builder, ScriptBuf};
use bitcoin::taproot;

use super::{Disproof, Frame};
use crate::lane::{Lane, MessageId, Transcript};
use crate::ots::script_read;

/// Why a leaf has no script or no witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeafError {
    /// The lane has no key for a message that the leaf reads.
    #[error("the lane has no key for {0}")]
    NoKey(MessageId),
    /// The operator has not signed it.
    #[error("{0} is not signed")]
    NotSigned(MessageId),
}

/// The script of a leaf.
///
/// # Errors
/// If the lane has no key for something that the leaf reads.
pub fn script(leaf: &dyn Disproof, lane: &Lane) -> Result<ScriptBuf, LeafError> {
    let reads = leaf.reads();
    let key = |id: &MessageId| Ok((id.layout(), lane.keys.message(*id).ok_or(LeafError::NoKey(*id))?));
    let keys = reads.iter().map(key).collect::<Result<Vec<_>, _>>()?;
    let body = leaf.body(&Frame::new(leaf.hint_count(), &reads), &lane.constants);
    let check = Builder::new().push_x_only_key(&lane.constants.challenger).push_opcode(OP_CHECKSIGVERIFY);
    let drops = (0..body.left / 2).fold(Builder::new(), |script, _| script.push_opcode(OP_2DROP));
    let drops = if body.left % 2 == 1 { drops.push_opcode(OP_DROP) } else { drops };
    let end = drops.push_opcode(OP_PUSHNUM_1);
    let parts = [check.into_script(), script_read(&keys), body.script, end.into_script()];
    Ok(parts.iter().flat_map(|part| part.to_bytes()).collect::<Vec<u8>>().into())
}

/// The items below script and control block, the deepest first.
///
/// # Errors
/// If something that the leaf reads is not signed.
pub fn witness(
    leaf: &dyn Disproof,
    hints: Vec<Vec<u8>>,
    transcript: &Transcript,
    challenger: &taproot::Signature,
) -> Result<Vec<Vec<u8>>, LeafError> {
    let mut items = hints;
    let reads = leaf.reads();
    for (place, id) in reads.iter().enumerate() {
        // A leaf that reads a message twice takes both signatures that there are.
        let again = reads.iter().take(place).any(|other| other == id);
        let [first, second] = transcript.twice(*id).map_or([transcript.signature(*id), None], |two| two.map(Some));
        let signature = if again { second } else { first };
        items.extend(signature.ok_or(LeafError::NotSigned(*id))?.pairs());
    }
    items.push(challenger.to_vec());
    Ok(items)
}
