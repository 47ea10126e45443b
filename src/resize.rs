//! How large a block is, and how it becomes larger or smaller where it stands.

use core::{num::NonZeroUsize, ptr::NonNull};

use crate::{
    chunk::{Chunk, Owner},
    config::{CHUNK, LARGE_MAX, MEDIUM_MAX, SLICE, Tuning},
    foreign::{self, known_size},
    hooked,
    large::{SIZE_MAX, resize_run},
    process::Instance,
    secure, secure_resize,
};

/// The usable bytes of a live block; `None` if the pointer is foreign.
#[inline]
pub(crate) fn size_of<I: Instance>(block: NonNull<u8>) -> Option<usize> {
    if secure::is_on::<I>() {
        return secure_resize::known_size::<I>(block);
    }
    known_size::<I>(block).map(NonZeroUsize::get)
}

/// Make a block of `old` usable bytes serve `size` bytes where it stands. Refused when it would waste half of the block.
///
/// # Safety
///
/// `block` is a live block of this instance; its user gives up what lies behind `size`.
pub(crate) unsafe fn resize_in_place<I: Instance>(
    block: NonNull<u8>,
    old: usize,
    size: usize,
) -> bool {
    if secure::is_on::<I>() {
        // SAFETY: the caller's promise.
        return unsafe { secure_resize::resize_in_place::<I>(block, size, false) };
    }
    if hooked::is_on::<I>()
        // SAFETY: the caller's promise.
        && let Some(done) = unsafe { hooked::resize_in_place::<I>(block, size) }
    {
        return done;
    }
    let memory = &I::process().memory;
    let stays = size <= old && I::Tuning::stays(old, size);
    if old <= MEDIUM_MAX {
        return stays;
    }
    if block.as_ptr().addr().is_multiple_of(CHUNK) {
        if size <= LARGE_MAX {
            // It moves, and what it leaves is the rest that its program wants back.
            memory.forget_churn();
        }
        return (LARGE_MAX + 1..=SIZE_MAX).contains(&size) && memory.resize_huge(block, size);
    }
    // SAFETY: the block is live, so the window that it begins in is mapped.
    let owner = unsafe { Chunk::of(block) }.owner(Chunk::slice_of(block));
    if owner.has(Owner::INTERIOR | Owner::UNOWNED) {
        // It does not begin where its run does, or where its mapping does, of which a window has the word of nobody's slice.
        return stays;
    }
    if size <= MEDIUM_MAX || size > LARGE_MAX {
        return false;
    }
    resize_run::<I>(block, size.div_ceil(SLICE))
}

/// Make a block serve `size` bytes where it stands, whatever that wastes.
///
/// # Safety
///
/// `block` is a live block of this instance, not a part; its user gives up what lies behind `size`.
pub(crate) unsafe fn resize_where_it_stands<I: Instance>(block: NonNull<u8>, size: usize) -> bool {
    if secure::is_on::<I>() {
        // SAFETY: the caller's promise.
        return unsafe { secure_resize::resize_in_place::<I>(block, size, true) };
    }
    let usable = size_of::<I>(block).unwrap_or_else(|| foreign::usable_size::<I>(block));
    // A run stays a run, and a huge block huge: they do not move, so they cannot become anything else.
    let least = if usable > LARGE_MAX {
        LARGE_MAX + 1
    } else if usable > MEDIUM_MAX {
        MEDIUM_MAX + 1
    } else {
        0
    };
    // SAFETY: the caller's promise.
    let done = unsafe { resize_in_place::<I>(block, usable, size.max(least)) };
    done || size <= usable
}
