//! The moves of a lane: what each side's transactions carry when a turn is played on chain.
//!
//! The scripts here are the part of an output's leaf that takes the one-time signatures; who else has to sign, and when,
//! is the bridge's. Each consumes its items and leaves nothing. The items below them must not be 20 bytes long
//! ([`crate::ots::script_commit`]).
//!
//! An opening says where it is in its search: the script takes the index apart into base-4 digits and demands the
//! challenger's secret for each of them. So the operator can open nothing that the challenger has not chosen, needs no
//! transaction of the challenger's, and of two choices signed with one key may use either.
//!
//! A round of a path demands the challenger's secret for an access that is read, or for one that is written. Otherwise an
//! operator could play the rounds of a read and open a node of a write, which no round had signed anything about.

use bitcoin::opcodes::all::*;
use bitcoin::script::{Builder, ScriptBuf};
use serde::{Deserialize, Serialize};

use super::{
    Arity, ChoiceId, ChoiceKey, End, HeaderPart, LaneKeys, MessageId, PLACES, Place, Search, Side, SignedChoice,
    Transcript,
};
use crate::ots::{
    Layout, Link, OtsError, PublicKey, Signature, script_commit, script_commit_and_read, script_commit_pairs,
};

/// A move of the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Move {
    /// The values of one round.
    Round(Search, u8),
    /// The block opening.
    Block,
    /// The step opening.
    Step,
    /// The opening of a node on a path that is read.
    ReadNode,
    /// The opening of a node on a path that is written.
    WriteNode,
    /// A header of a fork.
    Header(u16),
}

/// What a move has signed: the operator's messages, and of an opening the challenger's choices.
pub type ReadMove = (Vec<(MessageId, Signature)>, Vec<(ChoiceId, SignedChoice)>);

/// Why a move has no script or no witness, or is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoveError {
    /// The lane has no such message or choice.
    #[error("the lane has no key for {0}")]
    NoKey(String),
    /// The operator has not signed it.
    #[error("{0} is not signed")]
    NotSigned(MessageId),
    /// The challenger has not made the choice that the opening is about.
    #[error("{choice}: option {option} is not signed")]
    NotChosen {
        /// The choice.
        choice: ChoiceId,
        /// What the opening says of it.
        option: u8,
    },
    /// The items are not those of the move.
    #[error("{message}: {why}")]
    Message {
        /// The message.
        message: MessageId,
        /// What is wrong with its items.
        why: OtsError,
    },
    /// The items are not those of the move.
    #[error("the witness is not this move's")]
    Witness,
}

/// More items than these are not put into a move: there have to be some for the script, and for other signatures.
pub(super) const MAX_ITEMS: usize = 950;

/// The accesses that are read, of `trestle_zkvm_adapter::opening::Access`: the first, and how many.
const READ: (u8, u8) = (0, 5);
/// Those that are written.
const WRITTEN: (u8, u8) = (5, 2);

/// One part of an index, or the access: whose choice it is, and which options the opening admits.
struct Checked {
    choice: ChoiceId,
    /// The least option.
    first: u8,
    /// How many options from there on.
    options: u8,
    /// Whether the digit that it is a part of may be none of them.
    whole: bool,
}

/// A message and its key, as a script takes it.
pub(super) type Keyed<'k> = (Layout, &'k PublicKey);

impl Move {
    /// What it signs, but the index.
    #[must_use]
    pub fn messages(self) -> Vec<MessageId> {
        let ends = [End::Previous, End::Next];
        match self {
            Self::Round(search, round) => (1..=PLACES)
                .map(|place| Place { round, place })
                .flat_map(|place| match search {
                    Search::History => vec![MessageId::History(place)],
                    Search::Trace => vec![MessageId::Trace(place)],
                    Search::Read => vec![MessageId::Read(place)],
                    Search::Write => [Side::Old, Side::New].map(|side| MessageId::Write(place, side)).to_vec(),
                })
                .collect(),
            Self::Block => {
                let of = |end| [MessageId::BlockEntry(end), MessageId::BlockHash(end), MessageId::BlockRoot(end)];
                ends.into_iter().flat_map(of).collect()
            }
            Self::Step => vec![
                MessageId::StepBefore,
                MessageId::StepMiddle,
                MessageId::StepAfter,
                MessageId::StepLog,
                MessageId::StepLeaf,
            ],
            Self::ReadNode => vec![MessageId::ReadChild, MessageId::ReadSibling],
            Self::WriteNode => {
                vec![MessageId::WriteChild(Side::Old), MessageId::WriteChild(Side::New), MessageId::WriteSibling]
            }
            Self::Header(number) => HeaderPart::ALL.map(|part| MessageId::Header(number, part)).to_vec(),
        }
    }

    /// What says where an opening is.
    #[must_use]
    pub const fn index(self) -> Option<MessageId> {
        match self {
            Self::Round(..) | Self::Header(_) => None,
            Self::Block => Some(MessageId::BlockIndex),
            Self::Step => Some(MessageId::StepIndex),
            Self::ReadNode => Some(MessageId::ReadPosition),
            Self::WriteNode => Some(MessageId::WritePosition),
        }
    }

    /// The accesses for one of which the challenger has to have asked for a round: the first, and how many.
    const fn asked_for(self) -> Option<(u8, u8)> {
        match self {
            Self::Round(Search::Read, _) => Some(READ),
            Self::Round(Search::Write, _) => Some(WRITTEN),
            _ => None,
        }
    }

    /// What an opening ends.
    pub(super) const fn searched(self) -> Option<Search> {
        match self {
            Self::Round(..) | Self::Header(_) => None,
            Self::Block => Some(Search::History),
            Self::Step => Some(Search::Trace),
            Self::ReadNode => Some(Search::Read),
            Self::WriteNode => Some(Search::Write),
        }
    }

    /// The choices that the index repeats, in the order of its digits.
    fn checked(self, arity: Arity) -> Vec<Checked> {
        let Some(search) = self.searched() else { return Vec::new() };
        let access = match self {
            Self::ReadNode => Some(READ),
            Self::WriteNode => Some(WRITTEN),
            _ => None,
        };
        let choice = ChoiceId::Access;
        let access = access.map(|(first, options)| Checked { choice, first, options, whole: true });
        let mut checked: Vec<Checked> = access.into_iter().collect();
        let mut rounds = 0u8..;
        for parts in arity.digits(search) {
            let whole = !arity.fills_a_digit(parts);
            checked.extend(rounds.by_ref().take(parts).map(|round| {
                let choice = ChoiceId::of_round(search, round);
                Checked { choice, first: 0, options: arity.parts(), whole }
            }));
        }
        checked
    }

    /// The script.
    ///
    /// # Errors
    /// If the lane has no such header.
    pub fn script(self, keys: &LaneKeys) -> Result<ScriptBuf, MoveError> {
        let keyed = |id: MessageId| match keys.message(id) {
            Some(key) => Ok((id.layout(), key)),
            None => Err(MoveError::NoKey(id.to_string())),
        };
        let messages = self.messages().into_iter().map(keyed).collect::<Result<Vec<_>, _>>()?;
        let index = self.index().map(keyed).transpose()?;
        self.script_of(Arity::BUILT, &messages, index, |id| choice_key(keys, id))
    }

    /// The script, if it took these messages, and the index of a search that cuts intervals into so many parts.
    pub(super) fn script_of<'k, E>(
        self,
        arity: Arity,
        messages: &[Keyed<'_>],
        index: Option<Keyed<'_>>,
        choice: impl Fn(ChoiceId) -> Result<&'k ChoiceKey, E>,
    ) -> Result<ScriptBuf, E> {
        let commit =
            if in_pairs(messages.iter().map(|(layout, _)| layout)) { script_commit_pairs } else { script_commit };
        let mut script: Vec<u8> = messages.iter().flat_map(|(layout, key)| commit(layout, key).into_bytes()).collect();
        if let Some((first, options)) = self.asked_for() {
            let access = choice(ChoiceId::Access)?;
            let ends = access.0.iter().skip(usize::from(first)).take(usize::from(options));
            script.extend(match_any(Builder::new(), ends).into_script().into_bytes());
        }
        if let Some((layout, key)) = index {
            script.extend(script_commit_and_read(&layout, key).into_bytes());
            let mut matching = self.split_index(arity, Builder::new());
            for checked in self.checked(arity) {
                matching = match_choice(matching, choice(checked.choice)?, &checked);
            }
            script.extend(matching.into_script().into_bytes());
        }
        Ok(script.into())
    }

    /// The items, the deepest first, of an operator that has signed the move and holds the challenger's choices.
    ///
    /// # Errors
    /// If something is not signed.
    pub fn witness(self, transcript: &Transcript) -> Result<Vec<Vec<u8>>, MoveError> {
        let signature = |id| transcript.signature(id).ok_or(MoveError::NotSigned(id));
        let mut items = Vec::new();
        if let Some((first, options)) = self.asked_for() {
            let choice = ChoiceId::Access;
            let asked = (first..first + options).find_map(|option| transcript.choice(choice, option));
            items.push(asked.ok_or(MoveError::NotChosen { choice, option: first })?.secret.to_vec());
        }
        if let Some(index) = self.index() {
            let options = self.options(signature(index)?.digits());
            for (checked, option) in self.checked(Arity::BUILT).iter().zip(options).rev() {
                let choice = checked.choice;
                let signed = transcript.choice(choice, option).ok_or(MoveError::NotChosen { choice, option })?;
                items.push(signed.secret.to_vec());
            }
            items.extend(signature(index)?.pairs());
        }
        for id in self.messages().into_iter().rev() {
            let signature = signature(id)?;
            items.extend(if self.in_pairs() { signature.pairs() } else { signature.witness() });
        }
        Ok(items)
    }

    /// Reads back what a witness that the script accepts has signed. The items are the script's alone.
    ///
    /// # Errors
    /// If the script would not accept it.
    pub fn read<T: AsRef<[u8]>>(self, keys: &LaneKeys, items: &[T]) -> Result<ReadMove, MoveError> {
        let key = |id: MessageId| keys.message(id).ok_or_else(|| MoveError::NoKey(id.to_string()));
        let each = if self.in_pairs() { 2 } else { 3 };
        let mut rest = items;
        let mut take = |count: usize| {
            let (left, taken) = rest.split_at_checked(rest.len().wrapping_sub(count)).ok_or(MoveError::Witness)?;
            rest = left;
            Ok(taken)
        };
        let mut signed = Vec::new();
        for id in self.messages() {
            let layout = id.layout();
            let items = take(each * layout.signed_digits())?;
            let read = if self.in_pairs() { Signature::from_pairs } else { Signature::from_witness };
            signed.push((id, read(&layout, key(id)?, items).map_err(|why| MoveError::Message { message: id, why })?));
        }
        let mut choices = Vec::new();
        if let Some((first, options)) = self.asked_for() {
            let [secret] = take(1)? else { return Err(MoveError::Witness) };
            let read = choice_key(keys, ChoiceId::Access)?.read(secret.as_ref());
            let read = read.filter(|read| (first..first + options).contains(&read.option));
            choices.push((ChoiceId::Access, read.ok_or(MoveError::Witness)?));
        }
        if let Some(id) = self.index() {
            let layout = id.layout();
            let items = take(2 * layout.signed_digits())?;
            let index = Signature::from_pairs(&layout, key(id)?, items);
            let index = index.map_err(|why| MoveError::Message { message: id, why })?;
            for (checked, option) in self.checked(Arity::BUILT).iter().zip(self.options(index.digits())) {
                let [secret] = take(1)? else { return Err(MoveError::Witness) };
                let read = choice_key(keys, checked.choice)?.read(secret.as_ref());
                let read = read.filter(|read| read.option == option);
                choices.push((checked.choice, read.ok_or(MoveError::Witness)?));
            }
            signed.push((id, index));
        }
        if rest.is_empty() { Ok((signed, choices)) } else { Err(MoveError::Witness) }
    }

    /// The lengths of the longest items of a witness: what a fee is reckoned with.
    #[must_use]
    pub fn longest_items(self) -> Vec<usize> {
        let messages: Vec<Layout> = self.messages().iter().map(|id| id.layout()).collect();
        self.longest_items_of(Arity::BUILT, &messages, self.index().map(MessageId::layout))
    }

    /// The same of what [`Self::script_of`] takes.
    pub(super) fn longest_items_of(self, arity: Arity, messages: &[Layout], index: Option<Layout>) -> Vec<usize> {
        let digits: usize = messages.iter().map(Layout::signed_digits).sum();
        let index = index.map_or(0, |layout| layout.signed_digits());
        let mut lengths = vec![20; self.checked(arity).len() + usize::from(self.asked_for().is_some())];
        lengths.extend([20, 1].repeat(digits + index));
        if !in_pairs(messages) {
            lengths.extend(std::iter::repeat_n(1, digits));
        }
        lengths
    }

    /// Whether each digit takes two items instead of three.
    fn in_pairs(self) -> bool {
        in_pairs(&self.messages().iter().map(|id| id.layout()).collect::<Vec<_>>())
    }

    /// The options that an index names, by its digits.
    fn options(self, digits: &[u8]) -> Vec<u8> {
        let halves = |digits: &[u8]| digits.iter().flat_map(|digit| [digit >> 2, digit & 3]).collect::<Vec<_>>();
        match (self, digits) {
            (Self::Block | Self::Step, _) => halves(digits),
            (_, [access, high, low, ..]) => [vec![*access, *high], halves(&[*low])].concat(),
            _ => Vec::new(),
        }
    }

    /// `… digits of the index → …`, and puts what [`Move::checked`] looks at on the alternative stack, the first on top.
    fn split_index(self, arity: Arity, script: Builder) -> Builder {
        let Some(search) = self.searched() else { return script };
        // The direction is not a choice. The access is a digit of its own.
        let of_path = matches!(self, Self::ReadNode | Self::WriteNode);
        let script = if of_path { script.push_opcode(OP_DROP) } else { script };
        let script = arity.digits(search).into_iter().rev().fold(script, |script, parts| split(script, arity, parts));
        if of_path { script.push_opcode(OP_TOALTSTACK) } else { script }
    }
}

/// Whether each digit of these messages takes two items instead of three: there would be too many.
fn in_pairs<'l>(messages: impl IntoIterator<Item = &'l Layout>) -> bool {
    3 * messages.into_iter().map(Layout::signed_digits).sum::<usize>() > MAX_ITEMS
}

/// `… digit → …`, and puts the parts that it consists of on the alternative stack, the lowest first.
fn split(mut script: Builder, arity: Arity, parts: usize) -> Builder {
    for place in (1..parts).rev() {
        script = script.push_int(0).push_opcode(OP_SWAP);
        for high in arity.halvings() {
            let value = high * arity.power(place);
            script = script.push_opcode(OP_DUP).push_int(value).push_opcode(OP_GREATERTHANOREQUAL).push_opcode(OP_IF);
            script = script.push_int(value).push_opcode(OP_SUB).push_opcode(OP_SWAP);
            script = script.push_int(high).push_opcode(OP_ADD).push_opcode(OP_SWAP).push_opcode(OP_ENDIF);
        }
    }
    (0..parts).fold(script, |script, _| script.push_opcode(OP_TOALTSTACK))
}

/// `… secret → …`: fails unless it is that of the option on the alternative stack, which is taken from there and must be
/// one that the opening admits.
fn match_choice(mut script: Builder, key: &ChoiceKey, checked: &Checked) -> Builder {
    let ends = key.0.iter().skip(usize::from(checked.first)).take(usize::from(checked.options));
    for end in ends.rev() {
        script = script.push_slice(end);
    }
    script = script.push_opcode(OP_FROMALTSTACK);
    if checked.first > 0 {
        script = script.push_int(i64::from(checked.first)).push_opcode(OP_SUB);
    }
    if checked.whole {
        // OP_PICK stops below 0.
        let last = i64::from(checked.options) - 1;
        script = script.push_opcode(OP_DUP).push_int(last).push_opcode(OP_LESSTHANOREQUAL).push_opcode(OP_VERIFY);
    }
    script = script.push_opcode(OP_PICK).push_int(i64::from(checked.options) + 1).push_opcode(OP_ROLL);
    script = script.push_opcode(OP_HASH160).push_opcode(OP_EQUALVERIFY);
    for _ in 0..checked.options / 2 {
        script = script.push_opcode(OP_2DROP);
    }
    if checked.options % 2 == 1 { script.push_opcode(OP_DROP) } else { script }
}

/// A script that takes a secret of the challenger and goes on only if it is one of the choice's.
///
/// Stack effect: consumes the item, leaves nothing. A secret has 20 bytes, so that the operator can repeat it.
///
/// # Errors
/// If the lane has no such round.
pub fn choice_script(keys: &LaneKeys, id: ChoiceId) -> Result<ScriptBuf, MoveError> {
    Ok(choice_key_script(choice_key(keys, id)?))
}

pub(super) fn choice_key_script(key: &ChoiceKey) -> ScriptBuf {
    let script = Builder::new().push_opcode(OP_SIZE).push_int(20).push_opcode(OP_EQUALVERIFY);
    match_any(script, &key.0).into_script()
}

/// `… secret → …`: fails unless it is that of one of these ends.
fn match_any<'a>(script: Builder, ends: impl IntoIterator<Item = &'a Link>) -> Builder {
    let script =
        ends.into_iter().enumerate().fold(script.push_opcode(OP_HASH160), |script, (option, end)| match option {
            0 => script.push_opcode(OP_DUP).push_slice(end).push_opcode(OP_EQUAL),
            _ => script.push_opcode(OP_OVER).push_slice(end).push_opcode(OP_EQUAL).push_opcode(OP_BOOLOR),
        });
    script.push_opcode(OP_VERIFY).push_opcode(OP_DROP)
}

fn choice_key(keys: &LaneKeys, id: ChoiceId) -> Result<&ChoiceKey, MoveError> {
    keys.choice(id).ok_or_else(|| MoveError::NoKey(id.to_string()))
}
