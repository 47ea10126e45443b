//! The C symbols of malloc on ralloc, for programs that preload or link them.
//!
//! Semantics are in the crate `ralloc` (`c_abi`); here are the names, the types and `errno`.
#![no_std]

use core::{ffi::c_void, ptr::NonNull};

use core_ralloc::{Defaults, Failure, Instance, Process, c_abi, sbrk};
use ralloc_platform::{EINVAL, ENOMEM, StaticBlock, System, set_errno};

mod start;

/// The allocator behind the C symbols.
pub(crate) struct Libc;

static PROCESS: Process<Libc> = Process::new(System);

// SAFETY: the state is one static.
unsafe impl Instance for Libc {
    type Platform = System;
    type Thread = StaticBlock;
    type Tuning = Defaults;

    #[inline(always)]
    fn process() -> &'static Process<Self> {
        &PROCESS
    }

    #[cold]
    fn on_failure(why: Failure) {
        set_errno(code(why));
    }
}

fn code(why: Failure) -> i32 {
    match why {
        Failure::NoMemory => ENOMEM,
        Failure::BadArgument => EINVAL,
    }
}

/// What C functions return for "the break did not move".
const NO_BREAK: *mut c_void = core::ptr::without_provenance_mut(usize::MAX);

/// ISO C, malloc(3).
#[unsafe(no_mangle)]
pub extern "C" fn malloc(size: usize) -> *mut c_void {
    c_abi::malloc::<Libc>(size).cast()
}

/// ISO C, free(3).
///
/// # Safety
///
/// `block` is null or a live block of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free(block: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { c_abi::free::<Libc>(block.cast()) };
}

/// ISO C, calloc(3).
#[unsafe(no_mangle)]
pub extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    c_abi::calloc::<Libc>(count, size).cast()
}

/// ISO C, realloc(3).
///
/// # Safety
///
/// `block` is null or a live block of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: the caller's promise.
    unsafe { c_abi::realloc::<Libc>(block.cast(), size) }.cast()
}

/// POSIX.1-2024, reallocarray(3).
///
/// # Safety
///
/// `block` is null or a live block of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reallocarray(
    block: *mut c_void,
    count: usize,
    size: usize,
) -> *mut c_void {
    // SAFETY: the caller's promise.
    unsafe { c_abi::reallocarray::<Libc>(block.cast(), count, size) }.cast()
}

/// ISO C17, aligned_alloc(3).
#[unsafe(no_mangle)]
pub extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
    c_abi::aligned_alloc::<Libc>(align, size).cast()
}

/// POSIX, posix_memalign(3). On failure the pointer is left alone.
///
/// # Safety
///
/// `out` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_memalign(out: *mut *mut c_void, align: usize, size: usize) -> i32 {
    match c_abi::posix_memalign::<Libc>(align, size) {
        Ok(block) => {
            // SAFETY: the caller's promise.
            unsafe { out.write(NonNull::cast::<c_void>(block).as_ptr()) };
            0
        }
        Err(why) => code(why),
    }
}

/// Obsolete, memalign(3).
#[unsafe(no_mangle)]
pub extern "C" fn memalign(align: usize, size: usize) -> *mut c_void {
    c_abi::memalign::<Libc>(align, size).cast()
}

/// Obsolete, valloc(3).
#[unsafe(no_mangle)]
pub extern "C" fn valloc(size: usize) -> *mut c_void {
    c_abi::valloc::<Libc>(size).cast()
}

/// Obsolete, pvalloc(3).
#[unsafe(no_mangle)]
pub extern "C" fn pvalloc(size: usize) -> *mut c_void {
    c_abi::pvalloc::<Libc>(size).cast()
}

/// GNU, malloc_usable_size(3).
///
/// # Safety
///
/// `block` is null or a live block of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_usable_size(block: *mut c_void) -> usize {
    // SAFETY: the caller's promise.
    unsafe { c_abi::malloc_usable_size::<Libc>(block.cast()) }
}

/// GNU, malloc_trim(3). The pad is ignored: nothing is kept at the top of a heap that has no top.
#[unsafe(no_mangle)]
pub extern "C" fn malloc_trim(_pad: usize) -> i32 {
    i32::from(c_abi::malloc_trim::<Libc>())
}

/// ISO C23, free_sized.
///
/// # Safety
///
/// `block` is null, or was allocated with `size` by malloc, calloc or realloc, and is live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free_sized(block: *mut c_void, _size: usize) {
    // SAFETY: the caller's promise.
    unsafe { c_abi::free::<Libc>(block.cast()) };
}

/// ISO C23, free_aligned_sized.
///
/// # Safety
///
/// `block` is null, or was allocated with `align` and `size` by aligned_alloc, and is live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free_aligned_sized(block: *mut c_void, _align: usize, _size: usize) {
    // SAFETY: the caller's promise.
    unsafe { c_abi::free::<Libc>(block.cast()) };
}

/// SUSv2, sbrk(2).
///
/// # Safety
///
/// Memory that a negative increment gives up is not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sbrk(increment: isize) -> *mut c_void {
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
pub unsafe extern "C" fn brk(address: *mut c_void) -> i32 {
    // SAFETY: the caller's promise.
    match unsafe { sbrk::brk::<Libc>(address.expose_provenance()) } {
        Ok(()) => 0,
        Err(why) => {
            set_errno(code(why));
            -1
        }
    }
}

/// The library has nobody to report to: it ends the process.
fn give_up() -> ! {
    use ralloc_platform::Platform;
    System.write_stderr(b"ralloc: internal error\n");
    System.abort()
}

ralloc_platform::on_panic!(give_up);
