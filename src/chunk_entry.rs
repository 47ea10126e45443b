//! One chunk's entry in the chunk table: three words, and how slices are claimed and given back by changing them.

use core::ptr::NonNull;

use crate::{
    config::{CHUNK, SLICE, SLICES},
    primitive::{AtomicU64, AtomicUsize, Ordering},
};

/// The state of one chunk.
pub(crate) struct Entry {
    /// The chunk's address; 0 while the entry is vacant.
    pub(crate) base: AtomicUsize,
    /// Slices that may be claimed.
    pub(crate) free: AtomicU64,
    /// Slices that may have been written to since they were mapped or purged.
    pub(crate) dirty: AtomicU64,
    /// Slices that are mapped.
    pub(crate) committed: AtomicU64,
}

/// Bits that `of_slices` occupy from slice 0 on.
pub(crate) const fn mask(of_slices: usize) -> u64 {
    if of_slices >= SLICES {
        u64::MAX
    } else {
        (1 << of_slices) - 1
    }
}

/// A claimed run of slices, which nobody else touches until it is released.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    pub(crate) base: NonNull<u8>,
    pub(crate) first: usize,
    pub(crate) slices: usize,
    /// The slices of the chunk that may not read zero.
    pub(crate) dirty: u64,
}

impl Run {
    /// The first byte.
    pub(crate) fn start(&self) -> NonNull<u8> {
        // SAFETY: the slice lies in the chunk.
        unsafe { self.base.add(self.first * SLICE) }
    }

    /// Whether the whole run reads zero.
    pub(crate) fn is_clean(&self) -> bool {
        self.dirty == 0
    }

    /// Make the first `size` bytes of the run read zero.
    ///
    /// Pre: the caller holds the run and needs nothing that is in it; `size` is at most the size of the run.
    pub(crate) fn clear(&self, size: usize) {
        for slice in (0..self.slices).filter(|slice| self.dirty >> (self.first + slice) & 1 == 1) {
            let offset = slice * SLICE;
            // SAFETY: the slice lies in the chunk.
            let start = unsafe { self.start().add(offset) };
            // SAFETY: the caller holds the slice.
            unsafe { start.write_bytes(0, SLICE.min(size.saturating_sub(offset))) };
        }
    }

    pub(crate) fn mask(&self) -> u64 {
        mask(self.slices) << self.first
    }
}

impl Entry {
    pub(crate) const fn vacant() -> Self {
        Self {
            base: AtomicUsize::new(0),
            free: AtomicU64::new(0),
            dirty: AtomicU64::new(0),
            committed: AtomicU64::new(0),
        }
    }

    /// The lowest position at which `slices` bits of `free` are set, among the positions in `starts`.
    fn find(free: u64, slices: usize, starts: u64) -> Option<usize> {
        let mut fits = free;
        let mut have = 1;
        while have < slices {
            let step = have.min(slices - have);
            fits &= fits >> step;
            have += step;
        }
        fits &= starts;
        (fits != 0).then(|| fits.trailing_zeros() as usize)
    }

    /// The run of `wanted` slices at `first`, or one a little further on in front of which no free slices are left that are too few for another.
    ///
    /// A purge leaves off where it has given back enough, in the middle of what is free: pages that began there left a page's room unused
    /// in a chunk, and a program whose memory was bounded got 464 blocks after it had freed 473.
    fn in_step(free: u64, wanted: u64, starts: u64, first: usize, slices: usize) -> usize {
        // Slice 0 begins no run.
        let below = (free & mask(first) & !1).rotate_right(first as u32);
        let odd = below.leading_ones() as usize % slices;
        let next = first + (slices - odd) % slices;
        let next = 1_u64.checked_shl(next as u32).unwrap_or(0);
        Self::find(wanted, slices, starts & next).unwrap_or(first)
    }

    /// Claim `slices` slices that begin at one of `starts`: memory that has been touched before memory that has not,
    /// then the lowest address.
    pub(crate) fn claim(&self, slices: usize, starts: u64) -> Option<Run> {
        // Acquire: pairs with the Release in `release`: what the last user did to the slices comes before what we do. Also
        // with the Release in `publish`, for the header.
        let mut free = self.free.load(Ordering::Acquire);
        loop {
            // Relaxed: for free slices the word was last changed before the Release that freed them.
            let dirty = self.dirty.load(Ordering::Relaxed);
            let touched = Self::find(free & dirty, slices, starts)
                .map(|first| Self::in_step(free, free & dirty, starts, first, slices));
            let first = touched.or_else(|| Self::find(free, slices, starts))?;
            let claimed = mask(slices) << first;
            // AcqRel: Acquire as above. Release: pairs with the Acquire of the next to change the word, so that the chain of
            // users stays ordered.
            match self.free.compare_exchange_weak(
                free,
                free & !claimed,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return Some(self.claimed(first, slices, claimed)),
                Err(now) => free = now,
            }
        }
    }

    fn claimed(&self, first: usize, slices: usize, claimed: u64) -> Run {
        // Relaxed, both: nobody changes them for slices that we hold, and the claim made them visible.
        let base = self.base.load(Ordering::Relaxed);
        let dirty = self.dirty.load(Ordering::Relaxed) & claimed;
        // SAFETY: a chunk with a claimed slice has an address.
        let base = unsafe { NonNull::new_unchecked(core::ptr::with_exposed_provenance_mut(base)) };
        Run {
            base,
            first,
            slices,
            dirty,
        }
    }

    /// Check what holds for a run that somebody holds: its slices are mapped, and nobody can claim them.
    pub(crate) fn check_held(&self, run: &Run) {
        let (free, committed) = (
            self.free.load(Ordering::Relaxed),
            self.committed.load(Ordering::Relaxed),
        );
        assert!(
            run.slices != 0 && run.first + run.slices <= SLICES,
            "a run lies in its chunk"
        );
        assert!(free & run.mask() == 0, "a claimed slice is not free");
        assert!(
            committed & run.mask() == run.mask(),
            "a claimed slice is mapped"
        );
        assert!(self.base.load(Ordering::Relaxed) == run.base.as_ptr().addr());
    }

    /// Check the equation. Nobody claims or purges meanwhile.
    pub(crate) fn check(&self) {
        let base = self.base.load(Ordering::Relaxed);
        let free = self.free.load(Ordering::Relaxed);
        let committed = self.committed.load(Ordering::Relaxed);
        assert!(free & !committed == 0, "a free slice is mapped");
        assert!(
            (base == 0) == (committed == 0),
            "an entry without a chunk is vacant"
        );
        assert!(
            base.is_multiple_of(CHUNK) && committed & (committed.wrapping_add(1)) == 0,
            "a chunk is mapped from its start on"
        );
    }

    /// Give the slices of `run` back, of which the first `touched` may have been written to. Returns how many of them
    /// are dirty, and which slices of the chunk are free now.
    pub(crate) fn release(&self, run: &Run, touched: usize) -> (usize, u64) {
        let touched = mask(touched.min(run.slices)) << run.first;
        // Relaxed: published by the Release below.
        let dirty = self.dirty.fetch_or(touched, Ordering::Relaxed) | touched;
        // Release: pairs with the Acquire in `claim`: everything done to the slices is before their next use.
        let free = self.free.fetch_or(run.mask(), Ordering::Release) | run.mask();
        ((dirty & run.mask()).count_ones() as usize, free)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// An entry whose slices are free where `free` says so, and dirty where `dirty` does.
    fn entry(free: u64, dirty: u64) -> Entry {
        let entry = Entry::vacant();
        entry.base.store(CHUNK, Ordering::Relaxed);
        entry.committed.store(u64::MAX, Ordering::Relaxed);
        entry.free.store(free, Ordering::Relaxed);
        entry.dirty.store(dirty, Ordering::Relaxed);
        entry
    }

    #[test]
    fn the_lowest_run_that_fits_is_found() {
        for slices in 1..SLICES {
            for free in [!1, 0xFF00_FF0E, !0 << 7, 0b11_0110, 1 << 63] {
                for starts in [!1, (!0 / 3) << 1] {
                    let run = |first| mask(slices) << first;
                    let fits = |&first: &usize| {
                        first + slices <= SLICES
                            && starts >> first & 1 == 1
                            && free & run(first) == run(first)
                    };
                    let first = (0..SLICES).find(fits);
                    assert_eq!(Entry::find(free, slices, starts), first);
                }
            }
        }
    }

    /// A purge has left off at slice 32, in the middle of what is free.
    #[test]
    fn what_lies_in_front_of_touched_memory_has_room_for_whole_runs() {
        for (slices, free) in (2..8).flat_map(|slices| [(slices, !0), (slices, !1)]) {
            let entry = entry(free, !0 << 32);
            let runs = core::iter::from_fn(|| entry.claim(slices, !1)).count();
            assert_eq!(runs, (SLICES - 1) / slices, "of {slices} slices");
        }
        let taken = |dirty: u64| entry(!1, dirty).claim(3, !1).map(|run| run.first);
        assert_eq!(
            taken(!0 << 32),
            Some(34),
            "31 slices in front: one too many"
        );
        assert_eq!(
            taken(0b111 << 32),
            Some(32),
            "behind it is untouched memory"
        );
        assert_eq!(taken(!0 << 31), Some(31), "30 slices in front: ten runs");
    }

    #[test]
    fn what_is_given_back_is_free_and_as_dirty_as_it_was_left() {
        let entry = entry(0b1111_0000, 0b0100_1000);
        let run = entry.claim(3, !1).expect("there are four");
        assert_eq!((run.first, run.slices, run.dirty), (4, 3, 0b0100_0000));
        entry.check_held(&run);
        assert_eq!(entry.free.load(Ordering::Relaxed), 0b1000_0000);
        assert!(entry.claim(2, !1).is_none() && !run.is_clean());
        let (dirty, free) = entry.release(&run, 1);
        assert_eq!((dirty, free), (2, 0b1111_0000));
        assert_eq!(entry.dirty.load(Ordering::Relaxed), 0b0101_1000);
        entry.check();
    }
}
