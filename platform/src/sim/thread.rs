//! Threads of the simulated system are real ones: their exit hooks and their blocks.

use crate::{Hooks, THREAD_WORDS, ThreadBlock};
use core::cell::Cell;
use std::thread_local;

/// The exit hook of a simulated kernel.
type ExitHook = fn(usize);

/// How many kernels can be armed in one thread.
const KERNELS: usize = 8;

/// Where a thread is in its life.
#[derive(Clone, Copy)]
enum Life {
    /// Running. Arming takes effect when the thread exits.
    Alive,
    /// In a round of exit hooks. Arming asks for the next round, if there is one.
    Exiting(usize),
    /// The last round is over. Nothing can be armed any more.
    Gone,
}

/// Runs the rounds when the thread's variables are destroyed.
struct Rounds;

// The first two need no destructor, so they can be used until the thread's last instruction.
thread_local! {
    static LIFE: Cell<Life> = const { Cell::new(Life::Alive) };
    static ARMED: Cell<[Option<ExitHook>; KERNELS]> = const { Cell::new([None; KERNELS]) };
    static ROUNDS: Rounds = const { Rounds };
}

impl Drop for Rounds {
    fn drop(&mut self) {
        for round in 0..=Hooks::LAST_ROUND {
            LIFE.set(Life::Exiting(round));
            for hook in ARMED.take().into_iter().flatten() {
                hook(round);
            }
        }
        LIFE.set(Life::Gone);
    }
}

/// Have `hook` called in the next round of this thread's exit. `false`: there will be none.
pub(super) fn arm(hook: ExitHook) -> bool {
    let possible = match LIFE.get() {
        Life::Alive => ROUNDS.try_with(|_| ()).is_ok(),
        Life::Exiting(round) => round < Hooks::LAST_ROUND,
        Life::Gone => false,
    };
    possible && enlist(hook)
}

fn enlist(hook: ExitHook) -> bool {
    let mut armed = ARMED.get();
    let free_or_same =
        |entry: &&mut Option<ExitHook>| entry.is_none_or(|known| known as usize == hook as usize);
    let Some(entry) = armed.iter_mut().find(free_or_same) else {
        return false;
    };
    *entry = Some(hook);
    ARMED.set(armed);
    true
}

/// A thread block in a variable of the standard library: slow, portable, understood by every tool.
#[derive(Clone, Copy, Debug)]
pub struct TestBlock;

thread_local! {
    static WORDS: [Cell<usize>; THREAD_WORDS] = const { [const { Cell::new(0) }; THREAD_WORDS] };
}

// SAFETY: the variable is the thread's own and zero at first; an index beyond it panics.
unsafe impl ThreadBlock for TestBlock {
    unsafe fn get(index: usize) -> usize {
        WORDS.with(|words| words[index].get())
    }

    unsafe fn set(index: usize, word: usize) {
        WORDS.with(|words| words[index].set(word));
    }
}
