//! How much memory lies idle, how much may, and what is done about the difference: the policy over what [`purge`](crate::purge) does.

use ralloc_platform::Platform;

use crate::{
    config::{CHUNK, KIB, Purge, SLICE, Tuning},
    huge::discard,
    huge_cache::Span,
    memory::Memory,
    primitive::Ordering,
};

/// Rounds of housekeeping that are a while, in which what is wanted no more is forgotten: a part in so many in each, but no more than a slice; and at
/// its end what nobody has taken all the while. Where more lies idle, a while is a round for each slice of it. A round comes with every 256 KiB to 4 MiB
/// of small blocks, and what the threads of a program have in flight goes up and down by tens of MiB: where a round counted 16 MiB such
/// memory went back and came again (xmalloc-test with 64 bytes: 2.4 s and 1.7 million page faults, now 1.4 s and 75,000; with all sizes 8.0 and 5.7 s, 1.36
/// and 0.57 million).
const ROUNDS: usize = 256;

impl<P: Platform, T: Tuning> Memory<P, T> {
    /// The program wants memory, and has it now.
    pub(crate) fn churn_up(&self, bytes: usize) {
        // What it has never had before is not what it wants again.
        let bytes = bytes.saturating_sub(self.note_peak());
        // Relaxed, here and below: estimates.
        // No exchange: a claim may be missed when two threads meet.
        let churn = self.churn.load(Ordering::Relaxed) + bytes;
        self.churn
            .store(churn.min(T::CHURN_WINDOW), Ordering::Relaxed);
        let idle = self.idle();
        if idle < self.least_idle.load(Ordering::Relaxed) {
            self.least_idle.store(idle, Ordering::Relaxed);
        }
    }

    /// A round of housekeeping: what the program wanted before counts for less, and what has lain idle for long was not wanted, however much
    /// else came and went.
    fn age(&self) {
        let churn = self.churn.load(Ordering::Relaxed);
        let mut churn = churn - (churn / ROUNDS).min(SLICE);
        let rounds = self.rounds.fetch_add(1, Ordering::Relaxed) + 1;
        let most = self.most_idle.load(Ordering::Relaxed);
        if rounds >= ROUNDS.max(most / SLICE) {
            let idle = self.idle();
            churn = churn.min(most.saturating_sub(self.least_idle.load(Ordering::Relaxed)));
            self.rounds.store(0, Ordering::Relaxed);
            self.most_idle.store(idle, Ordering::Relaxed);
            self.least_idle.store(idle, Ordering::Relaxed);
        }
        self.churn.store(churn, Ordering::Relaxed);
    }

    /// A program that makes a block smaller wants the rest back: what it wanted before counts for nothing.
    pub(crate) fn forget_churn(&self) {
        self.churn.store(0, Ordering::Relaxed);
    }

    /// More may be in use now than ever before: how much more.
    pub(crate) fn note_peak(&self) -> usize {
        let live = self.live();
        if live <= self.peak.load(Ordering::Relaxed) {
            return 0;
        }
        live.saturating_sub(self.peak.fetch_max(live, Ordering::Relaxed))
    }

    /// The program gives memory back: what it wanted before counts for less.
    pub(crate) fn churn_down(&self, bytes: usize) {
        let churn = self.churn.load(Ordering::Relaxed);
        let share = bytes.min(T::CHURN_WINDOW) / KIB;
        let less = churn / (T::CHURN_WINDOW / KIB).max(1) * share;
        self.churn.store(churn - less, Ordering::Relaxed);
        let idle = self.idle();
        if idle > self.most_idle.load(Ordering::Relaxed) {
            self.most_idle.store(idle, Ordering::Relaxed);
        }
    }

    /// Bytes that are free and resident.
    pub(crate) fn idle(&self) -> usize {
        self.chunks.totals().dirty + self.huge.cache.bytes() + self.parked.framed()
    }

    /// Bytes that are in use.
    pub(crate) fn live(&self) -> usize {
        self.chunks.totals().claimed + self.huge.live()
    }

    /// Choose how much idle memory is kept.
    pub(crate) fn set_purge(&self, purge: Purge) {
        let word = match purge {
            Purge::Normal => 0,
            Purge::Above(bytes) => bytes.saturating_add(1).min(usize::MAX - 1),
            Purge::Never => usize::MAX,
        };
        // Relaxed: whoever reads an older choice keeps a little more or less.
        self.purge.store(word, Ordering::Relaxed);
        self.purge_above.store(0, Ordering::Relaxed);
    }

    /// Bytes that may be free and resident by choice, if there was one.
    pub(crate) fn idle_chosen(&self) -> Option<usize> {
        match self.purge.load(Ordering::Relaxed) {
            0 => None,
            usize::MAX => Some(usize::MAX),
            word => Some(word - 1),
        }
    }

    /// Bytes that may be free and resident.
    pub(crate) fn idle_allowed(&self) -> usize {
        if let Some(bytes) = self.idle_chosen() {
            return bytes;
        }
        let live = self.live();
        let churn = self.churn.load(Ordering::Relaxed);
        T::IDLE_FLOOR.max(live / T::IDLE_SHARE).max(churn)
    }

    /// Before `more` bytes are mapped that the program has never had: what lies idle and does not serve it goes back, as far as there
    /// would otherwise be more memory in use or idle than was ever in use.
    ///
    /// What was kept for its speed then costs no memory at the peak, and is given back only when there is a new peak: large blocks in
    /// turn (large-pairs) took 255 MiB of faults instead of 79, of 5,580, and 72 MiB instead of 79 (figures of a model).
    pub(crate) fn make_way(&self, more: usize) {
        let most = self.peak.load(Ordering::Relaxed).max(self.live() + more);
        self.trim_cache(most.saturating_sub(self.live() + more));
    }

    /// The largest waiting block that is smaller than `size`, made that large by moving its pages. Returns it, and how many of its first
    /// bytes have been used.
    ///
    /// What it has need not be touched anew, nor be given back: large blocks in turn (large-pairs) take 0.61 of the CPU time and 0.54 of the page
    /// faults, blocks of zeros (calloc-large) 0.78 and 0.65, in the same memory.
    pub(crate) fn grow_waiting(&self, size: usize, align: usize) -> Option<(Span, usize)> {
        if !T::MOVES_WAITING || T::SECURITY && align > CHUNK {
            return None;
        }
        let waiting = self.huge.cache.take_below(size)?;
        self.make_way(size);
        let moved = if T::SECURITY {
            // SAFETY: what waits is nobody's.
            unsafe { self.move_pages(waiting.base, waiting.size, size) }
        } else {
            // SAFETY: as above.
            unsafe { (self.kernel).relocate(waiting.base, waiting.size, size, align) }
        };
        if moved.is_none()
            && let Err(waiting) = self.huge.cache.put(waiting)
        {
            discard(&waiting, &self.kernel);
        }
        moved.map(|base| (Span { base, size }, waiting.size))
    }

    /// Give huge blocks back that wait for reuse, while more than `allowed` bytes lie idle.
    pub(crate) fn trim_cache(&self, allowed: usize) {
        while self.huge.cache.bytes() != 0 && self.idle() > allowed {
            let Some(oldest) = self.huge.cache.take_oldest() else {
                break;
            };
            discard(&oldest, &self.kernel);
        }
    }

    /// Give back what has stayed idle although the program has gone on: huge blocks, and single slices if they are much as a share of
    /// what is live.
    pub(crate) fn tidy(&self) {
        self.age();
        let allowed = self.idle_allowed();
        self.trim_cache(allowed);
        let pieces = allowed.max(self.live() / 2);
        if self.idle() > pieces {
            self.purge(allowed / 2, pieces, 1);
        }
    }

    /// Give memory back, as the chunk table's `purge`, unless another thread is at it.
    pub(crate) fn purge(&self, target: usize, pieces: usize, spare_chunks: usize) {
        let Some(_guard) = self.try_lock() else {
            return;
        };
        let purged = self
            .chunks
            .purge(target, pieces, spare_chunks, &self.kernel);
        self.purges.fetch_add(1, Ordering::Relaxed);
        self.purged_slices
            .fetch_add(purged.slices, Ordering::Relaxed);
        self.unmapped_chunks
            .fetch_add(purged.chunks, Ordering::Relaxed);
    }

    /// Slices have come back: purge if more lies idle than may. `emptied` says that nobody uses their chunk any more.
    pub(crate) fn purge_if_due(&self, emptied: bool) {
        let allowed = self.idle_allowed();
        // Relaxed: a purge too many or too few.
        if self.idle() > allowed.max(self.purge_above.load(Ordering::Relaxed)) {
            // Half of what may stay: the next purge has as much work before it as this one. A large page is not broken up while the
            // program may be about to free the rest of it: that took 1.9 times as long for 1 GiB freed in random order.
            let pieces = match self.idle_chosen() {
                Some(bytes) => bytes / 2,
                None if self.has_large_pages.load(Ordering::Relaxed) != 0 => allowed + self.live(),
                None => allowed.max(self.live() / 2),
            };
            self.purge(allowed / 2, pieces, 1);
            self.purge_above
                .store(self.idle() + allowed / 2, Ordering::Relaxed);
        } else if emptied && self.idle() > allowed {
            // A chunk without users goes at once, by itself; and what could not be given back before may be little now.
            self.purge(usize::MAX, usize::MAX, 1);
            let next = self.idle() + allowed / 2;
            let before = self.purge_above.load(Ordering::Relaxed);
            self.purge_above.store(next.min(before), Ordering::Relaxed);
        }
    }
}
