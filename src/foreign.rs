//! Pointers that are not what they are given for: of another allocator, to the stack, into the middle of a block, to a block
//! that has been given back.
//!
//! The slow paths ask here before they touch what a pointer leads to. What lies in no memory of ours may belong to
//! another allocator: the instance decides ([`Instance::free_elsewhere`]). Everything else ends the process.

use core::{num::NonZeroUsize, ptr::NonNull};

use ralloc_platform::Platform;

use crate::{
    chunk::{Chunk, Owner},
    config::{CHUNK, FIRST_BLOCK_OFFSET, SLICE, SLICES},
    fatal::{FOREIGN_POINTER, INTERIOR_POINTER, INVALID_FREE, fatal},
    hooks::Quiet,
    large::{free_odd_huge, odd_huge_size},
    process::Instance,
    record::{RED_ZONE, Record},
    slot::Slot,
};

/// Whether `block` lies in a chunk of ours. If it does not, nothing near it has been read.
#[inline(always)]
pub(crate) fn is_ours<I: Instance>(block: NonNull<u8>) -> bool {
    I::process()
        .memory
        .chunks
        .map
        .contains(block.as_ptr().addr())
}

/// Whether `free` reads at this address before it knows whether the pointer that it was given is ours.
///
/// It is no address of ours. Where nothing is mapped there, any word will do that is neither 0 nor even: no heap has such an
/// address, and then the pointer is looked at.
///
/// ```
/// use ralloc::{Global, is_read_of_foreign};
///
/// let ours = ralloc::alloc(100, 8);
/// let chunk = ours.addr().get() & !((4 << 20) - 1);
/// assert!(!is_read_of_foreign::<Global>(chunk));
/// assert!(is_read_of_foreign::<Global>(chunk ^ (1 << 45)));
/// # // SAFETY: allocated above with this size, freed once.
/// # unsafe { ralloc::free(ours, 100) };
/// ```
pub fn is_read_of_foreign<I: Instance>(address: usize) -> bool {
    let chunk = address & !(CHUNK - 1);
    let is_owner_word = address - chunk < SLICES * size_of::<usize>();
    is_owner_word && chunk != 0 && !I::process().memory.chunks.map.contains(address)
}

/// The usable bytes of a block; `None` if the pointer is foreign. Ends the process if no block begins there.
#[inline]
pub(crate) fn known_size<I: Instance>(block: NonNull<u8>) -> Option<NonZeroUsize> {
    if block.as_ptr().addr().is_multiple_of(CHUNK) {
        let usable = I::process().memory.huge.usable(block);
        // A block of a large alignment may begin at a chunk's, and not where its mapping does.
        return usable
            .or_else(|| Some(recorded_size::<I>(block)?.get()))
            .or_else(|| odd_huge_size::<I>(block))
            .and_then(NonZeroUsize::new);
    }
    if !is_ours::<I>(block) {
        return recorded_size::<I>(block).or_else(|| NonZeroUsize::new(odd_huge_size::<I>(block)?));
    }
    // SAFETY: the chunk is ours. It stays as long as the block is live; if that is not so, the program has freed the block while
    // another of its threads used it.
    let chunk = unsafe { Chunk::of(block) };
    let slice = Chunk::slice_of(block);
    let owner = chunk.owner(slice);
    if owner.has(Owner::UNOWNED) {
        if is_elsewhere::<I>(block) {
            return None;
        }
        refuse::<I>(block);
    }
    let head = chunk.head_of(slice, owner);
    let page = chunk.page(head);
    if chunk.owner(head).has(Owner::INTERIOR) {
        if let Some(size) = recorded_size::<I>(block) {
            return Some(size);
        }
        let (start, size) = if owner.has(Owner::RUN) {
            (page.start(), page.slices() * SLICE)
        } else {
            (page.block_start(block), page.block_size.get() as usize)
        };
        return NonZeroUsize::new(size - (block.as_ptr().addr() - start.as_ptr().addr()));
    }
    if !owner.has(Owner::RUN) {
        if page.begins_block(block) {
            return NonZeroUsize::new(page.block_size.get() as usize);
        }
    } else if owner.word() == Owner::RUN && block.as_ptr().addr().is_multiple_of(SLICE) {
        return NonZeroUsize::new(chunk.page(slice).slices() * SLICE);
    }
    refuse::<I>(block)
}

/// The slot of a live block that has a [record](crate::record), and the bytes that were asked for; `None` if it has none. Ends the process
/// if no block begins there.
#[cold]
pub(crate) fn recorded<I: Instance>(
    block: NonNull<u8>,
) -> Option<(Slot<'static>, &'static Record, usize)> {
    let memory = &I::process().memory;
    let _quiet = Quiet::new(&memory.hooks, &memory.kernel);
    let (slot, record) = Slot::recorded(memory, block)?;
    if record.block() != block || !record.is_live() {
        refuse::<I>(block);
    }
    Some((slot, record, record.size()))
}

/// The bytes of a block that has a record. A block of no bytes is as good as one of one, to those who ask.
fn recorded_size<I: Instance>(block: NonNull<u8>) -> Option<NonZeroUsize> {
    let (_, _, size) = recorded::<I>(block)?;
    NonZeroUsize::new(size.max(1))
}

/// Give back a block that lies where none of ours is: behind what is mapped of a chunk there may be somebody else's.
#[cold]
pub(crate) fn free_unowned<I: Instance>(block: NonNull<u8>) {
    if !is_elsewhere::<I>(block) {
        refuse::<I>(block);
    }
    free::<I>(block);
}

/// Give back a block that is not ours.
#[cold]
pub(crate) fn free<I: Instance>(block: NonNull<u8>) {
    let is_freed =
        free_odd_huge::<I>(block) || (is_elsewhere::<I>(block) && I::free_elsewhere(block));
    if !is_freed {
        refuse::<I>(block);
    }
}

/// The usable bytes of a block that is not ours.
#[cold]
pub(crate) fn usable_size<I: Instance>(block: NonNull<u8>) -> usize {
    let size = is_elsewhere::<I>(block).then(|| I::usable_size_elsewhere(block));
    size.flatten().unwrap_or_else(|| refuse::<I>(block))
}

/// Reallocate a block that is not ours.
#[cold]
pub(crate) fn reallocate<I: Instance>(block: NonNull<u8>, size: usize) -> *mut u8 {
    let moved = is_elsewhere::<I>(block).then(|| I::reallocate_elsewhere(block, size));
    moved.flatten().unwrap_or_else(|| refuse::<I>(block))
}

/// Whether a pointer that leads to no block leads to no memory of ours either.
fn is_elsewhere<I: Instance>(block: NonNull<u8>) -> bool {
    !is_mapped::<I>(block) && I::process().memory.huge.containing(block).is_none()
}

/// Whether `block` lies in what is mapped of a chunk of ours.
fn is_mapped<I: Instance>(block: NonNull<u8>) -> bool {
    if !is_ours::<I>(block) {
        return false;
    }
    // SAFETY: the chunk is ours, as was just asked; it stays as in `known_size`.
    let chunk = unsafe { Chunk::of(block) };
    let chunks = &I::process().memory.chunks;
    chunks.is_mapped(chunk, Chunk::slice_of(block))
}

/// Say what is wrong with a pointer that leads to no block, and end the process.
#[cold]
pub(crate) fn refuse<I: Instance>(block: NonNull<u8>) -> ! {
    let memory = &I::process().memory;
    let address = block.as_ptr().addr();
    if memory.hooks.has_debugger() {
        // It knows of no such block, and says from where it was freed before.
        memory.kernel.debugger_looks(true);
        memory.kernel.block_freed(block, RED_ZONE);
    }
    let line = if memory.huge.containing(block).is_some() {
        INTERIOR_POINTER
    } else if address.is_multiple_of(CHUNK) {
        // Most likely a huge block that was freed before; its memory may have gone.
        INVALID_FREE
    } else if is_mapped::<I>(block) {
        // SAFETY: as in `known_size`.
        let chunk = unsafe { Chunk::of(block) };
        let owner = chunk.owner(Chunk::slice_of(block));
        let is_header = address % CHUNK < FIRST_BLOCK_OFFSET;
        if owner.has(Owner::UNOWNED) || is_header {
            INVALID_FREE
        } else {
            INTERIOR_POINTER
        }
    } else {
        FOREIGN_POINTER
    };
    fatal(&memory.kernel, line, address)
}
