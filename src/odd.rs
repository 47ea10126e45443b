//! Alignments that are not powers of two.
//!
//! The block is made large enough that a multiple of the alignment lies inside; what is given out begins there. The owner
//! word of the page or run says that it may be so (INTERIOR), which sends its frees to the slow path, where the start is found again.
//! In a mapping of its own the words in front of the block take the place of the chunk's header.

use core::ptr::{self, NonNull};

use crate::{
    alloc,
    chunk::{Chunk, Owner},
    config::{GRANULE, LARGE_MAX, MEDIUM_MAX},
    hooked,
    large::{SIZE_MAX, allocate_odd_huge, allocate_odd_run, up_to},
    process::Instance,
    resize, secure, secure_resize,
};

/// A block of at least `size` bytes at a multiple of `align`, which may be any number but 0, all of them zero if that is asked for;
/// null if there is no memory.
pub(crate) fn allocate<I: Instance>(size: usize, align: usize, zeroed: bool) -> *mut u8 {
    if align.is_power_of_two() {
        return if zeroed {
            alloc::allocate_aligned_zeroed::<I>(size, align)
        } else {
            alloc::allocate_aligned::<I>(size, align)
        };
    }
    let block = allocate_odd::<I>(size, align);
    if zeroed && !block.is_null() {
        // SAFETY: the block has `size` bytes and is ours.
        unsafe { block.write_bytes(0, size) };
    }
    block
}

fn allocate_odd<I: Instance>(size: usize, align: usize) -> *mut u8 {
    if hooked::is_on::<I>() {
        return hooked::allocate::<I>(size, align, false).map_or(ptr::null_mut(), NonNull::as_ptr);
    }
    // Blocks begin at multiples of the granule, so what they have in common with the alignment is there already.
    let common = 1 << align.trailing_zeros().min(GRANULE.trailing_zeros());
    let Some(room) = size
        .max(1)
        .checked_add(align - common)
        .filter(|&room| room <= SIZE_MAX)
    else {
        return ptr::null_mut();
    };
    if room > MEDIUM_MAX {
        let block = if room <= LARGE_MAX {
            allocate_odd_run::<I>(room, align)
        } else {
            allocate_odd_huge::<I>(size, align, 0)
        };
        let Some((block, cleaner)) = block else {
            return ptr::null_mut();
        };
        if secure::is_on::<I>() {
            secure::note_odd::<I>(block, room, &cleaner);
            secure_resize::note_exact::<I>(block, size);
        }
        return block.as_ptr();
    }
    match NonNull::new(alloc::allocate::<I>(room)) {
        Some(block) => {
            let block = inside(block, align);
            if secure::is_on::<I>() {
                secure_resize::note_exact::<I>(block, size);
            }
            block.as_ptr()
        }
        None => ptr::null_mut(),
    }
}

/// The first multiple of `align` in a block of a page.
fn inside(block: NonNull<u8>, align: usize) -> NonNull<u8> {
    let offset = up_to(block.as_ptr().addr(), align);
    if offset != 0 {
        // SAFETY: the block is ours, so its chunk is mapped.
        let chunk = unsafe { Chunk::of(block) };
        let slice = Chunk::slice_of(block);
        let head = chunk.head_of(slice, chunk.owner(slice));
        if !chunk.owner(head).has(Owner::INTERIOR) {
            chunk.change_owner(head, |owner| owner.with(Owner::INTERIOR));
        }
    }
    // SAFETY: the block is large enough to have a multiple of the alignment, and what was asked for behind it.
    unsafe { block.add(offset) }
}

/// A block of at least `size` bytes at a multiple of `align` with the contents of `block`, which is given back; null if there is
/// no memory: then `block` is as it was.
///
/// # Safety
///
/// `block` is a live block of this instance at a multiple of `align`, which is not 0.
pub(crate) unsafe fn reallocate<I: Instance>(
    block: NonNull<u8>,
    size: usize,
    align: usize,
) -> *mut u8 {
    if align.is_power_of_two() {
        // SAFETY: the caller's promise.
        return unsafe { alloc::reallocate_aligned::<I>(block, size, align) };
    }
    if hooked::is_on::<I>()
        // SAFETY: the caller's promise.
        && let Some(new) = unsafe { hooked::reallocate::<I>(block, size, align) }
    {
        return new.map_or(ptr::null_mut(), NonNull::as_ptr);
    }
    // SAFETY: the caller's promise.
    let old = unsafe { alloc::usable_size::<I>(block) };
    // SAFETY: as above.
    if unsafe { resize::resize_in_place::<I>(block, old, size) } {
        return block.as_ptr();
    }
    let new = allocate::<I>(size, align, false);
    if let Some(target) = NonNull::new(new) {
        // SAFETY: two live blocks do not overlap, and both have that many bytes.
        unsafe { ptr::copy_nonoverlapping(block.as_ptr(), target.as_ptr(), old.min(size)) };
        // SAFETY: the caller gives the old block up when it gets a new one.
        unsafe { alloc::free::<I>(block.as_ptr()) };
    }
    new
}
