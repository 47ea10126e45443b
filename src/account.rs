//! What every byte of an allocator's mappings is for, piece by piece: for `cargo xtask explain`, which asks the kernel how much of
//! each piece is resident.
//!
//! Nothing is counted beforehand: the structures are walked as they are, while the other threads stand still.

use crate::{
    chunk::{Chunk, Owner},
    config::{FIRST_BLOCK_OFFSET, SLICE, SLICES},
    free_list,
    page::Page,
    primitive::Ordering,
    process::Instance,
    size_class::SizeClass,
    thread,
};

/// What a piece is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// A block that is used: in the program's hands, in a thread's heads, or on its way home.
    Used,
    /// A block on its page's free list.
    Free,
    /// The part of a page in which no block has been made yet.
    Fresh,
    /// The end of a page, where no block fits.
    Tail,
    /// A run of slices.
    Run,
    /// A huge block.
    Huge,
    /// A huge block that waits for reuse.
    Waiting,
    /// Slices that nobody has.
    FreeSlices,
    /// The header of a chunk.
    Header,
    /// A slice of heap records.
    Heaps,
    /// A table outside of the chunks.
    Table,
}

/// Some bytes of the allocator's. All pieces together are all that it has mapped, without overlap.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// What they are.
    pub what: What,
    /// Bytes of a block, in pages; else 0.
    pub block_size: usize,
    /// The address of the first.
    pub start: usize,
    /// How many they are.
    pub size: usize,
}

/// Where a used block is that the program does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// In the batches that a thread collects.
    Ring,
    /// Delivered, and not taken yet.
    Inbox,
}

/// Hand every piece to `visit`.
///
/// # Safety
///
/// No other thread uses the allocator meanwhile; it may have been stopped in the midst of that, and then a block or two count as something
/// else.
pub unsafe fn pieces<I: Instance>(visit: &mut dyn FnMut(Piece)) {
    let process = I::process();
    let chunks = &process.memory.chunks;
    for chunk in chunks.chunks() {
        let entry = chunks.entry(chunk.index());
        let committed = entry.committed.load(Ordering::Relaxed);
        let free = entry.free.load(Ordering::Relaxed);
        chunk_pieces(chunk, committed, free, visit);
    }
    let mut plain = |what, start, size| {
        let block_size = 0;
        visit(Piece {
            what,
            block_size,
            start,
            size,
        });
    };
    process
        .memory
        .huge
        .extents(|start, size| plain(What::Huge, start, size));
    for span in process.memory.huge.cache.spans() {
        plain(What::Waiting, span.start(), span.size);
    }
    plain(
        What::Table,
        core::ptr::from_ref(process).addr(),
        size_of_val(process),
    );
    let mut table = |start, size| plain(What::Table, start, size);
    process
        .memory
        .huge
        .tables(&process.memory.kernel, &mut table);
    chunks.tables(&process.memory.kernel, &mut table);
}

fn chunk_pieces(chunk: &Chunk, committed: u64, free: u64, visit: &mut dyn FnMut(Piece)) {
    let base = core::ptr::from_ref(chunk).addr();
    let plain = |what, from: usize, end: usize| Piece {
        what,
        block_size: 0,
        start: base + from,
        size: end.saturating_sub(from),
    };
    visit(plain(What::Header, 0, FIRST_BLOCK_OFFSET));
    let mut slice = 0;
    while slice < SLICES {
        let from = (slice * SLICE).max(FIRST_BLOCK_OFFSET);
        let owner = chunk.owner(slice);
        let page = chunk.page(slice);
        let is_open = !owner.has(Owner::UNOWNED | Owner::NOT_HEAD) && page.slices() != 0;
        let slices = if is_open { page.slices() } else { 1 };
        let end = (slice + slices) * SLICE;
        let is_mapped = committed >> slice & 1 == 1;
        let is_free = free >> slice & 1 == 1;
        match (is_open, owner.has(Owner::RUN)) {
            _ if !is_mapped => {}
            (true, true) => visit(plain(What::Run, from, end)),
            (true, false) => page_pieces(page, base + from, base + end, visit),
            (false, _) if is_free => visit(plain(What::FreeSlices, from, end)),
            (false, _) => visit(plain(What::Heaps, from, end)),
        }
        slice += slices;
    }
}

/// Blocks that a page of one slice may have, of the least size.
const MOST: usize = SLICE / 8;

fn page_pieces(page: &Page, from: usize, end: usize, visit: &mut dyn FnMut(Piece)) {
    let block_size = page.block_size.get() as usize;
    let initialised = usize::from(page.initialised.get()).min(MOST);
    let mut is_free = [0_u64; MOST / 64];
    let mut link = page.free.get();
    for _ in 0..initialised {
        let index = link.wrapping_sub(from) / block_size;
        if link < from || index >= initialised {
            break;
        }
        is_free[index / 64] |= 1 << (index % 64);
        // SAFETY: it leads to a block of the page, on the list.
        let block = unsafe { crate::block::Block::at(link) };
        link = block.next();
    }
    for index in 0..initialised {
        let what = match is_free[index / 64] >> (index % 64) & 1 {
            1 => What::Free,
            _ => What::Used,
        };
        let start = from + index * block_size;
        visit(Piece {
            what,
            block_size,
            start,
            size: block_size,
        });
    }
    let blocks_end = from + usize::from(page.capacity.get()) * block_size;
    let fresh = from + initialised * block_size;
    for (what, start, end) in [
        (What::Fresh, fresh, blocks_end),
        (What::Tail, blocks_end, end),
    ] {
        let size = end.saturating_sub(start);
        visit(Piece {
            what,
            block_size,
            start,
            size,
        });
    }
}

/// Hand the address of every block in the current thread's heads to `visit`.
pub fn heads<I: Instance>(visit: &mut dyn FnMut(usize)) {
    for class in SizeClass::small() {
        // SAFETY: the head's list belongs to this thread.
        let blocks = unsafe { free_list::drain(thread::head::<I>(class)) };
        blocks.for_each(|block| visit(block.address()));
    }
}

/// Hand the address of every block that is on its way to its owner to `visit`.
///
/// # Safety
///
/// As for [`pieces`].
pub unsafe fn travelling<I: Instance>(visit: &mut dyn FnMut(Way, usize)) {
    for heap in I::process().heaps.heaps() {
        heap.ring.blocks(|block| visit(Way::Ring, block));
        heap.inbox.blocks(|block| visit(Way::Inbox, block));
    }
}

/// Hand address and size of everything that the allocator has mapped to `visit`, and of its state: what the pieces must add up to.
///
/// # Safety
///
/// As for [`pieces`].
pub unsafe fn extents<I: Instance>(visit: &mut dyn FnMut(usize, usize)) {
    let process = I::process();
    let chunks = &process.memory.chunks;
    for chunk in chunks.chunks() {
        let committed = chunks
            .entry(chunk.index())
            .committed
            .load(Ordering::Relaxed);
        let base = core::ptr::from_ref(chunk).addr();
        for slice in (0..SLICES).filter(|slice| committed >> slice & 1 == 1) {
            visit(base + slice * SLICE, SLICE);
        }
    }
    process.memory.huge.extents(&mut *visit);
    let waiting = process.memory.huge.cache.spans();
    waiting.for_each(|span| visit(span.start(), span.size));
    visit(core::ptr::from_ref(process).addr(), size_of_val(process));
    process.memory.huge.tables(&process.memory.kernel, visit);
    chunks.tables(&process.memory.kernel, visit);
}
