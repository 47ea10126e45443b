//! Checking the state of a whole process against the equations, and taking a whole allocator down.

use core::ptr::NonNull;

use ralloc_platform::Platform;

use crate::{
    chunk::{Chunk, Owner},
    chunk_entry::mask,
    config::{CHUNK, SLICE, SLICES, Tuning},
    dense,
    guard::{slab_slices, slabs_guard},
    heap::Heap,
    huge::discard,
    primitive::Ordering,
    process::{Instance, Process},
    thread,
};

impl<I: Instance> Process<I> {
    /// The kernel that the allocator stands on.
    pub const fn kernel(&self) -> &I::Platform {
        &self.memory.kernel
    }

    /// Walk the whole state and check every structure's equation. Meant for tests; slow.
    ///
    /// # Panics
    ///
    /// If an equation does not hold.
    ///
    /// # Safety
    ///
    /// No other thread uses the allocator meanwhile.
    pub unsafe fn verify(&self) {
        let mine = thread::heap_address::<I>();
        let is_whole = |heap: &Heap| heap.frozen.get() == 0 || heap.address() == mine;
        let mut pages = 0;
        let mut unowned = 0;
        {
            let _guard = self.memory.lock();
            // In a child of `fork` the sums are those of a moment at which others were about.
            if self.memory.epoch() == 0 {
                self.memory.chunks.check();
                self.memory.huge.check();
                self.heaps.check();
                self.check_dense();
            }
            for chunk in self.memory.chunks.chunks() {
                pages += self.verify_chunk(chunk, is_whole);
                unowned += self.claimed_by_nobody(chunk);
            }
        }
        assert!(
            self.memory.epoch() != 0
                || unowned
                    == self.heaps.slabs()
                        * (slab_slices::<I::Tuning>() + slabs_guard::<I::Tuning>())
                        + self.memory.parked.slices(),
            "a slice that is claimed is in a page, a run or a slab"
        );
        thread::check_heads::<I>();
        let mut queued = 0;
        for heap in self.heaps.heaps().filter(|heap| is_whole(heap)) {
            queued += heap.check();
            heap.inbox.check();
            heap.lent.check(I::Tuning::LENT_BYTES);
            let held_back = heap.ring.check();
            assert!(
                held_back == 0 || !self.heaps.is_orphan(heap),
                "an orphan holds nothing back"
            );
        }
        assert!(queued == pages, "a page that is not full is in a queue");
    }

    /// The equation of [`dense`](crate::dense).
    fn check_dense(&self) {
        let mut pages = 0;
        for chunk in self.memory.chunks.chunks() {
            let begins = |slice: &usize| {
                !chunk
                    .owner(*slice)
                    .has(Owner::NOT_HEAD | Owner::RUN | Owner::UNOWNED)
            };
            let heads = (0..SLICES).filter(begins);
            pages += heads
                .map(|slice| dense::slices(chunk.page(slice).class()))
                .sum::<usize>();
        }
        let firsts: usize = self.heaps.heaps().map(Heap::dense_firsts).sum();
        let dense = self.memory.dense.load(Ordering::Relaxed);
        assert!(
            dense.wrapping_add(firsts) == pages,
            "slices of dense pages are counted"
        );
    }

    /// Slices of a chunk that are neither free nor anybody's.
    fn claimed_by_nobody(&self, chunk: &Chunk) -> usize {
        let entry = self.memory.chunks.entry(chunk.index());
        let committed = entry.committed.load(Ordering::Relaxed);
        let claimed =
            committed & !entry.free.load(Ordering::Relaxed) & !self.memory.chunks.reserved;
        let is_nobodys = |&slice: &usize| {
            claimed >> slice & 1 == 1 && chunk.owner(slice).word() == Owner::UNOWNED
        };
        (0..SLICES).filter(is_nobodys).count()
    }

    /// Free slices are nobody's; slices with an owner belong to a page or run that knows them; a full page has nothing to
    /// give. Returns how many pages of whole heaps are not marked as full.
    fn verify_chunk(&self, chunk: &Chunk, is_whole: impl Fn(&Heap) -> bool) -> usize {
        let entry = self.memory.chunks.entry(chunk.index());
        let free = entry.free.load(Ordering::Relaxed);
        let mut slice = 0;
        let mut with_room = 0;
        while slice < SLICES {
            let owner = chunk.owner(slice);
            if owner.word() == Owner::UNOWNED {
                slice += 1;
                continue;
            }
            let page = chunk.page(slice);
            let others = || {
                // SAFETY: a word that is not a run's belongs to a page.
                owner.has(Owner::NOT_HEAD | Owner::RUN) || !is_whole(unsafe { Heap::of(owner) })
            };
            if self.memory.epoch() != 0 && others() {
                // A thread that is gone may have been making it, or handing it on, and the kernel copied words and records at
                // different moments.
                slice += 1;
                continue;
            }
            chunk.check_owners(slice, page.slices());
            let used = mask(page.slices()) << slice;
            assert!(free & used == 0, "a used slice is not free");
            slice += page.slices();
            if owner.has(Owner::RUN) {
                continue;
            }
            // SAFETY: the word belongs to a page.
            let heap = unsafe { Heap::of(owner) };
            let number = heap.number.get() as usize;
            assert!(
                self.heaps
                    .heap(number)
                    .is_some_and(|known| core::ptr::eq(known, heap)),
                "a page belongs to a heap"
            );
            if !is_whole(heap) {
                continue;
            }
            page.check();
            if page.is_full() {
                assert!(
                    page.free.get() == 0 && !page.extendable(),
                    "a full page has nothing to give"
                );
            } else {
                with_room += 1;
            }
        }
        with_room
    }

    /// Give everything back to the kernel: chunks, huge blocks, tables. What remains is as good as new.
    ///
    /// # Safety
    ///
    /// Nobody uses a block of this allocator any more, no thread has a heap of it, and no thread uses it meanwhile.
    pub unsafe fn dissolve(&self) {
        self.memory
            .huge
            .dissolve(&self.memory.chunks, &self.memory.kernel);
        while let Some(span) = self.memory.parked.take_span() {
            discard(&span, &self.memory.kernel);
        }
        self.memory.parked.forget_runs();
        let chunks = &self.memory.chunks;
        for index in 0..chunks.entries() {
            let entry = chunks.entry(index);
            let slices = entry.committed.load(Ordering::Relaxed).count_ones() as usize;
            let base = entry.base.load(Ordering::Relaxed);
            let base = core::ptr::with_exposed_provenance_mut::<u8>(base);
            if let Some(base) = NonNull::new(base).filter(|_| slices != 0 && !chunks.is_kept(index))
            {
                debug_assert!(base.as_ptr().addr() % CHUNK == 0);
                // SAFETY: nobody uses the chunk any more.
                unsafe { self.memory.kernel.unmap(base, slices * SLICE) };
            }
        }
        self.heaps.dissolve();
        let memory = &self.memory;
        for total in [
            &memory.churn,
            &memory.rounds,
            &memory.least_idle,
            &memory.most_idle,
            &memory.peak,
            &memory.dense,
        ] {
            total.store(0, Ordering::Relaxed);
        }
        chunks.dissolve(&self.memory.kernel);
    }
}
