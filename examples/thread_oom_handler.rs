//! A thread may have an out-of-memory handler of its own, which is asked in place of that of the program: a worker can
//! abandon its job where the program would end. Needs the feature `thread_oom`.

use ralloc::{Global, OutOfMemory, Recovery};
use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
};

#[global_allocator]
static GLOBAL: ralloc::Ralloc = ralloc::Ralloc::new();

/// More than any kernel has.
const TOO_MUCH: usize = 1 << 60;

static PROGRAM: AtomicUsize = AtomicUsize::new(0);
static WORKER: AtomicUsize = AtomicUsize::new(0);

fn of_the_program(_: OutOfMemory) -> Recovery {
    PROGRAM.fetch_add(1, Relaxed);
    Recovery::GiveUp
}

fn of_the_worker(_: OutOfMemory) -> Recovery {
    WORKER.fetch_add(1, Relaxed);
    Recovery::GiveUp
}

fn main() {
    ralloc::set_oom_handler(Some(of_the_program));
    let worker = thread::spawn(|| {
        ralloc::set_thread_oom_handler::<Global>(Some(of_the_worker));
        Vec::<u8>::new().try_reserve_exact(TOO_MUCH).is_err()
    });
    assert!(worker.join().expect("no panic"));
    assert_eq!((PROGRAM.load(Relaxed), WORKER.load(Relaxed)), (0, 1));

    assert!(Vec::<u8>::new().try_reserve_exact(TOO_MUCH).is_err());
    assert_eq!((PROGRAM.load(Relaxed), WORKER.load(Relaxed)), (1, 1));
    println!("the worker asked its own handler, the others that of the program");
}
