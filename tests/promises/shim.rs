//! Allocators with different policies do not know of each other.

use super::child;
use ralloc::{Instance, Tuning, native, stats};
use std::{
    ptr::NonNull,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
};

/// Every number as small as it may be.
struct Least;

impl Tuning for Least {
    const FIRST_MAPPING: usize = 1;
    const REFILL_BLOCKS: usize = 1;
    const REFILL_BYTES: usize = 1;
    const LOOK_AHEAD: usize = 0;
    const RING_BLOCKS: usize = 1;
    const RING_BYTES: usize = 1;
    const TICK: u32 = 1;
    const IDLE_FLOOR: usize = 0;
    const IDLE_SHARE: usize = usize::MAX;
    const CHURN_WINDOW: usize = 0;
    const DONATE_ABOVE: usize = 1;
    const CROWD: u32 = 0;
    const NEWCOMER_REFILLS: u32 = 1;
    const SHARED_BYTES: usize = 1;
    const ORPHANS_LOOKED_AT: usize = 1;
    fn stays(usable: usize, size: usize) -> bool {
        usable == size
    }
}

/// Every number large.
struct Most;

impl Tuning for Most {
    const FIRST_MAPPING: usize = 4 << 20;
    const REFILL_BLOCKS: usize = 4096;
    const REFILL_BYTES: usize = 1 << 20;
    const LENDS: bool = true;
    const LOOK_AHEAD: usize = 100;
    const RING_BLOCKS: usize = 10_000;
    const RING_BYTES: usize = 16 << 20;
    const TICK: u32 = 10_000;
    const IDLE_FLOOR: usize = 256 << 20;
    const CHURN_WINDOW: usize = 1 << 30;
    const DONATE_ABOVE: usize = 1000;
    const LARGE_PAGES_ABOVE: usize = 0;
    const CROWD: u32 = 1000;
    const ORPHANS_LOOKED_AT: usize = 1000;
    fn stays(_: usize, _: usize) -> bool {
        true
    }
}

ralloc::instance! {
    /// See [`Least`].
    struct Small: Least;
}

ralloc::instance! {
    /// See [`Most`].
    struct Large: Most;
}

#[path = "twin.rs"]
#[allow(clippy::duplicate_mod, reason = "that is the test")]
mod left;
#[path = "twin.rs"]
#[allow(clippy::duplicate_mod, reason = "that is the test")]
mod right;

/// Two modules have an allocator of one name at one place of their files: each has words of its own.
#[test]
fn allocators_of_one_name_are_two() {
    use ralloc::platform::ThreadBlock;
    type Words<I> = <I as Instance>::Thread;
    std::thread::spawn(|| {
        let block = native::alloc::<left::Twin>(100, 8);
        let first = (0..72).find(|&index| {
            // SAFETY: a block has 72 words.
            unsafe { Words::<left::Twin>::get(index) != 0 }
        });
        assert!(first.is_some(), "the thread has a heap there");
        for index in 0..72 {
            // SAFETY: as above.
            assert_eq!(unsafe { Words::<right::Twin>::get(index) }, 0);
        }
        let other = native::alloc::<right::Twin>(100, 8);
        // SAFETY: allocated above with this size, each freed once, by the allocator that it is from.
        unsafe {
            native::free::<left::Twin>(block, 100);
            native::free::<right::Twin>(other, 100);
        }
    })
    .join()
    .expect("the test passes");
}

/// A block with its size in it.
struct Held<I: Instance>(NonNull<u8>, usize, std::marker::PhantomData<fn() -> I>);

// SAFETY: memory belongs to whoever holds it.
unsafe impl<I: Instance> Send for Held<I> {}

impl<I: Instance> Held<I> {
    fn new(size: usize) -> Self {
        let start = native::alloc::<I>(size, 8);
        // SAFETY: the block has so many bytes.
        unsafe { start.write_bytes(size as u8, size) };
        Self(start, size, std::marker::PhantomData)
    }
}

impl<I: Instance> Drop for Held<I> {
    fn drop(&mut self) {
        for at in [0, self.1 / 2, self.1 - 1] {
            // SAFETY: the block has so many bytes.
            assert_eq!(unsafe { self.0.add(at).read() }, self.1 as u8);
        }
        // SAFETY: allocated with this size, freed here only.
        unsafe { native::free::<I>(self.0, self.1) };
    }
}

/// Some traffic; returns what is to be freed elsewhere.
fn work<I: Instance>(seed: usize) -> Vec<Held<I>> {
    let mut kept = Vec::new();
    for number in 0..400 {
        let size = match number % 40 {
            0 => 100_000,
            1 => 9000,
            39 if number == 399 => 3 << 20,
            _ => 1 + (number * 7919 + seed * 31) % 1000,
        };
        kept.push(Held::new(size));
        if number % 3 == 0 {
            kept.swap_remove((number * 13 + seed) % kept.len());
        }
    }
    kept.truncate(200);
    kept
}

fn mixed(stop: &AtomicBool, seed: usize) -> (Vec<Held<Small>>, Vec<Held<Large>>) {
    loop {
        let (small, large) = (work::<Small>(seed), work::<Large>(seed));
        if stop.load(Relaxed) {
            return (small, large);
        }
        // Freed by a thread that ends with them.
        thread::scope(|scope| _ = scope.spawn(move || drop((small, large))));
    }
}

/// Fork; the child uses both allocators, checks their equations, and ends.
fn fork_and_work() {
    // SAFETY: the child uses what survives a fork.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        // SAFETY: no handler is installed: a child that hangs is killed.
        unsafe { libc::alarm(120) };
        drop((work::<Small>(5), work::<Large>(6)));
        // SAFETY: a child of `fork` has one thread.
        unsafe { Small::process().verify() };
        // SAFETY: as above.
        unsafe { Large::process().verify() };
        // SAFETY: nothing of the parent's is flushed or destroyed.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: waits for our child.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0, "the child's status");
}

#[test]
#[ignore = "a part of two_policies_with_threads_and_forks"]
fn part_two_policies() {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let stop = &stop;
        let threads: Vec<_> = (0..3)
            .map(|seed| scope.spawn(move || mixed(stop, seed)))
            .collect();
        (0..20).for_each(|_| fork_and_work());
        stop.store(true, Relaxed);
        for thread in threads {
            drop(thread.join().expect("no panic"));
        }
    });
    // SAFETY: no other thread is at work.
    unsafe { Small::process().verify() };
    // SAFETY: as above.
    unsafe { Large::process().verify() };
    // SAFETY: as above.
    unsafe { ralloc::verify() };
    native::alloc::<Small>(1, 1);
    ralloc::alloc::trim::<Large>();
    let live = stats::stats::<Large>().live;
    assert!(live < 1 << 20, "{live} bytes of Large are live");
}

#[test]
fn two_policies_with_threads_and_forks() {
    child::passes("shim::part_two_policies");
}

/// `Vec`s in the program's own allocator, blocks in others: a policy stays where it was named.
#[test]
#[ignore = "a part of a_policy_stays_where_it_was_named"]
fn part_policies() {
    fn kept<I: Instance>() -> usize {
        let blocks: Vec<_> = (0..32).map(|_| Held::<I>::new(1 << 20)).collect();
        drop(blocks);
        stats::stats::<I>().retained
    }
    assert!(kept::<Small>() < 1 << 20);
    assert!(kept::<Large>() > 30 << 20);
    assert!((1 << 20..24 << 20).contains(&kept::<ralloc::Global>()));
}

#[test]
fn a_policy_stays_where_it_was_named() {
    child::passes("shim::part_policies");
}
