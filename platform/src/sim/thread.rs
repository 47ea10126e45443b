//! Threads of the simulated system are real ones: their exit hooks and their blocks.

use crate::{Hooks, ThreadBlock};
use std::thread_local;
#[cfg(not(windows))]
use {crate::THREAD_WORDS, core::cell::Cell};

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

thread_local! {
    static ROUNDS: Rounds = const { Rounds };
}

/// The word of [`State`] that says where the thread is in its life.
const LIFE: usize = 0;
/// The first of its words that hold exit hooks.
const ARMED: usize = 1;

fn life() -> Life {
    match State::get_fixed::<LIFE>() {
        0 => Life::Alive,
        GONE => Life::Gone,
        round => Life::Exiting(round - 1),
    }
}

const GONE: usize = usize::MAX;

fn set_life(life: Life) {
    State::set_fixed::<LIFE>(match life {
        Life::Alive => 0,
        Life::Exiting(round) => round + 1,
        Life::Gone => GONE,
    });
}

/// The hooks that are armed, as words; 0 is none.
fn armed() -> [usize; KERNELS] {
    // SAFETY: a block has more words.
    core::array::from_fn(|index| unsafe { State::get(ARMED + index) })
}

fn set_armed(index: usize, word: usize) {
    assert!(index < KERNELS);
    // SAFETY: a block has more words.
    unsafe { State::set(ARMED + index, word) };
}

impl Drop for Rounds {
    fn drop(&mut self) {
        for round in 0..=Hooks::LAST_ROUND {
            set_life(Life::Exiting(round));
            let hooks = armed();
            (0..KERNELS).for_each(|index| set_armed(index, 0));
            for word in hooks.into_iter().filter(|&word| word != 0) {
                // SAFETY: `enlist` has made the word of a hook.
                let hook = unsafe { core::mem::transmute::<usize, ExitHook>(word) };
                hook(round);
            }
        }
        set_life(Life::Gone);
    }
}

/// Have `hook` called in the next round of this thread's exit. `false`: there will be none.
pub(super) fn arm(hook: ExitHook) -> bool {
    let possible = match life() {
        Life::Alive => ROUNDS.try_with(|_| ()).is_ok(),
        Life::Exiting(round) => round < Hooks::LAST_ROUND,
        Life::Gone => false,
    };
    possible && enlist(hook)
}

fn enlist(hook: ExitHook) -> bool {
    let word = hook as usize;
    let free_or_same = |known: &usize| *known == 0 || *known == word;
    let Some(index) = armed().iter().position(free_or_same) else {
        return false;
    };
    set_armed(index, word);
    true
}

/// Blocks in variables of the standard library: slow, portable, understood by every tool.
#[cfg(not(windows))]
macro_rules! block {
    ($(#[$attribute:meta])* $visibility:vis struct $name:ident;) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug)]
        $visibility struct $name;

        const _: () = {
            // Without a destructor, so it can be used until the thread's last instruction.
            thread_local! {
                static WORDS: [Cell<usize>; THREAD_WORDS] =
                    const { [const { Cell::new(0) }; THREAD_WORDS] };
            }

            // SAFETY: the variable is the thread's own and zero at first; an index beyond it panics.
            unsafe impl ThreadBlock for $name {
                unsafe fn get(index: usize) -> usize {
                    WORDS.with(|words| words[index].get())
                }

                unsafe fn set(index: usize, word: usize) {
                    WORDS.with(|words| words[index].set(word));
                }
            }
        };
    };
}

/// The blocks of the platform: here the library's variables may be gone before the thread's last destructor runs.
#[cfg(windows)]
use crate::thread_block as block;

block! {
    /// A thread block for tests.
    pub struct TestBlock;
}

block! {
    /// What the simulation keeps of a thread.
    struct State;
}
