//! `trestle machine`, `trestle script` and `trestle lane`: what can be asked with no node and no wallet.

use std::path::PathBuf;

use bitcoin::hex::FromHex;
use clap::{Args, Subcommand};
use trestle_taptree_trace::lane::Arity;
use trestle_zkvm_adapter::layout::TRACE_STEPS;
use trestle_zkvm_adapter::{INPUT_WORDS, InputWords, Kind};

/// `trestle machine …`
#[derive(Debug, Subcommand)]
pub enum MachineCommand {
    /// Run a program until it halts, and ask for any state or step on its way
    ///
    /// The program is a static RV32IM executable (`-march=rv32im -mabi=ilp32 -nostdlib -static`, code and data in separate
    /// segments). It accepts by ECALL and rejects by EBREAK, or by anything that the machine does not do.
    #[command(after_help = "Examples:
  trestle machine run program.elf
  trestle machine run program.elf --input 01000000 --root-at 1000 --opening-at 1001
  trestle machine run program.elf --fault rs1@1000 --root-at 1000 --json")]
    Run(MachineRunArgs),
    /// Run the Layer 2 function on the machine over a block of Bitcoin, and compare with the native one
    ///
    /// The block is applied to an empty Layer 2 that begins with the block before it.
    #[command(after_help = "Example:\n  trestle machine verify-block block.raw")]
    VerifyBlock(VerifyBlockArgs),
}

/// `trestle machine run`
#[derive(Args, Clone, Debug)]
pub struct MachineRunArgs {
    /// The program, an ELF file
    #[arg(value_name = "ELF")]
    pub program: PathBuf,
    /// What INPUT reads, as hex digits: up to 38 words of four bytes, each with its lowest byte first; the others are 0
    #[arg(long, value_name = "HEX", default_value = "", hide_default_value = true, value_parser = input_words)]
    pub input: Box<InputWords>,
    /// Stop after so many steps
    #[arg(long, value_name = "N", default_value_t = TRACE_STEPS, hide_default_value = true)]
    pub max_steps: u64,
    /// How much memory the program may use, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub max_memory: u32,
    /// What to ask.
    #[command(flatten)]
    pub questions: Questions,
}

/// `trestle machine verify-block`
#[derive(Args, Clone, Debug)]
pub struct VerifyBlockArgs {
    /// The block, as Bitcoin serializes it
    pub block: PathBuf,
    /// What to ask.
    #[command(flatten)]
    pub questions: Questions,
}

/// What can be asked of any run.
#[derive(Args, Clone, Debug)]
pub struct Questions {
    /// Show the state after K steps; may be given more than once
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u64).range(..=TRACE_STEPS))]
    pub root_at: Vec<u64>,
    /// Open step T, which leads to the state after T steps; may be given more than once
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u64).range(1..=TRACE_STEPS))]
    pub opening_at: Vec<u64>,
    /// Lie about a step, at STEP or as soon after it as such a lie can be told, and accept
    ///
    /// What is shown is then the wrong trace. KIND is what is wrong: instr, rs1, rs2, load, store, code, pc, unhash, input,
    /// halt or root. STEP may be `random`.
    #[arg(long, value_name = "KIND@STEP", value_parser = fault)]
    pub fault: Option<FaultArg>,
    /// What decides a random STEP [default: chance]
    #[arg(long, value_name = "N", requires = "fault")]
    pub seed: Option<u64>,
}

/// What to lie about, and where; `None` is anywhere.
pub type FaultArg = (Kind, Option<u64>);

fn fault(text: &str) -> Result<FaultArg, String> {
    let unclear = || format!("\"{text}\" is no fault: write KIND@STEP, such as rs1@1000 or store@random");
    let (kind, step) = text.split_once('@').ok_or_else(unclear)?;
    let kind = kind.parse()?;
    if step == "random" {
        return Ok((kind, None));
    }
    let step = step.parse().ok().filter(|step| (1..=TRACE_STEPS).contains(step)).ok_or_else(unclear)?;
    Ok((kind, Some(step)))
}

fn input_words(text: &str) -> Result<Box<InputWords>, String> {
    let bytes = Vec::<u8>::from_hex(text).map_err(|why| format!("\"{text}\" is no input: {why}"))?;
    let (given, rest) = bytes.as_chunks();
    if !rest.is_empty() {
        return Err(format!("the input ends within a word: it has {} bytes, give a multiple of 4", bytes.len()));
    }
    let mut words = Box::new([0; INPUT_WORDS]);
    if given.len() > words.len() {
        return Err(format!("the input has {} words: give at most {INPUT_WORDS}", given.len()));
    }
    words.iter_mut().zip(given).for_each(|(word, bytes)| *word = u32::from_le_bytes(*bytes));
    Ok(words)
}

/// `trestle script …`
#[derive(Debug, Subcommand)]
pub enum ScriptCommand {
    /// List every disproof leaf with what it weighs
    ///
    /// Of leaves that differ in a round, a place or a header alone the largest is listed. A leaf can be spent only if the
    /// operator has signed something false; docs/protocol.md says what.
    #[command(after_help = "Example:\n  trestle script sizes")]
    Sizes(ScriptSizesArgs),
}

/// `trestle script sizes`
#[derive(Args, Clone, Debug)]
pub struct ScriptSizesArgs {
    /// K, how deep a claim has to be: a fork has K + 1 headers
    #[arg(long, value_name = "K", default_value_t = crate::figures::CONFIRMATIONS,
          value_parser = clap::value_parser!(u16).range(1..=144))]
    pub confirmations: u16,
}

/// `trestle lane …`
#[derive(Debug, Subcommand)]
pub enum LaneCommand {
    /// Compare the settings of the search's arity: bytes, blocks, signatures, storage, sat
    ///
    /// In each round of a search the operator signs the values that cut an interval into so many parts, and the challenger
    /// chooses one. Lanes are built with 4; what the others would take is reckoned from the same scripts.
    #[command(after_help = "Example:\n  trestle lane cost --arity 2..16 --feerate 20")]
    Cost(LaneCostArgs),
}

/// `trestle lane cost`
#[derive(Args, Clone, Debug)]
pub struct LaneCostArgs {
    /// The arities, from 2 to 16: one, or the first and the last with two dots between
    #[arg(long, value_name = "A..B", default_value = "2..16", value_parser = arities)]
    pub arity: Arities,
    /// What the chain asks for, in sat/vB
    #[arg(long, value_name = "SAT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub feerate: u32,
}

/// From the first to the last.
#[derive(Clone, Debug)]
pub struct Arities(pub Vec<Arity>);

fn arities(text: &str) -> Result<Arities, String> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let read = |part: &str| part.parse().ok().and_then(|parts: u8| Arity::new(parts).map(|_| parts));
    match (read(first), read(last)) {
        (Some(first), Some(last)) if first <= last => Ok(Arities((first..=last).filter_map(Arity::new).collect())),
        _ => Err("give a number from 2 to 16, or two with two dots between: 2..16".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_names_what_and_where() {
        assert_eq!(fault("rs1@1000"), Ok((Kind::Rs1, Some(1000))));
        assert_eq!(fault("unhash@random"), Ok((Kind::Unhash, None)));
        for wrong in ["rs1", "rs3@1", "rs1@", "rs1@0", "rs1@-1", "rs1@17592186044417", "@5"] {
            assert!(fault(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn input_is_read_in_words_with_the_lowest_byte_first() {
        let words = input_words("0100000002030405").unwrap();
        assert_eq!((words[0], words[1], words[2]), (1, 0x0504_0302, 0));
        assert_eq!(*input_words("").unwrap(), [0; INPUT_WORDS]);
        assert!(input_words(&"00".repeat(4 * INPUT_WORDS)).is_ok());
        for wrong in ["01", "0x01000000", "0100000g", &"00".repeat(4 * INPUT_WORDS + 4)] {
            assert!(input_words(wrong).is_err(), "{wrong}");
        }
    }
}
