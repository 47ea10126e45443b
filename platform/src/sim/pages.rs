//! The real memory of a simulated kernel, by POSIX' `mmap`: a reservation of pages that are open or closed.

use crate::{posix::keep_errno, system::mapping};
use core::{
    ffi::{c_int, c_void},
    ptr::{self, NonNull},
};

const OPEN: c_int = libc::PROT_READ | libc::PROT_WRITE;

/// Reserve `size` bytes of addresses, closed.
pub(super) fn reserve(size: usize) -> Option<NonNull<u8>> {
    // SAFETY: without a fixed address the call replaces nothing.
    unsafe { place(ptr::null_mut(), size, libc::PROT_NONE, 0) }
}

/// Make a range readable and writable; it reads zero, whatever it was before.
///
/// # Safety
///
/// The range lies within a reservation, in whole pages, and nobody needs its contents.
pub(super) unsafe fn open(base: NonNull<u8>, size: usize) -> bool {
    // SAFETY: the caller's promise.
    unsafe { place(base.as_ptr().cast(), size, OPEN, libc::MAP_FIXED) }.is_some()
}

/// Make a range inaccessible, and forget its contents.
///
/// # Safety
///
/// As for [`open`].
pub(super) unsafe fn close(base: NonNull<u8>, size: usize) -> bool {
    // SAFETY: the caller's promise.
    unsafe { place(base.as_ptr().cast(), size, libc::PROT_NONE, libc::MAP_FIXED) }.is_some()
}

/// Give a reservation back.
///
/// # Safety
///
/// It was made by [`reserve`] with that size, and nobody uses it any more.
pub(super) unsafe fn release(base: NonNull<u8>, size: usize) {
    // SAFETY: the caller's promise.
    keep_errno(|| unsafe { libc::munmap(base.as_ptr().cast(), size) });
}

/// # Safety
///
/// With `MAP_FIXED`: as for [`open`].
unsafe fn place(at: *mut c_void, size: usize, rights: c_int, flags: c_int) -> Option<NonNull<u8>> {
    let flags = flags | mapping::ALWAYS | libc::MAP_PRIVATE | libc::MAP_ANON;
    // SAFETY: the caller's promise.
    let base = keep_errno(|| unsafe { libc::mmap(at, size, rights, flags, -1, 0) });
    (base != libc::MAP_FAILED).then(|| NonNull::new(base.cast()))?
}
