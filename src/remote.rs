//! Frees of blocks that belong to another heap: collected per page in the freeing thread's ring, delivered in batches
//! to the owner's inbox (after BatchIt, ISMM 2024).
//!
//! No atomic operation per free; one exchange per batch. A block in a ring or an inbox still counts as used in its
//! page, so the page cannot go away under it.

use crate::{
    block::Block,
    chunk::Chunk,
    config::{CHUNK, GRANULE, RING_SETS, RING_WAYS},
    free_list::{self, Link},
    live::Train,
    page::Page,
    primitive::{AtomicUsize, Cell, Ordering},
};

/// Places in a chunk at which blocks may begin.
const PLACES: usize = CHUNK / GRANULE;

/// Where a block lies in its chunk.
fn place_of(block: Block) -> usize {
    block.address() / GRANULE % PLACES
}

/// The block at a place in the chunk of another.
///
/// # Safety
///
/// A block in the allocator's hands lies there.
unsafe fn at_place(other: Block, place: usize) -> Block {
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

/// A batch in the making. Its page is that at `slice` of the chunk in which its blocks lie.
///
/// Equation: there are blocks exactly when `first` is not 0, and when `count` is not.
struct Slot {
    first: Cell<Link>,
    /// The place of the last block.
    last: Cell<u32>,
    /// A page has no more blocks than this can count.
    count: Cell<u16>,
    slice: Cell<u8>,
}

impl Slot {
    /// Whether there are blocks of `page`.
    #[inline]
    fn is_of(&self, page: &Page) -> bool {
        let apart = self.first.get() ^ core::ptr::from_ref(page).addr();
        apart < CHUNK && usize::from(self.slice.get()) == page.slice()
    }

    /// The page that there are blocks of.
    fn page(&self) -> Option<&Page> {
        // SAFETY: a slot with blocks holds the ends of a list in our hands; one without holds 0.
        let first = unsafe { Block::from_link(self.first.get()) }?;
        // SAFETY: a block in our hands counts as used, so its chunk is mapped.
        let chunk = unsafe { Chunk::of(first.start()) };
        Some(chunk.page(self.slice.get().into()))
    }

    fn count(&self) -> u32 {
        self.count.get().into()
    }

    /// Bytes of the blocks.
    fn bytes(&self) -> u32 {
        // Constant while blocks of the page are used.
        let size = self.page().map_or(0, |page| page.block_size.get());
        self.count() * size
    }

    /// Take the batch out.
    fn empty(&self) -> Option<Batch> {
        let count = self.count.replace(0).into();
        // SAFETY: as in `page`.
        let first = unsafe { Block::from_link(self.first.replace(0)) }?;
        // SAFETY: the last block is in our hands as well.
        let last = unsafe { at_place(first, self.last.get() as usize) };
        Some(Batch { first, last, count })
    }

    fn open(&self, page: &Page, block: Block) {
        block.set_next(0);
        self.slice.set(page.slice() as u8);
        self.first.set(block.address());
        self.last.set(place_of(block) as u32);
        self.count.set(1);
    }

    fn add(&self, block: Block) {
        block.set_next(self.first.get());
        self.first.set(block.address());
        self.count.set(self.count.get() + 1);
    }
}

/// The batches that a thread is collecting, found by page. All zero is the empty ring.
///
/// Equation: `blocks` and `bytes` are the sums over the slots.
pub(crate) struct Ring {
    slots: [[Slot; RING_WAYS]; RING_SETS],
    blocks: Cell<u32>,
    bytes: Cell<u32>,
}

impl Ring {
    /// Add a block of `page`. Returns a batch that had to make room.
    #[inline]
    pub(crate) fn add(&self, page: &Page, block: Block) -> Option<Batch> {
        self.blocks.set(self.blocks.get() + 1);
        self.bytes.set(self.bytes.get() + page.block_size.get());
        let set = &self.slots[Self::set_of(page)];
        for slot in set {
            if slot.is_of(page) {
                slot.add(block);
                return None;
            }
        }
        // A free way, else the one with the longer batch: it has saved the most already.
        let slot = set.iter().max_by_key(|slot| match slot.count() {
            0 => u32::MAX,
            count => count,
        })?;
        self.bytes.set(self.bytes.get() - slot.bytes());
        self.blocks.set(self.blocks.get() - slot.count());
        let evicted = slot.empty();
        slot.open(page, block);
        if cfg!(debug_assertions) {
            self.check();
        }
        evicted
    }

    /// Pages that are neighbours in memory fall into different sets.
    fn set_of(page: &Page) -> usize {
        let record = core::ptr::from_ref(page).addr() / size_of::<Page>();
        (record ^ record >> 16) % RING_SETS
    }

    /// Whether more is held back than a ring may.
    #[inline]
    pub(crate) fn is_over(&self, blocks: usize, bytes: usize) -> bool {
        self.blocks.get() as usize > blocks || self.bytes.get() as usize > bytes
    }

    /// Check the equation: `blocks` and `bytes` are what is in the slots; a slot has a page exactly when it has blocks.
    /// Returns how many blocks there are.
    pub(crate) fn check(&self) -> usize {
        let (mut blocks, mut bytes) = (0, 0);
        for slot in self.slots.iter().flatten() {
            assert!(slot.page().is_some() == (slot.count() != 0));
            blocks += slot.count();
            bytes += slot.bytes();
        }
        assert!(
            self.blocks.get() == blocks && self.bytes.get() == bytes,
            "the ring knows what it holds"
        );
        blocks as usize
    }

    /// Hand the address of every block in it to `visit`. Its thread stands still.
    pub(crate) fn blocks(&self, mut visit: impl FnMut(usize)) {
        for slot in self
            .slots
            .iter()
            .flatten()
            .filter(|slot| slot.count.get() != 0)
        {
            // SAFETY: the slot's list is in the ring's hands.
            let blocks = unsafe { free_list::drain(slot.first.get()) };
            blocks.for_each(|block| visit(block.address()));
        }
    }

    /// Take all batches out.
    pub(crate) fn flush(&self) -> impl Iterator<Item = Batch> {
        self.blocks.set(0);
        self.bytes.set(0);
        self.slots.iter().flatten().filter_map(Slot::empty)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Room for a few blocks, in one chunk as those of a page are.
    #[repr(align(1024))]
    struct Room([[usize; 4]; 16]);

    impl Room {
        const SIZE: u32 = size_of::<[usize; 4]>() as u32;

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
    fn addresses(batches: impl Iterator<Item = Batch>) -> Vec<Vec<usize>> {
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

    /// Pages that nothing is on, and an empty ring.
    fn pages_and_ring() -> ([Page; 64], Ring) {
        // SAFETY: all zero is a record that no page has.
        let pages: [Page; 64] = unsafe { core::mem::zeroed() };
        pages
            .iter()
            .for_each(|page| page.block_size.set(Room::SIZE));
        // SAFETY: all zero is the empty ring.
        (pages, unsafe { core::mem::zeroed() })
    }

    #[test]
    fn pages_side_by_side_are_in_different_sets() {
        let (pages, _) = pages_and_ring();
        for eight in pages.chunks(RING_SETS) {
            let sets = eight
                .iter()
                .fold(0, |sets, page| sets | 1 << Ring::set_of(page));
            assert_eq!(sets, (1 << RING_SETS) - 1);
        }
    }

    #[test]
    fn a_ring_makes_room_with_the_longer_batch_and_knows_what_is_left() {
        let mut room = Room([[0; 4]; 16]);
        let blocks = room.blocks();
        let (pages, ring) = pages_and_ring();
        let same = |page: &&Page| Ring::set_of(page) == Ring::set_of(&pages[0]);
        let same: Vec<&Page> = pages.iter().filter(same).collect();
        for (page, part) in [(0, 0..3), (1, 3..4), (0, 4..5)] {
            for &block in &blocks[part] {
                assert!(ring.add(same[page], block).is_none());
            }
        }
        assert_eq!(ring.check(), 5);
        let evicted = ring.add(same[2], blocks[5]);
        let long = [4, 2, 1, 0].map(|index| blocks[index].address());
        assert_eq!(addresses(evicted.into_iter()), [long]);
        assert_eq!(ring.check(), 2);
        let bytes = 2 * Room::SIZE as usize;
        assert!(!ring.is_over(2, bytes) && ring.is_over(1, bytes) && ring.is_over(2, bytes - 1));
        let mut seen = Vec::new();
        ring.blocks(|block| seen.push(block));
        seen.sort_unstable();
        let left = [blocks[3].address(), blocks[5].address()];
        assert_eq!(seen, left);
        let mut flushed = addresses(ring.flush()).concat();
        flushed.sort_unstable();
        assert_eq!(flushed, left);
        assert_eq!(ring.check(), 0);
    }
}
