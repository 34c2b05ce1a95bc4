//! The program that the machine runs: is step i of the history right (PROTOCOL §5, §6)?
//!
//! It is the Layer 2 function, which reads the block and the state by UNHASH, and compares what comes of them with what
//! is claimed. ECALL is yes, EBREAK no. Nothing that a block contains makes it panic; were it to, it would execute an
//! illegal instruction, so that a run that ended so can be told from a verdict.
#![no_std]
#![no_main]

mod heap;
mod instructions;

use instructions::{Unhash, accept, digest, illegal, input, reject};
use trestle_rollup::preimages::UnhashedBlock;
use trestle_rollup::state::At;
use trestle_rollup::{Entry, Error, SlotId, apply, claim_holds};

#[global_allocator]
static HEAP: heap::Heap = heap::Heap::new();

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    illegal()
}

/// Where the machine starts, with x2 = 0xFFFF_F000 and an otherwise empty memory.
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    if step_is_right() { accept() } else { reject() }
}

/// Whether entry i follows from entry i − 1 by block i, or, after the last entry N, the claim holds.
fn step_is_right() -> bool {
    let previous = Entry { block_hash: digest!(0), state_root: digest!(8) };
    let (index, last) = (input::<32>(), input::<33>());
    if (1..=last).contains(&index) {
        let next = Entry { block_hash: digest!(16), state_root: digest!(24) };
        follows(&previous, &next)
    } else if last.checked_add(1) == Some(index) {
        let prefix = input::<34>().to_le_bytes();
        let [operator, denomination, s0, s1] = input::<35>().to_le_bytes();
        let [s2, s3, ..] = input::<36>().to_le_bytes();
        let slot = SlotId::from_bytes([operator, denomination, s0, s1, s2, s3]);
        let confirmations = input::<37>();
        let mut state = At { host: &mut Unhash, root: previous.state_root };
        claim_holds(&mut state, &previous, slot, confirmations, prefix).unwrap_or(false)
    } else {
        false
    }
}

/// Whether `next` is what the Layer 2 function makes of `previous` and the block with `next`'s hash.
fn follows(previous: &Entry, next: &Entry) -> bool {
    let mut block = UnhashedBlock::new(next.block_hash, Unhash);
    match apply(previous, &mut block, &mut Unhash, &mut ()) {
        Ok(applied) => applied.entry == *next,
        // Not the child of the previous block; or digests that are not of what they should be of, which no entry of a
        // history has.
        Err(Error::NotChild | Error::State(_) | Error::Block(_)) => false,
    }
}
