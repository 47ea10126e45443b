//! What every POSIX C library does in the same way: thread keys, fork handlers, `errno`, death by SIGABRT.
//!
//! - `hooks`: when threads exit and around `fork`.
//! - `faults`: pages where nothing is mapped.
//! - this file: the rest.

pub(crate) mod faults;
pub(crate) mod hooks;

use crate::{entropy::stir, system};
use core::{
    ptr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// `errno` for "no memory": what `malloc` leaves there when it returns null.
pub const ENOMEM: i32 = libc::ENOMEM;
/// `errno` for "no such alignment": what `posix_memalign` returns.
pub const EINVAL: i32 = libc::EINVAL;

/// This thread's `errno`.
pub fn errno() -> i32 {
    // SAFETY: the C library says where this thread's `errno` is; it is there as long as the thread.
    unsafe { *system::errno_location() }
}

/// Set this thread's `errno`. The platform itself never does.
pub fn set_errno(code: i32) {
    // SAFETY: the C library says where this thread's `errno` is; it is there as long as the thread, and nobody holds a
    // reference to it.
    unsafe { *system::errno_location() = code };
}

/// Make a call of the C library, and leave `errno` as it was.
pub(crate) fn keep_errno<R>(call: impl FnOnce() -> R) -> R {
    let errno = errno();
    let result = call();
    set_errno(errno);
    result
}

/// The system's random bits, or the best that can be had without.
pub(crate) fn entropy() -> usize {
    let mut bytes = [0; size_of::<usize>()];
    match keep_errno(|| system::random(&mut bytes)) {
        true => usize::from_ne_bytes(bytes),
        false => makeshift_entropy(),
    }
}

/// The random bits that a program is started with on some systems, the places where the loader put things, and a count,
/// stirred.
fn makeshift_entropy() -> usize {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let call = CALLS.fetch_add(1, Relaxed);
    let places = stir(ptr::from_ref(&call).addr() ^ stir(ptr::from_ref(&CALLS).addr()));
    stir(stir(places ^ stir(system::random_at_start())).wrapping_add(call))
}

/// End the process by SIGABRT.
pub(crate) fn abort() -> ! {
    set_signal_mask_for_abort();
    // Once with the program's own handler, if it has one: crash reporters live there. If it returns, or
    // the signal is ignored, once more with the default, which a parent sees as death by SIGABRT.
    raise_abort();
    set_default_for_abort();
    raise_abort();
    // SAFETY: ends the process without running anything of it.
    unsafe { libc::_exit(127) }
}

/// Let SIGABRT through to this thread.
fn set_signal_mask_for_abort() {
    let mut set = core::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: fills the set.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: the set was filled by the line above.
    unsafe { libc::sigaddset(set.as_mut_ptr(), libc::SIGABRT) };
    // SAFETY: the set was filled above; no old set is asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), ptr::null_mut()) };
}

/// Take away the program's handler of SIGABRT, or its wish to ignore it.
fn set_default_for_abort() {
    // SAFETY: sets a disposition that runs no code of the program.
    unsafe { libc::signal(libc::SIGABRT, libc::SIG_DFL) };
}

/// Send SIGABRT to this thread. Returns if the signal did not end the process.
fn raise_abort() {
    // SAFETY: sends a signal; the program's handler, if any, is the program's business.
    unsafe { libc::raise(libc::SIGABRT) };
}

#[cfg(test)]
mod tests {
    #[test]
    fn makeshift_entropy_does_not_repeat() {
        let words: [usize; 50] = core::array::from_fn(|_| super::makeshift_entropy());
        for (n, word) in words.iter().enumerate() {
            assert!(!words[..n].contains(word));
        }
    }
}
