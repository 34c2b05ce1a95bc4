//! The demo: a whole bridge on regtest goes through everything it does, and every step is checked.

pub mod checks;
mod dispute;
mod hostile;
mod lies;
mod load;
mod report;
mod sequencers;
mod settled;
mod stage;

use std::path::Path;

use serde_json::Value;
use trestle_zkvm_adapter::Kind;

use crate::args::{DemoArgs, DisputeKind};
use crate::commands;
use crate::devnet::{self, SequencersError};
use crate::figures::{self, Figure, FiguresError};
use crate::output::{Output, Report};
use crate::regtest::RegtestError;
use crate::runtime;
use dispute::Plan;

pub use dispute::Dispute;
pub use hostile::HostileKind;
pub use load::measure as measure_sequencers;
pub use stage::Stage;

/// Index of the denomination that the demo moves: 0.1 BTC.
const DENOMINATION: u8 = 1;
/// The denomination, as a person types it.
const TENTH: &str = "0.1BTC";
/// What a dispute about an instruction takes in BitVMX, in virtual bytes.
const INSTRUCTION_ANCHOR: f64 = 90_000.0;
/// What one about memory takes there.
const READ_ANCHOR: f64 = 156_000.0;
/// Slots in each operator's run.
const SLOTS: u32 = 6;

/// Why the demo did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bridge did not start or stopped.
    #[error(transparent)]
    World(#[from] devnet::Error),
    /// A role stopped.
    #[error(transparent)]
    Runtime(#[from] runtime::Error),
    /// A sequencer does not come up.
    #[error(transparent)]
    Sequencers(#[from] SequencersError),
    /// A user's command failed.
    #[error("{user}: {error}")]
    User {
        /// The user.
        user: String,
        /// What the command said.
        error: String,
    },
    /// Something is not as it should be.
    #[error("it does not hold that {0}")]
    Check(String),
    /// A figure could not be measured.
    #[error("measuring: {0}")]
    Figures(String),
    /// A file cannot be used.
    #[error("{file}: {why}")]
    File {
        /// The file.
        file: String,
        /// Why not.
        why: String,
    },
}

impl Error {
    fn file(file: &Path, why: impl std::fmt::Display) -> Self {
        Self::File { file: file.display().to_string(), why: why.to_string() }
    }
}

impl From<RegtestError> for Error {
    fn from(error: RegtestError) -> Self {
        Self::World(error.into())
    }
}

/// Runs the demo and writes its report.
///
/// # Errors
/// Something did not happen as it should; the report then says `"ok": false`, and what it was.
pub fn run(args: &DemoArgs, output: &Output) -> Result<Report, commands::Error> {
    let failed = |error: Error| commands::Error::Bridge(error.to_string());
    let directory = tempfile::tempdir().map_err(|e| failed(Error::file(Path::new("a temporary directory"), e)))?;
    let outcome = match args.dispute {
        Some(kind) => {
            let plan = Plan { kind, at: args.at, seed: args.seed, on_chain: args.on_chain };
            match kind {
                DisputeKind::Hostile(kind) => hostile::play(directory.path(), output, kind, plan),
                _ => play_dispute(directory.path(), output, plan),
            }
        }
        None => play(directory.path(), output),
    };
    let json = report::json(&outcome);
    report::write(&args.report, &json).map_err(failed)?;
    let done = outcome.map_err(failed)?;
    let text =
        format!("everything was checked: {} transactions; report in {}", done.steps.len(), args.report.display());
    Ok(Report { text, json })
}

fn play(directory: &Path, output: &Output) -> Result<report::Done, Error> {
    let mut stage = Stage::open(directory, *output)?;

    stage.title("The bridge is set up: operators bond their runs, the committee signs every slot");
    stage.world().open_runs(&[DENOMINATION], SLOTS)?;
    stage.show();
    for (user, coins) in [("alice", "1BTC"), ("bob", "0.3BTC"), ("carol", "0.2BTC")] {
        stage.user(user, &["wallet", "new"])?;
        stage.user(user, &["faucet", coins])?;
    }

    stage.title("1. Alice and Bob deposit 0.1 BTC twice each; the committee signs with MuSig2 and confirms");
    for user in ["alice", "alice", "bob", "bob"] {
        let said = stage.user(user, &["deposit", TENTH])?;
        stage.note(user, "Deposit", &said["txid"])?;
    }
    stage.wait_balance("alice", 20_000_000)?;
    stage.wait_balance("bob", 20_000_000)?;

    stage.title("2. Alice pays Bob on the Layer 2, a sequencer of four is killed, and she pays him again");
    let bob = stage.layer2_address("bob")?;
    stage.wait_available("alice", 20_000_000)?;
    let mut sequencers = sequencers::Played::default();
    sequencers.pay(&mut stage, "alice", &bob, "0.02BTC")?;
    stage.world().sequencers.kill(1);
    stage.say("   sequencer 1 is killed (SIGKILL)");
    sequencers.pay(&mut stage, "alice", &bob, "0.03BTC")?;
    stage.wait_balance("bob", 25_000_000)?;
    sequencers.restart(&mut stage, 1)?;
    checks::everyone_agrees(&mut stage.world())?;
    stage.say("   every role derives the same R_h");

    stage
        .title("3. A signer goes down. Bob withdraws 0.1 BTC, so his operator fronts it and is paid back from a vault");
    stage.wait_available("bob", 25_000_000)?;
    stage.world().runtime.signers.signers[2].online = false;
    let withdrawn = stage.user("bob", &["withdraw", TENTH])?;
    let carols = stage.user("carol", &["deposit", TENTH])?;
    stage.note("carol", "Deposit (the committee is not complete)", &carols["txid"])?;
    stage.wait_paid(&withdrawn, "operator")?;
    stage.wait_step("Reimburse")?;
    checks::claims_were_judged_true(&stage.world().runtime)?;

    stage.title("4. Nobody confirmed Carol's deposit: she takes it back after its timelock");
    checks::refuses(stage.user("carol", &["refund"]), "cannot be refunded yet")?;
    stage.wait_refundable(&carols["txid"])?;
    let refund = stage.user("carol", &["refund"])?;
    stage.note("carol", "Refund", &refund["txid"])?;
    stage.mine(1)?;
    stage.world().runtime.signers.signers[2].online = true;

    stage.title("5. The signer is back: Alice's withdrawal is paid cooperatively, straight from a vault");
    let withdrawn = stage.user("alice", &["withdraw", TENTH])?;
    stage.wait_paid(&withdrawn, "committee")?;

    stage.title("6. All four sequencers refuse everybody: Bob pays and withdraws through Bitcoin past them");
    stage.world().refuse_all()?;
    let alice = stage.layer2_address("alice")?;
    checks::refuses(stage.user("bob", &["send", &alice, "0.01BTC"]), "trestle force")?;
    let before = stage.balance("alice")?;
    let forced = stage.user("bob", &["force", "send", &alice, "0.01BTC"])?;
    stage.note("bob", "Forced payment, commit", &forced["commit"])?;
    stage.note("bob", "Forced payment, reveal", &forced["reveal"])?;
    stage.wait_balance("alice", before + 1_000_000)?;
    let forced = stage.user("bob", &["force", "withdraw", TENTH])?;
    stage.note("bob", "Forced withdrawal, commit", &forced["commit"])?;
    stage.note("bob", "Forced withdrawal, reveal", &forced["reveal"])?;
    stage.wait_paid(&forced, "committee")?;

    stage.title("7. All derived state is thrown away and derived again from genesis");
    let heights = checks::rederives(&mut stage.world(), &directory.join("again"))?;
    stage.say(&format!("   the same R_h at all {heights} heights"));
    let vaults = checks::vaults_cover_supply(&stage.world().runtime)?;
    stage.say(&format!("   {vaults} vault holds what the Layer 2 owes"));

    stage.title(
        "8. An operator claims what it paid nobody. The challenger contests; Bitcoin Script judges one step of the machine",
    );
    let kind = DisputeKind::Trace(Kind::Instr);
    let dispute = dispute::play(&mut stage, Plan { kind, at: None, seed: 1, on_chain: false })?;
    stage.show();
    stage.say(&dispute.summary());

    stage.title("9. Figures");
    let progress = |line: &str| output.progress(line);
    let figures = figures::measure(&progress).map_err(|e| Error::Figures(e.to_string()))?;
    for figure in &figures {
        stage.say(&format!("   {:<40} {:>14} {}", figure.name, figure.value, figure.unit));
    }
    stage.done(figures, vec![dispute], Some(sequencers))
}

/// A dispute alone.
fn play_dispute(directory: &Path, output: &Output, plan: Plan) -> Result<report::Done, Error> {
    let mut stage = Stage::open(directory, *output)?;
    stage.title("The bridge is set up: operators bond their runs, the committee signs every slot and every lane");
    // Each withdrawal takes a vault, and what it costs on the Layer 2 takes one more.
    stage.world().open_runs(&[DENOMINATION], plan.kind.withdrawals() + 1)?;
    stage.title("An operator claims what is not so; the challenger contests");
    let dispute = dispute::play(&mut stage, plan)?;
    stage.title("The dispute");
    stage.say(&dispute.summary());
    let stored = settled::settle(&mut stage)?;
    stage.done(vec![stored], vec![dispute], None)
}

/// Measures what disputes take on Bitcoin: each is played on a bitcoind of its own.
///
/// # Errors
/// One does not end in Slash.
pub fn measure_disputes(progress: &dyn Fn(&str)) -> Result<Vec<Figure>, FiguresError> {
    let disputes = [
        ("instr", Kind::Instr, false, INSTRUCTION_ANCHOR),
        ("hash", Kind::Unhash, false, READ_ANCHOR),
        ("memory", Kind::Store, false, READ_ANCHOR),
        ("onchain", Kind::Store, true, READ_ANCHOR),
    ];
    let mut figures = Vec::new();
    for (name, kind, on_chain, anchor) in disputes {
        progress(&format!("a dispute, {name}"));
        let directory = tempfile::tempdir()?;
        let plan = Plan { kind: DisputeKind::Trace(kind), at: None, seed: 1, on_chain };
        let played = play_dispute(directory.path(), &Output::new(true), plan);
        let played = played.map_err(|error| FiguresError::Unexpected(error.to_string()))?;
        // Where everything was played on chain each side has signed, or seen, all that there is.
        figures.extend(played.figures.into_iter().filter(|_| on_chain));
        for dispute in played.disputes {
            let blocks = dispute.blocks as usize;
            figures.extend([
                Figure::count(format!("dispute.{name}.vbytes"), dispute.vbytes, "vB").against(anchor),
                Figure::count(format!("dispute.{name}.txs"), dispute.txs.len(), "transactions"),
                Figure::count(format!("dispute.{name}.blocks"), blocks, "blocks"),
            ]);
        }
    }
    Ok(figures)
}

/// A text of a command's answer.
fn text(value: &Value) -> Result<&str, Error> {
    value.as_str().ok_or_else(|| Error::Check(format!("{value} is a text")))
}
