//! What an operator says in each of its moves, by its testimony.

use trestle_rollup::compress::IV;
use trestle_rollup::{Digest, Entry, SlotId, compress};
use trestle_taptree_trace::lane::{
    End, HeaderPart, LaneConstants, MessageId, Move, Place, Search, Side, Transcript, TranscriptError,
};
use trestle_zkvm_adapter::opening::commitment;
use trestle_zkvm_adapter::{Disputable, Inputs, Opening, StepOpening};

use super::path::{self, Choices};
use super::{Error, Testimony};

/// A message and the bytes of its fields.
pub(super) type Saying = (MessageId, Vec<Vec<u8>>);

/// What is said of the claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// N.
    pub n: u16,
    /// The first four bytes of block N's hash.
    pub prefix: [u8; 4],
}

impl Claim {
    /// What the claim in a transcript says.
    pub fn read(transcript: &Transcript) -> Result<Self, Error> {
        let message =
            transcript.signature(MessageId::Claim).and_then(|signed| signed.message(&MessageId::Claim.layout()));
        let read = || {
            let message = message?;
            let n = u16::from_be_bytes(message.field(0).try_into().ok()?);
            Some(Self { n, prefix: message.field(1).try_into().ok()? })
        };
        read().ok_or_else(|| TranscriptError::Message(MessageId::Claim.to_string()).into())
    }

    /// What the machine is asked at the step of the history from entry j, with these parts, to the next.
    pub fn inputs(self, j: u32, previous: Entry, next: Entry, constants: &LaneConstants) -> Inputs {
        Inputs {
            previous,
            next,
            index: j + 1,
            claimed: u32::from(self.n),
            block_hash_prefix: self.prefix,
            slot: SlotId::from_bytes(constants.slot),
            confirmations: u32::from(constants.confirmations),
        }
    }
}

/// What a move says after these choices, every message of it.
///
/// Everything is a function of choices and testimony alone, so that whatever is said when, it is said of one path.
pub(super) fn sayings<T: Testimony + ?Sized>(
    wanted: Move,
    choices: &Choices,
    claim: Claim,
    constants: &LaneConstants,
    testimony: &mut T,
) -> Result<Vec<Saying>, Error> {
    let mut side = Speaker { choices, claim, constants, testimony };
    if let Some(search) = path::search_in(wanted) {
        side.fits(search)?;
    }
    match wanted {
        Move::Round(Search::History, round) => side.history(round),
        Move::Round(Search::Trace, round) => side.trace(round),
        Move::Round(search @ (Search::Read | Search::Write), round) => side.path(search, round),
        Move::Block => side.block(),
        Move::Step => side.step(),
        Move::ReadNode | Move::WriteNode => side.node(),
        Move::Header(number) => side.header(number),
    }
}

struct Speaker<'a, T: ?Sized> {
    choices: &'a Choices,
    claim: Claim,
    constants: &'a LaneConstants,
    testimony: &'a mut T,
}

impl<T: Testimony + ?Sized> Speaker<'_, T> {
    /// Whether the access that was named is on such a path.
    fn fits(&self, search: Search) -> Result<(), Error> {
        let fits = path::search_of(path::access(self.choices)?) == search;
        if fits { Ok(()) } else { Err(Error::OtherAccess(search)) }
    }

    /// j: the step of the history from entry j to j + 1.
    fn j(&self) -> Result<u32, Error> {
        Ok(path::index(self.choices, Search::History)? as u32)
    }

    fn entry(&mut self, index: u32) -> Result<Digest, Error> {
        let entry = self.testimony.entry(index).map_err(Error::Testimony)?;
        entry.ok_or_else(|| Error::Testimony(format!("there is no entry {index}").into()))
    }

    fn history(&mut self, round: u8) -> Result<Vec<Saying>, Error> {
        let values = path::values(self.choices, Search::History, round)?;
        let say = |(place, index): (Place, u64)| Ok((MessageId::History(place), vec![cut(&self.entry(index as u32)?)]));
        values.into_iter().map(say).collect()
    }

    fn block(&mut self) -> Result<Vec<Saying>, Error> {
        let j = self.j()?;
        let mut said = vec![(MessageId::BlockIndex, number(u64::from(j), 2))];
        for (end, index) in [(End::Previous, j), (End::Next, j + 1)] {
            let parts = self.testimony.parts(index).map_err(Error::Testimony)?;
            said.push((MessageId::BlockEntry(end), vec![cut(&self.entry(index)?)]));
            said.push((MessageId::BlockHash(end), vec![parts.block_hash.to_vec()]));
            said.push((MessageId::BlockRoot(end), vec![parts.state_root.to_vec()]));
        }
        Ok(said)
    }

    /// The headers from the block of entry j + 1 on; beyond the claim, where there is nothing to show, those from block N on.
    fn header(&mut self, number: u16) -> Result<Vec<Saying>, Error> {
        let first = (self.j()? + 1).min(u32::from(self.claim.n));
        let header = self.testimony.header(first + u32::from(number)).map_err(Error::Testimony)?;
        Ok(header_parts(&header).map(|(part, bytes)| (MessageId::Header(number, part), vec![bytes])).to_vec())
    }

    fn run(&mut self) -> Result<&mut dyn Disputable, Error> {
        let j = self.j()?;
        let previous = self.testimony.parts(j).map_err(Error::Testimony)?;
        let next = self.testimony.parts(j + 1).map_err(Error::Testimony)?;
        let inputs = self.claim.inputs(j, previous, next, self.constants);
        self.testimony.trace(&inputs).map_err(Error::Testimony)
    }

    fn trace(&mut self, round: u8) -> Result<Vec<Saying>, Error> {
        let values = path::values(self.choices, Search::Trace, round)?;
        let roots = self.run()?.roots(&values.map(|(_, k)| k)).map_err(|why| Error::Testimony(why.into()))?;
        Ok(values.iter().zip(roots).map(|((place, _), root)| (MessageId::Trace(*place), vec![cut(&root)])).collect())
    }

    /// k, and the step from state k to k + 1.
    fn opening(&mut self) -> Result<(u64, Opening), Error> {
        let k = path::index(self.choices, Search::Trace)?;
        Ok((k, self.run()?.opening(k + 1).map_err(|why| Error::Testimony(why.into()))?))
    }

    fn step(&mut self) -> Result<Vec<Saying>, Error> {
        let (k, Opening { step: StepOpening { roots, words, leaf }, .. }) = self.opening()?;
        let words = [words.pc, words.instruction, words.rs1, words.rs2, words.address, words.value, words.next_pc];
        Ok(vec![
            (MessageId::StepIndex, number(k, 6)),
            (MessageId::StepBefore, vec![cut(&roots.before)]),
            (MessageId::StepMiddle, vec![cut(&roots.written)]),
            (MessageId::StepAfter, vec![cut(&roots.after)]),
            (MessageId::StepLog, words.map(|word| word.to_be_bytes().to_vec()).to_vec()),
            (MessageId::StepLeaf, vec![leaf.to_vec()]),
        ])
    }

    fn path(&mut self, search: Search, round: u8) -> Result<Vec<Saying>, Error> {
        let access = path::access(self.choices)?;
        let values = path::values(self.choices, search, round)?;
        let (_, opening) = self.opening()?;
        let said = values.into_iter().flat_map(|(place, level)| {
            let (old, new) = opening.standing(access, level as usize);
            match new {
                None => vec![(MessageId::Read(place), vec![cut(&old)])],
                Some(new) => vec![
                    (MessageId::Write(place, Side::Old), vec![cut(&old)]),
                    (MessageId::Write(place, Side::New), vec![new.to_vec()]),
                ],
            }
        });
        Ok(said.collect())
    }

    fn node(&mut self) -> Result<Vec<Saying>, Error> {
        let access = path::access(self.choices)?;
        let level = path::index(self.choices, path::search_of(access))?;
        let node = self.opening()?.1.node(access, level as usize).node;
        let position = vec![vec![access as u8], vec![level as u8], vec![u8::from(node.right)]];
        Ok(match node.new_child {
            None => vec![
                (MessageId::ReadPosition, position),
                (MessageId::ReadChild, vec![node.child.to_vec()]),
                (MessageId::ReadSibling, vec![node.sibling.to_vec()]),
            ],
            Some(new) => vec![
                (MessageId::WritePosition, position),
                (MessageId::WriteChild(Side::Old), vec![node.child.to_vec()]),
                (MessageId::WriteChild(Side::New), vec![new.to_vec()]),
                (MessageId::WriteSibling, vec![node.sibling.to_vec()]),
            ],
        })
    }
}

fn cut(digest: &Digest) -> Vec<u8> {
    commitment(digest).to_vec()
}

/// A field that is a number of so many bytes.
fn number(value: u64, bytes: usize) -> Vec<Vec<u8>> {
    vec![value.to_be_bytes().into_iter().skip(size_of::<u64>() - bytes).collect()]
}

/// What is signed of a header: its bytes in three parts, and what its three compressions give.
fn header_parts(header: &[u8; 80]) -> [(HeaderPart, Vec<u8>); 6] {
    let (blocks, rest) = header.as_chunks::<64>();
    let middle = blocks.first().map_or(IV, |block| compress(&IV, block));
    let inner = compress(&middle, &padded(rest, 80));
    let hash = compress(&IV, &padded(&inner, 32));
    let [first, second] = [0, 32].map(|from| header.iter().skip(from).take(32).copied().collect());
    [
        (HeaderPart::First, first),
        (HeaderPart::Second, second),
        (HeaderPart::Last, rest.to_vec()),
        (HeaderPart::Middle, middle.to_vec()),
        (HeaderPart::Inner, inner.to_vec()),
        (HeaderPart::Hash, hash.to_vec()),
    ]
}

/// The last block of SHA-256 over so many bytes.
fn padded(rest: &[u8], bytes: u16) -> [u8; 64] {
    let mut block = [0; 64];
    let length = (8 * bytes).to_be_bytes();
    let filled = rest.iter().copied().chain([0x80]).chain(std::iter::repeat(0)).take(62).chain(length);
    block.iter_mut().zip(filled).for_each(|(to, from)| *to = from);
    block
}
