//! What C23 has added to `stdlib.h`.

use crate::platform::{
    self,
    types::{c_void, size_t},
};

/// ISO C23, 7.24.3.4: `ptr` is null, or was allocated with `size` by `malloc`, `calloc` or `realloc`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free_sized(ptr: *mut c_void, _size: size_t) {
    unsafe { platform::free(ptr) };
}

/// ISO C23, 7.24.3.5: `ptr` is null, or was allocated with `alignment` and `size` by `aligned_alloc`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free_aligned_sized(
    ptr: *mut c_void,
    _alignment: size_t,
    _size: size_t,
) {
    unsafe { platform::free(ptr) };
}
