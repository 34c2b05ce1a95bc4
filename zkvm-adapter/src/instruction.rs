//! RV32IM and two instructions of our own, out of 32-bit words.
//!
//! Every encoding is checked whole: a word that is not listed here is no instruction.

use Alu::{Add, And, Div, Divu, Mul, Mulh, Mulhsu, Mulhu, Or, Rem, Remu, Sll, Slt, Sltu, Sra, Srl, Sub, Xor};

/// One instruction. Its source registers are [`rs1`] and [`rs2`] of its word, whether it needs them or not; immediates
/// are sign-extended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// `LUI`: rd = imm.
    Lui {
        /// Destination register.
        rd: u32,
        /// Upper 20 bits, lower 12 zero.
        imm: u32,
    },
    /// `AUIPC`: rd = pc + imm.
    Auipc {
        /// Destination register.
        rd: u32,
        /// Upper 20 bits, lower 12 zero.
        imm: u32,
    },
    /// `JAL`: rd = pc + 4, pc += imm.
    Jal {
        /// Destination register.
        rd: u32,
        /// Offset in bytes.
        imm: u32,
    },
    /// `JALR`: rd = pc + 4, pc = (rs1 + imm) with the lowest bit cleared.
    Jalr {
        /// Destination register.
        rd: u32,
        /// Offset in bytes.
        imm: u32,
    },
    /// `BEQ` and its like: if rs1 and rs2 compare so, pc += imm.
    Branch {
        /// How they must compare.
        condition: Condition,
        /// Offset in bytes.
        imm: u32,
    },
    /// `LB`, `LH`, `LW`, `LBU`, `LHU`: rd = memory at rs1 + imm.
    Load {
        /// How much, and how it is extended.
        width: Width,
        /// Whether the sign is extended.
        signed: bool,
        /// Destination register.
        rd: u32,
        /// Offset in bytes.
        imm: u32,
    },
    /// `SB`, `SH`, `SW`: memory at rs1 + imm = rs2.
    Store {
        /// How much.
        width: Width,
        /// Offset in bytes.
        imm: u32,
    },
    /// `ADDI` and its like: rd = rs1 op imm.
    Immediate {
        /// The operation.
        alu: Alu,
        /// Destination register.
        rd: u32,
        /// The second operand.
        imm: u32,
    },
    /// `ADD` and its like: rd = rs1 op rs2.
    Register {
        /// The operation.
        alu: Alu,
        /// Destination register.
        rd: u32,
    },
    /// `FENCE`: nothing.
    Fence,
    /// `ECALL`: halt, accept.
    Ecall,
    /// `EBREAK`: halt, reject.
    Ebreak,
    /// `UNHASH` (custom-0): rd = word x[rs1] of the preimage of the key.
    Unhash {
        /// Destination register.
        rd: u32,
    },
    /// `INPUT` (custom-1): rd = input word.
    Input {
        /// Destination register.
        rd: u32,
        /// Which word.
        index: u32,
    },
}

/// When a branch is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the ISA manual's")]
pub enum Condition {
    Eq,
    Ne,
    Lt,
    Ge,
    Ltu,
    Geu,
}

/// How much a load or a store moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 8 bits.
    Byte,
    /// 16 bits, at even addresses.
    Half,
    /// 32 bits, at addresses that 4 divides.
    Word,
}

/// What is computed from two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the ISA manual's")]
pub enum Alu {
    Add,
    Sub,
    Sll,
    Slt,
    Sltu,
    Xor,
    Srl,
    Sra,
    Or,
    And,
    Mul,
    Mulh,
    Mulhsu,
    Mulhu,
    Div,
    Divu,
    Rem,
    Remu,
}

/// The first source register of a word, instruction or not.
#[must_use]
pub const fn rs1(word: u32) -> u32 {
    word >> 15 & 31
}

/// The second source register of a word, instruction or not.
#[must_use]
pub const fn rs2(word: u32) -> u32 {
    word >> 20 & 31
}

impl Instruction {
    /// Reads a word; `None` if it is no instruction of this machine.
    #[must_use]
    pub const fn decode(word: u32) -> Option<Self> {
        let rd = word >> 7 & 31;
        let funct3 = word >> 12 & 7;
        let funct7 = word >> 25;
        let imm_i = (word as i32 >> 20) as u32;
        let imm_s = (word as i32 >> 25 << 5) as u32 | rd;
        let imm_b = (word as i32 >> 31 << 12) as u32 | (word & 0x80) << 4 | word >> 20 & 0x7e0 | word >> 7 & 0x1e;
        let imm_u = word & 0xffff_f000;
        let imm_j = (word as i32 >> 31 << 20) as u32 | word & 0xf_f000 | word >> 9 & 0x800 | word >> 20 & 0x7fe;
        Some(match word & 0x7f {
            0x37 => Self::Lui { rd, imm: imm_u },
            0x17 => Self::Auipc { rd, imm: imm_u },
            0x6f => Self::Jal { rd, imm: imm_j },
            0x67 if funct3 == 0 => Self::Jalr { rd, imm: imm_i },
            0x63 => {
                let condition = match funct3 {
                    0 => Condition::Eq,
                    1 => Condition::Ne,
                    4 => Condition::Lt,
                    5 => Condition::Ge,
                    6 => Condition::Ltu,
                    7 => Condition::Geu,
                    _ => return None,
                };
                Self::Branch { condition, imm: imm_b }
            }
            0x03 => {
                let (width, signed) = match funct3 {
                    0 => (Width::Byte, true),
                    1 => (Width::Half, true),
                    2 => (Width::Word, false),
                    4 => (Width::Byte, false),
                    5 => (Width::Half, false),
                    _ => return None,
                };
                Self::Load { width, signed, rd, imm: imm_i }
            }
            0x23 => {
                let width = match funct3 {
                    0 => Width::Byte,
                    1 => Width::Half,
                    2 => Width::Word,
                    _ => return None,
                };
                Self::Store { width, imm: imm_s }
            }
            0x13 => {
                // Shifts take five bits of the immediate; the other seven tell them apart.
                let (alu, imm) = match (funct3, funct7) {
                    (0, _) => (Add, imm_i),
                    (1, 0) => (Sll, rs2(word)),
                    (2, _) => (Slt, imm_i),
                    (3, _) => (Sltu, imm_i),
                    (4, _) => (Xor, imm_i),
                    (5, 0) => (Srl, rs2(word)),
                    (5, 0x20) => (Sra, rs2(word)),
                    (6, _) => (Or, imm_i),
                    (7, _) => (And, imm_i),
                    _ => return None,
                };
                Self::Immediate { alu, rd, imm }
            }
            0x33 => {
                let alu = match (funct7, funct3) {
                    (0, 0) => Add,
                    (0x20, 0) => Sub,
                    (0, 1) => Sll,
                    (0, 2) => Slt,
                    (0, 3) => Sltu,
                    (0, 4) => Xor,
                    (0, 5) => Srl,
                    (0x20, 5) => Sra,
                    (0, 6) => Or,
                    (0, 7) => And,
                    (1, 0) => Mul,
                    (1, 1) => Mulh,
                    (1, 2) => Mulhsu,
                    (1, 3) => Mulhu,
                    (1, 4) => Div,
                    (1, 5) => Divu,
                    (1, 6) => Rem,
                    (1, 7) => Remu,
                    _ => return None,
                };
                Self::Register { alu, rd }
            }
            0x0f if funct3 == 0 => Self::Fence,
            0x73 if word == 0x0000_0073 => Self::Ecall,
            0x73 if word == 0x0010_0073 => Self::Ebreak,
            0x0b if funct3 == 0 && word >> 20 == 0 => Self::Unhash { rd },
            0x2b if funct3 == 0 && rs1(word) == 0 => Self::Input { rd, index: word >> 20 },
            _ => return None,
        })
    }
}

impl Condition {
    /// Whether two values compare so.
    #[must_use]
    pub const fn holds(self, a: u32, b: u32) -> bool {
        match self {
            Self::Eq => a == b,
            Self::Ne => a != b,
            Self::Lt => (a as i32) < b as i32,
            Self::Ge => a as i32 >= b as i32,
            Self::Ltu => a < b,
            Self::Geu => a >= b,
        }
    }
}

impl Width {
    /// How many bytes.
    #[must_use]
    pub const fn bytes(self) -> u32 {
        match self {
            Self::Byte => 1,
            Self::Half => 2,
            Self::Word => 4,
        }
    }

    /// The bits of a word that it covers, before they are shifted into place.
    const fn mask(self) -> u32 {
        match self {
            Self::Byte => 0xff,
            Self::Half => 0xffff,
            Self::Word => u32::MAX,
        }
    }

    /// What a load at `address` gives, out of the word that it lies in.
    #[must_use]
    pub const fn extract(self, word: u32, address: u32, signed: bool) -> u32 {
        let value = word >> (8 * (address & 3)) & self.mask();
        match (self, signed) {
            (Self::Byte, true) => value as u8 as i8 as u32,
            (Self::Half, true) => value as u16 as i16 as u32,
            _ => value,
        }
    }

    /// The word that a store of `value` at `address` leaves, out of the one that was there.
    #[must_use]
    pub const fn merge(self, word: u32, address: u32, value: u32) -> u32 {
        let shift = 8 * (address & 3);
        word & !(self.mask() << shift) | (value & self.mask()) << shift
    }
}

impl Alu {
    /// The result; division as the ISA manual has it: by zero gives all ones and the dividend, and overflow the dividend
    /// and zero.
    #[must_use]
    pub const fn compute(self, a: u32, b: u32) -> u32 {
        let (sa, sb) = (a as i32, b as i32);
        match self {
            Add => a.wrapping_add(b),
            Sub => a.wrapping_sub(b),
            Sll => a.wrapping_shl(b),
            Slt => (sa < sb) as u32,
            Sltu => (a < b) as u32,
            Xor => a ^ b,
            Srl => a.wrapping_shr(b),
            Sra => sa.wrapping_shr(b) as u32,
            Or => a | b,
            And => a & b,
            Mul => a.wrapping_mul(b),
            Mulh => ((sa as i64 * sb as i64) >> 32) as u32,
            Mulhsu => ((sa as i64 * b as i64) >> 32) as u32,
            Mulhu => ((a as u64 * b as u64) >> 32) as u32,
            Div if b == 0 => u32::MAX,
            Div => sa.wrapping_div(sb) as u32,
            Divu if b == 0 => u32::MAX,
            Divu => a / b,
            Rem if b == 0 => a,
            Rem => sa.wrapping_rem(sb) as u32,
            Remu if b == 0 => a,
            Remu => a % b,
        }
    }
}
