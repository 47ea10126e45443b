//! The verbs of the security build: every operation looks whether the program may do what it asks for.
//!
//! What is known of a block stands outside of it: whether it is live and how many of its bytes were not asked for in its
//! [state](crate::live), the length of a large one in the header of its chunk, that of a huge one in the table of huge blocks. Behind what
//! was asked for there is at least one byte, with the [canary](crate::canary) in it; behind a large or huge block there is a
//! [guard](crate::guard) as well. A block that is freed is cleared, waits in a [quarantine](crate::quarantine), and must still read zero when it
//! is handed out again.
//!
//! | misuse | found |
//! |---|---|
//! | double free, invalid and interior free, wrong size, free of what is not ours | at once |
//! | resizing, or asking for the size of, a block that is free | at once |
//! | writing behind the bytes that were asked for | when the block is freed or resized; behind a large or huge block's last OS page at once |
//! | writing to a free block | when it leaves the quarantine, is handed out again, or its thread ends; to a large or huge one at once |
//! | a link in a free block that has been changed | before the list is used |

use core::ptr::NonNull;

use crate::{
    block::Block,
    canary,
    chunk::Chunk,
    config::{EXTENSION, GRANULE, LARGE_MAX, MEDIUM_MAX, SLICE, Tuning},
    evidence::{self, Live, die, find, key, run_bytes, write_canary},
    fatal::{CORRUPTED_LIST, DOUBLE_FREE, FREED_BLOCK, WRITE_AFTER_FREE, WRONG_SIZE},
    foreign, free_list,
    heap::{Heap, Refill},
    large::{allocate_huge, allocate_run, free_run},
    live::{self, FREED, HOME, LIVE, NEVER, state_of},
    portion::Portion,
    primitive::Ordering,
    process::{Busy, Instance},
    quarantine,
    size_class::SizeClass,
    thread,
};

/// Blocks that a page is asked for at a time, at most. They are shuffled.
const BATCH: usize = 64;

/// Whether an instance looks for misuse.
pub(crate) const fn is_on<I: Instance>() -> bool {
    I::Tuning::SECURITY
}

/// A block of `size` bytes at a multiple of `align`, all of them zero.
///
/// Pre: `align` is a power of two.
pub(crate) fn allocate<I: Instance>(size: usize, align: usize) -> Option<NonNull<u8>> {
    if size < MEDIUM_MAX && align <= MEDIUM_MAX {
        let class = if align <= GRANULE {
            Some(SizeClass::of(live::with_canary(size)))
        } else {
            SizeClass::of_aligned(live::with_canary(size), align)
        };
        if let Some(class) = class {
            return allocate_block::<I>(class, size);
        }
    }
    if size <= LARGE_MAX && align <= LARGE_MAX {
        let size = size.max(1);
        let (start, cleaner) = allocate_run::<I>(size, align)?;
        // What lies behind it is given out when the block grows where it stands.
        cleaner.clear(start, size.next_multiple_of(SLICE));
        note_run::<I>(start, size);
        return Some(start);
    }
    let (start, cleaner) = allocate_huge::<I>(size.max(1), align)?;
    cleaner.clear(start, size);
    let entry = I::process().memory.huge.containing(start);
    if let Some((_, entry)) = entry {
        write_canary::<I>(start, size.max(1), entry.usable());
    }
    Some(start)
}

/// A run is live, and of `size` bytes from now on.
fn note_run<I: Instance>(start: NonNull<u8>, size: usize) {
    // SAFETY: the run is ours, so its chunk is mapped.
    let chunk = unsafe { Chunk::of(start) };
    let slice = Chunk::slice_of(start);
    chunk.cold(slice).asked.store(size, Ordering::Relaxed);
    // SAFETY: as above.
    unsafe { state_of(start) }.store(LIVE, Ordering::Relaxed);
    write_canary::<I>(start, size, run_bytes(chunk.page(slice)));
}

/// A block of odd alignment in a run of which `room` bytes were asked for, or in a huge block.
pub(crate) fn note_odd<I: Instance>(block: NonNull<u8>, room: usize) {
    if let Some((base, entry)) = I::process().memory.huge.containing(block) {
        return write_canary::<I>(base, entry.asked(), entry.usable());
    }
    // SAFETY: the run is ours, so its chunk is mapped.
    let chunk = unsafe { Chunk::of(block) };
    let slice = Chunk::slice_of(block);
    let head = chunk.head_of(slice, chunk.owner(slice));
    note_run::<I>(chunk.page(head).start(), room);
}

/// Of a block of odd alignment, just allocated, only `size` bytes were asked for. Noted where it begins with its slot.
pub(crate) fn note_exact<I: Instance>(block: NonNull<u8>, size: usize) {
    if find::<I>(block, FREED_BLOCK).is_some_and(|live| live.offset() == 0) {
        // SAFETY: nobody has seen the block.
        unsafe { resize_in_place::<I>(block, size, true) };
    }
}

fn allocate_block<I: Instance>(class: SizeClass, size: usize) -> Option<NonNull<u8>> {
    let block = match thread::heap_or_enter::<I>() {
        Some(heap) => {
            let _busy = Busy::new(heap);
            match pop::<I>(heap, class) {
                Some(block) => block,
                None => refill::<I>(heap, class)?,
            }
        }
        None => I::process().with_borrowed(|heap| match pop::<I>(heap, class) {
            Some(block) => Some(block),
            None => take::<I>(heap, class),
        })??,
    };
    Some(hand_out::<I>(block, class.size(), size))
}

/// The first block of the current page.
fn pop<I: Instance>(heap: &Heap, class: SizeClass) -> Option<Block> {
    let page = heap.any_with_room(class)?;
    let (link, count) = (page.free.get(), page.free_count());
    if link == 0 && count == 0 {
        return None;
    }
    // SAFETY: the page is this heap's, which the caller owns or holds.
    if count == 0 || !unsafe { live::is_free_block(page, link) } {
        die::<I>(CORRUPTED_LIST, page.start());
    }
    page.pop()
}

/// Blocks for the current page, and housekeeping when it is due.
#[cold]
#[inline(never)]
fn refill<I: Instance>(heap: &Heap, class: SizeClass) -> Option<Block> {
    if heap.tick::<I::Tuning>() {
        I::process().keep_house(heap, class);
        thread::arm::<I>();
    }
    take::<I>(heap, class)
}

/// A batch from the pages of the heap, one block of which is the caller's: the others are put back in another order.
fn take<I: Instance>(heap: &Heap, class: SizeClass) -> Option<Block> {
    let limit = (EXTENSION / class.size()).clamp(1, BATCH);
    let refill = I::process().refill(heap, class, Portion::at_most(limit))?;
    // SAFETY: the blocks have a page.
    let chunk = unsafe { Chunk::of(refill.first.start()) };
    let slice = Chunk::slice_of(refill.first.start());
    let page = chunk.page(chunk.head_of(slice, chunk.owner(slice)));
    let mut batch = [refill.first; BATCH];
    let mut count = 0;
    // SAFETY: the batch is ours; it was looked at before it was taken.
    for block in unsafe { free_list::drain(refill.first.address()) } {
        batch[count] = block;
        count += 1;
        open(block, class.size(), refill.zeroed);
    }
    for left in (1..count).rev() {
        batch.swap(left, quarantine::draw::<I>(left + 1));
        page.push(batch[left]);
    }
    Some(batch[0])
}

/// A block of a batch that may be one that has never been given out, in memory that held something else.
fn open(block: Block, size: usize, zeroed: bool) {
    // SAFETY: the block is ours, so its chunk is mapped.
    let state = unsafe { state_of(block.start()) };
    if state.load(Ordering::Relaxed) == NEVER {
        if !zeroed {
            // SAFETY: the block is ours and has so many bytes.
            unsafe { block.start().write_bytes(0, size) };
        }
        state.store(HOME, Ordering::Relaxed);
    }
}

/// The one block of a refill, for a thread that cannot reach its words yet.
pub(crate) fn serve<I: Instance>(refill: &Refill, class: SizeClass, asked: usize) -> NonNull<u8> {
    open(refill.first, class.size(), refill.zeroed);
    hand_out::<I>(refill.first, class.size(), asked)
}

/// A free block of `size` bytes goes to a user who asked for `asked` of them.
fn hand_out<I: Instance>(block: Block, size: usize, asked: usize) -> NonNull<u8> {
    let start = block.start();
    block.set_next(0);
    // SAFETY: the block is ours, of so many bytes.
    if !unsafe { canary::is_zero(start, size) } {
        die::<I>(WRITE_AFTER_FREE, start);
    }
    // SAFETY: the block is ours, and reads zero.
    unsafe { live::note(start, asked, size, key::<I>()) };
    start
}

/// Give a block back; `size` is what the program says that it has, if it says so.
///
/// # Safety
///
/// The block is given up. What else is expected of it is looked at.
pub(crate) unsafe fn free<I: Instance>(block: *mut u8, size: Option<usize>) {
    let Some(block) = NonNull::new(block) else {
        return;
    };
    let Some(live) = find::<I>(block, DOUBLE_FREE) else {
        return foreign::free::<I>(block);
    };
    let (start, asked, slot) = live.measure::<I>();
    let bytes = asked - live.offset().min(asked);
    // A run or huge block that was asked for with no bytes has one.
    let size = match live {
        Live::Block { .. } => size,
        _ => size.map(|size| size.max(1)),
    };
    // Of a block of odd alignment it is not known how many bytes there were.
    if size.is_some_and(|size| size > bytes || size != bytes && live.offset() == 0) {
        die::<I>(WRONG_SIZE, block);
    }
    match live {
        Live::Block { is_ours, .. } => free_block::<I>(start, asked, slot, is_ours),
        Live::Run { chunk, owner, .. } => {
            // SAFETY: the run is live, so its chunk is mapped.
            if unsafe { state_of(start) }.swap(FREED, Ordering::Relaxed) < LIVE
                || !free_run::<I>(block, chunk, owner)
            {
                die::<I>(DOUBLE_FREE, block);
            }
        }
        Live::Huge { base, .. } => {
            let memory = &I::process().memory;
            memory.remember_huge(block);
            if !memory.release_huge(base) {
                die::<I>(DOUBLE_FREE, block);
            }
        }
    }
}

fn free_block<I: Instance>(start: NonNull<u8>, asked: usize, size: usize, is_ours: bool) {
    // SAFETY: the block is live, so its chunk is mapped.
    let state = unsafe { state_of(start) };
    if is_ours {
        state.store(FREED, Ordering::Relaxed);
    } else if state.swap(FREED, Ordering::Relaxed) < LIVE {
        die::<I>(DOUBLE_FREE, start);
    }
    evidence::clear(start, 0, asked, size);
    match thread::heap_to_collect_in::<I>() {
        Some(heap) => {
            let _busy = Busy::new(heap);
            // SAFETY: given up.
            quarantine::hold::<I>(heap, unsafe { Block::from_ptr(start) }, size);
        }
        None => quarantine::pass_by::<I>(start),
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
        Live::Run { .. } => {
            let stays = size != 0
                && size <= slot
                && (at_any_price || size.div_ceil(SLICE) == asked.div_ceil(SLICE));
            if stays {
                forget_behind(start, size, asked, slot);
                note_run::<I>(start, size);
            }
            stays
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

/// Clear what a large block gives up that becomes `new` bytes long, and the canary behind its `old` bytes, up to `end`.
fn forget_behind(start: NonNull<u8>, new: usize, old: usize, end: usize) {
    let from = new.min(old);
    let to = end.min(old + canary::CANARY);
    if from < to {
        // SAFETY: the bytes lie in the block.
        let behind = unsafe { start.add(from) };
        // SAFETY: they are given up, or were never given out.
        unsafe { behind.write_bytes(0, to - from) };
    }
}

/// A block of `size` bytes, of which `old` were asked for, becomes one of which `new` are.
fn resize_block<I: Instance>(start: NonNull<u8>, old: usize, new: usize, size: usize) {
    evidence::clear(start, old.min(new), old, size);
    // SAFETY: the block is live, and reads zero behind what is asked for now.
    unsafe { live::note(start, new, size, key::<I>()) };
}
