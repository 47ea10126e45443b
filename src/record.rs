//! The record of a block in hooked mode: what was asked for, and from where. It stands in front of the block, at the beginning of
//! the slot.
//!
//! ```text
//!   slot: [ record | front | block: the bytes that were asked for | at least BEHIND bytes | slack ]
//! ```
//!
//! Equation: `state` is a word that belongs to this address and says "live" exactly while the program has the block. Of several
//! threads that free it, one succeeds in changing it.

use core::ptr::NonNull;

use crate::{
    config::{CHUNK, GRANULE, SLICES},
    primitive::{AtomicUsize, Cell, Ordering},
};

/// Return addresses that are kept of a block.
pub(crate) const SITES: usize = 9;

/// Bytes between the record and the block, at least, and behind the block, where nobody may write.
pub(crate) const RED_ZONE: usize = GRANULE;

/// Where in a huge slot the record is: behind the words that stand for owner words (see [`large`](crate::large)).
const HUGE_OFFSET: usize = SLICES * size_of::<usize>();

/// What `state` says, stirred with the address, so that no copy of a record passes for one.
const LIVE: usize = 0x6C69_7665_u32 as usize;
const FREED: usize = 0x6672_6565_u32 as usize;

/// See the [module](self).
#[repr(C, align(16))]
pub(crate) struct Record {
    /// Free blocks are linked by these two words.
    link: [usize; 2],
    state: AtomicUsize,
    block: Cell<usize>,
    size: Cell<usize>,
    /// Bytes of the slot.
    pub(crate) span: Cell<usize>,
    /// For lists of records.
    pub(crate) next: Cell<usize>,
    /// Where the block was asked for, innermost first; 0 ends them.
    sites: [Cell<usize>; SITES],
}

impl Record {
    /// Bytes that a slot needs beside those of the block, and those for alignment.
    pub(crate) const EXTRA: usize = size_of::<Self>() + 2 * RED_ZONE;
    /// As [`EXTRA`](Self::EXTRA), of a huge slot.
    pub(crate) const HUGE_FRONT: usize = HUGE_OFFSET + size_of::<Self>() + RED_ZONE;

    /// The record in the slot at `start`.
    ///
    /// # Safety
    ///
    /// The slot is mapped, and as large as a record at least.
    pub(crate) unsafe fn of<'a>(start: NonNull<u8>) -> &'a Self {
        let is_huge = start.as_ptr().addr().is_multiple_of(CHUNK);
        // SAFETY: the caller's promise; huge slots are larger than that.
        let record = unsafe { start.add(if is_huge { HUGE_OFFSET } else { 0 }) };
        // SAFETY: as above; slots are aligned, any words are a record, and what others change is atomic.
        unsafe { record.cast().as_ref() }
    }

    fn word(&self, state: usize) -> usize {
        core::ptr::from_ref(self).addr().rotate_left(7) ^ state
    }

    /// Make this the record of a live block.
    ///
    /// Pre: the slot is the caller's.
    pub(crate) fn open(&self, block: NonNull<u8>, size: usize, span: usize) {
        self.block.set(block.as_ptr().expose_provenance());
        self.size.set(size);
        self.span.set(span);
        self.next.set(0);
        self.set_sites(&[0; SITES]);
        // Relaxed: whoever frees the block was given it after this.
        self.state.store(self.word(LIVE), Ordering::Relaxed);
    }

    /// Take the block from the program. False if it has it no more.
    pub(crate) fn close(&self) -> bool {
        // Relaxed: decides between threads that free the same block, and nothing else.
        self.state
            .compare_exchange(
                self.word(LIVE),
                self.word(FREED),
                Ordering::Relaxed,
                Ordering::Relaxed,
            )
            .is_ok()
    }

    /// Whether the program has the block.
    pub(crate) fn is_live(&self) -> bool {
        self.state.load(Ordering::Relaxed) == self.word(LIVE)
    }

    /// Whether the program has had the block.
    pub(crate) fn is_freed(&self) -> bool {
        self.state.load(Ordering::Relaxed) == self.word(FREED)
    }

    /// Where the block begins.
    pub(crate) fn block(&self) -> NonNull<u8> {
        let block = core::ptr::with_exposed_provenance_mut(self.block.get());
        // SAFETY: a record that has been opened has a block.
        unsafe { NonNull::new_unchecked(block) }
    }

    /// The bytes that were asked for.
    pub(crate) fn size(&self) -> usize {
        self.size.get()
    }

    /// Note where the block was asked for.
    pub(crate) fn set_sites(&self, sites: &[usize; SITES]) {
        for (place, &site) in self.sites.iter().zip(sites) {
            place.set(site);
        }
    }

    /// Where the block was asked for.
    pub(crate) fn all_sites(&self) -> [usize; SITES] {
        core::array::from_fn(|number| self.sites[number].get())
    }

    /// Note that the block is of another size.
    pub(crate) fn set_size(&self, size: usize) {
        self.size.set(size);
    }
}
