//! The ring: where a thread collects what it frees of other heaps, per page, until a batch is worth delivering.

use crate::{
    block::Block,
    chunk::Chunk,
    config::{CHUNK, RING_SETS, RING_WAYS},
    free_list::{self, Link},
    page::Page,
    primitive::Cell,
    remote::{Batch, at_place, place_of},
};

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
    use crate::config::SLICES;
    use crate::remote::tests::addresses;
    use core::ptr::NonNull;
    use std::alloc::{Layout, alloc_zeroed, dealloc};

    /// Bytes of each block.
    const SIZE: usize = 32;

    /// A chunk in which all pages have blocks of [`SIZE`] bytes, and an empty ring.
    struct Room(NonNull<u8>, Ring);

    impl Room {
        const LAYOUT: Layout = match Layout::from_size_align(CHUNK, CHUNK) {
            Ok(layout) => layout,
            Err(_) => panic!("a chunk is as large as it is aligned"),
        };

        fn new() -> Self {
            // SAFETY: the size is not 0.
            let base = NonNull::new(unsafe { alloc_zeroed(Self::LAYOUT) });
            // SAFETY: all zero is the empty ring.
            let room = Self(base.expect("there is memory"), unsafe {
                core::mem::zeroed()
            });
            room.0.as_ptr().expose_provenance();
            room.pages()
                .for_each(|page| page.block_size.set(SIZE as u32));
            room
        }

        fn pages(&self) -> impl Iterator<Item = &Page> {
            // SAFETY: all zero is a chunk without owners, and ours for as long as the room.
            let chunk: &Chunk = unsafe { Chunk::of(self.0) };
            (0..SLICES).map(|slice| chunk.page(slice))
        }

        /// Blocks in the middle of the chunk: a slot does not ask which page they are of.
        fn blocks(&self) -> [Block; 16] {
            core::array::from_fn(|number| {
                // SAFETY: within the chunk.
                let start = unsafe { self.0.add(CHUNK / 2 + number * SIZE) };
                // SAFETY: they are ours, and this test's.
                unsafe { Block::from_ptr(start) }
            })
        }
    }

    impl Drop for Room {
        fn drop(&mut self) {
            // SAFETY: as it was allocated.
            unsafe { dealloc(self.0.as_ptr(), Self::LAYOUT) };
        }
    }

    #[test]
    fn pages_side_by_side_are_in_different_sets() {
        let room = Room::new();
        let pages: Vec<_> = room.pages().collect();
        for eight in pages.chunks(RING_SETS) {
            let sets = eight
                .iter()
                .fold(0, |sets, page| sets | 1 << Ring::set_of(page));
            assert_eq!(sets, (1 << RING_SETS) - 1);
        }
    }

    #[test]
    fn a_ring_makes_room_with_the_longer_batch_and_knows_what_is_left() {
        let room = Room::new();
        let (blocks, ring) = (room.blocks(), &room.1);
        let pages: Vec<&Page> = room.pages().collect();
        let same = |page: &&Page| Ring::set_of(page) == Ring::set_of(pages[0]);
        let same: Vec<&Page> = room.pages().filter(same).collect();
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
        let bytes = 2 * SIZE;
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
