//! What several test programs need: an allocator of their own for each case, on a kernel that keeps a ledger.
//!
//! - this file: [`Case`], the allocator under test, and what must hold at the end of a case.
//! - `kernel`: the simulated kernels and the real one, behind one type.
//! - `held`: a live block with a pattern in it.
//! - `reference`: all public operations, against a map of live ranges.
//! - `draw`: sizes worth asking for, and repeatable random numbers.
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
mod fork;
mod held;
mod kernel;
mod reference;
pub mod replay;
pub mod scenario;
pub mod trace;

pub use draw::{Draw, boundaries};
pub use fork::fork;
pub use held::Held;
pub use kernel::Kernel;
pub use reference::{Op, Reference};

use ralloc::{Defaults, Instance, Process, stats::Stats};
use ralloc_platform::sim::TestBlock;
use std::{
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

/// The allocator under test: that of the case that is running.
pub struct Case;

/// The state of the case that is running.
static CURRENT: AtomicPtr<Process<Case>> = AtomicPtr::new(std::ptr::null_mut());

/// Held while a case runs: there is one [`CURRENT`].
static RUNNING: Mutex<()> = Mutex::new(());

// SAFETY: the pointer changes only between cases, when no thread has a word of the old state in its block.
unsafe impl Instance for Case {
    type Platform = Kernel;
    type Thread = TestBlock;
    type Tuning = Defaults;

    fn process() -> &'static Process<Self> {
        let current = CURRENT.load(Ordering::Acquire);
        // SAFETY: allocated by `run`, which sets it free when the case is over.
        unsafe { current.as_ref() }.expect("a case is running")
    }
}

/// The kernel of the case that is running.
pub fn kernel() -> &'static Kernel {
    Case::process().kernel()
}

/// A picture of the allocator under test.
pub fn stats() -> Stats {
    ralloc::stats::stats::<Case>()
}

/// Check every equation of the allocator under test. No other thread uses it meanwhile.
pub fn verify() {
    // SAFETY: the callers see to it.
    unsafe { Case::process().verify() };
}

/// Run `work` in a thread of its own, on an allocator that nobody has used, and check that nothing is left over:
/// `work` frees what it allocates and joins the threads it starts.
pub fn run<R: Send>(kernel: Kernel, work: impl FnOnce() -> R + Send) -> R {
    let _running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let process = Box::into_raw(Box::new(Process::<Case>::new(kernel)));
    CURRENT.store(process, Ordering::Release);
    ralloc::install::<Case>();
    let outcome = in_thread(work);
    self::kernel().relent();
    nothing_is_left();
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
fn nothing_is_left() {
    if !kernel().lost_threads() {
        let stats = stats();
        assert_eq!(stats.live, 0, "blocks that nobody has\n{stats}");
        let pages: usize = stats.classes.iter().map(|class| class.pages).sum();
        assert_eq!(pages, 0, "empty pages that nobody gives back\n{stats}");
    }
    verify();
    // SAFETY: all threads of the case are gone, and it has freed its blocks.
    unsafe { Case::process().dissolve() };
    assert_eq!(
        kernel().leaked(),
        0,
        "bytes that the kernel does not get back"
    );
}
