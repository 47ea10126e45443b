//! Threads that hand each other blocks, come and go, and free what others have left.

use crate::{
    Tests, case,
    common::{Case, Draw, Held, KIB, Lock},
    thread,
};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use ralloc::c_abi;
use std::{boxed::Box, vec::Vec};

pub const TESTS: Tests = &[
    ("each_on_its_own", each_on_its_own),
    (
        "a_pool_through_which_all_free",
        a_pool_through_which_all_free,
    ),
    ("producer_and_consumer", producer_and_consumer),
    ("threads_come_and_go", threads_come_and_go),
    (
        "what_the_dead_have_left_is_freed",
        what_the_dead_have_left_is_freed,
    ),
    ("frees_after_the_exit_hook", frees_after_the_exit_hook),
    (
        "a_thread_that_faults_leaves_the_others_alone",
        a_thread_that_faults_leaves_the_others_alone,
    ),
];

type Work<'a> = Box<dyn FnOnce() + Send + 'a>;

fn take(draw: &mut Draw, high: usize) -> Held {
    let (size, seed) = (draw.skewed(1, high), draw.word());
    Held::new(c_abi::malloc::<Case>(size), size, 16, seed).expect("there is memory enough")
}

/// Allocate and free at random, among some hundred blocks.
fn churn(seed: u64, steps: usize) {
    let mut draw = Draw::new(seed);
    let mut live: Vec<Held> = Vec::new();
    for _ in 0..steps {
        if live.len() > 200 || !live.is_empty() && draw.below(2) == 0 {
            live.swap_remove(draw.below(live.len())).free();
        } else {
            live.push(take(&mut draw, 40 * KIB));
        }
    }
    live.into_iter().for_each(Held::free);
}

fn each_on_its_own() {
    case::run(|| {
        thread::together((1..=4).map(|seed| Box::new(move || churn(seed, 4000)) as Work<'_>))
    });
}

fn a_pool_through_which_all_free() {
    let pool = Lock::new(Vec::<Held>::new());
    let work = |seed: u64| {
        let pool = &pool;
        move || {
            let mut draw = Draw::new(seed);
            for _ in 0..2000 {
                let held = take(&mut draw, 4 * KIB);
                let old = {
                    let mut pool = pool.lock();
                    pool.push(held);
                    let pick = draw.below(pool.len());
                    (pool.len() > 100).then(|| pool.swap_remove(pick))
                };
                old.into_iter().for_each(Held::free);
            }
        }
    };
    case::run(|| {
        thread::together((1..=3).map(|seed| Box::new(work(seed)) as Work<'_>));
        core::mem::take(&mut *pool.lock())
            .into_iter()
            .for_each(Held::free);
    });
}

fn producer_and_consumer() {
    const BLOCKS: usize = 20_000;
    let queue = Lock::new(Vec::<Held>::new());
    let consumed = AtomicUsize::new(0);
    let produce = || {
        let mut draw = Draw::new(5);
        for _ in 0..BLOCKS / 20 {
            let batch: Vec<_> = (0..20).map(|_| take(&mut draw, KIB)).collect();
            while queue.lock().len() > 500 {
                let _ = syscall::sched_yield();
            }
            queue.lock().extend(batch);
        }
    };
    let consume = || {
        while consumed.load(Relaxed) < BLOCKS {
            let batch = core::mem::take(&mut *queue.lock());
            if batch.is_empty() {
                let _ = syscall::sched_yield();
            }
            consumed.fetch_add(batch.len(), Relaxed);
            batch.into_iter().for_each(Held::free);
        }
    };
    case::run(|| {
        thread::together([Box::new(produce) as Work<'_>, Box::new(consume)]);
        // Twenty thousand blocks have passed; five hundred of them were live at a time.
        let mapped = case::kernel().most_mapped();
        assert!(mapped <= 6 << 20, "{mapped} bytes for half a megabyte");
    });
}

fn threads_come_and_go() {
    case::run(|| {
        for round in 0..20 {
            let works =
                (1..=3).map(|seed| Box::new(move || churn(round * 3 + seed, 300)) as Work<'_>);
            thread::together(works);
        }
        let mapped = case::kernel().most_mapped();
        assert!(
            mapped <= 24 << 20,
            "{mapped} bytes for three threads at a time"
        );
    });
}

fn what_the_dead_have_left_is_freed() {
    case::run(|| {
        let heirs = Lock::new(Vec::new());
        for seed in 1..=10 {
            let work = || {
                let mut draw = Draw::new(seed);
                let left: Vec<_> = (0..300).map(|_| take(&mut draw, 3 * KIB)).collect();
                heirs.lock().extend(left);
            };
            assert!(thread::apart(work) == thread::End::Done);
        }
        heirs.into_inner().into_iter().for_each(Held::free);
    });
}

/// The libc frees the thread's own records behind the hook, and other destructors may allocate.
fn frees_after_the_exit_hook() {
    case::run(|| {
        let work = || {
            let mut draw = Draw::new(9);
            let before: Vec<_> = (0..50).map(|_| take(&mut draw, 2 * KIB)).collect();
            ralloc_platform::redox::thread_exit();
            let after: Vec<_> = (0..50).map(|_| take(&mut draw, 2 * KIB)).collect();
            before.into_iter().chain(after).for_each(Held::free);
        };
        assert!(thread::apart(work) == thread::End::Done);
    });
}

fn a_thread_that_faults_leaves_the_others_alone() {
    case::run(|| {
        let before: Vec<_> = {
            let mut draw = Draw::new(3);
            (0..100).map(|_| take(&mut draw, KIB)).collect()
        };
        let work = || {
            // SAFETY: none: nothing is there. The access ends the thread.
            let _ = unsafe { core::ptr::without_provenance::<u8>(8).read_volatile() };
        };
        assert!(thread::apart(work) == thread::End::Faulted);
        churn(4, 2000);
        before.into_iter().for_each(Held::free);
    });
}
