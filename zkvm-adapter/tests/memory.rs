//! The memory tree against a plain one, and snapshots.

use proptest::prelude::*;
use trestle_zkvm_adapter::memory::node;
use trestle_zkvm_adapter::step::ReadMemory;
use trestle_zkvm_adapter::{Memory, MemoryTree};

/// The root of a memory that is zero but for the words given, by the definition: every level in full, over the part of
/// the tree that is not zero.
fn plain_root(words: &[(u32, u32)]) -> [u8; 32] {
    use std::collections::BTreeMap;
    let mut level: BTreeMap<u32, [u8; 32]> = BTreeMap::new();
    for (address, value) in words {
        let at = *address as usize % 32 / 4 * 4;
        level.entry(address / 32).or_default()[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    let mut zero = [0; 32];
    for _ in 0..27 {
        let mut above = BTreeMap::new();
        for index in level.keys().map(|index| index / 2) {
            let child = |index| level.get(&index).unwrap_or(&zero);
            above.insert(index, node(child(2 * index), child(2 * index + 1)));
        }
        (level, zero) = (above, node(&zero, &zero));
    }
    level.get(&0).copied().unwrap_or(zero)
}

fn addresses() -> impl Strategy<Value = u32> {
    prop_oneof![any::<u32>(), 0u32..0x3000, 0xffff_e000u32..=0xffff_ffff].prop_map(|address| address & !3)
}

proptest! {
    #[test]
    fn root_and_paths_are_those_of_the_definition(words in prop::collection::vec((addresses(), any::<u32>()), 0..40)) {
        let mut memory = Memory::new(&MemoryTree::default(), 0..0, 1000).unwrap();
        for (address, value) in &words {
            memory.write_word(*address, *value).unwrap();
        }
        let tree = memory.snapshot();
        prop_assert_eq!(tree.root(), plain_root(&words));
        for (address, _) in words.iter().chain(&[(0, 0), (0x5000_0000, 0)]) {
            let path = tree.path(*address);
            prop_assert_eq!(path.leaf, memory.leaf(*address));
            prop_assert_eq!(path.root(*address), tree.root());
        }
    }

    #[test]
    fn a_snapshot_is_what_the_memory_was(
        runs in prop::collection::vec(prop::collection::vec((addresses(), any::<u32>()), 0..20), 1..6),
        order in prop::collection::vec(any::<prop::sample::Index>(), 1..10),
    ) {
        let mut memory = Memory::new(&MemoryTree::default(), 0..0, 1000).unwrap();
        let mut written: Vec<(u32, u32)> = Vec::new();
        let mut snapshots = Vec::new();
        for run in &runs {
            for (address, value) in run {
                memory.write_word(*address, *value).unwrap();
            }
            written.extend(run);
            snapshots.push((memory.snapshot(), plain_root(&written)));
        }
        for index in order {
            let (snapshot, root) = index.get(&snapshots);
            memory.write_word(0x7000, 1).unwrap(); // what is dirty is undone, too
            memory.restore(snapshot);
            prop_assert_eq!(memory.snapshot().root(), *root);
        }
    }
}

#[test]
fn no_page_more_than_the_limit() {
    let mut memory = Memory::new(&MemoryTree::default(), 0..0, 2).unwrap();
    memory.write_word(0, 1).unwrap();
    memory.snapshot();
    memory.write_word(0, 2).unwrap();
    memory.write_word(0x1000, 2).unwrap();
    let full = memory.write_word(0x2000, 3);
    assert_eq!(
        full.unwrap_err().to_string(),
        "the program writes to more than 2 pages of 4096 bytes, which is the limit"
    );
    assert_eq!(memory.word(0x2000), 0);
}
