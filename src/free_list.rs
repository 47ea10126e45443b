//! Lists of free blocks of one page or class, linked through their first words and ended by 0.

use crate::block::Block;

/// The address of the first block of a list, or 0.
pub(crate) type Link = usize;

/// Cut the first `count` blocks off a list. Returns what remains.
///
/// # Safety
///
/// `first` begins a list of more than `count` blocks in the caller's hands; `count > 0`.
pub(crate) unsafe fn cut(first: Block, count: usize) -> Link {
    let mut last = first;
    for _ in 1..count {
        // SAFETY: the list has more than `count` blocks, so each of these links is a block of it.
        last = unsafe { Block::at(last.next()) };
    }
    let rest = last.next();
    last.set_next(0);
    rest
}

/// Link `count` blocks of `size` bytes, one after the other in memory, into a list.
///
/// # Safety
///
/// The memory from `first` on belongs to the caller, `count * size` bytes; `count > 0`.
pub(crate) unsafe fn lay(first: Block, size: usize, count: usize) {
    let mut block = first;
    for _ in 1..count {
        let next = block.address() + size;
        block.set_next(next);
        // SAFETY: `next` lies within the memory that the caller owns, and is not 0.
        block = unsafe { Block::at(next) };
    }
    block.set_next(0);
}

/// The blocks of a list, first to last. The next link is read before a block is yielded.
///
/// # Safety
///
/// `first` is 0 or begins a list in the caller's hands.
pub(crate) unsafe fn drain(first: Link) -> impl Iterator<Item = Block> {
    let mut link = first;
    core::iter::from_fn(move || {
        // SAFETY: the caller vouches for every link of the list.
        let block = unsafe { Block::from_link(link) }?;
        link = block.next();
        Some(block)
    })
}
