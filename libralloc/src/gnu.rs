//! What GNU's `<malloc.h>` has beyond the standards, under the library's own prefix.
//!
//! The comments here are those of `include/ralloc.h`.

use core::{
    ffi::{c_int, c_void},
    fmt,
};

use core_ralloc::{Instance, Purge, c_abi, info, stats};
use ralloc_platform::{EINVAL, resident, set_errno, write_stream};

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
pub extern "C" fn ralloc_malloc_trim(_pad: usize) -> c_int {
    i32::from(c_abi::malloc_trim::<Libc>())
}

/// What mallinfo2 reports, in bytes but for the numbers. `uordblks + hblkhd` is the sum of the usable sizes of all blocks
/// (blocks that other threads hold in reserve included), `arena == uordblks + fordblks`.
#[repr(C)]
#[allow(non_camel_case_types, reason = "the name is C")]
pub struct ralloc_mallinfo2 {
    /// Mapped for blocks that are not huge.
    pub arena: usize,
    /// Free blocks and free runs of memory, their number.
    pub ordblks: usize,
    /// Always 0.
    pub smblks: usize,
    /// Huge blocks (above 2 MiB), their number.
    pub hblks: usize,
    /// In huge blocks.
    pub hblkhd: usize,
    /// The most that blocks have ever taken up.
    pub usmblks: usize,
    /// Always 0.
    pub fsmblks: usize,
    /// In blocks that are not huge.
    pub uordblks: usize,
    /// Mapped for blocks that are not huge, and free.
    pub fordblks: usize,
    /// What malloc_trim would give back.
    pub keepcost: usize,
}

/// As ralloc_mallinfo2. What does not fit is INT_MAX.
#[repr(C)]
#[allow(non_camel_case_types, reason = "the name is C")]
pub struct ralloc_mallinfo {
    /// As in ralloc_mallinfo2.
    pub arena: c_int,
    /// As in ralloc_mallinfo2.
    pub ordblks: c_int,
    /// As in ralloc_mallinfo2.
    pub smblks: c_int,
    /// As in ralloc_mallinfo2.
    pub hblks: c_int,
    /// As in ralloc_mallinfo2.
    pub hblkhd: c_int,
    /// As in ralloc_mallinfo2.
    pub usmblks: c_int,
    /// As in ralloc_mallinfo2.
    pub fsmblks: c_int,
    /// As in ralloc_mallinfo2.
    pub uordblks: c_int,
    /// As in ralloc_mallinfo2.
    pub fordblks: c_int,
    /// As in ralloc_mallinfo2.
    pub keepcost: c_int,
}

/// GNU, mallinfo2(3), of this heap.
#[unsafe(no_mangle)]
pub extern "C" fn ralloc_mallinfo2() -> ralloc_mallinfo2 {
    let info = info::info::<Libc>();
    ralloc_mallinfo2 {
        arena: info.arena,
        ordblks: info.free_count,
        smblks: 0,
        hblks: info.huge_count,
        hblkhd: info.huge,
        usmblks: info.peak,
        fsmblks: 0,
        uordblks: info.used,
        fordblks: info.free,
        keepcost: info.retained,
    }
}

/// GNU, mallinfo(3), of this heap.
#[unsafe(no_mangle)]
pub extern "C" fn ralloc_mallinfo() -> ralloc_mallinfo {
    let info = ralloc_mallinfo2();
    let int = |figure: usize| c_int::try_from(figure).unwrap_or(c_int::MAX);
    ralloc_mallinfo {
        arena: int(info.arena),
        ordblks: int(info.ordblks),
        smblks: int(info.smblks),
        hblks: int(info.hblks),
        hblkhd: int(info.hblkhd),
        usmblks: int(info.usmblks),
        fsmblks: int(info.fsmblks),
        uordblks: int(info.uordblks),
        fordblks: int(info.fordblks),
        keepcost: int(info.keepcost),
    }
}

/// `M_TRIM_THRESHOLD` of `<malloc.h>`.
const TRIM_THRESHOLD: c_int = -1;

/// GNU, mallopt(3). Returns 1 for what this heap has: M_TRIM_THRESHOLD, the bytes of idle memory that it keeps (a negative
/// value: all of it). Returns 0 and does nothing for the rest.
#[unsafe(no_mangle)]
pub extern "C" fn ralloc_mallopt(parameter: c_int, value: c_int) -> c_int {
    if parameter != TRIM_THRESHOLD {
        return 0;
    }
    Libc::process().set_purge(match usize::try_from(value) {
        Ok(bytes) => Purge::Above(bytes),
        Err(_) => Purge::Never,
    });
    1
}

/// GNU, malloc_stats(3): print the statistics of this heap on standard error.
#[unsafe(no_mangle)]
pub extern "C" fn ralloc_malloc_stats() {
    stats::print_stats::<Libc>(resident());
}

/// GNU, malloc_info(3): write the figures of this heap to a `FILE` of `<stdio.h>`, as XML. `options` is 0. Returns 0, or -1 with
/// EINVAL for other options or with the error of the stream.
///
/// # Safety
///
/// `stream` is an open stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ralloc_malloc_info(options: c_int, stream: *mut c_void) -> c_int {
    if options != 0 {
        set_errno(EINVAL);
        return -1;
    }
    match info::write_xml::<Libc>(&mut Stream(stream)) {
        Ok(()) => 0,
        Err(fmt::Error) => -1,
    }
}

/// A stream of the C library, open while this exists.
struct Stream(*mut c_void);

impl fmt::Write for Stream {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // SAFETY: the stream is open.
        match unsafe { write_stream(self.0, text.as_bytes()) } {
            true => Ok(()),
            false => Err(fmt::Error),
        }
    }
}
