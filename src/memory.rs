//! The memory of a process: the kernel, the chunks and the huge blocks, and the policy that bounds what is kept.

use core::{marker::PhantomData, ptr::NonNull};

use ralloc_platform::Platform;

use crate::{
    chunk::{Chunk, Owner},
    chunk_entry::Run,
    chunk_table::{ChunkTable, Growth},
    config::{CHUNK, FIRST_BLOCK_OFFSET, FIRST_SLICES_MIN, RESERVED_SLICES, SLICE, SLICES, Tuning},
    growth::map_apart,
    hooks::Hooks,
    huge::{Huge, discard, span_size},
    huge_cache::Span,
    parked::Parked,
    primitive::{AtomicU32, AtomicUsize, Ordering, Tally},
    recent::Recent,
    room::Wanted,
    waiting::Waiting,
};

/// Freed huge blocks that the security build remembers.
const FREED_HUGE: usize = 16;

/// What all heaps of an instance draw from.
#[repr(C)]
pub(crate) struct Memory<P, T> {
    pub(crate) kernel: P,
    /// Who watches, and what waits for their sake.
    pub(crate) hooks: Hooks,
    pub(crate) waiting: Waiting,
    pub(crate) huge: Huge,
    /// Counts forks on the way from the first process to this one.
    pub(crate) epoch: AtomicU32,
    /// Bytes claimed while the last [`Tuning::CHURN_WINDOW`] bytes were given back; an estimate.
    pub(crate) churn: Tally,
    /// Rounds of housekeeping in this while, and the fewest and the most bytes that have lain idle in it.
    pub(crate) rounds: Tally,
    pub(crate) least_idle: Tally,
    pub(crate) most_idle: Tally,
    /// The most bytes that have ever been in use.
    pub(crate) peak: Tally,
    /// Slices of pages that are likely to be resident from end to end, see [`fills_up`](Self::fills_up). May be a negative number.
    pub(crate) dense: Tally,
    /// Whether a chunk has ever been backed by large pages.
    pub(crate) has_large_pages: Tally,
    /// Idle bytes above which the next purge is due: those that the last one could not give back are not tried again at
    /// once.
    pub(crate) purge_above: Tally,
    /// A [`Purge`] that was chosen: 0 is `Normal`, the largest number `Never`, any other is one more than the bytes.
    pub(crate) purge: AtomicUsize,
    /// Held (not 0) by the one thread that purges, or walks the chunks.
    purge_lock: AtomicUsize,
    /// In the security build: what nobody can guess; 0 until it is asked for.
    key: AtomicUsize,
    /// In the security build: numbers drawn so far.
    pub(crate) draws: Tally,
    /// In the security build: freed large blocks that nobody may touch.
    pub(crate) parked: Parked,
    /// In the security build: where the huge blocks were that were freed last.
    pub(crate) freed_huge: [AtomicUsize; FREED_HUGE],
    /// Purges, slices purged and chunks given back.
    pub(crate) purges: Tally,
    pub(crate) purged_slices: Tally,
    pub(crate) unmapped_chunks: Tally,
    tuning: PhantomData<T>,
    /// Last, because it is large and mostly unused.
    pub(crate) chunks: ChunkTable,
}

/// The right to purge and to walk the chunks.
pub(crate) struct PurgeGuard<'a>(&'a AtomicUsize);

impl Drop for PurgeGuard<'_> {
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `try_lock`.
        self.0.store(0, Ordering::Release);
    }
}

// SAFETY: everything inside is atomic, and a `Platform` is `Sync`; `T` is only a name.
unsafe impl<P: Platform, T> Sync for Memory<P, T> {}

impl<P: Platform, T: Tuning> Memory<P, T> {
    /// Slices of the first chunk that are mapped to begin with, at least. In the security build all: what a kernel maps behind a guard may
    /// be as inaccessible as the guard.
    const FIRST_SLICES: usize = if T::SECURITY {
        SLICES
    } else {
        FIRST_SLICES_MIN
    };

    pub(crate) const fn new(kernel: P) -> Self {
        Self {
            kernel,
            hooks: Hooks::new(),
            waiting: Waiting::new(),
            chunks: ChunkTable::new(if T::SECURITY { RESERVED_SLICES } else { 0 }),
            huge: Huge::new(),
            epoch: AtomicU32::new(0),
            churn: Tally::new(0),
            rounds: Tally::new(0),
            least_idle: Tally::new(0),
            most_idle: Tally::new(0),
            peak: Tally::new(0),
            dense: Tally::new(0),
            has_large_pages: Tally::new(0),
            purge_above: Tally::new(0),
            purge: AtomicUsize::new(0),
            purge_lock: AtomicUsize::new(0),
            key: AtomicUsize::new(0),
            draws: Tally::new(0),
            parked: Parked::new(),
            freed_huge: [const { AtomicUsize::new(0) }; FREED_HUGE],
            purges: Tally::new(0),
            purged_slices: Tally::new(0),
            unmapped_chunks: Tally::new(0),
            tuning: PhantomData,
        }
    }

    /// What nobody outside of the process can guess. Never 0.
    #[inline]
    pub(crate) fn key(&self) -> usize {
        // Relaxed: a number, the same for whoever sees it.
        match self.key.load(Ordering::Relaxed) {
            0 => self.draw_key(),
            key => key,
        }
    }

    #[cold]
    fn draw_key(&self) -> usize {
        let drawn = self.kernel.entropy() | 1;
        let relaxed = Ordering::Relaxed;
        match self.key.compare_exchange(0, drawn, relaxed, relaxed) {
            Ok(_) => drawn,
            Err(key) => key,
        }
    }

    /// How often the process has been forked from the first one.
    #[inline]
    pub(crate) fn epoch(&self) -> u32 {
        // Relaxed: changes only while the process has one thread.
        self.epoch.load(Ordering::Relaxed)
    }

    /// Claim the slices of a page: if there are such, of those that the heap gave back a moment ago.
    pub(crate) fn claim_page(&self, slices: usize, small: bool, recent: &Recent) -> Option<Run> {
        // Slice 0 is reserved in the security build.
        let small = small && !T::SECURITY;
        let again = recent.claim(&self.chunks, slices, small);
        let run = again.or_else(|| self.claim_from(slices, 1, small, true))?;
        self.claimed(run)
    }

    /// Claim a run of slices, as [`ChunkTable::claim`].
    pub(crate) fn claim(&self, slices: usize, stride: usize) -> Option<Run> {
        let run = self.claim_from(slices, stride, false, false)?;
        self.claimed(run)
    }

    /// Claim a run of slices that may be guarded.
    pub(crate) fn claim_as_it_is(&self, slices: usize, stride: usize) -> Option<Run> {
        let run = self.claim_from(slices, stride, false, false)?;
        self.note_claim(&run);
        Some(run)
    }

    /// A run that has just been claimed, without a guard in it.
    fn claimed(&self, run: Run) -> Option<Run> {
        self.note_claim(&run);
        if T::SECURITY && !self.unguard(&run, run.mask()) {
            self.release(&run, 0);
            return None;
        }
        Some(run)
    }

    fn note_claim(&self, run: &Run) {
        self.churn_up(run.slices * SLICE);
        if cfg!(debug_assertions) {
            self.check_held(run);
        }
        if self.hooks.has_debugger() {
            self.mark_free(run);
        }
    }

    fn claim_from(&self, slices: usize, stride: usize, small: bool, for_page: bool) -> Option<Run> {
        let wanted = Wanted::new(slices, stride, small);
        let mapped = self.chunks.claim_mapped(&wanted);
        if mapped.is_some() {
            return mapped;
        }
        let growth = Growth {
            // A power of two, so that doubling it ends at a whole chunk.
            first: (T::FIRST_MAPPING / SLICE)
                .clamp(Self::FIRST_SLICES, SLICES)
                .next_power_of_two(),
            // Among runs, whole large pages would become resident for their header.
            large_pages: for_page && self.wants_large_pages(),
            apart: self.draw_distance(),
        };
        self.make_way(CHUNK);
        self.chunks.claim(&wanted, growth, &self.kernel)
    }

    /// Tell the debugger that a run was claimed, and is in no block yet. Slice 0 begins with the chunk's header.
    #[cold]
    fn mark_free(&self, run: &Run) {
        let header = if run.first == 0 {
            FIRST_BLOCK_OFFSET
        } else {
            0
        };
        // SAFETY: slices are larger than the header.
        let start = unsafe { run.start().add(header) };
        self.kernel.mark_free(start, run.slices * SLICE - header);
    }

    /// Check what holds for a run that was claimed just now, or is about to be given back: it is held, and nobody's.
    ///
    /// Not in a child of `fork`: the kernel copies the table and the chunks at different moments.
    fn check_held(&self, run: &Run) {
        if self.epoch() == 0 {
            // SAFETY: the caller holds a slice of the chunk.
            let chunk = unsafe { Chunk::of(run.base) };
            self.chunks.entry(chunk.index()).check_held(run);
            for slice in run.first..run.first + run.slices {
                assert!(
                    chunk.owner(slice) == Owner::nobody(Owner::UNOWNED),
                    "a slice that belongs to no page or run is nobody's"
                );
            }
        }
    }

    /// Give a run of slices back, and purge if more lies idle than may.
    pub(crate) fn release(&self, run: &Run, touched: usize) {
        if cfg!(debug_assertions) {
            self.check_held(run);
        }
        let emptied = self.chunks.release(run, touched);
        self.churn_down(run.slices * SLICE);
        self.purge_if_due(emptied);
    }

    /// A huge block of `asked` bytes at a multiple of `align`, and how many of its first bytes may not read zero.
    ///
    /// Pre: `align` is a power of two, at least the chunk size.
    pub(crate) fn claim_huge(&self, asked: usize, align: usize) -> Option<(NonNull<u8>, usize)> {
        let size = span_size(asked.checked_add(self.guard_bytes())?)?;
        let waiting = self.huge.cache.take(size, align);
        let waiting = waiting.map(|span| (self.cut(span, size), size));
        let grown = || self.grow_waiting(size, align);
        let (span, dirty) = match waiting.or_else(grown) {
            Some(found) => found,
            None => {
                self.make_way(size);
                let base = map_apart(size, align, self.draw_distance(), &self.kernel)?;
                (Span { base, size }, 0)
            }
        };
        if !self.huge.insert(&span, asked, &self.chunks, &self.kernel) {
            discard(&span, &self.kernel);
            return None;
        }
        self.churn_up(size);
        self.guard_huge(span.base, asked, size);
        Some((span.base, dirty))
    }

    /// The first `size` bytes of a span; the rest waits for reuse, or goes back.
    fn cut(&self, span: Span, size: usize) -> Span {
        if span.size == size {
            return span;
        }
        let (first, rest) = span.split(size);
        if let Err(rest) = self.huge.cache.put(rest) {
            discard(&rest, &self.kernel);
        }
        first
    }

    /// Give a huge block back. Returns whether there was one.
    pub(crate) fn release_huge(&self, base: NonNull<u8>) -> bool {
        let span = self.huge.remove(base);
        if let Some(span) = span {
            self.retire_span(span);
        }
        span.is_some()
    }

    /// A span waits for reuse if it may: others that have waited longer make room for it, or it goes back itself.
    fn retire_span(&self, span: Span) {
        self.churn_down(span.size);
        if T::SECURITY {
            // Whoever still uses the block is to be ended.
            return self.retire_guarded(span);
        }
        self.cache(span);
    }

    /// A span waits for reuse if it may.
    pub(crate) fn cache(&self, span: Span) {
        let cache = &self.huge.cache;
        if let Some(expired) = cache.take_expired() {
            discard(&expired, &self.kernel);
        }
        let allowed = self.idle_allowed();
        let surplus = |more: usize| (self.idle() + more).saturating_sub(allowed);
        if surplus(span.size) > cache.bytes() {
            discard(&span, &self.kernel);
            return;
        }
        self.trim_cache(allowed.saturating_sub(span.size));
        if let Err(span) = cache.put(span) {
            discard(&span, &self.kernel);
        }
    }

    /// Make the huge block at `base` serve `asked` bytes where it stands.
    ///
    /// Pre: the caller holds the block, and gives up what lies behind `asked`.
    pub(crate) fn resize_huge(&self, base: NonNull<u8>, asked: usize) -> bool {
        if T::SECURITY {
            return self.resize_in_span(base, asked);
        }
        let (Some(old), Some(size)) = (self.huge.size(base), span_size(asked)) else {
            return false;
        };
        let block = Span { base, size: old };
        if size > old {
            let cached = self.huge.cache.take_at(block.end(), size - old);
            let extended = match cached {
                Some(span) => {
                    self.cut(span, size - old);
                    true
                }
                None => {
                    self.make_way(size - old);
                    self.extend_huge(&block, size - old)
                }
            };
            if !extended {
                return false;
            }
            self.churn_up(size - old);
        }
        // The block is smaller before another can have its tail.
        self.huge.set_size(base, size, asked);
        if size < old {
            let (_, tail) = block.split(size);
            self.forget_churn();
            discard(&tail, &self.kernel);
        }
        true
    }

    fn extend_huge(&self, block: &Span, more: usize) -> bool {
        // SAFETY: the end of a mapping is not 0 and stays within the address space.
        let end = unsafe { block.base.add(block.size) };
        self.kernel.extend(end, more)
    }

    /// Give back every huge block that waits for reuse.
    pub(crate) fn empty_cache(&self) {
        while let Some(span) = self.huge.cache.take_oldest() {
            discard(&span, &self.kernel);
        }
        self.empty_parked();
    }

    /// Take in memory that was not ours: whole slices behind a multiple of the chunk size become chunks, the rest serves for tables.
    /// Returns how many bytes can be used.
    ///
    /// # Safety
    ///
    /// The memory may be used for the rest of the process, and by nobody else; the first chunk has been mapped.
    pub(crate) unsafe fn donate(&self, start: NonNull<u8>, size: usize) -> usize {
        let mut used = 0;
        let mut at = start;
        let mut left = size;
        while left != 0 {
            let address = at.as_ptr().addr();
            let before = (address.next_multiple_of(CHUNK) - address).min(left);
            let slices = ((left - before) / SLICE).min(SLICES);
            let in_chunk = if slices >= FIRST_SLICES_MIN {
                slices * SLICE
            } else {
                0
            };
            let before = if in_chunk == 0 { left } else { before };
            // SAFETY: the caller's promise.
            used += unsafe { self.chunks.donated.add(at, before) };
            // SAFETY: the window begins within the memory, or at its end.
            let base = unsafe { at.add(before) };
            // SAFETY: the caller's promise.
            if in_chunk != 0 && unsafe { self.chunks.adopt(base, slices, &self.kernel) } {
                used += in_chunk;
            }
            // SAFETY: so much is left.
            at = unsafe { base.add(in_chunk) };
            left -= before + in_chunk;
        }
        used
    }

    /// Whether `address` lies in memory of ours. Slow.
    pub(crate) fn has(&self, address: NonNull<u8>) -> bool {
        let base = address.as_ptr().addr() & !(CHUNK - 1);
        let mut chunks = (0..self.chunks.entries()).map(|index| self.chunks.entry(index));
        chunks.any(|entry| entry.base.load(Ordering::Relaxed) == base)
            || self.huge.containing(address).is_some()
    }

    /// The right to purge and to walk the chunks: none is unmapped while it is held.
    pub(crate) fn try_lock(&self) -> Option<PurgeGuard<'_>> {
        // Acquire: pairs with the Release when the guard is dropped.
        self.purge_lock
            .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed)
            .ok()?;
        Some(PurgeGuard(&self.purge_lock))
    }

    /// Wait for the right to walk the chunks.
    pub(crate) fn lock(&self) -> PurgeGuard<'_> {
        loop {
            if let Some(guard) = self.try_lock() {
                return guard;
            }
            self.kernel.yield_now();
        }
    }

    /// In a child of `fork`: another thread of the parent may have held the lock. That the forking thread itself held it
    /// (it forks in a signal handler) does no harm: it gives it up once more.
    pub(crate) fn after_fork(&self) {
        self.purge_lock.store(0, Ordering::Relaxed);
        self.waiting.forget();
        self.hooks.after_fork();
        self.epoch.fetch_add(1, Ordering::Relaxed);
    }
}
