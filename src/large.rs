//! What is larger than medium: runs of slices, which belong to no heap, and huge blocks.

use core::ptr::NonNull;

use ralloc_platform::Platform;

use crate::{
    chunk::{Chunk, Owner},
    chunk_entry::Run,
    config::{CHUNK, EXTENSION, GRANULE, LARGE_MAX, SLICE, Tuning},
    guard::slices_behind,
    huge::{Entry, span_size},
    process::Instance,
    thread,
};

/// Bytes of an owner word.
const WORD: usize = size_of::<usize>();

/// The largest request: more could not be indexed by `isize`.
pub(crate) const SIZE_MAX: usize = isize::MAX as usize;

/// How a fresh large block is made to read zero.
pub(crate) enum Cleaner {
    /// It does already.
    Clean,
    /// The slices that are dirty are cleared.
    Run(Run),
    /// So many of the first bytes are cleared.
    First(usize),
}

impl Cleaner {
    /// Make the first `size` bytes of `block` read zero.
    pub(crate) fn clear(&self, block: NonNull<u8>, size: usize) {
        match self {
            Self::Clean => {}
            Self::Run(run) => run.clear(size),
            // SAFETY: the block has `size` bytes and is the caller's.
            Self::First(dirty) => unsafe { block.write_bytes(0, size.min(*dirty)) },
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
    let slices = size.div_ceil(SLICE) + slices_behind::<I::Tuning>();
    let stride = align.div_ceil(SLICE);
    let run = memory.claim_guarded(size, stride).or_else(|| {
        thread::reclaim::<I>();
        memory.claim_guarded(size, stride)
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
    let (block, dirty) = memory.claim_huge(size, align).or_else(|| {
        thread::reclaim::<I>();
        memory.claim_huge(size, align)
    })?;
    let cleaner = match dirty {
        0 => Cleaner::Clean,
        dirty => Cleaner::First(dirty),
    };
    Some((block, cleaner))
}

pub(crate) fn relocate_huge<I: Instance>(block: NonNull<u8>, size: usize) -> Option<NonNull<u8>> {
    let memory = &I::process().memory;
    let size = (size <= SIZE_MAX).then_some(size)?;
    if I::Tuning::SECURITY {
        return memory.relocate_guarded(block, size);
    }
    memory.make_way(size);
    let (old, new) = (memory.huge.size(block)?, span_size(size)?);
    let moved = memory
        .huge
        .relocate(block, (new, size), &memory.chunks, &memory.kernel, || {
            // SAFETY: the block's addresses are held by the caller.
            unsafe { memory.kernel.relocate(block, old, new, CHUNK) }
        })?;
    memory.note_peak();
    Some(moved)
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
        memory.forget_churn();
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
    let slice = if owner.has(Owner::RUN) && owner.has(Owner::INTERIOR) {
        chunk.head_of(Chunk::slice_of(block), owner)
    } else if owner.word() == Owner::RUN && block.as_ptr().addr().is_multiple_of(SLICE) {
        Chunk::slice_of(block)
    } else {
        return false;
    };
    let memory = &I::process().memory;
    let page = chunk.page(slice);
    let slices = page.slices();
    chunk.disown(slice, slices);
    memory.release_guarded(&memory.chunks.held(page.chunk(), slice, slices));
    true
}

/// The bytes that a large or huge block has of which `size` are asked for; more than can be if that is too much.
pub(crate) fn good_size(size: usize) -> usize {
    let unit = if size <= LARGE_MAX { SLICE } else { EXTENSION };
    size.checked_next_multiple_of(unit).unwrap_or(size)
}

/// A block of odd alignment in a run of slices.
///
/// Pre: `room` bytes hold a block wherever they begin.
pub(crate) fn allocate_odd_run<I: Instance>(
    room: usize,
    align: usize,
) -> Option<(NonNull<u8>, Cleaner)> {
    let (run, cleaner) = allocate_run::<I>(room, GRANULE)?;
    // SAFETY: the run is ours, so its chunk is mapped.
    let chunk = unsafe { Chunk::of(run) };
    let first = Chunk::slice_of(run);
    let slices = chunk.page(first).slices();
    chunk.set_owners(first, slices, Owner::nobody(Owner::RUN | Owner::INTERIOR));
    // SAFETY: there is room for that.
    let block = unsafe { run.add(up_to(run.as_ptr().addr(), align)) };
    Some((block, cleaner))
}

/// A block of odd alignment in a mapping of its own. The window in which it begins looks like a chunk to a free: in front of
/// the block is the owner word of the slice in which it begins.
///
/// Pre: `front` bytes before the block are the caller's as well.
pub(crate) fn allocate_odd_huge<I: Instance>(
    size: usize,
    align: usize,
    front: usize,
) -> Option<(NonNull<u8>, Cleaner)> {
    // A window begins with the word for slice 0, so a block in that slice must not begin before its end. With an alignment
    // close to a multiple of the chunk it takes some steps to get there, and with one of less than a word as well.
    let steps = if align < CHUNK / 2 { 2 } else { WORD + 2 };
    let room = align.checked_mul(steps).and_then(|extra| {
        size.checked_add(extra.max(align + WORD))?
            .checked_add(front)
    })?;
    let (base, cleaner) = allocate_huge::<I>(room, CHUNK)?;
    let mut offset = front + up_to(base.as_ptr().addr() + front, align);
    while (1..WORD).contains(&((base.as_ptr().addr() + offset) % CHUNK)) {
        offset += align;
    }
    debug_assert!(offset + size <= room, "there is room for the block");
    // SAFETY: there is room for that.
    let block = unsafe { base.add(offset) };
    if offset != 0 {
        if let Some((_, entry)) = I::process().memory.huge.containing(base) {
            entry.set_odd_start(block);
        }
        if !block.as_ptr().addr().is_multiple_of(CHUNK) {
            // SAFETY: the word is in the mapping, which is ours, and in front of the block.
            let window = unsafe { Chunk::of(block) };
            window.set_owner(Chunk::slice_of(block), Owner::nobody(Owner::UNOWNED));
        }
    }
    Some((block, cleaner))
}

/// The huge block in which a block of odd alignment begins at `block`, which is in no chunk.
fn odd_huge<'a, I: Instance>(block: NonNull<u8>) -> Option<(NonNull<u8>, &'a Entry)> {
    let (base, entry) = I::process().memory.huge.containing(block)?;
    let begins = entry.odd_start() == Some(block.as_ptr().addr());
    begins.then_some((base, entry))
}

/// The usable bytes of a block of odd alignment at `block`, which is in no chunk.
pub(crate) fn odd_huge_size<I: Instance>(block: NonNull<u8>) -> Option<usize> {
    let (base, entry) = odd_huge::<I>(block)?;
    Some(entry.usable() - (block.as_ptr().addr() - base.as_ptr().addr()))
}

/// Give the huge block back in which a block of odd alignment begins at `block`, which is in no chunk. False if none does.
pub(crate) fn free_odd_huge<I: Instance>(block: NonNull<u8>) -> bool {
    odd_huge::<I>(block).is_some_and(|(base, _)| I::process().memory.release_huge(base))
}

/// Bytes from `address` up to the next multiple of `align`.
pub(crate) fn up_to(address: usize, align: usize) -> usize {
    match address % align {
        0 => 0,
        beyond => align - beyond,
    }
}
