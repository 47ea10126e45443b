//! When threads exit: a fibre-local slot whose callback the system calls.
//!
//! The system has one round of callbacks, and calls ours once. The rounds of the contract are made here, one after the other
//! in that call, as long as a hook arms itself again. There is no `fork`.

use super::{
    Windows,
    kernel32::{FLS_OUT_OF_INDEXES, FlsAlloc, FlsSetValue},
};
use crate::{Hooks, ThreadBlock, hooks};
use core::{
    ffi::c_void,
    ptr,
    sync::atomic::{
        AtomicUsize,
        Ordering::{Acquire, Release},
    },
};

/// The slot plus 1; 0 before there is one.
static SLOT: AtomicUsize = AtomicUsize::new(0);

crate::thread_block! {
    /// Where a thread is in its life: the first word.
    struct Life;
}

/// In the word: the thread is not armed. It may be running, or in a round of which it has the number.
const RESTING: usize = 0;
/// In the word: the exit hooks will be called.
const ARMED: usize = 1;
/// In the word, from here on: the round under way, times 2, and whether it was armed again.
const ROUNDS: usize = 2;
/// In the word: the last round is over.
const GONE: usize = usize::MAX;

/// See [`Platform::install`](crate::Platform::install).
pub(super) fn install(hooks: Hooks) {
    if !hooks::install(hooks, &Windows) {
        return; // The system knows already whom to call.
    }
    // SAFETY: a plain function that stays where it is.
    let slot = unsafe { FlsAlloc(thread_exit) };
    if slot != FLS_OUT_OF_INDEXES {
        // Release: pairs with the Acquire in `arm`; the slot is made.
        SLOT.store(slot as usize + 1, Release);
    }
}

/// See [`Platform::arm_thread_exit`](crate::Platform::arm_thread_exit).
pub(super) fn arm() -> bool {
    match Life::get_fixed::<0>() {
        RESTING => {}
        ARMED => return true,
        GONE => return false,
        word => {
            let round = word / 2 - ROUNDS / 2;
            if round < Hooks::LAST_ROUND {
                Life::set_fixed::<0>(word | 1);
            }
            return round < Hooks::LAST_ROUND;
        }
    }
    // Acquire: pairs with the Release in `install`.
    let Some(slot) = SLOT.load(Acquire).checked_sub(1) else {
        return false;
    };
    // SAFETY: the slot is never given back; any value that is not null is as good.
    let done = unsafe { FlsSetValue(slot as u32, ptr::without_provenance(ARMED)) } != 0;
    if done {
        Life::set_fixed::<0>(ARMED);
    }
    done
}

/// The slot's callback: all rounds of the exit of an armed thread.
unsafe extern "system" fn thread_exit(_value: *mut c_void) {
    for round in 0..=Hooks::LAST_ROUND {
        Life::set_fixed::<0>(ROUNDS + round * 2);
        hooks::thread_exit(round);
        if Life::get_fixed::<0>() & 1 == 0 {
            break;
        }
    }
    Life::set_fixed::<0>(GONE);
}
