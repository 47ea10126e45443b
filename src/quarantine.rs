//! Blocks that were freed a moment ago, in the security build. They wait in the words of the thread, in place of the free-list heads, which
//! that build has no use for, and leave in an order that nobody can foresee: each that comes takes the place of another.

use core::ptr::NonNull;

use ralloc_platform::{Platform, ThreadBlock};

use crate::{
    block::Block,
    canary,
    config::{HEADS, SMALL_MAX, Tuning},
    fatal::{WRITE_AFTER_FREE, fatal},
    heap::{Heap, page_of},
    live,
    page::Page,
    process::{Instance, Process},
    remote::Batch,
};

/// The last head is where a thread keeps its random numbers.
const RANDOM: usize = HEADS - 1;

/// Places, and how many of them are for medium blocks: they hold so much more memory.
const PLACES: usize = HEADS - 1;
const MEDIUM_PLACES: usize = 8;
const SMALL_PLACES: usize = PLACES - MEDIUM_PLACES;

/// Bytes of a block that are looked at when it leaves: those that the allocator is about to write to.
const LOOKED_AT: usize = 32;

/// A number below `below` that nobody can foresee who does not know the key.
pub(crate) fn draw<I: Instance>(below: usize) -> usize {
    let mut word = I::Thread::get_fixed::<RANDOM>();
    if word == 0 {
        word = I::process().memory.kernel.entropy() | 1;
    }
    // Marsaglia's xorshift; what comes out is multiplied, so that it does not tell the state.
    word ^= word << 13;
    word ^= word >> 7;
    word ^= word << 17;
    I::Thread::set_fixed::<RANDOM>(word);
    let drawn = (word as u64).wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
    ((drawn as usize & 0xffff) * below) >> 16
}

/// The block in a place.
fn place<I: Instance>(number: usize) -> Option<Block> {
    // SAFETY: the thread has more than `HEADS` words.
    let link = unsafe { I::Thread::get(number) };
    // SAFETY: a place holds the address of a block in our hands, or 0.
    unsafe { Block::from_link(link) }
}

fn set_place<I: Instance>(number: usize, link: usize) {
    // SAFETY: as in `place`.
    unsafe { I::Thread::set(number, link) }
}

/// Have a block of `size` bytes wait that the thread's program has given up. Another leaves for it.
pub(crate) fn hold<I: Instance>(heap: &Heap, block: Block, size: usize) {
    let number = if size <= SMALL_MAX {
        draw::<I>(SMALL_PLACES)
    } else {
        SMALL_PLACES + draw::<I>(MEDIUM_PLACES)
    };
    let other = place::<I>(number);
    set_place::<I>(number, block.address());
    if let Some(other) = other {
        leave::<I>(heap, other);
    }
}

/// Let all blocks go.
pub(crate) fn empty<I: Instance>(heap: &Heap) {
    for number in 0..PLACES {
        if let Some(block) = place::<I>(number) {
            set_place::<I>(number, 0);
            look_at::<I>(block, None);
            leave::<I>(heap, block);
        }
    }
}

/// Look whether the blocks that wait have been written to. Ends the process if one has.
pub(crate) fn check<I: Instance>() {
    (0..PLACES)
        .filter_map(place::<I>)
        .for_each(|block| look_at::<I>(block, None));
}

fn look_at<I: Instance>(block: Block, bytes: Option<usize>) {
    let size = || page_of(block.start()).0.block_size.get() as usize;
    let bytes = bytes.unwrap_or_else(size);
    // SAFETY: the block is in our hands, and has so many bytes.
    if !unsafe { canary::is_zero(block.start(), bytes) } {
        fatal(
            &I::process().memory.kernel,
            WRITE_AFTER_FREE,
            block.address(),
        );
    }
}

fn leave<I: Instance>(heap: &Heap, block: Block) {
    look_at::<I>(block, Some(LOOKED_AT));
    let (page, owner) = page_of(block.start());
    let process = I::process();
    if owner.heap_address() != heap.address() {
        return send::<I>(process, heap, page, block);
    }
    // SAFETY: a block of the page, which is ours.
    unsafe { live::arrive(block, &process.memory.kernel) };
    // SAFETY: as above; it is nobody's any more.
    unsafe { heap.free_local(page, owner, block, &process.memory) };
}

/// On its way to another heap.
fn send<I: Instance>(process: &Process<I>, heap: &Heap, page: &Page, block: Block) {
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

/// Give a block back that a thread frees which has no heap.
pub(crate) fn pass_by<I: Instance>(block: NonNull<u8>) {
    // SAFETY: its user gives it up.
    let block = unsafe { Block::from_ptr(block) };
    I::process().send(Batch::single(block));
}

impl<I: Instance> Process<I> {
    /// In the security build, look at a list before it is read.
    pub(crate) fn inspect(&self, page: &Page, count: usize) {
        if I::Tuning::SECURITY {
            // SAFETY: a page of the heap that is being refilled.
            unsafe { live::inspect(page, count, &self.memory.kernel) };
        }
    }
}
