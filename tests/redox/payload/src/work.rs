//! The work that the allocators are compared by. What to ask for is drawn before the clock starts, and the work has no locks and
//! no memory of its own to ask for: what is measured is the allocator, and the memory that it hands out, of which the
//! first word is written.

use crate::{
    common::{Draw, KIB},
    frames,
    kernel::cycles,
    peer::Subject,
    thread,
};
use core::{
    cell::UnsafeCell,
    mem, ptr,
    sync::atomic::{
        AtomicU64, AtomicUsize,
        Ordering::{Acquire, Relaxed, Release},
    },
};
use std::{boxed::Box, vec::Vec};

/// A block and its size, for any thread to free.
struct Handed(*mut u8, usize);
// SAFETY: a block belongs to whoever holds it.
unsafe impl Send for Handed {}

impl Handed {
    const NONE: Self = Self(ptr::null_mut(), 0);
}

fn take(subject: &impl Subject, size: usize) -> Handed {
    let block = subject.allocate(size);
    assert!(!block.is_null());
    // SAFETY: just allocated, a word long at least.
    unsafe { block.cast::<usize>().write_volatile(size) };
    Handed(block, size)
}

fn give_back(subject: &impl Subject, Handed(block, size): Handed) {
    // SAFETY: whoever holds it frees it once.
    unsafe { subject.free(block, size) };
}

/// Sizes of a program of objects: small ones as likely as large ones.
fn sizes(seed: u64, count: usize) -> Vec<usize> {
    let mut draw = Draw::new(seed);
    (0..count).map(|_| draw.skewed(16, KIB)).collect()
}

/// Something to do again and again, each time the same. The number of operations is that of one time.
pub struct Job<S>(Box<dyn FnMut(&S) -> u64 + Send>);

impl<S: Subject> Job<S> {
    /// Do it once; how many operations it was.
    pub fn run(&mut self, subject: &S) -> u64 {
        (self.0)(subject)
    }

    /// A block that is taken and given back at once.
    pub fn one_block(_: u64) -> Self {
        const STEPS: usize = 1_000_000;
        Self(Box::new(|subject| {
            for step in 0..STEPS {
                give_back(subject, take(subject, 16 + step % 8 * 16));
            }
            2 * STEPS as u64
        }))
    }

    /// A hundred blocks of all sizes, which are given back in the order in which they were taken.
    pub fn hundred(seed: u64) -> Self {
        const ROUNDS: usize = 10_000;
        let sizes = sizes(seed, 100);
        let mut held: Vec<Handed> = Vec::with_capacity(sizes.len());
        Self(Box::new(move |subject| {
            for _ in 0..ROUNDS {
                held.extend(sizes.iter().map(|&size| take(subject, size)));
                held.drain(..).for_each(|block| give_back(subject, block));
            }
            (2 * ROUNDS * sizes.len()) as u64
        }))
    }

    /// A server of 4,000 objects.
    pub fn small_server(seed: u64) -> Self {
        Self::server(seed, 4000)
    }

    /// A server: so many objects live, each request replaces one; one of fifty is for a buffer of up to 16 KiB.
    pub fn server(seed: u64, objects: usize) -> Self {
        const STEPS: usize = 200_000;
        let mut draw = Draw::new(seed);
        let begin = sizes(seed + 100, objects);
        let steps: Vec<(usize, usize)> = (0..STEPS)
            .map(|_| {
                let high = if draw.below(50) == 0 { 16 * KIB } else { KIB };
                (draw.below(objects), draw.skewed(16, high))
            })
            .collect();
        let mut live: Vec<Handed> = Vec::with_capacity(objects);
        Self(Box::new(move |subject| {
            live.extend(begin.iter().map(|&size| take(subject, size)));
            for (number, &(place, size)) in steps.iter().enumerate() {
                if number % 8192 == 0 {
                    frames::sample();
                }
                let fresh = take(subject, size);
                give_back(subject, mem::replace(&mut live[place], fresh));
            }
            live.drain(..).for_each(|block| give_back(subject, block));
            2 * (STEPS + objects) as u64
        }))
    }
}

/// Blocks that are handed over together.
const BATCH: usize = 100;
/// Batches in all.
const BATCHES: usize = 4000;
/// What [`hand_over`] does in all: each block is taken and given back.
pub const HANDED_OPERATIONS: u64 = 2 * (BATCHES * BATCH) as u64;
/// How often who has to wait looks again before it lets others run.
const LOOKS: usize = 200;

/// Batches on their way from the thread that allocates to the one that frees: `freed <= filled <= freed + places.len()`.
struct Belt {
    places: Vec<UnsafeCell<[Handed; BATCH]>>,
    filled: AtomicUsize,
    freed: AtomicUsize,
}

// SAFETY: a place is the producer's while `filled < freed + places.len()`, and the consumer's while `freed < filled`.
unsafe impl Sync for Belt {}

/// One thread allocates, the other frees; so many batches may be on their way. The cycles for a hundred operations of the second
/// half: until then memory comes from the kernel.
pub fn hand_over<S: Subject>(subject: &S, most: usize) -> u64 {
    let sizes = sizes(11, BATCHES * BATCH);
    let took = AtomicU64::new(0);
    let told = &took;
    let place = || UnsafeCell::new([const { Handed::NONE }; BATCH]);
    let belt = Belt {
        places: (0..most).map(|_| place()).collect(),
        filled: AtomicUsize::new(0),
        freed: AtomicUsize::new(0),
    };
    let belt = &belt;
    let produce = move || {
        for (number, sizes) in sizes.chunks(BATCH).enumerate() {
            // Acquire: pairs with the Release in `consume`; the place is empty then.
            wait_until(|| number < belt.freed.load(Acquire) + most);
            // SAFETY: the place is ours until `filled` says that it is full.
            let place = unsafe { &mut *belt.places[number % most].get() };
            for (held, &size) in place.iter_mut().zip(sizes) {
                *held = take(subject, size);
            }
            // Release: pairs with the Acquire in `consume`.
            belt.filled.store(number + 1, Release);
            if number % 64 == 0 {
                frames::sample();
            }
        }
    };
    let consume = move || {
        let mut start = 0;
        for number in 0..BATCHES {
            if number == BATCHES / 2 {
                start = cycles();
            }
            // Acquire: pairs with the Release in `produce`; the blocks are there.
            wait_until(|| number < belt.filled.load(Acquire));
            // SAFETY: the place is ours until `freed` says that it is empty.
            let place = unsafe { &mut *belt.places[number % most].get() };
            for held in place {
                give_back(subject, mem::replace(held, Handed::NONE));
            }
            // Release: pairs with the Acquire in `produce`.
            belt.freed.store(number + 1, Release);
        }
        told.store(cycles() - start, Relaxed);
    };
    thread::together([
        Box::new(produce) as Box<dyn FnOnce() + Send + '_>,
        Box::new(consume),
    ]);
    took.into_inner() / (BATCHES * BATCH / 100) as u64
}

/// Let others run now and then until it is so.
pub fn wait_until(ready: impl Fn() -> bool) {
    loop {
        for _ in 0..LOOKS {
            if ready() {
                return;
            }
            core::hint::spin_loop();
        }
        let _ = syscall::sched_yield();
    }
}
