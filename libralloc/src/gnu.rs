//! What GNU's `<malloc.h>` has beyond the standards, under the library's own prefix.
//!
//! The comments here are those of `include/ralloc.h`.

use core::ffi::c_void;

use core_ralloc::c_abi;

use crate::Libc;

/// Obsolete, memalign(3).
#[unsafe(no_mangle)]
pub extern "C" fn ralloc_memalign(align: usize, size: usize) -> *mut c_void {
    c_abi::memalign::<Libc>(align, size).cast()
}

/// Obsolete, valloc(3).
#[unsafe(no_mangle)]
pub extern "C" fn ralloc_valloc(size: usize) -> *mut c_void {
    c_abi::valloc::<Libc>(size).cast()
}

/// Obsolete, pvalloc(3).
#[unsafe(no_mangle)]
pub extern "C" fn ralloc_pvalloc(size: usize) -> *mut c_void {
    c_abi::pvalloc::<Libc>(size).cast()
}

/// GNU, malloc_usable_size(3).
///
/// # Safety
///
/// `block` is null or a live block of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ralloc_malloc_usable_size(block: *mut c_void) -> usize {
    // SAFETY: the caller's promise.
    unsafe { c_abi::malloc_usable_size::<Libc>(block.cast()) }
}

/// GNU, malloc_trim(3). The pad is ignored: nothing is kept at the top of a heap that has no top.
#[unsafe(no_mangle)]
pub extern "C" fn ralloc_malloc_trim(_pad: usize) -> i32 {
    i32::from(c_abi::malloc_trim::<Libc>())
}
