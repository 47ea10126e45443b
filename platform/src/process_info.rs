//! What a process can learn about itself, and the streams of its C library.

use crate::{posix::keep_errno, system};
use core::{
    ffi::{CStr, c_void},
    sync::atomic::{AtomicI32, Ordering::Relaxed},
};

pub use system::resident;

/// The value of `name` in the environment. `None` in a program that runs with more rights than its user has
/// (getauxval(3), `AT_SECURE`): there the environment is not to be trusted.
///
/// To be called while no other thread changes the environment.
pub fn environment(name: &CStr) -> Option<&'static CStr> {
    if system::is_privileged() {
        return None;
    }
    let mut entry = system::environment();
    if entry.is_null() {
        return None;
    }
    loop {
        // SAFETY: null ends the list, and we have not passed it.
        let text = unsafe { entry.read() };
        if text.is_null() {
            return None;
        }
        // SAFETY: the list holds strings.
        let text = unsafe { CStr::from_ptr(text) };
        if let Some(value) = value_of(text, name) {
            return Some(value);
        }
        // SAFETY: the list goes on until null.
        entry = unsafe { entry.add(1) };
    }
}

/// What follows `name=` in `text`.
fn value_of(text: &'static CStr, name: &CStr) -> Option<&'static CStr> {
    let rest = text
        .to_bytes_with_nul()
        .strip_prefix(name.to_bytes())?
        .strip_prefix(b"=")?;
    CStr::from_bytes_with_nul(rest).ok()
}

/// Keep a way to standard error that is still open when the program has closed its own, as many do before they exit.
pub fn keep_stderr() {
    // SAFETY: the descriptor is only asked to be duplicated; that it may be closed is reported as an error.
    let copy = keep_errno(|| unsafe {
        libc::fcntl(libc::STDERR_FILENO, libc::F_DUPFD_CLOEXEC, KEPT_FROM)
    });
    if copy >= 0 {
        // Relaxed: a descriptor is a number, nothing else becomes visible with it.
        STDERR.store(copy, Relaxed);
    }
}

/// Out of the way of the low numbers that programs count on.
const KEPT_FROM: i32 = 100;

/// Where standard error is.
static STDERR: AtomicI32 = AtomicI32::new(libc::STDERR_FILENO);

/// Where to write what is meant for standard error.
pub(crate) fn stderr() -> i32 {
    STDERR.load(Relaxed)
}

/// Write all of `text` to a stream of the C library. Whether that went well; if not, `errno` says why.
///
/// # Safety
///
/// `stream` is an open `FILE`.
pub unsafe fn write_stream(stream: *mut c_void, text: &[u8]) -> bool {
    // SAFETY: the caller's promise, and the text has so many bytes.
    let written = unsafe { libc::fwrite(text.as_ptr().cast(), 1, text.len(), stream.cast()) };
    written == text.len()
}
