//! The machine's own instructions, and its two ways to halt.

use core::arch::asm;
use core::convert::Infallible;

use trestle_rollup::{Digest, Host};

/// Where the machine looks for the digest that UNHASH is asked about.
const KEY: *mut u32 = core::ptr::with_exposed_provenance_mut(0x20);

/// INPUT: word `INDEX` of the input.
#[inline(always)]
pub fn input<const INDEX: u32>() -> u32 {
    let word;
    // SAFETY: it writes one register and reads no memory. The indices used here are below 38, so it does not trap.
    unsafe {
        asm!(".insn i 0x2b, 0, {word}, x0, {index}", word = lateout(reg) word, index = const INDEX,
            options(pure, nomem, nostack, preserves_flags));
    }
    word
}

/// UNHASH: word `INDEX` of the 96 bytes `m ‖ b` for which `C(m, b)` is the key.
#[inline(always)]
fn unhash<const INDEX: u32>() -> u32 {
    const { assert!(INDEX < 24) };
    let word;
    // SAFETY: it writes one register and reads the key alone, which is ordinary memory. It is not `pure`: its result is
    // another for another key.
    unsafe {
        asm!(".insn r 0x0b, 0, 0, {word}, {index}, x0", word = lateout(reg) word, index = in(reg) INDEX,
            options(readonly, nostack, preserves_flags));
    }
    word
}

/// ECALL: yes.
pub fn accept() -> ! {
    // SAFETY: the machine halts.
    unsafe { asm!("ecall", options(noreturn, nomem, nostack)) }
}

/// EBREAK: no.
pub fn reject() -> ! {
    // SAFETY: the machine halts.
    unsafe { asm!("ebreak", options(noreturn, nomem, nostack)) }
}

/// No instruction of the machine: it rejects, and says that it was not by EBREAK.
pub fn illegal() -> ! {
    // SAFETY: the machine halts.
    unsafe { asm!("unimp", options(noreturn, nomem, nostack)) }
}

/// Whoever answers for preimages in the machine: the machine.
#[derive(Clone, Copy, Debug)]
pub struct Unhash;

impl Host for Unhash {
    type Error = Infallible;

    #[inline]
    fn preimage(&mut self, digest: &Digest) -> Result<(Digest, [u8; 64]), Infallible> {
        for (word, bytes) in digest.as_chunks().0.iter().enumerate() {
            // SAFETY: one of the key's eight words: aligned, and no part of the image, the heap or the stack.
            unsafe { KEY.add(word).write_volatile(u32::from_le_bytes(*bytes)) };
        }
        macro_rules! words {
            ($($index:literal)*) => { [$(unhash::<$index>().to_le_bytes()),*] };
        }
        let m = words!(0 1 2 3 4 5 6 7);
        let b = words!(8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23);
        Ok((flat(&m), flat(&b)))
    }
}

/// Words' bytes in order.
#[inline(always)]
pub fn flat<const N: usize>(words: &[[u8; 4]]) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.as_chunks_mut().0.iter_mut().zip(words).for_each(|(to, from)| *to = *from);
    bytes
}

/// Eight input words from a literal index on, as a digest.
macro_rules! digest {
    ($first:literal) => {
        $crate::instructions::flat::<32>(&[
            input::<$first>().to_le_bytes(),
            input::<{ $first + 1 }>().to_le_bytes(),
            input::<{ $first + 2 }>().to_le_bytes(),
            input::<{ $first + 3 }>().to_le_bytes(),
            input::<{ $first + 4 }>().to_le_bytes(),
            input::<{ $first + 5 }>().to_le_bytes(),
            input::<{ $first + 6 }>().to_le_bytes(),
            input::<{ $first + 7 }>().to_le_bytes(),
        ])
    };
}
pub(crate) use digest;
