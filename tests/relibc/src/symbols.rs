//! What the compiler and the linker want of a C library.

use core::{
    arch::asm,
    ffi::{c_char, c_int, c_long, c_void},
};

use crate::kernel;

/// # Safety
///
/// memcpy(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, size: usize) -> *mut u8 {
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            "rep movsb",
            inout("rdi") to => _, inout("rsi") from => _, inout("rcx") size => _,
            options(nostack, preserves_flags),
        );
    }
    to
}

/// # Safety
///
/// memmove(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, size: usize) -> *mut u8 {
    if to.addr().wrapping_sub(from.addr()) >= size {
        // SAFETY: the caller's promise; forwards is right.
        return unsafe { memcpy(to, from, size) };
    }
    // SAFETY: the caller's promise; from the last byte to the first.
    unsafe {
        asm!(
            "std", "rep movsb", "cld",
            inout("rdi") to.wrapping_add(size).wrapping_sub(1) => _,
            inout("rsi") from.wrapping_add(size).wrapping_sub(1) => _,
            inout("rcx") size => _,
            options(nostack),
        );
    }
    to
}

/// # Safety
///
/// memset(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memset(to: *mut u8, byte: c_int, size: usize) -> *mut u8 {
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            "rep stosb",
            inout("rdi") to => _, inout("rcx") size => _, in("al") byte as u8,
            options(nostack, preserves_flags),
        );
    }
    to
}

/// # Safety
///
/// memcmp(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcmp(one: *const u8, other: *const u8, size: usize) -> c_int {
    for index in 0..size {
        // SAFETY: the caller's promise.
        let a = unsafe { one.wrapping_add(index).read_volatile() };
        // SAFETY: the caller's promise.
        let b = unsafe { other.wrapping_add(index).read_volatile() };
        if a != b {
            return c_int::from(a) - c_int::from(b);
        }
    }
    0
}

/// # Safety
///
/// bcmp(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bcmp(one: *const u8, other: *const u8, size: usize) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { memcmp(one, other, size) }
}

/// # Safety
///
/// strlen(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn strlen(text: *const c_char) -> usize {
    let mut length = 0;
    // SAFETY: the caller's promise.
    while unsafe { text.wrapping_add(length).read_volatile() } != 0 {
        length += 1;
    }
    length
}

/// As relibc has it: it knows nothing.
#[unsafe(no_mangle)]
pub extern "C" fn getauxval(_entry: usize) -> usize {
    0
}

/// What brk(2) goes through.
///
/// # Safety
///
/// That of the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syscall(number: c_long, argument: usize) -> c_long {
    // SAFETY: the caller's promise.
    unsafe { kernel::call(number.cast_unsigned() as usize, [argument, 0, 0, 0, 0, 0]) as c_long }
}

/// What an abort goes through, to the thread that calls.
#[unsafe(no_mangle)]
pub extern "C" fn raise(signal: c_int) -> c_int {
    // SAFETY: gettid(2).
    let thread = unsafe { kernel::call(186, [0; 6]) }.cast_unsigned();
    // SAFETY: tkill(2).
    unsafe { kernel::call(200, [thread, signal as usize, 0, 0, 0, 0]) as c_int }
}

/// No signal is ever blocked here.
#[unsafe(no_mangle)]
pub extern "C" fn sigemptyset(_set: *mut c_void) -> c_int {
    0
}

/// As [`sigemptyset`].
#[unsafe(no_mangle)]
pub extern "C" fn sigaddset(_set: *mut c_void, _signal: c_int) -> c_int {
    0
}

/// As [`sigemptyset`].
#[unsafe(no_mangle)]
pub extern "C" fn pthread_sigmask(_: c_int, _: *const c_void, _: *mut c_void) -> c_int {
    0
}

/// No signal is ever handled here.
#[unsafe(no_mangle)]
pub extern "C" fn signal(_signal: c_int, _handler: usize) -> usize {
    0
}

/// _exit(2).
#[unsafe(no_mangle)]
pub extern "C" fn _exit(status: c_int) -> ! {
    kernel::exit(status as usize)
}

/// Names that the platform's code has in it and the glue never comes to.
macro_rules! never_asked_for {
    ($($name:ident)*) => {$(
        /// Ends the process: the glue asks for nothing.
        #[unsafe(no_mangle)]
        pub extern "C" fn $name() -> ! {
            kernel::fail(&["the glue asked for ", stringify!($name)])
        }
    )*};
}

never_asked_for! {
    __errno_location pthread_atfork pthread_key_create pthread_getspecific pthread_setspecific
    dlsym dlopen dl_iterate_phdr fwrite
}

/// Nobody's environment.
#[unsafe(no_mangle)]
pub static environ: usize = 0;

fn panicked() -> ! {
    kernel::fail(&["panicked"])
}

ralloc_platform::on_panic!(panicked);

/// The assembly of some objects names it; nothing unwinds.
#[unsafe(no_mangle)]
pub extern "C" fn rust_eh_personality() {}
