//! Which fields a message has, and how they become digits.

use super::{DIGIT_BITS, MAX_DIGIT, OtsError};

/// One field of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name, for errors and documentation.
    pub name: &'static str,
    /// Its length in digits. A byte is two of them, the high one first.
    pub digits: usize,
}

impl Field {
    /// A field of whole bytes.
    #[must_use]
    pub const fn bytes(name: &'static str, bytes: usize) -> Self {
        Field { name, digits: 2 * bytes }
    }

    /// How many bytes the field is given in: of an odd number of digits the first byte has only its lower half.
    fn byte_length(&self) -> usize {
        self.digits.div_ceil(2)
    }
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
pub const CLAIM: Layout = Layout { name: "claim", fields: &[Field::bytes("N", 2), Field::bytes("block_hash", 4)] };

/// A message: one digit an item, the checksum not included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    layout: Layout,
    digits: Vec<u8>,
}

impl Layout {
    /// Number of digits of a message, without the checksum.
    pub fn message_digits(&self) -> usize {
        self.fields.iter().map(|f| f.digits).sum()
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

    /// A message from its fields' bytes. A field with an odd number of digits begins with half a byte, the upper half of
    /// the first byte given being zero.
    ///
    /// # Errors
    /// If there are not as many fields, or a field is not as long, as the layout says.
    pub fn encode(&self, fields: &[&[u8]]) -> Result<Message, OtsError> {
        if fields.len() != self.fields.len() {
            return Err(OtsError::FieldCount { layout: self.name, expected: self.fields.len(), got: fields.len() });
        }
        let mut digits = Vec::with_capacity(self.message_digits());
        for (field, bytes) in self.fields.iter().zip(fields) {
            let odd = field.digits % 2;
            let overfull = odd == 1 && bytes.first().is_some_and(|first| first >> 4 != 0);
            if bytes.len() != field.byte_length() || overfull {
                return Err(OtsError::FieldLength {
                    layout: self.name,
                    field: field.name,
                    expected: field.digits,
                    got: 2 * bytes.len() - usize::from(odd == 1 && !overfull),
                });
            }
            digits.extend(bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).skip(odd));
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

    /// The bytes of the field at `index`, as they were given to [`Layout::encode`]; empty if there is no such field.
    pub fn field(&self, index: usize) -> Vec<u8> {
        let Some(field) = self.layout.fields.get(index) else { return Vec::new() };
        let start: usize = self.layout.fields[..index].iter().map(|f| f.digits).sum();
        let digits = &self.digits[start..start + field.digits];
        digits.rchunks(2).rev().map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect()
    }

    /// The message's digits, the checksum's not included.
    pub fn digits(&self) -> &[u8] {
        &self.digits
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
