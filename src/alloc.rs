//! READ SECOND. The four verbs: allocate, free, reallocate, and ask for the usable size.
//!
//! Each verb is a hit path that can be read in ten seconds, and a miss that is another function.
//!
//! ```
//! use ralloc::{Global, alloc};
//! use std::ptr::NonNull;
//!
//! let block = NonNull::new(alloc::allocate::<Global>(100)).expect("there is memory");
//! assert!(block.addr().get().is_multiple_of(alloc::MIN_ALIGN));
//! let aligned = [alloc::allocate_aligned::<Global>(100, 64), alloc::allocate_aligned_zeroed::<Global>(100, 64)];
//! // SAFETY: each block is live when it is used, and given up once.
//! unsafe {
//!     assert!(alloc::usable_size::<Global>(block) >= 100);
//!     let block = alloc::reallocate::<Global>(block, 200);
//!     let block = alloc::reallocate_aligned::<Global>(NonNull::new(block).expect("as above"), 300, 16);
//!     alloc::free_sized::<Global>(block, 300);
//!     aligned.into_iter().chain([alloc::allocate_zeroed::<Global>(9)]).for_each(|block| alloc::free::<Global>(block));
//! }
//! alloc::trim::<Global>();
//! ```

use core::ptr::{self, NonNull};

use crate::{
    block::Block,
    chunk::{Chunk, Owner},
    config::{CHUNK, GRANULE, LARGE_MAX, MEDIUM_MAX, SLICE, SMALL_MAX, Tuning},
    foreign::{self, free_unowned, is_ours, refuse},
    heap::{Refill, page_of},
    hooked,
    large::{allocate_huge, allocate_large, allocate_run, free_run, relocate_huge},
    lend::{refill, refill_head},
    page::Page,
    portion::Portion,
    process::{Busy, Failure, Instance},
    remote::Batch,
    resize::{resize_in_place, size_of},
    secure, secure_resize,
    size_class::SizeClass,
    thread::{self, take_head},
};

/// The alignment of every block, in bytes.
pub const MIN_ALIGN: usize = GRANULE;

/// A block of at least `size` bytes, aligned to 16; null if there is no memory.
#[inline(always)]
pub fn allocate<I: Instance>(size: usize) -> *mut u8 {
    if secure::is_on::<I>() {
        return secure::allocate_plain::<I>(size);
    }
    if size > SMALL_MAX {
        return allocate_beyond_small::<I>(size);
    }
    let class = SizeClass::of_small(size);
    match take_head::<I>(class) {
        Some(block) => block.start().as_ptr(),
        None => allocate_small_slow::<I>(size),
    }
}

/// As [`allocate`], all `size` bytes zero.
#[inline]
pub fn allocate_zeroed<I: Instance>(size: usize) -> *mut u8 {
    if secure::is_on::<I>() {
        return allocate::<I>(size);
    }
    if size > SMALL_MAX {
        return allocate_beyond_small_zeroed::<I>(size);
    }
    let block = allocate::<I>(size);
    if !block.is_null() {
        // SAFETY: the block has `size` bytes and is ours.
        unsafe { block.write_bytes(0, size) };
    }
    block
}

/// As [`allocate`], at a multiple of `align`.
///
/// Pre: `align` is a power of two.
pub fn allocate_aligned<I: Instance>(size: usize, align: usize) -> *mut u8 {
    debug_assert!(align.is_power_of_two());
    if secure::is_on::<I>() {
        if align <= GRANULE {
            return secure::allocate_plain::<I>(size);
        }
        return or_fail::<I>(secure::allocate::<I>(size, align));
    }
    if align <= GRANULE {
        return allocate::<I>(size);
    }
    if hooked::is_on::<I>() {
        return or_fail::<I>(hooked::allocate::<I>(size, align, false));
    }
    if size <= MEDIUM_MAX
        && align <= MEDIUM_MAX
        && let Some(class) = SizeClass::of_aligned(size.max(1), align)
    {
        return allocate::<I>(class.size());
    }
    or_fail::<I>(if size <= LARGE_MAX && align <= LARGE_MAX {
        allocate_run::<I>(size.max(1), align).map(|(block, _)| block)
    } else {
        allocate_huge::<I>(size.max(1), align).map(|(block, _)| block)
    })
}

/// As [`allocate_aligned`], all `size` bytes zero.
///
/// Pre: `align` is a power of two.
pub fn allocate_aligned_zeroed<I: Instance>(size: usize, align: usize) -> *mut u8 {
    if secure::is_on::<I>() {
        return allocate_aligned::<I>(size, align);
    }
    if align <= GRANULE
        || !hooked::is_on::<I>()
            && (align <= SLICE && size > MEDIUM_MAX || size > LARGE_MAX && align <= CHUNK)
    {
        return allocate_zeroed::<I>(size);
    }
    let block = allocate_aligned::<I>(size, align);
    if !block.is_null() {
        // SAFETY: the block has `size` bytes and is ours.
        unsafe { block.write_bytes(0, size) };
    }
    block
}

/// Give a block back. Null is nothing.
///
/// # Safety
///
/// `block` is null, or a live block of this instance, which its user gives up.
#[inline(always)]
pub unsafe fn free<I: Instance>(block: *mut u8) {
    if secure::is_on::<I>() {
        // SAFETY: the caller's promise.
        return unsafe { secure::free::<I>(block) };
    }
    // 32 bits tell, and are tested in one instruction.
    if (block.addr() as u32).is_multiple_of(CHUNK as u32) {
        // SAFETY: the caller's promise.
        return unsafe { free_huge::<I>(block) };
    }
    // SAFETY: not a multiple of the chunk size, so not null.
    let block = unsafe { NonNull::new_unchecked(block) };
    // SAFETY: the block is live, so its chunk is mapped.
    let (owner, page) = unsafe { Chunk::locate(block) };
    if owner.word() != thread::heap_address::<I>() {
        // SAFETY: the caller's promise.
        return unsafe { free_slow::<I>(block) };
    }
    // SAFETY: the user gives the block up.
    if page.push(unsafe { Block::from_ptr(block) }) {
        see_to::<I>(block);
    }
}

/// As [`free`], of a block of which `size` bytes were asked for. Only the security build looks whether that is so.
///
/// # Safety
///
/// As for [`free`], and the block was allocated, or resized, with `size` bytes.
#[inline(always)]
pub unsafe fn free_sized<I: Instance>(block: *mut u8, size: usize) {
    if secure::is_on::<I>() {
        // SAFETY: the caller's promise.
        return unsafe { secure::free_sized::<I>(block, size) };
    }
    // SAFETY: the caller's promise.
    unsafe { free::<I>(block) }
}

/// A block of at least `size` bytes with the contents of `block`, which is given back; in place if that wastes
/// little. Null if there is no memory: then `block` is as it was.
///
/// # Safety
///
/// `block` is a live block of this instance.
pub unsafe fn reallocate<I: Instance>(block: NonNull<u8>, size: usize) -> *mut u8 {
    // SAFETY: the caller's promise.
    unsafe { reallocate_aligned::<I>(block, size, GRANULE) }
}

/// As [`reallocate`], at a multiple of `align`, which `block` is as well.
///
/// # Safety
///
/// `block` is a live block of this instance at a multiple of `align`, a power of two.
pub unsafe fn reallocate_aligned<I: Instance>(
    block: NonNull<u8>,
    size: usize,
    align: usize,
) -> *mut u8 {
    if hooked::is_on::<I>()
        // SAFETY: the caller's promise.
        && let Some(new) = unsafe { hooked::reallocate::<I>(block, size, align) }
    {
        return or_fail::<I>(new);
    }
    let Some(old) = size_of::<I>(block) else {
        return foreign::reallocate::<I>(block, size);
    };
    // SAFETY: as above.
    if unsafe { resize_in_place::<I>(block, old, size) } {
        return block.as_ptr();
    }
    if size > old
        && old > LARGE_MAX
        && align <= CHUNK
        && let Some(moved) = if secure::is_on::<I>() {
            secure_resize::relocate::<I>(block, size)
        } else {
            relocate_huge::<I>(block, size)
        }
    {
        return moved.as_ptr();
    }
    let new = allocate_aligned::<I>(size, align);
    if let Some(target) = NonNull::new(new) {
        // SAFETY: two live blocks do not overlap, and both have that many bytes.
        unsafe { ptr::copy_nonoverlapping(block.as_ptr(), target.as_ptr(), old.min(size)) };
        // SAFETY: the caller gives the old block up when it gets a new one.
        unsafe { free::<I>(block.as_ptr()) };
    }
    new
}

/// The bytes that the user of a live block may use.
///
/// # Safety
///
/// `block` is a live block of this instance.
pub unsafe fn usable_size<I: Instance>(block: NonNull<u8>) -> usize {
    match size_of::<I>(block) {
        Some(size) => size,
        None => foreign::usable_size::<I>(block),
    }
}

/// Give back what can be given back, of this thread, of threads that are gone, and of what all share. Returns whether
/// anything was.
pub fn trim<I: Instance>() -> bool {
    let process = I::process();
    let before = process.mapped_or_dirty();
    thread::reclaim::<I>();
    process.mapped_or_dirty() < before
}

/// Null, and what the instance does about it.
fn or_fail<I: Instance>(block: Option<NonNull<u8>>) -> *mut u8 {
    match block {
        Some(block) => block.as_ptr(),
        None => fail::<I>(),
    }
}

#[cold]
fn fail<I: Instance>() -> *mut u8 {
    I::on_failure(Failure::NoMemory);
    ptr::null_mut()
}

/// The head is empty: fill it.
#[cold]
#[inline(never)]
fn allocate_small_slow<I: Instance>(size: usize) -> *mut u8 {
    if hooked::is_on::<I>() {
        return or_fail::<I>(hooked::allocate::<I>(size, GRANULE, false));
    }
    let class = SizeClass::of_small(size);
    let Some(heap) = thread::heap_or_enter::<I>() else {
        return borrow_one::<I>(class);
    };
    // Entering may have allocated, and filled the head.
    if let Some(block) = take_head::<I>(class) {
        return block.start().as_ptr();
    }
    or_fail::<I>(refill_head::<I>(heap, class).map(|block| block.start()))
}

/// One block for a thread that has no heap.
#[cold]
fn borrow_one<I: Instance>(class: SizeClass) -> *mut u8 {
    let process = I::process();
    let refill = process
        .with_borrowed(|heap| process.refill(heap, class, Portion::ONE))
        .flatten();
    or_fail::<I>(refill.map(|refill| refill.first.start()))
}

/// What is larger than small: from the current page of its class, if there is a block in it.
#[inline(never)]
fn allocate_beyond_small<I: Instance>(size: usize) -> *mut u8 {
    if size > MEDIUM_MAX {
        return allocate_beyond_medium::<I>(size);
    }
    let class = SizeClass::of_medium(size);
    match thread::heap::<I>().and_then(|heap| heap.pop(class)) {
        Some(block) => block.start().as_ptr(),
        None => allocate_medium_slow::<I>(size),
    }
}

/// The current page has no block.
#[cold]
#[inline(never)]
fn allocate_medium_slow<I: Instance>(size: usize) -> *mut u8 {
    if hooked::is_on::<I>() {
        return or_fail::<I>(hooked::allocate::<I>(size, GRANULE, false));
    }
    let refill = refill_medium::<I>(SizeClass::of_medium(size));
    or_fail::<I>(refill.map(|refill| refill.first.start()))
}

/// From a run of slices, or huge.
#[inline(never)]
fn allocate_beyond_medium<I: Instance>(size: usize) -> *mut u8 {
    if hooked::is_on::<I>() {
        return or_fail::<I>(hooked::allocate::<I>(size, GRANULE, false));
    }
    or_fail::<I>(allocate_large::<I>(size).map(|(block, _)| block))
}

#[inline(never)]
fn allocate_beyond_small_zeroed<I: Instance>(size: usize) -> *mut u8 {
    if hooked::is_on::<I>() {
        return or_fail::<I>(hooked::allocate::<I>(size, GRANULE, true));
    }
    if size > MEDIUM_MAX {
        return or_fail::<I>(allocate_large::<I>(size).map(|(block, cleaner)| {
            cleaner.clear(block, size);
            block
        }));
    }
    let class = SizeClass::of_medium(size);
    let pop = thread::heap::<I>().and_then(|heap| heap.pop(class));
    let refill = match pop {
        Some(first) => Some(Refill {
            first,
            zeroed: false,
        }),
        None => refill_medium::<I>(class),
    };
    or_fail::<I>(refill.map(|refill| {
        let start = refill.first.start();
        refill.first.set_next(0);
        if !refill.zeroed {
            // SAFETY: the block has `size` bytes and is ours.
            unsafe { start.write_bytes(0, size) };
        }
        start
    }))
}

/// A block that the heap finds.
#[cold]
fn refill_medium<I: Instance>(class: SizeClass) -> Option<Refill> {
    if let Some(heap) = thread::heap_or_enter::<I>() {
        return refill::<I>(heap, class, Portion::ONE);
    }
    let process = I::process();
    process
        .with_borrowed(|heap| process.refill(heap, class, Portion::ONE))
        .flatten()
}

/// The page of this block, which is this thread's and into which it has come home, has no used block any more, or was full.
#[cold]
#[inline(never)]
fn see_to<I: Instance>(block: NonNull<u8>) {
    let (page, _) = page_of(block);
    if let Some(heap) = thread::heap::<I>() {
        let _busy = Busy::new(heap);
        heap.see_to(page, &I::process().memory);
    }
}

/// # Safety
///
/// As for [`free`], and `block` is a multiple of the chunk size.
#[cold]
#[inline(never)]
unsafe fn free_huge<I: Instance>(block: *mut u8) {
    let Some(block) = NonNull::new(block) else {
        return;
    };
    let memory = &I::process().memory;
    if !memory.release_huge(block) {
        // SAFETY: the caller's promise.
        unsafe { hooked::free_not_in_chunk::<I>(block) };
    }
}

/// The owner word is not the address of this thread's heap: another heap's block, a later slice, a run, or nothing of ours.
///
/// # Safety
///
/// As for [`free`], and `block` lies in a chunk.
#[inline(never)]
unsafe fn free_slow<I: Instance>(block: NonNull<u8>) {
    if !is_ours::<I>(block) {
        // SAFETY: the caller's promise.
        return unsafe { hooked::free_not_in_chunk::<I>(block) };
    }
    // SAFETY: the chunk is ours, and the block is live, so it stays mapped.
    let chunk = unsafe { Chunk::of(block) };
    let slice = Chunk::slice_of(block);
    let owner = chunk.owner(slice);
    if owner.has(Owner::RUN | Owner::UNOWNED) {
        // SAFETY: the caller's promise.
        if owner.has(Owner::HOOK) && unsafe { hooked::free::<I>(block) } {
            return;
        }
        if !free_run::<I>(block, chunk, owner) {
            free_unowned::<I>(block);
        }
        return;
    }
    let (head, owner) = if owner.has(Owner::NOT_HEAD) {
        let head = chunk.head_of(slice, owner);
        (head, chunk.owner(head))
    } else {
        (slice, owner)
    };
    let page = chunk.page(head);
    let start = if owner.has(Owner::INTERIOR) {
        // SAFETY: the caller's promise.
        if owner.has(Owner::HOOK) && unsafe { hooked::free::<I>(block) } {
            return;
        }
        page.block_start(block)
    } else if page.begins_block(block) {
        block
    } else {
        refuse::<I>(block)
    };
    // SAFETY: the user gives the block up.
    let freed = unsafe { Block::from_ptr(start) };
    if owner.heap_address() != thread::heap_address::<I>() {
        return free_remote::<I>(page, freed);
    }
    if let Some(heap) = thread::heap::<I>() {
        let _busy = Busy::new(heap);
        // SAFETY: the page is this heap's, the block is given up.
        unsafe { heap.free_local(page, freed, &I::process().memory) };
    }
}

/// Another heap's block: collect it for delivery.
fn free_remote<I: Instance>(page: &Page, block: Block) {
    let process = I::process();
    let Some(heap) = thread::heap_to_collect_in::<I>() else {
        return process.send(Batch::single(block));
    };
    let _busy = Busy::new(heap);
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
