//! The address space of a simulated kernel: one real reservation, of which parts are open.
//!
//! A part is *open* (readable, writable) or *closed* (any access faults). Opened parts read zero.
//!
//! One reservation of the usual size waits for the next kernel when its own is gone: `SPARE` is null, or such a reservation, all
//! of it closed, that no `Space` holds. A kernel would not notice thousands of reservations that come and go, but
//! qemu's emulation of programs notes every page that was ever mapped, closed ones too, and forgets none: 100 MB for each.

use super::pages;
use core::{
    ptr::{self, NonNull},
    sync::atomic::{
        AtomicPtr,
        Ordering::{Acquire, Relaxed, Release},
    },
};

/// The size that waits for another kernel: 16 GiB, and 1 GiB on a 32-bit machine.
pub(super) const USUAL: usize = if usize::BITS > 32 { 16 } else { 1 } << 30;

static SPARE: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());

/// A reservation. Whoever drops it has closed all of it.
pub(super) struct Space {
    base: NonNull<u8>,
    size: usize,
}

// SAFETY: the reservation belongs to no thread; what lies in it is its users' business.
unsafe impl Send for Space {}

impl Space {
    /// Reserve `size` bytes, closed.
    pub(super) fn reserve(size: usize) -> Self {
        let base = spare(size).or_else(|| pages::reserve(size));
        let base = base.expect("the real kernel grants the reservation");
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

/// The reservation that waits, if it has this size.
fn spare(size: usize) -> Option<NonNull<u8>> {
    if size != USUAL {
        return None;
    }
    // Acquire: pairs with the Release in `drop`; the last user is done.
    NonNull::new(SPARE.swap(ptr::null_mut(), Acquire))
}

impl Drop for Space {
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `spare`; what the users of this reservation did comes before what the next do.
        let waits = self.size == USUAL
            && SPARE
                .compare_exchange(ptr::null_mut(), self.base.as_ptr(), Release, Relaxed)
                .is_ok();
        if !waits {
            // SAFETY: whoever drops the kernel is done with its memory.
            unsafe { pages::release(self.base, self.size) };
        }
    }
}
