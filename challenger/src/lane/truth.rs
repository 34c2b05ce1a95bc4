//! What a challenger thinks of what an operator has signed.

use trestle_rollup::Entry;
use trestle_taptree_trace::lane::{
    End, LaneConstants, MessageId, Move, Search, Side, Statements, disputed_access, holds, quarter,
};
use trestle_taptree_trace::leaf::{Said, Tree};
use trestle_zkvm_adapter::opening::commitment;
use trestle_zkvm_adapter::{Access, Inputs, Opening, Roots, StepOpening};

use super::path::{self, Choices};
use super::sayings::Claim;
use super::testimony::Preimage;
use super::{Disproof, Error, Testimony};

/// What was signed and chosen so far.
pub(super) struct Judge<'a> {
    pub statements: &'a Statements,
    pub claim: Claim,
    pub choices: &'a Choices,
    pub constants: &'a LaneConstants,
}

impl Judge<'_> {
    fn said<'b>(&'b self, preimage: Option<&'b Preimage>) -> Said<'b> {
        Said { statements: self.statements, constants: self.constants, preimage }
    }

    /// The bytes of a message, if it is signed.
    fn bytes(&self, id: MessageId) -> Option<Vec<u8>> {
        self.said(None).bytes(id)
    }

    /// Whether an opening is of what was chosen. An answer off chain, which no script has judged, may be of something else.
    pub fn is_chosen(&self, opening: Move) -> Result<bool, Error> {
        let index = |search| path::index(self.choices, search);
        Ok(match opening {
            Move::Block => self.said(None).number(MessageId::BlockIndex) == Some(index(Search::History)?),
            Move::Step => self.said(None).number(MessageId::StepIndex) == Some(index(Search::Trace)?),
            Move::ReadNode | Move::WriteNode => {
                let id = if opening == Move::WriteNode { MessageId::WritePosition } else { MessageId::ReadPosition };
                let chosen = (path::access(self.choices)? as u8, index(Search::Read)?);
                self.said(None).position(id).is_some_and(|opened| (opened.access, opened.level) == chosen)
            }
            Move::Round(..) | Move::Header(_) => true,
        })
    }

    /// The first leaf of a tree that can be satisfied.
    pub fn leaf<T: Testimony>(&self, tree: Tree, truth: &mut T) -> Result<Option<Disproof>, Error> {
        let unhashed = self.said(None).digest(MessageId::StepLeaf).filter(|_| tree == Tree::Step).zip(self.inputs());
        let preimage = match unhashed {
            Some((digest, inputs)) => truth.preimage(&inputs, &digest).map_err(Error::Testimony)?,
            None => None,
        };
        let said = self.said(preimage.as_ref());
        let leaves = tree.leaves(self.constants.confirmations);
        Ok(leaves.iter().enumerate().find_map(|(number, leaf)| {
            let hints = leaf.refutes(&said)?;
            Some(Disproof { tree, leaf: number, name: leaf.name(), hints })
        }))
    }

    /// Whether the machine can be run over the block that was opened, or there is none.
    pub fn knows_block<T: Testimony>(&self, truth: &mut T) -> Result<bool, Error> {
        match self.inputs() {
            Some(Inputs { index, next, .. }) if index <= u32::from(self.claim.n) => {
                truth.knows_block(index, &next.block_hash).map_err(Error::Testimony)
            }
            _ => Ok(true),
        }
    }

    /// What the machine is asked, by what the operator has signed in its block opening.
    fn inputs(&self) -> Option<Inputs> {
        let said = self.said(None);
        let j = u32::try_from(said.number(MessageId::BlockIndex)?).ok()?;
        let parts = |end| {
            let block_hash = said.digest(MessageId::BlockHash(end))?;
            Some(Entry { block_hash, state_root: said.digest(MessageId::BlockRoot(end))? })
        };
        Some(self.claim.inputs(j, parts(End::Previous)?, parts(End::Next)?, self.constants))
    }

    fn asked(&self) -> Result<Inputs, Error> {
        self.inputs().ok_or(Error::NoSuchMove(Move::Block))
    }

    /// The quarter of the history in which the first false entry is.
    pub fn history<T: Testimony>(&self, round: u8, truth: &mut T) -> Result<u8, Error> {
        let mut right = [false; 3];
        for (right, (place, index)) in right.iter_mut().zip(path::values(self.choices, Search::History, round)?) {
            let entry = truth.entry(index as u32).map_err(Error::Testimony)?;
            let said = self.bytes(MessageId::History(place));
            *right = entry.zip(said).is_some_and(|(entry, said)| commitment(&entry)[..] == said[..]);
        }
        Ok(quarter(Search::History, right))
    }

    /// The quarter of the trace in which the first false state is.
    pub fn trace<T: Testimony>(&self, round: u8, truth: &mut T) -> Result<u8, Error> {
        let values = path::values(self.choices, Search::Trace, round)?;
        let trace = truth.trace(&self.asked()?).map_err(Error::Testimony)?;
        let roots = trace.roots(&values.map(|(_, k)| k)).map_err(|why| Error::Testimony(why.into()))?;
        let mut right = [false; 3];
        for (right, ((place, _), root)) in right.iter_mut().zip(values.into_iter().zip(roots)) {
            *right = self.bytes(MessageId::Trace(place)).is_some_and(|said| commitment(&root)[..] == said[..]);
        }
        Ok(quarter(Search::Trace, right))
    }

    /// The true step at the place that the choices lead to.
    fn truth<T: Testimony>(&self, truth: &mut T) -> Result<Opening, Error> {
        let k = path::index(self.choices, Search::Trace)?;
        let trace = truth.trace(&self.asked()?).map_err(Error::Testimony)?;
        trace.opening(k + 1).map_err(|why| Error::Testimony(why.into()))
    }

    /// The access that is false in the step opening.
    pub fn access<T: Testimony>(&self, truth: &mut T) -> Result<Option<Access>, Error> {
        let truth = self.truth(truth)?;
        Ok(self.step().and_then(|step| disputed_access(&truth.step, &step)))
    }

    /// The step opening; what is cut of its roots is zero.
    fn step(&self) -> Option<StepOpening> {
        let said = self.said(None);
        let root = |id| {
            let mut root = [0; 32];
            root.iter_mut().zip(self.bytes(id)?).for_each(|(to, from)| *to = from);
            Some(root)
        };
        let roots = Roots {
            index: said.number(MessageId::StepIndex)? + 1,
            before: root(MessageId::StepBefore)?,
            written: root(MessageId::StepMiddle)?,
            after: root(MessageId::StepAfter)?,
        };
        Some(StepOpening { roots, words: said.words()?, leaf: said.digest(MessageId::StepLeaf)? })
    }

    /// The quarter of a path in which what is false at the leaf meets what is true at the root.
    pub fn path<T: Testimony>(&self, round: u8, truth: &mut T) -> Result<u8, Error> {
        let access = path::access(self.choices)?;
        let search = path::search_of(access);
        let truth = self.truth(truth)?;
        let mut right = [false; 3];
        for (right, (place, level)) in right.iter_mut().zip(path::values(self.choices, search, round)?) {
            let (old, new) = match search {
                Search::Write => {
                    (self.bytes(MessageId::Write(place, Side::Old)), self.bytes(MessageId::Write(place, Side::New)))
                }
                _ => (self.bytes(MessageId::Read(place)), None),
            };
            *right = old.is_some_and(|old| holds(&truth, access, level as usize, &old, new.as_deref()));
        }
        Ok(quarter(search, right))
    }
}
