//! A page: a run of slices that holds blocks of one class.
//!
//! The record is written by the page's owner only (the heap named in the owner word of its first slice, see
//! [`chunk`](crate::chunk)); other threads may read what the comments below call constant.
//!
//! Equation: `used + free.len() == initialised <= capacity`, where `used` is [`Page::used_count`]. A block counts as used from the moment it leaves
//! `free` until the owner takes it home: in a thread's free-list head, in the program's hands, in a remote ring or in
//! an inbox.
//!
//! A page is full when it has nothing to give and is in no queue. Its next block that comes home must put it back, and the hit path of
//! `free` has one test to spare, for `used` to reach 0: so of a full page `used` is 1, whatever is used. A flag in the owner word would
//! do as well, and was an exchange and a cache line that others read, each time that a page fills or ceases to be full: with it
//! pareto-threads took 1.03 of the time.

use core::ptr::NonNull;

use ralloc_platform::prefetch;

use crate::{
    block::Block,
    config::{CHUNK, EXTENSION, FIRST_BLOCK_OFFSET, RECORDS_OFFSET, SLICE, SLICES},
    free_list::{self, Link},
    primitive::Cell,
    size_class::{SizeClass, Starts},
};

/// Free blocks that [`Page::check_near`] looks at: about as many as a refill touches.
const NEAR: usize = 16;

/// The record of a page or run, 64 bytes in the chunk's header.
#[repr(C, align(64))]
pub(crate) struct Page {
    /// Blocks that came home. Owner only.
    pub(crate) free: Cell<Link>,
    /// Blocks that are not on `free`; 1 of a full page. Owner only.
    used: Cell<u32>,
    /// Blocks that have ever been on a list. Owner only.
    pub(crate) initialised: Cell<u16>,
    /// Blocks that the page may ever hold. Owner only.
    pub(crate) capacity: Cell<u16>,
    /// Neighbours in the owner's queue of the class. Owner only.
    pub(crate) next: Cell<*const Page>,
    /// See `next`.
    pub(crate) prev: Cell<*const Page>,
    /// Bytes of a block. Constant.
    pub(crate) block_size: Cell<u32>,
    /// The fork epoch in which the page was last known to be whole. Owner only.
    pub(crate) epoch: Cell<u32>,
    /// The class of the blocks. Constant.
    class: Cell<u8>,
    /// Slices of the page or run. Constant.
    slices: Cell<u8>,
    /// In the record of a later slice: how many slices before it the page or run begins. Constant.
    pub(crate) head_distance: Cell<u8>,
    /// Bytes from the start of the first slice, in units of [`EXTENSION`], that may have been written to before the first of today's
    /// blocks was initialised. What lies behind them and behind the initialised blocks reads zero. Owner only.
    touched: Cell<u8>,
    /// Whether the page has nothing to give and is in no queue. Owner only.
    full: Cell<bool>,
    /// Blocks that have come home from other threads since the list was last put in order. Owner only.
    pub(crate) arrivals: Cell<u16>,
    /// Where blocks begin. Constant.
    starts: Cell<Starts>,
}

const _: () = assert!(size_of::<Page>() == 64);

/// What [`Page::extend`] made.
pub(crate) struct Extension {
    /// The first block of a list.
    pub(crate) first: Block,
    /// Whether the first block reads zero but for its first word.
    pub(crate) zeroed: bool,
}

impl Page {
    /// Make this the record of a page of `class` without blocks, of which all are still to be initialised.
    pub(crate) fn open(&self, class: SizeClass, clean: bool, epoch: u32) {
        let room = class.page_slices() * SLICE - self.offset_in_first_slice();
        let first = self.slice() * SLICE + self.offset_in_first_slice();
        self.starts.set(Starts::new(class, first, room));
        self.free.set(0);
        self.used.set(0);
        self.initialised.set(0);
        self.capacity.set((room / class.size()) as u16);
        self.block_size.set(class.size() as u32);
        self.epoch.set(epoch);
        self.class.set(class.index() as u8);
        self.slices.set(class.page_slices() as u8);
        self.head_distance.set(0);
        self.touched.set(if clean {
            0
        } else {
            (class.page_slices() * SLICE / EXTENSION) as u8
        });
        self.full.set(false);
        self.arrivals.set(0);
    }

    /// Make this the record of a run of `slices` slices.
    pub(crate) fn open_run(&self, slices: usize) {
        self.slices.set(slices as u8);
        self.head_distance.set(0);
    }

    /// Blocks that the page was made for, whatever has become of it in a fork.
    pub(crate) fn whole_capacity(&self) -> usize {
        (self.slices() * SLICE - self.offset_in_first_slice()) / self.block_size.get() as usize
    }

    /// The position of the first slice in its chunk.
    #[inline]
    pub(crate) fn slice(&self) -> usize {
        (core::ptr::from_ref(self).addr() & (CHUNK - 1) & (RECORDS_OFFSET - 1)) / size_of::<Self>()
            % SLICES
    }

    /// The address of the chunk.
    #[inline]
    pub(crate) fn chunk(&self) -> NonNull<u8> {
        let base = core::ptr::from_ref(self).expose_provenance() & !(CHUNK - 1);
        // SAFETY: a record lies behind the start of its chunk, so that start is not 0.
        unsafe { NonNull::new_unchecked(core::ptr::with_exposed_provenance_mut(base)) }
    }

    /// The class of the blocks.
    #[inline]
    pub(crate) fn class(&self) -> SizeClass {
        SizeClass::from_index(self.class.get() as usize)
    }

    /// Slices of the page or run.
    #[inline]
    pub(crate) fn slices(&self) -> usize {
        self.slices.get() as usize
    }

    /// The start of the first slice, or of the blocks in slice 0.
    pub(crate) fn start(&self) -> NonNull<u8> {
        // SAFETY: the slice lies in the chunk.
        unsafe {
            self.chunk()
                .add(self.slice() * SLICE + self.offset_in_first_slice())
        }
    }

    /// Change how many slices a run has.
    pub(crate) fn set_run_slices(&self, slices: usize) {
        self.slices.set(slices as u8);
    }

    /// Slice 0 begins with the chunk's header.
    fn offset_in_first_slice(&self) -> usize {
        if self.slice() == 0 {
            FIRST_BLOCK_OFFSET
        } else {
            0
        }
    }

    /// The start of block `index`, which is below the capacity.
    pub(crate) fn block(&self, index: usize) -> NonNull<u8> {
        // SAFETY: block `index` of the page lies within the chunk.
        unsafe { self.start().add(index * self.block_size.get() as usize) }
    }

    /// Blocks that are not on `free`.
    #[inline]
    pub(crate) fn used_count(&self) -> u32 {
        if self.full.get() {
            self.initialised.get().into()
        } else {
            self.used.get()
        }
    }

    /// Blocks on `free`.
    #[inline]
    pub(crate) fn free_count(&self) -> usize {
        (u32::from(self.initialised.get()) - self.used_count()) as usize
    }

    /// Whether no block is used.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.used_count() == 0
    }

    /// Whether the page has nothing to give and is in no queue.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.full.get()
    }

    /// The page leaves its queue: the next [`push`](Self::push) is to say so.
    ///
    /// Pre: no block is free or left to be initialised.
    pub(crate) fn fill(&self) {
        debug_assert!(self.free.get() == 0 && !self.extendable());
        self.full.set(true);
        self.used.set(1);
    }

    /// If the page is full, it is so no more. Returns whether it was, and has to be put into its queue.
    ///
    /// Pre: of a full page at most one block has come home since it became full, by [`push`](Self::push).
    #[inline]
    pub(crate) fn unfill(&self) -> bool {
        let was = self.full.replace(false);
        if was {
            let home = 1 - self.used.get();
            self.used.set(u32::from(self.initialised.get()) - home);
        }
        was
    }

    /// Whether blocks can still be initialised.
    #[inline]
    pub(crate) fn extendable(&self) -> bool {
        self.initialised.get() < self.capacity.get()
    }

    /// Slices of the page, from the first on, that may have been written to.
    pub(crate) fn touched_slices(&self) -> usize {
        self.touched_end().div_ceil(SLICE)
    }

    /// Bytes from the start of the first slice that may have been written to.
    fn touched_end(&self) -> usize {
        self.initialised_end()
            .max(usize::from(self.touched.get()) * EXTENSION)
    }

    /// Where the initialised blocks end, from the start of the first slice.
    fn initialised_end(&self) -> usize {
        self.offset_in_first_slice()
            + self.initialised.get() as usize * self.block_size.get() as usize
    }

    /// Whether a block can be initialised that begins in memory that may have been written to.
    pub(crate) fn extends_into_touched(&self) -> bool {
        self.extendable() && self.initialised_end() < usize::from(self.touched.get()) * EXTENSION
    }

    /// Take up to `limit` blocks off `free`.
    ///
    /// Pre: `limit > 0`.
    pub(crate) fn take(&self, limit: usize) -> Option<Block> {
        // SAFETY: the links of `free` are blocks of this page, owned with it.
        let first = unsafe { Block::from_link(self.free.get()) }?;
        let count = self.free_count();
        if count <= limit {
            self.free.set(0);
            self.used.set(u32::from(self.initialised.get()));
        } else {
            // SAFETY: the list has `count > limit` blocks.
            self.free.set(unsafe { free_list::cut(first, limit) });
            self.used.set(self.used.get() + limit as u32);
        }
        Some(first)
    }

    /// Take one block off `free`.
    #[inline]
    pub(crate) fn pop(&self) -> Option<Block> {
        // SAFETY: as in `take`.
        let first = unsafe { Block::from_link(self.free.get()) }?;
        let next = first.next();
        // As in `thread::take_head`.
        prefetch(next);
        self.free.set(next);
        self.used.set(self.used.get() + 1);
        Some(first)
    }

    /// Put a used block back. Returns whether the owner has to see to the page: it has no used block any more, or was full.
    ///
    /// Pre: `block` is a used block of this page, now in the owner's hands.
    #[inline(always)]
    pub(crate) fn push(&self, block: Block) -> bool {
        block.set_next(self.free.get());
        self.free.set(block.address());
        let used = self.used.get() - 1;
        self.used.set(used);
        used == 0
    }

    /// Put a list of `count` used blocks back.
    ///
    /// Pre: the page is not full.
    pub(crate) fn push_all(&self, first: Block, last: Block, count: usize) {
        debug_assert!(!self.full.get());
        last.set_next(self.free.get());
        self.free.set(first.address());
        self.used.set(self.used.get() - count as u32);
        let arrivals = self.arrivals.get().saturating_add(count as u16);
        self.arrivals.set(arrivals);
    }

    /// Initialise up to `limit` more blocks, no further than the end of an OS page: memory is touched no sooner than
    /// it is needed. They leave as used.
    ///
    /// Pre: the page is extendable; `limit > 0`.
    pub(crate) fn extend(&self, limit: usize) -> Extension {
        let size = self.block_size.get() as usize;
        let start = self.block(self.initialised.get() as usize);
        let room = EXTENSION - (start.as_ptr().addr() & (EXTENSION - 1));
        let left = usize::from(self.capacity.get() - self.initialised.get());
        let count = room.div_ceil(size).min(limit).min(left);
        let zeroed = !self.extends_into_touched();
        // SAFETY: these blocks belong to the page and have never been given out.
        let first = unsafe { Block::from_ptr(start) };
        // SAFETY: `count` blocks are left in the page.
        unsafe { free_list::lay(first, size, count) };
        self.initialised.set(self.initialised.get() + count as u16);
        self.used.set(self.used.get() + count as u32);
        Extension { first, zeroed }
    }

    /// Forget the order of the blocks of an empty page: they will be handed out from the start of the page again,
    /// neighbours one after the other. What they held stays in memory.
    pub(crate) fn reset(&self) {
        debug_assert!(self.is_empty());
        self.free.set(0);
        let touched = self.touched_end().div_ceil(EXTENSION);
        self.touched.set(touched as u8);
        self.initialised.set(0);
    }

    /// Trust nothing about this page but which blocks are out: those that come home from now on may be reused.
    /// That is a full page.
    pub(crate) fn freeze(&self, epoch: u32) {
        self.free.set(0);
        self.capacity.set(self.initialised.get());
        self.fill();
        self.next.set(core::ptr::null());
        self.prev.set(core::ptr::null());
        self.epoch.set(epoch);
    }

    /// Whether a block of this page, initialised or not, begins at `address`, which lies in the chunk. Any thread.
    #[inline(always)]
    pub(crate) fn begins_block(&self, address: NonNull<u8>) -> bool {
        self.starts.get().has(address.as_ptr().addr() % CHUNK)
    }

    /// The number of the block that `address` lies in.
    ///
    /// Pre: `address` lies in a block of this page.
    pub(crate) fn index_of(&self, address: NonNull<u8>) -> usize {
        let offset = address.as_ptr().addr() - self.start().as_ptr().addr();
        offset / self.block_size.get() as usize
    }

    /// The same of a block, without a division.
    #[inline]
    pub(crate) fn number_of(&self, block: Block) -> usize {
        self.starts.get().number(block.address() & (CHUNK - 1))
    }

    /// The start of the block that `address` lies in.
    ///
    /// Pre: as for [`index_of`](Self::index_of).
    pub(crate) fn block_start(&self, address: NonNull<u8>) -> NonNull<u8> {
        self.block(self.index_of(address))
    }

    /// Whether a block of this page that has been initialised begins at `block`. For the owner.
    pub(crate) fn holds(&self, block: Block) -> bool {
        let (first, end) = (self.block(0), self.block(self.initialised.get().into()));
        (first..end).contains(&block.start()) && self.block_start(block.start()) == block.start()
    }

    /// Check what the equation says without a walk: the counts, and the first blocks of the free list.
    pub(crate) fn check_near(&self) {
        let (used, initialised) = (self.used_count(), u32::from(self.initialised.get()));
        assert!(
            !self.full.get() || self.used.get() == 1 && !self.extendable(),
            "a full page has one used block, and nothing to give"
        );
        assert!(
            used <= initialised && initialised <= u32::from(self.capacity.get()),
            "used <= initialised <= capacity"
        );
        assert!(
            (self.free.get() == 0) == (used == initialised),
            "no block is free exactly when all are used"
        );
        assert!(
            self.block_size.get() as usize == self.class().size()
                && self.slices() == self.class().page_slices(),
            "a page has the measures of its class"
        );
        // SAFETY: the owner calls this, and owns the list.
        let free = unsafe { free_list::drain(self.free.get()) };
        for block in free.take(NEAR) {
            assert!(self.holds(block), "a free block is a block of the page");
        }
    }

    /// Check the equation, at the price of a walk over the free list.
    pub(crate) fn check(&self) {
        self.check_near();
        let mut free = 0;
        // SAFETY: as in `check_near`.
        for block in unsafe { free_list::drain(self.free.get()) } {
            assert!(self.holds(block), "a free block is a block of the page");
            free += 1;
            // Of a block that was freed twice the list has no end.
            if free > u32::from(self.initialised.get()) {
                break;
            }
        }
        assert!(
            self.used_count() + free == u32::from(self.initialised.get()),
            "used + free.len() == initialised"
        );
    }
}
