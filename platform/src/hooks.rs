//! The hooks of all allocators of the program, in the order in which they were installed.

use crate::{Hooks, Platform};
use core::{
    cell::UnsafeCell,
    sync::atomic::{
        AtomicBool, AtomicUsize,
        Ordering::{Acquire, Relaxed, Release},
    },
};

/// Allocators that a program can have, each with its hooks.
const ALLOCATORS: usize = 16;

/// The hooks of one allocator, from `install` to the end of the process.
struct Installed {
    hooks: UnsafeCell<Option<Hooks>>,
    ready: AtomicBool,
}

// SAFETY: the hooks are written once, in `install`, before they are ready, and read only when they are.
unsafe impl Sync for Installed {}

static HOOKS: [Installed; ALLOCATORS] = [const {
    Installed {
        hooks: UnsafeCell::new(None),
        ready: AtomicBool::new(false),
    }
}; ALLOCATORS];
/// How often somebody has called `install`.
static INSTALLING: AtomicUsize = AtomicUsize::new(0);

/// Note whom to call. Returns whether these are the first: then whoever calls the functions below has yet to be told.
pub(crate) fn install(hooks: Hooks, kernel: &impl Platform) -> bool {
    let number = INSTALLING.fetch_add(1, Relaxed);
    let Some(installed) = HOOKS.get(number) else {
        kernel.write_stderr(b"ralloc: too many allocators in one program\n");
        kernel.abort();
    };
    // SAFETY: this is the only writer, ever: the number is ours. Readers come after the Release below.
    unsafe { *installed.hooks.get() = Some(hooks) };
    // Release: pairs with the Acquire in `hooks`.
    installed.ready.store(true, Release);
    number == 0
}

fn hooks() -> impl DoubleEndedIterator<Item = Hooks> {
    HOOKS.iter().filter_map(|installed| {
        // Acquire: pairs with the Release in `install`.
        if !installed.ready.load(Acquire) {
            return None;
        }
        // SAFETY: they are ready, so nobody writes them.
        unsafe { *installed.hooks.get() }
    })
}

/// Call the [`Hooks::thread_exit`] of every allocator.
pub(crate) fn thread_exit(round: usize) {
    hooks().for_each(|hooks| (hooks.thread_exit)(round));
}

/// Call the [`Hooks::fork_prepare`] of every allocator, the last installed first.
pub(crate) fn fork_prepare() {
    hooks().rev().for_each(|hooks| (hooks.fork_prepare)());
}

/// Call the [`Hooks::fork_parent`] of every allocator.
pub(crate) fn fork_parent() {
    hooks().for_each(|hooks| (hooks.fork_parent)());
}

/// Call the [`Hooks::fork_child`] of every allocator.
pub(crate) fn fork_child() {
    hooks().for_each(|hooks| (hooks.fork_child)());
}
