//! What happens to blocks between two users, in the security build. A block that its own thread frees goes into the thread's
//! [stock](crate::stock), waits there among others, and leaves by lot: to the next user, or home to its page when there are too many. A block of
//! another heap goes the way of all remote frees.

use core::ptr::NonNull;

use ralloc_platform::ThreadBlock;

use crate::{
    block::Block,
    canary,
    config::Tuning,
    fatal::{WRITE_AFTER_FREE, fatal},
    heap::{Heap, page_of},
    live,
    page::Page,
    process::{Busy, HEAP, Instance, Process},
    remote::Batch,
    size_class::SizeClass,
    stock::Stock,
};

/// Bytes of a block that are looked at when it leaves for its page: those that the allocator is about to write to.
const LOOKED_AT: usize = 32;

/// Have a block of `class` wait that the program of the thread has given up, and that reads zero.
#[inline(always)]
pub(crate) fn hold<I: Instance>(stock: &Stock, class: SizeClass, block: Block) {
    if !stock.put(class, block) {
        make_room::<I>(stock, class, block);
    }
}

/// There are enough blocks of the class: half of them go home.
#[cold]
#[inline(never)]
fn make_room<I: Instance>(stock: &Stock, class: SizeClass, block: Block) {
    // SAFETY: who has a stock has a heap.
    let heap = unsafe { Heap::at(I::Thread::get_fixed::<HEAP>()) };
    let _busy = Busy::new(heap);
    let some = Stock::capacity(class).div_ceil(2);
    stock.take_oldest(class, some, |other| leave::<I>(heap, other));
    stock.put(class, block);
}

/// Let all blocks go home.
pub(crate) fn empty<I: Instance>(heap: &Heap, stock: &Stock) {
    check::<I>(stock);
    for class in SizeClass::all() {
        stock.take_oldest(class, stock.count(class), |block| {
            leave::<I>(heap, block);
        });
    }
}

/// Look whether the blocks that wait have been written to. Ends the process if one has.
pub(crate) fn check<I: Instance>(stock: &Stock) {
    for start in stock.blocks() {
        look_at::<I>(start, page_of(start).0.block_size.get() as usize);
    }
}

fn look_at<I: Instance>(start: NonNull<u8>, bytes: usize) {
    // SAFETY: the block is in our hands, and has so many bytes.
    if !unsafe { canary::is_zero(start, bytes) } {
        fatal(
            &I::process().memory.kernel,
            WRITE_AFTER_FREE,
            start.as_ptr().addr(),
        );
    }
}

fn leave<I: Instance>(heap: &Heap, block: Block) {
    look_at::<I>(block.start(), LOOKED_AT);
    let (page, owner) = page_of(block.start());
    let process = I::process();
    if owner.heap_address() != heap.address() {
        return collect::<I>(process, heap, page, block);
    }
    // SAFETY: a block of the page, which is ours.
    unsafe { live::arrive(block, &process.memory.kernel) };
    // SAFETY: as above; it is nobody's any more.
    unsafe { heap.free_local(page, block, &process.memory) };
}

/// Send a block home that lies in a page of another heap than that of the thread, which may have none.
pub(crate) fn send<I: Instance>(heap: Option<&Heap>, page: &Page, block: Block) {
    let process = I::process();
    match heap {
        Some(heap) => {
            let _busy = Busy::new(heap);
            collect::<I>(process, heap, page, block);
        }
        None => process.send(Batch::single(block)),
    }
}

/// On its way to another heap.
fn collect<I: Instance>(process: &Process<I>, heap: &Heap, page: &Page, block: Block) {
    if let Some(evicted) = heap.ring.add(page, block) {
        process.send(evicted);
        process.count_sent(heap, 1);
    }
    if heap
        .ring
        .is_over(I::Tuning::RING_BLOCKS, I::Tuning::RING_BYTES)
    {
        process.flush(heap);
    }
}

impl<I: Instance> Process<I> {
    /// In the security build, look at a list before it is read.
    pub(crate) fn inspect(&self, page: &Page, count: usize) {
        if I::Tuning::SECURITY {
            // SAFETY: a page of the heap that is being refilled.
            unsafe { live::inspect(page, count, &self.memory.kernel) };
        }
    }

    /// In the security build, see to it that nobody changes a batch on its way.
    pub(crate) fn sealed(&self, batch: Batch) -> Batch {
        if I::Tuning::SECURITY {
            let (page, _) = page_of(batch.first.start());
            // SAFETY: the batch is ours.
            unsafe { live::seal(page, batch.train(), self.memory.key(), &self.memory.kernel) };
        }
        batch
    }
}
