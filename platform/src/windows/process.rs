//! What a process can learn about itself on Windows, and what its C library has.

use super::kernel32::{
    _errno, GetCurrentProcess, GetEnvironmentVariableA, GetLastError, GetModuleHandleA,
    GetProcAddress, K32GetProcessMemoryInfo, MemoryCounters, SetLastError, fwrite, random_bytes,
};
use core::{
    cell::UnsafeCell,
    ffi::{CStr, c_char, c_void},
    mem::MaybeUninit,
    ptr::NonNull,
};

/// `errno` for "no memory": what `malloc` leaves there when it returns null.
pub const ENOMEM: i32 = 12;
/// `errno` for "no such alignment": what `posix_memalign` returns.
pub const EINVAL: i32 = 22;

/// This thread's `errno`.
pub fn errno() -> i32 {
    // SAFETY: asks only.
    let errno = unsafe { _errno() };
    // SAFETY: the C library says where it is; it is there as long as the thread.
    unsafe { *errno }
}

/// Set this thread's `errno`. The platform itself never does.
pub fn set_errno(code: i32) {
    // SAFETY: asks only.
    let errno = unsafe { _errno() };
    // SAFETY: as above, and nobody holds a reference to it.
    unsafe { *errno = code };
}

/// Nothing: there are no signals here, and no allocator to forward to.
pub fn plant_pages(_wanted: fn(usize) -> bool, _word: usize) {}

/// Make a call that may leave word of an error, and have that forgotten.
fn keep_last_error<R>(call: impl FnOnce() -> R) -> R {
    // SAFETY: reads a word of the thread.
    let error = unsafe { GetLastError() };
    let result = call();
    // SAFETY: writes a word of the thread.
    unsafe { SetLastError(error) };
    result
}

/// The value of `name` in the environment, if it has at most 511 bytes. The first answer is remembered; there is room for one.
///
/// To be called while no other thread does.
pub fn environment(name: &CStr) -> Option<&'static CStr> {
    struct Room(UnsafeCell<[c_char; 512]>);
    // SAFETY: one thread at a time, by the promise of the callers.
    unsafe impl Sync for Room {}
    static ROOM: Room = Room(UnsafeCell::new([0; 512]));
    let room: *mut c_char = ROOM.0.get().cast();
    // SAFETY: writes at most so many bytes, the final zero included, and nobody else writes there.
    let length = keep_last_error(|| unsafe { GetEnvironmentVariableA(name.as_ptr(), room, 512) });
    if length == 0 || length >= 512 {
        return None;
    }
    // SAFETY: a string was written there, and stays.
    Some(unsafe { CStr::from_ptr(room) })
}

/// Nothing: the handle of standard error outlives the C library's stream.
pub fn keep_stderr() {}

/// Write all of `text` to a stream of the C library. Whether that went well; if not, `errno` says why.
///
/// # Safety
///
/// `stream` is an open `FILE`.
pub unsafe fn write_stream(stream: *mut c_void, text: &[u8]) -> bool {
    // SAFETY: the caller's promise, and the text has so many bytes.
    unsafe { fwrite(text.as_ptr().cast(), 1, text.len(), stream) == text.len() }
}

/// Resident bytes of the whole process.
pub fn resident() -> Option<usize> {
    let mut counters = MaybeUninit::<MemoryCounters>::zeroed();
    let size = size_of::<MemoryCounters>() as u32;
    // SAFETY: asks only.
    let process = unsafe { GetCurrentProcess() };
    // SAFETY: writes at most so many bytes.
    let done = unsafe { K32GetProcessMemoryInfo(process, counters.as_mut_ptr(), size) };
    // SAFETY: numbers, for which zeros will do.
    let counters = unsafe { counters.assume_init() };
    (done != 0).then_some(counters.resident)
}

/// Nothing: modules are not searched in an order, so none comes next.
pub fn next_symbol(_name: &CStr) -> Option<NonNull<c_void>> {
    None
}

/// The address of `name` in `library`, if that is loaded, whoever it was loaded for.
pub fn symbol_in(library: &CStr, name: &CStr) -> Option<NonNull<c_void>> {
    keep_last_error(|| {
        // SAFETY: a string; nothing is loaded.
        let module = NonNull::new(unsafe { GetModuleHandleA(library.as_ptr()) })?;
        // SAFETY: a module that is loaded, and a string.
        NonNull::new(unsafe { GetProcAddress(module.as_ptr(), name.as_ptr()) })
    })
}

/// A word of the system's random bytes; 0 if it has none, which it always has.
pub(super) fn entropy() -> usize {
    let mut bytes = [0; size_of::<usize>()];
    // SAFETY: writes so many bytes.
    unsafe { random_bytes(bytes.as_mut_ptr().cast(), bytes.len() as u32) };
    usize::from_ne_bytes(bytes)
}
