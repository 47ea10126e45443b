//! Children: the kernel copies the address space, and what relibc does around that is the doing of the hooks.

use crate::{
    Tests, case,
    common::{Case, KIB},
    thread::{self, End},
};
use core::{
    ptr,
    sync::atomic::{
        AtomicBool, AtomicPtr, AtomicUsize,
        Ordering::{Acquire, Relaxed, Release},
    },
};
use ralloc::{Instance, c_abi};
use std::boxed::Box;

pub const TESTS: Tests = &[
    (
        "a_child_has_its_parents_blocks",
        a_child_has_its_parents_blocks,
    ),
    (
        "a_child_of_threads_that_allocate",
        a_child_of_threads_that_allocate,
    ),
    (
        "a_child_frees_what_another_thread_had",
        a_child_frees_what_another_thread_had,
    ),
    ("a_child_of_a_child", a_child_of_a_child),
    (
        "a_child_that_fails_is_noticed",
        a_child_that_fails_is_noticed,
    ),
];

// A child must not ask for memory of the tests' own: another thread may have held the lock of that when it was made.

fn take(size: usize, mark: u8) -> *mut u8 {
    let block = c_abi::malloc::<Case>(size);
    assert!(!block.is_null());
    // SAFETY: just allocated.
    unsafe { block.write_bytes(mark, size) };
    block
}

/// Free a block, which still has what was written there.
fn give_back(block: *mut u8, size: usize, mark: u8) {
    // SAFETY: a live block of so many bytes.
    let bytes = unsafe { core::slice::from_raw_parts(block, size) };
    assert!(bytes.iter().all(|&byte| byte == mark));
    // SAFETY: the tests free each block once.
    unsafe { c_abi::free::<Case>(block) };
}

/// Sizes of all kinds: blocks, runs, a huge one.
fn size_of_number(number: usize) -> usize {
    match number % 64 {
        0 => 100 * KIB,
        1 => 5000 * KIB,
        rest => rest * rest * 8,
    }
}

fn fill(blocks: &mut [*mut u8], mark: u8) {
    for (number, block) in blocks.iter_mut().enumerate() {
        *block = take(size_of_number(number), mark);
    }
}

fn empty(blocks: &[*mut u8], mark: u8) {
    for (number, &block) in blocks.iter().enumerate() {
        give_back(block, size_of_number(number), mark);
    }
}

/// Blocks that threads may hand to a closure.
#[derive(Clone, Copy)]
struct Blocks([*mut u8; 128]);
// SAFETY: a block belongs to whoever holds it.
unsafe impl Send for Blocks {}

impl Blocks {
    fn take(mark: u8) -> Self {
        let mut blocks = [ptr::null_mut(); 128];
        fill(&mut blocks, mark);
        Self(blocks)
    }

    fn give_back(self, mark: u8) {
        empty(&self.0, mark);
    }
}

fn a_child_has_its_parents_blocks() {
    case::run(|| {
        let blocks = Blocks::take(7);
        for _ in 0..3 {
            let end = thread::in_child(move || {
                let more = Blocks::take(8);
                blocks.give_back(7);
                let again = Blocks::take(9);
                more.give_back(8);
                again.give_back(9);
                // SAFETY: there is no other thread here.
                unsafe { Case::process().verify() };
            });
            assert!(end == End::Done, "the child ended as {end:?}");
        }
        // What the child has done to them was done to copies.
        blocks.give_back(7);
    });
}

/// The lists, locks and maps of the allocator are copied in whatever state the others have them.
fn a_child_of_threads_that_allocate() {
    let stop = AtomicBool::new(false);
    let started = AtomicUsize::new(0);
    let churn = |mark: u8| {
        let (stop, started) = (&stop, &started);
        move || {
            started.fetch_add(1, Relaxed);
            while !stop.load(Relaxed) {
                Blocks::take(mark).give_back(mark);
            }
        }
    };
    let fork = || {
        while started.load(Relaxed) < 2 {
            let _ = syscall::sched_yield();
        }
        for round in 0..12 {
            let mine = Blocks::take(round);
            let end = thread::in_child(move || {
                mine.give_back(round);
                Blocks::take(50).give_back(50);
            });
            assert!(end == End::Done, "child {round} ended as {end:?}");
            mine.give_back(round);
        }
        stop.store(true, Relaxed);
    };
    case::run(|| {
        let works: [Box<dyn FnOnce() + Send + '_>; 3] =
            [Box::new(churn(1)), Box::new(churn(2)), Box::new(fork)];
        thread::together(works);
    });
}

/// A thread that waits while its process forks is not there in the child: what it had is used again there when it has been freed.
fn a_child_frees_what_another_thread_had() {
    const SIZE: usize = 400;
    let blocks: &[_; 20_000] = &[const { AtomicPtr::new(ptr::null_mut()) }; 20_000];
    let filled = AtomicBool::new(false);
    let forked = AtomicBool::new(false);
    let wait_for = |event: &AtomicBool| {
        // Acquire: pairs with the Release in `set`.
        while !event.load(Acquire) {
            let _ = syscall::sched_yield();
        }
    };
    let set = |event: &AtomicBool| event.store(true, Release);
    let fill_all = || {
        blocks
            .iter()
            .for_each(|block| block.store(take(SIZE, 3), Relaxed))
    };
    let empty_all = || {
        blocks
            .iter()
            .for_each(|block| give_back(block.load(Relaxed), SIZE, 3));
    };
    let hold = || {
        fill_all();
        set(&filled);
        wait_for(&forked);
    };
    let fork = || {
        wait_for(&filled);
        let mapped = case::kernel().mapped();
        let end = thread::in_child(|| {
            empty_all();
            fill_all();
            let now = case::kernel().mapped();
            assert!(now <= mapped + (1 << 20), "{mapped} bytes, then {now}");
        });
        set(&forked);
        assert!(end == End::Done, "the child ended as {end:?}");
    };
    case::run(|| {
        let works: [Box<dyn FnOnce() + Send + '_>; 2] = [Box::new(hold), Box::new(fork)];
        thread::together(works);
        empty_all();
    });
}

fn a_child_of_a_child() {
    case::run(|| {
        let blocks = Blocks::take(5);
        let end = thread::in_child(move || {
            let more = Blocks::take(6);
            let end = thread::in_child(move || {
                blocks.give_back(5);
                more.give_back(6);
            });
            assert!(end == End::Done, "the child's child ended as {end:?}");
            more.give_back(6);
            blocks.give_back(5);
        });
        assert!(end == End::Done, "the child ended as {end:?}");
        blocks.give_back(5);
    });
}

/// That a test can fail is a test, too.
fn a_child_that_fails_is_noticed() {
    case::run(|| {
        let end = thread::in_child(|| panic!("this one is expected"));
        assert!(end == End::Faulted, "the child ended as {end:?}");
    });
}
