//! When threads exit and around `fork`: what the C library calls, and what is called in turn.

use crate::{Hooks, System, c_library as libc, hooks};
use core::{
    ffi::c_void,
    ptr,
    sync::atomic::{
        AtomicUsize,
        Ordering::{Acquire, Release},
    },
};

/// See [`Platform::install`](crate::Platform::install).
pub(crate) fn install(hooks: Hooks) {
    if !hooks::install(hooks, &System) {
        return; // The C library knows already whom to call.
    }
    // SAFETY: three plain functions that stay where they are. An error means that the C library had no memory
    // for three pointers; then fork goes unannounced.
    let _ =
        unsafe { libc::pthread_atfork(Some(fork_prepare), Some(fork_parent), Some(fork_child)) };
    let mut key = 0;
    // SAFETY: the key is written before it is read, and the destructor is a plain function.
    if unsafe { libc::pthread_key_create(&raw mut key, Some(thread_exit)) } == 0 {
        // Release: pairs with the Acquire in `arm_thread_exit`; the key is made.
        THREAD_EXIT_KEY.store(encode_key(key), Release);
    }
}

/// See [`Platform::arm_thread_exit`](crate::Platform::arm_thread_exit).
pub(crate) fn arm_thread_exit() -> bool {
    // Acquire: pairs with the Release in `install`.
    let Some(key) = decode_key(THREAD_EXIT_KEY.load(Acquire)) else {
        return false;
    };
    ExitState::of_this_thread(key).arm(key)
}

/// The key whose destructor is the thread-exit hook, by [`encode_key`]; 0 before there is one.
static THREAD_EXIT_KEY: AtomicUsize = AtomicUsize::new(0);

fn encode_key(key: libc::pthread_key_t) -> usize {
    key as usize + 1
}

fn decode_key(word: usize) -> Option<libc::pthread_key_t> {
    Some(word.checked_sub(1)? as libc::pthread_key_t)
}

/// What the thread's value of the key says: `(round + 1) * 2 + armed`, or 0 before the thread was ever armed.
///
/// The C library sets the value to null before each call of the destructor, so the value carries the number of
/// the next round through the call, and the flag says whether the hook asked for that round.
#[derive(Clone, Copy)]
struct ExitState {
    next_round: usize,
    armed: bool,
}

impl ExitState {
    fn of_this_thread(key: libc::pthread_key_t) -> Self {
        // SAFETY: the key was created and is never deleted.
        Self::from_value(unsafe { libc::pthread_getspecific(key) })
    }

    fn from_value(value: *mut c_void) -> Self {
        let word = value.addr();
        Self {
            next_round: (word >> 1).saturating_sub(1),
            armed: word & 1 == 1,
        }
    }

    fn arm(self, key: libc::pthread_key_t) -> bool {
        if self.next_round > Hooks::LAST_ROUND {
            return false; // This is the last round.
        }
        self.armed
            || Self {
                armed: true,
                ..self
            }
            .store(key)
    }

    fn store(self, key: libc::pthread_key_t) -> bool {
        let word = (self.next_round + 1) << 1 | usize::from(self.armed);
        // SAFETY: the key was created and is never deleted; its value is a number to everybody.
        unsafe { libc::pthread_setspecific(key, ptr::without_provenance(word)) == 0 }
    }
}

/// The key's destructor: one round of the exit of an armed thread.
unsafe extern "C" fn thread_exit(value: *mut c_void) {
    let round = ExitState::from_value(value).next_round;
    // Acquire: pairs with the Release in `install`.
    let Some(key) = decode_key(THREAD_EXIT_KEY.load(Acquire)) else {
        return;
    };
    ExitState {
        next_round: round + 1,
        armed: false,
    }
    .store(key);
    hooks::thread_exit(round);
    if !ExitState::of_this_thread(key).armed {
        // SAFETY: the key was created and is never deleted; null means: no further round.
        unsafe { libc::pthread_setspecific(key, ptr::null()) };
    }
}

unsafe extern "C" fn fork_prepare() {
    hooks::fork_prepare();
}

unsafe extern "C" fn fork_parent() {
    hooks::fork_parent();
}

unsafe extern "C" fn fork_child() {
    hooks::fork_child();
}
