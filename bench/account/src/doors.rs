//! The C functions. Each notes what it was asked for.

use crate::{Libc, notes};
use libc::{c_int, c_void, size_t};
use ralloc::c_abi;

fn noted(block: *mut u8, size: usize) -> *mut c_void {
    notes::born(block.addr(), size);
    block.cast()
}

/// C's `malloc`.
#[unsafe(no_mangle)]
pub extern "C" fn malloc(size: size_t) -> *mut c_void {
    noted(c_abi::malloc::<Libc>(size), size)
}

/// C's `calloc`.
#[unsafe(no_mangle)]
pub extern "C" fn calloc(count: size_t, size: size_t) -> *mut c_void {
    noted(c_abi::calloc::<Libc>(count, size), count.wrapping_mul(size))
}

/// C's `free`.
///
/// # Safety
///
/// As C has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free(block: *mut c_void) {
    notes::gone(block.addr());
    // SAFETY: the caller's promise.
    unsafe { c_abi::free::<Libc>(block.cast()) };
}

/// C's `realloc`.
///
/// # Safety
///
/// As C has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn realloc(block: *mut c_void, size: size_t) -> *mut c_void {
    let before = notes::gone(block.addr());
    // SAFETY: the caller's promise.
    let new = unsafe { c_abi::realloc::<Libc>(block.cast(), size) };
    if new.is_null() && size != 0 {
        notes::born(block.addr(), before.unwrap_or_default());
    }
    noted(new, size)
}

/// POSIX' `reallocarray`.
///
/// # Safety
///
/// As POSIX has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reallocarray(
    block: *mut c_void,
    count: size_t,
    size: size_t,
) -> *mut c_void {
    match count.checked_mul(size) {
        // SAFETY: the caller's promise.
        Some(bytes) => unsafe { realloc(block, bytes) },
        // SAFETY: it fails, and leaves the block alone.
        None => unsafe { c_abi::reallocarray::<Libc>(block.cast(), count, size) }.cast(),
    }
}

/// C's `aligned_alloc`.
#[unsafe(no_mangle)]
pub extern "C" fn aligned_alloc(align: size_t, size: size_t) -> *mut c_void {
    noted(c_abi::aligned_alloc::<Libc>(align, size), size)
}

/// The older name of `aligned_alloc`.
#[unsafe(no_mangle)]
pub extern "C" fn memalign(align: size_t, size: size_t) -> *mut c_void {
    noted(c_abi::memalign::<Libc>(align, size), size)
}

/// POSIX' `posix_memalign`.
///
/// # Safety
///
/// `place` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_memalign(
    place: *mut *mut c_void,
    align: size_t,
    size: size_t,
) -> c_int {
    match c_abi::posix_memalign::<Libc>(align, size) {
        Ok(block) => {
            // SAFETY: the caller's promise.
            unsafe { place.write(noted(block.as_ptr(), size)) };
            0
        }
        Err(ralloc::Failure::BadArgument) => libc::EINVAL,
        Err(_) => libc::ENOMEM,
    }
}

/// BSD's `valloc`.
#[unsafe(no_mangle)]
pub extern "C" fn valloc(size: size_t) -> *mut c_void {
    noted(c_abi::valloc::<Libc>(size), size)
}

/// GNU's `pvalloc`.
#[unsafe(no_mangle)]
pub extern "C" fn pvalloc(size: size_t) -> *mut c_void {
    noted(c_abi::pvalloc::<Libc>(size), size)
}

/// GNU's `malloc_usable_size`.
///
/// # Safety
///
/// As GNU has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_usable_size(block: *mut c_void) -> size_t {
    // SAFETY: the caller's promise.
    unsafe { c_abi::malloc_usable_size::<Libc>(block.cast()) }
}

/// GNU's `malloc_trim`.
#[unsafe(no_mangle)]
pub extern "C" fn malloc_trim(_: size_t) -> c_int {
    c_abi::malloc_trim::<Libc>().into()
}
