//! Blocks that classes have been lent by larger ones, see [`lend`](crate::lend).
//!
//! Equation: each class has had at most [`LENT_BYTES`](crate::Tuning::LENT_BYTES) of its lender's blocks in this heap.

use crate::{
    primitive::Cell,
    size_class::{SMALL_CLASSES, SizeClass},
};

/// How many, for each class. All zero is none.
pub(crate) struct Lent {
    blocks: [Cell<u8>; SMALL_CLASSES],
}

impl Lent {
    /// Whether `class` may be lent one more, if that makes no more than `bytes`. Then it is counted.
    pub(crate) fn note(&self, class: SizeClass, bytes: usize) -> bool {
        let blocks = &self.blocks[class.index()];
        let most = (bytes / class.lender().size()).min(u8::MAX.into());
        let may = usize::from(blocks.get()) < most;
        if may {
            blocks.set(blocks.get() + 1);
        }
        may
    }

    /// Check the equation.
    pub(crate) fn check(&self, bytes: usize) {
        for (class, blocks) in SizeClass::all().zip(&self.blocks) {
            let lender = class.lender();
            let lent = usize::from(blocks.get()) * lender.size();
            assert!(
                lent <= bytes && (lent == 0 || lender != class),
                "a class is lent little, and nothing by itself"
            );
        }
    }
}
