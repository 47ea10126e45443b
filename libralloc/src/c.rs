//! ISO C, POSIX and the program break, under the library's own prefix.
//!
//! The comments here are those of `include/ralloc.h`.

use core::{
    ffi::{c_int, c_void},
    ptr::NonNull,
};

use core_ralloc::{c_abi, sbrk};
use ralloc_platform::set_errno;

use crate::{Libc, code};

/// What C functions return for "the break did not move".
const NO_BREAK: *mut c_void = core::ptr::without_provenance_mut(usize::MAX);

/// ISO C, malloc(3).
#[unsafe(no_mangle)]
pub extern "C" fn ralloc_malloc(size: usize) -> *mut c_void {
    c_abi::malloc::<Libc>(size).cast()
}

/// ISO C, free(3).
///
/// # Safety
///
/// `block` is null or a live block of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ralloc_free(block: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { c_abi::free::<Libc>(block.cast()) };
}

/// ISO C, calloc(3).
#[unsafe(no_mangle)]
pub extern "C" fn ralloc_calloc(count: usize, size: usize) -> *mut c_void {
    c_abi::calloc::<Libc>(count, size).cast()
}

/// ISO C, realloc(3).
///
/// # Safety
///
/// `block` is null or a live block of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ralloc_realloc(block: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: the caller's promise.
    unsafe { c_abi::realloc::<Libc>(block.cast(), size) }.cast()
}

/// POSIX.1-2024, reallocarray(3).
///
/// # Safety
///
/// `block` is null or a live block of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ralloc_reallocarray(
    block: *mut c_void,
    count: usize,
    size: usize,
) -> *mut c_void {
    // SAFETY: the caller's promise.
    unsafe { c_abi::reallocarray::<Libc>(block.cast(), count, size) }.cast()
}

/// ISO C17, aligned_alloc(3).
#[unsafe(no_mangle)]
pub extern "C" fn ralloc_aligned_alloc(align: usize, size: usize) -> *mut c_void {
    c_abi::aligned_alloc::<Libc>(align, size).cast()
}

/// POSIX, posix_memalign(3). On failure the pointer is left alone.
///
/// # Safety
///
/// `out` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ralloc_posix_memalign(
    out: *mut *mut c_void,
    align: usize,
    size: usize,
) -> c_int {
    match c_abi::posix_memalign::<Libc>(align, size) {
        Ok(block) => {
            // SAFETY: the caller's promise.
            unsafe { out.write(NonNull::cast::<c_void>(block).as_ptr()) };
            0
        }
        Err(why) => code(why),
    }
}

/// ISO C23, free_sized.
///
/// # Safety
///
/// `block` is null, or was allocated with `size` by malloc, calloc or realloc, and is live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ralloc_free_sized(block: *mut c_void, size: usize) {
    // SAFETY: the caller's promise.
    unsafe { c_abi::free_sized::<Libc>(block.cast(), size) };
}

/// ISO C23, free_aligned_sized.
///
/// # Safety
///
/// `block` is null, or was allocated with `align` and `size` by aligned_alloc, and is live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ralloc_free_aligned_sized(block: *mut c_void, _align: usize, size: usize) {
    // SAFETY: the caller's promise.
    unsafe { c_abi::free_sized::<Libc>(block.cast(), size) };
}

/// SUSv2, sbrk(2).
///
/// # Safety
///
/// Memory that a negative increment gives up is not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ralloc_sbrk(increment: isize) -> *mut c_void {
    // SAFETY: the caller's promise.
    match unsafe { sbrk::sbrk::<Libc>(increment) } {
        Ok(old) => core::ptr::with_exposed_provenance_mut(old),
        Err(why) => {
            set_errno(code(why));
            NO_BREAK
        }
    }
}

/// SUSv2, brk(2).
///
/// # Safety
///
/// Memory above `address` is not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ralloc_brk(address: *mut c_void) -> c_int {
    // SAFETY: the caller's promise.
    match unsafe { sbrk::brk::<Libc>(address.expose_provenance()) } {
        Ok(()) => 0,
        Err(why) => {
            set_errno(code(why));
            -1
        }
    }
}
