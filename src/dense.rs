//! Whether large pages are worth having: they save faults and misses of the translation buffer, and make resident what nobody uses.
//!
//! A heap opens a page of a class when all blocks of those before have been used, and takes free blocks first. So of its pages of a
//! class one may be used in part, the others have been used from end to end, and stay resident when blocks of them come free.
//!
//! Equation: `dense` is the number of slices of all pages of blocks that are small enough, less as many for each heap and class that have
//! ever met as a page of the class has. That is no more than the slices that are resident from end to end.

use ralloc_platform::Platform;

use crate::{
    config::{KIB, SLICE, Tuning},
    memory::Memory,
    primitive::Ordering,
    size_class::SizeClass,
};

/// Largest blocks that are taken to be used from end to end: programs have many large buffers with little in them.
const BLOCK_MAX: usize = 8 * KIB;
/// Of so many slices one may be something else than dense. Most of what is not is in the pages that heaps began last, and those lie in
/// chunks from before.
const SHARE: usize = 4;

/// What a page of the class counts for.
pub(crate) fn slices(class: SizeClass) -> usize {
    if class.size() <= BLOCK_MAX {
        class.page_slices()
    } else {
        0
    }
}

impl<P: Platform, T: Tuning> Memory<P, T> {
    /// A heap opens a page of a class of which it has had one before.
    pub(crate) fn fills_up(&self, class: SizeClass) {
        // Relaxed, here and below: a total.
        self.dense.fetch_add(slices(class), Ordering::Relaxed);
    }

    /// A page is closed.
    pub(crate) fn is_gone(&self, class: SizeClass) {
        self.dense.fetch_sub(slices(class), Ordering::Relaxed);
    }

    /// Whether large pages are to back the next chunk, in which there is to be a page.
    pub(crate) fn wants_large_pages(&self) -> bool {
        let claimed = self.chunks.totals().claimed / SLICE;
        if claimed <= T::LARGE_PAGES_ABOVE / SLICE {
            return false;
        }
        let dense = self.dense.load(Ordering::Relaxed).cast_signed();
        let wants = dense >= (claimed - claimed / SHARE).cast_signed();
        if wants {
            self.has_large_pages.store(1, Ordering::Relaxed);
        }
        wants
    }
}
