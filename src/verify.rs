//! Checking the state of a whole process against the equations, and taking a whole allocator down.

use core::ptr::NonNull;

use ralloc_platform::Platform;

use crate::{
    chunk::{Chunk, Owner},
    config::{CHUNK, SLICE, SLICES},
    heap::Heap,
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
        let mut claimed = 0;
        let mut dirty = 0;
        let mut pages = 0;
        {
            let _guard = self.memory.lock();
            for index in 0..self.memory.chunks.entries() {
                let entry = self.memory.chunks.entry(index);
                let free = entry.free.load(Ordering::Relaxed);
                let committed = entry.committed.load(Ordering::Relaxed);
                assert!(free & !committed == 0, "a free slice is mapped");
                assert!(
                    (entry.base.load(Ordering::Relaxed) == 0) == (committed == 0),
                    "an entry without a chunk is vacant"
                );
                claimed += (committed & !free).count_ones() as usize;
                dirty += (free & entry.dirty.load(Ordering::Relaxed)).count_ones() as usize;
            }
            for chunk in self.memory.chunks.chunks() {
                pages += self.verify_chunk(chunk);
            }
        }
        let totals = self.memory.chunks.totals();
        assert!(
            totals.claimed == claimed * SLICE,
            "claimed slices are counted"
        );
        assert!(totals.dirty == dirty * SLICE, "dirty slices are counted");
        let is_whole = |heap: &&Heap| heap.frozen.get() == 0 || heap.address() == mine;
        let queued: usize = self.heaps.heaps().filter(is_whole).map(Heap::check).sum();
        assert!(
            queued == pages || !self.heaps.heaps().all(|heap| heap.frozen.get() == 0),
            "a page that is not full is in a queue"
        );
    }

    /// Free slices are nobody's; slices with an owner belong to a page or run that knows them. Returns how many pages are
    /// not marked as full.
    fn verify_chunk(&self, chunk: &Chunk) -> usize {
        let free = self
            .memory
            .chunks
            .entry(chunk.index())
            .free
            .load(Ordering::Relaxed);
        let mut slice = 0;
        let mut with_room = 0;
        while slice < SLICES {
            let owner = chunk.owner(slice);
            if free >> slice & 1 == 1 {
                assert!(owner.word() == Owner::UNOWNED, "a free slice is nobody's");
            }
            if owner.word() == Owner::UNOWNED {
                slice += 1;
                continue;
            }
            assert!(
                !owner.has(Owner::NOT_HEAD),
                "a page or run begins with its head"
            );
            let page = chunk.page(slice);
            for later in slice + 1..slice + page.slices() {
                assert!(
                    chunk.owner(later).has(Owner::NOT_HEAD),
                    "a later slice says so"
                );
                assert!(
                    chunk.head_of(later, chunk.owner(later)) == slice,
                    "and finds its head"
                );
                assert!(chunk.owner(later).heap_address() == owner.heap_address());
                assert!(free >> later & 1 == 0, "a used slice is not free");
            }
            with_room += usize::from(!owner.has(Owner::RUN | Owner::FULL));
            slice += page.slices();
        }
        with_room
    }

    /// Give everything back to the kernel: chunks, huge blocks, tables. What remains is as good as new.
    ///
    /// # Safety
    ///
    /// Nobody uses a block of this allocator any more, no thread has a heap of it, and no thread uses it meanwhile.
    pub unsafe fn dissolve(&self) {
        self.memory.huge.dissolve(&self.memory.kernel);
        let chunks = &self.memory.chunks;
        for index in 0..chunks.entries() {
            let entry = chunks.entry(index);
            let slices = entry.committed.load(Ordering::Relaxed).count_ones() as usize;
            let base = entry.base.load(Ordering::Relaxed);
            let base = core::ptr::with_exposed_provenance_mut::<u8>(base);
            if let Some(base) = NonNull::new(base).filter(|_| slices != 0) {
                debug_assert!(base.as_ptr().addr() % CHUNK == 0);
                // SAFETY: nobody uses the chunk any more.
                unsafe { self.memory.kernel.unmap(base, slices * SLICE) };
            }
        }
        self.heaps.dissolve();
        chunks.dissolve(&self.memory.kernel);
    }
}
