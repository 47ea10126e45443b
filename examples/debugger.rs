//! Debugger support: an allocator that is watched tells of every block, to the byte, and of memory that nobody may touch; who does
//! not ask for that does not pay for it.
//!
//! For valgrind there is nothing to do. A program that runs under it is watched, and memcheck reports leaks, uninitialised reads, reads
//! past the end and uses after free as it does on the system's own malloc, if it is told to keep its hands off this one:
//!
//! ```text
//! valgrind --soname-synonyms=somalloc=nouserintercepts PROGRAM
//! ```
//!
//! Here another debugger is wired in: functions of `Platform`, of which `mark_undefined` and `mark_free` are enough to follow
//! what every byte is.
use ralloc::{Defaults, Instance, Process, native};
use ralloc_platform::{Platform, System, forward, thread_block};
use std::{
    ptr::NonNull,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// The system's kernel, and a debugger that counts.
struct Debugged {
    allocated: AtomicUsize,
    freed: AtomicUsize,
    misused: AtomicUsize,
}

// SAFETY: what matters is the system's; the debugger touches nothing.
unsafe impl Platform for Debugged {
    fn is_debugged(&self) -> bool {
        true
    }
    fn mark_undefined(&self, base: NonNull<u8>, size: usize) {
        println!("{base:p}[{size}] may be written to, and must be before it is read");
        self.allocated.fetch_add(1, Relaxed);
    }
    fn block_freed(&self, block: NonNull<u8>, _red_zone: usize) {
        println!("{block:p} is freed");
        // A real one knows which blocks there are.
        let freed = self.freed.fetch_add(1, Relaxed) + 1;
        if freed > self.allocated.load(Relaxed) {
            println!("... which is no block any more!");
            self.misused.fetch_add(1, Relaxed);
        }
    }

    forward! {
        self => System;
        page_size map extend unmap purge relocate program_break
        arm_thread_exit install entropy write_stderr yield_now abort
    }
}

thread_block! {
    /// Where a thread keeps its words.
    struct Words;
}

/// An allocator that is watched.
struct Mine;

static PROCESS: Process<Mine> = Process::new(Debugged {
    allocated: AtomicUsize::new(0),
    freed: AtomicUsize::new(0),
    misused: AtomicUsize::new(0),
});

// SAFETY: the state is one static.
unsafe impl Instance for Mine {
    type Platform = Debugged;
    type Thread = Words;
    type Tuning = Defaults;

    fn process() -> &'static Process<Self> {
        &PROCESS
    }
}

fn main() {
    let block = native::alloc::<Mine>(10, 1);
    // SAFETY: allocated above with this size.
    unsafe { native::free::<Mine>(block, 10) };
    let kernel = PROCESS.kernel();
    assert_eq!(kernel.allocated.load(Relaxed), 1);
    assert_eq!(kernel.misused.load(Relaxed), 0);

    // A bug: the block is freed once more. The debugger is told, and the program may go on.
    // SAFETY: that is the point.
    unsafe { ralloc::alloc::free::<Mine>(block.as_ptr()) };
    assert_eq!(kernel.misused.load(Relaxed), 1);
}
