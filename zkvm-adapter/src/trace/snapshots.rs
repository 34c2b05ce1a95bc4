//! The snapshots of one run, bounded in number and in memory.

use std::collections::BTreeMap;

use crate::layout::PAGE_BYTES;
use crate::machine::Snapshot;
use crate::memory::MemoryTree;

/// Snapshots that a run leaves; with one more, every second one is dropped.
const LEFT: usize = 128;
/// Snapshots of states that were asked for.
const ASKED: usize = 32;
/// Steps between the first snapshots.
const FIRST_INTERVAL: u64 = 1 << 16;
/// A run makes so many steps for each page that a snapshot copies, so that copying stays a fraction of running.
const STEPS_PER_PAGE: u64 = 1 << 14;
/// What a page takes in a tree: its bytes, its digest, and its part of the nodes above.
const PAGE_COST: usize = PAGE_BYTES + 256;

/// Snapshots by their steps.
pub struct Snapshots {
    kept: BTreeMap<u64, Kept>,
    /// Steps between those that the run leaves.
    interval: u64,
    /// When the run leaves the next.
    next: u64,
    /// Bytes for these and the machine.
    limit: usize,
    /// Pages of all, each counted once.
    pages: usize,
    /// Counts questions, to tell which snapshot was of use last.
    clock: u64,
}

struct Kept {
    snapshot: Snapshot,
    /// Pages that the snapshot before it does not share.
    pages: usize,
    /// When it was last of use, if it is there because somebody asked; those that the run left have their places.
    asked: Option<u64>,
}

impl Snapshots {
    /// With the first state, which stays.
    pub fn new(first: Snapshot, limit: usize) -> Self {
        let pages = first.memory.pages();
        let kept = BTreeMap::from([(first.steps, Kept { snapshot: first, pages, asked: None })]);
        Self { kept, interval: FIRST_INTERVAL, next: FIRST_INTERVAL, limit, pages, clock: 0 }
    }

    /// At which step the run has to leave the next.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Takes the one that the run leaves at [`Self::next`].
    pub fn leave(&mut self, snapshot: Snapshot) {
        let (steps, budget) = (snapshot.steps, self.budget(&snapshot));
        let copied = self.insert(snapshot, None) as u64;
        while self.interval < copied * STEPS_PER_PAGE {
            self.interval *= 2;
        }
        while self.kept.len() > LEFT || self.kept.len() > 1 && self.pages * PAGE_COST > budget {
            self.interval *= 2;
            let dropped: Vec<u64> = self.kept.keys().copied().skip(1).step_by(2).collect();
            dropped.into_iter().for_each(|steps| self.remove(steps));
        }
        self.next = steps + self.interval;
    }

    /// Takes one of a state that was asked for, and drops those that were of no use for longest.
    pub fn keep(&mut self, snapshot: Snapshot) {
        let budget = self.budget(&snapshot);
        self.clock += 1;
        self.insert(snapshot, Some(self.clock));
        loop {
            let asked = self.kept.iter().filter_map(|(steps, kept)| Some((kept.asked?, *steps)));
            let (count, oldest) = (asked.clone().count(), asked.min());
            match oldest {
                Some((_, steps)) if count > ASKED || self.pages * PAGE_COST > budget => self.remove(steps),
                _ => return,
            }
        }
    }

    /// The last one at or before a step.
    pub fn nearest(&mut self, k: u64) -> Snapshot {
        self.clock += 1;
        let clock = self.clock;
        let found = self.kept.range_mut(..=k).next_back().map(|(_, kept)| {
            kept.asked = kept.asked.map(|_| clock);
            kept.snapshot.clone()
        });
        // The first state is at 0 and is never dropped.
        found.unwrap_or(Snapshot { steps: 0, memory: MemoryTree::default(), halt: None })
    }

    /// What is left for snapshots. The machine has its memory flat, has the tree of where it started from, and copies it
    /// all for the next one, at worst.
    fn budget(&self, latest: &Snapshot) -> usize {
        self.limit.saturating_sub(3 * latest.memory.pages() * PAGE_COST)
    }

    /// Says how many pages it adds.
    fn insert(&mut self, snapshot: Snapshot, asked: Option<u64>) -> usize {
        let steps = snapshot.steps;
        self.kept.insert(steps, Kept { snapshot, pages: 0, asked });
        let before = self.pages;
        self.count(steps);
        let added = self.pages - before;
        self.count_after(steps);
        added
    }

    fn remove(&mut self, steps: u64) {
        self.pages -= self.kept.remove(&steps).map_or(0, |kept| kept.pages);
        self.count_after(steps);
    }

    /// Counts the pages of the next snapshot again.
    fn count_after(&mut self, steps: u64) {
        if let Some((next, _)) = self.kept.range(steps + 1..).next() {
            self.count(*next);
        }
    }

    /// Counts the pages that a snapshot does not share with the one before it.
    fn count(&mut self, steps: u64) {
        let nothing = MemoryTree::default();
        let before = self.kept.range(..steps).next_back().map_or(&nothing, |(_, kept)| &kept.snapshot.memory);
        let mut pages = 0;
        if let Some(kept) = self.kept.get(&steps) {
            kept.snapshot.memory.for_each_difference(before, &mut |_, _| pages += 1);
        }
        if let Some(kept) = self.kept.get_mut(&steps) {
            self.pages = self.pages + pages - kept.pages;
            kept.pages = pages;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE_STEPS: u64 = 1 << 16;

    /// A state of a run that writes one page every [`PAGE_STEPS`] steps, the next one of so many each time.
    fn after(from: &Snapshot, steps: u64, pages: u64) -> Snapshot {
        let written = from.steps / PAGE_STEPS..steps / PAGE_STEPS;
        let mut written: Vec<u64> = written.take(pages as usize).map(|index| index % pages).collect();
        written.sort_unstable();
        let page = |number: u64| (number as u32, Box::new([steps as u8; PAGE_BYTES]));
        Snapshot { steps, memory: from.memory.with_pages(written.into_iter().map(page).collect()), halt: None }
    }

    fn counted(snapshots: &Snapshots) -> usize {
        let mut distinct = std::collections::HashSet::new();
        for kept in snapshots.kept.values() {
            (0..64).filter_map(|n| kept.snapshot.memory.page(n)).for_each(|page| {
                distinct.insert(std::ptr::from_ref(page));
            });
        }
        distinct.len()
    }

    fn run(limit: usize, steps: u64, pages: u64) -> Snapshots {
        let mut last = Snapshot { steps: 0, memory: MemoryTree::default(), halt: None };
        let mut snapshots = Snapshots::new(last.clone(), limit);
        while snapshots.next() < steps {
            last = after(&last, snapshots.next(), pages);
            snapshots.leave(last.clone());
        }
        snapshots
    }

    fn ask(snapshots: &mut Snapshots, k: u64, pages: u64) {
        let nearest = snapshots.nearest(k);
        if nearest.steps < k {
            snapshots.keep(after(&nearest, k, pages));
        }
    }

    #[test]
    fn a_long_run_leaves_a_bounded_number_and_all_of_the_run_is_near_one() {
        let snapshots = run(usize::MAX, 1 << 32, 64);
        assert!((LEFT / 2..=LEFT).contains(&snapshots.kept.len()), "{}", snapshots.kept.len());
        let steps: Vec<u64> = snapshots.kept.keys().copied().chain([1 << 32]).collect();
        let widest = steps.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!(widest <= (1 << 32) / (LEFT as u64 / 2), "{widest}");
        assert_eq!(steps[0], 0);
    }

    #[test]
    fn the_pages_of_all_are_counted_once_and_bounded() {
        for limit in [60, 200, usize::MAX / PAGE_COST] {
            let mut snapshots = run(limit * PAGE_COST, 1 << 28, 16);
            assert_eq!(snapshots.pages, counted(&snapshots));
            for question in 1..100 {
                ask(&mut snapshots, question * 7 % 50 * (1 << 22) + question * PAGE_STEPS, 16);
                assert_eq!(snapshots.pages, counted(&snapshots));
                assert!(snapshots.kept.len() <= LEFT + ASKED);
            }
            assert!(snapshots.pages <= limit);
            assert_eq!(snapshots.nearest(0).steps, 0);
        }
    }

    #[test]
    fn what_was_of_no_use_for_longest_goes_first() {
        let mut snapshots = run(usize::MAX, 1 << 20, 4);
        let at = |index: u64| (1 << 19) + 1 + index;
        (0..ASKED as u64).for_each(|index| ask(&mut snapshots, at(index), 4));
        assert_eq!(snapshots.nearest(at(0)).steps, at(0), "of use now");
        ask(&mut snapshots, at(100), 4);
        assert_eq!(snapshots.nearest(at(0)).steps, at(0));
        assert_eq!(snapshots.nearest(at(1)).steps, at(0), "dropped");
        assert_eq!(snapshots.nearest(at(2)).steps, at(2));
    }
}
