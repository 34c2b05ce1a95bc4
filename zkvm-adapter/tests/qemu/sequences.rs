//! Random sequences of instructions that end, and access nothing but their own data and code.

use proptest::collection::vec;
use proptest::prelude::*;

use super::assembler::{Format, branch, immediate, jal, load_constant, register, store, upper, with_format};

/// The data of a case: registers, then what loads and stores may reach.
const STATE: u32 = 128;
pub const SLOT: u32 = 512;

/// Values at which something changes.
fn operand() -> impl Strategy<Value = u32> {
    prop_oneof![
        3 => prop::sample::select(vec![0, 1, 2, u32::MAX, u32::MAX - 1, 1 << 31, (1 << 31) - 1, (1 << 31) + 1]),
        2 => (0u32..32, -1i32..=1, any::<bool>()).prop_map(|(bit, more, negative)| {
            let value = (1u32 << bit).wrapping_add_signed(more);
            if negative { value.wrapping_neg() } else { value }
        }),
        2 => (-64i32..64).prop_map(|small| small as u32),
        3 => any::<u32>(),
    ]
}

fn small_immediate() -> impl Strategy<Value = i32> {
    prop_oneof![
        prop::sample::select(vec![0, 1, -1, 2047, -2048, 31, 32]),
        (0u32..11).prop_map(|bit| 1 << bit),
        -2048i32..2048,
    ]
}

/// An instruction, or a few that belong together.
#[derive(Clone, Debug)]
enum Piece {
    Register {
        name: &'static str,
        rd: u32,
        rs1: u32,
        rs2: u32,
    },
    Immediate {
        name: &'static str,
        rd: u32,
        rs1: u32,
        imm: i32,
    },
    Upper {
        name: &'static str,
        rd: u32,
        imm: u32,
    },
    Constant {
        rd: u32,
        value: u32,
    },
    Fence {
        rd: u32,
        rs1: u32,
        imm: i32,
    },
    /// At a place known now, or one that a register decides.
    Load {
        name: &'static str,
        rd: u32,
        at: u32,
        computed: Option<(u32, u32)>,
    },
    Store {
        name: &'static str,
        rs2: u32,
        at: u32,
        computed: Option<(u32, u32)>,
    },
    /// Out of the code itself.
    LoadCode {
        name: &'static str,
        rd: u32,
        base: u32,
        at: u32,
    },
    /// A branch over some instructions, taken or not.
    Branch {
        name: &'static str,
        rs1: u32,
        rs2: u32,
        over: Vec<Piece>,
    },
    /// A jump over instructions that are never executed.
    Ahead {
        jump: Jump,
        over: Vec<Piece>,
    },
    /// A jump back to instructions that are executed only then.
    Back {
        jump: Jump,
        to: Vec<Piece>,
    },
    /// A counted loop that ends in a branch back.
    Loop {
        counter: u32,
        kind: usize,
        times: i32,
        body: Vec<Piece>,
    },
}

#[derive(Clone, Copy, Debug)]
enum Jump {
    Jal {
        rd: u32,
    },
    /// Through the register `base`; with the target's lowest bit set, which must not matter.
    Jalr {
        rd: u32,
        base: u32,
        odd: bool,
    },
}

fn x() -> impl Strategy<Value = u32> {
    0u32..32
}

fn one_of(format: Format, but: &'static [&str]) -> impl Strategy<Value = &'static str> {
    let names: Vec<_> = with_format(format).iter().map(|form| form.name).filter(|name| !but.contains(name)).collect();
    prop::sample::select(names)
}

fn load_name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["lb", "lh", "lw", "lbu", "lhu"])
}

fn straight() -> impl Strategy<Value = Piece> {
    let computed = || prop::option::of((x(), x()));
    prop_oneof![
        8 => (one_of(Format::Register, &[]), x(), x(), x())
            .prop_map(|(name, rd, rs1, rs2)| Piece::Register { name, rd, rs1, rs2 }),
        4 => (one_of(Format::Immediate, &["jalr", "lb", "lh", "lw", "lbu", "lhu"]), x(), x(), small_immediate())
            .prop_map(|(name, rd, rs1, imm)| Piece::Immediate { name, rd, rs1, imm }),
        2 => (one_of(Format::Shift, &[]), x(), x(), 0i32..32)
            .prop_map(|(name, rd, rs1, imm)| Piece::Immediate { name, rd, rs1, imm }),
        2 => (one_of(Format::Upper, &[]), x(), operand()).prop_map(|(name, rd, imm)| Piece::Upper { name, rd, imm }),
        2 => (x(), operand()).prop_map(|(rd, value)| Piece::Constant { rd, value }),
        1 => (x(), x(), -2048i32..2048).prop_map(|(rd, rs1, imm)| Piece::Fence { rd, rs1, imm }),
        4 => (load_name(), x(), STATE..SLOT, computed())
            .prop_map(|(name, rd, at, computed)| Piece::Load { name, rd, at, computed }),
        3 => (one_of(Format::Store, &[]), x(), STATE..SLOT, computed())
            .prop_map(|(name, rs2, at, computed)| Piece::Store { name, rs2, at, computed }),
        1 => (load_name(), x(), x(), 0u32..8).prop_map(|(name, rd, base, at)| Piece::LoadCode { name, rd, base, at }),
    ]
}

fn jump() -> impl Strategy<Value = Jump> {
    prop_oneof![
        x().prop_map(|rd| Jump::Jal { rd }),
        (x(), x(), any::<bool>()).prop_map(|(rd, base, odd)| Jump::Jalr { rd, base, odd }),
    ]
}

fn around(inner: impl Strategy<Value = Piece> + Clone + 'static) -> impl Strategy<Value = Piece> {
    let some = move |most| vec(inner.clone(), 0..most);
    let compared = prop_oneof![4 => (x(), x()), 1 => x().prop_map(|x| (x, x))];
    prop_oneof![
        4 => (one_of(Format::Branch, &[]), compared, some(4))
            .prop_map(|(name, (rs1, rs2), over)| Piece::Branch { name, rs1, rs2, over }),
        1 => (jump(), some(4)).prop_map(|(jump, over)| Piece::Ahead { jump, over }),
        1 => (jump(), some(4)).prop_map(|(jump, to)| Piece::Back { jump, to }),
        2 => (x(), 0usize..6, 1i32..5, some(6))
            .prop_map(|(counter, kind, times, body)| Piece::Loop { counter, kind, times, body }),
    ]
}

fn piece() -> impl Strategy<Value = Piece> {
    let inner = prop_oneof![6 => straight(), 1 => around(straight().boxed())].boxed();
    prop_oneof![5 => straight(), 1 => around(inner)]
}

/// Registers and memory to start with, and what is executed.
#[derive(Clone, Debug)]
pub struct Case {
    /// The register that is not written, and what it is ahead of the case's data by.
    keep: u32,
    ahead: i32,
    registers: [u32; 32],
    memory: [u32; 8],
    pieces: Vec<Piece>,
}

/// Any case.
pub fn case() -> impl Strategy<Value = Case> {
    // From everywhere, all of the case's data are in reach of an immediate.
    let keep = (1u32..32, -1535i32..=2052);
    (keep, prop::array::uniform32(operand()), prop::array::uniform8(operand()), vec(piece(), 1..50))
        .prop_map(|((keep, ahead), registers, memory, pieces)| Case { keep, ahead, registers, memory, pieces })
}

/// Puts pieces into words.
struct Emitter<'a> {
    case: &'a Case,
    /// What the kept register holds.
    keep: u32,
    /// Registers that nothing may be written to.
    protected: Vec<u32>,
}

fn width(name: &str) -> u32 {
    match name.as_bytes() {
        [_, b'b', ..] => 1,
        [_, b'h', ..] => 2,
        _ => 4,
    }
}

/// So many words in bytes.
pub fn bytes(words: usize) -> i32 {
    4 * words as i32
}

impl Emitter<'_> {
    fn to(&self, rd: u32) -> u32 {
        if self.protected.contains(&rd) { 0 } else { rd }
    }

    fn all(&mut self, pieces: &[Piece]) -> Vec<u32> {
        pieces.iter().flat_map(|piece| self.emit(piece)).collect()
    }

    /// Base register and offset of an access, and what must be done before.
    fn access(&self, name: &str, at: u32, computed: Option<(u32, u32)>) -> (Vec<u32>, u32, i32) {
        let keep = self.case.keep;
        let aligned = |at: u32| (at & !(width(name) - 1)) as i32 - self.case.ahead;
        match computed.map(|(base, by)| (self.to(base), by)) {
            None | Some((0, _)) => (Vec::new(), keep, aligned(at)),
            Some((base, by)) => {
                let within = 0x7f & !(width(name) as i32 - 1);
                let code = vec![immediate("andi", base, by, within), register("add", base, base, keep)];
                (code, base, aligned(STATE + (at - STATE) % (SLOT - STATE - 128)))
            }
        }
    }

    /// A jump over `distance` words that follow it, or back over as many that precede it.
    fn jump(&self, jump: Jump, distance: i32) -> Vec<u32> {
        match jump {
            Jump::Jal { rd } => vec![jal(self.to(rd), if distance < 0 { distance } else { distance + 4 })],
            Jump::Jalr { rd, base, odd } => match self.to(base) {
                0 => self.jump(Jump::Jal { rd }, distance),
                base => {
                    let offset = if distance < 0 { distance } else { distance + 8 };
                    vec![upper("auipc", base, 0), immediate("jalr", self.to(rd), base, offset | i32::from(odd))]
                }
            },
        }
    }

    fn emit(&mut self, piece: &Piece) -> Vec<u32> {
        match piece {
            Piece::Register { name, rd, rs1, rs2 } => vec![register(name, self.to(*rd), *rs1, *rs2)],
            Piece::Immediate { name, rd, rs1, imm } => vec![immediate(name, self.to(*rd), *rs1, *imm)],
            Piece::Upper { name, rd, imm } => vec![upper(name, self.to(*rd), *imm)],
            Piece::Constant { rd, value } => load_constant(self.to(*rd), *value).to_vec(),
            // Its fields say nothing here: all of them are reserved or hints.
            Piece::Fence { rd, rs1, imm } => vec![immediate("fence", *rd, *rs1, *imm)],
            Piece::Load { name, rd, at, computed } => {
                let (mut code, base, imm) = self.access(name, *at, *computed);
                code.push(immediate(name, self.to(*rd), base, imm));
                code
            }
            Piece::Store { name, rs2, at, computed } => {
                let (mut code, base, imm) = self.access(name, *at, *computed);
                code.push(store(name, *rs2, base, imm));
                code
            }
            Piece::LoadCode { name, rd, base, at } => match self.to(*base) {
                0 => Vec::new(),
                base => {
                    let imm = (at & !(width(name) - 1)) as i32;
                    vec![upper("auipc", base, 0), immediate(name, self.to(*rd), base, imm)]
                }
            },
            Piece::Branch { name, rs1, rs2, over } => {
                let over = self.all(over);
                let mut code = vec![branch(name, *rs1, *rs2, bytes(over.len() + 1))];
                code.extend(over);
                code
            }
            Piece::Ahead { jump, over } => {
                let over = self.all(over);
                let mut code = self.jump(*jump, bytes(over.len()));
                code.extend(over);
                code
            }
            Piece::Back { jump, to } => {
                let to = self.all(to);
                let back = self.jump(*jump, -bytes(to.len() + 1));
                let mut code = vec![jal(0, bytes(to.len() + 2))];
                code.extend(to);
                code.push(jal(0, bytes(back.len() + 1)));
                code.extend(back);
                code
            }
            Piece::Loop { counter, kind, times, body } => self.counted(*counter, *kind, *times, body),
        }
    }

    /// A loop that each kind of branch can end.
    fn counted(&mut self, counter: u32, kind: usize, times: i32, body: &[Piece]) -> Vec<u32> {
        if self.to(counter) == 0 {
            return self.all(body);
        }
        // First value, what is added, and while what is so it goes on.
        let (first, by, name, rs1, rs2) = [
            (times, -1, "bne", counter, 0),
            (times, -1, "blt", 0, counter),
            (times - 1, -1, "bge", counter, 0),
            (times, -1, "bltu", 0, counter),
            // Up from below zero, which is above everything if there are no signs.
            (-times, 1, "bltu", self.case.keep, counter),
            (-times, 1, "bgeu", counter, self.case.keep),
        ][if self.keep == 0 { kind % 5 } else { kind }];
        self.protected.push(counter);
        let body = self.all(body);
        self.protected.pop();
        let mut code = vec![immediate("addi", counter, 0, first)];
        code.extend(&body);
        code.push(immediate("addi", counter, counter, by));
        code.push(branch(name, rs1, rs2, -bytes(body.len() + 1)));
        code
    }
}

impl Case {
    /// Its code, if its data are there: 32 words that load, the sequence, 31 words that store.
    pub fn emit(&self, data_at: u32) -> Vec<u32> {
        let Self { keep, ahead, pieces, .. } = self;
        let others = (1..32).filter(|register| register != keep);
        let value = data_at.wrapping_add_signed(*ahead);
        let mut code = load_constant(*keep, value).to_vec();
        code.extend(others.map(|register| immediate("lw", register, *keep, 4 * register as i32 - ahead)));
        code.extend(Emitter { case: self, keep: value, protected: vec![*keep] }.all(pieces));
        code.extend((1..32).map(|register| store("sw", register, *keep, 4 * register as i32 - ahead)));
        code
    }

    /// Its data, in words.
    pub fn data(&self) -> impl Iterator<Item = u32> {
        let memory = (0..(SLOT - STATE) / 4).map(|index| self.memory[index as usize % 8].rotate_left(index / 8));
        self.registers.into_iter().chain(memory)
    }
}
