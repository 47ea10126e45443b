//! `malloc` and its family on the `dlmalloc` crate behind one mutex.
//!
//! `malloc_usable_size` is absent: the crate cannot tell, and no workload asks.

use core::ffi::{c_int, c_void};
use core::ptr;
use std::sync::Mutex;

use dlmalloc::Dlmalloc;

struct Heap(Dlmalloc);

// SAFETY: the heap holds pointers to its own mappings only, and each use is under the mutex.
unsafe impl Send for Heap {}

static HEAP: Mutex<Heap> = Mutex::new(Heap(Dlmalloc::new()));

/// Runs `operation` under the one lock; null becomes `ENOMEM`.
fn locked(operation: impl FnOnce(&mut Dlmalloc) -> *mut u8) -> *mut c_void {
    let block = match HEAP.lock() {
        Ok(mut heap) => operation(&mut heap.0),
        Err(_) => ptr::null_mut(),
    };
    if block.is_null() {
        // SAFETY: the C library hands out this thread's `errno`.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: it stays valid as long as the thread.
        unsafe { *errno = libc::ENOMEM };
    }
    block.cast()
}

/// C's `malloc`.
#[unsafe(no_mangle)]
pub extern "C" fn malloc(size: usize) -> *mut c_void {
    // SAFETY: any size will do.
    locked(|heap| unsafe { heap.c_malloc(size) })
}

/// C's `free`.
///
/// # Safety
///
/// `block` is null, or comes from this library and has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free(block: *mut c_void) {
    if block.is_null() {
        return;
    }
    if let Ok(mut heap) = HEAP.lock() {
        // SAFETY: the caller's promise.
        unsafe { heap.0.c_free(block.cast()) };
    }
}

/// C's `calloc`.
#[unsafe(no_mangle)]
pub extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    // The alignment is `malloc`'s; memory fresh from the kernel is not cleared again.
    let align = 2 * size_of::<usize>();
    locked(|heap| match count.checked_mul(size) {
        // SAFETY: any size will do, and the alignment is a power of two.
        Some(bytes) => unsafe { heap.calloc(bytes, align) },
        None => ptr::null_mut(),
    })
}

/// C's `realloc`.
///
/// # Safety
///
/// `block` is null, or comes from this library and has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: the caller's promise.
    locked(|heap| unsafe { heap.c_realloc(block.cast(), size) })
}

/// C's `aligned_alloc`.
#[unsafe(no_mangle)]
pub extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
    let align = align.next_power_of_two();
    // SAFETY: the alignment is a power of two.
    locked(|heap| unsafe { heap.c_memalign(align, size) })
}

/// The older name of `aligned_alloc`.
#[unsafe(no_mangle)]
pub extern "C" fn memalign(align: usize, size: usize) -> *mut c_void {
    aligned_alloc(align, size)
}

/// POSIX' `posix_memalign`.
///
/// # Safety
///
/// `place` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_memalign(
    place: *mut *mut c_void,
    align: usize,
    size: usize,
) -> c_int {
    let block = aligned_alloc(align, size);
    if block.is_null() {
        return libc::ENOMEM;
    }
    // SAFETY: the caller's promise.
    unsafe { *place = block };
    0
}

/// GNU's `malloc_usable_size`. Without it a program that asks would ask the C library, about a block that is not its own.
///
/// # Safety
///
/// `block` is null, or comes from this library and has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_usable_size(block: *mut c_void) -> usize {
    const FLAGS: usize = 7;
    const IN_USE: usize = 3;
    if block.is_null() {
        return 0;
    }
    // SAFETY: in front of a block is a word with the size of its chunk.
    let head = unsafe { block.cast::<usize>().sub(1) };
    // SAFETY: as above; only the holder of the block may change the size.
    let head = unsafe { head.read() };
    // A chunk that is a mapping of its own says that neither it nor the one before is in use.
    let words = if head & IN_USE == 0 { 2 } else { 1 };
    (head & !FLAGS) - words * size_of::<usize>()
}
