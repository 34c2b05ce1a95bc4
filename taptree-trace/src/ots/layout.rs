//! Which fields a message has, and how they become digits.

use super::{DIGIT_BITS, MAX_DIGIT, OtsError};

/// One field of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name, for errors and documentation.
    pub name: &'static str,
    /// Its length in bytes; each is two digits, the high one first.
    pub bytes: usize,
}

/// The fields of one kind of message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// The message's name.
    pub name: &'static str,
    /// Its fields in order.
    pub fields: &'static [Field],
}

/// What a claim says: "my slot is fulfilled in the Layer 2 at height h0 + N, and block h0 + N starts so"
/// (docs/protocol.md, Claim). N is 16 bits, big endian; the prefix is the first four bytes of the block's
/// hash in the order in which it is hashed (the last four as it is displayed).
pub const CLAIM: Layout =
    Layout { name: "claim", fields: &[Field { name: "N", bytes: 2 }, Field { name: "block_hash", bytes: 4 }] };

/// A message: one digit an item, the checksum not included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    layout: Layout,
    digits: Vec<u8>,
}

impl Layout {
    /// Number of digits of a message, without the checksum.
    pub fn message_digits(&self) -> usize {
        self.fields.iter().map(|f| f.bytes * 8 / DIGIT_BITS).sum()
    }

    /// Number of digits of the checksum, which is at most 15 times the number of digits.
    pub fn checksum_digits(&self) -> usize {
        let mut most = self.message_digits() * MAX_DIGIT as usize;
        let mut digits = 0;
        while most > 0 {
            most >>= DIGIT_BITS;
            digits += 1;
        }
        digits
    }

    /// Number of digits that are signed, and of links in a public key.
    pub fn signed_digits(&self) -> usize {
        self.message_digits() + self.checksum_digits()
    }

    /// A message from its fields' bytes.
    ///
    /// # Errors
    /// If there are not as many fields, or a field is not as long, as the layout says.
    pub fn encode(&self, fields: &[&[u8]]) -> Result<Message, OtsError> {
        if fields.len() != self.fields.len() {
            return Err(OtsError::FieldCount { layout: self.name, expected: self.fields.len(), got: fields.len() });
        }
        let mut digits = Vec::with_capacity(self.message_digits());
        for (field, bytes) in self.fields.iter().zip(fields) {
            if bytes.len() != field.bytes {
                return Err(OtsError::FieldLength {
                    layout: self.name,
                    field: field.name,
                    expected: field.bytes,
                    got: bytes.len(),
                });
            }
            digits.extend(bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]));
        }
        Ok(Message { layout: *self, digits })
    }
}

impl Message {
    pub(super) fn from_digits(layout: &Layout, digits: Vec<u8>) -> Self {
        Message { layout: *layout, digits }
    }

    /// The layout that the message was made for.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The bytes of the field at `index`; empty if there is no such field.
    pub fn field(&self, index: usize) -> Vec<u8> {
        let Some(field) = self.layout.fields.get(index) else { return Vec::new() };
        let start: usize = self.layout.fields[..index].iter().map(|f| 2 * f.bytes).sum();
        self.digits[start..start + 2 * field.bytes].chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    /// The digits in the order in which they are signed: the message's, then the checksum's, its lowest first.
    pub fn signed_digits(&self) -> Vec<u8> {
        let sum: usize = self.digits.iter().map(|&d| usize::from(d)).sum();
        let mut checksum = self.digits.len() * usize::from(MAX_DIGIT) - sum;
        let mut all = self.digits.clone();
        for _ in 0..self.layout.checksum_digits() {
            all.push((checksum & 15) as u8);
            checksum >>= DIGIT_BITS;
        }
        all
    }
}
