//! What is larger than medium: runs of slices, which belong to no heap, and huge blocks.

use core::ptr::NonNull;

use crate::{
    chunk::{Chunk, Owner},
    chunk_entry::Run,
    config::{CHUNK, EXTENSION, GRANULE, LARGE_MAX, SLICE},
    process::Instance,
    thread,
};

/// The largest request: more could not be indexed by `isize`.
pub(crate) const SIZE_MAX: usize = isize::MAX as usize;

/// How a fresh large block is made to read zero.
pub(crate) enum Cleaner {
    /// It does already.
    Clean,
    /// The slices that are dirty are cleared.
    Run(Run),
    /// Everything is cleared.
    All,
}

impl Cleaner {
    /// Make the first `size` bytes of `block` read zero.
    pub(crate) fn clear(&self, block: NonNull<u8>, size: usize) {
        match self {
            Self::Clean => {}
            Self::Run(run) => run.clear(size),
            // SAFETY: the block has `size` bytes and is the caller's.
            Self::All => unsafe { block.write_bytes(0, size) },
        }
    }
}

pub(crate) fn allocate_large<I: Instance>(size: usize) -> Option<(NonNull<u8>, Cleaner)> {
    if size <= LARGE_MAX {
        allocate_run::<I>(size, GRANULE)
    } else {
        allocate_huge::<I>(size, CHUNK)
    }
}

/// A run of slices. It belongs to no heap: any thread gives it back.
///
/// Pre: `0 < size <= LARGE_MAX`; `align <= LARGE_MAX`.
pub(crate) fn allocate_run<I: Instance>(
    size: usize,
    align: usize,
) -> Option<(NonNull<u8>, Cleaner)> {
    let memory = &I::process().memory;
    let slices = size.div_ceil(SLICE);
    let stride = align.div_ceil(SLICE);
    let run = memory.claim(slices, stride, false).or_else(|| {
        I::process().reclaim(thread::heap::<I>());
        memory.claim(slices, stride, false)
    })?;
    // SAFETY: we hold a slice of the chunk.
    let chunk = unsafe { Chunk::of(run.base) };
    chunk.page(run.first).open_run(slices);
    chunk.set_owners(run.first, slices, Owner::nobody(Owner::RUN));
    Some((
        run.start(),
        if run.is_clean() {
            Cleaner::Clean
        } else {
            Cleaner::Run(run)
        },
    ))
}

/// A mapping of its own.
pub(crate) fn allocate_huge<I: Instance>(
    size: usize,
    align: usize,
) -> Option<(NonNull<u8>, Cleaner)> {
    if size > SIZE_MAX {
        return None;
    }
    let memory = &I::process().memory;
    let align = align.max(CHUNK);
    let (block, zeroed) = memory.claim_huge(size, align).or_else(|| {
        I::process().reclaim(thread::heap::<I>());
        memory.claim_huge(size, align)
    })?;
    Some((block, if zeroed { Cleaner::Clean } else { Cleaner::All }))
}

pub(crate) fn relocate_huge<I: Instance>(block: NonNull<u8>, size: usize) -> Option<NonNull<u8>> {
    let memory = &I::process().memory;
    let size = (size <= SIZE_MAX).then_some(size)?;
    memory.huge.relocate(block, size, &memory.kernel)
}

/// Make a run `slices` slices long: give the tail back, or claim what lies behind.
pub(crate) fn resize_run<I: Instance>(block: NonNull<u8>, slices: usize) -> bool {
    let memory = &I::process().memory;
    // SAFETY: the run is live, so its chunk is mapped.
    let chunk = unsafe { Chunk::of(block) };
    let first = Chunk::slice_of(block);
    let page = chunk.page(first);
    let old = page.slices();
    if slices < old {
        page.set_run_slices(slices);
        chunk.disown(first + slices, old - slices);
        memory.release(
            &memory
                .chunks
                .held(page.chunk(), first + slices, old - slices),
            old - slices,
        );
    } else if slices > old {
        let Some(tail) = memory
            .chunks
            .claim_at(chunk.index(), first + old, slices - old)
        else {
            return false;
        };
        debug_assert!(tail.first == first + old);
        page.set_run_slices(slices);
        chunk.set_owners(first, slices, Owner::nobody(Owner::RUN));
    }
    if cfg!(debug_assertions) {
        chunk.check_owners(first, slices);
    }
    true
}

/// Give back the run at `block`, whose slice has the owner word `owner`. False if no run begins there.
pub(crate) fn free_run<I: Instance>(block: NonNull<u8>, chunk: &Chunk, owner: Owner) -> bool {
    if owner.word() != Owner::RUN || !block.as_ptr().addr().is_multiple_of(SLICE) {
        return false;
    }
    let memory = &I::process().memory;
    let slice = Chunk::slice_of(block);
    let page = chunk.page(slice);
    let slices = page.slices();
    chunk.disown(slice, slices);
    memory.release(&memory.chunks.held(page.chunk(), slice, slices), slices);
    true
}

/// The bytes that a large or huge block has of which `size` are asked for; more than can be if that is too much.
pub(crate) fn good_size(size: usize) -> usize {
    let unit = if size <= LARGE_MAX { SLICE } else { EXTENSION };
    size.checked_next_multiple_of(unit).unwrap_or(size)
}
