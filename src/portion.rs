//! How much a refill moves from a page to where it is asked for.

use crate::{config::Tuning, size_class::SizeClass};

/// How many blocks a refill may bring.
#[derive(Clone, Copy)]
pub(crate) struct Portion {
    /// Of blocks that have come home.
    pub(crate) listed: usize,
    /// Of blocks that are initialised, in memory that has been written to.
    pub(crate) again: usize,
    /// The same, in memory that nobody has touched.
    pub(crate) fresh: usize,
}

impl Portion {
    /// One block.
    pub(crate) const ONE: Self = Self::at_most(1);

    /// So many blocks.
    pub(crate) const fn at_most(blocks: usize) -> Self {
        Self {
            listed: blocks,
            again: blocks,
            fresh: blocks,
        }
    }

    /// Whether a list goes as it is.
    pub(crate) const fn is_whole(self) -> bool {
        self.listed == usize::MAX
    }

    /// The same, for which no memory is to be touched that has not been.
    pub(crate) const fn touched(self) -> Self {
        Self { fresh: 0, ..self }
    }

    /// For a free-list head of `class`. A list goes as it is: to cut it is to walk over its blocks, one cache miss after the other (1.4
    /// times the time of `pareto`, 1.2 times that of `small` and `survivors`).
    pub(crate) fn of_head<T: Tuning>(class: SizeClass) -> Self {
        let fresh = (T::REFILL_BYTES / class.size()).clamp(1, T::REFILL_BLOCKS);
        Self {
            listed: usize::MAX,
            again: fresh,
            fresh,
        }
    }
}
