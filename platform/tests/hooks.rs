//! Whom the platform calls when threads exit and around `fork`: the clauses of [`Platform`] about [`Hooks`].

mod common;

#[cfg(unix)]
use common::in_child;
use common::{End, in_own_process};
use ralloc_platform::{
    Hooks, Platform, StaticBlock, System, ThreadBlock,
    sim::{Rules, Sim},
};
use std::sync::{
    Mutex, Once,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// A kernel that has the hooks of this program installed.
trait Subject: 'static {
    fn kernel() -> &'static impl Platform;
}

macro_rules! subjects {
    ($($module:ident: $type:ty = $kernel:expr, [$($test:ident)*])*) => {$(
        mod $module {
            use super::*;

            pub(super) struct Here;

            impl Subject for Here {
                fn kernel() -> &'static impl Platform {
                    static KERNEL: $type = $kernel;
                    static READY: Once = Once::new();
                    READY.call_once(|| KERNEL.install(hooks::<Here>()));
                    &KERNEL
                }
            }

            $(#[test] fn $test() { super::$test::<Here>() })*
        }
    )*};
}

subjects! {
    system: System = System, [
        an_unarmed_thread_exits_unnoticed
        an_armed_thread_is_announced_once
        a_hook_that_arms_again_is_called_again
        there_are_only_so_many_rounds
        the_hook_finds_the_thread_block_as_it_was_left
    ]
    sim_linux: Sim = Sim::new(Rules::Linux), [
        an_unarmed_thread_exits_unnoticed
        an_armed_thread_is_announced_once
        a_hook_that_arms_again_is_called_again
        there_are_only_so_many_rounds
        the_hook_finds_the_thread_block_as_it_was_left
    ]
    sim_redox: Sim = Sim::new(Rules::Redox), [
        an_unarmed_thread_exits_unnoticed
        an_armed_thread_is_announced_once
        a_hook_that_arms_again_is_called_again
        there_are_only_so_many_rounds
        the_hook_finds_the_thread_block_as_it_was_left
    ]
}

/// One call of the thread-exit hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Call {
    thread: usize,
    round: usize,
    /// What the hook found in the thread's block, at [`WORD`].
    word: usize,
    /// What arming again returned, if the hook did.
    rearmed: Option<bool>,
}

static CALLS: Mutex<Vec<Call>> = Mutex::new(Vec::new());

/// What this program knows of a thread. Not in variables of the standard library, which may be gone when the hooks are called.
mod notes {
    ralloc_platform::thread_block! {
        pub(super) struct Block;
    }
}

/// One word of the notes.
struct Note<const INDEX: usize>;

impl<const INDEX: usize> Note<INDEX> {
    fn get(&self) -> usize {
        notes::Block::get_fixed::<INDEX>()
    }

    fn set(&self, word: usize) {
        notes::Block::set_fixed::<INDEX>(word);
    }
}

const THREAD: Note<0> = Note;
const REARMS: Note<1> = Note;
const FORK_STEPS: Note<2> = Note;

/// An index in the thread's block.
const WORD: usize = 5;

fn hooks<S: Subject>() -> Hooks {
    Hooks {
        thread_exit: |round| {
            let rearmed = (REARMS.get() > 0).then(|| {
                REARMS.set(REARMS.get() - 1);
                S::kernel().arm_thread_exit()
            });
            let word = StaticBlock::get_fixed::<WORD>();
            CALLS.lock().unwrap().push(Call {
                thread: THREAD.get(),
                round,
                word,
                rearmed,
            });
        },
        fork_prepare: || FORK_STEPS.set(FORK_STEPS.get() * 10 + 1),
        fork_parent: || FORK_STEPS.set(FORK_STEPS.get() * 10 + 2),
        fork_child: || FORK_STEPS.set(FORK_STEPS.get() * 10 + 3),
    }
}

/// Run a thread that arms its exit `arms` times, with a hook that arms again `rearms` times, and tell what the
/// hook was called with.
fn run_thread<S: Subject>(arms: usize, rearms: usize, word: usize) -> Vec<Call> {
    static THREADS: AtomicUsize = AtomicUsize::new(1);
    let thread = THREADS.fetch_add(1, Relaxed);
    let body = move || {
        THREAD.set(thread);
        REARMS.set(rearms);
        StaticBlock::set_fixed::<WORD>(word);
        let kernel = S::kernel();
        for _ in 0..arms {
            assert!(kernel.arm_thread_exit());
        }
    };
    std::thread::spawn(body)
        .join()
        .expect("the thread itself fares well");
    let calls = CALLS.lock().unwrap();
    calls
        .iter()
        .filter(|call| call.thread == thread)
        .copied()
        .collect()
}

fn rounds(calls: &[Call]) -> Vec<usize> {
    calls.iter().map(|call| call.round).collect()
}

fn an_unarmed_thread_exits_unnoticed<S: Subject>() {
    assert_eq!(run_thread::<S>(0, 9, 0), []);
}

fn an_armed_thread_is_announced_once<S: Subject>() {
    for arms in [1, 2, 5] {
        assert_eq!(rounds(&run_thread::<S>(arms, 0, 0)), [0]);
    }
}

fn a_hook_that_arms_again_is_called_again<S: Subject>() {
    for rearms in 0..=Hooks::LAST_ROUND {
        let expected: Vec<_> = (0..=rearms).collect();
        assert_eq!(rounds(&run_thread::<S>(1, rearms, 0)), expected);
    }
}

fn there_are_only_so_many_rounds<S: Subject>() {
    let calls = run_thread::<S>(1, usize::MAX, 0);
    assert_eq!(rounds(&calls), [0, 1, 2, 3]);
    let granted: Vec<_> = calls.iter().map(|call| call.rearmed).collect();
    assert_eq!(granted, [Some(true), Some(true), Some(true), Some(false)]);
}

fn the_hook_finds_the_thread_block_as_it_was_left<S: Subject>() {
    for word in [1, usize::MAX] {
        let calls = run_thread::<S>(1, usize::MAX, word);
        assert_eq!(calls.len(), Hooks::LAST_ROUND + 1);
        assert!(calls.iter().all(|call| call.word == word));
    }
}

/// The kernel of the module `system` again: hooks are installed once.
#[cfg(unix)]
#[test]
fn fork_is_announced_on_both_sides() {
    <system::Here as Subject>::kernel();
    FORK_STEPS.set(0);
    assert_eq!(in_child(|| assert_eq!(FORK_STEPS.get(), 13)), End::Exit(0));
    assert_eq!(FORK_STEPS.get(), 12);
}

#[test]
fn sim_fork_is_played_by_hand() {
    let kernel = Sim::new(Rules::Linux);
    kernel.install(hooks::<Unused>());
    FORK_STEPS.set(0);
    kernel.fork_prepare();
    kernel.fork_parent();
    kernel.fork_child();
    assert_eq!(FORK_STEPS.get(), 123);
}

/// For hooks that never arm.
struct Unused;

impl Subject for Unused {
    fn kernel() -> &'static impl Platform {
        &System
    }
}

/// Before there are hooks, nothing will run, and `false` says so.
#[test]
fn arming_before_install_is_refused() {
    assert_eq!(in_own_process("arm_without_install"), End::Exit(0));
}

/// Runs in a process of its own, started by the test above.
#[test]
#[ignore = "a part of arming_before_install_is_refused"]
fn arm_without_install() {
    assert!(!System.arm_thread_exit());
}
