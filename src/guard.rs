//! Guards, in the security build: addresses behind large blocks, and those of large blocks that are free, that cannot be touched.
//!
//! Which slices of a chunk are guarded stands in its header. A slice keeps its guard until it is given out again, so that blocks that
//! come and go at one place cost few system calls. What a large block leaves keeps its frames behind the guard as well, as far as memory may
//! lie idle: to clear them takes a fifth of the time of having others from the kernel. Behind a block that is in use a guard has none. Of the last slice of a large block the guard begins behind the last OS page of the block. The
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
    parked::Leaving,
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
        let hidden = behind & run.dirty & guards.load(Ordering::Relaxed);
        for (stretch, start, size) in Self::stretches(run.base, hidden) {
            let (from, to) = (offset_of(start).max(bytes), offset_of(start) + size);
            // SAFETY: the offset lies in the run.
            let start = unsafe { run.start().add(from) };
            // SAFETY: nobody needs what a block has left there.
            if !unsafe { self.drop_frames(start, to - from) } {
                return false;
            }
            self.chunks.cleaned(run, stretch & !reached);
        }
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

    /// Have what is hidden read zero. False if the kernel refuses.
    ///
    /// # Safety
    ///
    /// The range is the caller's alone, and nobody needs its contents.
    unsafe fn drop_frames(&self, start: NonNull<u8>, size: usize) -> bool {
        // SAFETY: the caller's promise.
        let purged = unsafe { self.kernel.purge(start, size) };
        // Where frames must stay, as `mlockall` says, those of a guard go all the same.
        // SAFETY: as above.
        purged || unsafe { self.kernel.guard(start, size) }
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
        self.in_pages(asked).min(all)
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
        if !self.fit(&run, 0, bytes) {
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

    /// Whether a freed large block may keep its frames.
    fn may_keep(&self, bytes: usize) -> bool {
        self.idle() + bytes <= self.idle_allowed()
    }

    /// Make a whole run that the caller holds inaccessible, if the kernel does that, with what it holds.
    fn hide(&self, run: &Run) -> bool {
        // SAFETY: nobody uses the run.
        let done = unsafe { self.kernel.hide(run.start(), run.slices * SLICE) };
        if done {
            // Relaxed: as above.
            Self::guards(run).fetch_or(run.mask(), Ordering::Relaxed);
        }
        done
    }

    /// Give the run of a large block back: nobody touches it until it is given out again.
    #[inline(never)]
    pub(crate) fn release_guarded(&self, run: &Run) {
        let framed = T::SECURITY && self.may_keep(run.slices * SLICE) && self.hide(run);
        if !framed && (!T::SECURITY || !self.guard(run)) {
            return self.release(run, run.slices);
        }
        self.release_parked(self.parked.keep_run(run, framed));
    }

    /// Let everybody have a run that nobody could reach. False if there is none.
    fn release_parked(&self, leaving: Leaving) -> bool {
        leaving.is_some_and(|(run, framed)| {
            let touched = if framed { run.slices } else { 0 };
            self.release(&self.chunks.held(run.base, run.first, run.slices), touched);
            true
        })
    }

    /// Give the span of a freed huge block back: nobody touches it until eight others have come. Its frames serve the next under another address.
    pub(crate) fn retire_guarded(&self, span: Span) {
        match self.move_out(&span) {
            Some(base) => {
                self.cache(Span { base, ..span });
                // If it cannot be reserved somebody was quick, and has it.
                if self.kernel.reserve(span.base, span.size) {
                    self.park(span);
                }
            }
            // SAFETY: the span is ours alone.
            None if unsafe { self.kernel.guard(span.base, span.size) } => self.park(span),
            None => {
                discard(&span, &self.kernel);
            }
        }
    }

    /// Move the frames of a freed huge block elsewhere, if they may be kept: what it leaves is a hole.
    fn move_out(&self, span: &Span) -> Option<NonNull<u8>> {
        // SAFETY: the span is ours alone.
        let is_open =
            self.may_keep(span.size) && unsafe { self.kernel.unguard(span.base, span.size) };
        // SAFETY: as above.
        is_open.then(|| unsafe { self.move_pages(span.base, span.size, span.size) })?
    }

    /// Move the first `had` bytes of a span, those that are accessible, to where nobody can foresee, and have so many behind them that it is
    /// `size`: what they leave is a hole.
    ///
    /// # Safety
    ///
    /// The span is the caller's alone.
    pub(crate) unsafe fn move_pages(
        &self,
        base: NonNull<u8>,
        had: usize,
        size: usize,
    ) -> Option<NonNull<u8>> {
        let apart = self.draw_distance();
        // SAFETY: the caller's promise.
        let moved = unsafe { self.kernel.relocate(base, had, size + apart, CHUNK) }?;
        // SAFETY: so much has been mapped.
        let gap = unsafe { moved.add(size) };
        // SAFETY: nobody knows it. If it cannot be cut off its addresses are lost.
        let _ = apart == 0 || unsafe { self.kernel.unmap(gap, apart) };
        Some(moved)
    }

    /// Keep the addresses of a huge block that nobody can reach.
    fn park(&self, span: Span) {
        if let Some(leaving) = self.parked.keep_span(span) {
            discard(&leaving, &self.kernel);
        }
    }

    /// Let everybody have the addresses that are kept of freed large blocks.
    pub(crate) fn empty_parked(&self) {
        while let Some(span) = self.parked.take_span() {
            discard(&span, &self.kernel);
        }
        while self.release_parked(self.parked.take_run()) {}
    }

    /// A huge block of which `asked` bytes are asked for with the contents of the block at `base`, made by moving pages. The old block is gone then,
    /// and its addresses are kept from everybody; otherwise nothing has changed.
    ///
    /// Pre: the caller holds the block; `asked` is more than its size.
    pub(crate) fn relocate_guarded(&self, base: NonNull<u8>, asked: usize) -> Option<NonNull<u8>> {
        let page = self.kernel.page_size();
        let (old, had) = (self.huge.size(base)?, self.huge.usable(base)?);
        let had = had.next_multiple_of(page);
        let size = span_size(asked.checked_add(page)?)?;
        self.make_way(size - old);
        let moved = self
            .huge
            .relocate(base, (size, asked), &self.chunks, &self.kernel, || {
                // SAFETY: the caller holds the block.
                unsafe { self.move_pages(base, had, size) }
            })?;
        self.note_peak();
        self.guard_huge(moved, asked, size);
        // SAFETY: the guard lies in the span.
        let guard = unsafe { base.add(had) };
        // It may have frames.
        // SAFETY: the block has left it.
        unsafe { self.kernel.unmap(guard, old - had) };
        if self.kernel.reserve(base, old) {
            self.park(Span { base, size: old });
        }
        Some(moved)
    }

    /// So many bytes, and those behind them in their last OS page.
    pub(crate) fn in_pages(&self, bytes: usize) -> usize {
        bytes.next_multiple_of(self.kernel.page_size())
    }

    /// Bytes behind a huge block that are its guard, at least.
    pub(crate) fn guard_bytes(&self) -> usize {
        if T::SECURITY {
            self.kernel.page_size()
        } else {
            0
        }
    }

    /// Hide what lies behind the `asked` bytes of a huge block in its span of `size` bytes. It may have frames: what the block grows into is purged
    /// first.
    pub(crate) fn guard_huge(&self, base: NonNull<u8>, asked: usize, size: usize) {
        if T::SECURITY {
            let from = self.in_pages(asked);
            // SAFETY: there is a page behind the block.
            let behind = unsafe { base.add(from) };
            // SAFETY: nobody uses what lies behind the block.
            unsafe { self.kernel.hide(behind, size - from) };
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
            // SAFETY: nobody uses what is hidden, or would be if the kernel did that.
            let is_clean = unsafe { self.drop_frames(behind, new - old) };
            // SAFETY: as above.
            if !is_clean || !unsafe { self.kernel.unguard(behind, new - old) } {
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
