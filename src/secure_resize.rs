//! How large a block of the security build is, exactly, and how it becomes larger or smaller: where it stands, or by moving its pages.

use core::ptr::NonNull;

use crate::{
    chunk::Chunk,
    config::{LARGE_MAX, SLICE, Tuning},
    evidence::{self, Live, find, forget_behind, key, run_of, write_canary},
    fatal::FREED_BLOCK,
    guard::slices_behind,
    large::relocate_huge,
    live,
    page::Page,
    process::Instance,
    secure::note_run,
};

/// Of a block of odd alignment, just allocated, only `size` bytes were asked for. Noted where it begins with its slot.
pub(crate) fn note_exact<I: Instance>(block: NonNull<u8>, size: usize) {
    if find::<I>(block, FREED_BLOCK).is_some_and(|live| live.offset() == 0) {
        // SAFETY: nobody has seen the block.
        unsafe { resize_in_place::<I>(block, size, true) };
    }
}

/// As [`foreign::known_size`], and exact.
pub(crate) fn known_size<I: Instance>(block: NonNull<u8>) -> Option<usize> {
    let live = find::<I>(block, FREED_BLOCK)?;
    let (_, asked, _) = live.measure::<I>();
    Some(asked.saturating_sub(live.offset()))
}

/// Make a live block of `old` bytes serve `size` bytes where it stands, if it can; unless `at_any_price` not if that wastes much.
///
/// # Safety
///
/// The user of `block` gives up what lies behind `size`.
pub(crate) unsafe fn resize_in_place<I: Instance>(
    block: NonNull<u8>,
    size: usize,
    at_any_price: bool,
) -> bool {
    let Some(live) = find::<I>(block, FREED_BLOCK) else {
        return false;
    };
    let (start, asked, slot) = live.measure::<I>();
    if live.offset() != 0 {
        // It is not known how many bytes were asked for: it stays as it is, or moves.
        let old = asked.saturating_sub(live.offset());
        return size <= old && (at_any_price || I::Tuning::stays(old, size));
    }
    match live {
        Live::Block { .. } => {
            let stays =
                size < slot && (at_any_price || size >= asked || I::Tuning::stays(slot, size));
            if stays {
                resize_block::<I>(start, asked, size, slot);
            }
            stays
        }
        Live::Run { chunk, .. } => {
            let page = chunk.page(Chunk::slice_of(start));
            let stays = size != 0
                && size <= (page.slices() - slices_behind::<I::Tuning>()) * SLICE
                && (at_any_price || size.div_ceil(SLICE) == asked.div_ceil(SLICE));
            stays && resize_run::<I>(page, asked, size, slot)
        }
        Live::Huge { entry, .. } => {
            let stays =
                (at_any_price || size > LARGE_MAX) && size != 0 && size < isize::MAX as usize;
            let done = stays && I::process().memory.resize_huge(start, size);
            if done {
                forget_behind(start, size, asked, slot.min(entry.usable()));
                write_canary::<I>(start, size, entry.usable());
            }
            done
        }
    }
}

/// Make a live huge block serve `size` bytes, more than it has, somewhere else, by moving its pages.
pub(crate) fn relocate<I: Instance>(block: NonNull<u8>, size: usize) -> Option<NonNull<u8>> {
    let live = find::<I>(block, FREED_BLOCK)?;
    let Live::Huge {
        entry, offset: 0, ..
    } = live
    else {
        return None;
    };
    let (_, asked, slot) = live.measure::<I>();
    let memory = &I::process().memory;
    forget_behind(block, size, asked, slot);
    let moved = relocate_huge::<I>(block, size);
    match moved.and_then(|moved| Some((moved, memory.huge.usable(moved)?))) {
        Some((moved, usable)) => {
            memory.remember_huge(block);
            write_canary::<I>(moved, size, usable);
        }
        None => write_canary::<I>(block, asked, entry.usable()),
    }
    moved
}

/// A run of which `old` bytes were asked for, and `slot` may be touched, becomes one of which `new` are. False if the kernel will not have it.
fn resize_run<I: Instance>(page: &Page, old: usize, new: usize, slot: usize) -> bool {
    let (start, run) = (page.start(), run_of::<I>(page));
    let memory = &I::process().memory;
    forget_behind(start, new, old, slot);
    let fits = memory.fit(&run, slot, memory.whole_pages(&run, new));
    note_run::<I>(start, if fits { new } else { old });
    fits
}

/// A block of `size` bytes, of which `old` were asked for, becomes one of which `new` are.
fn resize_block<I: Instance>(start: NonNull<u8>, old: usize, new: usize, size: usize) {
    evidence::clear(start, old.min(new), old, size);
    // SAFETY: the block is live, and reads zero behind what is asked for now.
    unsafe { live::note(start, new, size, key::<I>()) };
}
