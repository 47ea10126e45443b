//! Memory back to the system: free slices lose their frames, empty chunks their addresses.
//!
//! Driven by work (slices coming back), never by a clock. One thread purges at a time; the others go on. The slices
//! being purged are claimed meanwhile, so nobody can be given one.

use core::ptr::NonNull;

use ralloc_platform::Platform;

use crate::{
    chunk_entry::Entry,
    chunk_table::ChunkTable,
    config::{CHUNK, FIRST_BLOCK_OFFSET, LARGE_PAGE, SLICE, SLICES},
    primitive::Ordering,
};

/// What a purge did, in slices.
#[derive(Clone, Copy, Default)]
pub(crate) struct Purged {
    /// Slices whose frames went back.
    pub(crate) slices: usize,
    /// Chunks whose addresses went back.
    pub(crate) chunks: usize,
}

impl ChunkTable {
    /// Give memory back: chunks that are empty, but `spare` of them; then large pages that are free, until at most
    /// `target` bytes are free and dirty; then single slices, until at most `pieces` bytes are.
    ///
    /// Pre: the caller holds the purge lock.
    pub(crate) fn purge(
        &self,
        target: usize,
        pieces: usize,
        spare: usize,
        kernel: &impl Platform,
    ) -> Purged {
        let mut purged = Purged::default();
        let mut spared = 0;
        // The first chunk stays: others may be extending it.
        for index in (1..self.entries()).rev() {
            let entry = self.entry(index);
            if entry.is_empty(!self.reserved) && !self.is_kept(index) {
                if spared < spare {
                    spared += 1;
                } else if self.unmap(index, kernel) {
                    purged.chunks += 1;
                }
            }
        }
        // Whole large pages first: a large page that is broken up costs more than it gives.
        for (slices, target) in [(LARGE_PAGE / SLICE, target), (1, pieces)] {
            for index in (0..self.entries()).rev() {
                if self.totals().dirty <= target {
                    break;
                }
                purged.slices += self.purge_entry(index, slices, kernel);
            }
        }
        purged
    }

    /// Give back the frames of the free slices of a chunk, in groups of `slices` that are all free and begin at a multiple
    /// of their size.
    fn purge_entry(&self, index: usize, slices: usize, kernel: &impl Platform) -> usize {
        if self.is_kept(index) {
            return 0;
        }
        let entry = self.entry(index);
        let Some((base, claimed)) = entry.claim_dirty(slices) else {
            return 0;
        };
        debug_assert!(
            entry.free.load(Ordering::Relaxed) & claimed == 0,
            "what is purged cannot be claimed"
        );
        let mut left = claimed;
        let mut purged = 0;
        while left != 0 {
            let first = left.trailing_zeros();
            let slices = (left >> first).trailing_ones();
            let run = (u64::MAX >> (64 - slices)) << first;
            left &= !run;
            if purge_slices(base, first as usize, slices as usize, kernel) {
                // Relaxed: published by the Release in `unclaim`.
                entry.dirty.fetch_and(!run, Ordering::Relaxed);
                purged += slices as usize;
            }
        }
        self.dirty.fetch_sub(purged, Ordering::Relaxed);
        self.opened(index, entry.unclaim(claimed));
        purged
    }

    /// Give back a chunk that is empty, if it still is.
    fn unmap(&self, index: usize, kernel: &impl Platform) -> bool {
        let entry = self.entry(index);
        let whole = !self.reserved;
        let Some((base, dirty)) = entry.claim_empty(whole) else {
            return false;
        };
        self.map.remove(base.as_ptr().addr());
        // SAFETY: all slices are claimed: nobody uses the chunk, and nobody can find it in the table.
        if !unsafe { kernel.unmap(base, CHUNK) } {
            // The region had a leaf a moment ago, and leaves stay.
            self.map.insert(base.as_ptr().addr(), kernel);
            self.opened(index, entry.unclaim(whole));
            return false;
        }
        self.committed.fetch_sub(SLICES, Ordering::Relaxed);
        self.dirty.fetch_sub(dirty, Ordering::Relaxed);
        entry.vacate();
        self.vacant.fetch_add(1, Ordering::Relaxed);
        true
    }
}

/// The groups of `group` bits, each at a multiple of its size, of which all bits are set.
fn whole_groups(bits: u64, group: usize) -> u64 {
    let one = u64::MAX >> (SLICES - group);
    (0..SLICES)
        .step_by(group)
        .map(|first| one << first)
        .filter(|group| bits & group == *group)
        .fold(0, |groups, group| groups | group)
}

/// Purge `slices` slices from `first` on, the header excepted: they read zero.
fn purge_slices(base: NonNull<u8>, first: usize, slices: usize, kernel: &impl Platform) -> bool {
    let from = if first == 0 {
        FIRST_BLOCK_OFFSET
    } else {
        first * SLICE
    };
    let to = (first + slices) * SLICE;
    // What shares an OS page with the header keeps its frame: the last 4 KiB of 16, or all of slice 0 where pages have 64 KiB.
    let whole = from.next_multiple_of(kernel.page_size()).min(to);
    // SAFETY: the offset lies in the chunk.
    let start = unsafe { base.add(whole) };
    // SAFETY: the slices are claimed by the caller and free, so nobody needs what they hold.
    let purged = whole == to || unsafe { kernel.purge(start, to - whole) };
    if purged {
        // SAFETY: the offset lies in the chunk.
        let start = unsafe { base.add(from) };
        // SAFETY: as above; the slices are mapped.
        unsafe { start.write_bytes(0, whole - from) };
    }
    purged
}

impl Entry {
    /// Whether the chunk is whole and all of it is free that can be. A hint.
    pub(crate) fn is_empty(&self, whole: u64) -> bool {
        self.free.load(Ordering::Relaxed) == whole
    }

    /// Claim all free slices that are dirty and in a group of `group` slices that are all free.
    fn claim_dirty(&self, group: usize) -> Option<(NonNull<u8>, u64)> {
        // Acquire: pairs with the Release in `Entry::release`, for the dirty bits.
        let mut free = self.free.load(Ordering::Acquire);
        loop {
            let wanted = whole_groups(free, group) & self.dirty.load(Ordering::Relaxed);
            if wanted == 0 {
                return None;
            }
            // AcqRel: as in `Entry::claim`.
            match self.free.compare_exchange_weak(
                free,
                free & !wanted,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return Some((self.address()?, wanted)),
                Err(now) => free = now,
            }
        }
    }

    /// Claim a chunk that is whole and free: its address, and how many slices are dirty.
    fn claim_empty(&self, whole: u64) -> Option<(NonNull<u8>, usize)> {
        // AcqRel: as in `Entry::claim`.
        self.free
            .compare_exchange(whole, 0, Ordering::AcqRel, Ordering::Relaxed)
            .ok()?;
        Some((
            self.address()?,
            self.dirty.load(Ordering::Relaxed).count_ones() as usize,
        ))
    }

    /// Give back slices that were claimed for a purge. Returns which are free now.
    fn unclaim(&self, slices: u64) -> u64 {
        // Release: pairs with the Acquire in `Entry::claim`: the purge is before the next use.
        self.free.fetch_or(slices, Ordering::Release) | slices
    }

    /// Let another chunk have the entry.
    fn vacate(&self) {
        self.committed.store(0, Ordering::Relaxed);
        self.dirty.store(0, Ordering::Relaxed);
        // Release: pairs with the Acquire in `vacant_entry`.
        self.base.store(0, Ordering::Release);
    }

    fn address(&self) -> Option<NonNull<u8>> {
        NonNull::new(core::ptr::with_exposed_provenance_mut(
            self.base.load(Ordering::Relaxed),
        ))
    }
}
