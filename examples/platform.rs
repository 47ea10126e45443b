//! Platform agnostic: the allocator knows its kernel by one trait, `Platform`, and finds the words of a thread by another,
//! `ThreadBlock`. This one stands on the system's kernel and counts what it asks of it; a new operating system is a module
//! of this kind.

use ralloc::{Defaults, Instance, Process, native};
use ralloc_platform::{Hooks, Platform, System, thread_block};
use std::{
    ptr::NonNull,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// The system's kernel, counted.
struct Counted {
    mappings: AtomicUsize,
}

// SAFETY: all that matters is the system's.
unsafe impl Platform for Counted {
    fn map(&self, size: usize, align: usize) -> Option<NonNull<u8>> {
        self.mappings.fetch_add(1, Relaxed);
        System.map(size, align)
    }
    fn page_size(&self) -> usize {
        System.page_size()
    }
    fn extend(&self, end: NonNull<u8>, more: usize) -> bool {
        System.extend(end, more)
    }
    unsafe fn unmap(&self, base: NonNull<u8>, size: usize) -> bool {
        // SAFETY: the caller's promise, as below.
        unsafe { System.unmap(base, size) }
    }
    unsafe fn purge(&self, base: NonNull<u8>, size: usize) -> bool {
        // SAFETY: as above.
        unsafe { System.purge(base, size) }
    }
    unsafe fn relocate(
        &self,
        old: NonNull<u8>,
        old_size: usize,
        size: usize,
        align: usize,
    ) -> Option<NonNull<u8>> {
        // SAFETY: the caller's promise.
        unsafe { System.relocate(old, old_size, size, align) }
    }
    unsafe fn program_break(&self, to: Option<usize>) -> usize {
        // SAFETY: as above.
        unsafe { System.program_break(to) }
    }
    fn arm_thread_exit(&self) -> bool {
        System.arm_thread_exit()
    }
    fn install(&self, hooks: Hooks) {
        System.install(hooks);
    }
    fn entropy(&self) -> usize {
        System.entropy()
    }
    fn write_stderr(&self, text: &[u8]) {
        System.write_stderr(text);
    }
    fn yield_now(&self) {
        System.yield_now();
    }
    fn abort(&self) -> ! {
        System.abort()
    }
}

thread_block! {
    /// Where a thread keeps its words.
    struct Words;
}

/// An allocator on that kernel.
struct Mine;

static PROCESS: Process<Mine> = Process::new(Counted {
    mappings: AtomicUsize::new(0),
});

// SAFETY: the state is one static.
unsafe impl Instance for Mine {
    type Platform = Counted;
    type Thread = Words;
    type Tuning = Defaults;

    fn process() -> &'static Process<Self> {
        &PROCESS
    }
}

fn main() {
    ralloc::install::<Mine>();
    let blocks: Vec<_> = (0..100_000)
        .map(|_| native::alloc::<Mine>(100, 8))
        .collect();
    let mappings = PROCESS.kernel().mappings.load(Relaxed);
    println!("100,000 blocks took {mappings} mappings");
    assert!((1..20).contains(&mappings));
    for block in blocks {
        // SAFETY: allocated above with this size, freed once.
        unsafe { native::free::<Mine>(block, 100) };
    }
}
