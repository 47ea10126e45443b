//! The memory of a process: the kernel, the chunks and the huge blocks, and the policy that bounds what is kept.

use core::marker::PhantomData;

use ralloc_platform::Platform;

use crate::{
    chunk_table::{ChunkTable, Run},
    config::Tuning,
    huge::Huge,
    primitive::{AtomicU32, AtomicUsize, Ordering},
};

/// What all heaps of an instance draw from.
pub(crate) struct Memory<P, T> {
    pub(crate) kernel: P,
    pub(crate) chunks: ChunkTable,
    pub(crate) huge: Huge,
    /// Counts forks on the way from the first process to this one.
    pub(crate) epoch: AtomicU32,
    /// Held (not 0) by the one thread that purges, or walks the chunks.
    purge_lock: AtomicUsize,
    /// Purges, slices purged and chunks given back.
    pub(crate) purges: AtomicUsize,
    pub(crate) purged_slices: AtomicUsize,
    pub(crate) unmapped_chunks: AtomicUsize,
    tuning: PhantomData<T>,
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
    pub(crate) const fn new(kernel: P) -> Self {
        Self {
            kernel,
            chunks: ChunkTable::new(),
            huge: Huge::new(),
            epoch: AtomicU32::new(0),
            purge_lock: AtomicUsize::new(0),
            purges: AtomicUsize::new(0),
            purged_slices: AtomicUsize::new(0),
            unmapped_chunks: AtomicUsize::new(0),
            tuning: PhantomData,
        }
    }

    /// How often the process has been forked from the first one.
    #[inline]
    pub(crate) fn epoch(&self) -> u32 {
        // Relaxed: changes only while the process has one thread.
        self.epoch.load(Ordering::Relaxed)
    }

    /// Claim a run of slices, as [`ChunkTable::claim`].
    pub(crate) fn claim(&self, slices: usize, stride: usize, small: bool) -> Option<Run> {
        self.chunks.claim(slices, stride, small, &self.kernel)
    }

    /// Give a run of slices back, and purge if more lies idle than may.
    pub(crate) fn release(&self, run: &Run, touched: usize) {
        self.chunks.release(run, touched);
        let totals = self.chunks.totals();
        let allowed = T::DIRTY_FLOOR.max(totals.claimed / T::DIRTY_SHARE);
        if totals.dirty > allowed {
            // Half of what may stay: the next purge has as much work before it as this one.
            self.purge(allowed / 2, 1);
        }
    }

    /// Give memory back until at most `target` bytes lie idle, unless another thread is at it.
    pub(crate) fn purge(&self, target: usize, spare_chunks: usize) {
        let Some(_guard) = self.try_lock() else {
            return;
        };
        let purged = self.chunks.purge(target, spare_chunks, &self.kernel);
        self.purges.fetch_add(1, Ordering::Relaxed);
        self.purged_slices
            .fetch_add(purged.slices, Ordering::Relaxed);
        self.unmapped_chunks
            .fetch_add(purged.chunks, Ordering::Relaxed);
    }

    /// Bytes of freed huge blocks that may wait for reuse.
    pub(crate) fn huge_cache_limit(&self) -> usize {
        let (live, _, _) = self.huge.totals();
        T::HUGE_CACHE.max(live / T::DIRTY_SHARE)
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
        self.epoch.fetch_add(1, Ordering::Relaxed);
    }
}
