//! The allocator under test: for each test one that nobody has used, on the Redox platform with a ledger.

use crate::thread::{self, End, Words};
use core::{
    ptr::{self, NonNull},
    sync::atomic::{
        AtomicPtr, AtomicUsize,
        Ordering::{Acquire, Relaxed, Release},
    },
};
use ralloc::{Instance, Process, Tuning};
use ralloc_platform::{Hooks, Platform, forward, redox::Redox};
use std::boxed::Box;

/// The Redox platform, with a ledger, and with refusals where a test asks for them.
pub struct Kernel {
    mapped: AtomicUsize,
    most_mapped: AtomicUsize,
    /// Calls that ask for memory, so far.
    calls: AtomicUsize,
    /// The first call that is refused.
    refuse_from: AtomicUsize,
    refused: AtomicUsize,
}

impl Kernel {
    const fn new() -> Self {
        Self {
            mapped: AtomicUsize::new(0),
            most_mapped: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            refuse_from: AtomicUsize::new(usize::MAX),
            refused: AtomicUsize::new(0),
        }
    }

    /// Refuse the `n`-th call for memory from now, 0 being the next, and all after it.
    pub fn fail_from(&self, n: usize) {
        self.refuse_from
            .store(self.calls.load(Relaxed).saturating_add(n), Relaxed);
    }

    /// Refuse nothing any more.
    pub fn relent(&self) {
        self.refuse_from.store(usize::MAX, Relaxed);
    }

    /// Whether a call has been refused.
    pub fn was_asked_to_fail(&self) -> bool {
        self.refused.load(Relaxed) != 0
    }

    /// Bytes mapped now.
    pub fn mapped(&self) -> usize {
        self.mapped.load(Relaxed)
    }

    /// Bytes mapped at most.
    pub fn most_mapped(&self) -> usize {
        self.most_mapped.load(Relaxed)
    }

    fn admits(&self) -> bool {
        let admitted = self.calls.fetch_add(1, Relaxed) < self.refuse_from.load(Relaxed);
        if !admitted {
            self.refused.fetch_add(1, Relaxed);
        }
        admitted
    }

    fn note(&self, more: usize, less: usize) {
        self.mapped.fetch_add(more, Relaxed);
        let now = self.mapped.fetch_sub(less, Relaxed) - less;
        self.most_mapped.fetch_max(now, Relaxed);
    }
}

// SAFETY: the Redox platform does it all.
unsafe impl Platform for Kernel {
    fn map(&self, size: usize, align: usize) -> Option<NonNull<u8>> {
        let mapped = self.admits().then(|| Redox.map(size, align))??;
        self.note(size, 0);
        Some(mapped)
    }

    fn extend(&self, end: NonNull<u8>, additional: usize) -> bool {
        let extended = self.admits() && Redox.extend(end, additional);
        if extended {
            self.note(additional, 0);
        }
        extended
    }

    unsafe fn unmap(&self, base: NonNull<u8>, size: usize) -> bool {
        // SAFETY: the caller's promise.
        let done = unsafe { Redox.unmap(base, size) };
        if done {
            self.note(0, size);
        }
        done
    }

    unsafe fn relocate(
        &self,
        old: NonNull<u8>,
        old_size: usize,
        new_size: usize,
        align: usize,
    ) -> Option<NonNull<u8>> {
        if !self.admits() {
            return None;
        }
        // SAFETY: the caller's promise.
        let moved = unsafe { Redox.relocate(old, old_size, new_size, align) }?;
        self.note(new_size, old_size);
        Some(moved)
    }

    fn arm_thread_exit(&self) -> bool {
        true
    }

    /// The hooks of each case are the same functions: [`leave`] calls the first case's.
    fn install(&self, hooks: Hooks) {
        static INSTALLED: AtomicUsize = AtomicUsize::new(0);
        if INSTALLED.swap(1, Relaxed) == 0 {
            Redox.install(hooks);
        }
    }

    forward! {
        self => Redox;
        page_size purge program_break entropy write_stderr yield_now abort
    }
}

/// The policy of the libc's allocator on Redox.
pub struct Policy;

impl Tuning for Policy {
    /// `fork` and exit walk what is idle, too: with the first chunk, a spare one and the tables it stays within 16 MiB.
    const IDLE_FLOOR: usize = 6 << 20;
    /// Frames that are not touched need not be had.
    const REFILL_BYTES: usize = 2 << 10;
    const LENDS: bool = true;
    /// What is empty now may be wanted again.
    const TICK: u32 = 512;
}

/// The allocator of the case that is running.
pub struct Case;

static CURRENT: AtomicPtr<Process<Case>> = AtomicPtr::new(ptr::null_mut());

// SAFETY: the pointer changes only between cases, when no thread has a word of the old state in its block.
unsafe impl Instance for Case {
    type Platform = Kernel;
    type Thread = Words;
    type Tuning = Policy;

    fn process() -> &'static Process<Self> {
        // SAFETY: a case is running; its state is freed when it is over.
        unsafe { &*CURRENT.load(Acquire) }
    }
}

/// The kernel of the case that is running.
pub fn kernel() -> &'static Kernel {
    Case::process().kernel()
}

/// The current thread ends: what the libc does between its last destructor and the thread's end.
pub fn leave() {
    if !CURRENT.load(Acquire).is_null() {
        ralloc_platform::redox::thread_exit();
    }
}

/// Run `work` in a thread of its own, on an allocator that nobody has used, and check that nothing is left over: `work`
/// frees what it allocates and waits for the threads that it starts.
pub fn run(work: impl FnOnce() + Send) {
    let process = Box::into_raw(Box::new(Process::<Case>::new(Kernel::new())));
    CURRENT.store(process, Release);
    ralloc::install::<Case>();
    let end = thread::apart(work);
    assert!(end == End::Done, "the case ended as {end:?}");
    nothing_is_left();
    CURRENT.store(ptr::null_mut(), Release);
    // SAFETY: made above; nobody has it any more.
    drop(unsafe { Box::from_raw(process) });
}

/// No block is in use, every equation holds, and the kernel gets everything back.
fn nothing_is_left() {
    let kernel = kernel();
    kernel.relent();
    let stats = ralloc::stats::stats::<Case>();
    assert!(stats.live == 0, "{} bytes that nobody has", stats.live);
    // SAFETY: all threads of the case are gone.
    unsafe { Case::process().verify() };
    // SAFETY: as above, and it has freed its blocks.
    unsafe { Case::process().dissolve() };
    assert!(
        kernel.mapped() == 0,
        "{} bytes that the kernel does not get back",
        kernel.mapped()
    );
}
