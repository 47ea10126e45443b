//! Guards, in the security build: addresses behind large blocks, and those of large blocks that are free, that cannot be touched.
//!
//! Which slices of a chunk are guarded stands in its header. A slice keeps its guard until it is given out again, so that blocks that
//! come and go at one place cost few system calls. Of the last slice of a large block the guard begins behind the last OS page of the block. The
//! kernel may refuse: then there is no guard, and the canary is all there is.

use core::ptr::NonNull;

use ralloc_platform::Platform;

use crate::{
    chunk::Chunk,
    chunk_entry::{Run, mask},
    config::{CHUNK, SLICE, SLICES, STOCK_SLICES, Tuning},
    huge::{discard, span_size},
    huge_cache::Span,
    memory::Memory,
    primitive::{AtomicU64, AtomicUsize, Ordering},
};

/// Distances that a run may have from what is in front of it, in slices.
const GAPS: usize = 4;

/// Distances that a chunk or a huge block may have from what was mapped before it, in chunks: each costs addresses, and a system call.
const DISTANCES: usize = 16;

/// Slices behind a run that are its guard.
pub(crate) const fn slices_behind<T: Tuning>() -> usize {
    T::SECURITY as usize
}

/// Slices of a slab: those of the heap records, and what threads have in stock.
pub(crate) const fn slab_slices<T: Tuning>() -> usize {
    if T::SECURITY { 1 + STOCK_SLICES } else { 1 }
}

/// Slices in front of the allocator's own records that are their guard. They stay claimed, and nobody's.
pub(crate) const fn slabs_guard<T: Tuning>() -> usize {
    T::SECURITY as usize
}

impl<P: Platform, T: Tuning> Memory<P, T> {
    /// The stretches of slices in `set`, each with its start and its bytes.
    fn stretches(base: NonNull<u8>, set: u64) -> impl Iterator<Item = (u64, NonNull<u8>, usize)> {
        let mut left = set;
        core::iter::from_fn(move || {
            (left != 0).then(|| {
                let first = left.trailing_zeros() as usize;
                let count = (left >> first).trailing_ones() as usize;
                let stretch = mask(count) << first;
                left &= !stretch;
                // SAFETY: the slices lie in the chunk.
                let start = unsafe { base.add(first * SLICE) };
                (stretch, start, count * SLICE)
            })
        })
    }

    /// Which slices of the chunk of a run are guarded: a slice whose bit is 0 has no guard in it.
    fn guards<'a>(run: &Run) -> &'a AtomicU64 {
        // SAFETY: the caller holds a slice of the chunk.
        &unsafe { Chunk::of(run.base) }.guards
    }

    /// Make the slices in `set` of a run that the caller holds accessible. False if the kernel refuses.
    pub(crate) fn unguard(&self, run: &Run, set: u64) -> bool {
        let guards = Self::guards(run);
        // Relaxed: the bits of slices are changed by whoever holds them, and were changed before these were claimed.
        let guarded = guards.load(Ordering::Relaxed) & set;
        for (stretch, start, size) in Self::stretches(run.base, guarded) {
            // SAFETY: nobody uses the slices.
            if !unsafe { self.kernel.unguard(start, size) } {
                return false;
            }
            guards.fetch_and(!stretch, Ordering::Relaxed);
        }
        true
    }

    /// Make a whole run that the caller holds inaccessible, if the kernel does that. Its contents are gone then.
    fn guard(&self, run: &Run) -> bool {
        // SAFETY: nobody uses the run.
        let done = unsafe { self.kernel.guard(run.start(), run.slices * SLICE) };
        if done {
            // Relaxed: as above.
            Self::guards(run).fetch_or(run.mask(), Ordering::Relaxed);
            self.chunks.cleaned(run, run.mask());
        }
        done
    }

    /// Make the first `bytes` bytes of a run that the caller holds accessible, as the first `had` are, and what lies behind them inaccessible,
    /// as far as the kernel does that: their contents are gone then. False if it refuses the former.
    pub(crate) fn fit(&self, run: &Run, had: usize, bytes: usize) -> bool {
        if had == bytes {
            return true;
        }
        let guards = Self::guards(run);
        let offset_of = |at: NonNull<u8>| at.as_ptr().addr() - run.start().as_ptr().addr();
        let whole = mask(bytes / SLICE) << run.first;
        let reached = mask(bytes.div_ceil(SLICE)) << run.first;
        // Relaxed, here and below: as above.
        let guarded = guards.load(Ordering::Relaxed) & reached;
        for (stretch, start, size) in Self::stretches(run.base, guarded) {
            let (from, to) = (
                offset_of(start).max(had),
                (offset_of(start) + size).min(bytes),
            );
            // SAFETY: the offset lies in the run.
            let start = unsafe { run.start().add(from) };
            // SAFETY: nobody uses what is guarded.
            if from < to && !unsafe { self.kernel.unguard(start, to - from) } {
                return false;
            }
            guards.fetch_and(!(stretch & whole), Ordering::Relaxed);
        }
        let behind = run.mask() & !whole;
        let open = if bytes < had {
            behind
        } else {
            behind & !guards.load(Ordering::Relaxed)
        };
        for (stretch, start, size) in Self::stretches(run.base, open) {
            let (from, to) = (offset_of(start).max(bytes), offset_of(start) + size);
            // SAFETY: the offset lies in the run.
            let start = unsafe { run.start().add(from) };
            // SAFETY: nobody uses what lies behind.
            if !unsafe { self.kernel.guard(start, to - from) } {
                break;
            }
            guards.fetch_or(stretch, Ordering::Relaxed);
            self.chunks.cleaned(run, stretch & !reached);
        }
        true
    }

    /// How many bytes of a run of which `asked` are asked for are accessible: whole OS pages, if what lies behind them is guarded.
    pub(crate) fn reach(&self, run: &Run, asked: usize) -> usize {
        let all = (run.slices - slices_behind::<T>()) * SLICE;
        // Relaxed: as above.
        let guards = Self::guards(run).load(Ordering::Relaxed) >> run.first;
        if guards >> (all / SLICE - 1) & 1 == 0 {
            return all;
        }
        self.whole_pages(run, asked)
    }

    /// How many bytes of a run of which `asked` are asked for should be accessible.
    pub(crate) fn whole_pages(&self, run: &Run, asked: usize) -> usize {
        let all = (run.slices - slices_behind::<T>()) * SLICE;
        asked.next_multiple_of(self.kernel.page_size()).min(all)
    }

    /// Claim a run for one large block of `size` bytes, with the guard behind it.
    pub(crate) fn claim_guarded(&self, size: usize, stride: usize) -> Option<Run> {
        let behind = slices_behind::<T>();
        let slices = size.div_ceil(SLICE);
        if behind == 0 {
            return self.claim(slices, stride);
        }
        let run = self.claim_somewhere(slices + behind, stride)?;
        let bytes = self.whole_pages(&run, size);
        // Of a slice that is dirty not all is guarded: the kernel has refused once.
        if !self.unguard(&run, run.dirty) || !self.fit(&run, 0, bytes) {
            self.release(&run, 0);
            return None;
        }
        Some(run)
    }

    /// Claim a run that may be guarded, and that begins where nobody can foresee: up to so many slices in front of it stay free.
    fn claim_somewhere(&self, slices: usize, stride: usize) -> Option<Run> {
        let gap = if stride == 1 { self.draw() % GAPS } else { 0 };
        let Some(run) = self.claim_as_it_is(gap + slices, stride) else {
            return self.claim_as_it_is(slices, stride);
        };
        if gap != 0 {
            self.release(&Run { slices: gap, ..run }, 0);
        }
        let rest = Run {
            first: run.first + gap,
            slices,
            ..run
        };
        Some(Run {
            dirty: run.dirty & rest.mask(),
            ..rest
        })
    }

    /// How far a chunk or huge block is to be from its neighbours, in bytes: in the security build nobody can foresee it.
    pub(crate) fn draw_distance(&self) -> usize {
        if T::SECURITY {
            self.draw() % DISTANCES * CHUNK
        } else {
            0
        }
    }

    /// A number that nobody can foresee who does not know the key.
    fn draw(&self) -> usize {
        // Relaxed: the order does not matter.
        let number = self.draws.fetch_add(1, Ordering::Relaxed) as u64;
        let mixed = (number ^ self.key() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        ((mixed ^ mixed >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 48) as usize
    }

    /// Claim slices for the allocator's own records, out of reach of the blocks in front of it.
    pub(crate) fn claim_slab(&self) -> Option<Run> {
        let in_front = slabs_guard::<T>();
        let slices = slab_slices::<T>();
        let run = self.claim(in_front + slices, 1)?;
        let slab = Run {
            first: run.first + in_front,
            slices,
            ..run
        };
        if in_front != 0 {
            self.guard(&Run {
                slices: in_front,
                ..run
            });
        }
        Some(Run {
            dirty: run.dirty & slab.mask(),
            ..slab
        })
    }

    /// Give a slab back that nobody has used, and the guard in front of it.
    pub(crate) fn release_slab(&self, slab: &Run) {
        let in_front = slabs_guard::<T>();
        self.release(slab, slab.slices);
        if in_front != 0 {
            let guard = Run {
                first: slab.first - in_front,
                slices: in_front,
                ..*slab
            };
            self.release(&guard, 0);
        }
    }

    /// Give the run of a large block back: nobody touches it until it is given out again.
    #[inline(never)]
    pub(crate) fn release_guarded(&self, run: &Run) {
        if !T::SECURITY || !self.guard(run) {
            return self.release(run, run.slices);
        }
        if let Some((base, first, slices)) = self.parked.keep_run(run) {
            self.release(&self.chunks.held(base, first, slices), 0);
        }
    }

    /// Let everybody have the addresses that are kept of freed large blocks.
    pub(crate) fn empty_parked(&self) {
        while let Some(span) = self.parked.take_span() {
            discard(&span, &self.kernel);
        }
        while let Some((base, first, slices)) = self.parked.take_run() {
            self.release(&self.chunks.held(base, first, slices), 0);
        }
    }

    /// Bytes behind a huge block that are its guard, at least.
    pub(crate) fn guard_bytes(&self) -> usize {
        if T::SECURITY {
            self.kernel.page_size()
        } else {
            0
        }
    }

    /// Guard what lies behind the `asked` bytes of a huge block in its span of `size` bytes.
    pub(crate) fn guard_huge(&self, base: NonNull<u8>, asked: usize, size: usize) {
        if T::SECURITY {
            let from = asked.next_multiple_of(self.kernel.page_size());
            // SAFETY: there is a page behind the block.
            let behind = unsafe { base.add(from) };
            // SAFETY: nobody uses what lies behind the block.
            unsafe { self.kernel.guard(behind, size - from) };
        }
    }

    /// Make a huge block `asked` bytes long, if it stays in its span.
    pub(crate) fn resize_in_span(&self, base: NonNull<u8>, asked: usize) -> bool {
        let page = self.kernel.page_size();
        let (Some(size), Some(old)) = (self.huge.size(base), self.huge.usable(base)) else {
            return false;
        };
        let wanted = asked.checked_add(page).and_then(span_size);
        let Some(wanted) = wanted.filter(|&wanted| wanted <= size) else {
            return false;
        };
        let (old, new) = (old.next_multiple_of(page), asked.next_multiple_of(page));
        if new > old {
            // SAFETY: what the block grows into lies in its span.
            let behind = unsafe { base.add(old) };
            // SAFETY: it is guarded, or the kernel knows no guards, and nobody uses it.
            if !unsafe { self.kernel.unguard(behind, new - old) } {
                return false;
            }
        }
        // The block is smaller before another can have its tail.
        self.huge.set_size(base, wanted, asked);
        if wanted < size {
            let (_, tail) = Span { base, size }.split(wanted);
            discard(&tail, &self.kernel);
        }
        self.guard_huge(base, asked, wanted);
        true
    }

    /// Note that the huge block at `base` has been freed.
    pub(crate) fn remember_huge(&self, base: NonNull<u8>) {
        let places = &self.freed_huge;
        let place = &places[base.as_ptr().addr() / CHUNK % places.len()];
        // Relaxed: only the fatal line depends on it.
        place.store(base.as_ptr().addr(), Ordering::Relaxed);
    }

    /// Whether a huge block at `base` was freed lately.
    pub(crate) fn was_huge(&self, base: NonNull<u8>) -> bool {
        let is_it = |place: &AtomicUsize| place.load(Ordering::Relaxed) == base.as_ptr().addr();
        self.freed_huge.iter().any(is_it)
    }
}

const _: () = assert!(SLICES == u64::BITS as usize);
