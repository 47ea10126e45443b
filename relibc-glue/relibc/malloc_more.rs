//! What GNU's `malloc.h` has and relibc had not.

use crate::platform::{
    self,
    types::{c_int, size_t},
};

/// See <https://man7.org/linux/man-pages/man3/mallinfo.3.html>. In bytes, but for the numbers.
#[repr(C)]
pub struct mallinfo2 {
    /// Mapped for blocks that are not huge.
    pub arena: size_t,
    /// Free blocks and free runs of memory, their number.
    pub ordblks: size_t,
    /// Always 0.
    pub smblks: size_t,
    /// Huge blocks, their number.
    pub hblks: size_t,
    /// In huge blocks.
    pub hblkhd: size_t,
    /// The most that blocks have ever taken up.
    pub usmblks: size_t,
    /// Always 0.
    pub fsmblks: size_t,
    /// In blocks that are not huge.
    pub uordblks: size_t,
    /// Mapped for blocks that are not huge, and free.
    pub fordblks: size_t,
    /// What malloc_trim would give back.
    pub keepcost: size_t,
}

/// See <https://man7.org/linux/man-pages/man3/mallinfo.3.html>.
#[unsafe(no_mangle)]
pub extern "C" fn mallinfo2() -> mallinfo2 {
    let info = platform::info();
    mallinfo2 {
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

/// See <https://man7.org/linux/man-pages/man3/malloc_trim.3.html>. The pad is ignored: there is no top of the heap to keep.
#[unsafe(no_mangle)]
pub extern "C" fn malloc_trim(_pad: size_t) -> c_int {
    c_int::from(platform::trim())
}
