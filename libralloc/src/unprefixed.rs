//! The names under which programs know the functions.

use core::ffi::{c_int, c_void};

use crate::{bsd, c, gnu};

/// Each `name` is the function `target`.
macro_rules! names {
    ($($name:ident = $target:path: ($($arg:ident: $type:ty),*) $(-> $result:ty)?;)*) => {$(
        #[unsafe(no_mangle)]
        #[allow(unused_unsafe, reason = "some of the targets are safe functions")]
        unsafe extern "C" fn $name($($arg: $type),*) $(-> $result)? {
            // SAFETY: the caller's promise, which is the target's.
            unsafe { $target($($arg),*) }
        }
    )*};
}

names! {
    // ISO C
    malloc = c::ralloc_malloc: (size: usize) -> *mut c_void;
    calloc = c::ralloc_calloc: (count: usize, size: usize) -> *mut c_void;
    realloc = c::ralloc_realloc: (block: *mut c_void, size: usize) -> *mut c_void;
    free = c::ralloc_free: (block: *mut c_void);
    free_sized = c::ralloc_free_sized: (block: *mut c_void, size: usize);
    free_aligned_sized = c::ralloc_free_aligned_sized: (block: *mut c_void, align: usize, size: usize);
    aligned_alloc = c::ralloc_aligned_alloc: (align: usize, size: usize) -> *mut c_void;

    // POSIX
    posix_memalign = c::ralloc_posix_memalign: (out: *mut *mut c_void, align: usize, size: usize) -> c_int;
    reallocarray = c::ralloc_reallocarray: (block: *mut c_void, count: usize, size: usize) -> *mut c_void;
    sbrk = c::ralloc_sbrk: (increment: isize) -> *mut c_void;
    brk = c::ralloc_brk: (address: *mut c_void) -> c_int;

    // GNU
    memalign = gnu::ralloc_memalign: (align: usize, size: usize) -> *mut c_void;
    valloc = gnu::ralloc_valloc: (size: usize) -> *mut c_void;
    pvalloc = gnu::ralloc_pvalloc: (size: usize) -> *mut c_void;
    cfree = c::ralloc_free: (block: *mut c_void);
    malloc_usable_size = gnu::ralloc_malloc_usable_size: (block: *mut c_void) -> usize;
    malloc_trim = gnu::ralloc_malloc_trim: (pad: usize) -> c_int;

    mallinfo = gnu::ralloc_mallinfo: () -> gnu::ralloc_mallinfo;
    mallinfo2 = gnu::ralloc_mallinfo2: () -> gnu::ralloc_mallinfo2;
    mallopt = gnu::ralloc_mallopt: (parameter: c_int, value: c_int) -> c_int;
    malloc_stats = gnu::ralloc_malloc_stats: ();
    malloc_info = gnu::ralloc_malloc_info: (options: c_int, stream: *mut c_void) -> c_int;

    // The GNU C library's own names, which some programs use to get at the allocator behind their wrapper.
    __libc_malloc = c::ralloc_malloc: (size: usize) -> *mut c_void;
    __libc_calloc = c::ralloc_calloc: (count: usize, size: usize) -> *mut c_void;
    __libc_realloc = c::ralloc_realloc: (block: *mut c_void, size: usize) -> *mut c_void;
    __libc_reallocarray = c::ralloc_reallocarray: (block: *mut c_void, count: usize, size: usize) -> *mut c_void;
    __libc_free = c::ralloc_free: (block: *mut c_void);
    __libc_cfree = c::ralloc_free: (block: *mut c_void);
    __libc_memalign = gnu::ralloc_memalign: (align: usize, size: usize) -> *mut c_void;
    __libc_valloc = gnu::ralloc_valloc: (size: usize) -> *mut c_void;
    __libc_pvalloc = gnu::ralloc_pvalloc: (size: usize) -> *mut c_void;
    __libc_mallinfo = gnu::ralloc_mallinfo: () -> gnu::ralloc_mallinfo;
    __libc_mallopt = gnu::ralloc_mallopt: (parameter: c_int, value: c_int) -> c_int;
    __posix_memalign = c::ralloc_posix_memalign: (out: *mut *mut c_void, align: usize, size: usize) -> c_int;

    // BSD
    reallocf = bsd::ralloc_reallocf: (block: *mut c_void, size: usize) -> *mut c_void;
    recallocarray = bsd::ralloc_recallocarray:
        (block: *mut c_void, old_count: usize, new_count: usize, size: usize) -> *mut c_void;
    freezero = bsd::ralloc_freezero: (block: *mut c_void, size: usize);
    malloc_size = bsd::ralloc_malloc_size: (block: *const c_void) -> usize;
    malloc_good_size = bsd::ralloc_malloc_good_size: (size: usize) -> usize;
}
