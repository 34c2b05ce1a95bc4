//! Every instruction and every trap against a machine that is not ours: qemu's `qemu-riscv32`.
//!
//! Both load the same ELF files. A program ends by the Linux system calls `write(1, address, length)` and `exit(0)`. To
//! our machine the first of them is the ECALL that accepts, and what qemu writes is read out of its memory.
//!
//! - [`random`]: random sequences of instructions, all registers and all data compared.
//! - [`operands`]: every arithmetic instruction on the cross product of edge operands.
//! - [`encodings`]: which words are instructions, and what a single one does.
//! - [`programs`]: C programs compiled by gcc, all of their data and stack compared.
//! - [`differences`]: where the two must differ, each by its rule. They are these:
//!
//! | | qemu-riscv32 | this machine | rule |
//! |---|---|---|---|
//! | custom-0 (UNHASH), custom-1 (INPUT) | SIGILL | instructions | PROTOCOL §5 |
//! | CSR instructions, FENCE.I | instructions, if the extensions are on | reject | PROTOCOL §5; not in RV32IM |
//! | A, F, D, C and the like | instructions, if the extensions are on | reject | PROTOCOL §5; not in RV32IM |
//! | vector loads, stores, moves of whole registers | instructions in qemu 7.2, though vectors are off | reject | PROTOCOL §5 |
//! | ECALL | a system call | accept | PROTOCOL §5 |
//! | misaligned load or store | done | reject | PROTOCOL §5; ISA manual 2.6 leaves it to the environment |
//! | jump to an address that 4 does not divide | refused at the jump | the jump is made, the next step rejects | PROTOCOL §5 |
//! | memory that no segment has | SIGSEGV | zeros, writable | PROTOCOL §5 |
//! | the top page | ordinary, if mapped | loads and stores reject | PROTOCOL §5 |
//! | x2 at the start | the Linux stack | 0xfffff000 | `layout.rs` |
//!
//! The extensions are off except in [`differences`]; then all verdicts of [`encodings`] must be the same but for
//! custom-0, custom-1 and those vector instructions. All of it holds with qemu 7.2 (Debian 12) and 10.0 (Debian 13).
//!
//! `TRESTLE_QEMU_TIMES=n` makes n times as many random cases, `TRESTLE_QEMU_SEED=n` others.

mod assembler;
mod differences;
pub mod elf;
mod encodings;
mod gcc;
mod operands;
mod programs;
mod random;
mod sequences;

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use trestle_zkvm_adapter::layout::register_address;
use trestle_zkvm_adapter::step::ReadMemory as _;
use trestle_zkvm_adapter::{Effect, Halt, INPUT_WORDS, Image, Machine, MemoryTree, Snapshot, Step};

/// More pages than any program here takes.
pub const PAGES: usize = 4096;
/// More steps than any program here makes.
const STEPS: u64 = 50_000_000;

fn number(variable: &str, otherwise: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {text}")),
        Err(_) => otherwise,
    }
}

/// How many cases, where the default run makes so many.
pub fn times(default: usize) -> usize {
    default * number("TRESTLE_QEMU_TIMES", 1) as usize
}

/// What random cases are made from.
pub fn runner(stream: u64) -> TestRunner {
    let seed: Vec<u8> = [number("TRESTLE_QEMU_SEED", 0), stream, 0, 0].iter().flat_map(|n| n.to_le_bytes()).collect();
    TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
}

/// A file that is there as long as this is.
pub struct Temporary(pub PathBuf);

impl Temporary {
    pub fn new(suffix: &str) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("{}-{}{suffix}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name))
    }

    /// An executable file with that content.
    fn executable(content: &[u8]) -> Self {
        let file = Self::new(".elf");
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o755).open(&file.0).unwrap().write_all(content).unwrap();
        assert_eq!(std::fs::metadata(&file.0).unwrap().permissions().mode() & 0o500, 0o500);
        file
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Where nothing was made, nothing is to be removed.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Runs a command whose program `regtest/setup.sh` installs.
fn installed(command: &mut Command) -> std::process::Child {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    child.unwrap_or_else(|error| {
        panic!("{}: {error}. regtest/setup.sh installs it", command.get_program().to_string_lossy())
    })
}

/// RV32IM and nothing else, as this qemu's command line says it.
fn rv32im() -> &'static str {
    static CPU: OnceLock<&str> = OnceLock::new();
    CPU.get_or_init(|| {
        let help = installed(Command::new("qemu-riscv32").args(["-cpu", "help"])).wait_with_output().unwrap();
        // Since qemu 8.2 there is a CPU with nothing on; before, what is on must be turned off.
        match String::from_utf8_lossy(&help.stdout).contains("rv32i") {
            true => "rv32i,m=true",
            false => {
                "rv32,a=false,f=false,d=false,c=false,v=false,h=false,Zicsr=false,Zifencei=false,\
                 zba=false,zbb=false,zbc=false,zbs=false"
            }
        }
    })
}

/// Runs a file on qemu.
pub fn qemu(file: &[u8], cpu: &str, input: &[u8]) -> Output {
    let file = Temporary::executable(file);
    // No core files of programs that are meant to die, and no endless loops.
    let mut command = Command::new("prlimit");
    let mut child = installed(command.args(["--core=0", "--cpu=120", "qemu-riscv32", "-cpu", cpu]).arg(&file.0));
    let mut to = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // Whether it reads all of it is its own affair.
        scope.spawn(move || to.write_all(input).ok());
        child.wait_with_output().unwrap()
    })
}

/// What our machine would have written, had its ECALL been a system call.
fn written(memory: &MemoryTree) -> Result<Vec<u8>, String> {
    let [call, to, address, length] = [17, 10, 11, 12].map(|register| memory.word(register_address(register)));
    if (call, to) != (64, 1) {
        return Err(format!("the first ECALL is system call {call} with {to:#x}, not a write to the standard output"));
    }
    Ok((address..address + length).map(|at| memory.leaf(at)[at as usize % 32]).collect())
}

/// That our machine can be driven in any way and be the same: step by step, by [`Machine::run`] at once, by
/// [`Machine::run`] in parts.
fn drive(file: &[u8], seen: &mut dyn FnMut(&Step)) -> Result<Snapshot, String> {
    let image = Arc::new(Image::from_elf(file, PAGES).map_err(|error| error.to_string())?);
    let machine = || Machine::new(image.clone(), [0; INPUT_WORDS], PAGES).unwrap();
    let mut at_once = machine();
    at_once.run(STEPS, &()).map_err(|error| error.to_string())?;
    let at_once = at_once.snapshot();

    let mut stepping = machine();
    let mut in_parts = machine();
    let mut marks: Vec<u64> = (1..6).map(|part| at_once.steps * part / 6 + part).collect();
    marks.push(STEPS);
    for mark in marks {
        while stepping.steps() < mark
            && let Some(step) = stepping.step(&()).map_err(|error| error.to_string())?
        {
            seen(&step);
        }
        in_parts.run(mark, &()).map_err(|error| error.to_string())?;
        same(&stepping.snapshot(), &in_parts.snapshot(), "run in parts")?;
    }
    let stepped = stepping.snapshot();
    same(&stepped, &at_once, "run at once")?;
    Ok(stepped)
}

fn same(stepped: &Snapshot, run: &Snapshot, how: &str) -> Result<(), String> {
    if (stepped.steps, stepped.halt, stepped.memory.root()) == (run.steps, run.halt, run.memory.root()) {
        return Ok(());
    }
    let mut text = format!(
        "{how}: {} steps, {:?}; step by step: {} steps, {:?}.",
        run.steps, run.halt, stepped.steps, stepped.halt
    );
    run.memory.for_each_difference(&stepped.memory, &mut |page, _| {
        for at in (page << 12..).step_by(4).take(1024) {
            if run.memory.word(at) != stepped.memory.word(at) {
                text += &format!(" {at:#010x}: {:#x}, not {:#x}.", run.memory.word(at), stepped.memory.word(at));
            }
        }
    });
    Err(text)
}

/// Runs a file on both machines. They agree if it ends well on both and what it writes is the same, which is returned.
pub fn agree(file: &[u8], seen: &mut dyn FnMut(&Step)) -> Result<Vec<u8>, String> {
    let theirs = qemu(file, rv32im(), &[]);
    let snapshot = drive(file, seen)?;
    if !theirs.status.success() || snapshot.halt != Some(Halt::Accept) {
        let halt = snapshot.halt.map_or("it goes on".to_owned(), |halt| halt.to_string());
        let errors = String::from_utf8_lossy(&theirs.stderr);
        return Err(format!("qemu: {}; this machine, after {} steps: {halt}. {errors}", theirs.status, snapshot.steps));
    }
    let ours = written(&snapshot.memory)?;
    if ours.len() != theirs.stdout.len() || ours.is_empty() {
        return Err(format!("qemu wrote {} bytes, this machine {}", theirs.stdout.len(), ours.len()));
    }
    let words = |bytes: &[u8]| -> Vec<u32> {
        bytes.chunks(4).map(|word| word.iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte))).collect()
    };
    let differ = words(&ours).into_iter().zip(words(&theirs.stdout)).enumerate().filter(|(_, (a, b))| a != b);
    let differ: Vec<_> =
        differ.take(20).map(|(index, (a, b))| format!("word {index}: {a:#010x}, qemu {b:#010x}")).collect();
    if differ.is_empty() { Ok(ours) } else { Err(differ.join("; ")) }
}
