//! Signatures, and the witness items in which Script reads them.

use bitcoin::script::read_scriptint_non_minimal;

use super::key::hash_times;
use super::{Layout, Link, MAX_DIGIT, Message, OtsError, PublicKey};

/// A signature: the digits that it signs (checksum included) and a link of the chain of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    pub(super) digits: Vec<u8>,
    pub(super) links: Vec<Link>,
}

/// Whether `signature` is `key`'s on `message`.
pub fn verify(key: &PublicKey, message: &Message, signature: &Signature) -> bool {
    signature.digits == message.signed_digits() && signature.opens(key)
}

impl Signature {
    /// The items that [`super::script_commit`] consumes, the deepest first.
    ///
    /// A digit `d` is split in `far` (1 if d < 8: its link is at least 8 hashes from the end) and `index = d mod 8`. First
    /// every digit's index, in the order in which they are signed; then, from the last digit to the first, its link and
    /// `far`.
    pub fn witness(&self) -> Vec<Vec<u8>> {
        let mut items: Vec<Vec<u8>> = self.digits.iter().map(|d| number(d & 7)).collect();
        for (digit, link) in self.digits.iter().zip(&self.links).rev() {
            items.push(link.to_vec());
            items.push(number(u8::from(*digit < 8)));
        }
        items
    }

    /// The items that [`super::script_read`] consumes, the deepest first: each digit's link and the digit, in the order
    /// in which they are signed.
    pub fn pairs(&self) -> Vec<Vec<u8>> {
        self.links.iter().zip(&self.digits).flat_map(|(link, digit)| [link.to_vec(), number(*digit)]).collect()
    }

    /// The digits that are signed, the checksum's last.
    pub fn digits(&self) -> &[u8] {
        &self.digits
    }

    /// What is signed; `None` if it was not made for the layout, or the checksum is wrong.
    pub fn message(&self, layout: &Layout) -> Option<Message> {
        let digits = self.digits.get(..layout.message_digits())?;
        if digits.iter().any(|digit| *digit > MAX_DIGIT) {
            return None;
        }
        let message = Message::from_digits(layout, digits.to_vec());
        (message.signed_digits() == self.digits).then_some(message)
    }

    /// Whether every link leads to the end of its chain in `key`.
    fn opens(&self, key: &PublicKey) -> bool {
        self.links.len() == key.0.len()
            && self.digits.len() == key.0.len()
            && self
                .digits
                .iter()
                .zip(&self.links)
                .zip(&key.0)
                .all(|((&d, &link), &end)| d <= MAX_DIGIT && hash_times(link, MAX_DIGIT - d) == end)
    }
}

/// Reads back what a witness that [`super::script_commit`] accepts says. The items are the gadget's alone.
///
/// Whatever Bitcoin's consensus lets the script accept is read, so numbers that are not minimally encoded are too.
///
/// # Errors
/// If the witness is not of the form, the checksum is wrong or the key did not sign.
pub fn parse_witness<T: AsRef<[u8]>>(layout: &Layout, key: &PublicKey, items: &[T]) -> Result<Message, OtsError> {
    Signature::from_witness(layout, key, items)?.message(layout).ok_or(OtsError::NotSigned)
}

impl Signature {
    /// The signature in a witness that [`super::script_commit`] accepts.
    ///
    /// # Errors
    /// As [`parse_witness`].
    pub fn from_witness<T: AsRef<[u8]>>(layout: &Layout, key: &PublicKey, items: &[T]) -> Result<Self, OtsError> {
        let count = layout.signed_digits();
        if items.len() != 3 * count {
            return Err(OtsError::Witness("wrong number of items"));
        }
        let (indices, pairs) = items.split_at(count);
        let mut digits = Vec::with_capacity(count);
        let mut links = Vec::with_capacity(count);
        for (index, pair) in indices.iter().zip(pairs.chunks(2).rev()) {
            let index = match read_scriptint_non_minimal(index.as_ref()) {
                Ok(n @ 0..=7) => n as u8,
                _ => return Err(OtsError::Witness("an index is not a number from 0 to 7")),
            };
            let near = match pair[1].as_ref() {
                [] => 8,
                [1] => 0,
                _ => return Err(OtsError::Witness("what tells the halves of a chain apart is not a minimal boolean")),
            };
            digits.push(index + near);
            links.push(link(pair[0].as_ref())?);
        }
        Signature { digits, links }.checked(layout, key)
    }

    /// The signature in a witness that [`super::script_commit_pairs`] or [`super::script_commit_and_read`] accepts. The
    /// items are the gadget's alone. [`super::script_read`] accepts it if no digit in it is above 15.
    ///
    /// # Errors
    /// As [`parse_witness`].
    pub fn from_pairs<T: AsRef<[u8]>>(layout: &Layout, key: &PublicKey, items: &[T]) -> Result<Self, OtsError> {
        if items.len() != 2 * layout.signed_digits() {
            return Err(OtsError::Witness("wrong number of items"));
        }
        let mut digits = Vec::with_capacity(items.len() / 2);
        let mut links = Vec::with_capacity(items.len() / 2);
        for pair in items.chunks(2) {
            links.push(link(pair[0].as_ref())?);
            match read_scriptint_non_minimal(pair[1].as_ref()) {
                // What is above, Script takes for the greatest digit.
                Ok(digit @ 0..) => digits.push(digit.min(i64::from(MAX_DIGIT)) as u8),
                _ => return Err(OtsError::Witness("a digit is not a number")),
            }
        }
        Signature { digits, links }.checked(layout, key)
    }

    fn checked(self, layout: &Layout, key: &PublicKey) -> Result<Self, OtsError> {
        if self.message(layout).is_none() {
            return Err(OtsError::Witness("the checksum is wrong"));
        }
        if self.opens(key) { Ok(self) } else { Err(OtsError::NotSigned) }
    }
}

fn link(item: &[u8]) -> Result<Link, OtsError> {
    item.try_into().map_err(|_| OtsError::Witness("a link is not 20 bytes long"))
}

/// A digit as a minimal script number: nothing for 0, one byte otherwise.
fn number(value: u8) -> Vec<u8> {
    if value == 0 { Vec::new() } else { vec![value] }
}
