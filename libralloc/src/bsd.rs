//! What the C libraries of the BSDs and of macOS have beyond the standards, under the library's own prefix.
//!
//! The comments here are those of `include/ralloc.h`.

use core::ffi::c_void;

use core_ralloc::c_abi;

use crate::Libc;

/// FreeBSD, reallocf(3): as realloc, but a block that cannot be resized is given back.
///
/// # Safety
///
/// `block` is null or a live block of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ralloc_reallocf(block: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: the caller's promise.
    unsafe { c_abi::reallocf::<Libc>(block.cast(), size) }.cast()
}

/// OpenBSD, recallocarray(3): as reallocarray; what is new reads zero, and what is given up is cleared. EINVAL if
/// `old_count * size` overflows, ENOMEM if `new_count * size` does.
///
/// # Safety
///
/// `block` is null or a live block of this library that was allocated with `old_count * size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ralloc_recallocarray(
    block: *mut c_void,
    old_count: usize,
    new_count: usize,
    size: usize,
) -> *mut c_void {
    // SAFETY: the caller's promise.
    unsafe { c_abi::recallocarray::<Libc>(block.cast(), old_count, new_count, size) }.cast()
}

/// OpenBSD, freezero(3): clear the first `size` bytes of a block, which no optimisation leaves out, and give it back.
///
/// # Safety
///
/// `block` is null or a live block of this library that was allocated with `size` bytes or more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ralloc_freezero(block: *mut c_void, size: usize) {
    // SAFETY: the caller's promise.
    unsafe { c_abi::freezero::<Libc>(block.cast(), size) };
}

/// macOS, malloc_size(3): as malloc_usable_size.
///
/// # Safety
///
/// `block` is null or a live block of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ralloc_malloc_size(block: *const c_void) -> usize {
    // SAFETY: the caller's promise.
    unsafe { c_abi::malloc_usable_size::<Libc>(block.cast_mut().cast()) }
}

/// macOS, malloc_good_size(3): the usable size of the block that malloc would return for `size`.
#[unsafe(no_mangle)]
pub extern "C" fn ralloc_malloc_good_size(size: usize) -> usize {
    c_abi::malloc_good_size(size)
}
