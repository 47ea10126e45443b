//! The address space of a simulated kernel: one real reservation, of which parts are open.
//!
//! A part is *open* (readable, writable) or *closed* (any access faults). Opened parts read zero.

use super::pages;
use core::ptr::{self, NonNull};

/// A reservation, given back when dropped.
pub(super) struct Space {
    base: NonNull<u8>,
    size: usize,
}

// SAFETY: the reservation belongs to no thread; what lies in it is its users' business.
unsafe impl Send for Space {}

impl Space {
    /// Reserve `size` bytes, closed.
    pub(super) fn reserve(size: usize) -> Self {
        let base = pages::reserve(size).expect("the real kernel grants the reservation");
        Self { base, size }
    }

    pub(super) fn start(&self) -> usize {
        self.base.addr().get()
    }

    pub(super) fn end(&self) -> usize {
        self.start() + self.size
    }

    /// A pointer to an address in here.
    pub(super) fn pointer(&self, address: usize) -> NonNull<u8> {
        assert!(
            (self.start()..=self.end()).contains(&address),
            "{address:#x} is out of space"
        );
        self.base
            .map_addr(|_| address.try_into().expect("not null"))
    }

    /// Make a closed range readable and writable; it reads zero.
    pub(super) fn open(&self, address: usize, size: usize) {
        if let Some(range) = self.range(address, size) {
            // SAFETY: the range is within this reservation, as `range` has checked; that nobody uses it is what the
            // simulated kernel's caller promises.
            let done = unsafe { pages::open(range, size) };
            assert!(done, "the real kernel has room");
        }
    }

    /// Make a range inaccessible, and forget its contents.
    pub(super) fn close(&self, address: usize, size: usize) {
        if let Some(range) = self.range(address, size) {
            // SAFETY: as in `open`.
            let done = unsafe { pages::close(range, size) };
            assert!(done, "the real kernel has room");
        }
    }

    /// Forget the contents of an open range: it reads zero.
    pub(super) fn discard(&self, address: usize, size: usize) {
        self.open(address, size);
    }

    /// Where a range begins, which lies in here and is not empty.
    fn range(&self, address: usize, size: usize) -> Option<NonNull<u8>> {
        self.pointer(address + size);
        (size != 0).then(|| self.pointer(address))
    }

    /// Copy an open range to another. Pages that read zero are left alone, so that they stay untouched.
    pub(super) fn copy(&self, from: usize, to: usize, size: usize, page: usize) {
        for offset in (0..size).step_by(page) {
            // SAFETY: an open range within the reservation, which nobody writes while it is moved.
            let source =
                unsafe { core::slice::from_raw_parts(self.pointer(from + offset).as_ptr(), page) };
            if source.iter().all(|&byte| byte == 0) {
                continue;
            }
            let target = self.pointer(to + offset).as_ptr();
            // SAFETY: both are open pages, and the simulated kernel moves between disjoint ranges.
            unsafe { ptr::copy_nonoverlapping(source.as_ptr(), target, page) };
        }
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // SAFETY: whoever drops the kernel is done with its memory.
        unsafe { pages::release(self.base, self.size) };
    }
}
