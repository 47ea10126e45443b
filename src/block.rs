//! A block that nobody uses, and the words the allocator keeps in it.
//!
//! A free block holds the link of the list it is on in its first word. While it travels to its owner in a batch of
//! remote frees the second word is used as well; the smallest block has two.

use core::ptr::NonNull;

use crate::primitive;

/// The address of a block that is in the allocator's hands. Owning one means that nobody else may touch the block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub(crate) struct Block(NonNull<usize>);

const _: () = assert!(crate::config::GRANULE >= 2 * size_of::<usize>());

impl Block {
    /// The block at `address`, or `None` for address 0: the form in which links are stored.
    ///
    /// # Safety
    ///
    /// `address` is 0 or the start of a block in the allocator's hands.
    #[inline(always)]
    pub(crate) unsafe fn from_link(address: usize) -> Option<Self> {
        NonNull::new(core::ptr::with_exposed_provenance_mut(address)).map(Self)
    }

    /// The block at `address`.
    ///
    /// # Safety
    ///
    /// `address` is the start of a block in the allocator's hands.
    #[inline(always)]
    pub(crate) unsafe fn at(address: usize) -> Self {
        let start = core::ptr::with_exposed_provenance_mut(address);
        // SAFETY: no block is at 0.
        Self(unsafe { NonNull::new_unchecked(start) })
    }

    /// The block at `start`.
    ///
    /// # Safety
    ///
    /// `start` is the start of a block that its user has given up, or that was never given out.
    #[inline(always)]
    pub(crate) unsafe fn from_ptr(start: NonNull<u8>) -> Self {
        Self(start.cast())
    }

    /// The address, as stored in links.
    #[inline(always)]
    pub(crate) fn address(self) -> usize {
        self.0.as_ptr().expose_provenance()
    }

    /// The block as the user will see it.
    #[inline(always)]
    pub(crate) fn start(self) -> NonNull<u8> {
        self.0.cast()
    }

    /// The link in the first word.
    #[inline(always)]
    pub(crate) fn next(self) -> usize {
        // SAFETY: a block is aligned and at least two words large, and whoever holds a `Block` owns it.
        unsafe { primitive::read(self.0.as_ptr()) }
    }

    /// Set the link in the first word.
    #[inline(always)]
    pub(crate) fn set_next(self, link: usize) {
        // SAFETY: as in `next`.
        unsafe { primitive::write(self.0.as_ptr(), link) }
    }

    /// The second word.
    #[inline(always)]
    pub(crate) fn second(self) -> usize {
        // SAFETY: a block has two words.
        let word = unsafe { self.0.add(1) };
        // SAFETY: as in `next`.
        unsafe { primitive::read(word.as_ptr()) }
    }

    /// Set the second word.
    #[inline(always)]
    pub(crate) fn set_second(self, value: usize) {
        // SAFETY: a block has two words.
        let word = unsafe { self.0.add(1) };
        // SAFETY: as in `next`.
        unsafe { primitive::write(word.as_ptr(), value) }
    }

    /// The third word, which the blocks of the security build have.
    #[inline(always)]
    pub(crate) fn third(self) -> usize {
        // SAFETY: a block of that build has four words.
        let word = unsafe { self.0.add(2) };
        // SAFETY: as in `next`.
        unsafe { primitive::read(word.as_ptr()) }
    }

    /// Set the third word, which the blocks of the security build have.
    #[inline(always)]
    pub(crate) fn set_third(self, value: usize) {
        // SAFETY: as in `third`.
        let word = unsafe { self.0.add(2) };
        // SAFETY: as in `next`.
        unsafe { primitive::write(word.as_ptr(), value) }
    }
}
