//! The leaves as a tree takes them.

use std::fmt::Debug;

use trestle_rollup::{Entry, SlotId};
use trestle_zkvm_adapter::Inputs;
use trestle_zkvm_adapter::instruction::{Alu, Width};
use trestle_zkvm_adapter::opening::Words;

use super::judge::{DIGITS, Judge};
use super::{Class, Preimage, Semantics, Signed, Source, unhash};
use crate::lane::{End, LaneConstants, MessageId};
use crate::leaf::{Body, Disproof, Frame, Said};

impl Semantics {
    /// The message that it reads beside step.log.
    const fn second(self) -> Option<MessageId> {
        match self {
            Self::AcceptsWrongly
            | Self::RejectsWrongly(_)
            | Self::Fetch
            | Self::UnknownOpcode
            | Self::Unknown(_)
            | Self::Traps(_)
            | Self::Ecall => Some(MessageId::StepAfter),
            Self::Load(..) | Self::Keep(_) | Self::Unhash => Some(MessageId::StepLeaf),
            Self::Input(source) => source.message(),
            _ => None,
        }
    }
}

impl Semantics {
    /// The unsigned items of somebody who can satisfy the leaf, who knows a preimage or none; `None` if what was signed is
    /// not the lie.
    ///
    /// Of a division they are the digits of the quotient's magnitude, the lowest deepest; of UNHASH the preimage.
    #[must_use]
    pub fn hints(
        self,
        signed: &Signed,
        constants: &LaneConstants,
        preimage: Option<&Preimage>,
    ) -> Option<Vec<Vec<u8>>> {
        if !self.is_refuted(signed, constants, preimage) {
            return None;
        }
        let Words { rs1, rs2, .. } = signed.words;
        let quotient = match self {
            Self::Register(Alu::Div | Alu::Rem) => (rs1 as i32).unsigned_abs().checked_div((rs2 as i32).unsigned_abs()),
            Self::Register(Alu::Divu | Alu::Remu) => rs1.checked_div(rs2),
            Self::Unhash => return preimage.map(|(m, b)| unhash::items(m, b)),
            _ => None,
        };
        Some((0..self.hint_count()).map(|place| item(quotient.unwrap_or_default() >> (4 * place) & 15)).collect())
    }
}

/// A digit as an item.
fn item(digit: u32) -> Vec<u8> {
    digit.to_le_bytes().into_iter().filter(|byte| *byte != 0).collect()
}

impl Source {
    /// The message in which the words are signed.
    const fn message(self) -> Option<MessageId> {
        match self {
            Self::PreviousHash => Some(MessageId::BlockHash(End::Previous)),
            Self::PreviousRoot => Some(MessageId::BlockRoot(End::Previous)),
            Self::NextHash => Some(MessageId::BlockHash(End::Next)),
            Self::NextRoot => Some(MessageId::BlockRoot(End::Next)),
            Self::Index => Some(MessageId::BlockIndex),
            Self::Claimed | Self::BlockHashPrefix => Some(MessageId::Claim),
            Self::Lane => None,
        }
    }
}

impl Signed {
    /// What was signed, and zeros for what was not; `None` if no step is opened.
    #[must_use]
    pub fn read(said: &Said<'_>) -> Option<Self> {
        let digest = |id| said.digest(id).unwrap_or_default();
        let entry = |end| Entry {
            block_hash: digest(MessageId::BlockHash(end)),
            state_root: digest(MessageId::BlockRoot(end)),
        };
        let number = |id| said.number(id).and_then(|number| u32::try_from(number).ok()).unwrap_or_default();
        let prefix = said.message(MessageId::Claim).and_then(|claim| claim.field(1).try_into().ok());
        let inputs = Inputs {
            previous: entry(End::Previous),
            next: entry(End::Next),
            index: number(MessageId::BlockIndex) + 1,
            claimed: number(MessageId::Claim),
            block_hash_prefix: prefix.unwrap_or_default(),
            slot: SlotId::from_bytes(said.constants.slot),
            confirmations: u32::from(said.constants.confirmations),
        }
        .words();
        Some(Self {
            words: said.words()?,
            leaf: digest(MessageId::StepLeaf),
            after: said.bytes(MessageId::StepAfter).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default(),
            inputs,
        })
    }
}

impl Disproof for Semantics {
    fn name(&self) -> String {
        match self {
            Self::AcceptsWrongly => "accepts.wrongly".into(),
            Self::RejectsWrongly(class) => format!("rejects.wrongly.{}", lower(class)),
            Self::Fetch => "trap.fetch".into(),
            Self::UnknownOpcode => "trap.unknown.opcode".into(),
            Self::Unknown(class) => format!("trap.unknown.{}", lower(class)),
            Self::Traps(Class::System) => "trap.ebreak".into(),
            Self::Traps(class) => format!("trap.{}", lower(class)),
            Self::Ecall => "trap.ecall".into(),
            Self::Address(class) => format!("address.{}", lower(class)),
            Self::NoAddress => "address.none".into(),
            Self::NextPc(class) => format!("next_pc.{}", lower(class)),
            Self::Branch(condition) => format!("next_pc.b{}", lower(condition)),
            Self::Zero => "value.x0".into(),
            Self::Value(class) => format!("value.{}", lower(class)),
            Self::Load(width, signed) => format!("value.{}", load_name(*width, *signed)),
            Self::Store(width) => format!("value.s{}", letter(*width)),
            Self::Keep(width) => format!("value.s{}.kept", letter(*width)),
            Self::Immediate(alu) => match alu {
                Alu::Sltu => "value.sltiu".into(),
                _ => format!("value.{}i", lower(alu)),
            },
            Self::Register(alu) => format!("value.{}", lower(alu)),
            Self::Input(source) => format!("value.input.{}", source.name()),
            Self::Unhash => "value.unhash".into(),
        }
    }

    fn lie(&self) -> String {
        let unless_rejected = |what: String| format!("{what}, and the machine does not reject.");
        match self {
            Self::AcceptsWrongly => "The machine accepts, but the step executes no ECALL.".into(),
            Self::RejectsWrongly(class) => format!("The machine rejects, but the step executes {}.", one(*class)),
            Self::Fetch => unless_rejected("There is no code at pc".into()),
            Self::UnknownOpcode => unless_rejected("The word has an opcode that there is not".into()),
            Self::Unknown(class) => {
                unless_rejected(format!("The word has the opcode of {} but is no instruction", one(*class)))
            }
            Self::Traps(Class::System) => unless_rejected("The step is an EBREAK".into()),
            Self::Traps(class) => unless_rejected(format!("The step is {} that cannot be executed", one(*class))),
            Self::Ecall => "The step executes an ECALL, and the machine does not accept.".into(),
            Self::Address(class) => format!("The address is not what {} gives.", one(*class)),
            Self::NoAddress => "The step has no address, and the one signed is not zero.".into(),
            Self::NextPc(class) => format!("The next pc is not what {} gives.", one(*class)),
            Self::Branch(condition) => format!("The next pc is not what B{} gives.", upper(condition)),
            Self::Zero => "The step writes no register but x0, and the value is not zero.".into(),
            Self::Value(class) => format!("The value is not what {} gives.", one(*class)),
            Self::Load(width, signed) => {
                format!(
                    "The value is not what {} loads from the opened leaf.",
                    load_name(*width, *signed).to_uppercase()
                )
            }
            Self::Store(width) => format!("What S{} stores is not what rs2 has.", letter(*width).to_uppercase()),
            Self::Keep(width) => {
                format!("S{} changes a part of the word that it does not store to.", letter(*width).to_uppercase())
            }
            Self::Immediate(alu) => {
                format!("The value is not what {} gives of a register and the immediate.", upper(alu))
            }
            Self::Register(alu) => format!("The value is not what {} gives of two registers.", upper(alu)),
            Self::Input(source) => format!("INPUT gives another word than that of {}.", source.name()),
            Self::Unhash => "UNHASH gives another word than that of the preimage of the opened leaf.".into(),
        }
    }

    fn reads(&self) -> Vec<MessageId> {
        [Some(MessageId::StepLog), self.second()].into_iter().flatten().collect()
    }

    fn hint_count(&self) -> usize {
        match self {
            Self::Register(Alu::Div | Alu::Divu | Alu::Rem | Alu::Remu) => DIGITS,
            Self::Unhash => unhash::ITEMS,
            _ => 0,
        }
    }

    fn body(&self, frame: &Frame, constants: &LaneConstants) -> Body {
        if *self == Self::Unhash {
            return unhash::body(frame, constants);
        }
        let mut judge = Judge::new(frame);
        judge.verdict(*self, constants);
        judge.body()
    }

    fn refutes(&self, said: &Said<'_>) -> Option<Vec<Vec<u8>>> {
        let all_signed = self.reads().into_iter().all(|id| said.message(id).is_some());
        let signed = Signed::read(said).filter(|_| all_signed)?;
        self.hints(&signed, said.constants, said.preimage)
    }
}

impl Source {
    const fn name(self) -> &'static str {
        match self {
            Self::PreviousHash => "block.previous.hash",
            Self::PreviousRoot => "block.previous.root",
            Self::NextHash => "block.next.hash",
            Self::NextRoot => "block.next.root",
            Self::Index => "block.index",
            Self::Claimed => "claim.N",
            Self::BlockHashPrefix => "claim.block_hash",
            Self::Lane => "lane",
        }
    }
}

fn lower(name: &impl Debug) -> String {
    format!("{name:?}").to_lowercase()
}

fn upper(name: &impl Debug) -> String {
    format!("{name:?}").to_uppercase()
}

const fn letter(width: Width) -> &'static str {
    match width {
        Width::Byte => "b",
        Width::Half => "h",
        Width::Word => "w",
    }
}

fn load_name(width: Width, signed: bool) -> String {
    format!("l{}{}", letter(width), if signed || width == Width::Word { "" } else { "u" })
}

/// An instruction of a class.
const fn one(class: Class) -> &'static str {
    match class {
        Class::Lui => "a LUI",
        Class::Auipc => "an AUIPC",
        Class::Jal => "a JAL",
        Class::Jalr => "a JALR",
        Class::Branch => "a branch",
        Class::Load => "a load",
        Class::Store => "a store",
        Class::Immediate => "an instruction with an immediate",
        Class::Register => "an instruction of two registers",
        Class::Fence => "a FENCE",
        Class::System => "an ECALL or EBREAK",
        Class::Unhash => "an UNHASH",
        Class::Input => "an INPUT",
    }
}
