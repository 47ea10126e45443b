//! The directory of heaps: where every heap record is, and which heaps are orphans.
//!
//! An orphan is a heap whose thread has gone. Its bit in the directory is set while nobody holds it; whoever clears the
//! bit holds the heap, with all the rights of an owner, until the bit is set again. That is the only lock there is
//! around a heap, and it is only ever tried.
//!
//! Heap 0 is the *commons*: an orphan from the beginning, never adopted whole. Donated pages belong to it, and threads
//! that have no heap of their own borrow it first.

use core::ptr::NonNull;

use ralloc_platform::Platform;

use crate::{
    config::{HEAP_SIZE, HEAP_SLABS, HEAPS_PER_SLAB, SLICE, Tuning},
    heap::Heap,
    memory::Memory,
    primitive::{AtomicPtr, AtomicU32, AtomicUsize, Ordering},
};

/// The number of the commons.
pub(crate) const COMMONS: usize = 0;

/// A slice full of heap records.
struct Slab {
    /// Where it is; null while there is none.
    records: AtomicPtr<u8>,
    /// Which of the heaps are orphans that nobody holds.
    orphans: AtomicU32,
}

impl Slab {
    const fn missing() -> Self {
        Self {
            records: AtomicPtr::new(core::ptr::null_mut()),
            orphans: AtomicU32::new(0),
        }
    }
}

/// All heaps of an instance. What small processes use comes first, so that it is little memory.
#[repr(C)]
pub(crate) struct Directory {
    /// Heaps numbered so far.
    count: AtomicUsize,
    /// The number of the heap that was left last. A hint: its memory is the warmest.
    recent: AtomicUsize,
    slabs: [Slab; HEAP_SLABS],
}

/// A heap without a thread, held by the caller.
pub(crate) struct Held<'a> {
    directory: &'a Directory,
    pub(crate) heap: &'a Heap,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.directory.leave(self.heap);
    }
}

impl<'a> Held<'a> {
    /// Make the heap the caller's own, for good.
    pub(crate) fn keep(self) -> &'a Heap {
        let heap = self.heap;
        core::mem::forget(self);
        heap
    }
}

impl Directory {
    pub(crate) const fn new() -> Self {
        Self {
            count: AtomicUsize::new(0),
            recent: AtomicUsize::new(COMMONS),
            slabs: [const { Slab::missing() }; HEAP_SLABS],
        }
    }

    /// Heaps that there are, the commons included.
    pub(crate) fn count(&self) -> usize {
        // Acquire: pairs with the Release in `create`.
        self.count
            .load(Ordering::Acquire)
            .min(HEAP_SLABS * HEAPS_PER_SLAB)
    }

    /// The heap with number `number`, if its slab is there.
    pub(crate) fn heap(&self, number: usize) -> Option<&Heap> {
        // Acquire: pairs with the Release in `slab_or_claim`.
        let slab = self.slabs.get(number / HEAPS_PER_SLAB)?;
        let records = NonNull::new(slab.records.load(Ordering::Acquire))?;
        // SAFETY: a slab has so many records.
        let record = unsafe { records.as_ptr().add(number % HEAPS_PER_SLAB * HEAP_SIZE) };
        let record: *const Heap = record.cast();
        // SAFETY: slabs stay, are aligned, and zero is a valid record.
        Some(unsafe { &*record })
    }

    /// All heaps.
    pub(crate) fn heaps(&self) -> impl Iterator<Item = &Heap> {
        self.numbered().map(|(_, heap)| heap)
    }

    /// All heaps, each with the number of its place.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (usize, &Heap)> {
        (0..self.count()).filter_map(|number| Some((number, self.heap(number)?)))
    }

    fn slab_or_claim<P: Platform, T: Tuning>(
        &self,
        number: usize,
        memory: &Memory<P, T>,
    ) -> Option<()> {
        let slab = self.slabs.get(number)?;
        if !slab.records.load(Ordering::Acquire).is_null() {
            return Some(());
        }
        let run = memory.claim_slab()?;
        if memory.hooks.has_debugger() {
            memory.kernel.mark_defined(run.start(), run.slices * SLICE);
        }
        run.clear(run.slices * SLICE);
        let null = core::ptr::null_mut();
        // Release: pairs with the Acquire in `heap`: the records are zero.
        let published = slab.records.compare_exchange(
            null,
            run.start().as_ptr(),
            Ordering::Release,
            Ordering::Relaxed,
        );
        if published.is_err() {
            memory.release_slab(&run);
        } else if number == 0 {
            // Release: pairs with the Acquire in `claim`. From now on the commons can be had.
            slab.orphans.fetch_or(1, Ordering::Release);
        }
        Some(())
    }

    /// Slabs that there are.
    pub(crate) fn slabs(&self) -> usize {
        let is_there = |slab: &&Slab| !slab.records.load(Ordering::Relaxed).is_null();
        self.slabs.iter().filter(is_there).count()
    }

    /// A heap that nobody has had before.
    pub(crate) fn create<P: Platform, T: Tuning>(&self, memory: &Memory<P, T>) -> Option<&Heap> {
        self.slab_or_claim(0, memory)?;
        // Relaxed: only the number matters; 0 is the commons.
        let _ = self
            .count
            .compare_exchange(0, 1, Ordering::Relaxed, Ordering::Relaxed);
        let mut number = self.count.load(Ordering::Relaxed);
        loop {
            self.slab_or_claim(number / HEAPS_PER_SLAB, memory)?;
            // Release: pairs with the Acquire in `count`: the slab is there.
            match self.count.compare_exchange_weak(
                number,
                number + 1,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(now) => number = now,
            }
        }
        let heap = self.heap(number)?;
        heap.number.set(number as u32);
        Some(heap)
    }

    /// Forget all heaps.
    ///
    /// Pre: their memory is gone, and no thread has one.
    pub(crate) fn dissolve(&self) {
        for slab in &self.slabs {
            slab.records.store(core::ptr::null_mut(), Ordering::Relaxed);
            slab.orphans.store(0, Ordering::Relaxed);
        }
        self.count.store(0, Ordering::Relaxed);
        self.recent.store(COMMONS, Ordering::Relaxed);
    }

    fn bit(number: usize) -> u32 {
        1 << (number % HEAPS_PER_SLAB)
    }

    /// Whether the heap is an orphan that nobody holds. A hint, unless a fence orders it.
    pub(crate) fn is_orphan(&self, heap: &Heap) -> bool {
        let number = heap.number.get() as usize;
        let slab = &self.slabs[number / HEAPS_PER_SLAB];
        slab.orphans.load(Ordering::Relaxed) & Self::bit(number) != 0
    }

    /// Hold an orphan, on behalf of the heap at `holder` (1 for a thread without one).
    pub(crate) fn claim(&self, number: usize, holder: usize) -> Option<Held<'_>> {
        let word = &self.slabs.get(number / HEAPS_PER_SLAB)?.orphans;
        let bit = Self::bit(number);
        // Relaxed: a look before the expensive attempt.
        if word.load(Ordering::Relaxed) & bit == 0 {
            return None;
        }
        // Acquire: pairs with the Release in `leave`: the heap is as its last holder left it.
        if word.fetch_and(!bit, Ordering::Acquire) & bit == 0 {
            return None;
        }
        let heap = self.heap(number)?;
        debug_assert!(heap.number.get() as usize == number);
        heap.holder.store(holder, Ordering::Relaxed);
        Some(Held {
            directory: self,
            heap,
        })
    }

    /// Let others have a heap.
    pub(crate) fn leave(&self, heap: &Heap) {
        let number = heap.number.get() as usize;
        heap.offers.store(heap.with_room(), Ordering::Relaxed);
        heap.holder.store(0, Ordering::Relaxed);
        // Release: pairs with the Acquire in `claim`.
        let slab = &self.slabs[number / HEAPS_PER_SLAB];
        slab.orphans.fetch_or(Self::bit(number), Ordering::Release);
    }

    /// Check the equation: a heap has the number of its place, and an orphan that nobody holds has no holder.
    ///
    /// Pre: no other thread is about.
    pub(crate) fn check(&self) {
        for (number, heap) in self.heaps().enumerate() {
            assert!(
                heap.number.get() as usize == number,
                "a heap knows its number"
            );
            assert!(
                !self.is_orphan(heap) || heap.holder.load(Ordering::Relaxed) == 0,
                "an orphan that can be had has no holder"
            );
        }
        for (index, slab) in self.slabs.iter().enumerate() {
            let heaps = self.count().saturating_sub(index * HEAPS_PER_SLAB);
            let beyond =
                u64::from(slab.orphans.load(Ordering::Relaxed)) >> heaps.min(HEAPS_PER_SLAB);
            assert!(
                beyond == 0 || heaps == 0 && index == 0,
                "an orphan is a heap"
            );
        }
    }

    /// Note that the heap was left by its thread just now.
    pub(crate) fn left(&self, heap: &Heap) {
        self.recent
            .store(heap.number.get() as usize, Ordering::Relaxed);
    }

    /// Hold the orphan that was left last, else any, for a new thread. Never the commons, nor a heap whose pages a fork has
    /// made doubtful.
    pub(crate) fn claim_for_thread(&self) -> Option<Held<'_>> {
        let adoptable = |number: usize| {
            let heap = self.heap(number)?;
            let is_free = number != COMMONS && heap.for_counts.get() == 0;
            (is_free && heap.frozen.get() == 0).then_some(())?;
            self.claim(number, heap.address())
        };
        adoptable(self.recent.load(Ordering::Relaxed))
            .or_else(|| self.orphan_numbers(0).find_map(adoptable))
    }

    /// The numbers of the heaps that are orphans and unheld, from number `from` on, round.
    pub(crate) fn orphan_numbers(&self, from: usize) -> impl Iterator<Item = usize> {
        let slabs = self.count().div_ceil(HEAPS_PER_SLAB);
        let first = from / HEAPS_PER_SLAB;
        let below = Self::bit(from) - 1;
        let orphans = |slab: usize, which: u32| {
            let mut word = match self.slabs.get(slab) {
                Some(slab) => slab.orphans.load(Ordering::Relaxed) & which,
                None => 0,
            };
            core::iter::from_fn(move || {
                let bit = word.trailing_zeros() as usize;
                (bit < HEAPS_PER_SLAB).then(|| {
                    word &= word - 1;
                    slab * HEAPS_PER_SLAB + bit
                })
            })
        };
        let whole = (first + 1..slabs).chain(0..first.min(slabs));
        orphans(first, !below)
            .chain(whole.flat_map(move |slab| orphans(slab, u32::MAX)))
            .chain(orphans(first, below))
    }

    /// Hold some heap on behalf of a thread that has none: the commons, else any orphan, else a new one. Waits for nobody.
    pub(crate) fn borrow<P: Platform, T: Tuning>(
        &self,
        holder: usize,
        memory: &Memory<P, T>,
    ) -> Option<Held<'_>> {
        let orphan = self
            .claim(COMMONS, holder)
            .or_else(|| self.claim_for_thread());
        if orphan.is_some() {
            return orphan;
        }
        let heap = self.create(memory)?;
        Some(Held {
            directory: self,
            heap,
        })
    }
}
