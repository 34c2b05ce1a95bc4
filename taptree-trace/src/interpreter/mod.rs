//! Runs a tapscript on witness items: what a leaf's builder asks before it spends, and what tests run by the thousand.
//!
//! The rules are those of Bitcoin's consensus for leaf version 0xc0 (BIP 342), for the opcodes that leaves use; any other
//! is an error. Signatures are the one thing it does not judge: OP_CHECKSIG takes a signature of 64 or 65 bytes for a
//! right one. Nothing rests on this module alone: tests/gadgets has Bitcoin Core's own code judge the same runs.

mod value;

use bitcoin::Script;
use bitcoin::hashes::{Hash, hash160, sha256};
use bitcoin::opcodes::Opcode;
use bitcoin::opcodes::all::*;
use bitcoin::script::Instruction;

pub use value::Value;

/// The most items that both stacks may have together.
pub const MAX_ITEMS: usize = 1000;
/// The longest item in bytes.
const MAX_ITEM_BYTES: usize = 520;

/// Which rules a run is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// What makes a block invalid.
    Consensus,
    /// What default nodes relay as well: numbers and pushes are minimal, and the witness has no item above 80 bytes.
    Standard,
}

/// A run that reached the end of the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The main stack, deepest first.
    pub stack: Vec<Value>,
    /// The alternative stack, deepest first.
    pub alt: Vec<Value>,
    /// The most items that both stacks had together, the witness at the start included.
    pub peak: usize,
}

impl Outcome {
    /// Whether the spend is valid: one item is left, and it is true.
    #[must_use]
    pub fn accepts(&self) -> bool {
        matches!(self.stack.as_slice(), [item] if item.is_true())
    }
}

/// Why a run stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// An opcode took more items than there are, or an index reached below the bottom.
    #[error("too few items")]
    TooFewItems,
    /// More than 1000 items, or an item of more than 520 bytes (80 in a standard witness).
    #[error("too many items or too long a one")]
    TooLarge,
    /// An item taken as a number has more than 4 bytes, or is not minimal where it must be.
    #[error("an item is not a number")]
    NotANumber,
    /// A condition is neither empty nor 1.
    #[error("a condition is not minimal")]
    MinimalIf,
    /// An IF, ELSE or ENDIF without its others.
    #[error("unbalanced conditional")]
    Unbalanced,
    /// An opcode with VERIFY found what is false, or RETURN ran.
    #[error("verification failed")]
    Verify,
    /// A signature that can be none.
    #[error("not a signature")]
    Signature,
    /// An opcode that no leaf uses, or bytes that are none.
    #[error("opcode {0:#04x} is not supported")]
    Unsupported(u8),
}

/// Runs `script` on `items`, the deepest first (the witness without script and control block).
///
/// # Errors
/// If the script fails before its end. An [`Outcome`] still may not [accept](Outcome::accepts).
pub fn run<T: AsRef<[u8]>>(script: &Script, items: &[T], rules: Rules) -> Result<Outcome, Failure> {
    let longest = if rules == Rules::Standard { 80 } else { MAX_ITEM_BYTES };
    if items.len() > MAX_ITEMS || items.iter().any(|item| item.as_ref().len() > longest) {
        return Err(Failure::TooLarge);
    }
    let main = items.iter().map(|item| Value::from_bytes(item.as_ref())).collect();
    let mut run = Run { main, alt: Vec::new(), conditions: Vec::new(), rules, peak: items.len() };
    for instruction in script.instructions() {
        let executing = run.conditions.iter().all(|condition| *condition);
        match instruction.map_err(|_| Failure::Unsupported(0xff))? {
            Instruction::PushBytes(bytes) if executing => run.push_bytes(bytes.as_bytes())?,
            Instruction::PushBytes(_) => {}
            Instruction::Op(opcode) => run.step(opcode, executing)?,
        }
        let items = run.main.len() + run.alt.len();
        if items > MAX_ITEMS {
            return Err(Failure::TooLarge);
        }
        run.peak = run.peak.max(items);
    }
    if !run.conditions.is_empty() {
        return Err(Failure::Unbalanced);
    }
    Ok(Outcome { stack: run.main, alt: run.alt, peak: run.peak })
}

struct Run {
    main: Vec<Value>,
    alt: Vec<Value>,
    conditions: Vec<bool>,
    rules: Rules,
    peak: usize,
}

impl Run {
    fn push_bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if bytes.len() > MAX_ITEM_BYTES {
            return Err(Failure::TooLarge);
        }
        let value = Value::from_bytes(bytes);
        // What an opcode of one byte pushes.
        let short = matches!(bytes, [1..=16 | 0x81]);
        if self.rules == Rules::Standard && short {
            return Err(Failure::NotANumber);
        }
        self.main.push(value);
        Ok(())
    }

    fn step(&mut self, opcode: Opcode, executing: bool) -> Result<(), Failure> {
        match opcode {
            OP_IF | OP_NOTIF => {
                let mut condition = false;
                if executing {
                    condition = self.pop()?.minimal_bool()? == (opcode == OP_IF);
                }
                self.conditions.push(condition);
            }
            OP_ELSE => {
                let condition = self.conditions.last_mut().ok_or(Failure::Unbalanced)?;
                *condition = !*condition;
            }
            OP_ENDIF => drop(self.conditions.pop().ok_or(Failure::Unbalanced)?),
            _ if !executing => {}
            OP_TOALTSTACK => {
                let value = self.pop()?;
                self.alt.push(value);
            }
            OP_FROMALTSTACK => {
                let value = self.alt.pop().ok_or(Failure::TooFewItems)?;
                self.main.push(value);
            }
            OP_VERIFY => self.verify()?,
            OP_RETURN => return Err(Failure::Verify),
            _ => {
                if !self.move_items(opcode)? && !self.unary(opcode)? && !self.binary(opcode)? {
                    self.other(opcode)?;
                }
            }
        }
        Ok(())
    }

    /// Opcodes that only copy, move and drop. Says whether this is one.
    fn move_items(&mut self, opcode: Opcode) -> Result<bool, Failure> {
        match opcode {
            OP_DUP => self.copy(0)?,
            OP_OVER => self.copy(1)?,
            OP_2DUP => self.copy_many(2, 1)?,
            OP_3DUP => self.copy_many(3, 2)?,
            OP_2OVER => self.copy_many(2, 3)?,
            OP_SWAP => self.roll(1)?,
            OP_ROT => self.roll(2)?,
            OP_2SWAP => (0..2).try_for_each(|_| self.roll(3))?,
            OP_2ROT => (0..2).try_for_each(|_| self.roll(5))?,
            OP_DROP => drop(self.pop()?),
            OP_2DROP => {
                self.pop()?;
                self.pop()?;
            }
            OP_NIP => {
                let top = self.pop()?;
                self.pop()?;
                self.main.push(top);
            }
            OP_TUCK => {
                self.roll(1)?;
                self.copy(1)?;
            }
            OP_PICK | OP_ROLL => {
                let depth = usize::try_from(self.number()?).map_err(|_| Failure::TooFewItems)?;
                if opcode == OP_PICK { self.copy(depth)? } else { self.roll(depth)? }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn unary(&mut self, opcode: Opcode) -> Result<bool, Failure> {
        let compute: fn(i64) -> i64 = match opcode {
            OP_1ADD => |a| a + 1,
            OP_1SUB => |a| a - 1,
            OP_NEGATE => |a| -a,
            OP_ABS => i64::abs,
            OP_NOT => |a| i64::from(a == 0),
            OP_0NOTEQUAL => |a| i64::from(a != 0),
            _ => return Ok(false),
        };
        let a = self.number()?;
        self.main.push(Value::Number(compute(a)));
        Ok(true)
    }

    fn binary(&mut self, opcode: Opcode) -> Result<bool, Failure> {
        let compute: fn(i64, i64) -> i64 = match opcode {
            OP_ADD => |a, b| a + b,
            OP_SUB => |a, b| a - b,
            OP_MIN => i64::min,
            OP_MAX => i64::max,
            OP_BOOLAND => |a, b| i64::from(a != 0 && b != 0),
            OP_BOOLOR => |a, b| i64::from(a != 0 || b != 0),
            OP_NUMEQUAL | OP_NUMEQUALVERIFY => |a, b| i64::from(a == b),
            OP_NUMNOTEQUAL => |a, b| i64::from(a != b),
            OP_LESSTHAN => |a, b| i64::from(a < b),
            OP_GREATERTHAN => |a, b| i64::from(a > b),
            OP_LESSTHANOREQUAL => |a, b| i64::from(a <= b),
            OP_GREATERTHANOREQUAL => |a, b| i64::from(a >= b),
            _ => return Ok(false),
        };
        let b = self.number()?;
        let a = self.number()?;
        self.main.push(Value::Number(compute(a, b)));
        if opcode == OP_NUMEQUALVERIFY {
            self.verify()?;
        }
        Ok(true)
    }

    fn other(&mut self, opcode: Opcode) -> Result<(), Failure> {
        match opcode {
            OP_PUSHNUM_NEG1 => self.main.push(Value::Number(-1)),
            OP_DEPTH => self.main.push(Value::Number(self.main.len() as i64)),
            OP_SIZE => {
                let size = self.main.last().ok_or(Failure::TooFewItems)?.to_bytes().len();
                self.main.push(Value::Number(size as i64));
            }
            OP_WITHIN => {
                let (most, least, a) = (self.number()?, self.number()?, self.number()?);
                self.main.push(Value::Number(i64::from(least <= a && a < most)));
            }
            OP_EQUAL | OP_EQUALVERIFY => {
                let equal = self.pop()? == self.pop()?;
                self.main.push(Value::Number(i64::from(equal)));
                if opcode == OP_EQUALVERIFY {
                    self.verify()?;
                }
            }
            OP_HASH160 => {
                let bytes = self.pop()?.to_bytes();
                self.main.push(Value::from_bytes(hash160::Hash::hash(&bytes).as_byte_array()));
            }
            OP_SHA256 => {
                let bytes = self.pop()?.to_bytes();
                self.main.push(Value::from_bytes(sha256::Hash::hash(&bytes).as_byte_array()));
            }
            OP_CHECKSIG | OP_CHECKSIGVERIFY => {
                let key = self.pop()?.to_bytes();
                let signature = self.pop()?.to_bytes();
                if key.len() != 32 || !matches!(signature.len(), 0 | 64 | 65) {
                    return Err(Failure::Signature);
                }
                self.main.push(Value::Number(i64::from(!signature.is_empty())));
                if opcode == OP_CHECKSIGVERIFY {
                    self.verify()?;
                }
            }
            _ => match opcode.to_u8() {
                small @ 0x51..=0x60 => self.main.push(Value::Number(i64::from(small) - 0x50)),
                other => return Err(Failure::Unsupported(other)),
            },
        }
        Ok(())
    }

    fn pop(&mut self) -> Result<Value, Failure> {
        self.main.pop().ok_or(Failure::TooFewItems)
    }

    fn number(&mut self) -> Result<i64, Failure> {
        let rules = self.rules;
        self.pop()?.number(rules)
    }

    fn verify(&mut self) -> Result<(), Failure> {
        if self.pop()?.is_true() { Ok(()) } else { Err(Failure::Verify) }
    }

    fn place(&self, depth: usize) -> Result<usize, Failure> {
        (self.main.len()).checked_sub(depth.saturating_add(1)).ok_or(Failure::TooFewItems)
    }

    fn copy(&mut self, depth: usize) -> Result<(), Failure> {
        let value = self.main[self.place(depth)?].clone();
        self.main.push(value);
        Ok(())
    }

    fn copy_many(&mut self, count: usize, depth: usize) -> Result<(), Failure> {
        (0..count).try_for_each(|_| self.copy(depth))
    }

    fn roll(&mut self, depth: usize) -> Result<(), Failure> {
        let place = self.place(depth)?;
        let value = self.main.remove(place);
        self.main.push(value);
        Ok(())
    }
}
