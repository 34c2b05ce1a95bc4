//! The fast executor: code that is executed often, compiled by Cranelift.
//!
//! It is the step function's servant. Compiled code makes only steps that neither halt nor trap nor ask for anything
//! (arithmetic, jumps, loads, and stores to pages that were written since the last snapshot), counts them exactly,
//! and stops *before* any other with the state as it is then, registers and pc in the register page; the step function
//! makes that one. What is compiled depends on how often it was executed, the states do not.
//!
//! Compiled code is memory safe whatever the program, even if its checks were wrong: it reaches the machine's memory only at
//! its start plus a 32-bit address, and flags of pages only at theirs plus a 22-bit number, and all of that is mapped
//! ([`Memory::base`]).

#![allow(unsafe_code, reason = "calls compiled code; nothing else in the crate does")]

mod access;
mod alu;
mod compiler;
mod flow;
mod region;
mod translate;

use std::fmt;
use std::sync::atomic::{AtomicPtr, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use compiler::{Compiler, Enter};
use region::{Code, Region};
use translate::Surroundings;

use crate::image::Image;
use crate::layout::{PAGE_BYTES, PC, TOP_PAGE};
use crate::memory::{Memory, MemoryError};
use crate::step::ReadMemory;

/// How often a place is come to before it is compiled.
const HOT: u8 = 20;
/// Stands for places that are not to be compiled.
const NEVER: u8 = u8::MAX;
/// Code words that may be compiled; more are executed by the step function.
const MOST_WORDS: usize = 1 << 22;

/// What was compiled of an image, once somebody ran it; none where Cranelift does not know the processor. A copy of an
/// image starts without: it may be changed.
#[derive(Default)]
pub struct Compiled(OnceLock<Option<Arc<Jit>>>);

/// The compiled code of one image.
pub struct Jit {
    code: Code,
    /// For each code word, the region that is entered there, or null. Compiled code reads it, too.
    table: Box<[AtomicPtr<u8>]>,
    /// For each code word, how often it was come to when there was no region, or [`NEVER`].
    heat: Box<[AtomicU8]>,
    compiler: Mutex<Compiler>,
    enter: Enter,
}

impl Compiled {
    /// The image's compiled code.
    pub fn of(image: &Image) -> Option<Arc<Jit>> {
        image.compiled.0.get_or_init(|| Jit::new(image).map(Arc::new)).clone()
    }
}

impl Clone for Compiled {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Compiled")
    }
}

impl Jit {
    fn new(image: &Image) -> Option<Self> {
        let words = (image.code.len() / 4).min(MOST_WORDS) as u32;
        let word = |index| image.memory.word(image.code.start + 4 * index);
        let code = Code { start: image.code.start, words: (0..words).map(word).collect() };
        let (compiler, enter) = Compiler::new()?;
        Some(Self {
            code,
            table: (0..words).map(|_| AtomicPtr::default()).collect(),
            heat: (0..words).map(|_| AtomicU8::default()).collect(),
            compiler: Mutex::new(compiler),
            enter,
        })
    }

    /// Makes up to `most` steps, and says how many. If it made fewer, then the next is not one for compiled code, or it
    /// was not executed often enough. `arrived` says that the last step did not lead here from the word before.
    ///
    /// # Errors
    /// If the memory has no room for the register page.
    pub fn run(&self, memory: &mut Memory, most: u64, arrived: bool) -> Result<u64, MemoryError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let (mut left, mut arrived) = (most, arrived);
        while let Some(region) = self.region(memory.word(PC), arrived) {
            // Compiled code takes x0 for zero, and stores registers unasked.
            memory.touch(TOP_PAGE / PAGE_BYTES as u32)?;
            if memory.word(TOP_PAGE) != 0 {
                break;
            }
            // SAFETY: `region` and `enter` are functions that `self.compiler` made for these parameters and still has.
            // Compiled code accesses memory only at `base` plus an unsigned 32-bit number, up to four bytes; at constant
            // offsets in the register page; and reads at `base` less `FLAGS_BYTES` plus a 22-bit number. `base` says
            // that it may, and `memory` is borrowed exclusively. Beside its stack it reads only pointers in
            // `self.table`, at numbers of words of the code, for each of which there is one; they are null or regions.
            let now = unsafe { (self.enter)(region, memory.base(), left) };
            if now == left {
                break;
            }
            (left, arrived) = (now, true);
        }
        Ok((most - left).unsigned_abs())
    }

    /// The region that is entered at `pc`, made if it is time.
    fn region(&self, pc: u32, arrived: bool) -> Option<*const u8> {
        let index = self.code.index(pc)?;
        let slot = self.table.get(index)?;
        let region = slot.load(Ordering::Acquire);
        if !region.is_null() {
            return Some(region);
        }
        let heat = self.heat.get(index)?;
        let before = heat.load(Ordering::Relaxed);
        if !arrived || before == NEVER {
            return None;
        }
        // Two machines may count as one now and then.
        heat.store(before + 1, Ordering::Relaxed);
        if before < HOT {
            return None;
        }
        heat.store(NEVER, Ordering::Relaxed);
        let region = Region::find(&self.code, pc);
        let surroundings = Surroundings { code: &self.code, table: self.table.as_ptr() as u64 };
        let mut compiler = self.compiler.lock().unwrap_or_else(PoisonError::into_inner);
        let compiled = (!region.blocks.is_empty()).then(|| compiler.compile(&region, surroundings))??;
        slot.store(compiled.cast_mut(), Ordering::Release);
        Some(compiled)
    }
}
