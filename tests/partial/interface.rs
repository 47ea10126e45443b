//! The two ways to have parts: by address and length, and as a `Block`.

use super::common::Case;
use ralloc::{Block, Defaults, Tuning, native};
use std::ptr::NonNull;

/// Blocks may be freed in parts.
pub(crate) struct InParts;

impl Tuning for InParts {
    const PARTIAL: bool = true;
}

/// What the two interfaces have in common: how parts are made, freed and resized.
pub(crate) trait Interface: Sized {
    type Tuning: Tuning;
    type Part: Send;

    fn alloc(size: usize, align: usize, zeroed: bool) -> Self::Part;
    fn start(part: &Self::Part) -> NonNull<u8>;
    fn bytes(part: &Self::Part) -> usize;
    fn split(part: Self::Part, at: usize) -> (Self::Part, Self::Part);
    fn free(part: Self::Part);
    fn realloc(part: Self::Part, size: usize, align: usize) -> Self::Part;
    fn in_place(part: &mut Self::Part, size: usize) -> bool;
}

/// Parts by address and length, as `Vec::from_raw_parts` makes them.
pub(crate) struct Implicit;

pub(crate) struct Raw(NonNull<u8>, usize);

// SAFETY: memory belongs to whoever holds it.
unsafe impl Send for Raw {}

impl Interface for Implicit {
    type Tuning = InParts;
    type Part = Raw;

    fn alloc(size: usize, align: usize, zeroed: bool) -> Raw {
        let start = if zeroed {
            native::alloc_zeroed::<Case<InParts>>(size, align)
        } else {
            native::alloc::<Case<InParts>>(size, align)
        };
        Raw(start, size)
    }

    fn start(part: &Raw) -> NonNull<u8> {
        part.0
    }

    fn bytes(part: &Raw) -> usize {
        part.1
    }

    fn split(part: Raw, at: usize) -> (Raw, Raw) {
        // SAFETY: the part has more bytes.
        let rest = unsafe { part.0.add(at) };
        (Raw(part.0, at), Raw(rest, part.1 - at))
    }

    fn free(part: Raw) {
        // SAFETY: the part is live, and given up here.
        unsafe { native::free::<Case<InParts>>(part.0, part.1) };
    }

    fn realloc(part: Raw, size: usize, align: usize) -> Raw {
        // SAFETY: as above, at a multiple of the alignment.
        let start = unsafe { native::realloc::<Case<InParts>>(part.0, part.1, size, align) };
        Raw(start, size)
    }

    fn in_place(part: &mut Raw, size: usize) -> bool {
        // SAFETY: as above.
        let done = unsafe { native::realloc_inplace::<Case<InParts>>(part.0, part.1, size) };
        if done.is_ok() {
            part.1 = size;
        }
        done.is_ok()
    }
}

/// Parts as `Block`s.
pub(crate) struct Explicit;

impl Interface for Explicit {
    type Tuning = Defaults;
    type Part = Block<Case>;

    fn alloc(size: usize, align: usize, zeroed: bool) -> Block<Case> {
        if zeroed {
            let start = native::alloc_zeroed::<Case>(size, align);
            // SAFETY: allocated the line above.
            unsafe { Block::from_raw(start, size) }
        } else {
            Block::new(size, align)
        }
    }

    fn start(part: &Block<Case>) -> NonNull<u8> {
        part.as_ptr()
    }

    fn bytes(part: &Block<Case>) -> usize {
        part.len()
    }

    fn split(part: Block<Case>, at: usize) -> (Block<Case>, Block<Case>) {
        let (left, right) = part.split(at);
        // Apart, together and apart again.
        let whole = left.merge(right).expect("neighbours");
        whole.split(at)
    }

    fn free(part: Block<Case>) {
        part.free();
    }

    fn realloc(part: Block<Case>, size: usize, align: usize) -> Block<Case> {
        part.realloc(size, align).expect("there is memory enough")
    }

    fn in_place(part: &mut Block<Case>, size: usize) -> bool {
        part.realloc_inplace(size).is_ok()
    }
}
