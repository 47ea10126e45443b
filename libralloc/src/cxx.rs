//! C++ `operator new` and `operator delete`, without a C++ runtime to link to.
//!
//! What fails does as the standard has it: the new-handler is called until there is memory, and `std::bad_alloc` is
//! thrown if there is none. Both are the business of the C++ runtime, which is looked for when it has come to that: a program
//! that has none ends with one line on standard error.
//!
//! A handler may throw as well, and Rust code cannot be thrown through. So the loop of the failure is a
//! function of assembly whose frame holds nothing to clean up, and to which the Rust code in front of it jumps.

use core::{
    ffi::{CStr, c_void},
    mem::transmute,
    ptr::{self, NonNull},
};

use core_ralloc::c_abi;
use ralloc_platform::{Platform, System, symbol_in, weak_symbol};

use crate::Libc;

mod insist;

/// What is said before the process ends because nobody can throw.
const NOBODY_THROWS: &[u8] =
    b"ralloc: operator new: out of memory, and no C++ runtime to throw std::bad_alloc\n";

/// The C++ runtimes there are, as the loader names them.
const RUNTIMES: [&CStr; 3] = [c"libstdc++.so.6", c"libc++.so.1", c"libc++abi.so.1"];

weak_symbol!(throw_bad_alloc, "_ZSt17__throw_bad_allocv");
weak_symbol!(get_new_handler, "_ZSt15get_new_handlerv");

/// C++ operator new(size).
#[unsafe(no_mangle)]
pub extern "C" fn ralloc_new(size: usize) -> *mut c_void {
    let block = c_abi::malloc::<Libc>(size);
    if block.is_null() {
        return insist::insist(size, 0);
    }
    block.cast()
}

/// C++ operator new(size, align). Throws std::bad_alloc at once if `align` is not a power of two.
#[unsafe(no_mangle)]
pub extern "C" fn ralloc_new_aligned(size: usize, align: usize) -> *mut c_void {
    let block = c_abi::aligned_alloc::<Libc>(align, size);
    if block.is_null() {
        return insist::insist(size, align);
    }
    block.cast()
}

/// C++ operator new(size, std::nothrow).
#[unsafe(no_mangle)]
pub extern "C" fn ralloc_new_nothrow(size: usize) -> *mut c_void {
    let block = c_abi::malloc::<Libc>(size);
    if block.is_null() && new_handler().is_some() {
        return ask_runtime(c"_ZnwmRKSt9nothrow_t", size);
    }
    block.cast()
}

/// C++ operator new(size, align, std::nothrow).
#[unsafe(no_mangle)]
pub extern "C" fn ralloc_new_aligned_nothrow(size: usize, align: usize) -> *mut c_void {
    let block = c_abi::aligned_alloc::<Libc>(align, size);
    if block.is_null() && new_handler().is_some() {
        return ask_runtime_aligned(c"_ZnwmSt11align_val_tRKSt9nothrow_t", size, align);
    }
    block.cast()
}

/// C++ operator delete(block).
///
/// # Safety
///
/// `block` is null or a live block of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ralloc_delete(block: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { c_abi::free::<Libc>(block.cast()) };
}

/// C++ operator delete(block, size).
///
/// # Safety
///
/// `block` is null, or was allocated with `size`, and is live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ralloc_delete_sized(block: *mut c_void, size: usize) {
    // SAFETY: the caller's promise.
    unsafe { c_abi::free_sized::<Libc>(block.cast(), size) };
}

/// C++ operator delete(block, align).
///
/// # Safety
///
/// `block` is null, or was allocated with `align`, and is live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ralloc_delete_aligned(block: *mut c_void, _align: usize) {
    // SAFETY: the caller's promise.
    unsafe { c_abi::free::<Libc>(block.cast()) };
}

/// C++ operator delete(block, size, align).
///
/// # Safety
///
/// `block` is null, or was allocated with `size` and `align`, and is live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ralloc_delete_sized_aligned(
    block: *mut c_void,
    size: usize,
    _align: usize,
) {
    // SAFETY: the caller's promise.
    unsafe { c_abi::free_sized::<Libc>(block.cast(), size) };
}

/// One more attempt; 0 stands for the alignment of malloc.
extern "C" fn attempt(size: usize, align: usize) -> *mut u8 {
    match align {
        0 => c_abi::malloc::<Libc>(size),
        _ => c_abi::aligned_alloc::<Libc>(align, size),
    }
}

/// What comes between two attempts: the new-handler, or what throws, or the end.
extern "C" fn next_step(_size: usize, align: usize) -> extern "C" fn() {
    // No handler makes a power of two of an alignment that is none.
    let handler = new_handler().filter(|_| align == 0 || align.is_power_of_two());
    if let Some(handler) = handler {
        return handler;
    }
    match find(throw_bad_alloc(), c"_ZSt17__throw_bad_allocv") {
        // SAFETY: `void std::__throw_bad_alloc()`, of libstdc++ and libc++.
        Some(throw) => unsafe { transmute::<NonNull<c_void>, extern "C" fn()>(throw) },
        None => nobody_throws,
    }
}

extern "C" fn nobody_throws() {
    System.write_stderr(NOBODY_THROWS);
    System.abort()
}

/// The program's new-handler, if it has set one.
fn new_handler() -> Option<extern "C" fn()> {
    let get = find(get_new_handler(), c"_ZSt15get_new_handlerv")?;
    // SAFETY: `std::new_handler std::get_new_handler() noexcept`.
    let get =
        unsafe { transmute::<NonNull<c_void>, extern "C" fn() -> Option<extern "C" fn()>>(get) };
    get()
}

/// Ask the runtime's own operator of this name, which calls ours or the program's and catches what that throws: only C++
/// code can. Null if there is no such operator: then nobody has the right to throw.
#[cold]
pub(crate) fn ask_runtime(name: &CStr, size: usize) -> *mut c_void {
    type Operator = extern "C" fn(usize, *const u8) -> *mut c_void;
    let Some(operator) = find_in_runtime(name) else {
        return ptr::null_mut();
    };
    // SAFETY: `void *operator new(std::size_t, const std::nothrow_t &) noexcept`.
    let operator = unsafe { transmute::<NonNull<c_void>, Operator>(operator) };
    operator(size, &0)
}

/// As [`ask_runtime`].
#[cold]
pub(crate) fn ask_runtime_aligned(name: &CStr, size: usize, align: usize) -> *mut c_void {
    type Operator = extern "C" fn(usize, usize, *const u8) -> *mut c_void;
    let Some(operator) = find_in_runtime(name) else {
        return ptr::null_mut();
    };
    // SAFETY: `void *operator new(std::size_t, std::align_val_t, const std::nothrow_t &) noexcept`.
    let operator = unsafe { transmute::<NonNull<c_void>, Operator>(operator) };
    operator(size, align, &0)
}

/// What the linker found, else what a runtime has that was loaded later or for one library only.
fn find(linked: Option<NonNull<c_void>>, name: &CStr) -> Option<NonNull<c_void>> {
    linked.or_else(|| find_in_runtime(name))
}

fn find_in_runtime(name: &CStr) -> Option<NonNull<c_void>> {
    RUNTIMES.iter().find_map(|runtime| symbol_in(runtime, name))
}
