//! The real memory of a simulated kernel, by `kernel32`: a reservation, of which open pages are committed.

use core::{
    ffi::{c_int, c_void},
    ptr::{self, NonNull},
};

const MEM_COMMIT: u32 = 0x1000;
const MEM_RESERVE: u32 = 0x2000;
const MEM_DECOMMIT: u32 = 0x4000;
const MEM_RELEASE: u32 = 0x8000;
const PAGE_NOACCESS: u32 = 1;
const PAGE_READWRITE: u32 = 4;

#[link(name = "kernel32")]
unsafe extern "system" {
    fn VirtualAlloc(address: *mut c_void, size: usize, kind: u32, rights: u32) -> *mut c_void;
    fn VirtualFree(address: *mut c_void, size: usize, kind: u32) -> c_int;
}

/// Reserve `size` bytes of addresses, closed.
pub(super) fn reserve(size: usize) -> Option<NonNull<u8>> {
    // SAFETY: without an address the call replaces nothing.
    let base = unsafe { VirtualAlloc(ptr::null_mut(), size, MEM_RESERVE, PAGE_NOACCESS) };
    NonNull::new(base.cast())
}

/// Make a range readable and writable; it reads zero, whatever it was before.
///
/// # Safety
///
/// The range lies within a reservation, in whole pages, and nobody needs its contents.
pub(super) unsafe fn open(base: NonNull<u8>, size: usize) -> bool {
    // SAFETY: the caller's promise. What is committed already would keep its contents.
    if !unsafe { close(base, size) } {
        return false;
    }
    // SAFETY: the range is reserved, and nothing of it is committed.
    let at = unsafe { VirtualAlloc(base.as_ptr().cast(), size, MEM_COMMIT, PAGE_READWRITE) };
    !at.is_null()
}

/// Make a range inaccessible, and forget its contents.
///
/// # Safety
///
/// As for [`open`].
pub(super) unsafe fn close(base: NonNull<u8>, size: usize) -> bool {
    // SAFETY: the caller's promise; it is no error that parts are not committed.
    unsafe { VirtualFree(base.as_ptr().cast(), size, MEM_DECOMMIT) != 0 }
}

/// Give a reservation back.
///
/// # Safety
///
/// It was made by [`reserve`], and nobody uses it any more.
pub(super) unsafe fn release(base: NonNull<u8>, _size: usize) {
    // SAFETY: the caller's promise. A reservation is given back whole.
    unsafe { VirtualFree(base.as_ptr().cast(), 0, MEM_RELEASE) };
}
