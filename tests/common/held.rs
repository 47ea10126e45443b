//! A live block, filled with a pattern to its last usable byte.

use super::Case;
use ralloc::{alloc, c_abi};
use std::{ptr::NonNull, slice};

/// From here on a pattern is written to a part of the block only: its ends, and a word every [`STRIDE`] bytes.
const DENSE: usize = 16 << 10;
/// Three words for each slice, at another place in each OS page.
const STRIDE: usize = (20 << 10) + 8;

/// A live block of the allocator under test, which nobody else has.
#[derive(Debug)]
pub struct Held {
    start: NonNull<u8>,
    usable: usize,
    align: usize,
    seed: u64,
}

// SAFETY: a block belongs to whoever holds it.
unsafe impl Send for Held {}

impl Held {
    /// Take hold of a fresh block, unless it is null.
    ///
    /// # Panics
    ///
    /// If the block is not what was asked for.
    pub fn new(block: *mut u8, size: usize, align: usize, seed: u64) -> Option<Self> {
        let held = Self::unfilled(block, size, align, seed)?;
        held.fill();
        Some(held)
    }

    /// As [`new`](Self::new), for a block that must read zero.
    pub fn new_zeroed(block: *mut u8, size: usize, align: usize, seed: u64) -> Option<Self> {
        let held = Self::unfilled(block, size, align, seed)?;
        // SAFETY: the block is live, and has that many bytes.
        let bytes = unsafe { slice::from_raw_parts(block, size) };
        // Without a way out in the middle the sum takes a few bytes at a time.
        let is_dirty = |page: &[u8]| page.iter().fold(0, |sum, &byte| sum | byte) != 0;
        let dirty = bytes.chunks(4096).position(is_dirty);
        assert_eq!(
            dirty, None,
            "{held:?} of {size} bytes does not read zero in this OS page"
        );
        held.fill();
        Some(held)
    }

    fn unfilled(block: *mut u8, size: usize, align: usize, seed: u64) -> Option<Self> {
        let start = NonNull::new(block)?;
        // SAFETY: just allocated.
        let usable = unsafe { c_abi::malloc_usable_size::<Case>(block) };
        assert!(usable >= size, "{block:p}: {usable} bytes for {size}");
        let align = align.max(16);
        assert!(
            block.addr().is_multiple_of(align),
            "{block:p} at {align:#x}"
        );
        Some(Self {
            start,
            usable,
            align,
            seed,
        })
    }

    /// Where the block begins.
    pub fn address(&self) -> usize {
        self.start.as_ptr().addr()
    }

    /// The bytes that may be used.
    pub fn usable(&self) -> usize {
        self.usable
    }

    /// Whether the contents and the size are as they were.
    pub fn check(&self) {
        // SAFETY: the block is live.
        let usable = unsafe { c_abi::malloc_usable_size::<Case>(self.start.as_ptr()) };
        assert_eq!(usable, self.usable, "{self:?} has changed its size");
        self.check_prefix(self.start, usable);
    }

    /// Check, and free.
    pub fn free(self) {
        self.check();
        // SAFETY: the block is live, and given up here.
        unsafe { c_abi::free::<Case>(self.start.as_ptr()) };
    }

    /// Check, and free in this process: the block of the parent is another.
    pub fn free_inherited(&self) {
        self.check();
        // SAFETY: the block is live in this process too; the parent does not see what becomes of it here.
        unsafe { c_abi::free::<Case>(self.start.as_ptr()) };
    }

    /// Resize by `realloc` or, with a count, `reallocarray`; if there is no memory the block is as it was.
    ///
    /// # Errors
    ///
    /// There was no memory: the old block.
    pub fn resize(
        self,
        count: Option<usize>,
        size: usize,
        seed: u64,
    ) -> Result<Option<Self>, Self> {
        self.check();
        let old = self.start.as_ptr();
        let total = count.unwrap_or(1) * size;
        let block = match count {
            // SAFETY: the block is live.
            Some(count) => unsafe { c_abi::reallocarray::<Case>(old, count, size) },
            // SAFETY: as above.
            None => unsafe { c_abi::realloc::<Case>(old, size) },
        };
        if total == 0 {
            assert!(block.is_null(), "a block of no bytes is freed");
            return Ok(None);
        }
        self.become_block(block, total, 16, seed).map(Some)
    }

    /// Resize by the verb of the Rust interface, which keeps the alignment; if there is no memory the block is as it was.
    ///
    /// # Errors
    ///
    /// There was no memory: the old block.
    pub fn resize_aligned(self, size: usize, seed: u64) -> Result<Option<Self>, Self> {
        self.check();
        // SAFETY: the block is live, and at a multiple of its alignment.
        let block =
            unsafe { alloc::reallocate_aligned::<Case>(self.start, size.max(1), self.align) };
        let align = self.align;
        self.become_block(block, size.max(1), align, seed).map(Some)
    }

    /// What has become of this block when it was resized; it has its contents, and gets new ones.
    fn become_block(
        self,
        block: *mut u8,
        size: usize,
        align: usize,
        seed: u64,
    ) -> Result<Self, Self> {
        let Some(new) = Self::unfilled(block, size, align, seed) else {
            self.check();
            return Err(self);
        };
        self.check_prefix(new.start, self.usable.min(size));
        new.fill();
        Ok(new)
    }

    fn fill(&self) {
        for (from, to) in self.parts() {
            // SAFETY: the part lies in the block.
            let start = unsafe { self.start.add(from) };
            // SAFETY: the block is live and ours.
            let bytes = unsafe { slice::from_raw_parts_mut(start.as_ptr(), to - from) };
            let (words, rest) = bytes.as_chunks_mut();
            for (word, index) in words.iter_mut().zip(from / 8..) {
                *word = self.pattern(index);
            }
            rest.copy_from_slice(&self.pattern(to / 8)[..rest.len()]);
        }
    }

    /// Whether the first `size` bytes at `start` have the contents of this block.
    fn check_prefix(&self, start: NonNull<u8>, size: usize) {
        for (from, to) in self.parts() {
            let to = to.min(size);
            if from >= to {
                continue;
            }
            // SAFETY: the part lies in the block.
            let start = unsafe { start.add(from) };
            // SAFETY: the block is live and ours.
            let bytes = unsafe { slice::from_raw_parts(start.as_ptr(), to - from) };
            let (words, rest) = bytes.as_chunks();
            for (&word, index) in words.iter().zip(from / 8..) {
                let want = self.pattern(index);
                assert!(
                    u64::from_ne_bytes(word) == u64::from_ne_bytes(want),
                    "{self:?}: from byte {} on there is {word:x?}, not {want:x?}",
                    index * 8
                );
            }
            assert_eq!(rest, &self.pattern(to / 8)[..rest.len()], "{self:?}");
        }
    }

    /// The parts of the block that have the pattern. They begin at multiples of 8.
    fn parts(&self) -> impl Iterator<Item = (usize, usize)> {
        let (whole, last) = (self.usable.min(DENSE), self.usable.saturating_sub(64));
        let words = (whole..last)
            .step_by(STRIDE)
            .map(move |at| (at, (at + 8).min(last)));
        let tail = (self.usable > DENSE).then_some((last.max(whole), self.usable));
        std::iter::once((0, whole)).chain(words).chain(tail)
    }

    /// Eight bytes that no other place, and no other block, is likely to have.
    fn pattern(&self, index: usize) -> [u8; 8] {
        let place = (index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let word = (self.seed ^ place).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        word.to_ne_bytes()
    }
}
