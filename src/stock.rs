//! The stock of a heap, in the security build: free blocks of each class that the thread has at hand. A block that is freed goes into the
//! stock, and what is asked for is drawn from it by lot, so the stock is a quarantine as well. It stands in the slab, behind the heap
//! records, and nothing in the blocks leads to it.
//!
//! Equation: the first `counts[class]` places of a class are the addresses of blocks that are FREED (see [`live`](crate::live)), count as used
//! in their pages, and read zero.

use core::ptr::NonNull;

use crate::{
    block::Block,
    config::{EXTENSION, HEAP_SIZE, MEDIUM_MAX, SLICE, STOCK_SIZE},
    heap::Heap,
    primitive::Cell,
    size_class::{CLASSES, SizeClass},
};

/// Most blocks of a small class: so many bytes of them, but not fewer than `SMALL_MIN`, and not more than `SMALL_MOST`.
const SMALL_BYTES: usize = EXTENSION;
const SMALL_MIN: usize = 8;
const SMALL_MOST: usize = 32;

/// The same of a medium class.
const MEDIUM_BYTES: usize = MEDIUM_MAX;
const MEDIUM_MIN: usize = 5;
const MEDIUM_MOST: usize = 6;

/// One block in so many stays when others are handed out, but not fewer than `RESERVE_MIN`, so that there is always a choice.
const RESERVE: usize = 4;
const RESERVE_MIN: usize = 3;

/// What there is to know of a class, in one place.
#[derive(Clone, Copy)]
struct Lot {
    /// Bytes of a block.
    size: u32,
    /// Where its places begin.
    first: u16,
    /// How many there are.
    capacity: u8,
    /// Blocks that stay when others are handed out.
    reserve: u8,
}

const LOTS: [Lot; CLASSES] = {
    let mut lots = [Lot {
        size: 0,
        first: 0,
        capacity: 0,
        reserve: 0,
    }; CLASSES];
    let (mut class, mut first) = (0, 0);
    while class < CLASSES {
        let known = SizeClass::from_const(class);
        let (bytes, min, most) = if known.is_small() {
            (SMALL_BYTES, SMALL_MIN, SMALL_MOST)
        } else {
            (MEDIUM_BYTES, MEDIUM_MIN, MEDIUM_MOST)
        };
        let mut capacity = bytes / known.size();
        if capacity < min {
            capacity = min;
        } else if capacity > most {
            capacity = most;
        }
        lots[class] = Lot {
            size: known.size() as u32,
            first,
            capacity: capacity as u8,
            reserve: if capacity / RESERVE > RESERVE_MIN {
                capacity / RESERVE
            } else {
                RESERVE_MIN
            } as u8,
        };
        first += capacity as u16;
        class += 1;
    }
    lots
};

/// Places of all classes.
const PLACES: usize = LOTS[CLASSES - 1].first as usize + LOTS[CLASSES - 1].capacity as usize;

/// See the [module](self). All zero is an empty stock.
#[repr(C)]
pub(crate) struct Stock {
    counts: [Cell<u8>; CLASSES],
    /// The key of the process; 0 until the stock has been made ready.
    key: Cell<usize>,
    /// The state of the lot.
    random: Cell<u64>,
    places: [Cell<usize>; PLACES],
}

const _: () = assert!(size_of::<Stock>() <= STOCK_SIZE);

impl Stock {
    /// Where the stock of a heap is.
    pub(crate) fn address(heap: &Heap) -> usize {
        let (slab, offset) = (heap.address() & !(SLICE - 1), heap.address() % SLICE);
        slab + SLICE + offset / HEAP_SIZE * STOCK_SIZE
    }

    /// The stock at `address`, which is 0 if there is none.
    ///
    /// # Safety
    ///
    /// What is not 0 is the address of the stock of a heap in a security build, which the thread owns.
    #[inline(always)]
    pub(crate) unsafe fn at<'a>(address: usize) -> Option<&'a Self> {
        let stock: *const Self = core::ptr::with_exposed_provenance(address);
        // SAFETY: slabs stay, and any words are a stock.
        unsafe { stock.as_ref() }
    }

    /// Make a stock ready that may have been used before. `key` is odd.
    pub(crate) fn prepare(&self, key: usize, seed: impl FnOnce() -> usize) {
        if self.key.get() == 0 {
            self.random.set(seed() as u64);
            self.key.set(key);
        }
    }

    /// The key of the process.
    #[inline(always)]
    pub(crate) fn key(&self) -> usize {
        self.key.get()
    }

    #[inline(always)]
    fn lot(class: SizeClass) -> &'static Lot {
        // SAFETY: a class is one of so many.
        unsafe { LOTS.get_unchecked(class.index()) }
    }

    #[inline(always)]
    fn counter(&self, class: SizeClass) -> &Cell<u8> {
        // SAFETY: as above.
        unsafe { self.counts.get_unchecked(class.index()) }
    }

    /// Blocks of a class.
    #[inline(always)]
    pub(crate) fn count(&self, class: SizeClass) -> usize {
        usize::from(self.counter(class).get())
    }

    /// Most blocks of a class.
    pub(crate) fn capacity(class: SizeClass) -> usize {
        usize::from(Self::lot(class).capacity)
    }

    /// Blocks of a class that stay when others are handed out.
    pub(crate) fn reserve(class: SizeClass) -> usize {
        usize::from(Self::lot(class).reserve)
    }

    /// Pre: `number` is below the capacity of the class.
    #[inline(always)]
    fn place(&self, lot: &Lot, number: usize) -> &Cell<usize> {
        debug_assert!(number < usize::from(lot.capacity));
        // SAFETY: the places of a lot are places.
        unsafe { self.places.get_unchecked(usize::from(lot.first) + number) }
    }

    /// A number below `below` that nobody can foresee who knows neither the seed nor the key.
    #[inline(always)]
    fn draw(&self, below: usize) -> usize {
        // A step of a linear congruence whose increment, an odd number, is secret; its upper bits are used.
        let next = self
            .random
            .get()
            .wrapping_mul(0x5851_F42D_4C95_7F2D)
            .wrapping_add(self.key() as u64);
        self.random.set(next);
        (((next >> 32) * below as u64) >> 32) as usize
    }

    /// One block of `class` out of all that there are, with its size, unless there are too few to draw from.
    #[inline(always)]
    pub(crate) fn pick(&self, class: SizeClass) -> Option<(Block, usize)> {
        self.pick_above(class, Self::lot(class).reserve)
    }

    /// As [`pick`](Self::pick), however few there are.
    pub(crate) fn pick_any(&self, class: SizeClass) -> Option<(Block, usize)> {
        self.pick_above(class, 0)
    }

    #[inline(always)]
    fn pick_above(&self, class: SizeClass, reserve: u8) -> Option<(Block, usize)> {
        let (lot, count) = (Self::lot(class), self.counter(class).get());
        if count <= reserve {
            return None;
        }
        let last = usize::from(count - 1);
        let place = self.place(lot, self.draw(usize::from(count)));
        let address = place.replace(self.place(lot, last).get());
        self.counter(class).set(count - 1);
        // SAFETY: what the equation says.
        Some((unsafe { Block::at(address) }, lot.size as usize))
    }

    /// Add a block. False if there is no place.
    #[inline(always)]
    pub(crate) fn put(&self, class: SizeClass, block: Block) -> bool {
        let (lot, count) = (Self::lot(class), self.counter(class).get());
        let fits = count < lot.capacity;
        if fits {
            self.place(lot, usize::from(count)).set(block.address());
            self.counter(class).set(count + 1);
        }
        fits
    }

    /// Take the `number` blocks out that have been there longest, as far as draws have left them in order.
    ///
    /// Pre: there are so many.
    pub(crate) fn take_oldest(&self, class: SizeClass, number: usize, each: impl Fn(Block)) {
        let (lot, count) = (Self::lot(class), self.count(class));
        for place in 0..number {
            // SAFETY: what the equation says.
            each(unsafe { Block::at(self.place(lot, place).get()) });
        }
        for place in number..count {
            let moved = self.place(lot, place).get();
            self.place(lot, place - number).set(moved);
        }
        self.counter(class).set((count - number) as u8);
    }

    /// All blocks.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = NonNull<u8>> {
        SizeClass::all().flat_map(move |class| {
            (0..self.count(class)).map(move |number| {
                // SAFETY: what the equation says.
                unsafe { Block::at(self.place(Self::lot(class), number).get()) }.start()
            })
        })
    }
}
