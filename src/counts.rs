//! Where the counts of pages live of which blocks are freed in parts (see [`cold`](crate::cold)): in a heap that serves nothing else.

use core::ptr::NonNull;

use ralloc_platform::Platform;

use crate::{
    config::Tuning,
    directory::Held,
    heap::Heap,
    hooks::Quiet,
    live,
    page::Page,
    portion::Portion,
    primitive::Ordering,
    process::{Instance, Process, SHARE_TRIES},
    size_class::SizeClass,
};

impl<I: Instance> Process<I> {
    /// `bytes` bytes for the counts of a page, all zero. They come from a heap that serves nothing else: among blocks that may be freed
    /// in parts, the counts of two pages could lie in one another, and neither page would ever be empty.
    ///
    /// Pre: `bytes` is the size of a small or medium block.
    pub(crate) fn allocate_counts(&self, bytes: usize) -> Option<NonNull<u8>> {
        let _quiet = Quiet::new(&self.memory.hooks, &self.memory.kernel);
        let held = self.hold_counts_heap()?;
        let heap = held.heap;
        let class = SizeClass::of(if I::Tuning::SECURITY {
            live::with_canary(bytes)
        } else {
            bytes
        });
        let inspect = |page: &Page| self.inspect(page, 1);
        let own = || heap.refill::<I::Tuning>(class, Portion::ONE, || self.collect(heap), inspect);
        let open = || heap.open_page(class, &self.memory).then(own).flatten();
        let refill = own().or_else(open);
        let counts = refill.map(|refill| refill.first.start());
        if self.leave(held) {
            self.tend(heap);
        }
        let counts = counts?;
        // SAFETY: a block of the class, ours.
        unsafe { counts.write_bytes(0, bytes) };
        if self.memory.hooks.has_debugger() {
            self.memory.kernel.mark_defined(counts, bytes);
        }
        if I::Tuning::SECURITY {
            // SAFETY: as above.
            unsafe { live::serve_itself(counts, bytes, class.size(), self.memory.key()) };
        }
        Some(counts)
    }

    fn hold_counts_heap(&self) -> Option<Held<'_>> {
        let claim = |number: usize| {
            let held = (number != 0).then(|| self.heaps.claim(number, self.holder()));
            held.flatten()
        };
        for _ in 0..SHARE_TRIES {
            // Acquire: pairs with the Release below.
            match self.counts_heap.load(Ordering::Acquire) {
                0 => break,
                number => match claim(number) {
                    Some(held) => return Some(held),
                    None => self.memory.kernel.yield_now(),
                },
            }
        }
        // None yet, or its holder has lost the processor: nobody waits for that.
        let heap = self.heaps.create(&self.memory)?;
        heap.for_counts.set(1);
        self.heaps.leave(heap);
        let number = heap.number.get() as usize;
        // Release: pairs with the Acquire above.
        self.counts_heap.store(number, Ordering::Release);
        claim(number)
    }

    /// Take home what has arrived for heaps that serve counts: there are several if threads have met.
    pub(crate) fn tend_counts_heaps(&self) {
        // Relaxed: what this thread has delivered went to a heap that it knows of.
        if self.counts_heap.load(Ordering::Relaxed) == 0 {
            return;
        }
        let waits = |heap: &&Heap| heap.for_counts.get() != 0 && !heap.inbox.is_empty();
        self.heaps
            .heaps()
            .filter(waits)
            .for_each(|heap| self.tend(heap));
    }
}
