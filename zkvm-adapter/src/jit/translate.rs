//! A region as Cranelift's intermediate code.
//!
//! The function takes the address of the machine's memory and the number of steps that may be made, and gives back how
//! many of them were not. While it runs, registers are values; it returns, or calls the next region in its place,
//! with those that it changed stored where they belong, and pc if it returns. It returns before any instruction that
//! it does not execute itself: not compiled, or one that might trap, or stores to a page for the first time.

use std::collections::HashMap;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8, I32, I64};
use cranelift_codegen::ir::{self, BlockArg, Endianness, InstBuilder, MemFlagsData, SigRef, Value};
use cranelift_frontend::{FunctionBuilder, Variable};

use super::access::{Check, checks};
use super::region::{Block, Code, End, Region};
use super::{alu, flow};
use crate::instruction::{Instruction, Width, rs1, rs2};
use crate::layout::{PC, TOP_PAGE};
use crate::memory::{FLAGS_BYTES, WRITABLE};

/// What region functions know beside their region.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The code.
    pub code: &'a Code,
    /// Where the table is that has a pointer for each code word: to the region that is entered there, or null.
    pub table: u64,
}

/// Code that is being made.
struct Translator<'a, 'b> {
    builder: &'a mut FunctionBuilder<'b>,
    surroundings: Surroundings<'a>,
    /// The signature of regions.
    signature: SigRef,
    /// The address of the machine's memory.
    memory: Value,
    /// x0 to x31, as far as the region has to do with them.
    registers: [Option<Variable>; 32],
    /// How many steps may still be made.
    left: Variable,
    /// Where the blocks are, and the registers, as bits, that may be newer than in memory when one begins.
    blocks: HashMap<u32, (ir::Block, u32)>,
    /// The registers that may be newer than in memory here.
    newer: u32,
}

/// Accesses to the machine's memory are checked before they are made. The machine is little-endian, wherever it runs.
const PLAIN: MemFlagsData = MemFlagsData::trusted().with_endianness(Endianness::Little);
/// Accesses to what is the host's.
const NATIVE: MemFlagsData = MemFlagsData::trusted();

/// Translates into the body of a function with the signature of regions.
pub fn translate(builder: &mut FunctionBuilder<'_>, region: &Region, surroundings: Surroundings<'_>) {
    let entry = builder.create_block();
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    let [memory, left] = *builder.block_params(entry) else { return };
    let signature = builder.func.signature.clone();
    let signature = builder.import_signature(signature);
    let left_variable = builder.declare_var(I64);
    builder.def_var(left_variable, left);

    let newer = flow::newer(region);
    let blocks = region.blocks.iter().zip(newer).map(|(block, newer)| (block.start, (builder.create_block(), newer)));
    let blocks = blocks.collect();
    let mut translator = Translator {
        builder,
        surroundings,
        signature,
        memory,
        registers: [None; 32],
        left: left_variable,
        blocks,
        newer: 0,
    };
    translator.enter(region);
    for block in &region.blocks {
        translator.block(block, region);
    }
}

impl Translator<'_, '_> {
    /// Takes the registers out of memory and goes to the first block.
    fn enter(&mut self, region: &Region) {
        let used = region.blocks.iter().fold(0, |used, block| used | block.read() | block.written());
        let top = self.top_page();
        for register in 1..32 {
            if used >> register & 1 == 1 {
                let variable = self.builder.declare_var(I32);
                let value = self.builder.ins().load(I32, PLAIN, top, 4 * register);
                self.builder.def_var(variable, value);
                self.registers.get_mut(register as usize).into_iter().for_each(|slot| *slot = Some(variable));
            }
        }
        if let Some((first, _)) = region.blocks.first().and_then(|block| self.blocks.get(&block.start)) {
            self.builder.ins().jump(*first, &[] as &[BlockArg]);
        }
    }

    /// The address of the register page.
    fn top_page(&mut self) -> Value {
        let offset = self.builder.ins().iconst(I64, i64::from(TOP_PAGE));
        self.builder.ins().iadd(self.memory, offset)
    }

    fn constant(&mut self, value: u32) -> Value {
        self.builder.ins().iconst(I32, i64::from(value))
    }

    fn read(&mut self, register: u32) -> Value {
        match self.registers.get(register as usize).copied().flatten() {
            Some(variable) => self.builder.use_var(variable),
            None => self.constant(0),
        }
    }

    /// Writes to x0 are dropped: it is zero in memory, too.
    fn write(&mut self, register: u32, value: Value) {
        if let Some(variable) = self.registers.get(register as usize).copied().flatten() {
            self.builder.def_var(variable, value);
            self.newer |= 1 << register;
        }
    }

    /// A block that nothing leads to yet but what is emitted next, seldom executed.
    fn cold_block(&mut self) -> ir::Block {
        let block = self.builder.create_block();
        self.builder.set_cold_block(block);
        block
    }

    /// Goes on if a condition holds; else returns at `pc`, with so many steps left.
    fn require(&mut self, holds: Value, pc: u32, left: Value) {
        let (go_on, give_up) = (self.builder.create_block(), self.cold_block());
        self.builder.ins().brif(holds, go_on, &[] as &[BlockArg], give_up, &[] as &[BlockArg]);
        self.builder.seal_block(give_up);
        self.builder.switch_to_block(give_up);
        let pc = self.constant(pc);
        self.store_registers(self.newer);
        self.give_back(pc, left);
        self.builder.seal_block(go_on);
        self.builder.switch_to_block(go_on);
    }

    /// Stores these registers.
    fn store_registers(&mut self, which: u32) {
        if which == 0 {
            return;
        }
        let top = self.top_page();
        for register in 1..32 {
            if which >> register & 1 == 1 {
                let value = self.read(register);
                self.builder.ins().store(PLAIN, value, top, 4 * register as i32);
            }
        }
    }

    /// Stores the registers that a block does not expect to be newer than in memory.
    fn settle(&mut self, newer: u32) {
        self.store_registers(self.newer & !newer);
        self.newer &= newer;
    }

    /// The registers that may be newer than in memory where code goes on: none out of the region.
    fn newer_at(&self, to: u32) -> u32 {
        self.blocks.get(&to).map_or(0, |(_, newer)| *newer)
    }

    /// Returns; registers are stored.
    fn give_back(&mut self, pc: Value, left: Value) {
        let top = self.top_page();
        self.builder.ins().store(PLAIN, pc, top, (PC - TOP_PAGE) as i32);
        self.builder.ins().return_(&[left]);
    }

    fn block(&mut self, block: &Block, region: &Region) {
        let Some((own, newer)) = self.blocks.get(&block.start).copied() else { return };
        self.builder.switch_to_block(own);
        self.newer = newer;
        let steps = block.steps();
        if steps > 0 {
            let left = self.builder.use_var(self.left);
            let after = self.builder.ins().iadd_imm_s(left, -i64::from(steps));
            let enough = self.builder.ins().icmp_imm_s(IntCC::SignedGreaterThanOrEqual, after, 0);
            self.require(enough, block.start, left);
            self.builder.def_var(self.left, after);
        }
        for ((number, (word, instruction)), check) in (0..).zip(&block.body).zip(checks(block)) {
            if let Some(check) = check {
                self.check(&check, *word, *instruction, block.start + 4 * number, steps - number);
            }
            let pc = block.start + 4 * number;
            self.instruction(pc, *word, *instruction);
        }
        self.end(block, region);
    }

    /// An instruction that leads on to the next.
    fn instruction(&mut self, pc: u32, word: u32, instruction: Instruction) {
        match instruction {
            Instruction::Lui { rd, imm } => {
                let value = self.constant(imm);
                self.write(rd, value);
            }
            Instruction::Auipc { rd, imm } => {
                let value = self.constant(pc.wrapping_add(imm));
                self.write(rd, value);
            }
            Instruction::Immediate { alu, rd, imm } => {
                let (a, b) = (self.read(rs1(word)), self.constant(imm));
                let value = alu::compute(self.builder, alu, a, b);
                self.write(rd, value);
            }
            Instruction::Register { alu, rd } => {
                let (a, b) = (self.read(rs1(word)), self.read(rs2(word)));
                let value = alu::compute(self.builder, alu, a, b);
                self.write(rd, value);
            }
            Instruction::Load { width, signed, rd, imm } => {
                let address = self.address(word, imm);
                let at = self.place(address);
                let ins = self.builder.ins();
                let value = match (width, signed) {
                    (Width::Byte, true) => ins.sload8(I32, PLAIN, at, 0),
                    (Width::Byte, false) => ins.uload8(I32, PLAIN, at, 0),
                    (Width::Half, true) => ins.sload16(I32, PLAIN, at, 0),
                    (Width::Half, false) => ins.uload16(I32, PLAIN, at, 0),
                    (Width::Word, _) => ins.load(I32, PLAIN, at, 0),
                };
                self.write(rd, value);
            }
            Instruction::Store { width, imm } => {
                let address = self.address(word, imm);
                let (at, value) = (self.place(address), self.read(rs2(word)));
                let ins = self.builder.ins();
                match width {
                    Width::Byte => ins.istore8(PLAIN, value, at, 0),
                    Width::Half => ins.istore16(PLAIN, value, at, 0),
                    Width::Word => ins.store(PLAIN, value, at, 0),
                };
            }
            // FENCE; the others are not in a block's body.
            _ => {}
        }
    }

    fn address(&mut self, word: u32, imm: u32) -> Value {
        let (base, offset) = (self.read(rs1(word)), self.constant(imm));
        self.builder.ins().iadd(base, offset)
    }

    /// Where an address of the machine is in the host: within the 4 GiB, whatever the address.
    fn place(&mut self, address: Value) -> Value {
        let offset = self.builder.ins().uextend(I64, address);
        self.builder.ins().iadd(self.memory, offset)
    }

    /// An address with the bits on top that must be zero: one comparison sees them and the top page.
    fn rotated(&mut self, width: Width, address: Value) -> Value {
        match width.bytes().trailing_zeros() {
            0 => address,
            bits => self.builder.ins().rotr_imm_u(address, i64::from(bits)),
        }
    }

    /// Makes sure that accesses are allowed before the first of them, with `ahead` steps counted that are not made before.
    fn check(&mut self, check: &Check, word: u32, instruction: Instruction, pc: u32, ahead: u32) {
        let (Instruction::Load { imm, .. } | Instruction::Store { imm, .. }) = instruction else { return };
        let left = self.builder.use_var(self.left);
        let left = self.builder.ins().iadd_imm_s(left, i64::from(ahead));
        let width = check.width;
        if let Some((from, bytes)) = check.below {
            let lowest = self.address(word, imm.wrapping_add_signed(from));
            let rotated = self.rotated(width, lowest);
            let highest = self.constant((TOP_PAGE - bytes) / width.bytes());
            let allowed = self.builder.ins().icmp(IntCC::UnsignedLessThanOrEqual, rotated, highest);
            self.require(allowed, pc, left);
        }
        if let Some((from, bytes)) = check.stored {
            self.check_page(word, imm.wrapping_add_signed(from), width, pc, left);
            if bytes > width.bytes() {
                let last = imm.wrapping_add_signed(from).wrapping_add(bytes - 1);
                self.check_page(word, last, Width::Byte, pc, left);
            }
        }
    }

    /// Makes sure that the page of an address is writable. There are flags for misaligned pages, too, which say no.
    fn check_page(&mut self, word: u32, imm: u32, width: Width, pc: u32, left: Value) {
        let address = self.address(word, imm);
        let rotated = self.rotated(width, address);
        let page = self.builder.ins().ushr_imm_u(rotated, i64::from(12 - width.bytes().trailing_zeros()));
        let at = self.place(page);
        let flag = self.builder.ins().load(I8, PLAIN, at, -(FLAGS_BYTES as i32));
        let allowed = self.builder.ins().icmp_imm_u(IntCC::Equal, flag, i64::from(WRITABLE));
        self.require(allowed, pc, left);
    }

    fn end(&mut self, block: &Block, region: &Region) {
        let last = block.last();
        let next = last.wrapping_add(4);
        match block.end {
            End::Next => self.go_to(last),
            End::Jump { rd, to } => {
                let link = self.constant(next);
                self.write(rd, link);
                self.go_to(to);
            }
            End::Branch { word, condition, to } => {
                let (a, b) = (self.read(rs1(word)), self.read(rs2(word)));
                let holds = self.builder.ins().icmp(alu::comparison(condition), a, b);
                self.settle(self.newer_at(to) | self.newer_at(next));
                let newer = self.newer;
                let (taken, not) = (self.builder.create_block(), self.builder.create_block());
                self.builder.ins().brif(holds, taken, &[] as &[BlockArg], not, &[] as &[BlockArg]);
                for (block, to) in [(taken, to), (not, next)] {
                    self.builder.seal_block(block);
                    self.builder.switch_to_block(block);
                    self.newer = newer;
                    self.go_to(to);
                }
            }
            End::Indirect { word, rd, imm } => {
                let target = self.address(word, imm);
                let target = self.builder.ins().band_imm_s(target, -2);
                let link = self.constant(next);
                self.write(rd, link);
                self.settle(0);
                for site in block.leads_to(region) {
                    self.go_to_if(target, site);
                }
                self.chain_indirect(target);
            }
        }
    }

    /// Goes to an address that is known.
    fn go_to(&mut self, to: u32) {
        self.settle(self.newer_at(to));
        if let Some((block, _)) = self.blocks.get(&to) {
            self.builder.ins().jump(*block, &[] as &[BlockArg]);
            return;
        }
        let pc = self.constant(to);
        match self.surroundings.code.index(to) {
            Some(index) => {
                let at = self.surroundings.table + 8 * index as u64;
                let at = self.builder.ins().iconst(I64, at as i64);
                self.chain(at, pc);
            }
            None => {
                let left = self.builder.use_var(self.left);
                self.give_back(pc, left);
            }
        }
    }

    /// Goes to a block of the region if that is where a jump leads.
    fn go_to_if(&mut self, target: Value, site: u32) {
        let Some((block, _)) = self.blocks.get(&site).copied() else { return };
        let same = self.builder.ins().icmp_imm_u(IntCC::Equal, target, i64::from(site));
        let other = self.builder.create_block();
        self.builder.ins().brif(same, block, &[] as &[BlockArg], other, &[] as &[BlockArg]);
        self.builder.seal_block(other);
        self.builder.switch_to_block(other);
    }

    /// Goes to an address that is not known before.
    fn chain_indirect(&mut self, target: Value) {
        let code = self.surroundings.code;
        let offset = self.builder.ins().iadd_imm_s(target, -i64::from(code.start));
        let index = self.builder.ins().rotr_imm_u(offset, 2);
        let inside = self.builder.ins().icmp_imm_u(IntCC::UnsignedLessThan, index, code.words.len() as i64);
        let (look, give_up) = (self.builder.create_block(), self.cold_block());
        self.builder.ins().brif(inside, look, &[] as &[BlockArg], give_up, &[] as &[BlockArg]);
        self.builder.seal_block(give_up);
        self.builder.switch_to_block(give_up);
        let left = self.builder.use_var(self.left);
        self.give_back(target, left);

        self.builder.seal_block(look);
        self.builder.switch_to_block(look);
        let index = self.builder.ins().uextend(I64, index);
        let offset = self.builder.ins().ishl_imm_u(index, 3);
        let table = self.builder.ins().iconst(I64, self.surroundings.table as i64);
        let at = self.builder.ins().iadd(table, offset);
        self.chain(at, target);
    }

    /// Calls what a place of the table points to, or returns if that is null. Registers are stored.
    fn chain(&mut self, at: Value, pc: Value) {
        let left = self.builder.use_var(self.left);
        let region = self.builder.ins().load(I64, NATIVE, at, 0);
        let (call, give_up) = (self.builder.create_block(), self.cold_block());
        self.builder.ins().brif(region, call, &[] as &[BlockArg], give_up, &[] as &[BlockArg]);
        self.builder.seal_block(give_up);
        self.builder.switch_to_block(give_up);
        self.give_back(pc, left);
        self.builder.seal_block(call);
        self.builder.switch_to_block(call);
        self.builder.ins().return_call_indirect(self.signature, region, &[self.memory, left]);
    }
}
