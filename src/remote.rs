//! Frees of blocks that belong to another heap: collected per page in the freeing thread's [ring](crate::ring), delivered in batches
//! to the owner's inbox (after BatchIt, ISMM 2024).
//!
//! No atomic operation per free; one exchange per batch. A block in a ring or an inbox still counts as used in its
//! page, so the page cannot go away under it.

use crate::{
    block::Block,
    config::{CHUNK, GRANULE},
    free_list::{self, Link},
    live::Train,
    page::Page,
    primitive::{AtomicUsize, Ordering},
};

/// Places in a chunk at which blocks may begin.
const PLACES: usize = CHUNK / GRANULE;

/// Where a block lies in its chunk.
pub(crate) fn place_of(block: Block) -> usize {
    block.address() / GRANULE % PLACES
}

/// The block at a place in the chunk of another.
///
/// # Safety
///
/// A block in the allocator's hands lies there.
pub(crate) unsafe fn at_place(other: Block, place: usize) -> Block {
    let chunk = other.address() & !(CHUNK - 1);
    // SAFETY: the caller's promise.
    unsafe { Block::at(chunk + place * GRANULE) }
}

/// Blocks of one page, linked from `first` to `last`, on their way home.
///
/// Equation: `count` blocks; `first == last` exactly when `count == 1`.
#[derive(Clone, Copy)]
pub(crate) struct Batch {
    pub(crate) first: Block,
    pub(crate) last: Block,
    pub(crate) count: usize,
}

/// In the link between batches: the batch is a single block. Blocks are aligned, so the bit is free.
const SINGLE: usize = 1;

impl Batch {
    /// A batch of one.
    pub(crate) fn single(block: Block) -> Self {
        block.set_next(0);
        Self {
            first: block,
            last: block,
            count: 1,
        }
    }

    /// The parts, as the security build looks at them.
    pub(crate) fn train(&self) -> Train {
        (self.first, self.last, self.count)
    }

    /// Write down in the blocks themselves what the owner must know: the second word of the first block leads to the
    /// next batch, that of the second block tells where the last block lies and how many there are.
    fn seal(&self, next_batch: usize) {
        if self.count == 1 {
            self.first.set_second(next_batch | SINGLE);
        } else {
            self.first.set_second(next_batch);
        }
    }

    fn seal_extent(&self) {
        if self.count > 1 {
            let last = place_of(self.last);
            // SAFETY: a batch of more than one block has a second.
            let second = unsafe { Block::at(self.first.next()) };
            second.set_second(self.count * PLACES + last);
        }
    }

    /// Check the equation, and that all blocks are blocks of `page`. For the owner of the page.
    pub(crate) fn check(&self, page: &Page) {
        // SAFETY: the batch is in the caller's hands.
        let blocks = unsafe { free_list::drain(self.first.address()) };
        let (count, last) = blocks.fold((0, None), |(count, _), block| {
            assert!(page.holds(block), "a batch has blocks of one page");
            (count + 1, Some(block))
        });
        assert!(
            count == self.count && last == Some(self.last),
            "a batch has as many blocks as it says, and ends with its last"
        );
    }

    /// Read back what `seal` wrote. Returns the batch, and the word that leads to the next.
    ///
    /// # Safety
    ///
    /// `first` begins a sealed batch in the caller's hands.
    unsafe fn unseal(first: Block) -> (Self, usize) {
        let next = first.second();
        if next & SINGLE != 0 {
            return (
                Self {
                    first,
                    last: first,
                    count: 1,
                },
                next & !SINGLE,
            );
        }
        // SAFETY: the batch is not single, so it has a second block.
        let second = unsafe { Block::at(first.next()) };
        let extent = second.second();
        // SAFETY: `seal_extent` wrote the place of the last block, which lies in the same chunk.
        let last = unsafe { at_place(first, extent % PLACES) };
        (
            Self {
                first,
                last,
                count: extent / PLACES,
            },
            next,
        )
    }
}

/// Where batches for a heap arrive: a stack that many push to and one empties.
#[repr(align(128))]
pub(crate) struct Inbox {
    /// The address of the first block of the newest batch, or 0.
    newest: AtomicUsize,
    /// The same, of batches that have been taken out and not yet home. Written by the owner only.
    aside: AtomicUsize,
}

impl Inbox {
    /// Deliver a batch. Any thread.
    pub(crate) fn push(&self, batch: Batch) {
        batch.seal_extent();
        let mut newest = self.newest.load(Ordering::Relaxed);
        loop {
            batch.seal(newest);
            // Release: pairs with the Acquire in `take_all`; makes the words in the blocks, and everything the program did to
            // them, visible to the owner. A batch below in the stack was pushed by a Release too, and the exchanges form one
            // release sequence.
            match self.newest.compare_exchange_weak(
                newest,
                batch.first.address(),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => newest = now,
            }
        }
    }

    /// Whether nothing has arrived. A hint, unless a fence orders it.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.newest.load(Ordering::Relaxed) == 0 && self.aside.load(Ordering::Relaxed) == 0
    }

    /// Take what has arrived out, and touch nothing but what has arrived: a fork in a signal handler may have interrupted
    /// the owner anywhere in a hit path, where pages must not change, and what is still here then is lost to the child.
    ///
    /// Pre: the owner is not in [`take_all`](Self::take_all).
    pub(crate) fn set_aside(&self) {
        let mut aside = self.aside.load(Ordering::Relaxed);
        // Acquire: pairs with the Release in `push`.
        // SAFETY: the stack held addresses of first blocks of sealed batches, now in our hands.
        for batch in unsafe { batches(self.newest.swap(0, Ordering::Acquire)) } {
            batch.seal(aside);
            aside = batch.first.address();
        }
        self.aside.store(aside, Ordering::Relaxed);
    }

    /// Take everything that has arrived. Only the owner, or the holder of an orphan.
    pub(crate) fn take_all(&self) -> impl Iterator<Item = Batch> {
        // Acquire: pairs with the Release in `push`. Nothing of ours is published, so no Release.
        let newest: Link = self.newest.swap(0, Ordering::Acquire);
        let aside: Link = self.aside.load(Ordering::Relaxed);
        self.aside.store(0, Ordering::Relaxed);
        // SAFETY: the stack held addresses of first blocks of sealed batches, now in our hands.
        let newest = unsafe { batches(newest) };
        // SAFETY: as above.
        newest.chain(unsafe { batches(aside) })
    }

    /// Walk over what has arrived, without taking it, and check that each batch reads back whole. Returns how many blocks
    /// there are. Nobody delivers meanwhile.
    pub(crate) fn check(&self) -> usize {
        [&self.newest, &self.aside]
            .into_iter()
            // SAFETY: the stacks hold addresses of first blocks of sealed batches; the caller sees to it that they stay.
            .flat_map(|stack| unsafe { batches(stack.load(Ordering::Acquire)) })
            .map(|batch| {
                // SAFETY: as above.
                let blocks = unsafe { free_list::drain(batch.first.address()) };
                assert!(
                    blocks.last() == Some(batch.last),
                    "a batch ends with its last"
                );
                batch.count
            })
            .sum()
    }

    /// Hand the address of every block that has arrived to `visit`. Nobody delivers or takes meanwhile.
    pub(crate) fn blocks(&self, mut visit: impl FnMut(usize)) {
        for stack in [&self.newest, &self.aside] {
            // SAFETY: the stacks hold addresses of first blocks of sealed batches; the caller sees to it that they stay.
            for batch in unsafe { batches(stack.load(Ordering::Acquire)) } {
                // SAFETY: as above.
                let blocks = unsafe { free_list::drain(batch.first.address()) };
                blocks.for_each(|block| visit(block.address()));
            }
        }
    }

    /// Forget what has arrived: after a fork the blocks may be older than the link to them.
    pub(crate) fn discard(&self) {
        self.newest.store(0, Ordering::Relaxed);
    }
}

/// The batches of a stack, newest first.
///
/// # Safety
///
/// `link` is 0 or the address of the first block of a sealed batch, which leads to others, all in the caller's hands.
unsafe fn batches(link: Link) -> impl Iterator<Item = Batch> {
    let mut link = link;
    core::iter::from_fn(move || {
        // SAFETY: the caller's promise.
        let first = unsafe { Block::from_link(link) }?;
        // SAFETY: as above.
        let (batch, next) = unsafe { Batch::unseal(first) };
        link = next;
        Some(batch)
    })
}

#[cfg(all(test, not(loom)))]
pub(crate) mod tests {
    use super::*;
    use core::ptr::NonNull;

    /// Room for a few blocks, in one chunk as those of a page are.
    #[repr(align(1024))]
    struct Room([[usize; 4]; 16]);

    impl Room {
        fn blocks(&mut self) -> [Block; 16] {
            // SAFETY: they are ours, and this test's.
            self.0
                .each_mut()
                .map(|block| unsafe { Block::from_ptr(NonNull::from(block).cast()) })
        }
    }

    fn batch(blocks: &[Block]) -> Batch {
        for pair in blocks.windows(2) {
            pair[0].set_next(pair[1].address());
        }
        let (first, last) = (blocks[0], blocks[blocks.len() - 1]);
        last.set_next(0);
        let count = blocks.len();
        Batch { first, last, count }
    }

    fn empty_inbox() -> Inbox {
        Inbox {
            newest: AtomicUsize::new(0),
            aside: AtomicUsize::new(0),
        }
    }

    /// The addresses in each batch, of which the ends are checked.
    pub(crate) fn addresses(batches: impl Iterator<Item = Batch>) -> Vec<Vec<usize>> {
        let of = |batch: Batch| {
            // SAFETY: the batch is ours.
            let blocks = unsafe { free_list::drain(batch.first.address()) };
            let all: Vec<usize> = blocks.map(Block::address).collect();
            assert_eq!(all.len(), batch.count);
            assert_eq!(all.last(), Some(&batch.last.address()));
            all
        };
        batches.map(of).collect()
    }

    #[test]
    fn batches_leave_an_inbox_as_they_came() {
        let mut room = Room([[0; 4]; 16]);
        let blocks = room.blocks();
        let inbox = empty_inbox();
        assert!(inbox.is_empty() && inbox.check() == 0);
        let sizes = [0..1, 1..3, 3..4, 4..9, 9..16];
        let parts = sizes.map(|part| &blocks[part]);
        let mut expected: Vec<Vec<usize>> = Vec::new();
        for part in parts {
            inbox.push(batch(part));
            expected.insert(0, part.iter().map(|block| block.address()).collect());
        }
        assert!(!inbox.is_empty() && inbox.check() == 16);
        let mut seen = Vec::new();
        inbox.blocks(|block| seen.push(block));
        assert_eq!(seen, expected.concat());
        assert_eq!(addresses(inbox.take_all()), expected);
        assert!(inbox.is_empty());
    }

    #[test]
    fn what_was_set_aside_before_a_fork_stays_and_what_came_later_is_forgotten() {
        let mut room = Room([[0; 4]; 16]);
        let blocks = room.blocks();
        let inbox = empty_inbox();
        inbox.push(batch(&blocks[0..2]));
        inbox.set_aside();
        inbox.push(batch(&blocks[2..3]));
        inbox.push(batch(&blocks[3..6]));
        inbox.set_aside();
        inbox.push(batch(&blocks[6..9]));
        assert_eq!(inbox.check(), 9);
        inbox.discard();
        assert!(!inbox.is_empty() && inbox.check() == 6);
        let mut left = addresses(inbox.take_all()).concat();
        left.sort_unstable();
        let expected: Vec<_> = blocks[..6].iter().map(|block| block.address()).collect();
        assert_eq!(left, expected);
        assert!(inbox.is_empty());
    }
}
