//! The verbs of the security build: every operation looks whether the program may do what it asks for.
//!
//! What is known of a block stands outside of it: whether it is live and how many of its bytes were not asked for in its
//! [state](crate::live), the length of a large one in the header of its chunk, that of a huge one in the table of huge blocks. Behind what
//! was asked for there is at least one byte, with the [canary](crate::canary) in it; behind a large or huge block there is a
//! [guard](crate::guard) as well. A block that is freed is cleared, waits in the [stock](crate::stock) of its thread, and must still read zero when it
//! is handed out again.
//!
//! | misuse | found |
//! |---|---|
//! | double free, invalid and interior free, wrong size, free of what is not ours | at once |
//! | resizing, or asking for the size of, a block that is free | at once |
//! | writing behind the bytes that were asked for | when the block is freed or resized; behind the last OS page of a large or huge block at once |
//! | writing to a free block | when it is handed out again, leaves the stock, has arrived at its page's thread, or its thread ends; to a large or huge one at once |
//! | a link in a free block that has been changed | before the list is used |

use core::ptr::{self, NonNull};

use crate::{
    block::Block,
    canary,
    chunk::Chunk,
    config::{GRANULE, LARGE_MAX, MEDIUM_MAX, SMALL_MAX, STATE_GRANULE, Tuning},
    evidence::{
        self, Live, die, dirty_bytes, find, find_plain, find_short, key, run_bytes, write_canary,
    },
    fatal::{CORRUPTED_LIST, DOUBLE_FREE, WRITE_AFTER_FREE, WRONG_SIZE},
    foreign, free_list,
    heap::{Heap, Refill},
    large::{Cleaner, allocate_huge, allocate_run, free_run},
    live::{self, FREED, LIVE, NEVER, state_of},
    page::Page,
    portion::Portion,
    primitive::Ordering,
    process::{Busy, Failure, Instance},
    quarantine,
    size_class::SizeClass,
    stock::Stock,
    thread,
};

/// Whether an instance looks for misuse.
pub(crate) const fn is_on<I: Instance>() -> bool {
    I::Tuning::SECURITY
}

/// The classes of small requests, a canary included, by granules of the request, rounded down.
const OF_GRANULES: [SizeClass; SMALL_MAX / GRANULE] = {
    let mut classes = [SizeClass::from_const(0); SMALL_MAX / GRANULE];
    let mut granule = 0;
    while granule < classes.len() {
        let class = SizeClass::of_small((granule + 1) * GRANULE);
        classes[granule] = if class.size() < STATE_GRANULE {
            SizeClass::of_small(STATE_GRANULE)
        } else {
            class
        };
        granule += 1;
    }
    classes
};

/// A block of `size` bytes at a multiple of the granule, all of them zero; null if there is no memory.
#[inline(never)]
pub(crate) fn allocate_plain<I: Instance>(size: usize) -> *mut u8 {
    if size < SMALL_MAX
        && let Some(stock) = thread::stock::<I>()
        && let Some((block, bytes)) = stock.pick(OF_GRANULES[size / GRANULE])
    {
        let start = block.start();
        if bytes > canary::SHORT {
            return hand_out::<I>(block, bytes, size, stock.key());
        }
        // SAFETY: the block is ours, of so many bytes.
        if !unsafe { canary::is_short_zero(start, bytes) } {
            blame_writer::<I>(block);
        }
        // SAFETY: the block is ours, and reads zero; of the classes of short blocks only the smallest has so much room.
        unsafe { live::note_short(start, size, bytes, stock.key()) };
        return start.as_ptr();
    }
    allocate_slowly::<I>(size)
}

#[inline(never)]
fn allocate_slowly<I: Instance>(size: usize) -> *mut u8 {
    match allocate::<I>(size, GRANULE) {
        Some(block) => block.as_ptr(),
        None => {
            I::on_failure(Failure::NoMemory);
            ptr::null_mut()
        }
    }
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
        // Also what lies between the block and its guard: it is given out when the block grows where it stands.
        // SAFETY: the run is ours, so its chunk is mapped.
        let chunk = unsafe { Chunk::of(start) };
        let page = chunk.page(Chunk::slice_of(start));
        cleaner.clear(start, run_bytes::<I>(page, size));
        note_run::<I>(start, size);
        return Some(start);
    }
    let (start, cleaner) = allocate_huge::<I>(size.max(1), align)?;
    // Up to the guard, as above.
    cleaner.clear(start, I::process().memory.in_pages(size.max(1)));
    let entry = I::process().memory.huge.containing(start);
    if let Some((_, entry)) = entry {
        write_canary::<I>(start, size.max(1), entry.usable());
    }
    Some(start)
}

/// A run is live, and of `size` bytes from now on.
pub(crate) fn note_run<I: Instance>(start: NonNull<u8>, size: usize) {
    // SAFETY: the run is ours, so its chunk is mapped.
    let chunk = unsafe { Chunk::of(start) };
    let slice = Chunk::slice_of(start);
    chunk.cold(slice).asked.store(size, Ordering::Relaxed);
    // SAFETY: as above.
    unsafe { state_of(start) }.store(LIVE, Ordering::Relaxed);
    write_canary::<I>(start, size, run_bytes::<I>(chunk.page(slice), size));
}

/// A block of odd alignment in a run of which `room` bytes were asked for, or in a huge block: it reads zero from now on, and its end is
/// watched.
pub(crate) fn note_odd<I: Instance>(block: NonNull<u8>, room: usize, cleaner: &Cleaner) {
    if let Some((base, entry)) = I::process().memory.huge.containing(block) {
        // Not in front of it, where its window's owner word is.
        let offset = block.as_ptr().addr() - base.as_ptr().addr();
        cleaner.clear(block, entry.asked() - offset);
        return write_canary::<I>(base, entry.asked(), entry.usable());
    }
    // SAFETY: the run is ours, so its chunk is mapped.
    let chunk = unsafe { Chunk::of(block) };
    let slice = Chunk::slice_of(block);
    let page = chunk.page(chunk.head_of(slice, chunk.owner(slice)));
    cleaner.clear(page.start(), run_bytes::<I>(page, room));
    note_run::<I>(page.start(), room);
}

fn allocate_block<I: Instance>(class: SizeClass, size: usize) -> Option<NonNull<u8>> {
    let (block, bytes) = match thread::stock::<I>().and_then(|stock| stock.pick(class)) {
        Some(picked) => picked,
        None => find_block::<I>(class)?,
    };
    NonNull::new(hand_out::<I>(block, bytes, size, key::<I>()))
}

/// There is too little in stock, or no stock.
#[cold]
#[inline(never)]
fn find_block<I: Instance>(class: SizeClass) -> Option<(Block, usize)> {
    if let Some(heap) = thread::heap_or_enter::<I>() {
        let stock = thread::stock::<I>()?;
        restock::<I>(heap, stock, class);
        return stock.pick_any(class);
    }
    let process = I::process();
    let refill = process
        .with_borrowed(|heap| process.refill(heap, class, Portion::ONE))
        .flatten()?;
    let block = open(refill.first, class.size(), refill.zeroed);
    Some((block, class.size()))
}

/// Blocks for the thread's stock, more than must stay there if there is memory, and housekeeping when it is due.
fn restock<I: Instance>(heap: &Heap, stock: &Stock, class: SizeClass) {
    let _busy = Busy::new(heap);
    let process = I::process();
    if heap.tick::<I::Tuning>() {
        process.keep_house(heap, class);
        thread::arm::<I>();
    }
    let (reserve, most) = (Stock::reserve(class), Stock::capacity(class));
    // A thread of a crowd has as few as can be, of pages that it shares: what it frees of them goes home at once.
    let newcomer = heap.is_newcomer::<I::Tuning>();
    // As much room is left for what is freed.
    let enough = if newcomer {
        reserve + 1
    } else {
        (reserve + most).div_ceil(2).max(reserve + 1)
    };
    while stock.count(class) < enough {
        match pop::<I>(heap, class) {
            Some(block) => stock.put(class, open(block, class.size(), false)),
            None => break,
        };
    }
    while stock.count(class) <= reserve {
        let missing = Portion::at_most(enough - stock.count(class));
        let shared = newcomer.then(|| process.share(class, missing)).flatten();
        let Some(refill) = shared.or_else(|| process.refill(heap, class, missing)) else {
            break;
        };
        // SAFETY: the batch is ours; it was looked at before it was taken.
        for block in unsafe { free_list::drain(refill.first.address()) } {
            stock.put(class, open(block, class.size(), refill.zeroed));
        }
    }
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

/// A block that was on a list, and may be one that has never been given out, in memory that held something else.
fn open(block: Block, size: usize, zeroed: bool) -> Block {
    // SAFETY: the block is ours, so its chunk is mapped.
    let state = unsafe { state_of(block.start()) };
    if state.load(Ordering::Relaxed) == NEVER && !zeroed {
        // SAFETY: the block is ours and has so many bytes.
        unsafe { block.start().write_bytes(0, size) };
    }
    block.set_next(0);
    state.store(FREED, Ordering::Relaxed);
    block
}

/// The one block of a refill, for a thread that cannot reach its words yet.
pub(crate) fn serve<I: Instance>(refill: &Refill, class: SizeClass, asked: usize) -> NonNull<u8> {
    let block = open(refill.first, class.size(), refill.zeroed);
    hand_out::<I>(block, class.size(), asked, key::<I>());
    block.start()
}

/// A free block of `size` bytes, which reads zero if nobody has written to it, goes to a user who asked for `asked` of them.
#[inline(never)]
fn hand_out<I: Instance>(block: Block, size: usize, asked: usize, key: usize) -> *mut u8 {
    let start = block.start();
    // SAFETY: the block is ours, of so many bytes.
    if !unsafe { canary::is_zero(start, size) } {
        blame_writer::<I>(block);
    }
    // SAFETY: the block is ours, and reads zero.
    unsafe { live::note(start, asked, size, key) };
    start.as_ptr()
}

#[cold]
#[inline(never)]
fn blame_writer<I: Instance>(block: Block) -> ! {
    die::<I>(WRITE_AFTER_FREE, block.start())
}

/// Give a block back.
///
/// # Safety
///
/// The block is given up. What else is expected of it is looked at.
#[inline(never)]
pub(crate) unsafe fn free<I: Instance>(block: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe { free_if::<I>(block, None, |_| true) };
}

/// Give a block back that the program says has `size` bytes.
///
/// # Safety
///
/// As for [`free`].
#[inline(never)]
pub(crate) unsafe fn free_sized<I: Instance>(block: *mut u8, size: usize) {
    // SAFETY: the caller's promise.
    unsafe { free_if::<I>(block, Some(size), |asked| asked == size) };
}

/// # Safety
///
/// As for [`free`].
#[inline(always)]
unsafe fn free_if<I: Instance>(
    block: *mut u8,
    size: Option<usize>,
    has_size: impl FnOnce(usize) -> bool,
) {
    if let Some(start) = NonNull::new(block)
        && let Some(stock) = thread::stock::<I>()
        && let Some((page, bytes, slack)) = find_short::<I>(start, stock.key())
        && has_size(bytes - slack)
    {
        // SAFETY: the block is live, so its chunk is mapped.
        unsafe { state_of(start) }.store(FREED, Ordering::Relaxed);
        // SAFETY: the block has so many bytes, and is given up.
        unsafe { canary::clear_short(start, bytes) };
        // SAFETY: given up.
        return quarantine::hold::<I>(stock, page.class(), unsafe { Block::from_ptr(start) });
    }
    // SAFETY: the caller's promise.
    unsafe { free_longer::<I>(block, size) };
}

/// As [`free`], of what is not short, not of this thread's heap, or not as it should be.
///
/// # Safety
///
/// As for [`free`].
#[inline(never)]
unsafe fn free_longer<I: Instance>(block: *mut u8, size: Option<usize>) {
    if let Some(start) = NonNull::new(block)
        && let Some(stock) = thread::stock::<I>()
        && let Some((page, asked, is_ours)) = find_plain::<I>(start, stock.key())
        && size.is_none_or(|size| size == asked)
    {
        // SAFETY: the block is live, so its chunk is mapped.
        let state = unsafe { state_of(start) };
        if is_ours {
            state.store(FREED, Ordering::Relaxed);
        } else if state.swap(FREED, Ordering::Relaxed) < LIVE {
            die::<I>(DOUBLE_FREE, start);
        }
        clear_all(start, asked, page.block_size.get() as usize);
        // SAFETY: given up.
        let block = unsafe { Block::from_ptr(start) };
        if is_ours {
            quarantine::hold::<I>(stock, page.class(), block);
        } else {
            quarantine::send::<I>(thread::heap::<I>(), page, block);
        }
        return;
    }
    // SAFETY: the caller's promise.
    unsafe { free_carefully::<I>(block, size) };
}

/// Make a block of `size` bytes read zero that has been given up, of which `asked` were asked for, and whose last word means nothing.
fn clear_all(start: NonNull<u8>, asked: usize, size: usize) {
    if size <= canary::SHORT {
        // SAFETY: the block has so many bytes, and is given up.
        unsafe { canary::clear_short(start, size) };
    } else {
        // SAFETY: as above.
        unsafe { start.write_bytes(0, dirty_bytes(asked, size)) };
    }
}

/// As [`free`], whatever it is.
///
/// # Safety
///
/// As for [`free`].
#[cold]
#[inline(never)]
unsafe fn free_carefully<I: Instance>(block: *mut u8, size: Option<usize>) {
    let Some(block) = NonNull::new(block) else {
        return;
    };
    let Some(live) = find::<I>(block, DOUBLE_FREE) else {
        return foreign::free::<I>(block);
    };
    let (start, asked, _) = live.measure::<I>();
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
        Live::Block { page, is_ours, .. } => free_block::<I>(page, start, asked, is_ours),
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

fn free_block<I: Instance>(page: &Page, start: NonNull<u8>, asked: usize, is_ours: bool) {
    // SAFETY: the block is live, so its chunk is mapped.
    if unsafe { state_of(start) }.swap(FREED, Ordering::Relaxed) < LIVE {
        die::<I>(DOUBLE_FREE, start);
    }
    evidence::clear(start, 0, asked, page.block_size.get() as usize);
    // SAFETY: given up.
    let block = unsafe { Block::from_ptr(start) };
    match thread::stock::<I>().filter(|_| is_ours) {
        Some(stock) => quarantine::hold::<I>(stock, page.class(), block),
        None => quarantine::send::<I>(thread::heap_to_collect_in::<I>(), page, block),
    }
}
