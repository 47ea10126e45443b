//! Which block size serves a request.
//!
//! Small classes step by 16 to 256, then 8 per doubling to 1 KiB; medium classes 8 per doubling to 8 KiB and 4 to
//! [`MEDIUM_MAX`]. Internal waste is about 5 % for requests up to 8 KiB and 10 % above.
//!
//! Equation: `size(of(n)) >= n`, and no smaller class does.

use crate::config::{
    FIRST_BLOCK_OFFSET, GRANULE, HEADS, MEDIUM_BLOCKS_MIN, MEDIUM_MAX, SLICE, SMALL_MAX,
};

const LINEAR: usize = 16;
const SMALL_DOUBLINGS: usize = 2; // 256 -> 512 -> 1024
const SMALL_PER_DOUBLING: usize = 8;
/// Classes of each medium doubling. Sets of classes are a word, so the larger blocks, which are fewer, have half as many.
///
/// With 4 everywhere sqlite, whose blocks are pages with a little behind them, took 92 MiB instead of 84 (glibc 77); time, and the memory
/// of programs with blocks of all sizes, are the same.
const MEDIUM_PER_DOUBLING: [usize; 5] = [8, 8, 8, 4, 4];
const MEDIUM_DOUBLINGS: usize = (MEDIUM_MAX / SMALL_MAX).ilog2() as usize;
const MEDIUM_CLASSES: usize = {
    let mut classes = 0;
    let mut doubling = 0;
    while doubling < MEDIUM_DOUBLINGS {
        classes += MEDIUM_PER_DOUBLING[doubling];
        doubling += 1;
    }
    classes
};
/// Medium requests are told apart by the eighth of the doubling that they lie in.
const EIGHTHS: usize = 8;

/// Classes that lend to a small one: the next few. With 2 a server of 4,000 objects takes 1.03 times the memory, with 8 one thread that
/// allocates for another takes 1.04 times.
const SMALL_LENDERS: usize = 4;

/// Number of small classes.
pub(crate) const SMALL_CLASSES: usize = LINEAR + SMALL_DOUBLINGS * SMALL_PER_DOUBLING;
/// Number of all classes.
pub(crate) const CLASSES: usize = SMALL_CLASSES + MEDIUM_CLASSES;

const _: () = {
    assert!(SMALL_CLASSES == HEADS, "each small class has a head");
    assert!(CLASSES <= 64, "a set of classes is one u64");
};

/// The index of a size class, smallest size first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct SizeClass(u8);

const SIZES: [u32; CLASSES] = {
    let mut sizes = [0; CLASSES];
    let mut class = 0;
    while class < LINEAR {
        sizes[class] = ((class + 1) * GRANULE) as u32;
        class += 1;
    }
    let mut from = LINEAR * GRANULE;
    while class < CLASSES {
        let steps = if from < SMALL_MAX {
            SMALL_PER_DOUBLING
        } else {
            MEDIUM_PER_DOUBLING[(from / SMALL_MAX).ilog2() as usize]
        };
        let mut step = 0;
        while step < steps {
            sizes[class] = (from * (steps + step + 1) / steps) as u32;
            (class, step) = (class + 1, step + 1);
        }
        from *= 2;
    }
    sizes
};

/// The class of each small request. By bytes, not by granules: one load is less than a shift and a load, and a program that wants few
/// sizes has few lines of it in the cache.
const OF_SMALL: [u8; SMALL_MAX + 1] = {
    let mut table = [0; SMALL_MAX + 1];
    let mut class = 0;
    let mut size = 0;
    while size <= SMALL_MAX {
        while (SIZES[class] as usize) < size {
            class += 1;
        }
        table[size] = class as u8;
        size += 1;
    }
    table
};

/// The class of each eighth of a medium doubling.
const OF_EIGHTH: [u8; MEDIUM_DOUBLINGS * EIGHTHS] = {
    let mut table = [0; MEDIUM_DOUBLINGS * EIGHTHS];
    let mut class = SMALL_CLASSES;
    let mut eighth = 0;
    while eighth < table.len() {
        let end = (SMALL_MAX << (eighth / EIGHTHS)) * (EIGHTHS + eighth % EIGHTHS + 1) / EIGHTHS;
        while (SIZES[class] as usize) < end {
            class += 1;
        }
        table[eighth] = class as u8;
        eighth += 1;
    }
    table
};

/// Slices of a page of each class: the fewest that hold [`MEDIUM_BLOCKS_MIN`] blocks.
const PAGE_SLICES: [u8; CLASSES] = {
    let mut slices = [1; CLASSES];
    let mut class = SMALL_CLASSES;
    while class < CLASSES {
        slices[class] = (SIZES[class] as usize * MEDIUM_BLOCKS_MIN).div_ceil(SLICE) as u8;
        class += 1;
    }
    slices
};

impl SizeClass {
    /// The class that serves `size` bytes.
    ///
    /// Pre: `size <= SMALL_MAX`.
    #[inline(always)]
    pub(crate) const fn of_small(size: usize) -> Self {
        Self(OF_SMALL[size])
    }

    /// The class that serves `size` bytes.
    ///
    /// Pre: `size <= MEDIUM_MAX`.
    #[inline]
    pub(crate) fn of(size: usize) -> Self {
        if size <= SMALL_MAX {
            Self::of_small(size)
        } else {
            Self::of_medium(size)
        }
    }

    /// The class that serves `size` bytes.
    ///
    /// Pre: `SMALL_MAX < size <= MEDIUM_MAX`.
    #[inline]
    pub(crate) fn of_medium(size: usize) -> Self {
        // A power of two is the end of the doubling below it. In eighths, the leading one is an 8.
        let below = size - 1;
        let doubling = below.ilog2() - SMALL_MAX.ilog2();
        let eighths = below >> (doubling + (SMALL_MAX / EIGHTHS).ilog2());
        Self(OF_EIGHTH[doubling as usize * EIGHTHS + eighths % EIGHTHS])
    }

    /// The smallest class that serves `size` bytes and whose blocks are all multiples of `align`.
    ///
    /// Every page begins at a multiple of its slice or, in slice 0, of 4 KiB, which holds small classes only: so
    /// blocks are aligned exactly when their size is a multiple of the alignment.
    ///
    /// Pre: `size <= MEDIUM_MAX`; `align` is a power of two.
    pub(crate) fn of_aligned(size: usize, align: usize) -> Option<Self> {
        let first = Self::of(size).index();
        (first..CLASSES)
            .find(|&class| (SIZES[class] as usize).is_multiple_of(align))
            .map(|class| Self(class as u8))
    }

    /// The classes, smallest first, of which a block may stand for one of this class: up to four times as large, and as aligned. Of a
    /// small class, the next few.
    pub(crate) fn lenders(self) -> impl Iterator<Item = Self> {
        let align = 1 << self.size().trailing_zeros();
        let most = if self.is_small() {
            SMALL_LENDERS
        } else {
            CLASSES
        };
        Self::all()
            .skip(self.index() + 1)
            .take_while(move |class| class.size() <= 4 * self.size())
            .filter(move |class| class.size().is_multiple_of(align))
            .take(most)
    }

    /// The class that serves what is rarely asked of this small one: of a power of two, which is a multiple of whatever this one's size is.
    ///
    /// Few classes lend, so that the pages of few are touched: with each power of two `hello` had 8 KiB more, a server 1.05 times the memory.
    pub(crate) fn lender(self) -> Self {
        Self::of(match self.size() {
            ..=64 => 64,
            65..=256 => 256,
            size => size.next_power_of_two(),
        })
    }

    /// The class with index `index`.
    ///
    /// Pre: `index < CLASSES`.
    pub(crate) fn from_index(index: usize) -> Self {
        debug_assert!(index < CLASSES);
        Self(index as u8)
    }

    /// As [`from_index`](Self::from_index), for constants.
    pub(crate) const fn from_const(index: usize) -> Self {
        Self(index as u8)
    }

    /// All classes, smallest size first.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..CLASSES).map(Self::from_index)
    }

    /// The small ones, smallest size first.
    pub(crate) fn small() -> impl Iterator<Item = Self> {
        (0..SMALL_CLASSES).map(Self::from_index)
    }

    /// The position of the class, smallest size first.
    #[inline]
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }

    /// This class as a set of one.
    #[inline]
    pub(crate) fn bit(self) -> u64 {
        1 << self.0
    }

    /// Block size in bytes.
    #[inline]
    pub(crate) const fn size(self) -> usize {
        SIZES[self.index()] as usize
    }

    /// Whether it is one of the smallest, of which each granule has its own.
    #[inline]
    pub(crate) const fn is_linear(self) -> bool {
        self.index() < LINEAR
    }

    /// Whether the class is served from a free-list head.
    #[inline]
    pub(crate) const fn is_small(self) -> bool {
        self.index() < SMALL_CLASSES
    }

    /// Slices in a page of this class.
    #[inline]
    pub(crate) fn page_slices(self) -> usize {
        PAGE_SLICES[self.index()] as usize
    }
}

/// Where the blocks of a page begin: at `first` bytes from the start of the chunk and at each multiple of their size from
/// there, up to the last.
#[derive(Clone, Copy)]
pub(crate) struct Starts {
    first: u32,
    /// The distance of the last block from the first, in units of [`UNIT`].
    last: u32,
    /// 2^32 divided by the block size in the same units, rounded up.
    reciprocal: u32,
}

/// All sizes are multiples.
const UNIT: u32 = 8;

impl Starts {
    /// Of blocks of `class` in `room` bytes that begin `first` bytes from the start of the chunk.
    pub(crate) const fn new(class: SizeClass, first: usize, room: usize) -> Self {
        let size = SIZES[class.0 as usize];
        Self {
            first: first as u32,
            last: (room as u32 / size - 1) * (size / UNIT),
            reciprocal: u32::MAX / (size / UNIT) + 1,
        }
    }

    /// Whether a block begins `offset` bytes from the start of the chunk.
    ///
    /// No division: the product is the remainder, scaled to the word and a little too large, by less than one step (Lemire,
    /// Kaser, Kurz, "Faster remainder by direct computation", 2019). What is in front of the first block, and what is no
    /// multiple of the unit, is turned into a number beyond the last.
    #[inline(always)]
    pub(crate) fn has(&self, offset: usize) -> bool {
        let units = (offset as u32)
            .wrapping_sub(self.first)
            .rotate_right(UNIT.trailing_zeros());
        units <= self.last && units.wrapping_mul(self.reciprocal) < self.reciprocal
    }

    /// How many blocks there are before the one that begins `offset` bytes from the start of the chunk; any number if none does.
    #[inline]
    pub(crate) fn number(&self, offset: usize) -> usize {
        let units = (offset as u32).wrapping_sub(self.first) / UNIT;
        // The whole part of the product that `has` has the rest of.
        ((u64::from(units) * u64::from(self.reciprocal)) >> u32::BITS) as usize
    }
}

const _: () = {
    // The rounding of the reciprocal, times any number of units, is less than one step.
    let units = (8 * SLICE) as u64 / UNIT as u64;
    assert!(units * (MEDIUM_MAX as u64 / UNIT as u64) < 1 << 32);
    assert!(GRANULE.is_multiple_of(UNIT as usize));
    assert!(SIZES[LINEAR - 1] == 256);
    assert!(SIZES[SMALL_CLASSES - 1] as usize == SMALL_MAX);
    assert!(SIZES[CLASSES - 1] as usize == MEDIUM_MAX);
    assert!(
        FIRST_BLOCK_OFFSET.is_multiple_of(SMALL_MAX),
        "small blocks in slice 0 are aligned like the others"
    );
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smallest_class_that_fits() {
        for size in 0..=MEDIUM_MAX {
            let class = SizeClass::of(size);
            assert!(class.size() >= size, "{size}");
            assert!(
                class.index() == 0 || (SIZES[class.index() - 1] as usize) < size,
                "{size}"
            );
        }
    }

    #[test]
    fn aligned_class_divides() {
        for align in (0..16).map(|shift| 1_usize << shift) {
            for size in (1..=MEDIUM_MAX).step_by(7) {
                if let Some(class) = SizeClass::of_aligned(size, align) {
                    assert!(class.size() >= size && class.size() % align == 0);
                } else {
                    assert!(size.next_multiple_of(align) > MEDIUM_MAX || align > MEDIUM_MAX);
                }
            }
        }
    }

    #[test]
    fn lenders_serve_what_their_borrowers_serve() {
        for class in (0..SMALL_CLASSES).map(SizeClass::from_index) {
            let lender = class.lender();
            let align = 1 << class.size().trailing_zeros();
            assert!(lender >= class && lender.is_small() && lender.lender() == lender);
            assert!(lender.size().is_multiple_of(align), "{class:?}");
        }
    }

    #[test]
    fn pages_hold_enough_blocks() {
        for class in (0..CLASSES).map(SizeClass::from_index) {
            let slices = class.page_slices();
            assert!((1..=8).contains(&slices));
            assert!(slices * SLICE / class.size() >= MEDIUM_BLOCKS_MIN);
        }
    }

    #[test]
    fn starts_of_blocks_are_told_from_the_rest() {
        for class in (0..CLASSES).map(SizeClass::from_index) {
            let end = (5 + class.page_slices()) * SLICE;
            for first in [5 * SLICE, 5 * SLICE + FIRST_BLOCK_OFFSET] {
                let starts = Starts::new(class, first, end - first);
                for offset in 4 * SLICE..end + SLICE {
                    let begins = offset >= first
                        && (offset - first) % class.size() == 0
                        && offset + class.size() <= end;
                    assert!(starts.has(offset) == begins, "{class:?} {first} {offset}");
                }
            }
        }
    }

    #[test]
    fn lenders_are_as_aligned_and_not_much_larger() {
        for class in SizeClass::all().skip(SMALL_CLASSES) {
            let align = 1_usize << class.size().trailing_zeros();
            for lender in class.lenders() {
                assert!(lender > class && lender.size() <= 4 * class.size());
                assert!(lender.size().is_multiple_of(align), "{class:?} {lender:?}");
            }
            let has_some = 2 * class.size() <= MEDIUM_MAX;
            assert!(!has_some || class.lenders().next().is_some(), "{class:?}");
        }
    }

    #[test]
    fn waste_is_bounded() {
        for class in (LINEAR..CLASSES).map(SizeClass::from_index) {
            let worst = class.size() - SIZES[class.index() - 1] as usize - 1;
            assert!(worst * 5 <= class.size(), "{class:?}");
        }
    }
}
