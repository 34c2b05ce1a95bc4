//! A real block: 00000000000000000000c835b2adcaedc20fdf6ee440009c249452c726dafae of Bitcoin's main chain.

use bitcoin::consensus::encode::deserialize;

/// The block as Bitcoin serializes it.
pub const RAW: &[u8] = include_bytes!(
    "../../../tests/data/mainnet_block_000000000000000000000c835b2adcaedc20fdf6ee440009c249452c726dafae.raw"
);

/// The block as rust-bitcoin reads it.
pub fn block() -> bitcoin::Block {
    deserialize(RAW).expect("a block")
}
