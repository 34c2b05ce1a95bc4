//! The instructions of RV32IM by the ISA manual's tables, written down apart from the machine's own decoder.

use Format::{Branch, Fence, Immediate, Jump, Register, Shift, Store, System, Upper};

/// How the operands lie in the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Register,
    Immediate,
    Shift,
    Store,
    Branch,
    Upper,
    Jump,
    Fence,
    System,
}

/// One instruction: the bits that make it one, and the fields that are free.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    pub name: &'static str,
    pub format: Format,
    pub bits: u32,
}

const fn form(name: &'static str, format: Format, opcode: u32, funct3: u32, funct7: u32) -> Form {
    Form { name, format, bits: opcode | funct3 << 12 | funct7 << 25 }
}

/// The 48 instructions of RV32IM.
pub const ISA: [Form; 48] = [
    form("lui", Upper, 0b011_0111, 0, 0),
    form("auipc", Upper, 0b001_0111, 0, 0),
    form("jal", Jump, 0b110_1111, 0, 0),
    form("jalr", Immediate, 0b110_0111, 0b000, 0),
    form("beq", Branch, 0b110_0011, 0b000, 0),
    form("bne", Branch, 0b110_0011, 0b001, 0),
    form("blt", Branch, 0b110_0011, 0b100, 0),
    form("bge", Branch, 0b110_0011, 0b101, 0),
    form("bltu", Branch, 0b110_0011, 0b110, 0),
    form("bgeu", Branch, 0b110_0011, 0b111, 0),
    form("lb", Immediate, 0b000_0011, 0b000, 0),
    form("lh", Immediate, 0b000_0011, 0b001, 0),
    form("lw", Immediate, 0b000_0011, 0b010, 0),
    form("lbu", Immediate, 0b000_0011, 0b100, 0),
    form("lhu", Immediate, 0b000_0011, 0b101, 0),
    form("sb", Store, 0b010_0011, 0b000, 0),
    form("sh", Store, 0b010_0011, 0b001, 0),
    form("sw", Store, 0b010_0011, 0b010, 0),
    form("addi", Immediate, 0b001_0011, 0b000, 0),
    form("slti", Immediate, 0b001_0011, 0b010, 0),
    form("sltiu", Immediate, 0b001_0011, 0b011, 0),
    form("xori", Immediate, 0b001_0011, 0b100, 0),
    form("ori", Immediate, 0b001_0011, 0b110, 0),
    form("andi", Immediate, 0b001_0011, 0b111, 0),
    form("slli", Shift, 0b001_0011, 0b001, 0b000_0000),
    form("srli", Shift, 0b001_0011, 0b101, 0b000_0000),
    form("srai", Shift, 0b001_0011, 0b101, 0b010_0000),
    form("add", Register, 0b011_0011, 0b000, 0b000_0000),
    form("sub", Register, 0b011_0011, 0b000, 0b010_0000),
    form("sll", Register, 0b011_0011, 0b001, 0b000_0000),
    form("slt", Register, 0b011_0011, 0b010, 0b000_0000),
    form("sltu", Register, 0b011_0011, 0b011, 0b000_0000),
    form("xor", Register, 0b011_0011, 0b100, 0b000_0000),
    form("srl", Register, 0b011_0011, 0b101, 0b000_0000),
    form("sra", Register, 0b011_0011, 0b101, 0b010_0000),
    form("or", Register, 0b011_0011, 0b110, 0b000_0000),
    form("and", Register, 0b011_0011, 0b111, 0b000_0000),
    form("fence", Fence, 0b000_1111, 0b000, 0),
    Form { name: "ecall", format: System, bits: 0x0000_0073 },
    Form { name: "ebreak", format: System, bits: 0x0010_0073 },
    form("mul", Register, 0b011_0011, 0b000, 0b000_0001),
    form("mulh", Register, 0b011_0011, 0b001, 0b000_0001),
    form("mulhsu", Register, 0b011_0011, 0b010, 0b000_0001),
    form("mulhu", Register, 0b011_0011, 0b011, 0b000_0001),
    form("div", Register, 0b011_0011, 0b100, 0b000_0001),
    form("divu", Register, 0b011_0011, 0b101, 0b000_0001),
    form("rem", Register, 0b011_0011, 0b110, 0b000_0001),
    form("remu", Register, 0b011_0011, 0b111, 0b000_0001),
];

/// The opcodes that RISC-V leaves to everyone.
pub const CUSTOM_0: u32 = 0b000_1011;
pub const CUSTOM_1: u32 = 0b010_1011;

impl Form {
    /// The bits that are not free.
    pub const fn mask(&self) -> u32 {
        match self.format {
            Register | Shift => 0xfe00_707f,
            Immediate | Store | Branch | Fence => 0x0000_707f,
            Upper | Jump => 0x0000_007f,
            System => u32::MAX,
        }
    }

    /// The instruction that a word is.
    pub fn of(word: u32) -> Option<&'static Self> {
        ISA.iter().find(|form| word & form.mask() == form.bits)
    }

    /// The instruction of that name.
    pub fn named(name: &str) -> &'static Self {
        ISA.iter().find(|form| form.name == name).unwrap_or_else(|| panic!("no instruction {name}"))
    }
}

/// All instructions with operands in that form.
pub fn with_format(format: Format) -> Vec<&'static Form> {
    ISA.iter().filter(|form| form.format == format).collect()
}

/// `add rd, rs1, rs2` and its like.
pub fn register(name: &str, rd: u32, rs1: u32, rs2: u32) -> u32 {
    Form::named(name).bits | rd << 7 | rs1 << 15 | rs2 << 20
}

/// `addi rd, rs1, imm`, `lw rd, imm(rs1)`, `jalr rd, imm(rs1)`, `slli rd, rs1, imm`.
pub fn immediate(name: &str, rd: u32, rs1: u32, imm: i32) -> u32 {
    assert!((-2048..2048).contains(&imm), "{name} with {imm}");
    Form::named(name).bits | rd << 7 | rs1 << 15 | (imm as u32) << 20
}

/// `sw rs2, imm(rs1)` and its like.
pub fn store(name: &str, rs2: u32, rs1: u32, imm: i32) -> u32 {
    assert!((-2048..2048).contains(&imm), "{name} with {imm}");
    let imm = imm as u32;
    Form::named(name).bits | rs2 << 20 | rs1 << 15 | (imm >> 5 & 0x7f) << 25 | (imm & 0x1f) << 7
}

/// `beq rs1, rs2, offset` and its like.
pub fn branch(name: &str, rs1: u32, rs2: u32, offset: i32) -> u32 {
    assert!((-4096..4096).contains(&offset) && offset % 2 == 0, "{name} by {offset}");
    let o = offset as u32;
    let imm = (o >> 12 & 1) << 31 | (o >> 5 & 0x3f) << 25 | (o >> 1 & 0xf) << 8 | (o >> 11 & 1) << 7;
    Form::named(name).bits | rs2 << 20 | rs1 << 15 | imm
}

/// `lui rd, imm`, `auipc rd, imm`: the upper 20 bits of `imm`.
pub fn upper(name: &str, rd: u32, imm: u32) -> u32 {
    Form::named(name).bits | rd << 7 | imm & 0xffff_f000
}

/// `jal rd, offset`.
pub fn jal(rd: u32, offset: i32) -> u32 {
    assert!((-(1 << 20)..1 << 20).contains(&offset) && offset % 2 == 0, "jal by {offset}");
    let o = offset as u32;
    let imm = (o >> 20 & 1) << 31 | (o >> 1 & 0x3ff) << 21 | (o >> 11 & 1) << 20 | (o >> 12 & 0xff) << 12;
    Form::named("jal").bits | rd << 7 | imm
}

/// `li rd, value`, always two instructions.
pub fn load_constant(rd: u32, value: u32) -> [u32; 2] {
    let low = (value << 20) as i32 >> 20;
    [upper("lui", rd, value.wrapping_sub(low as u32)), immediate("addi", rd, rd, low)]
}

/// `write(1, address, length)`, then `exit(0)`: Linux system calls. To the machine, the first ends the run.
pub fn write_and_exit(address: u32, length: u32) -> Vec<u32> {
    const ECALL: u32 = 0x73;
    let arguments = [(17, 64), (10, 1), (11, address), (12, length)];
    let mut code: Vec<u32> = arguments.into_iter().flat_map(|(rd, value)| load_constant(rd, value)).collect();
    code.push(ECALL);
    code.extend(load_constant(17, 93));
    code.extend(load_constant(10, 0));
    code.push(ECALL);
    code
}
