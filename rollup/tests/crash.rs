//! A ledger that is killed at any moment opens again at a block that it had, whole.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use trestle_rollup::Ledger;

use crate::support::chain::Chain;
use crate::support::memory::Memory;
use crate::support::{Bridge, account};

/// Where the victim finds its database; without it, `victim` does nothing.
const DATABASE: &str = "TRESTLE_CRASH_DATABASE";
const BLOCKS: u32 = 400;

fn block(bridge: &Bridge, chain: &mut Chain) -> Vec<u8> {
    let round = chain.height;
    let mints = (0..20).map(|n| bridge.mint(round * 100 + n, account((round * 20 + n) as usize), 0)).collect();
    chain.block(mints)
}

fn open(directory: &Path) -> Ledger {
    Ledger::open(&sled::open(directory).unwrap(), &Bridge::default().parameters).unwrap()
}

/// Not a test of its own: the process that is killed.
#[test]
fn victim() {
    let Some(directory) = std::env::var_os(DATABASE) else {
        return;
    };
    let (bridge, ledger) = (Bridge::default(), open(Path::new(&directory)));
    let mut chain = Chain::default();
    while chain.height < 100 + BLOCKS {
        let raw = block(&bridge, &mut chain);
        if chain.height > ledger.tip().0 {
            ledger.extend(&raw).unwrap();
        }
    }
}

#[test]
fn a_ledger_killed_at_any_moment_opens_at_a_whole_block() {
    let bridge = Bridge::default();
    let directory = tempfile::tempdir().unwrap();
    let (mut chain, mut layer) = (Chain::default(), Memory::new(&bridge.parameters));
    let mut best = 100;
    for kill in 0..6 {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::victim"])
            .env(DATABASE, directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(60 + 37 * kill));
        let _ = victim.kill(); // it may have finished
        victim.wait().unwrap();

        let ledger = open(directory.path());
        let (height, entry) = ledger.tip();
        assert!(height >= best, "block {best} was on disk before the kill");
        best = height;
        while chain.height < height {
            layer.extend(&block(&bridge, &mut chain));
        }
        assert_eq!(entry, layer.entry);
        assert_eq!(ledger.entry(height + 1).unwrap(), None);
        // Every account of every block is there: no node is missing.
        let (view, meta) = (ledger.state_at_tip(), ledger.state_at_tip().meta().unwrap());
        assert_eq!(meta.height, height);
        for user in 2_000..height as usize * 20 {
            assert!(view.account(&account(user)).unwrap().balance > 0, "user {user} at {height}");
        }
    }
    assert!(best > 100, "the victim never got anywhere");
}
