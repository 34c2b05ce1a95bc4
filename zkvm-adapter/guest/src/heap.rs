//! Memory that is handed out upwards and comes back only at the end of the run.
//!
//! All that lives long (the state tree's nodes) lives to the end; of the rest there is a few times the block's size. The
//! last allocation can grow, shrink and be given back in place, so that a vector that is filled takes what it holds.
//!
//! **What it comes to at most.** A node of the state tree on a path that is read takes 108 bytes, a leaf 100. Most paths
//! for their weight are those of a batch's transfers, two for each 41 bytes: 195,000 in a block, 21 MB for each level below
//! the first 17, which they share. (Those from indices to accounts are looked up and not kept.) Paths in a state that nobody
//! tampered with have 20 to 30 levels: 0.3 GB. To make one level more, all of these paths, takes twice the hashes; with
//! 2^60 of them it is 60 levels, and 0.9 GB; for the whole address space it would take 190 levels. Everything else
//! together is below 150 MB: a transaction's message and payload (4 MB each, in vectors that grow to twice that), and a
//! batch's decoded transactions, 65,535 at most.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr::{null_mut, with_exposed_provenance_mut};

unsafe extern "C" {
    /// The linker script's: the first address after the image.
    static HEAP_START: u8;
}

/// Where the heap ends: 16 MiB below the register page, for the stack.
const END: usize = 0xff00_0000;

/// The allocator.
pub struct Heap {
    /// The first free address; zero before the first allocation.
    next: UnsafeCell<usize>,
}

// SAFETY: the machine has one thread and no interrupts.
unsafe impl Sync for Heap {}

impl Heap {
    /// An empty heap.
    pub const fn new() -> Self {
        Self { next: UnsafeCell::new(0) }
    }

    /// Takes `size` bytes from `start` on, if there are so many.
    fn take(&self, start: usize, size: usize) -> *mut u8 {
        match start.checked_add(size) {
            Some(end) if end <= END => {
                // SAFETY: nothing else holds a reference to it, in the one thread that there is.
                unsafe { *self.next.get() = end };
                with_exposed_provenance_mut(start)
            }
            _ => null_mut(),
        }
    }

    fn next(&self) -> usize {
        // SAFETY: as in `take`.
        let next = unsafe { *self.next.get() };
        if next == 0 { (&raw const HEAP_START).expose_provenance() } else { next }
    }
}

// SAFETY: what is handed out lies between HEAP_START and END, which nothing else uses, and is not handed out twice, for
// `next` only goes back by an allocation that was given back.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.next().checked_next_multiple_of(layout.align()) {
            Some(start) => self.take(start, layout.size()),
            None => null_mut(),
        }
    }

    unsafe fn dealloc(&self, last: *mut u8, layout: Layout) {
        if last.addr() + layout.size() == self.next() {
            self.take(last.addr(), 0);
        }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if old.addr() + layout.size() == self.next() {
            return self.take(old.addr(), size);
        }
        if size <= layout.size() {
            return old;
        }
        // SAFETY: `size` is not zero and fits, by this method's own contract.
        let new = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
        if !new.is_null() {
            // SAFETY: both are at least that long, and the new one lies behind the old one.
            unsafe { core::ptr::copy_nonoverlapping(old, new, layout.size()) };
        }
        new
    }
}
