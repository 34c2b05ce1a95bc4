//! Where things are in the machine's memory, and the constants of its states (PROTOCOL §5).

use trestle_rollup::Digest;

/// Bytes of one leaf of the memory tree.
pub const LEAF_BYTES: usize = 32;
/// Levels of the memory tree over its leaves: 2^27 leaves of 32 bytes are 2^32 bytes.
pub const LEVELS: usize = 27;
/// Bytes of one page, the unit in which changes are tracked.
pub const PAGE_BYTES: usize = 4096;

/// The top page: registers and pc. Loads and stores at this address and above are rejected.
pub const TOP_PAGE: u32 = 0xffff_f000;
/// Where pc is kept.
pub const PC: u32 = 0xffff_f080;
/// The 32-byte leaf whose preimage UNHASH reads. Ordinary memory.
pub const KEY_ADDRESS: u32 = 0x20;
/// The stack pointer, x2, in the first state: just below the top page.
pub const INITIAL_SP: u32 = TOP_PAGE;

/// The number of steps of a trace, T.
pub const TRACE_STEPS: u64 = 1 << 44;

/// Stands for the state of a machine that has halted by ECALL: `C(IV, "HALT_ACCEPT")`.
pub const HALT_ACCEPT: Digest = [
    0x07, 0x84, 0xf7, 0xf7, 0x43, 0x0d, 0x76, 0xf4, 0x05, 0x15, 0x9e, 0xae, 0x8b, 0x98, 0xed, 0x0b, //
    0x00, 0x16, 0x48, 0xcb, 0x1c, 0x39, 0xbb, 0x26, 0x70, 0x22, 0x56, 0xb3, 0x7d, 0x22, 0x14, 0x97,
];
/// Stands for the state of a machine that has halted in any other way: `C(IV, "HALT_REJECT")`.
pub const HALT_REJECT: Digest = [
    0x13, 0x6c, 0x5a, 0x24, 0x6b, 0x39, 0x9e, 0xb1, 0x89, 0x13, 0x78, 0x3a, 0x66, 0x3a, 0x66, 0x72, //
    0x57, 0xa6, 0x0e, 0x53, 0x66, 0x25, 0x2d, 0xf6, 0x5a, 0x69, 0xca, 0xe8, 0x55, 0xb7, 0x49, 0x3a,
];

/// Where a register is kept.
#[must_use]
pub const fn register_address(register: u32) -> u32 {
    TOP_PAGE + 4 * (register & 31)
}

#[cfg(test)]
mod tests {
    use trestle_rollup::compress;
    use trestle_rollup::compress::IV;

    use super::*;

    #[test]
    fn the_halted_states_are_named_by_one_compression() {
        for (name, constant) in [("HALT_ACCEPT", HALT_ACCEPT), ("HALT_REJECT", HALT_REJECT)] {
            let mut block = [0; 64];
            block[..name.len()].copy_from_slice(name.as_bytes());
            assert_eq!(compress(&IV, &block), constant, "{name}");
        }
    }
}
