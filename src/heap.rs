//! A heap: what one thread owns. Pages by class, the remote ring, the inbox.
//!
//! Synchronization. Everything but the inbox is touched by one thread only: the one whose heap it is, or, of an orphan,
//! the one that has claimed it ([`directory`](crate::directory)). A page belongs to the heap named in the owner word of
//! its first slice, and only that heap touches the page's record.
//!
//! Equation: a page is in the queue of its class exactly when it is not full.

use core::ptr::NonNull;

use ralloc_platform::Platform;

use crate::{
    block::Block,
    chunk::{Chunk, Owner},
    config::{HEAP_SIZE, Tuning},
    dense,
    lent::Lent,
    live,
    memory::Memory,
    order::{is_out_of_order, put_in_order},
    page::{Extension, Page},
    portion::Portion,
    primitive::{AtomicU64, AtomicUsize, Cell, Tally},
    queue::Queue,
    recent::Recent,
    remote::{Batch, Inbox},
    ring::Ring,
    room::ones,
    size_class::{CLASSES, SizeClass},
};

/// A heap record. All zero is a heap without pages; records are never freed.
#[repr(C)]
pub(crate) struct Heap {
    /// Where other threads deliver.
    pub(crate) inbox: Inbox,
    /// The heap's number in the directory. Constant.
    pub(crate) number: Cell<u32>,
    /// The fork epoch in which the heap was found without its thread: its older pages cannot be trusted.
    pub(crate) frozen: Cell<u32>,
    /// Refills until the next housekeeping is due.
    ticks: Cell<u32>,
    /// Whether the heap serves the counts of pages and nothing else (1), see [`Process::allocate_counts`](crate::Process).
    pub(crate) for_counts: Cell<u32>,
    /// The number of the orphan that was looked at last.
    pub(crate) cursor: Cell<u32>,
    /// Refills that were counted while the heap was a newcomer.
    refills: Cell<u32>,
    /// How deep in slow paths the owner is.
    pub(crate) busy: Cell<u32>,
    /// Batches that this heap's thread has delivered. Written by the owner, read by anybody.
    pub(crate) sent: Tally,
    /// Classes that may have an empty page: every class that has one is here. Now, and at the last housekeeping.
    idle: Cell<u64>,
    idle_before: Cell<u64>,
    /// Classes that have ever had a page of this heap.
    known: Cell<u64>,
    /// What classes without pages have taken of others.
    pub(crate) lent: Lent,
    /// Of an orphan: classes that have pages to give. A hint for adopters.
    pub(crate) offers: AtomicU64,
    /// Of an orphan: the address of the heap (or 1) on whose behalf it is held, 0 if it is not.
    pub(crate) holder: AtomicUsize,
    queues: [Queue; CLASSES],
    /// Slices of pages that were closed.
    recent: Recent,
    pub(crate) ring: Ring,
}

const _: () = assert!(size_of::<Heap>() <= HEAP_SIZE && align_of::<Heap>() <= HEAP_SIZE);

/// What a refill brought.
pub(crate) struct Refill {
    /// The first block of a list.
    pub(crate) first: Block,
    /// Whether the first block reads zero but for its first word.
    pub(crate) zeroed: bool,
}

impl Heap {
    /// The heap that a page's owner word names.
    ///
    /// # Safety
    ///
    /// The word belongs to a page: it has neither `RUN` nor `UNOWNED`.
    #[inline]
    pub(crate) unsafe fn of<'a>(owner: Owner) -> &'a Self {
        // SAFETY: the caller's promise.
        unsafe { Self::at(owner.heap_address()) }
    }

    /// The heap at `address`.
    ///
    /// # Safety
    ///
    /// `address` is that of a heap record.
    #[inline]
    pub(crate) unsafe fn at<'a>(address: usize) -> &'a Self {
        let heap: *const Self = core::ptr::with_exposed_provenance(address);
        // SAFETY: heap records are never freed.
        unsafe { &*heap }
    }

    /// The address, as owner words have it.
    #[inline]
    pub(crate) fn address(&self) -> usize {
        core::ptr::from_ref(self).expose_provenance()
    }

    fn queue(&self, class: SizeClass) -> &Queue {
        // The remainder changes nothing, and spares the check.
        &self.queues[class.index() % CLASSES]
    }

    /// Blocks of `class` from the heap's own pages, at most a `portion`: what has come home before what has never been used.
    /// `collect` is called once, when the current page has nothing to give, and empties the inbox; `inspect` before a page's list is
    /// read.
    pub(crate) fn refill<T: Tuning>(
        &self,
        class: SizeClass,
        portion: Portion,
        collect: impl FnOnce(),
        inspect: impl Fn(&Page),
    ) -> Option<Refill> {
        let queue = self.queue(class);
        let mut collect = Some(collect);
        loop {
            let page = queue.first();
            page.inspect(|page| inspect(page));
            if portion.is_whole() && !T::SECURITY {
                page.inspect(|page| put_in_order(page));
            }
            if let Some(first) = page.and_then(|page| page.take(portion.listed)) {
                let zeroed = false;
                return Some(Refill { first, zeroed });
            }
            if let Some(collect) = collect.take().filter(|_| !self.inbox.is_empty()) {
                collect();
                continue;
            }
            let page = page?;
            if let Some(fuller) = queue.best_behind_first(T::LOOK_AHEAD) {
                queue.remove(fuller);
                queue.push_first(fuller);
            } else if !page.extendable() {
                queue.remove(page);
                page.fill();
            } else if page.extends_into_touched() {
                return Some(self.extend(page, class, portion.again));
            } else if portion.fresh == 0 {
                return None;
            } else {
                return Some(self.extend(page, class, portion.fresh));
            }
        }
    }

    /// What has come home to the current page of `class`, if a refill would look no further and nothing else is due: most are no more.
    #[inline]
    pub(crate) fn take_listed<T: Tuning>(&self, class: SizeClass) -> Option<Block> {
        let ticks = self.ticks.get() + 1;
        let page = self.queue(class).first()?;
        if T::SECURITY || ticks >= T::TICK || is_out_of_order(page) {
            return None;
        }
        if cfg!(debug_assertions) {
            self.check_near(class);
        }
        let first = page.take(usize::MAX)?;
        page.arrivals.set(0);
        self.ticks.set(ticks);
        Some(first)
    }

    /// Initialise up to `most` blocks of `page`, which has some left.
    fn extend(&self, page: &Page, class: SizeClass, most: usize) -> Refill {
        // Another page may be the empty one.
        if page.is_empty() {
            self.idle.set(self.idle.get() & !class.bit());
        }
        let Extension { first, zeroed } = page.extend(most);
        Refill { first, zeroed }
    }

    /// A block of `class` from the current page.
    #[inline]
    pub(crate) fn pop(&self, class: SizeClass) -> Option<Block> {
        self.queue(class).first()?.pop()
    }

    /// Make a fresh page of `class` the current one.
    pub(crate) fn open_page<P: Platform, T: Tuning>(
        &self,
        class: SizeClass,
        memory: &Memory<P, T>,
    ) -> bool {
        let (slices, small) = (class.page_slices(), class.is_small());
        let Some(run) = memory.claim_page(slices, small, &self.recent) else {
            return false;
        };
        // SAFETY: we hold a slice of the chunk.
        let chunk = unsafe { Chunk::of(run.base) };
        let page = chunk.page(run.first);
        page.open(class, run.is_clean(), memory.epoch());
        if T::SECURITY {
            // SAFETY: the page is ours.
            unsafe { live::clear(page) };
        }
        chunk.set_owners(run.first, run.slices, Owner::heap(self.address(), 0));
        self.queue(class).push_first(page);
        if self.known.get() & class.bit() == 0 {
            self.known.set(self.known.get() | class.bit());
        } else {
            memory.fills_up(class);
        }
        // Unless it is extended: what comes home meanwhile is used first.
        self.idle.set(self.idle.get() | class.bit());
        true
    }

    /// Slices of the first pages of classes that this heap has ever had, see [`dense`].
    pub(crate) fn dense_firsts(&self) -> usize {
        let known = |class: &SizeClass| self.known.get() & class.bit() != 0;
        SizeClass::all().filter(known).map(dense::slices).sum()
    }

    /// Take a block home that the owner of the page frees.
    ///
    /// # Safety
    ///
    /// `block` is a used block of `page`, given up by its user; the page is this heap's, and the calling thread holds the heap.
    pub(crate) unsafe fn free_local<P: Platform, T: Tuning>(
        &self,
        page: &Page,
        block: Block,
        memory: &Memory<P, T>,
    ) {
        if page.push(block) {
            self.see_to(page, memory);
        }
    }

    /// After a block of `page` came home and [`Page::push`] has said so: into the queue if it was full, out of the heap if it is empty.
    pub(crate) fn see_to<P: Platform, T: Tuning>(&self, page: &Page, memory: &Memory<P, T>) {
        self.reopen(page);
        if page.is_empty() {
            self.retire(page, memory);
        }
    }

    /// Put a page that was full into its queue.
    fn reopen(&self, page: &Page) {
        if page.unfill() {
            self.queue(page.class()).push_last(page);
        }
    }

    /// A page has no used block any more: keep it if it is the last of its class, else give it back.
    fn retire<P: Platform, T: Tuning>(&self, page: &Page, memory: &Memory<P, T>) {
        page.reset();
        if cfg!(debug_assertions) {
            self.check_near(page.class());
        }
        if self.queue(page.class()).is_single() {
            self.idle.set(self.idle.get() | page.class().bit());
        } else {
            self.close_page(page, memory);
        }
    }

    /// Give an empty page back.
    fn close_page<P: Platform, T: Tuning>(&self, page: &Page, memory: &Memory<P, T>) {
        debug_assert!(page.is_empty());
        self.queue(page.class()).remove(page);
        // SAFETY: the page is in use, so its chunk is mapped.
        let chunk = unsafe { Chunk::of(page.chunk()) };
        let (first, slices, touched) = (page.slice(), page.slices(), page.touched_slices());
        let counts = chunk.cold(first).take_counts();
        chunk.disown(first, slices);
        self.recent.note(chunk.index(), first, slices);
        memory.is_gone(page.class());
        memory.release(&memory.chunks.held(page.chunk(), first, slices), touched);
        if let Some(counts) = counts {
            if T::SECURITY {
                // SAFETY: the counts of a page are a block of this instance.
                unsafe { live::forget(counts, page_of(counts).0.block_size.get() as usize) };
            }
            // As a remote free, even to ourselves: we are in the middle of something.
            // SAFETY: the counts of a page are a block of this instance, and nobody uses those of a page without blocks.
            let batch = Batch::single(unsafe { Block::from_ptr(counts) });
            if T::SECURITY {
                let (page, _) = page_of(counts);
                // SAFETY: as above; it reads zero.
                unsafe { live::seal(page, batch.train(), memory.key(), &memory.kernel) };
            }
            Self::deliver(batch);
        }
    }

    /// Put a batch into the inbox of the heap that its page belongs to. Returns that heap.
    pub(crate) fn deliver<'a>(batch: Batch) -> &'a Self {
        let (_, owner) = page_of(batch.first.start());
        // SAFETY: a block of a page is in the batch.
        let heap = unsafe { Self::of(owner) };
        heap.inbox.push(batch);
        heap
    }

    /// Take everything home that has arrived. Batches for pages that have moved are handed to `forward`.
    pub(crate) fn collect<P: Platform, T: Tuning>(
        &self,
        memory: &Memory<P, T>,
        mut forward: impl FnMut(Batch),
    ) {
        for batch in self.inbox.take_all() {
            let (page, owner) = page_of(batch.first.start());
            let is_home = owner.heap_address() == self.address();
            if T::SECURITY {
                let (key, kernel) = (memory.key(), &memory.kernel);
                // SAFETY: a batch of blocks of the page has arrived.
                unsafe { live::unseal(page, batch.train(), is_home, key, kernel) };
            }
            if !is_home {
                forward(batch);
                continue;
            }
            self.thaw(page, memory.epoch());
            if cfg!(debug_assertions) {
                batch.check(page);
            }
            self.reopen(page);
            page.push_all(batch.first, batch.last, batch.count);
            if page.is_empty() {
                self.retire(page, memory);
            }
        }
    }

    /// A page that was whole before a fork that its thread did not survive: forget what it says of free blocks.
    fn thaw(&self, page: &Page, epoch: u32) {
        if page.epoch.get() < self.frozen.get() {
            page.freeze(epoch);
        }
    }

    /// In a child of `fork`, for a heap whose thread is gone and may have been in the middle of anything: forget all
    /// pages. They come back one by one, as their blocks are freed.
    pub(crate) fn freeze(&self, epoch: u32) {
        self.frozen.set(epoch);
        self.busy.set(0);
        self.idle.set(0);
        self.idle_before.set(0);
        self.inbox.discard();
        self.ring.flush().for_each(drop);
        for queue in &self.queues {
            queue.forget();
        }
    }

    /// Count a refill. Returns whether housekeeping is due.
    #[inline]
    pub(crate) fn tick<T: Tuning>(&self) -> bool {
        let ticks = self.ticks.get() + 1;
        let due = ticks >= T::TICK;
        self.ticks.set(if due { 0 } else { ticks });
        due
    }

    /// Whether the heap is one of many and has not been asked for much yet: then it is not worth pages of its own.
    #[inline]
    pub(crate) fn is_newcomer<T: Tuning>(&self) -> bool {
        let refills = self.refills.get();
        if refills >= T::NEWCOMER_REFILLS || self.number.get() < T::CROWD {
            return false;
        }
        self.refills.set(refills + 1);
        true
    }

    /// Give back pages that have been empty since the last time.
    pub(crate) fn sweep<P: Platform, T: Tuning>(&self, memory: &Memory<P, T>) {
        self.close_idle(self.idle.get() & self.idle_before.get(), memory);
        self.idle_before.set(self.idle.get());
    }

    /// Give all empty pages back.
    pub(crate) fn close_all_idle<P: Platform, T: Tuning>(&self, memory: &Memory<P, T>) {
        self.close_idle(self.idle.get(), memory);
    }

    fn close_idle<P: Platform, T: Tuning>(&self, classes: u64, memory: &Memory<P, T>) {
        for class in ones(classes).map(SizeClass::from_index) {
            let empty = || self.queue(class).pages().find(|page| page.is_empty());
            while let Some(page) = empty() {
                self.close_page(page, memory);
            }
        }
        self.idle.set(self.idle.get() & !classes);
    }

    /// Classes that have pages with room.
    pub(crate) fn with_room(&self) -> u64 {
        SizeClass::all()
            .filter(|&class| self.queue(class).first().is_some())
            .fold(0, |set, class| set | class.bit())
    }

    /// If there are more than `above` pages of `class` with room, more than half free together: the one with the most.
    pub(crate) fn sparsest(&self, class: SizeClass, above: usize) -> Option<&Page> {
        let room = |page: &Page| usize::from(page.capacity.get()) - page.used_count() as usize;
        let (mut pages, mut free, mut capacity) = (0, 0, 0);
        // Enough to judge by, and a bound on the work.
        for page in self.queue(class).pages().take(4 * above) {
            pages += 1;
            free += room(page);
            capacity += usize::from(page.capacity.get());
        }
        if pages <= above || 2 * free <= capacity {
            return None;
        }
        let candidates = self.queue(class).pages().take(4 * above).skip(1);
        candidates.max_by_key(|page| room(page))
    }

    /// Some page of `class` with room.
    pub(crate) fn any_with_room(&self, class: SizeClass) -> Option<&Page> {
        self.queue(class).first()
    }

    /// Hand a page in our queue to another heap, which the caller holds as well.
    pub(crate) fn give(&self, page: &Page, to: &Self) {
        let class = page.class();
        self.queue(class).remove(page);
        if self.queue(class).first().is_none() {
            self.idle.set(self.idle.get() & !class.bit());
        }
        // SAFETY: the page is in use, so its chunk is mapped.
        let chunk = unsafe { Chunk::of(page.chunk()) };
        chunk.move_owners(page.slice(), page.slices(), to.address());
        // It is whole, as it has been in our queue: a heap that a fork has frozen is not to forget it when blocks come home.
        page.epoch.set(page.epoch.get().max(to.frozen.get()));
        to.queue(class).push_last(page);
        if page.is_empty() {
            to.idle.set(to.idle.get() | class.bit());
        }
        if cfg!(debug_assertions) {
            page.check();
            self.check_near(class);
            to.check_near(class);
        }
    }

    /// Check what a slow path has just touched: the ends of the queue of `class`, and its first page.
    pub(crate) fn check_near(&self, class: SizeClass) {
        let queue = self.queue(class);
        queue.check_ends();
        if let Some(page) = queue.first() {
            page.check_near();
            assert!(page.class() == class);
            let (_, owner) = page_of(page.start());
            assert!(owner.without(Owner::INTERIOR | Owner::HOOK).word() == self.address());
        }
    }

    /// Walk all queues and check their pages. Returns how many there are.
    pub(crate) fn check(&self) -> usize {
        let mut pages = 0;
        for (index, queue) in self.queues.iter().enumerate() {
            let class = SizeClass::from_index(index);
            queue.check();
            for page in queue.pages() {
                page.check();
                assert!(page.class() == class, "a page is in the queue of its class");
                assert!(!page.is_full(), "a queued page is not full");
                assert!(
                    !page.is_empty() || self.idle.get() & class.bit() != 0,
                    "a page without used blocks is known to be empty"
                );
                let (_, owner) = page_of(page.start());
                assert!(
                    owner.without(Owner::INTERIOR | Owner::HOOK).word() == self.address(),
                    "a queued page is ours"
                );
                pages += 1;
            }
        }
        pages
    }
}

/// The page or run that `address` lies in, and the owner word of its first slice.
#[inline]
pub(crate) fn page_of<'a>(address: NonNull<u8>) -> (&'a Page, Owner) {
    // SAFETY: callers hold a block of the page, so the chunk is mapped.
    let chunk = unsafe { Chunk::of(address) };
    let slice = Chunk::slice_of(address);
    let head = chunk.head_of(slice, chunk.owner_acquire(slice));
    (chunk.page(head), chunk.owner_acquire(head))
}
