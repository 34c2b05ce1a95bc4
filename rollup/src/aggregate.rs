//! Half-aggregation: many BIP 340 signatures in 32 bytes each and one scalar.
//!
//! After the draft "Half-Aggregation of BIP 340 signatures" (BlockstreamResearch/cross-input-aggregation). Of each
//! signature `(R_i, s_i)` by `P_i` over `m_i` the first half stays; of the second halves one sum is left, `s = Σ z_i·s_i`,
//! with `z_0 = 1` and `z_i = hash_HalfAgg/randomizer(R_0 ‖ P_0 ‖ m_0 ‖ … ‖ R_i ‖ P_i ‖ m_i)`. It is valid if
//! `s·G = Σ z_i·(R_i + e_i·P_i)`. Each factor covers all keys, messages and nonces up to its own, so that none can be
//! chosen to make up for another one that is not signed (Chen and Zhao, eprint 2022/222).
//!
//! Natively and in the guest it is the same code that decides.

#![allow(clippy::arithmetic_side_effects, reason = "the operators are those of the group and its scalars")]

use alloc::vec;
use alloc::vec::Vec;

use k256::elliptic_curve::ff::PrimeField as _;
use k256::elliptic_curve::ops::Reduce as _;
use k256::elliptic_curve::point::DecompactPoint as _;
use k256::{AffinePoint, FieldBytes, ProjectivePoint, Scalar};
use sha2::{Digest as _, Sha256};

use crate::compress::Digest;

/// The most signatures in one aggregate: the draft's limit.
pub const MAX_SIGNATURES: usize = 0xffff;

/// Signatures whose terms are summed at once, which bounds the memory for them.
const SUMMED_AT_ONCE: usize = 2048;

/// What is left of one signature in an aggregate, with what it is to be valid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HalfSignature {
    /// The x-only public key.
    pub key: [u8; 32],
    /// The 32-byte message.
    pub message: Digest,
    /// The signature's first half, `R.x`.
    pub nonce: [u8; 32],
}

/// Whether `sum` is the aggregate of valid signatures.
#[must_use]
pub fn verify(signatures: &[HalfSignature], sum: &[u8; 32]) -> bool {
    let terms = |factors: Vec<Scalar>| total(signatures, &factors);
    verify_with(signatures, sum, terms)
}

/// As [`verify`], with the terms added up by `total`: what [`total`] makes of all signatures and their factors.
pub(crate) fn verify_with(
    signatures: &[HalfSignature],
    sum: &[u8; 32],
    total: impl FnOnce(Vec<Scalar>) -> Option<ProjectivePoint>,
) -> bool {
    if signatures.len() > MAX_SIGNATURES {
        return false;
    }
    let Some(sum) = Scalar::from_repr((*sum).into()).into_option() else {
        return false;
    };
    total(factors(signatures)).is_some_and(|total| total == ProjectivePoint::mul_by_generator_vartime(&sum))
}

/// `Σ z_i·(R_i + e_i·P_i)`; `None` if a key or a nonce is no point.
pub(crate) fn total(signatures: &[HalfSignature], factors: &[Scalar]) -> Option<ProjectivePoint> {
    let challenge = tagged("BIP0340/challenge");
    let mut total = ProjectivePoint::IDENTITY;
    let mut terms = Vec::with_capacity(signatures.len().min(SUMMED_AT_ONCE).saturating_mul(2));
    for (signatures, factors) in signatures.chunks(SUMMED_AT_ONCE).zip(factors.chunks(SUMMED_AT_ONCE)) {
        terms.clear();
        for (signature, factor) in signatures.iter().zip(factors) {
            let HalfSignature { key, message, nonce } = signature;
            let hash = challenge.clone().chain_update(nonce).chain_update(key).chain_update(message).finalize();
            terms.push(Term::new(lift(nonce)?, factor));
            terms.push(Term::new(lift(key)?, &(*factor * reduced(hash.into()))));
        }
        total += combine(&terms);
    }
    Some(total)
}

/// The factor z_i of each signature.
fn factors(signatures: &[HalfSignature]) -> Vec<Scalar> {
    let mut transcript = tagged("HalfAgg/randomizer");
    let factor = |(index, signature): (usize, &HalfSignature)| {
        transcript.update(signature.nonce);
        transcript.update(signature.key);
        transcript.update(signature.message);
        if index == 0 { Scalar::ONE } else { reduced(transcript.clone().finalize().into()) }
    };
    signatures.iter().enumerate().map(factor).collect()
}

/// The scalar that is left of valid signatures' second halves. With one that is not valid, it is valid for none.
#[cfg(feature = "std")]
#[must_use]
pub fn aggregate(checks: &[crate::SignatureCheck]) -> [u8; 32] {
    let (halves, seconds): (Vec<_>, Vec<_>) = checks
        .iter()
        .map(|check| {
            let (first, second) = check.signature.split_at(32);
            let nonce = crate::wire::pack(&[first]);
            let half = HalfSignature { key: check.key, message: check.message, nonce };
            (half, reduced(crate::wire::pack(&[second])))
        })
        .unzip();
    let sum = factors(&halves).iter().zip(&seconds).fold(Scalar::ZERO, |sum, (factor, s)| sum + *factor * s);
    sum.to_bytes().into()
}

/// BIP 340's tagged hash, before the message.
fn tagged(tag: &str) -> Sha256 {
    let tag = Sha256::digest(tag.as_bytes());
    Sha256::new().chain_update(tag).chain_update(tag)
}

fn reduced(bytes: [u8; 32]) -> Scalar {
    Scalar::reduce(&FieldBytes::from(bytes))
}

/// BIP 340's `lift_x`: the point with this x and an even y.
fn lift(x: &[u8; 32]) -> Option<AffinePoint> {
    AffinePoint::decompact(&FieldBytes::from(*x)).into_option()
}

/// A point and its scalar, least significant byte first.
struct Term {
    point: AffinePoint,
    scalar: [u8; 32],
}

impl Term {
    fn new(point: AffinePoint, scalar: &Scalar) -> Self {
        let mut scalar: [u8; 32] = scalar.to_bytes().into();
        scalar.reverse();
        Self { point, scalar }
    }

    /// Booth's digit at `bit`: of the `width` bits from there and the one below, from −2^(width−1) to 2^(width−1). The
    /// digits, each times 2^bit, add up to the scalar.
    fn digit(&self, bit: usize, width: usize) -> i32 {
        // Bits bit − 1 to bit + width − 1; the one below the lowest is zero, as those above the highest are.
        let low = bit.saturating_sub(1);
        let byte = |offset: usize| self.scalar.get((low / 8).saturating_add(offset)).copied().unwrap_or_default();
        let bits = u32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)]) >> (low % 8);
        let bits = if bit == 0 { bits << 1 } else { bits };
        let window = bits & ((2 << width) - 1);
        let rounded = (window >> 1).wrapping_add(window & 1).cast_signed();
        if window >> width == 0 { rounded } else { rounded.wrapping_sub(1 << width) }
    }
}

/// `Σ scalar·point`, by Pippenger's buckets. Its time depends on the scalars, which are public.
fn combine(terms: &[Term]) -> ProjectivePoint {
    let width = width(terms.len());
    let mut buckets = vec![ProjectivePoint::IDENTITY; 1 << width.saturating_sub(1)];
    let mut total = ProjectivePoint::IDENTITY;
    // One window more than 256 bits have: the highest digit can carry.
    for window in (0..=256 / width).rev() {
        for _ in 0..width {
            total.double_in_place();
        }
        buckets.fill(ProjectivePoint::IDENTITY);
        for term in terms {
            let digit = term.digit(window.saturating_mul(width), width);
            let bucket = usize::try_from(digit.unsigned_abs()).unwrap_or_default().checked_sub(1);
            if let Some(bucket) = bucket.and_then(|bucket| buckets.get_mut(bucket)) {
                *bucket += if digit < 0 { -term.point } else { term.point };
            }
        }
        // Bucket i counts i + 1 times: it is in as many of the sums from the last one on.
        let mut sum = ProjectivePoint::IDENTITY;
        for bucket in buckets.iter().rev() {
            sum += bucket;
            total += &sum;
        }
    }
    total
}

/// The width of a window with which so many terms take the fewest additions, or nearly so.
fn width(terms: usize) -> usize {
    let bits = terms.checked_ilog2().and_then(|bits| usize::try_from(bits).ok()).unwrap_or_default();
    bits.saturating_sub(2).clamp(2, 10)
}
