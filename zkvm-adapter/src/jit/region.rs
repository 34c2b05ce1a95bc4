//! What is compiled at once: basic blocks that lead into each other.

use std::collections::{BTreeSet, HashSet, VecDeque};

use crate::instruction::{Condition, Instruction, rs1, rs2};

/// Instructions of a region, about: its last block is cut there.
const MOST_INSTRUCTIONS: usize = 400;

/// The words at which code is.
#[derive(Debug)]
pub struct Code {
    /// The address of the first.
    pub start: u32,
    /// They.
    pub words: Box<[u32]>,
}

/// Basic blocks in the order of their addresses, but the one that is entered first.
#[derive(Debug)]
pub struct Region {
    /// They.
    pub blocks: Vec<Block>,
}

/// Instructions that are executed one after the other, and where they lead.
#[derive(Debug)]
pub struct Block {
    /// The address of the first instruction.
    pub start: u32,
    /// The instructions before the one that leads on, with their words.
    pub body: Vec<(u32, Instruction)>,
    /// What leads on.
    pub end: End,
}

/// How a block leads on.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// No instruction: another block begins, or what is never compiled, or the region is full.
    Next,
    /// `JAL`.
    Jump {
        /// Destination register.
        rd: u32,
        /// Where to.
        to: u32,
    },
    /// `BEQ` and its like.
    Branch {
        /// The instruction.
        word: u32,
        /// When it is taken.
        condition: Condition,
        /// Where to then.
        to: u32,
    },
    /// `JALR`.
    Indirect {
        /// The instruction.
        word: u32,
        /// Destination register.
        rd: u32,
        /// Offset in bytes.
        imm: u32,
    },
}

impl Code {
    /// The number of the word at `pc`.
    pub fn index(&self, pc: u32) -> Option<usize> {
        let offset = pc.wrapping_sub(self.start) as usize;
        (offset.is_multiple_of(4) && offset / 4 < self.words.len()).then_some(offset / 4)
    }

    /// The word at `pc`, and what it says, if that can be compiled.
    pub fn compilable(&self, pc: u32) -> Option<(u32, Instruction)> {
        let word = self.words.get(self.index(pc)?)?;
        use Instruction::{Ebreak, Ecall, Input, Unhash};
        match Instruction::decode(*word)? {
            Ecall | Ebreak | Unhash { .. } | Input { .. } => None,
            instruction => Some((*word, instruction)),
        }
    }
}

impl Block {
    /// Steps from its start to where it leads.
    pub fn steps(&self) -> u32 {
        self.body.len() as u32 + u32::from(!matches!(self.end, End::Next))
    }

    /// Where it may lead within the region.
    pub fn leads_to(&self, region: &Region) -> Vec<u32> {
        let next = self.last().wrapping_add(4);
        match self.end {
            End::Next => vec![self.last()],
            End::Jump { to, .. } => vec![to],
            End::Branch { to, .. } => vec![to, next],
            End::Indirect { rd: 0, word, .. } => {
                let calls = region.blocks.iter().filter(|block| match block.end {
                    End::Jump { rd, .. } => rd != 0 && rd == rs1(word),
                    _ => false,
                });
                calls.map(|block| block.last().wrapping_add(4)).collect()
            }
            End::Indirect { .. } => Vec::new(),
        }
    }

    /// The registers that it reads, as bits.
    pub fn read(&self) -> u32 {
        let end = match self.end {
            End::Branch { word, .. } | End::Indirect { word, .. } => word,
            End::Next | End::Jump { .. } => 0,
        };
        let words = self.body.iter().map(|(word, _)| *word).chain([end]);
        words.fold(0, |read, word| read | 1 << rs1(word) | 1 << rs2(word))
    }

    /// The registers that it writes, as bits.
    pub fn written(&self) -> u32 {
        let end = match self.end {
            End::Jump { rd, .. } | End::Indirect { rd, .. } => 1 << rd,
            End::Next | End::Branch { .. } => 0,
        };
        self.body.iter().fold(end, |written, (_, instruction)| match instruction {
            Instruction::Lui { rd, .. }
            | Instruction::Auipc { rd, .. }
            | Instruction::Load { rd, .. }
            | Instruction::Immediate { rd, .. }
            | Instruction::Register { rd, .. } => written | 1 << rd,
            _ => written,
        })
    }

    /// The address of the instruction that leads on, or of what comes next if there is none.
    pub fn last(&self) -> u32 {
        self.start + 4 * self.body.len() as u32
    }
}

impl Region {
    /// The region that is entered at `head`. It has no blocks if the instruction there cannot be compiled.
    pub fn find(code: &Code, head: u32) -> Self {
        let mut search = Search {
            code,
            queue: VecDeque::from([head]),
            starts: BTreeSet::new(),
            seen: HashSet::new(),
            returning: 0,
            calls: Vec::new(),
        };
        while let Some(start) = search.queue.pop_front() {
            search.walk(start);
        }
        let (first, others): (Vec<u32>, Vec<u32>) = search.starts.iter().partition(|start| **start == head);
        Self { blocks: first.into_iter().chain(others).map(|start| search.block(start)).collect() }
    }
}

/// What was found so far.
struct Search<'a> {
    code: &'a Code,
    /// Where blocks may begin, not looked at yet.
    queue: VecDeque<u32>,
    /// Where blocks begin.
    starts: BTreeSet<u32>,
    /// Instructions in the region.
    seen: HashSet<u32>,
    /// The registers, as bits, by which jumps in the region return.
    returning: u32,
    /// Calls in the region, as the register and the address that they leave in it, whose return was not found.
    calls: Vec<(u32, u32)>,
}

impl Search<'_> {
    /// Takes in what begins at an address.
    fn walk(&mut self, start: u32) {
        let mut pc = start;
        loop {
            if self.seen.contains(&pc) {
                // Perhaps the middle of a block that was found before.
                self.starts.insert(pc);
                break;
            }
            let full = self.seen.len() >= MOST_INSTRUCTIONS;
            let Some((word, instruction)) = self.code.compilable(pc).filter(|_| !full) else { break };
            self.seen.insert(pc);
            let next = pc.wrapping_add(4);
            match instruction {
                Instruction::Jal { rd, imm } => {
                    self.queue.push_back(pc.wrapping_add(imm));
                    self.call(rd, next);
                    break;
                }
                Instruction::Branch { imm, .. } => {
                    self.queue.extend([pc.wrapping_add(imm), next]);
                    break;
                }
                Instruction::Jalr { rd, .. } => {
                    if rd == 0 {
                        self.returning |= 1 << rs1(word);
                    }
                    std::mem::take(&mut self.calls).into_iter().for_each(|(rd, to)| self.call(rd, to));
                    break;
                }
                _ => pc = next,
            }
        }
        if self.seen.contains(&start) {
            self.starts.insert(start);
        }
    }

    /// Where a call returns to is in the region if what returns is.
    fn call(&mut self, rd: u32, to: u32) {
        match 1 << rd {
            1 => {}
            register if self.returning & register != 0 => self.queue.push_back(to),
            _ => self.calls.push((rd, to)),
        }
    }

    fn block(&self, start: u32) -> Block {
        let mut body = Vec::new();
        let mut pc = start;
        while self.seen.contains(&pc) && (pc == start || !self.starts.contains(&pc)) {
            let Some((word, instruction)) = self.code.compilable(pc) else { break };
            let end = match instruction {
                Instruction::Jal { rd, imm } => Some(End::Jump { rd, to: pc.wrapping_add(imm) }),
                Instruction::Branch { condition, imm } => {
                    Some(End::Branch { word, condition, to: pc.wrapping_add(imm) })
                }
                Instruction::Jalr { rd, imm } => Some(End::Indirect { word, rd, imm }),
                _ => None,
            };
            if let Some(end) = end {
                return Block { start, body, end };
            }
            body.push((word, instruction));
            pc = pc.wrapping_add(4);
        }
        Block { start, body, end: End::Next }
    }
}
