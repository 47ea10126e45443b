//! What is known of a block in the security build, and whether that is so.
//!
//! Whether it is live and how many of its bytes were not asked for stands in its [state](crate::live), the length of a large one in the
//! header of its chunk, that of a huge one in the table of huge blocks.

use core::ptr::NonNull;

use crate::{
    canary,
    chunk::{Chunk, Owner},
    chunk_entry::Run,
    config::{GRANULE, STATE_SLICES},
    fatal::{INTERIOR_POINTER, INVALID_FREE, OVERFLOW, fatal},
    foreign::{is_ours, refuse},
    huge::Entry,
    live::{self, LIVE, NEVER, last_word, state_of},
    page::Page,
    primitive::Ordering,
    process::Instance,
    thread,
};

pub(crate) fn die<I: Instance>(line: &str, at: NonNull<u8>) -> ! {
    fatal(&I::process().memory.kernel, line, at.as_ptr().addr())
}

pub(crate) fn key<I: Instance>() -> usize {
    I::process().memory.key()
}

/// The bytes of a run in front of its guard, if `asked` of them were asked for.
pub(crate) fn run_bytes<I: Instance>(page: &Page, asked: usize) -> usize {
    let memory = &I::process().memory;
    memory.reach(&run_of::<I>(page), asked)
}

/// The run that begins with this page record.
pub(crate) fn run_of<I: Instance>(page: &Page) -> Run {
    let chunks = &I::process().memory.chunks;
    chunks.held(page.chunk(), page.slice(), page.slices())
}

/// Where what is watched behind a large or huge block ends, and how many bytes of it are zeros behind the canary: none where so little
/// is left of the block that all of it is canary.
fn watched(start: NonNull<u8>, asked: usize, size: usize) -> (NonNull<u8>, usize) {
    let slack = size - asked;
    let watched = slack.min(canary::WATCHED);
    let zeros = if slack <= canary::WINDOW {
        0
    } else {
        watched - canary::CANARY
    };
    // SAFETY: it lies in the block.
    let end = unsafe { start.add(asked + watched) };
    (end, zeros)
}

/// Mark the end of a large or huge block.
pub(crate) fn write_canary<I: Instance>(start: NonNull<u8>, asked: usize, size: usize) {
    if asked < size {
        let (end, zeros) = watched(start, asked, size);
        // SAFETY: so many bytes of the block lie in front of its end.
        let from = unsafe { end.sub(zeros) };
        // SAFETY: nobody has asked for them.
        unsafe { from.write_bytes(0, zeros) };
        // SAFETY: the block is ours, and large.
        unsafe { canary::write(start, asked, size, key::<I>()) };
    }
}

/// Look at the mark.
pub(crate) fn check_canary<I: Instance>(start: NonNull<u8>, asked: usize, size: usize) {
    if asked >= size {
        return;
    }
    let (end, zeros) = watched(start, asked, size);
    // SAFETY: a block in use, of so many bytes.
    let is_whole = unsafe { canary::is_whole(start, asked, size, key::<I>()) };
    // SAFETY: as above.
    if !is_whole || !unsafe { canary::is_tail_zero(end, zeros) } {
        die::<I>(OVERFLOW, start);
    }
}

/// A live block.
pub(crate) enum Live<'a> {
    /// Of a page; `offset` bytes behind where the page has it begin, if its alignment is odd.
    Block {
        page: &'a Page,
        is_ours: bool,
        start: NonNull<u8>,
        offset: usize,
    },
    /// A run; `offset` as above.
    Run {
        chunk: &'a Chunk,
        owner: Owner,
        start: NonNull<u8>,
        offset: usize,
    },
    /// A huge block; `offset` as above.
    Huge {
        base: NonNull<u8>,
        entry: &'a Entry,
        offset: usize,
    },
}

fn offset(block: NonNull<u8>, start: NonNull<u8>) -> usize {
    block.as_ptr().addr() - start.as_ptr().addr()
}

/// The live block at `block`; `None` if the pointer is foreign. Ends the process if no live block begins there, with the line `freed` if
/// one did.
pub(crate) fn find<'a, I: Instance>(block: NonNull<u8>, freed: &str) -> Option<Live<'a>> {
    if !is_ours::<I>(block) {
        return find_huge::<I>(block, freed);
    }
    // SAFETY: the chunk is ours; it stays as long as the block is live, and states are there as long as the chunk.
    let chunk = unsafe { Chunk::of(block) };
    let slice = Chunk::slice_of(block);
    let owner = chunk.owner(slice);
    if slice < STATE_SLICES {
        refuse::<I>(block);
    }
    // SAFETY: as above.
    let state = |start: NonNull<u8>| unsafe { state_of(start) }.load(Ordering::Relaxed);
    if owner.has(Owner::UNOWNED) {
        if state(block) != NEVER && block.as_ptr().addr().is_multiple_of(GRANULE) {
            die::<I>(freed, block);
        }
        refuse::<I>(block);
    }
    let head = chunk.head_of(slice, owner);
    let (page, head_owner) = (chunk.page(head), chunk.owner(head));
    let is_odd = head_owner.has(Owner::INTERIOR);
    let start = if owner.has(Owner::RUN) {
        page.start()
    } else if is_odd {
        page.block_start(block)
    } else {
        block
    };
    let begins = if owner.has(Owner::RUN) {
        start == block || is_odd
    } else {
        is_odd || page.begins_block(block)
    };
    if !begins {
        die::<I>(INTERIOR_POINTER, block);
    }
    match state(start) {
        LIVE.. => {}
        NEVER => refuse_fresh::<I>(block),
        _ => die::<I>(freed, block),
    }
    let offset = offset(block, start);
    Some(if owner.has(Owner::RUN) {
        Live::Run {
            chunk,
            owner,
            start,
            offset,
        }
    } else {
        let is_ours = head_owner.heap_address() == thread::heap_address::<I>();
        Live::Block {
            page,
            is_ours,
            start,
            offset,
        }
    })
}

#[cold]
fn find_huge<'a, I: Instance>(block: NonNull<u8>, freed: &str) -> Option<Live<'a>> {
    let memory = &I::process().memory;
    match memory.huge.containing(block) {
        Some((base, entry)) => {
            let begins = entry.odd_start().unwrap_or(base.as_ptr().addr());
            // Who has freed the last part gives the whole back.
            if block.as_ptr().addr() != begins && block != base {
                die::<I>(INTERIOR_POINTER, block);
            }
            let offset = offset(block, base);
            Some(Live::Huge {
                base,
                entry,
                offset,
            })
        }
        None if memory.was_huge(block) => die::<I>(freed, block),
        None => None,
    }
}

/// A block that has never been given out.
#[cold]
fn refuse_fresh<I: Instance>(block: NonNull<u8>) -> ! {
    die::<I>(INVALID_FREE, block)
}

impl Live<'_> {
    /// Where the slot begins, how many bytes of it were asked for, and how many it has. Ends the process if what stands behind the
    /// request has been written to.
    pub(crate) fn measure<I: Instance>(&self) -> (NonNull<u8>, usize, usize) {
        match *self {
            Live::Block { page, start, .. } => {
                let size = page.block_size.get() as usize;
                let asked = asked_of_block::<I>(start, size);
                if !is_end_whole(start, asked, size, key::<I>()) {
                    die::<I>(OVERFLOW, start);
                }
                (start, asked, size)
            }
            Live::Run { chunk, start, .. } => {
                let slice = Chunk::slice_of(start);
                let asked = chunk.cold(slice).asked.load(Ordering::Relaxed);
                let size = run_bytes::<I>(chunk.page(slice), asked);
                check_canary::<I>(start, asked, size);
                (start, asked, size)
            }
            Live::Huge { base, entry, .. } => {
                let (asked, size) = (entry.asked(), entry.usable());
                check_canary::<I>(base, asked, size);
                (base, asked, size)
            }
        }
    }

    /// How far behind the start of the slot the user's block begins.
    pub(crate) fn offset(&self) -> usize {
        match *self {
            Live::Block { offset, .. } | Live::Run { offset, .. } | Live::Huge { offset, .. } => {
                offset
            }
        }
    }
}

/// How many bytes of a live block of a page were asked for.
fn asked_of_block<I: Instance>(start: NonNull<u8>, size: usize) -> usize {
    // SAFETY: the block is live, so its chunk is mapped.
    let state = unsafe { state_of(start) }.load(Ordering::Relaxed);
    let slack = live::slack_of(state.max(LIVE)).unwrap_or_else(|| {
        // SAFETY: a block of `size` bytes.
        let word = unsafe { last_word(start, size) };
        // SAFETY: as above.
        unsafe { word.read() ^ key::<I>() }
    });
    match size.checked_sub(slack) {
        Some(asked) => asked,
        None => die::<I>(OVERFLOW, start),
    }
}

/// Whether what stands behind the `asked` bytes of a block of a page is as it was written: the canary, then zeros, but for the last
/// word where that has a meaning.
fn is_end_whole(start: NonNull<u8>, asked: usize, size: usize, key: usize) -> bool {
    // SAFETY: a block in use, of so many bytes.
    let is_whole = unsafe { canary::is_whole(start, asked, size, key) };
    let slack = size - asked;
    if slack <= canary::WINDOW {
        return is_whole;
    }
    let behind = if live::is_wide(slack) {
        size_of::<usize>()
    } else {
        0
    };
    // SAFETY: it lies in the block.
    let end = unsafe { start.add(size - behind) };
    // SAFETY: as above.
    is_whole && unsafe { canary::is_tail_zero(end, slack - canary::CANARY - behind) }
}

/// The short block that begins at `block` if all is as it should be and nothing about it is special: of a page of this thread's heap, live, with
/// an end that nobody has written to. Where its page is, how many bytes it has, and how many were not asked for.
#[inline(always)]
pub(crate) fn find_short<'a, I: Instance>(
    block: NonNull<u8>,
    key: usize,
) -> Option<(&'a Page, usize, usize)> {
    if !is_ours::<I>(block) {
        return None;
    }
    // SAFETY: the chunk is ours; a misuse may be that it is about to be unmapped.
    let (owner, page) = unsafe { Chunk::locate(block) };
    // Of a thread without a heap the address is 0, which no word is.
    if owner.word() != thread::heap_address::<I>() || !page.begins_block(block) {
        return None;
    }
    let size = page.block_size.get() as usize;
    if size > canary::SHORT {
        return None;
    }
    // SAFETY: as above.
    let state = unsafe { state_of(block) }.load(Ordering::Relaxed);
    let slack = live::short_slack_of(state)?;
    // SAFETY: the block is live.
    unsafe { canary::is_marked(block, slack, size, key) }.then_some((page, size, slack))
}

/// As [`find_short`], of any length and of any heap. With the page, how many bytes were asked for, and whether the page is of this thread's
/// heap.
pub(crate) fn find_plain<'a, I: Instance>(
    block: NonNull<u8>,
    key: usize,
) -> Option<(&'a Page, usize, bool)> {
    if !is_ours::<I>(block) {
        return None;
    }
    // SAFETY: as in `find_short`.
    let chunk = unsafe { Chunk::of(block) };
    let slice = Chunk::slice_of(block);
    let owner = chunk.owner(slice);
    if owner.has(Owner::UNOWNED | Owner::RUN) {
        return None;
    }
    let head = chunk.head_of(slice, owner);
    let (page, owner) = (chunk.page(head), chunk.owner(head));
    if owner.has(Owner::INTERIOR | Owner::UNOWNED | Owner::RUN) || !page.begins_block(block) {
        return None;
    }
    // SAFETY: as above.
    let state = unsafe { state_of(block) }.load(Ordering::Relaxed);
    let slack = live::exact_slack_of(state)?;
    let size = page.block_size.get() as usize;
    let asked = size.checked_sub(slack)?;
    let is_ours = owner.heap_address() == thread::heap_address::<I>();
    is_end_whole(block, asked, size, key).then_some((page, asked, is_ours))
}

/// How far a block of a page must be cleared, of which `asked` bytes were asked for, so that it reads zero: but for its last word
/// where that has a meaning.
pub(crate) fn dirty_bytes(asked: usize, size: usize) -> usize {
    if size - asked <= canary::WINDOW {
        size
    } else {
        asked + canary::CANARY
    }
}

/// Make a block of a page read zero from `from` on, the canary behind the `asked` bytes included.
///
/// Pre: `from <= asked < size`; the bytes from `from` on are given up.
pub(crate) fn clear(start: NonNull<u8>, from: usize, asked: usize, size: usize) {
    let to = dirty_bytes(asked, size);
    // SAFETY: the bytes lie in the block.
    let first = unsafe { start.add(from) };
    // SAFETY: as above.
    unsafe { first.write_bytes(0, to - from) };
    if to < size {
        // What lies between reads zero, but for the last word where that has a meaning.
        // SAFETY: as above.
        let word = unsafe { last_word(start, size) };
        // SAFETY: as above.
        unsafe { word.write(0) };
    }
}

/// Clear what a large block gives up that becomes `new` bytes long, and the canary behind its `old` bytes, up to `end`.
pub(crate) fn forget_behind(start: NonNull<u8>, new: usize, old: usize, end: usize) {
    let from = new.min(old);
    let to = end.min(old + canary::CANARY);
    if from < to {
        // SAFETY: the bytes lie in the block.
        let behind = unsafe { start.add(from) };
        // SAFETY: they are given up, or were never given out.
        unsafe { behind.write_bytes(0, to - from) };
    }
}
