//! Blocks that are freed in parts.
//!
//! Every byte that was asked for is freed exactly once, by calls with disjoint ranges, in any order, from any thread. The slot is
//! reclaimed when, and only when, the freed bytes add up to the request: one [count](crate::cold) per slot, no intervals.
//!
//! The count is noted by whoever still holds the whole: at the first split of a [`Block`](crate::Block), or, in an
//! instance with [`Tuning::PARTIAL`], when the block is allocated. There a block of which all was asked for is not noted at all: the
//! first part that is freed tells, because it is smaller.

use core::ptr::NonNull;

use ralloc_platform::Platform;

use crate::{
    alloc,
    chunk::Chunk,
    cold::{Count, Taken},
    config::{CHUNK, Tuning},
    fatal::{PARTS_OVERLAP, fatal},
    foreign::refuse,
    large::relocate_huge,
    odd,
    page::Page,
    process::Instance,
    resize,
    slot::Slot,
    thread,
};

/// The slot that a part lies in.
///
/// # Safety
///
/// `part` lies in a live block of this instance, of which the caller holds a part.
pub(crate) unsafe fn slot_of<I: Instance>(part: NonNull<u8>) -> Slot<'static> {
    // SAFETY: the caller's promise.
    let slot = unsafe { Slot::of(&I::process().memory, part) };
    slot.unwrap_or_else(|| refuse::<I>(part))
}

/// The count of a slot, made if there is none. `None` if there is no memory for it.
fn count_of<I: Instance>(slot: Slot<'_>) -> Option<Count<'_>> {
    if let Slot::Block { page, cold, .. } = slot
        && slot.count().is_none()
    {
        // As many counts as the page will ever have blocks, whatever has become of it in a fork.
        let all = page.whole_capacity() * size_of::<u16>();
        let process = I::process();
        let counts = process.allocate_counts(all).or_else(|| {
            process.reclaim(thread::heap::<I>());
            process.allocate_counts(all)
        })?;
        if !cold.offer_counts(counts.cast()) {
            // SAFETY: another thread was first; nobody has seen ours.
            unsafe { alloc::free::<I>(counts.as_ptr()) };
        }
    }
    slot.count()
}

/// Note that `bytes` of a slot are to be freed. False if there is no memory to note it in.
///
/// Pre: the caller holds all of the slot that is not freed; `bytes > 0`.
pub(crate) fn note<I: Instance>(slot: Slot<'_>, bytes: usize) -> bool {
    count_of::<I>(slot).map(|count| count.set(bytes)).is_some()
}

/// Free `bytes` bytes at `part`: all of a block, or a part of it.
///
/// # Safety
///
/// They lie in one live block of this instance, were asked for, and are given up, each byte for the first time. If nothing has been
/// noted of the block, all of it was asked for.
pub(crate) unsafe fn free_part<I: Instance>(part: NonNull<u8>, bytes: usize) {
    if bytes == 0 {
        return;
    }
    // SAFETY: the caller's promise.
    let slot = unsafe { slot_of::<I>(part) };
    let (start, whole) = (slot.start(), slot.size());
    if !holds_all(slot, bytes) {
        // Before the others can know that this part is free: then the memory may be somebody else's at any moment.
        purge_inside::<I>(slot, part, bytes);
    }
    let taken = if slot.count().is_none() && bytes == whole {
        Taken::Last
    } else {
        // Without memory for a count nobody can know when the last part goes: the block stays.
        count_of::<I>(slot).map_or(Taken::Part, |count| count.take_off(bytes, whole))
    };
    match taken {
        // SAFETY: all of the block has been given up.
        Taken::Last => unsafe { alloc::free::<I>(start.as_ptr()) },
        Taken::Part => {}
        Taken::TooMuch => fatal(
            &I::process().memory.kernel,
            PARTS_OVERLAP,
            part.as_ptr().addr(),
        ),
    }
}

/// Give back the OS pages that lie in a part that is free, unless the slot is small.
fn purge_inside<I: Instance>(slot: Slot<'_>, part: NonNull<u8>, bytes: usize) {
    if !slot.is_purged_in_parts() {
        return;
    }
    let kernel = &I::process().memory.kernel;
    let os_page = kernel.page_size();
    let start = part.as_ptr().addr();
    let first = start.next_multiple_of(os_page);
    let end = (start + bytes) & !(os_page - 1);
    if first < end {
        // SAFETY: the OS page lies in the part.
        let first_page = unsafe { part.add(first - start) };
        // SAFETY: nobody uses these OS pages until the slot has been freed.
        unsafe { kernel.purge(first_page, end - first) };
    }
}

/// A block for an instance whose blocks may be freed in parts: as [`odd::allocate`], and noted.
pub(crate) fn allocate<I: Instance>(size: usize, align: usize, zeroed: bool) -> *mut u8 {
    if size == 0 {
        // A part of no bytes is nothing, so a block of none is nothing as well.
        return core::ptr::without_provenance_mut(align);
    }
    let block = odd::allocate::<I>(size, align, zeroed);
    let Some(start) = NonNull::new(block) else {
        return block;
    };
    // SAFETY: just allocated.
    let slot = unsafe { slot_of::<I>(start) };
    if slot.size() != size && !note::<I>(slot, size) {
        // SAFETY: nobody has seen it.
        unsafe { alloc::free::<I>(block) };
        return core::ptr::null_mut();
    }
    block
}

/// As [`free_part`], and without a look at the count if all of a small block is freed that all was asked for of.
///
/// # Safety
///
/// As for [`free_part`].
#[inline]
pub(crate) unsafe fn free<I: Instance>(block: *mut u8, bytes: usize) {
    // SAFETY: the caller's promise: not null.
    let start = unsafe { NonNull::new_unchecked(block) };
    if !block.addr().is_multiple_of(CHUNK) && bytes != 0 {
        // SAFETY: the block is live, so the window that it lies in is mapped.
        let (owner, page) = unsafe { Chunk::locate(start) };
        if owner.word() == thread::heap_address::<I>()
            && is_whole(page, bytes)
            && I::process().memory.chunks.map.contains(block.addr())
        {
            // SAFETY: a part as large as the block is the block.
            return unsafe { alloc::free::<I>(block) };
        }
    }
    // SAFETY: the caller's promise.
    unsafe { free_part::<I>(start, bytes) };
}

fn is_whole(page: &Page, bytes: usize) -> bool {
    page.block_size.get() as usize == bytes
}

/// Give the `old` bytes at `part` another size: in place if possible, else elsewhere. Null if there is no memory: then
/// everything is as it was.
///
/// A part that others have the rest of gets smaller where it is, and larger elsewhere.
///
/// # Safety
///
/// The bytes are a block of this instance or a part of one, at a multiple of `align`, which is not 0; `note` has been told of
/// blocks of which not all was asked for.
pub(crate) unsafe fn reallocate<I: Instance>(
    part: NonNull<u8>,
    old: usize,
    size: usize,
    align: usize,
) -> *mut u8 {
    if old == 0 {
        return allocate::<I>(size, align, false);
    }
    // SAFETY: the caller's promise.
    if unsafe { resize_in_place::<I>(part, old, size, false) } {
        return part.as_ptr();
    }
    // SAFETY: as above.
    let slot = unsafe { slot_of::<I>(part) };
    if let Slot::Huge { base, .. } = slot
        && base == part
        && holds_all(slot, old)
        && size > slot.size()
        // Pages are moved to a multiple of the chunk size, which is one of every power of two that is no larger, and of nothing else.
        && align <= CHUNK
        && align.is_power_of_two()
        && let Some(moved) = relocate_huge::<I>(part, size)
    {
        // SAFETY: just moved.
        let slot = unsafe { slot_of::<I>(moved) };
        // A huge block has its count, so this succeeds.
        note_size::<I>(slot, size);
        return moved.as_ptr();
    }
    let new = allocate::<I>(size, align, false);
    if let Some(target) = NonNull::new(new) {
        // SAFETY: two live blocks do not overlap, and both have that many bytes.
        unsafe { part.copy_to_nonoverlapping(target, old.min(size)) };
        // SAFETY: the caller gives the old bytes up when it gets new ones.
        unsafe { free_part::<I>(part, old) };
    }
    new
}

/// Make the `old` bytes at `part` `size` bytes where they are. False, and nothing has changed, if that cannot be, or wastes much
/// and `at_any_price` is not set.
///
/// # Safety
///
/// As for [`reallocate`]; the bytes behind `size` are given up.
pub(crate) unsafe fn resize_in_place<I: Instance>(
    part: NonNull<u8>,
    old: usize,
    size: usize,
    at_any_price: bool,
) -> bool {
    if size == 0 || old == 0 {
        return size == old;
    }
    // SAFETY: the caller's promise.
    let slot = unsafe { slot_of::<I>(part) };
    if slot.start() == part && holds_all(slot, old) {
        let stays = if at_any_price {
            // SAFETY: all that is left of the block is the caller's.
            unsafe { resize::resize_where_it_stands::<I>(part, size) }
        } else {
            // SAFETY: as above.
            unsafe { resize::resize_in_place::<I>(part, slot.size(), size) }
        };
        // SAFETY: as above.
        return stays && note_size::<I>(unsafe { slot_of::<I>(part) }, size);
    }
    if size < old {
        // SAFETY: the tail lies in the part.
        let tail = unsafe { part.add(size) };
        // SAFETY: the caller gives the tail up.
        unsafe { free_part::<I>(tail, old - size) };
    }
    size <= old
}

/// Whether `bytes` is all that is left of a slot.
fn holds_all(slot: Slot<'_>, bytes: usize) -> bool {
    match slot.count().map_or(0, |count| count.get()) {
        0 => bytes == slot.size(),
        left => left == bytes,
    }
}

/// Note that a slot is of `size` bytes now. False if there is no memory to note it in.
fn note_size<I: Instance>(slot: Slot<'_>, size: usize) -> bool {
    match slot.count() {
        Some(count) => {
            count.set(if size == slot.size() { 0 } else { size });
            true
        }
        None => size == slot.size() || note::<I>(slot, size),
    }
}

/// Whether the blocks of an instance may be freed in parts.
pub(crate) const fn is_on<I: Instance>() -> bool {
    <I::Tuning as Tuning>::PARTIAL
}

/// Bytes from `part` on that a part can have at most.
///
/// # Safety
///
/// `part` lies in a live block of this instance.
pub(crate) unsafe fn bytes_from<I: Instance>(part: NonNull<u8>) -> usize {
    // SAFETY: the caller's promise.
    let slot = unsafe { slot_of::<I>(part) };
    slot.size() - (part.as_ptr().addr() - slot.start().as_ptr().addr())
}
