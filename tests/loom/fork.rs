//! The child of a fork: the other threads are gone, at any point of any operation.
//!
//! Loom has no processes. The model ends the other thread at its next atomic operation, or its next write to a cell or
//! a word of a free block, without running anything of its
//! way out, and the first thread goes on as the child. It sees all that the other has done; that the kernel copies memory page
//! by page, and so may lose some of it, is for the programs in `tests/c` to try.

use super::{
    Small, allocate, free,
    world::{Case, Model, fork, spawn, spawn_hooked},
};
use crate::{alloc, config::SLICE, primitive::shadow, process::Process, thread};
use std::{
    ptr::NonNull,
    sync::{Arc, Mutex},
};

/// What the child does: everything, with every structure.
fn live_on(process: &Process<Case<Small>>, held: &[NonNull<u8>]) {
    // Nobody is there to release it: if it is held, the child waits for ever.
    drop(process.memory.lock());
    let mut fresh = vec![allocate(32), allocate(8 << 10), allocate(3 * SLICE)];
    let child = spawn_hooked(|| free(allocate(32)));
    child.join();
    fresh.extend_from_slice(held);
    fresh.sort();
    assert!(fresh.windows(2).all(|pair| pair[0] != pair[1]));
    fresh.into_iter().for_each(free);
    alloc::trim::<Case<Small>>();
    // Whoever of the others was in the middle of something: nobody waits for a thread that is not there.
    for heap in process.heaps.heaps() {
        assert!(heap.inbox.is_empty(), "what arrives is taken home");
    }
    // What belongs to others may have been left half made.
    let mine = thread::heap::<Case<Small>>().expect("the thread that forks has a heap");
    mine.check();
    mine.inbox.check();
}

#[test]
fn the_other_thread_was_coming_or_going() {
    let model = Model {
        name: "fork: come and go",
        bound: 2,
    };
    model.run_process::<Small>(|process| {
        let (mine, theirs) = (allocate(32), allocate(32));
        shadow::expect_fork();
        // What the other thread has got as far as handing over is the child's to free: its heap has nobody but those who
        // look for orphans.
        let handed = Arc::new(Mutex::new(Vec::new()));
        let over = Arc::clone(&handed);
        let other = spawn_hooked(move || {
            let own = allocate(32);
            over.lock().expect("no panic").push(own);
            free(theirs);
        });
        fork([other]);
        let mut held = std::mem::take(&mut *handed.lock().expect("no panic"));
        held.push(mine);
        live_on(process, &held);
    });
}

#[test]
fn the_other_thread_was_growing_the_memory() {
    let model = Model {
        name: "fork: grow",
        bound: 2,
    };
    model.run_process::<Small>(|process| {
        let mine = allocate(32);
        shadow::expect_fork();
        let other = spawn(|| free(allocate(3 * SLICE)));
        fork([other]);
        live_on(process, &[mine]);
    });
}

#[test]
fn the_other_thread_was_giving_memory_back() {
    let model = Model {
        name: "fork: purge",
        bound: 2,
    };
    model.run_process::<Small>(|process| {
        let mine = allocate(32);
        free(allocate(2 * SLICE));
        shadow::expect_fork();
        let other = spawn(|| {
            alloc::trim::<Case<Small>>();
        });
        fork([other]);
        live_on(process, &[mine]);
    });
}
