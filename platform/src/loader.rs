//! What the dynamic loader knows: where the functions of other libraries are.
//!
//! Nothing here is linked to. In a program without a loader (it is static) there is nothing to be found.

use crate::posix::keep_errno;
use core::{
    ffi::{CStr, c_char, c_int, c_void},
    mem::transmute,
    ptr::NonNull,
};

/// A function `fn() -> Option<NonNull<c_void>>`: the address of a symbol that the program or one of its libraries may
/// define, and need not.
#[cfg(not(target_vendor = "apple"))]
#[macro_export]
macro_rules! weak_symbol {
    ($function:ident, $symbol:literal) => {
        core::arch::global_asm!(concat!(".weak ", $symbol));
        $crate::symbol_word!($function, $symbol);
    };
}

/// The same where the loader binds each library by itself: it is asked for the first that has such a symbol.
#[cfg(target_vendor = "apple")]
#[macro_export]
macro_rules! weak_symbol {
    ($function:ident, $symbol:literal) => {
        fn $function() -> Option<core::ptr::NonNull<core::ffi::c_void>> {
            $crate::symbol_anywhere(concat!($symbol, "\0"))
        }
    };
}

/// As [`weak_symbol!`], of a symbol that is certainly there. If it can be replaced, the address is that of the definition
/// that is in force.
#[cfg(not(target_vendor = "apple"))]
#[macro_export]
macro_rules! symbol_word {
    ($function:ident, $symbol:literal) => {
        core::arch::global_asm!(
            concat!(".pushsection .data.rel.ro.word_", $symbol, ",\"aw\",%progbits"),
            concat!(".globl ralloc_word_", $symbol),
            concat!(".hidden ralloc_word_", $symbol),
            ".p2align {align}",
            concat!("ralloc_word_", $symbol, ":"),
            concat!($crate::pointer_directive!(), $symbol),
            ".popsection",
            align = const size_of::<usize>().trailing_zeros(),
        );
        fn $function() -> Option<core::ptr::NonNull<core::ffi::c_void>> {
            unsafe extern "C" {
                #[link_name = concat!("ralloc_word_", $symbol)]
                static WORD: *mut core::ffi::c_void;
            }
            // SAFETY: a word of ours, which the linker or the loader has filled.
            core::ptr::NonNull::new(unsafe { WORD })
        }
    };
}

/// What makes a word of the address of a symbol.
#[doc(hidden)]
#[macro_export]
#[cfg(target_pointer_width = "64")]
macro_rules! pointer_directive {
    () => {
        ".quad "
    };
}
/// As for 64 bits.
#[doc(hidden)]
#[macro_export]
#[cfg(target_pointer_width = "32")]
macro_rules! pointer_directive {
    () => {
        ".long "
    };
}

#[cfg(not(target_vendor = "apple"))]
weak_symbol!(dlsym, "dlsym");
#[cfg(not(target_vendor = "apple"))]
weak_symbol!(dlopen, "dlopen");

/// The loader is in every program.
#[cfg(target_vendor = "apple")]
fn dlsym() -> Option<NonNull<c_void>> {
    NonNull::new(libc::dlsym as *mut c_void)
}
/// As above.
#[cfg(target_vendor = "apple")]
fn dlopen() -> Option<NonNull<c_void>> {
    NonNull::new(libc::dlopen as *mut c_void)
}

/// The address of `name`, which ends in a zero byte, in the program or any of its libraries. Keeps `errno`.
#[cfg(target_vendor = "apple")]
#[doc(hidden)]
pub fn symbol_anywhere(name: &str) -> Option<NonNull<c_void>> {
    let name = CStr::from_bytes_with_nul(name.as_bytes()).ok()?;
    look_up(libc::RTLD_DEFAULT, name)
}

type Dlsym = unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut c_void;
type Dlopen = unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void;

/// The address of `name` in the objects that come after the one that this code is linked into (dlsym(3), `RTLD_NEXT`).
/// Keeps `errno`.
pub fn next_symbol(name: &CStr) -> Option<NonNull<c_void>> {
    look_up(libc::RTLD_NEXT, name)
}

/// The address of `name` in `library`, if that is loaded, whoever it was loaded for. Keeps `errno`.
pub fn symbol_in(library: &CStr, name: &CStr) -> Option<NonNull<c_void>> {
    // SAFETY: dlopen(3), as the C library declares it.
    let dlopen = unsafe { transmute::<NonNull<c_void>, Dlopen>(dlopen()?) };
    let flags = libc::RTLD_LAZY | libc::RTLD_NOLOAD;
    // SAFETY: a string; nothing is loaded, so nothing of it runs. The library is counted as used once more, for good.
    let library = keep_errno(|| unsafe { dlopen(library.as_ptr(), flags) });
    look_up(NonNull::new(library)?.as_ptr(), name)
}

fn look_up(library: *mut c_void, name: &CStr) -> Option<NonNull<c_void>> {
    // SAFETY: dlsym(3), as the C library declares it.
    let dlsym = unsafe { transmute::<NonNull<c_void>, Dlsym>(dlsym()?) };
    // `dlsym` looks at its return address to see who is asking: not a tail call, because `errno` is put back behind it.
    // SAFETY: a handle of the loader, or one of its constants, and a string.
    NonNull::new(keep_errno(|| unsafe { dlsym(library, name.as_ptr()) }))
}
