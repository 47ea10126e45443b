//! Platform agnostic: the allocator knows its kernel by one trait, `Platform`, and finds the words of a thread by another,
//! `ThreadBlock`. This one stands on the system's kernel and counts what it asks of it; a new operating system is a module
//! of this kind.

use ralloc::{Defaults, Instance, Process, native};
use ralloc_platform::{Platform, System, forward, thread_block};
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

    forward! {
        self => System;
        page_size extend unmap purge guard unguard expect_use relocate program_break
        arm_thread_exit install entropy write_stderr yield_now abort
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
