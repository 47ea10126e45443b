//! What the heaps of a process do together: deliver, adopt, donate, come and go, fork.

use core::ptr::NonNull;

use ralloc_platform::{Platform, ThreadBlock};

use crate::{
    config::{HEADS, Purge, Tuning},
    directory::{COMMONS, Directory, Held},
    heap::{Heap, Refill},
    hooks::{Event, Quiet, Watchers},
    memory::Memory,
    page::Page,
    portion::Portion,
    primitive::{AtomicUsize, Ordering, Tally, fence},
    remote::Batch,
    size_class::SizeClass,
};

/// One allocator: which kernel it stands on, where its threads keep their words, its policy, and its state.
///
/// # Safety
///
/// `process` always returns the same state for a given thread block: the words in a thread's block point into it.
#[doc = include_str!("instance.md")]
pub unsafe trait Instance: Sized + 'static {
    /// The kernel.
    type Platform: Platform + 'static;
    /// Where the words of a thread are.
    type Thread: ThreadBlock;
    /// The policy.
    type Tuning: Tuning;

    /// The state that all threads share.
    fn process() -> &'static Process<Self>;

    /// Called when a request could not be served, before null is returned: the C library sets `errno` here.
    #[cold]
    fn on_failure(_why: Failure) {}

    /// Give a block back that is not of this allocator, if another is known. Returns whether one has taken it; else the process
    /// ends with a fatal line.
    #[cold]
    fn free_elsewhere(_block: NonNull<u8>) -> bool {
        false
    }

    /// Who watches the allocator from the start, see [`Watchers`]; `None` as long as that is not known. Asked on slow paths, until it is.
    /// By default a debugger, if there is one, and the log, with the feature `log`.
    #[cold]
    fn watchers(debugger: bool) -> Option<Watchers> {
        Some(Watchers::by_default(debugger))
    }

    /// What happens to blocks, if [`Watchers::EVENTS`] are watching. Must not allocate from this instance.
    fn on_event(_event: Event) {}

    /// As [`free_elsewhere`](Self::free_elsewhere): the usable size of such a block.
    #[cold]
    fn usable_size_elsewhere(_block: NonNull<u8>) -> Option<usize> {
        None
    }

    /// As [`free_elsewhere`](Self::free_elsewhere): what such a block becomes when it is reallocated.
    #[cold]
    fn reallocate_elsewhere(_block: NonNull<u8>, _size: usize) -> Option<*mut u8> {
        None
    }
}

/// Why a request could not be served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// There is no memory, or there could never be so much. `ENOMEM`.
    NoMemory,
    /// The arguments make no sense. `EINVAL`.
    BadArgument,
}

/// The state that all threads of an [`Instance`] share. Constant initialisation is all it needs.
#[repr(C)]
pub struct Process<I: Instance> {
    /// Threads that have had a heap so far.
    pub(crate) threads: Tally,
    /// Whether the platform knows whom to call when threads exit and around `fork`.
    pub(crate) hooks_installed: AtomicUsize,
    /// Held (not 0) while the program break is being moved.
    pub(crate) break_lock: AtomicUsize,
    /// The number of the heap that serves the counts of pages, 0 while there is none.
    pub(crate) counts_heap: AtomicUsize,
    /// Who is asked when there is no memory, see [`oom`](crate::oom).
    pub(crate) oom_handler: AtomicUsize,
    pub(crate) memory: Memory<I::Platform, I::Tuning>,
    pub(crate) heaps: Directory,
}

// SAFETY: heaps are reached through the directory by whoever holds them, everything else is atomic.
unsafe impl<I: Instance> Sync for Process<I> {}

/// Where in a thread's words the address of its heap is: behind the free-list heads.
pub(crate) const HEAP: usize = HEADS;

/// Stands for a thread without a heap, where the address of the holder's heap is asked for.
pub(crate) const NO_HEAP: usize = 1;

/// How often a thread tries to share the commons before it takes a page of its own.
pub(crate) const SHARE_TRIES: usize = 16;

/// Marks a heap as being in a slow path.
pub(crate) struct Busy<'a>(&'a Heap);

impl<'a> Busy<'a> {
    pub(crate) fn new(heap: &'a Heap) -> Self {
        heap.busy.set(heap.busy.get() + 1);
        Self(heap)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.set(self.0.busy.get() - 1);
    }
}

impl<I: Instance> Process<I> {
    /// The state of an allocator that has not been used.
    pub const fn new(kernel: I::Platform) -> Self {
        Self {
            memory: Memory::new(kernel),
            heaps: Directory::new(),
            threads: Tally::new(0),
            hooks_installed: AtomicUsize::new(0),
            break_lock: AtomicUsize::new(0),
            counts_heap: AtomicUsize::new(0),
            oom_handler: AtomicUsize::new(0),
        }
    }

    /// Blocks of `class` for `heap`, at most a `portion`. The order *is* the memory policy: reuse beats extend beats fresh.
    pub(crate) fn refill(&self, heap: &Heap, class: SizeClass, portion: Portion) -> Option<Refill> {
        if cfg!(debug_assertions) {
            heap.check_near(class);
        }
        let inspect = |page: &Page| self.inspect(page, portion.listed);
        let own = || heap.refill::<I::Tuning>(class, portion, || self.collect(heap), inspect);
        let served = self
            .lend(heap, class, portion)
            .or_else(own)
            .or_else(|| self.adopt_pages(heap, class).then(own).flatten())
            .or_else(|| heap.open_page(class, &self.memory).then(own).flatten());
        if served.is_some() {
            return served;
        }
        self.reclaim(Some(heap));
        own()
            .or_else(|| self.adopt_pages(heap, class).then(own).flatten())
            .or_else(|| heap.open_page(class, &self.memory).then(own).flatten())
    }

    /// Blocks in memory that has been touched: of `class`, or of one that may stand for it.
    fn lend(&self, heap: &Heap, class: SizeClass, portion: Portion) -> Option<Refill> {
        if !I::Tuning::LENDS || I::Tuning::SECURITY || class.is_linear() {
            return None;
        }
        let inspect = |_: &Page| {};
        let own = portion.touched();
        let own = heap.refill::<I::Tuning>(class, own, || self.collect(heap), inspect);
        own.or_else(|| {
            let loan = Portion::at_most(portion.fresh).touched();
            class
                .lenders()
                .find_map(|lender| heap.refill::<I::Tuning>(lender, loan, || {}, inspect))
        })
    }

    /// A few blocks of `class` from the commons, if nobody else is at it: what many threads that want little share.
    pub(crate) fn share(&self, class: SizeClass, portion: Portion) -> Option<Refill> {
        let few = (I::Tuning::SHARED_BYTES / class.size()).clamp(1, portion.fresh);
        // A holder may have lost the processor; a page of our own is the dearer way out.
        let commons = (0..SHARE_TRIES).find_map(|_| {
            let commons = self.heaps.claim(COMMONS, self.holder());
            if commons.is_none() {
                self.memory.kernel.yield_now();
            }
            commons
        })?;
        let refill = self.refill(commons.heap, class, Portion::at_most(few));
        if self.leave(commons) {
            self.tend_commons();
        }
        refill
    }

    /// Housekeeping, every [`Tuning::TICK`] refills.
    pub(crate) fn keep_house(&self, heap: &Heap, class: SizeClass) {
        self.tend_counts_heaps();
        heap.sweep(&self.memory);
        self.donate(heap, class);
        self.memory.tidy();
    }

    /// Empty the inbox of a heap that the caller owns or holds.
    pub(crate) fn collect(&self, heap: &Heap) {
        // Sent, not only delivered: the page may have gone to a heap that nobody looks at by itself.
        heap.collect(&self.memory, |batch| self.send(batch));
    }

    /// Deliver a batch; if the owner's thread has gone, take it home on its behalf.
    pub(crate) fn send(&self, batch: Batch) {
        let heap = Heap::deliver(self.sealed(batch));
        // SeqCst: pairs with the fence in `leave`. We deliver before we look whether the heap is an orphan; it becomes one
        // before its inbox is looked at for the last time: one of the two sees the other.
        fence(Ordering::SeqCst);
        if self.heaps.is_orphan(heap) {
            self.tend(heap);
        }
    }

    /// Deliver everything that a heap's thread has collected for others.
    pub(crate) fn flush(&self, heap: &Heap) {
        if cfg!(debug_assertions) {
            heap.ring.check();
        }
        let mut sent = 0;
        for batch in heap.ring.flush() {
            self.send(batch);
            sent += 1;
        }
        self.count_sent(heap, sent);
    }

    /// Count batches that a heap's thread has delivered.
    pub(crate) fn count_sent(&self, heap: &Heap, batches: usize) {
        // Relaxed, and no exchange: only the owner writes.
        heap.sent.store(
            heap.sent.load(Ordering::Relaxed) + batches,
            Ordering::Relaxed,
        );
    }

    /// Take home what has arrived for an orphan, and give back its empty pages.
    pub(crate) fn tend(&self, heap: &Heap) {
        while let Some(held) = self.heaps.claim(heap.number.get() as usize, self.holder()) {
            self.collect(held.heap);
            held.heap.close_all_idle(&self.memory);
            if !self.leave(held) {
                return;
            }
        }
    }

    /// Let go of an orphan. Returns whether something has arrived for it meanwhile.
    pub(crate) fn leave(&self, held: Held<'_>) -> bool {
        let heap = held.heap;
        drop(held);
        // SeqCst: pairs with the fence in `send`.
        fence(Ordering::SeqCst);
        !heap.inbox.is_empty()
    }

    /// On whose behalf this thread holds orphans.
    pub(crate) fn holder(&self) -> usize {
        match I::Thread::get_fixed::<HEAP>() {
            0 => NO_HEAP,
            address => address,
        }
    }

    /// Take pages of `class` with room over from an orphan.
    fn adopt_pages(&self, heap: &Heap, class: SizeClass) -> bool {
        let offers = |orphan: &Heap| {
            let has_some = orphan.offers.load(Ordering::Relaxed) & class.bit() != 0;
            orphan.for_counts.get() == 0 && (has_some || !orphan.inbox.is_empty())
        };
        // Each time from where it ended the last time, so that every orphan is looked at in the end.
        let from = heap.cursor.get() as usize;
        let numbers = self.heaps.orphan_numbers(from);
        for number in numbers.take(I::Tuning::ORPHANS_LOOKED_AT) {
            heap.cursor.set(number as u32);
            if !self.heaps.heap(number).is_some_and(offers) {
                continue;
            }
            let Some(held) = self.heaps.claim(number, self.holder()) else {
                continue;
            };
            self.collect(held.heap);
            let page = held.heap.any_with_room(class);
            if let Some(page) = page {
                held.heap.give(page, heap);
            }
            held.heap.close_all_idle(&self.memory);
            if self.leave(held)
                && let Some(orphan) = self.heaps.heap(number)
            {
                self.tend(orphan);
            }
            if page.is_some() {
                return true;
            }
        }
        false
    }

    /// Give the sparsest page of `class` to the commons, if the heap has several that are mostly free.
    fn donate(&self, heap: &Heap, class: SizeClass) {
        let Some(page) = heap.sparsest(class, I::Tuning::DONATE_ABOVE) else {
            return;
        };
        if let Some(commons) = self.heaps.claim(COMMONS, self.holder()) {
            heap.give(page, commons.heap);
            if self.leave(commons) {
                self.tend_commons();
            }
        }
    }

    /// The classes of which the commons has pages with room; `None` while somebody else is at work there.
    pub(crate) fn commons_room(&self) -> Option<u64> {
        let commons = self.heaps.claim(COMMONS, self.holder())?;
        let room = commons.heap.with_room();
        if self.leave(commons) {
            self.tend_commons();
        }
        Some(room)
    }

    fn tend_commons(&self) {
        if let Some(commons) = self.heaps.heap(COMMONS) {
            self.tend(commons);
        }
    }

    /// Deliver what a thread has collected, and take home what has arrived for it and for the orphans.
    pub(crate) fn settle(&self, heap: Option<&Heap>) {
        let _quiet = Quiet::new(&self.memory.hooks, &self.memory.kernel);
        if let Some(heap) = heap {
            self.flush(heap);
            self.collect(heap);
        }
        for number in self.heaps.orphan_numbers(0) {
            if let Some(orphan) = self.heaps.heap(number) {
                self.tend(orphan);
            }
        }
    }

    /// Give back what can be given back: before a request fails, and when the program asks for it.
    pub(crate) fn reclaim(&self, heap: Option<&Heap>) {
        let _quiet = Quiet::new(&self.memory.hooks, &self.memory.kernel);
        self.settle(heap);
        if let Some(heap) = heap {
            heap.close_all_idle(&self.memory);
        }
        self.memory.empty_cache();
        self.memory.purge(0, 0, 0);
    }

    /// Choose how much idle memory is kept, from now on.
    pub fn set_purge(&self, purge: Purge) {
        self.memory.set_purge(purge);
    }

    /// Bytes that a [`reclaim`](Self::reclaim) makes fewer of.
    pub(crate) fn mapped_or_dirty(&self) -> usize {
        let chunks = self.memory.chunks.totals();
        chunks.mapped + chunks.dirty + self.memory.huge.cache.bytes() + self.memory.parked.framed()
    }

    /// A heap for a thread that has none: the one left last, else a new one.
    pub(crate) fn enter(&self) -> Option<&Heap> {
        let heap = match self.heaps.claim_for_thread() {
            Some(held) => held.keep(),
            None => self.heaps.create(&self.memory)?,
        };
        heap.holder.store(0, Ordering::Relaxed);
        self.threads.fetch_add(1, Ordering::Relaxed);
        Some(heap)
    }

    /// A thread leaves its heap: it becomes an orphan, which others tend and adopt.
    ///
    /// Pre: the thread's free-list heads are empty.
    pub(crate) fn exit(&self, heap: &Heap) {
        self.flush(heap);
        self.collect(heap);
        heap.close_all_idle(&self.memory);
        if cfg!(debug_assertions) {
            heap.check();
        }
        self.heaps.leave(heap);
        self.heaps.left(heap);
        // SeqCst: pairs with the fence in `send`.
        fence(Ordering::SeqCst);
        if !heap.inbox.is_empty() {
            self.tend(heap);
        }
        self.tend_counts_heaps();
    }

    /// Borrow a heap for one operation of a thread that has none. Waits for nobody: the holder may never run again before
    /// this thread sleeps (real-time priorities).
    pub(crate) fn with_borrowed<R>(&self, operation: impl FnOnce(&Heap) -> R) -> Option<R> {
        let held = self.heaps.borrow(self.holder(), &self.memory)?;
        let heap = held.heap;
        let result = operation(heap);
        if self.leave(held) {
            self.tend(heap);
        }
        Some(result)
    }

    /// Before `fork`: what has arrived for the forking thread would be lost to the child.
    pub(crate) fn before_fork(&self, heap: Option<&Heap>) {
        // A thread that forks in a signal handler may have been interrupted in a slow path.
        if let Some(heap) = heap.filter(|heap| heap.busy.get() == 0) {
            heap.inbox.set_aside();
        }
    }

    /// In the child of `fork`. The other threads are gone, at any point of any operation, and the kernel has copied
    /// memory page by page, not at one moment: nothing that they alone wrote to can be trusted to fit together. The forking
    /// thread's heap is whole; every other heap forgets its pages, which come back one by one as their blocks are freed.
    pub(crate) fn after_fork_in_child(&self, mine: usize) {
        self.memory.after_fork();
        self.break_lock.store(0, Ordering::Relaxed);
        let epoch = self.memory.epoch();
        for (number, heap) in self.heaps.numbered() {
            // Whoever made the heap may have counted it and not yet numbered it.
            heap.number.set(number as u32);
            if heap.address() == mine {
                // Delivered after `before_fork`, perhaps only in part.
                heap.inbox.discard();
                continue;
            }
            // Held by the forking thread itself, in the slow path that a signal handler interrupted: it will go on.
            if mine != 0 && heap.holder.load(Ordering::Relaxed) == mine {
                heap.inbox.discard();
                continue;
            }
            heap.freeze(epoch);
            self.heaps.leave(heap);
        }
    }
}
