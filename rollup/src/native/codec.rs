//! Events on disk: a version byte, then each event's kind and fields, integers little-endian.

use crate::destination::Destination;
use crate::event::{Event, Skip};
use crate::execute::Refusal;
use crate::identifiers::{Account, OutPoint, SlotId, Txid, WithdrawalId};
use crate::tag::AdminOperation;
use crate::wire::Reader;

/// The version of this encoding.
const VERSION: u8 = 2;

/// Events as they are kept.
pub(super) fn encode(events: &[Event]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(events.len().saturating_mul(113)); // a transfer's size
    bytes.push(VERSION);
    events.iter().for_each(|event| event.put(&mut bytes));
    bytes
}

/// Reads all of what [`encode`] wrote.
pub(super) fn decode(bytes: &[u8]) -> Option<Vec<Event>> {
    let mut from = Reader::new(bytes);
    if from.u8()? != VERSION {
        return None;
    }
    let mut events = Vec::new();
    while !from.is_empty() {
        events.push(Event::take(&mut from)?);
    }
    Some(events)
}

/// Something with one encoding.
trait Field: Sized {
    fn put(&self, to: &mut Vec<u8>);
    fn take(from: &mut Reader<'_>) -> Option<Self>;
}

macro_rules! integers {
    ($($type:ident),*) => {$(
        impl Field for $type {
            fn put(&self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.to_le_bytes());
            }
            fn take(from: &mut Reader<'_>) -> Option<Self> {
                from.$type()
            }
        }
    )*};
}
integers!(u8, u32, u64);

impl<const N: usize> Field for [u8; N] {
    fn put(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(self);
    }
    fn take(from: &mut Reader<'_>) -> Option<Self> {
        from.array()
    }
}

impl Field for bool {
    fn put(&self, to: &mut Vec<u8>) {
        to.push(u8::from(*self));
    }
    fn take(from: &mut Reader<'_>) -> Option<Self> {
        match from.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

/// Something that is another field by another name.
macro_rules! newtypes {
    ($($type:ident = $put:expr, $take:expr;)*) => {$(
        impl Field for $type {
            fn put(&self, to: &mut Vec<u8>) {
                $put(self).put(to);
            }
            fn take(from: &mut Reader<'_>) -> Option<Self> {
                Field::take(from).map($take)
            }
        }
    )*};
}
newtypes! {
    Account = |account: &Account| account.0, Account;
    Txid = |txid: &Txid| txid.0, Txid;
    WithdrawalId = |id: &WithdrawalId| id.0, WithdrawalId;
    SlotId = |slot: &SlotId| slot.to_bytes(), SlotId::from_bytes;
    OutPoint = OutPoint::to_bytes, |bytes: [u8; 36]| OutPoint::from_bytes(&bytes);
}

impl Field for Destination {
    fn put(&self, to: &mut Vec<u8>) {
        self.encode(to);
    }
    fn take(from: &mut Reader<'_>) -> Option<Self> {
        Self::decode(from)
    }
}

/// Enums: one byte that says which, and its fields in the order given.
macro_rules! enums {
    ($($type:ident { $($kind:literal => $variant:ident $({ $($field:ident),* })?,)* })*) => {$(
        impl Field for $type {
            fn put(&self, to: &mut Vec<u8>) {
                match self {$(
                    Self::$variant $({ $($field),* })? => {
                        to.push($kind);
                        $($($field.put(to);)*)?
                    }
                )*}
            }
            fn take(from: &mut Reader<'_>) -> Option<Self> {
                Some(match from.u8()? {
                    $($kind => Self::$variant $({ $($field: Field::take(from)?),* })?,)*
                    _ => return None,
                })
            }
        }
    )*};
}
enums! {
    Event {
        0 => Minted { txid, outpoint, account, denomination },
        1 => Batch { number, txid, applied, skipped, fees },
        2 => Forced { txid, applied },
        3 => Transferred { txid, from, to, amount, fee },
        4 => WithdrawalRequested { txid, id, from, denomination, destination },
        5 => Paid { txid, id, slot },
        6 => PaidCooperatively { txid, id },
        7 => Administered { txid, operation },
        8 => Skipped { txid, why },
        9 => SequencersChanged { txid, set, from },
    }
    AdminOperation {
        0 => SetOperator { index, key },
        1 => RetireOperator { index },
    }
    Skip {
        0 => Malformed,
        1 => NotAVault,
        2 => NotADenomination,
        3 => MaybeRefund,
        4 => CommitteeSignature,
        5 => Overflow,
        6 => UnknownWithdrawal,
        7 => AlreadyPaid,
        8 => WrongScript,
        9 => TooLittle,
        10 => SlotDenomination,
        11 => NotAssigned,
        12 => SlotUsed,
        13 => BatchNumber,
        14 => Certificate,
        15 => Refused { refusal },
        16 => Administration,
        17 => AccountIndex,
        18 => Aggregate,
        19 => SetNumber,
        20 => Members,
        21 => Majority,
    }
    Refusal {
        0 => Signature,
        1 => Nonce { expected },
        2 => ZeroAmount,
        3 => UnknownDenomination,
        4 => Balance { available },
        5 => Overflow,
    }
}
