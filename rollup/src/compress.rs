//! The one primitive (PROTOCOL §2): a single SHA-256 compression.
//!
//! Every digest of the Layer 2 state is one application of [`compress`], so that one Script gadget can judge any
//! of them. Each kind of node has its own chaining constant: a digest of one kind is never one of another.

use sha2::block_api::compress256;
use sha2::{Digest as _, Sha256};

/// 32 bytes that came out of a hash, in the order in which the hash wrote them.
pub type Digest = [u8; 32];

/// SHA-256's initial chaining value (FIPS 180-4 §5.3.3), big-endian.
pub const IV: Digest =
    constant([0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19]);
/// Chaining constant of a history entry: `R_h = C(IV_R, block_hash ‖ state_root)`. It is `C(IV, "IV_R")`.
pub const IV_R: Digest =
    constant([0x4ef9ecf6, 0x7a86c14c, 0x7d295760, 0x90fbfe57, 0x6746371b, 0xb9949baf, 0xd882901f, 0x8ecba159]);
/// Chaining constant of an inner node of the state tree: `C(IV, "IV_INNER")`.
pub const IV_INNER: Digest =
    constant([0xbdf7bd97, 0x1044b6dd, 0xad6752b2, 0xce22cd0d, 0xb0a727dc, 0x249e9b53, 0xa286f62d, 0x3db0aa00]);
/// Chaining constant of a leaf of the state tree: `C(IV, "IV_LEAF")`.
pub const IV_LEAF: Digest =
    constant([0xf6ecfe11, 0x7247ab22, 0x7601ee04, 0xb7341dac, 0x94919fe8, 0xdc550171, 0x66017f7d, 0x00ccfa43]);
/// Chaining constant of a state key: `C(IV, "IV_KEY")`.
pub const IV_KEY: Digest =
    constant([0x89044b87, 0xd78d46da, 0xf14d1672, 0x570f0440, 0xbe1cad4f, 0x16a4c4e3, 0x17a4619d, 0x1976b8d0]);
/// Chaining constant of a node of the machine's memory tree (PROTOCOL §5): `C(IV, "IV_MEMORY")`.
pub const IV_MEMORY: Digest =
    constant([0x2f1137dc, 0x80376d26, 0xdf75ffea, 0x9553b866, 0x1ca60e02, 0xf476c80e, 0x118b0385, 0xe067876f]);

/// One SHA-256 compression: 32-byte chaining value `m`, 64-byte block `b`, no padding (PROTOCOL §1).
#[must_use]
pub fn compress(m: &Digest, b: &[u8; 64]) -> Digest {
    let mut state = [0u32; 8];
    for (word, bytes) in state.iter_mut().zip(m.as_chunks().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    compress256(&mut state, core::slice::from_ref(b));
    constant(state)
}

/// BIP 340's tagged hash: `SHA256(SHA256(tag) ‖ SHA256(tag) ‖ parts…)`.
#[must_use]
pub fn tagged_hash(tag: &str, parts: &[&[u8]]) -> Digest {
    let tag = Sha256::digest(tag.as_bytes());
    let mut hash = Sha256::new().chain_update(tag).chain_update(tag);
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// Bitcoin's double SHA-256 of the concatenation of `parts`.
#[must_use]
pub fn sha256d(parts: &[&[u8]]) -> Digest {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    Sha256::digest(hash.finalize()).into()
}

/// Eight words as 32 big-endian bytes.
const fn constant(words: [u32; 8]) -> Digest {
    let [a, b, c, d, e, f, g, h] = words;
    let (a, b, c, d) = (a.to_be_bytes(), b.to_be_bytes(), c.to_be_bytes(), d.to_be_bytes());
    let (e, f, g, h) = (e.to_be_bytes(), f.to_be_bytes(), g.to_be_bytes(), h.to_be_bytes());
    [
        a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3], c[0], c[1], c[2], c[3], d[0], d[1], d[2], d[3], //
        e[0], e[1], e[2], e[3], f[0], f[1], f[2], f[3], g[0], g[1], g[2], g[3], h[0], h[1], h[2], h[3],
    ]
}
