//! `trestle machine` as a person uses it: what is printed, and what the exit code says.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const ECALL: u32 = 0x0000_0073;
const EBREAK: u32 = 0x0010_0073;
const ACCEPT: &str = "0784f7f7430d76f405159eae8b98ed0b001648cb1c39bb26702256b37d221497";
const REJECT: &str = "136c5a246b399eb18913783a663a667257a60e5366252df65a69cae855b7493a";

/// What came of a command.
#[derive(Debug)]
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

fn trestle(words: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trestle"));
    let done = command.args(words).env_clear().stdin(Stdio::null()).output().expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8").trim_end().to_string();
    Said { code: done.status.code().unwrap_or(-1), out: text(done.stdout), err: text(done.stderr) }
}

/// Programs in a directory that goes away.
struct Programs(TempDir);

impl Programs {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A program with this code, written as the least ELF file there can be.
    fn program(&self, name: &str, code: &[u32]) -> PathBuf {
        let code: Vec<u8> = code.iter().flat_map(|word| word.to_le_bytes()).collect();
        let (entry, size) = (0x1_0000u32, code.len() as u32);
        let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        let halves =
            |file: &mut Vec<u8>, halves: &[u16]| halves.iter().for_each(|half| file.extend(half.to_le_bytes()));
        let words = |file: &mut Vec<u8>, words: &[u32]| words.iter().for_each(|word| file.extend(word.to_le_bytes()));
        halves(&mut file, &[2, 243]); // ET_EXEC, EM_RISCV
        words(&mut file, &[1, entry, 52, 0, 0]); // program headers at 52, no sections, no flags
        halves(&mut file, &[52, 32, 1, 40, 0, 0]);
        words(&mut file, &[1, 84, entry, entry, size, size, 5, 4]); // PT_LOAD, readable and executable
        file.extend(code);
        let path = self.path(name);
        std::fs::write(&path, file).expect("writes");
        path
    }
}

fn run(program: &Path, more: &[&str]) -> Said {
    let program = program.to_str().expect("UTF-8");
    trestle(&[&["machine", "run", program], more].concat())
}

fn input(rd: u32, index: u32) -> u32 {
    0x2b | rd << 7 | index << 20
}

fn unhash(rd: u32, rs1: u32) -> u32 {
    0x0b | rd << 7 | rs1 << 15
}

/// x5 = word 1 of the input; x6 = x5 + 1; x6 is stored at 0x100 and loaded to x7; then it halts.
fn sum(halt: u32) -> Vec<u32> {
    vec![input(5, 1), 0x0012_8313, 0x1060_2023, 0x1000_2383, halt]
}

#[test]
fn the_exit_code_is_0_for_accept_2_for_reject_and_1_for_an_error() {
    let programs = Programs::new();
    let accepts = run(&programs.program("accepts", &[ECALL]), &[]);
    assert_eq!((accepts.code, accepts.err.as_str()), (0, ""));
    assert!(accepts.out.contains("Halt     accept\nSteps    1 in "), "{accepts:?}");
    assert!(accepts.out.ends_with(&format!("Root     {ACCEPT} (HALT_ACCEPT)")), "{accepts:?}");

    let rejects = run(&programs.program("rejects", &[EBREAK]), &[]);
    assert_eq!((rejects.code, rejects.err.as_str()), (2, ""));
    assert!(rejects.out.contains("Halt     reject: EBREAK\n"), "{rejects:?}");
    assert!(rejects.out.ends_with(&format!("Root     {REJECT} (HALT_REJECT)")), "{rejects:?}");
    let traps = run(&programs.program("traps", &[0xffff_ffff]), &["--json"]);
    assert_eq!((traps.code, traps.json()["reason"].as_str()), (2, Some("unknown instruction 0xffffffff")));

    let missing = run(&programs.path("missing"), &[]);
    assert_eq!((missing.code, missing.out.as_str()), (1, ""));
    assert!(
        missing.err.starts_with("error: cannot read ")
            && missing.err.ends_with("No such file or directory (os error 2)")
    );
    let text = programs.path("text");
    std::fs::write(&text, "hello").expect("writes");
    let text = run(&text, &["--json"]);
    assert_eq!((text.code, text.err.as_str(), text.json()["error"]["code"].as_str()), (1, "", Some("bad_program")));
}

#[test]
fn a_wrong_command_line_is_no_rejection() {
    let programs = Programs::new();
    let program = programs.program("accepts", &[ECALL]);
    for (more, line) in [
        (
            &["--fault", "rs3@1"][..],
            "\"rs3\" is no kind of fault: choose one of instr, rs1, rs2, load, store, code, pc, unhash, input, halt, root",
        ),
        (&["--fault", "rs1"], "\"rs1\" is no fault: write KIND@STEP, such as rs1@1000 or store@random"),
        (&["--input", "0100"], "the input ends within a word: it has 2 bytes, give a multiple of 4"),
        (&["--seed", "1"], "the following required arguments were not provided: --fault <KIND@STEP>"),
    ] {
        let said = run(&program, more);
        assert_eq!((said.code, said.out.as_str()), (1, ""), "{more:?}");
        assert_eq!(said.err, format!("error: {line} (see `trestle machine run --help`)"));
    }
    for more in [["--root-at", "17592186044417"], ["--opening-at", "0"]] {
        assert_eq!(run(&program, &more).code, 1, "{more:?}");
    }
    assert_eq!(trestle(&["machine"]).code, 1);
}

#[test]
fn a_run_that_is_stopped_says_so_and_answers_for_what_it_has_run() {
    let programs = Programs::new();
    let endless = programs.program("endless", &[0x0012_8293, 0xffdf_f06f]); // addi x5, x5, 1; j -4
    let said = run(&endless, &["--max-steps", "1000", "--root-at", "1000", "--opening-at", "1000"]);
    assert_eq!(said.code, 1);
    assert_eq!(said.err, "error: the program has not halted in 1000 steps, after which it was stopped");
    assert!(said.out.contains("Halt     not yet\nSteps    1000 in "), "{said:?}");
    assert!(said.out.contains("\nStep 1000: Jal, in order\n"), "{said:?}");
    let said = run(&endless, &["--max-steps", "1000", "--json"]);
    let json = said.json();
    assert_eq!((said.code, said.err.as_str(), json["error"]["code"].as_str()), (1, "", Some("stopped")));
    assert_eq!((&json["halt"], json["steps"].as_u64()), (&Value::Null, Some(1000)));
    let said = run(&endless, &["--max-steps", "1000", "--root-at", "1001"]);
    assert_eq!((said.code, said.out.as_str()), (1, ""));
    assert_eq!(said.err, "error: the run was stopped after 1000 steps, before step 1001");
}

#[test]
fn inputs_states_and_steps_can_be_seen() {
    let programs = Programs::new();
    let program = programs.program("sum", &sum(ECALL));
    let more = ["--input", "ffffffff04030201", "--root-at", "5", "--root-at", "2", "--opening-at", "2"];
    let said = run(&program, &[&more[..], &["--opening-at", "17592186044416", "--json"]].concat());
    assert_eq!(said.code, 0, "{said:?}");
    let json = said.json();
    let (second, last) = (&json["openings"][0], &json["openings"][1]);
    assert_eq!(second["class"], "Immediate(Add)");
    assert_eq!((second["rs1"].as_u64(), second["value"].as_u64()), (Some(0x0102_0304), Some(0x0102_0305)));
    assert_eq!((json["roots"][0]["step"].as_u64(), json["roots"][0]["root"].as_str()), (Some(5), Some(ACCEPT)));
    assert_eq!(json["roots"][1]["root"], second["after"]);
    assert_eq!((second["lie"].clone(), last["lie"].clone()), (Value::Null, Value::Null));
    assert_eq!((last["before"].as_str(), last["after"].as_str()), (Some(ACCEPT), Some(ACCEPT)));
    assert_eq!(second["paths"][5]["access"], "write");
    assert_eq!(second["paths"][5]["nodes"].as_array().map(Vec::len), Some(27));
    // What is not given is zero.
    let said = run(&program, &["--opening-at", "2", "--json"]);
    assert_eq!(said.json()["openings"][0]["value"].as_u64(), Some(1));
}

#[test]
fn a_digest_that_nobody_knows_is_named() {
    let programs = Programs::new();
    // x5 = -1; word 0 of the key is x5; word x0 of the preimage.
    let program = programs.program("unhash", &[0xfff0_0293, 0x0250_2023, unhash(6, 0), ECALL]);
    let said = run(&program, &[]);
    let digest = format!("ffffffff{}", "00".repeat(28));
    assert_eq!((said.code, said.out.as_str()), (1, ""));
    let line =
        format!("error: after 2 steps: UNHASH at pc 0x00010008: nobody knows what {digest} is the compression of");
    assert_eq!(said.err, line);
    assert_eq!(run(&program, &["--json"]).json()["error"]["code"], "unknown_digest");
}

#[test]
fn a_fault_makes_a_trace_that_accepts_and_is_wrong_at_one_step() {
    let programs = Programs::new();
    let program = programs.program("rejects", &sum(EBREAK));
    let honest = run(&program, &["--root-at", "1", "--root-at", "2", "--json"]);
    assert_eq!(honest.code, 2);
    let more = ["--root-at", "1", "--root-at", "2", "--root-at", "3", "--opening-at", "2", "--json"];
    let wrong = run(&program, &[&["--fault", "rs1@2"], &more[..]].concat());
    assert_eq!((wrong.code, wrong.err.as_str()), (0, ""));
    let (honest, wrong) = (honest.json(), wrong.json());
    assert_eq!((wrong["fault"]["kind"].as_str(), wrong["fault"]["step"].as_u64()), (Some("rs1"), Some(2)));
    assert_eq!(wrong["halt"], "reject", "what the run itself has done");
    assert_eq!(wrong["roots"][0], honest["roots"][0]);
    assert_ne!(wrong["roots"][1], honest["roots"][1]);
    assert_eq!(wrong["roots"][2]["root"], ACCEPT);
    assert_eq!(wrong["openings"][0]["lie"], "Rs1: the leaf has another word than the step");

    // As soon after the step as there is something to lie about.
    for (fault, step) in [("store@1", 3), ("load@1", 4), ("input@1", 1), ("instr@1", 2), ("halt@7", 7)] {
        let said = run(&program, &["--fault", fault, "--json"]);
        assert_eq!((said.code, said.json()["fault"]["step"].as_u64()), (0, Some(step)), "{fault}: {said:?}");
    }
    let none = run(&program, &["--fault", "unhash@1"]);
    assert_eq!((none.code, none.err.as_str()), (1, "error: no step of the run from 1 on can be lied about by unhash"));
}

#[test]
fn a_random_fault_is_found_again_by_its_seed() {
    let programs = Programs::new();
    let program = programs.program("rejects", &sum(EBREAK));
    let one = run(&program, &["--fault", "pc@random", "--json"]).json();
    let seed = one["fault"]["seed"].as_u64().expect("a seed").to_string();
    let other = run(&program, &["--fault", "pc@random", "--seed", &seed, "--json"]).json();
    assert_eq!(one["fault"], other["fault"]);
    let said = run(&program, &["--fault", "pc@random", "--seed", "5"]);
    assert!(said.out.ends_with(" (--seed 5)"), "{said:?}");
}

#[test]
fn a_block_is_what_native_code_says_also_where_a_fault_is_put_into_its_trace() {
    let block = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/data/mainnet_block_000000000000000000000c835b2adcaedc20fdf6ee440009c249452c726dafae.raw"
    );
    let said = trestle(&["machine", "verify-block", block, "--json"]);
    let json = said.json();
    assert_eq!((said.code, json["halt"].as_str(), json["agree"].as_bool()), (0, Some("accept"), Some(true)));
    assert!(block.contains(json["block_hash"].as_str().expect("a hash")));
    assert_eq!(json["root"], ACCEPT);

    let lie = trestle(&["machine", "verify-block", block, "--fault", "unhash@1000000", "--json"]).json();
    let step = lie["fault"]["step"].as_u64().expect("a step").to_string();
    let opened =
        trestle(&["machine", "verify-block", block, "--fault", "unhash@1000000", "--opening-at", &step, "--json"]);
    let opened = opened.json();
    assert!(opened["openings"][0]["lie"].as_str().expect("a lie").starts_with("UNHASH: word "));

    let programs = Programs::new();
    let text = programs.path("text");
    std::fs::write(&text, "hello").expect("writes");
    let none = trestle(&["machine", "verify-block", text.to_str().expect("UTF-8")]);
    assert_eq!((none.code, none.out.as_str()), (1, ""));
    assert!(none.err.contains("the block: "), "{none:?}");
}
