//! The cold record of a slice: what is known of blocks that are freed in parts.
//!
//! A *slot* is a block, a run or a huge block as the allocator sees it. Its *count* is how many bytes of it its users have yet to
//! free, or 0: then nothing has been noted, and the slot is free, or held as a whole by somebody who asked for all of it.
//!
//! Equation: while a slot is in use and its count is not 0, the count is the sum of the lengths of the parts that are not yet
//! freed. Parts are disjoint, so it reaches 0 exactly when the last byte is freed: no intervals are kept.

use core::ptr::NonNull;

use crate::{
    config::MEDIUM_MAX,
    primitive::{AtomicPtr, AtomicU16, AtomicUsize, Ordering},
};

/// The cold record of a page or run, in the record of its first slice. All zero is that of a page or run of which nothing has
/// been noted.
#[repr(C, align(64))]
pub(crate) struct Cold {
    /// The count of a run.
    pub(crate) run: AtomicUsize,
    /// The counts of a page's blocks, one for each: a block of this instance, as long as the page needs it.
    counts: AtomicPtr<AtomicU16>,
    /// In the security build: how many bytes of a run were asked for. Written by whoever holds the run.
    pub(crate) asked: AtomicUsize,
}

const _: () = assert!(size_of::<Cold>() == 64);
const _: () = assert!(MEDIUM_MAX <= u16::MAX as usize, "a count fits");

impl Cold {
    /// The count of block `index` of the page, if the page has counts.
    ///
    /// # Safety
    ///
    /// `index` is below the capacity that the page was opened with, and the caller holds a part of that block.
    pub(crate) unsafe fn count(&self, index: usize) -> Option<&AtomicU16> {
        // Acquire: pairs with the Release in `offer_counts`: the counts read zero.
        let counts = NonNull::new(self.counts.load(Ordering::Acquire))?;
        // SAFETY: the page has a count for every block.
        let count = unsafe { counts.add(index) };
        // SAFETY: counts stay while a block of the page is in use.
        Some(unsafe { count.as_ref() })
    }

    /// Give the page counts, all zero, unless it has got some meanwhile: then these are still the caller's.
    pub(crate) fn offer_counts(&self, counts: NonNull<AtomicU16>) -> bool {
        // Release: pairs with the Acquire in `count`. Relaxed on failure: the loser asks again.
        let offered = self.counts.compare_exchange(
            core::ptr::null_mut(),
            counts.as_ptr(),
            Ordering::Release,
            Ordering::Relaxed,
        );
        offered.is_ok()
    }

    /// Take the counts out.
    ///
    /// Pre: no block of the page is in use; the caller owns the page.
    pub(crate) fn take_counts(&self) -> Option<NonNull<u8>> {
        // Relaxed, and read first: whoever gave the page counts held a block of it, which has come home since. Most pages have
        // none, and their record shall not become resident.
        let counts = NonNull::new(self.counts.load(Ordering::Relaxed))?;
        self.counts.store(core::ptr::null_mut(), Ordering::Relaxed);
        Some(counts.cast())
    }
}

/// The word that counts the bytes of a slot that are yet to be freed.
#[derive(Clone, Copy)]
pub(crate) enum Count<'a> {
    /// Of a block in a page.
    Block(&'a AtomicU16),
    /// Of a run or a huge block.
    Large(&'a AtomicUsize),
}

impl Count<'_> {
    /// What the word says. Acquire: pairs with the Release in `replace`; what others did to their parts is before what
    /// the last one does to the slot.
    pub(crate) fn get(self) -> usize {
        match self {
            Self::Block(word) => word.load(Ordering::Acquire).into(),
            Self::Large(word) => word.load(Ordering::Acquire),
        }
    }

    /// Note that `bytes` are to be freed; 0: nothing is noted.
    ///
    /// Pre: the caller holds all of the slot that is not freed.
    pub(crate) fn set(self, bytes: usize) {
        // Relaxed: nobody else has a part, and whoever gets one gets it from the caller.
        match self {
            Self::Block(word) => word.store(bytes as u16, Ordering::Relaxed),
            Self::Large(word) => word.store(bytes, Ordering::Relaxed),
        }
    }

    /// Make `old` bytes `new`, unless the word says something else by now.
    ///
    /// Release: pairs with the Acquire in `get` of the last part; each exchange carries on the release sequence of those
    /// before it.
    fn replace(self, old: usize, new: usize) -> bool {
        match self {
            Self::Block(word) => word
                .compare_exchange(old as u16, new as u16, Ordering::Release, Ordering::Relaxed)
                .is_ok(),
            Self::Large(word) => word
                .compare_exchange(old, new, Ordering::Release, Ordering::Relaxed)
                .is_ok(),
        }
    }

    /// Take `bytes` off; if nothing has been noted, the slot was of `whole` bytes.
    ///
    /// Pre: `bytes > 0`, and the caller holds them.
    pub(crate) fn take_off(self, bytes: usize, whole: usize) -> Taken {
        loop {
            let noted = self.get();
            let left = if noted == 0 { whole } else { noted };
            if bytes > left {
                return Taken::TooMuch;
            }
            if bytes == left {
                // All that is left is the caller's: nobody else changes the word.
                self.set(0);
                return Taken::Last;
            }
            if self.replace(noted, left - bytes) {
                return Taken::Part;
            }
        }
    }
}

/// What came of taking a part off a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Taken {
    /// Others still hold parts.
    Part,
    /// That was the last: the slot is the caller's.
    Last,
    /// There was not so much left: parts overlap, or have been freed before.
    TooMuch,
}
