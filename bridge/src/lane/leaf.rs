//! The leaves by which a lane goes on, or ends in time: scripts, and what satisfies them.

use bitcoin::opcodes::all::{OP_CHECKSIG, OP_CHECKSIGVERIFY, OP_CSV};
use bitcoin::script::Builder;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::{ScriptBuf, Sequence, XOnlyPublicKey};
use trestle_taptree_trace::lane::{ChoiceId, Lane, LaneKeys, MoveError, SignedChoice, Transcript, choice_script};
use trestle_taptree_trace::turn::Carried;

use super::{LaneGraphError, Said};

/// Bytes of a signature that commits to everything.
pub(super) const SIGNATURE: usize = 64;
/// Bytes of a choice's secret.
const SECRET: usize = 20;

/// The script of a step: what takes the one-time signatures, then the other ones.
pub(super) fn script(carried: &Carried, lane: &Lane, committee: XOnlyPublicKey) -> Result<ScriptBuf, MoveError> {
    let (mut script, challenger) = match carried {
        Carried::Move(played) => (played.script(&lane.keys)?.into_bytes(), None),
        Carried::Choices(made) => {
            let scripts = made.iter().map(|id| choice_script(&lane.keys, *id));
            let scripts = scripts.collect::<Result<Vec<_>, _>>()?;
            (scripts.into_iter().flat_map(ScriptBuf::into_bytes).collect(), Some(lane.constants.challenger))
        }
    };
    script.extend(checks(challenger, committee).into_bytes());
    Ok(script.into())
}

/// The end of such a script: whose other signatures it asks for.
pub(super) fn checks(challenger: Option<XOnlyPublicKey>, committee: XOnlyPublicKey) -> ScriptBuf {
    let mut check = Builder::new();
    if let Some(challenger) = challenger {
        check = check.push_x_only_key(&challenger).push_opcode(OP_CHECKSIGVERIFY);
    }
    check.push_x_only_key(&committee).push_opcode(OP_CHECKSIG).into_script()
}

/// The lengths of the longest items of such a leaf's witness.
pub(super) fn longest_items(carried: &Carried) -> Vec<usize> {
    match carried {
        Carried::Move(played) => [vec![SIGNATURE], played.longest_items()].concat(),
        Carried::Choices(made) => [vec![SIGNATURE; 2], vec![SECRET; made.len()]].concat(),
    }
}

/// The items above the committee's signature, the deepest first. A challenger shows of each choice what it has made of it; two
/// it has not made.
pub(super) fn items(
    carried: &Carried,
    transcript: &Transcript,
    challenger: Option<&Signature>,
) -> Result<Vec<Vec<u8>>, LaneGraphError> {
    match carried {
        Carried::Move(played) => Ok(played.witness(transcript)?),
        Carried::Choices(made) => {
            let mut items: Vec<Vec<u8>> =
                challenger.map(|signature| signature.serialize().to_vec()).into_iter().collect();
            for id in made.iter().rev() {
                let chosen = (0..id.options()).find_map(|option| transcript.choice(*id, option));
                items.push(chosen.ok_or(LaneGraphError::NotChosen(*id))?.secret.to_vec());
            }
            Ok(items)
        }
    }
}

/// Reads back what the items of a witness, script and control block excluded, have signed.
pub(super) fn read(carried: &Carried, keys: &LaneKeys, items: &[&[u8]]) -> Result<Said, MoveError> {
    match (carried, items) {
        (Carried::Move(played), [_committee, rest @ ..]) => {
            let (messages, choices) = played.read(keys, rest)?;
            Ok(Said { messages, choices })
        }
        (Carried::Choices(made), [_committee, _challenger, secrets @ ..]) if secrets.len() == made.len() => {
            let choice = |(id, secret): (&ChoiceId, &&[u8])| -> Option<(ChoiceId, SignedChoice)> {
                Some((*id, keys.choice(*id)?.read(secret)?))
            };
            let choices = made.iter().zip(secrets.iter().rev()).map(choice).collect::<Option<_>>();
            Ok(Said { messages: Vec::new(), choices: choices.ok_or(MoveError::Witness)? })
        }
        _ => Err(MoveError::Witness),
    }
}

/// `<challenger> CHECKSIGVERIFY <T_turn> CHECKSEQUENCEVERIFY`: an operator has let its turn pass, and there is nothing to slash.
pub(super) fn take_script(challenger: XOnlyPublicKey, turn: Sequence) -> ScriptBuf {
    Builder::new()
        .push_x_only_key(&challenger)
        .push_opcode(OP_CHECKSIGVERIFY)
        .push_sequence(turn)
        .push_opcode(OP_CSV)
        .into_script()
}
