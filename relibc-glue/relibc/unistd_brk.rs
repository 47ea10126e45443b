//! The program break, which the heap never uses.

use crate::{
    header::errno::ENOMEM,
    platform::{
        self,
        types::{c_int, c_void, intptr_t},
    },
};

/// See <https://pubs.opengroup.org/onlinepubs/7908799/xsh/brk.html>.
///
/// # Deprecation
/// Marked legacy in Issue 5, and removed in Issue 6.
#[deprecated]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn brk(addr: *mut c_void) -> c_int {
    if unsafe { platform::brk(addr) } {
        return 0;
    }
    platform::ERRNO.set(ENOMEM);
    -1
}

/// See <https://pubs.opengroup.org/onlinepubs/7908799/xsh/brk.html>.
///
/// # Deprecation
/// Marked legacy in Issue 5, and removed in Issue 6.
#[deprecated]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sbrk(incr: intptr_t) -> *mut c_void {
    match unsafe { platform::sbrk(incr) } {
        Some(old) => old,
        None => {
            platform::ERRNO.set(ENOMEM);
            core::ptr::without_provenance_mut(usize::MAX)
        }
    }
}
