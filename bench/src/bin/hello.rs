//! `hello`: says hello, allocates 20 blocks, looks at its own memory, exits.
//!
//! It is the C program that it looks like: without Rust's standard library, what it occupies is
//! the allocator's and the C library's.
#![no_std]
#![no_main]

use core::{
    ffi::{CStr, c_char, c_int, c_ulong, c_void},
    panic::PanicInfo,
    ptr,
};

// The crate `libc` may come with the standard library, hence by hand.
#[link(name = "c")]
unsafe extern "C" {
    fn abort() -> !;
    fn close(file: c_int) -> c_int;
    fn free(block: *mut c_void);
    fn malloc(size: usize) -> *mut c_void;
    fn open(path: *const c_char, flags: c_int, ...) -> c_int;
    fn printf(format: *const c_char, ...) -> c_int;
    fn puts(line: *const c_char) -> c_int;
    fn read(file: c_int, buffer: *mut c_void, size: usize) -> isize;
    fn strstr(text: *const c_char, part: *const c_char) -> *mut c_char;
    fn strtoul(digits: *const c_char, end: *mut *mut c_char, base: c_int) -> c_ulong;
}

const BLOCKS: usize = 20;

/// The start of a C program.
#[unsafe(no_mangle)]
pub extern "C" fn main(_argc: c_int, _argv: *const *const c_char) -> c_int {
    // SAFETY: the string ends in a zero.
    unsafe { puts(c"hello, world".as_ptr()) };
    let mut blocks = [ptr::null_mut::<u64>(); BLOCKS];
    for (number, place) in blocks.iter_mut().enumerate() {
        // SAFETY: `malloc` takes any size.
        *place = unsafe { malloc(16 + number * 24) }.cast();
        if place.is_null() {
            return 1;
        }
        // SAFETY: the block has at least 16 bytes.
        unsafe { place.write_volatile(number as u64) };
    }
    let mut text = [0; 4096];
    let text = rollup(&mut text);
    let mut sum: c_ulong = 0;
    for block in blocks {
        // SAFETY: written above.
        sum += unsafe { block.read_volatile() } as c_ulong;
        // SAFETY: it is live, and freed once.
        unsafe { free(block.cast()) };
    }
    let line = c"seconds=0 operations=%lu checksum=%lu peak_kib=%lu private_dirty_kib=%lu\n";
    let (peak, dirty) = (field(text, c"\nRss:"), field(text, c"\nPrivate_Dirty:"));
    // SAFETY: the arguments are of the types that the format names.
    unsafe { printf(line.as_ptr(), BLOCKS as c_ulong, sum, peak, dirty) };
    0
}

/// Reads /proc/self/smaps_rollup, as far as it fits.
fn rollup(text: &mut [u8; 4096]) -> &CStr {
    // SAFETY: the path ends in a zero; no flags: for reading.
    let file = unsafe { open(c"/proc/self/smaps_rollup".as_ptr(), 0) };
    // SAFETY: the buffer is longer than what is read, so that it still ends in a zero.
    unsafe { read(file, text.as_mut_ptr().cast(), text.len() - 1) };
    // SAFETY: it is ours.
    unsafe { close(file) };
    CStr::from_bytes_until_nul(text).unwrap_or(c"")
}

/// The number behind `key` in a text of `key: N kB` lines.
fn field(text: &CStr, key: &CStr) -> c_ulong {
    // SAFETY: both strings end in a zero.
    let found = unsafe { strstr(text.as_ptr(), key.as_ptr()) };
    if found.is_null() {
        return 0;
    }
    // SAFETY: the key has been found there, so that its end lies in the text, too.
    let number = unsafe { found.add(key.count_bytes()) };
    // SAFETY: the text ends in a zero.
    unsafe { strtoul(number, ptr::null_mut(), 10) }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: always allowed.
    unsafe { abort() }
}

/// Named by the unwind tables of `core`, and never called.
#[unsafe(no_mangle)]
pub extern "C" fn rust_eh_personality() {}
