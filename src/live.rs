//! Which blocks are live, in the security build: a byte of state for each granule of a chunk, in front of its blocks.
//!
//! Where the byte is follows from the address alone. Blocks are at least a granule apart, so each has a byte of its own; that a
//! block begins at an address is the page record's to say. A block moves from state to state in this order, and a move that is
//! out of order is misuse:
//!
//! ```text
//! NEVER --extended--> HOME --taken--> FREED --handed out--> LIVE.. --given up by any thread--> FREED --arrived at the owner--> HOME
//! ```
//!
//! Equation: the blocks on a page's free list are those that are HOME, each of them once. So a link needs no key to be trusted: one that
//! leads elsewhere than to a block of the page that is HOME is refused, and of any other change of links the list ends too soon or too
//! late.

use core::ptr::NonNull;

use ralloc_platform::Platform;

use crate::{
    block::Block,
    canary,
    config::{CHUNK, FIRST_BLOCK_OFFSET, MEDIUM_MAX, SLICE, STATE_GRANULE},
    fatal::{CORRUPTED_LIST, DOUBLE_FREE, WRITE_AFTER_FREE, fatal},
    free_list::Link,
    page::Page,
    primitive::{Mark, Ordering},
};

/// Not given out since the page was opened.
pub(crate) const NEVER: u8 = 0;
/// On the free list of its page.
pub(crate) const HOME: u8 = 1;
/// Given up by its user; in a thread's stock, a ring or an inbox. In a stock may also be what nobody has had yet.
pub(crate) const FREED: u8 = 2;
/// From here on: in use. For a block of a page the difference tells how many of its bytes were not asked for.
pub(crate) const LIVE: u8 = 3;
/// In use, and what was not asked for is too much for the byte: the last word of the block tells.
const WIDE: u8 = u8::MAX;

/// The state of a block, run or free slice.
///
/// # Safety
///
/// `address` lies in a chunk of a security build that stays mapped for `'a`.
#[inline(always)]
pub(crate) unsafe fn state_of<'a>(address: NonNull<u8>) -> &'a Mark {
    let base = address.as_ptr().map_addr(|address| address & !(CHUNK - 1));
    let offset = FIRST_BLOCK_OFFSET + address.as_ptr().addr() % CHUNK / STATE_GRANULE;
    // SAFETY: the slices behind the header hold a byte for every granule.
    let state: *const Mark = unsafe { base.add(offset) }.cast();
    // SAFETY: mapped, and any byte is a state.
    unsafe { &*state }
}

/// How a block of which `slack` bytes, at least 1, were not asked for is noted in its state.
#[inline(always)]
pub(crate) fn live_with(slack: usize) -> u8 {
    u8::try_from(slack + usize::from(LIVE) - 1).unwrap_or(WIDE)
}

/// Whether the last word of a block tells that so many of its bytes were not asked for.
#[inline(always)]
pub(crate) fn is_wide(slack: usize) -> bool {
    slack > usize::from(WIDE - LIVE)
}

/// How many bytes of a live block were not asked for; `None` if it is not live, or if its last word tells.
pub(crate) fn exact_slack_of(state: u8) -> Option<usize> {
    let slack = state.wrapping_sub(LIVE);
    (slack < WIDE - LIVE).then(|| usize::from(slack) + 1)
}

/// How many bytes of a live block were not asked for; `None` if its last word tells.
#[inline(always)]
pub(crate) fn slack_of(state: u8) -> Option<usize> {
    (state != WIDE).then(|| usize::from(state - LIVE) + 1)
}

const _: () = assert!(MEDIUM_MAX.is_multiple_of(STATE_GRANULE));

/// No block of a page that is being opened has been given out.
///
/// # Safety
///
/// The page is the caller's, in a chunk of a security build.
pub(crate) unsafe fn clear(page: &Page) {
    // SAFETY: the slice lies in the chunk.
    let start = unsafe { page.chunk().add(page.slice() * SLICE) };
    // SAFETY: the caller's promise.
    let states = unsafe { state_of(start) };
    let states = NonNull::from(states).cast::<u8>();
    const { assert!(NEVER == 0) };
    // Not atomic: the page is published later, and only misuse looks here before.
    // SAFETY: the states of a page lie one behind the other.
    unsafe { states.write_bytes(NEVER, page.slices() * SLICE / STATE_GRANULE) };
}

/// Whether a link leads to a block of `page` that may be on its free list.
///
/// # Safety
///
/// The page is the caller's, in a chunk of a security build.
#[inline(always)]
pub(crate) unsafe fn is_free_block(page: &Page, link: Link) -> bool {
    let address = core::ptr::with_exposed_provenance_mut(link);
    link & !(CHUNK - 1) == page.chunk().as_ptr().addr()
        && NonNull::new(address).is_some_and(|address| {
            page.begins_block(address)
                // SAFETY: the block lies in the page's chunk.
                && unsafe { state_of(address) }.load(Ordering::Relaxed) <= HOME
        })
}

/// Look at the first `count` blocks of a page's free list, before a batch of so many is taken: each link leads to a free block, and the
/// list ends where it should.
///
/// # Safety
///
/// The page is the caller's, in a chunk of a security build.
pub(crate) unsafe fn inspect(page: &Page, count: usize, kernel: &impl Platform) {
    let (mut link, mut left) = (page.free.get(), page.free_count());
    let mut at = page.start().as_ptr().addr();
    for _ in 0..=count {
        if left == 0 && link == 0 {
            return;
        }
        // SAFETY: the caller's promise.
        if left == 0 || !unsafe { is_free_block(page, link) } {
            fatal(kernel, CORRUPTED_LIST, at);
        }
        at = link;
        // SAFETY: just found to be a free block of the page.
        link = unsafe { Block::at(link) }.next();
        left -= 1;
    }
}

/// A block that was given up arrives at the owner of its page.
///
/// # Safety
///
/// A block of a page begins at `block`, which lies in a chunk of a security build; the caller owns the page.
#[inline(always)]
pub(crate) unsafe fn arrive(block: Block, kernel: &impl Platform) {
    // SAFETY: the caller's promise.
    let state = unsafe { state_of(block.start()) };
    // Relaxed, here and below: the way the block has come has ordered what others did to it.
    if state.load(Ordering::Relaxed) != FREED {
        // Two threads freed it at the same time, and both were let through.
        fatal(kernel, DOUBLE_FREE, block.address());
    }
    state.store(HOME, Ordering::Relaxed);
}

/// What the third word of a block says while the block travels: its link once more, so that nobody changes it who does not know the key.
fn witness(block: Block, key: usize) -> usize {
    block.next() ^ block.address().rotate_left(usize::BITS / 2) ^ key
}

/// The blocks of a batch, first to last, and how many there are.
pub(crate) type Train = (Block, Block, usize);

/// Go over a batch: every link leads to a block of `page`, and the last block is the last.
///
/// # Safety
///
/// The batch is the caller's, in a chunk of a security build.
unsafe fn walk(
    page: &Page,
    (first, last, count): Train,
    kernel: &impl Platform,
    each: impl Fn(Block, usize),
) {
    let mut link = first.address();
    let mut at = link;
    for number in 0..count {
        let address = NonNull::new(core::ptr::with_exposed_provenance_mut::<u8>(link));
        let same_chunk = link & !(CHUNK - 1) == page.chunk().as_ptr().addr();
        let Some(start) = address.filter(|&start| same_chunk && page.begins_block(start)) else {
            fatal(kernel, CORRUPTED_LIST, at);
        };
        // SAFETY: a block of the page begins there.
        let block = unsafe { Block::from_ptr(start) };
        at = link;
        link = block.next();
        each(block, number);
    }
    if at != last.address() || link != 0 {
        fatal(kernel, CORRUPTED_LIST, at);
    }
}

/// Before the blocks of a batch are sent: each has a witness from now on.
///
/// # Safety
///
/// As for [`walk`]; the blocks read zero but for their links if nobody has written to them.
pub(crate) unsafe fn seal(page: &Page, train: Train, key: usize, kernel: &impl Platform) {
    let each = |block: Block, _| {
        if block.second() | block.third() != 0 {
            fatal(kernel, WRITE_AFTER_FREE, block.address());
        }
        block.set_third(witness(block, key));
    };
    // SAFETY: the caller's promise.
    unsafe { walk(page, train, kernel, each) };
}

/// A batch has travelled: nobody has changed a link of it, and what it carries in the blocks beside the links is cleared. If the
/// caller owns the page the blocks have arrived.
///
/// # Safety
///
/// As for [`walk`]; if `is_home`, the caller owns the page.
pub(crate) unsafe fn unseal(
    page: &Page,
    train: Train,
    is_home: bool,
    key: usize,
    kernel: &impl Platform,
) {
    let each = |block: Block, number| {
        // The first two carry what there is to know of the batch.
        if block.third() != witness(block, key) || number >= 2 && block.second() != 0 {
            fatal(kernel, WRITE_AFTER_FREE, block.address());
        }
        if is_home {
            // SAFETY: a block of the page, as has been seen.
            unsafe { arrive(block, kernel) };
        }
        block.set_second(0);
        block.set_third(0);
    };
    // SAFETY: the caller's promise.
    unsafe { walk(page, train, kernel, each) };
}

/// What is at least one byte more than `size`, and as large as any block.
pub(crate) fn with_canary(size: usize) -> usize {
    (size + 1).max(STATE_GRANULE)
}

/// A block of `size` bytes is handed to the allocator itself, which wants `asked` of them.
///
/// # Safety
///
/// The block is the caller's, and reads zero in front of `asked`; `asked < size`.
pub(crate) unsafe fn serve_itself(start: NonNull<u8>, asked: usize, size: usize, key: usize) {
    // SAFETY: the caller's promise.
    let behind = unsafe { start.add(asked) };
    // SAFETY: as above.
    unsafe { behind.write_bytes(0, size - asked) };
    // SAFETY: as above.
    unsafe { note(start, asked, size, key) };
}

/// Note that a block of `size` bytes is live, and that `asked` of them were asked for.
///
/// # Safety
///
/// The block is the caller's, and reads zero behind `asked`; `asked < size`.
pub(crate) unsafe fn note(start: NonNull<u8>, asked: usize, size: usize, key: usize) {
    // SAFETY: the caller's promise.
    unsafe { note_state(start, asked, size, key) };
    // SAFETY: as above.
    unsafe { canary::write(start, asked, size, key) };
}

/// As [`note`], of a short block that reads zero.
///
/// # Safety
///
/// As for [`note`]; `asked` is not so much less than `size` that the last word of the block would have to tell, or the canary be shorter than what
/// lies behind.
#[inline(always)]
pub(crate) unsafe fn note_short(start: NonNull<u8>, asked: usize, size: usize, key: usize) {
    let slack = size - asked;
    // SAFETY: the caller's promise.
    let state = unsafe { state_of(start) };
    state.store(slack as u8 + (LIVE - 1), Ordering::Relaxed);
    // SAFETY: as above.
    unsafe { canary::mark_fresh(start, slack, size, key) };
}

/// How many bytes of a live block were not asked for, if they are all marked.
#[inline(always)]
pub(crate) fn short_slack_of(state: u8) -> Option<usize> {
    let slack = usize::from(state.wrapping_sub(LIVE));
    (slack < canary::WINDOW).then_some(slack + 1)
}

const _: () = assert!(canary::WINDOW <= (WIDE - LIVE) as usize);

/// # Safety
///
/// As for [`note`].
unsafe fn note_state(start: NonNull<u8>, asked: usize, size: usize, key: usize) {
    let state = live_with(size - asked);
    // SAFETY: the caller's promise.
    unsafe { state_of(start) }.store(state, Ordering::Relaxed);
    if state == WIDE {
        // SAFETY: the slack is longer than a canary and a word.
        let word = unsafe { last_word(start, size) };
        // SAFETY: as above.
        unsafe { word.write((size - asked) ^ key) };
    }
}

/// The last word of a block.
///
/// # Safety
///
/// The block has `size` bytes.
pub(crate) unsafe fn last_word(start: NonNull<u8>, size: usize) -> NonNull<usize> {
    // SAFETY: the caller's promise.
    unsafe { start.add(size - size_of::<usize>()) }.cast()
}

/// A block of the allocator's own is given up.
///
/// # Safety
///
/// As for [`serve_itself`].
pub(crate) unsafe fn forget(start: NonNull<u8>, size: usize) {
    // SAFETY: the caller's promise.
    unsafe { start.write_bytes(0, size) };
    // SAFETY: as above.
    unsafe { state_of(start) }.store(FREED, Ordering::Relaxed);
}
