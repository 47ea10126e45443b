//! What several test programs need: an allocator of their own for each case, on a kernel that keeps a ledger.
//!
//! - this file: [`Case`], the allocator under test, and what must hold at the end of a case.
//! - `kernel`: the simulated kernels and the real one, behind one type.
//! - `held`: a live block with a pattern in it.
//! - `reference`: all public operations, against a map of live ranges.
//! - `draw`: sizes worth asking for, and repeatable random numbers.
//! - `effort`: how much a test does that could go on for as long as one likes.
//! - `scenario`: what a program may do, and the conditions under which it may do it.
//! - `replay`: a trace for kernels that refuse.
//! - `actors`: threads that act one at a time, in a given order.
//! - `trace`: recorded traces, as they are read.
//! - `fork`: a child of the test process.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "each program uses a part of it"
)]

pub mod actors;
mod draw;
mod effort;
#[cfg(unix)]
mod fork;
mod held;
mod kernel;
mod reference;
pub mod replay;
pub mod scenario;
pub mod trace;

pub use draw::{Draw, boundaries};
pub use effort::{shrinks, stride, traces};
#[cfg(unix)]
pub use fork::fork;
pub use held::Held;
pub use kernel::Kernel;
pub use ralloc_platform::sim::Lock;
pub use reference::{Op, Reference};

use ralloc::{Defaults, Instance, Process, Tuning, stats::Stats};
use ralloc_platform::sim::TestBlock;
use std::{
    marker::PhantomData,
    panic::resume_unwind,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicPtr, Ordering},
    },
    thread,
};

/// 1024 bytes.
pub const KIB: usize = 1 << 10;
/// 1024 KiB.
pub const MIB: usize = 1 << 20;

/// The allocator under test: that of the case that is running, with the policy `T`.
pub struct Case<T = Defaults>(PhantomData<T>);

/// The state of the case that is running, a `Process<Case<T>>` for the `T` that `run_tuned` was called with.
static CURRENT: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

/// Held while a case runs: there is one [`CURRENT`].
static RUNNING: Mutex<()> = Mutex::new(());

// SAFETY: the pointer changes only between cases, when no thread has a word of the old state in its block.
unsafe impl<T: Tuning> Instance for Case<T> {
    type Platform = Kernel;
    type Thread = TestBlock;
    type Tuning = T;

    fn process() -> &'static Process<Self> {
        let current: *const Process<Self> = CURRENT.load(Ordering::Acquire).cast();
        // SAFETY: allocated by `run`, which sets it free when the case is over.
        unsafe { current.as_ref() }.expect("a case is running")
    }
}

/// The kernel of the case that is running.
pub fn kernel() -> &'static Kernel {
    <Case>::process().kernel()
}

/// A picture of the allocator under test.
pub fn stats() -> Stats {
    ralloc::stats::stats::<Case>()
}

/// Check every equation of the allocator under test. No other thread uses it meanwhile.
pub fn verify() {
    // SAFETY: the callers see to it.
    unsafe { <Case>::process().verify() };
}

/// Run `work` in a thread of its own, on an allocator that nobody has used, and check that nothing is left over:
/// `work` frees what it allocates and joins the threads it starts.
pub fn run<R: Send>(kernel: Kernel, work: impl FnOnce() -> R + Send) -> R {
    run_tuned::<Defaults, R>(kernel, work)
}

/// As [`run`], with a policy. The other functions here are for the default one.
pub fn run_tuned<T: Tuning, R: Send>(kernel: Kernel, work: impl FnOnce() -> R + Send) -> R {
    let _running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let process = Box::into_raw(Box::new(Process::<Case<T>>::new(kernel)));
    CURRENT.store(process.cast(), Ordering::Release);
    ralloc::install::<Case<T>>();
    let outcome = in_thread(work);
    Case::<T>::process().kernel().relent();
    nothing_is_left::<T>();
    // After a panic it is leaked: threads may still be about.
    CURRENT.store(std::ptr::null_mut(), Ordering::Release);
    // SAFETY: made above, and nobody has it any more.
    drop(unsafe { Box::from_raw(process) });
    outcome
}

/// Run `work` in a thread, and wait until its exit hooks have run. A panic goes on in the caller.
pub fn in_thread<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| join(scope.spawn(work)))
}

/// Wait until the thread is gone, its exit hooks included.
pub fn join<R>(thread: thread::ScopedJoinHandle<'_, R>) -> R {
    thread
        .join()
        .unwrap_or_else(|payload| resume_unwind(payload))
}

/// No block is in use, every equation holds, and the kernel gets everything back.
fn nothing_is_left<T: Tuning>() {
    let process = Case::<T>::process();
    if !process.kernel().lost_threads() {
        let stats = ralloc::stats::stats::<Case<T>>();
        assert_eq!(stats.live, 0, "blocks that nobody has\n{stats}");
        let pages: usize = stats.classes.iter().map(|class| class.pages).sum();
        assert_eq!(pages, 0, "empty pages that nobody gives back\n{stats}");
    }
    // SAFETY: all threads of the case are gone.
    unsafe { process.verify() };
    // SAFETY: as above, and it has freed its blocks.
    unsafe { process.dissolve() };
    assert_eq!(
        process.kernel().leaked(),
        0,
        "bytes that the kernel does not get back"
    );
}
