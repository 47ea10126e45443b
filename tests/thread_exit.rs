//! What becomes of the memory of threads that are gone, and of memory that a thread has more of than it needs.

mod common;

use common::{Case, Held, KIB, Kernel, MIB};
use ralloc::c_abi;
use ralloc_platform::sim::Rules;
use std::{collections::BTreeSet, sync::mpsc, thread};

fn allocate(size: usize) -> Held {
    Held::new(c_abi::malloc::<Case>(size), size, 16, size as u64).expect("there is memory enough")
}

/// The slice of 64 KiB that a block lies in.
fn slice_of(held: &Held) -> usize {
    held.address() / (64 * KIB)
}

#[test]
fn the_living_reuse_what_the_dead_had() {
    for (_, kernel) in Kernel::all() {
        common::run(kernel(), || {
            let fill = || (0..2000).map(|_| allocate(200)).collect::<Vec<_>>();
            let live_and_die = || common::in_thread(|| fill().into_iter().for_each(Held::free));
            live_and_die();
            let mapped = common::kernel().mapped();
            (0..50).for_each(|_| live_and_die());
            assert_eq!(common::kernel().mapped(), mapped);
            assert!(common::stats().heaps <= 2, "{}", common::stats());
        });
    }
}

#[test]
fn blocks_outlive_their_thread_and_their_memory_serves_the_living() {
    for (_, kernel) in Kernel::all() {
        common::run(kernel(), || {
            // This thread has a heap of its own: it does not take over that of the dead one.
            let mine = allocate(40);
            let theirs = common::in_thread(|| (0..4000).map(|_| allocate(300)).collect::<Vec<_>>());
            let slices: BTreeSet<_> = theirs.iter().map(slice_of).collect();
            let keep = |(index, held): (usize, Held)| {
                if index % 8 == 0 {
                    return Some(held);
                }
                held.free();
                None
            };
            let survivors: Vec<_> = theirs.into_iter().enumerate().filter_map(keep).collect();
            // What lies in the ring of this thread is delivered when it is told to.
            c_abi::malloc_trim::<Case>();
            let fresh: Vec<_> = (0..3000).map(|_| allocate(300)).collect();
            let reused = fresh.iter().filter(|held| slices.contains(&slice_of(held)));
            let reused = reused.count();
            assert!(
                reused > 2500,
                "{reused} of 3000 blocks in pages of the dead"
            );
            common::verify();
            [survivors, fresh, vec![mine]]
                .into_iter()
                .flatten()
                .for_each(Held::free);
        });
    }
}

/// Threads that each leave a MiB of blocks behind: what 32 bits address has no room for a thousand MiB beside the stacks and the
/// simulated kernel.
const THREADS: usize = if cfg!(target_pointer_width = "32") {
    200
} else {
    1000
};

#[test]
fn little_is_kept_after_a_thousand_threads() {
    for kernel in [Kernel::sim(Rules::Linux), Kernel::real()] {
        common::run(kernel, || {
            let work = |number: usize| {
                move || {
                    (0..MIB / 512)
                        .map(|index| {
                            let size = 16 + (index * 7 + number) % 61 * 16;
                            allocate(size)
                        })
                        .collect::<Vec<_>>()
                }
            };
            let mut blocks = Vec::new();
            for group in 0..THREADS / 8 {
                thread::scope(|scope| {
                    let threads: Vec<_> = (0..8)
                        .map(|number| scope.spawn(work(8 * group + number)))
                        .collect();
                    blocks.extend(threads.into_iter().flat_map(common::join));
                });
            }
            let live = common::stats().live;
            assert!(live >= THREADS * MIB / 100 * 98, "{live} bytes only");
            blocks.into_iter().for_each(Held::free);
            let stats = common::stats();
            assert!(stats.retained <= 16 * MIB, "{stats}");
            assert!(stats.live <= MIB, "{stats}");
            let left = common::kernel().mapped();
            assert!(
                left <= live / 4,
                "{left} bytes still mapped of {live}\n{stats}"
            );
        });
    }
}

#[test]
fn a_heap_with_sparse_pages_gives_some_to_others() {
    for (_, kernel) in Kernel::all() {
        common::run(kernel(), || {
            thread::scope(|scope| {
                let (has_freed, other_goes_on) = mpsc::channel();
                let (is_done, owner_goes_on) = mpsc::channel();
                let owner = scope.spawn(move || {
                    let blocks: Vec<_> = (0..4096).map(|_| allocate(512)).collect();
                    let sparse = |(index, held): (usize, Held)| match index % 16 {
                        0 => Some(held),
                        _ => {
                            held.free();
                            None
                        }
                    };
                    let survivors: Vec<_> =
                        blocks.into_iter().enumerate().filter_map(sparse).collect();
                    // Work, which is when a heap looks after its pages.
                    for _ in 0..64 * 40 {
                        let some: Vec<_> = (0..8).map(|_| allocate(512)).collect();
                        some.into_iter().for_each(Held::free);
                    }
                    let slices: BTreeSet<_> = survivors.iter().map(slice_of).collect();
                    has_freed.send(slices).expect("the other thread is there");
                    owner_goes_on.recv().expect("the other thread is there");
                    survivors.into_iter().for_each(Held::free);
                });
                let slices = other_goes_on.recv().expect("the owner is there");
                let fresh: Vec<_> = (0..1000).map(|_| allocate(512)).collect();
                let taken = fresh
                    .iter()
                    .filter(|held| slices.contains(&slice_of(held)))
                    .count();
                is_done.send(()).expect("the owner is there");
                common::join(owner);
                common::verify();
                fresh.into_iter().for_each(Held::free);
                assert!(
                    taken > 500,
                    "{taken} blocks of 1000 in pages that the owner gave away"
                );
            });
        });
    }
}
