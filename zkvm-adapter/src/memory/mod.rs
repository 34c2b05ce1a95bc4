//! The machine's memory: flat while it runs, a hash tree wherever somebody asks for a root.

mod tree;

use std::ops::Range;

use memmap2::{MmapMut, MmapOptions};

use crate::layout::{LEAF_BYTES, PAGE_BYTES, TOP_PAGE};
use crate::step::{Leaf, ReadMemory};

pub use tree::{MemoryTree, PageBytes, Path, node};

/// A memory of 2^32 bytes that can be run on.
///
/// All of it is mapped, and the operating system provides what is touched. Each page has a flag, so that one
/// comparison tells a store that it may go ahead (see [`Self::base`]).
#[derive(Debug)]
pub struct Memory {
    /// [`FLAGS_BYTES`] of flags, then the 2^32 bytes of memory and a page that is not used. The flag of each page is [`CLEAN`], [`WRITABLE`] or
    /// [`GUARDED`]; after the 2^20 flags there are as many more, always clean, as there are ways not to be aligned.
    mapping: MmapMut,
    /// The pages whose flag is not [`CLEAN`], in the order in which they were first written.
    dirty: Vec<u32>,
    /// What the memory was when it had no dirty pages.
    base: MemoryTree,
    /// Pages with addresses that stores must not reach unlooked at.
    code: Range<u32>,
    /// Pages in use, and how many may be.
    used: usize,
    limit: usize,
}

/// Bytes of flags before the memory.
pub(crate) const FLAGS_BYTES: usize = 1 << 22;

/// The flag of a page that was not written since the last snapshot.
pub const CLEAN: u8 = 0;
/// The flag of a page that was, and that any store may write to without being looked at.
pub const WRITABLE: u8 = 1;
/// The flag of a page that was, but that has code or registers on it.
pub const GUARDED: u8 = 2;

/// Why memory cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The machine's address space could not be mapped.
    #[error("cannot map 4 GiB of address space for the machine: {0}")]
    Map(#[source] std::io::Error),
    /// The program uses more memory than it may.
    #[error("the program writes to more than {0} pages of {PAGE_BYTES} bytes, which is the limit")]
    Limit(usize),
}

impl Memory {
    /// A memory with the given content, of which at most `limit` pages may ever be in use.
    ///
    /// # Errors
    /// If it cannot be mapped, or the content is over the limit.
    pub fn new(content: &MemoryTree, code: Range<u32>, limit: usize) -> Result<Self, MemoryError> {
        // Half of the address space of some machines, all but none of it ever touched.
        let mut mapping = MmapOptions::new();
        let mapping =
            mapping.len(FLAGS_BYTES + (1 << 32) + PAGE_BYTES).no_reserve_swap().map_anon().map_err(MemoryError::Map)?;
        let mut memory = Self { mapping, dirty: Vec::new(), base: MemoryTree::default(), code, used: 0, limit };
        memory.restore(content);
        if content.pages() > limit { Err(MemoryError::Limit(limit)) } else { Ok(memory) }
    }

    /// Writes the word in which the address lies.
    ///
    /// # Errors
    /// If that takes one page more than the limit; nothing is written then.
    pub fn write_word(&mut self, address: u32, value: u32) -> Result<(), MemoryError> {
        self.touch(address / PAGE_BYTES as u32)?;
        let at = address as usize & !3;
        self.bytes_mut().get_mut(at..at + 4).into_iter().for_each(|word| word.copy_from_slice(&value.to_le_bytes()));
        Ok(())
    }

    /// The content as a tree. Pages written since the last time are copied, nothing is hashed.
    pub fn snapshot(&mut self) -> MemoryTree {
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.sort_unstable();
        let mut pages = Vec::with_capacity(dirty.len());
        for number in dirty {
            let mut page = Box::new([0; PAGE_BYTES]);
            page.copy_from_slice(self.page(number));
            pages.push((number, page));
            self.set_flag(number, CLEAN);
        }
        self.base = self.base.with_pages(pages);
        self.base.clone()
    }

    /// Makes the content that of a snapshot, touching only the pages in which it differs.
    pub fn restore(&mut self, to: &MemoryTree) {
        for number in std::mem::take(&mut self.dirty) {
            self.set_flag(number, CLEAN);
            let base = std::mem::take(&mut self.base);
            self.set_page(number, base.page(number));
            self.base = base;
        }
        self.used = to.pages();
        let base = std::mem::replace(&mut self.base, to.clone());
        to.for_each_difference(&base, &mut |number, content| self.set_page(number, content));
    }

    /// Where the memory begins in the host, for compiled code: the 2^32 bytes from there on and one page more may be read and
    /// written, and the [`FLAGS_BYTES`] before it read, as long as this memory is borrowed.
    ///
    /// Of the state it may change only pages whose flag is [`WRITABLE`], and the top page when that was touched. The flag
    /// of an address is at its number of page; if it is to be a multiple of 2^n, at the n lowest bits and then the
    /// number of the page.
    pub(crate) fn base(&mut self) -> *mut u8 {
        self.bytes_mut().as_mut_ptr()
    }

    /// Notes that a page is going to be written.
    ///
    /// # Errors
    /// If that is one page more than the limit.
    pub fn touch(&mut self, number: u32) -> Result<(), MemoryError> {
        if self.flags().get(number as usize).is_some_and(|flag| *flag != CLEAN) {
            return Ok(());
        }
        let used = self.used + usize::from(self.base.page(number).is_none());
        if used > self.limit {
            return Err(MemoryError::Limit(self.limit));
        }
        self.used = used;
        let first = u64::from(number) * PAGE_BYTES as u64;
        let has_code = u64::from(self.code.start) < first + PAGE_BYTES as u64 && first < u64::from(self.code.end);
        let guarded = has_code || number >= TOP_PAGE / PAGE_BYTES as u32;
        self.set_flag(number, if guarded { GUARDED } else { WRITABLE });
        self.dirty.push(number);
        Ok(())
    }

    fn set_flag(&mut self, number: u32, new: u8) {
        self.mapping.get_mut(number as usize).into_iter().for_each(|flag| *flag = new);
    }

    fn flags(&self) -> &[u8] {
        self.mapping.get(..FLAGS_BYTES).unwrap_or_default()
    }

    fn bytes(&self) -> &[u8] {
        self.mapping.get(FLAGS_BYTES..).unwrap_or_default()
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self.mapping.get_mut(FLAGS_BYTES..).unwrap_or_default()
    }

    fn page(&self, number: u32) -> &[u8] {
        self.bytes().get(page_range(number)).unwrap_or(&[0; PAGE_BYTES])
    }

    fn set_page(&mut self, number: u32, content: Option<&PageBytes>) {
        let page = self.bytes_mut().get_mut(page_range(number)).unwrap_or_default();
        match content {
            Some(content) => page.copy_from_slice(content),
            None => page.fill(0),
        }
    }
}

impl ReadMemory for Memory {
    fn leaf(&self, address: u32) -> Leaf {
        let at = address as usize & !(LEAF_BYTES - 1);
        self.bytes().get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default()
    }

    fn word(&self, address: u32) -> u32 {
        let at = address as usize & !3;
        self.bytes().get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u32::from_le_bytes(*word))
    }
}

/// Where a page is.
fn page_range(number: u32) -> Range<usize> {
    let first = number as usize * PAGE_BYTES;
    first..first + PAGE_BYTES
}
