//! What a player of a lane must not forget.

use serde::Serialize;
use trestle_signer::store::{Batch, Store};
use trestle_taptree_trace::lane::{ChoiceId, Lane, LaneId, MessageId, SignedChoice, Transcript};
use trestle_taptree_trace::ots::Signature;
use trestle_taptree_trace::turn::Player;

use super::Error;
use super::path::Choices;
use super::wire::SignatureBytes;

/// First byte of a key.
mod kind {
    /// → whose store it is
    pub const IDENTITY: u8 = b'i';
    /// ‖ name → option ‖ secret: the choice that counts
    pub const CHOICE: u8 = b'c';
    /// ‖ name ‖ `#` ‖ 0 or 1 → the first and the second signature of a message ([`super::SignatureBytes`])
    pub const MESSAGE: u8 = b'm';
}

/// A player's records.
pub(super) struct Records<S>(S);

/// Records to be written at once.
#[derive(Default)]
pub(super) struct Writes(Batch);

impl Writes {
    pub fn choice(&mut self, id: ChoiceId, choice: &SignedChoice) {
        let name = id.to_string();
        self.0.insert([&[kind::CHOICE], name.as_bytes()].concat(), [&[choice.option], &choice.secret[..]].concat());
    }

    /// The first or the second signature of a message.
    pub fn message(&mut self, id: MessageId, nth: u8, signature: &Signature) {
        self.0.insert(message_key(id, nth), SignatureBytes::from(signature).0);
    }

    pub fn is_empty(&self) -> bool {
        self.0.0.is_empty()
    }
}

fn message_key(id: MessageId, nth: u8) -> Vec<u8> {
    [&[kind::MESSAGE], id.to_string().as_bytes(), b"#", &[nth]].concat()
}

/// Whose store it is.
#[derive(Serialize)]
struct Identity<'a> {
    lane: &'a LaneId,
    operator: bool,
}

impl<S: Store> Records<S> {
    /// Opens a player's store, and begins it if it is empty.
    pub fn open(store: S, lane: &LaneId, player: Player) -> Result<Self, Error> {
        let identity = Identity { lane, operator: player == Player::Operator };
        let identity = serde_json::to_vec(&identity).map_err(|_| Error::Damaged("a lane's name"))?;
        match store.get(&[kind::IDENTITY])? {
            Some(found) if found != identity => return Err(Error::OtherPlayer),
            Some(_) => {}
            None => {
                let mut batch = Batch::default();
                batch.insert([kind::IDENTITY], identity);
                store.commit(batch)?;
            }
        }
        Ok(Self(store))
    }

    /// Writes all or nothing, on disk when it returns.
    pub fn commit(&self, writes: Writes) -> Result<(), Error> {
        if writes.is_empty() { Ok(()) } else { Ok(self.0.commit(writes.0)?) }
    }

    /// The choices that count.
    pub fn choices(&self, lane: &Lane) -> Result<Choices, Error> {
        let damaged = || Error::Damaged("a choice");
        let mut choices = Choices::new();
        for id in ChoiceId::all() {
            let Some(bytes) = self.0.get(&[&[kind::CHOICE], id.to_string().as_bytes()].concat())? else { continue };
            let (option, secret) = bytes.split_first().ok_or_else(damaged)?;
            let choice = SignedChoice { option: *option, secret: secret.try_into().map_err(|_| damaged())? };
            if !lane.keys.choice(id).is_some_and(|key| key.verify(&choice)) {
                return Err(damaged());
            }
            choices.insert(id, choice);
        }
        Ok(choices)
    }

    /// Adds all signatures of the operator that are here to a transcript, each message's first one first.
    pub fn messages(&self, lane: &Lane, transcript: &mut Transcript) -> Result<(), Error> {
        for id in MessageId::all(lane.constants.confirmations) {
            for nth in [0, 1] {
                let Some(bytes) = self.0.get(&message_key(id, nth))? else { continue };
                let key = lane.keys.message(id).ok_or(Error::Damaged("a signature"))?;
                let signature = SignatureBytes(bytes).read(id, key).map_err(|_| Error::Damaged("a signature"))?;
                transcript.keep(id, signature);
            }
        }
        Ok(())
    }
}
