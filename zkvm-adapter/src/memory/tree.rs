//! The memory tree, kept by pages: a value that is cheap to copy, shares what did not change, and hashes what it is
//! asked for, once.

use std::sync::{Arc, OnceLock};

use trestle_rollup::compress::IV_MEMORY;
use trestle_rollup::{Digest, compress};

use crate::layout::{LEAF_BYTES, LEVELS, PAGE_BYTES};
use crate::step::{Leaf, ReadMemory};

/// Levels of the tree inside a page.
const PAGE_LEVELS: usize = 7;
/// Leaves of a page.
const PAGE_LEAVES: usize = PAGE_BYTES / LEAF_BYTES;

/// The content of one page.
pub type PageBytes = [u8; PAGE_BYTES];

/// The whole memory in one state, read-only.
#[derive(Clone, Debug, Default)]
pub struct MemoryTree {
    root: Node,
    pages: usize,
}

/// A leaf and the nodes beside its path, from the bottom to the top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// The 32 bytes at the bottom.
    pub leaf: Leaf,
    /// The other child at each level; the first is a leaf, too.
    pub siblings: [Digest; LEVELS],
}

/// A subtree of a whole number of pages.
#[derive(Clone, Debug, Default)]
enum Node {
    /// Nothing but zeros.
    #[default]
    Zero,
    Inner(Arc<Inner>),
    Page(Arc<Page>),
}

#[derive(Debug)]
struct Inner {
    children: [Node; 2],
    digest: OnceLock<Digest>,
}

#[derive(Debug)]
struct Page {
    bytes: PageBytes,
    digest: OnceLock<Digest>,
}

/// A node of the memory tree.
#[must_use]
pub fn node(left: &Digest, right: &Digest) -> Digest {
    let mut block = [0; 64];
    let (first, second) = block.split_at_mut(32);
    first.copy_from_slice(left);
    second.copy_from_slice(right);
    compress(&IV_MEMORY, &block)
}

/// The digest of a subtree of zeros with so many levels.
fn zero(levels: usize) -> Digest {
    static ZEROS: OnceLock<[Digest; LEVELS + 1]> = OnceLock::new();
    let zeros = ZEROS.get_or_init(|| {
        let mut digest = [0; 32];
        std::array::from_fn(|_| {
            let above = node(&digest, &digest);
            std::mem::replace(&mut digest, above)
        })
    });
    zeros.get(levels).copied().unwrap_or_default()
}

impl Path {
    /// The root that the path leads to from the leaf in which the address lies.
    #[must_use]
    pub fn root(&self, address: u32) -> Digest {
        self.root_with(&self.leaf, address)
    }

    /// The root that the path would lead to from another leaf at the same place.
    #[must_use]
    pub fn root_with(&self, leaf: &Leaf, address: u32) -> Digest {
        let index = address / LEAF_BYTES as u32;
        self.siblings.iter().enumerate().fold(*leaf, |below, (level, sibling)| {
            if index >> level & 1 == 0 { node(&below, sibling) } else { node(sibling, &below) }
        })
    }
}

impl MemoryTree {
    /// The root: the machine's state, while it has not halted.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.root.digest(LEVELS)
    }

    /// The number of pages that were ever written.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// The path to the leaf in which the address lies.
    #[must_use]
    pub fn path(&self, address: u32) -> Path {
        let mut path = Path { leaf: self.leaf(address), siblings: [[0; 32]; LEVELS] };
        let index = address as usize / LEAF_BYTES;
        let (below, above) = path.siblings.split_at_mut(PAGE_LEVELS);
        let mut at = &self.root;
        for (level, sibling) in above.iter_mut().enumerate().rev() {
            let level = level + PAGE_LEVELS;
            let right = index >> level & 1;
            (at, *sibling) = match at {
                Node::Inner(inner) => {
                    let [first, second] = &inner.children;
                    let (own, other) = if right == 0 { (first, second) } else { (second, first) };
                    (own, other.digest(level))
                }
                other => (other, zero(level)),
            };
        }
        let bytes = match at {
            Node::Page(page) => &page.bytes,
            _ => &[0; PAGE_BYTES],
        };
        let mut digests = leaves(bytes).to_vec();
        for (level, sibling) in below.iter_mut().enumerate() {
            *sibling = digests.get(((index % PAGE_LEAVES) >> level) ^ 1).copied().unwrap_or_default();
            digests = parents(&digests);
        }
        path
    }

    /// Replaces pages, given with their numbers in ascending order.
    #[must_use]
    pub fn with_pages(&self, pages: Vec<(u32, Box<PageBytes>)>) -> Self {
        let mut added = 0;
        let mut pages = pages.into_iter().map(|(number, bytes)| (number, *bytes)).peekable();
        let root = self.root.with(LEVELS - PAGE_LEVELS, 0, &mut pages, &mut added);
        Self { root, pages: self.pages + added }
    }

    /// Calls `changed` for every page that is not the same one in both, with its content here: `None` is all zeros.
    pub fn for_each_difference<'a>(&'a self, from: &Self, changed: &mut impl FnMut(u32, Option<&'a PageBytes>)) {
        self.root.for_each_difference(&from.root, LEVELS - PAGE_LEVELS, 0, changed);
    }

    /// The content of a page; `None` if it was never written.
    #[must_use]
    pub fn page(&self, number: u32) -> Option<&PageBytes> {
        let mut at = &self.root;
        for level in (0..LEVELS - PAGE_LEVELS).rev() {
            let Node::Inner(inner) = at else { return None };
            let [left, right] = &inner.children;
            at = if number >> level & 1 == 0 { left } else { right };
        }
        match at {
            Node::Page(page) => Some(&page.bytes),
            _ => None,
        }
    }
}

impl ReadMemory for MemoryTree {
    fn leaf(&self, address: u32) -> Leaf {
        let page = self.page(address / PAGE_BYTES as u32);
        page.and_then(|bytes| leaves(bytes).get(address as usize / LEAF_BYTES % PAGE_LEAVES).copied())
            .unwrap_or_default()
    }
}

/// The leaves of a page.
fn leaves(bytes: &PageBytes) -> &[Leaf] {
    bytes.as_chunks().0
}

/// The level above one.
fn parents(level: &[Digest]) -> Vec<Digest> {
    level.as_chunks().0.iter().map(|[left, right]| node(left, right)).collect()
}

impl Node {
    /// The digest of a subtree with so many levels.
    fn digest(&self, levels: usize) -> Digest {
        match self {
            Self::Zero => zero(levels),
            Self::Inner(inner) => *inner.digest.get_or_init(|| {
                let [left, right] = &inner.children;
                node(&left.digest(levels - 1), &right.digest(levels - 1))
            }),
            Self::Page(page) => *page.digest.get_or_init(|| {
                let mut level = parents(leaves(&page.bytes));
                while level.len() > 1 {
                    level = parents(&level);
                }
                level.first().copied().unwrap_or_default()
            }),
        }
    }

    /// The subtree of 2^`height` pages from page `first` on, with those of the given pages that lie in it.
    fn with(
        &self,
        height: usize,
        first: u64,
        pages: &mut std::iter::Peekable<impl Iterator<Item = (u32, PageBytes)>>,
        added: &mut usize,
    ) -> Self {
        let end = first + (1 << height);
        if pages.peek().is_none_or(|(number, _)| u64::from(*number) >= end) {
            return self.clone();
        }
        if height == 0 {
            *added += usize::from(matches!(self, Self::Zero));
            return pages
                .next()
                .map_or(Self::Zero, |(_, bytes)| Self::Page(Arc::new(Page { bytes, digest: OnceLock::new() })));
        }
        let zeros = [Self::Zero, Self::Zero];
        let [left, right] = if let Self::Inner(inner) = self { &inner.children } else { &zeros };
        let middle = first + (1 << (height - 1));
        let children = [left.with(height - 1, first, pages, added), right.with(height - 1, middle, pages, added)];
        Self::Inner(Arc::new(Inner { children, digest: OnceLock::new() }))
    }

    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Zero, Self::Zero) => true,
            (Self::Inner(one), Self::Inner(other)) => Arc::ptr_eq(one, other),
            (Self::Page(one), Self::Page(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    fn for_each_difference<'a>(
        &'a self,
        from: &Self,
        height: usize,
        first: u32,
        changed: &mut impl FnMut(u32, Option<&'a PageBytes>),
    ) {
        if self.same(from) {
            return;
        }
        if height == 0 {
            return changed(first, if let Self::Page(page) = self { Some(&page.bytes) } else { None });
        }
        let children = |node: &'a Self| if let Self::Inner(inner) = node { Some(&inner.children) } else { None };
        let of_from = if let Self::Inner(inner) = from { Some(&inner.children) } else { None };
        let of_self = children(self);
        for (side, first) in [(0, first), (1, first | 1 << (height - 1))] {
            let own = of_self.and_then(|children| children.get(side)).unwrap_or(&Self::Zero);
            let other = of_from.and_then(|children| children.get(side)).unwrap_or(&Self::Zero);
            own.for_each_difference(other, height - 1, first, changed);
        }
    }
}
