//! The security build on programs that do nothing wrong: it gives out what was asked for and no more, all of it zero, keeps what the
//! program writes, finds fault with nothing, and nothing is left over at the end. On every kernel, where guards are refused and where they
//! are not; with random operations, with recorded ones, and with threads that free each other's blocks.

mod common;

use common::{
    Case, Draw, KIB, Kernel, MIB,
    actors::Actors,
    boundaries,
    trace::{Step, Trace, Verb},
};
use ralloc::{
    Hardened, Instance, c_abi, native,
    platform::{Platform, System},
};
use std::{
    collections::HashMap,
    ptr::NonNull,
    sync::{Mutex, mpsc},
    thread,
};

type Secure = Case<Hardened>;

/// Operations between two walks over the whole state.
const VERIFY_EVERY: usize = 3000;

/// A block that the program holds: every byte that it asked for has been written.
struct Held {
    start: NonNull<u8>,
    size: usize,
    seed: u8,
}

// SAFETY: a block belongs to whoever holds it.
unsafe impl Send for Held {}

impl Held {
    fn new(start: *mut u8, size: usize, seed: u8) -> Self {
        let held = Self {
            start: NonNull::new(start).expect("there is memory"),
            size,
            seed,
        };
        // SAFETY: a live block.
        let usable = unsafe { c_abi::malloc_usable_size::<Secure>(start) };
        assert_eq!(usable, size, "what was asked for, and no more");
        assert!(held.bytes().iter().all(|&byte| byte == 0), "old data");
        held.fill();
        held
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: so many bytes are ours.
        unsafe { NonNull::slice_from_raw_parts(self.start, self.size).as_ref() }
    }

    fn fill(&self) {
        // SAFETY: so many bytes are ours.
        unsafe { self.start.write_bytes(self.seed, self.size) };
    }

    fn check(&self, bytes: usize) {
        assert!(self.bytes()[..bytes].iter().all(|&byte| byte == self.seed));
    }

    fn free(self) {
        self.check(self.size);
        // SAFETY: ours, and freed once.
        unsafe { c_abi::free_sized::<Secure>(self.start.as_ptr(), self.size) };
    }

    /// As [`resize`](Self::resize), if that can be without moving; else it is as it was.
    fn resize_where_it_stands(self, size: usize) -> Self {
        // SAFETY: ours, of so many bytes.
        let done = unsafe { native::realloc_inplace::<Secure>(self.start, self.size, size) };
        if done.is_err() {
            self.check(self.size);
            return self;
        }
        let start = self.start;
        self.resized(start, size)
    }

    fn resize(self, size: usize) -> Self {
        // SAFETY: ours; the old address is not used again.
        let new = unsafe { c_abi::realloc::<Secure>(self.start.as_ptr(), size) };
        let start = NonNull::new(new).expect("there is memory");
        self.resized(start, size)
    }

    fn resized(mut self, start: NonNull<u8>, size: usize) -> Self {
        let kept = self.size.min(size);
        self.start = start;
        self.size = size;
        self.check(kept);
        assert!(self.bytes()[kept..].iter().all(|&byte| byte == 0));
        self.fill();
        self
    }
}

fn allocate(size: usize, shift: u32, seed: u8) -> Held {
    let block = match shift {
        0 => c_abi::malloc::<Secure>(size),
        _ => c_abi::memalign::<Secure>(1 << shift, size),
    };
    assert!(block.addr().is_multiple_of(1 << shift));
    Held::new(block, size, seed)
}

fn verify() {
    // SAFETY: no other thread of the case is about.
    unsafe { Secure::process().verify() };
}

fn random_operations(seed: u64) {
    let mut draw = Draw::new(seed);
    let mut live = Vec::new();
    let sizes = boundaries();
    for step in 0..12_000_usize {
        let size = match draw.below(40) {
            0 => sizes[draw.below(sizes.len())] + draw.below(3),
            1..3 => draw.skewed(KIB, 3 * MIB),
            _ => draw.skewed(1, 2 * KIB),
        };
        match draw.below(10) {
            0..5 if live.len() < 500 => {
                let shift = if draw.below(10) == 0 {
                    5 + draw.below(12) as u32
                } else {
                    0
                };
                live.push(allocate(size, shift, step as u8));
            }
            5 if !live.is_empty() => {
                let held: Held = live.swap_remove(draw.below(live.len()));
                live.push(held.resize(size.max(1)));
            }
            _ if !live.is_empty() => live.swap_remove(draw.below(live.len())).free(),
            _ => {}
        }
        if step.is_multiple_of(VERIFY_EVERY) {
            verify();
        }
    }
    live.into_iter().for_each(Held::free);
    c_abi::malloc_trim::<Secure>();
}

#[test]
fn random_operations_find_no_fault() {
    for (name, kernel) in Kernel::all() {
        println!("{name}");
        common::run_tuned::<Hardened, _>(kernel(), || random_operations(7));
    }
}

#[test]
fn threads_free_the_blocks_of_others() {
    for (name, kernel) in Kernel::all() {
        println!("{name}");
        common::run_tuned::<Hardened, _>(kernel(), || {
            thread::scope(|scope| {
                let (mut senders, mut receivers) = (Vec::new(), Vec::new());
                for _ in 0..3 {
                    let (sender, receiver) = mpsc::channel::<Held>();
                    senders.push(sender);
                    receivers.push(receiver);
                }
                let start = |(number, receiver): (usize, mpsc::Receiver<Held>)| {
                    let next = senders[(number + 1) % 3].clone();
                    scope.spawn(move || {
                        let mut draw = Draw::new(number as u64);
                        for step in 0..4000_usize {
                            let size = draw.skewed(1, 5 * KIB);
                            // Whoever receives it may be gone.
                            if let Err(refused) = next.send(allocate(size, 0, step as u8)) {
                                refused.0.free();
                            }
                            receiver.try_iter().for_each(Held::free);
                        }
                        drop(next);
                        receiver.iter().for_each(Held::free);
                    })
                };
                let threads: Vec<_> = receivers.into_iter().enumerate().map(start).collect();
                drop(senders);
                threads.into_iter().for_each(common::join);
            });
        });
    }
}

fn replay(trace: &Trace) {
    let world = Mutex::new((HashMap::new(), 0));
    let apply = |step: &Step| {
        let (blocks, births) = &mut *world.lock().expect("no panic while it is held");
        let mut take = |number| blocks.remove(&number).expect("a block that is live");
        let seed = *births as u8;
        let held = match step.verb {
            Verb::Malloc { size } => allocate(size, 0, seed),
            Verb::Calloc { size } => Held::new(c_abi::calloc::<Secure>(1, size), size, seed),
            Verb::Aligned { shift, size } => allocate(size, shift, seed),
            Verb::Realloc { old, size } => Held::resize(take(old), size),
            Verb::Free { old } => return Held::free(take(old)),
        };
        blocks.insert(*births, held);
        *births += 1;
    };
    thread::scope(|scope| {
        let mut actors = Actors::new(scope, trace.threads);
        for part in trace.steps.chunk_by(|a, b| a.thread == b.thread) {
            let last = part.last().expect("not empty");
            actors.act(last.thread, || part.iter().for_each(apply));
            if last.is_last {
                actors.end(last.thread);
            }
        }
        actors.end_all();
    });
    let (blocks, _) = world.into_inner().expect("no panic");
    blocks.into_values().for_each(Held::free);
}

#[test]
fn recorded_programs_do_nothing_wrong() {
    let traces: [&[u8]; 2] = [
        include_bytes!("traces/perl.trace"),
        include_bytes!("traces/python-threads.trace"),
    ];
    for trace in traces.map(Trace::read) {
        common::run_tuned::<Hardened, _>(Kernel::real(), || replay(&trace));
    }
}

/// The distance of each block from the one that was allocated before.
fn distances(size: usize) -> Vec<isize> {
    distances_of(200, size)
}

/// The same of `count` blocks.
fn distances_of(count: usize, size: usize) -> Vec<isize> {
    let blocks: Vec<Held> = (0..count).map(|_| allocate(size, 0, 1)).collect();
    let starts: Vec<usize> = blocks.iter().map(|held| held.start.addr().get()).collect();
    blocks.into_iter().for_each(Held::free);
    let pairs = starts.windows(2);
    pairs
        .map(|pair| pair[1].wrapping_sub(pair[0]) as isize)
        .collect()
}

#[test]
fn nobody_can_foresee_which_block_comes_next() {
    let run =
        || common::run_tuned::<Hardened, _>(Kernel::real(), || (distances(100), distances(100)));
    let (first, second) = (run(), run());
    assert_ne!(first.0, second.0, "two processes place fresh blocks alike");
    assert_ne!(first.1, second.1, "two processes reuse blocks alike");
}

#[test]
fn a_freed_block_is_not_the_next_one() {
    common::run_tuned::<Hardened, _>(Kernel::real(), || {
        let mut same = 0;
        for _ in 0..200 {
            let held = allocate(48, 0, 1);
            let start = held.start;
            held.free();
            let next = allocate(48, 0, 1);
            same += usize::from(next.start == start);
            next.free();
        }
        assert!(same < 20, "{same} of 200");
    });
}

#[test]
fn the_addresses_of_large_blocks_rest_when_they_are_freed() {
    common::run_tuned::<Hardened, _>(Kernel::real(), || {
        for size in [300_001, 3 * MIB] {
            let freed: Vec<usize> = (0..8)
                .map(|_| allocate(size, 0, 1))
                .collect::<Vec<_>>()
                .into_iter()
                .map(|held| {
                    let start = held.start.addr().get();
                    held.free();
                    start
                })
                .collect();
            let live: Vec<_> = (0..40).map(|_| allocate(size, 0, 2)).collect();
            for held in &live {
                let start = held.start.addr().get();
                let rests = |&old: &usize| start + size <= old || old + size <= start;
                assert!(freed.iter().all(rests), "{start:#x} is one of {freed:x?}");
            }
            live.into_iter().for_each(Held::free);
        }
    });
}

/// A huge block that grows moves by its pages: what it leaves is kept from everybody as if it had been freed.
#[test]
fn the_addresses_that_a_block_grows_out_of_rest() {
    common::run_tuned::<Hardened, _>(Kernel::real(), || {
        for _ in 0..3 {
            let held = allocate(5 * MIB, 0, 1);
            let old = held.start.addr().get();
            let grown = held.resize(20 * MIB);
            assert_ne!(grown.start.addr().get(), old);
            let place = NonNull::new(std::ptr::without_provenance_mut(old)).expect("an address");
            assert!(!System.reserve(place, 4 * MIB), "nobody else gets it");
            let live: Vec<_> = (0..7).map(|_| allocate(5 * MIB, 0, 2)).collect();
            for held in &live {
                let start = held.start.addr().get();
                assert!(start + 5 * MIB <= old || old + 5 * MIB <= start);
            }
            live.into_iter().chain([grown]).for_each(Held::free);
            verify();
        }
    });
}

/// Of a chain of freed huge blocks each larger than the last the pages come back under other addresses, made longer, and read zero.
#[test]
fn huge_blocks_that_come_and_go_read_zero() {
    for kernel in [Kernel::real(), Kernel::short_of_guards(5)] {
        common::run_tuned::<Hardened, _>(kernel, || {
            let mut live: Vec<Held> = Vec::new();
            for step in 0..24_usize {
                let size = 3 * MIB + step * 37 % 11 * MIB + step;
                live.push(allocate(size, 0, step as u8));
                let held = live.swap_remove(step * 7 % live.len());
                live.push(held.resize(size / 2 + 4 * MIB));
                if live.len() > 5 {
                    live.swap_remove(step % 5).free();
                }
            }
            live.into_iter().for_each(Held::free);
            verify();
        });
    }
}

#[test]
fn memory_from_elsewhere_reads_zero_too() {
    common::run_tuned::<Hardened, _>(Kernel::real(), || {
        // Runs become pages of small blocks, and pages become runs and other pages.
        for round in 0..6_u8 {
            let size = [100 * KIB, 40, 700 * KIB, 3000, 60 * KIB, 400][usize::from(round)];
            let held: Vec<_> = (0..8 * MIB / size)
                .map(|_| allocate(size, 0, 0xff))
                .collect();
            held.into_iter().for_each(Held::free);
            c_abi::malloc_trim::<Secure>();
        }
        verify();
    });
}

#[test]
fn a_chunk_grows_behind_a_guard() {
    // Of runs of some length or other the last slice that is mapped is the guard: what is mapped behind it must be memory all the same.
    for slices in (1..=24).step_by(3) {
        for (name, kernel) in Kernel::all() {
            println!("{name}, {slices}");
            common::run_tuned::<Hardened, _>(kernel(), || {
                let blocks =
                    (0..80 / slices).map(|number| allocate(slices * 64 * KIB, 0, number as u8));
                let live: Vec<_> = blocks.collect();
                live.into_iter().for_each(Held::free);
            });
        }
    }
}

/// The kernels, and those that refuse some guards.
fn kernels() -> impl Iterator<Item = Kernel> {
    let all = Kernel::all().map(|(_, kernel)| kernel());
    let short = [7, 11, 13].map(Kernel::short_of_guards);
    all.into_iter().chain(short)
}

/// The guard behind a large block follows it, OS page by OS page: what the block gains reads zero, and it keeps what it had.
#[test]
fn large_blocks_grow_and_shrink_up_to_their_guard() {
    for kernel in kernels() {
        common::run_tuned::<Hardened, _>(kernel, || {
            let mut draw = Draw::new(11);
            let mut live: Vec<Held> = Vec::new();
            for step in 0..1500_usize {
                match draw.below(8) {
                    0..2 => live.push(allocate(draw.skewed(33 * KIB, MIB), 0, step as u8)),
                    _ if live.is_empty() => {}
                    2 => live.swap_remove(draw.below(live.len())).free(),
                    3..5 => {
                        let held = live.swap_remove(draw.below(live.len()));
                        // Mostly within the last slice.
                        let size = held.size + draw.below(70 * KIB);
                        live.push(held.resize(size.saturating_sub(32 * KIB).max(1)));
                    }
                    5 => {
                        let held = live.swap_remove(draw.below(live.len()));
                        let size = 1 + draw.below(2 * held.size);
                        live.push(held.resize_where_it_stands(size));
                    }
                    _ => {
                        let held = &live[draw.below(live.len())];
                        held.check(held.size);
                    }
                }
                if live.len() > 40 {
                    live.swap_remove(draw.below(live.len())).free();
                }
            }
            verify();
            live.into_iter().for_each(Held::free);
        });
    }
}

#[test]
fn a_kernel_that_refuses_some_guards_costs_no_memory() {
    for every in [7, 11, 13] {
        common::run_tuned::<Hardened, _>(Kernel::short_of_guards(every), || random_operations(9));
    }
}

/// How many of the distances are as most of them are.
fn most_common(distances: &[isize]) -> usize {
    let count = |wanted| distances.iter().filter(|&other| other == wanted).count();
    distances.iter().map(count).max().unwrap_or(0)
}

#[test]
fn nobody_can_foresee_where_huge_blocks_and_chunks_are() {
    let run = || {
        common::run_tuned::<Hardened, _>(Kernel::real(), || {
            let huge = distances_of(40, 3 * MIB);
            // Each takes more than half of a chunk, so a chunk has one.
            (huge, distances_of(40, 2 * MIB - 64 * KIB))
        })
    };
    let (first, second) = (run(), run());
    assert_ne!(first.0, second.0, "two processes place huge blocks alike");
    assert_ne!(first.1, second.1, "two processes place chunks alike");
    for distances in [first.0, first.1] {
        assert!(most_common(&distances) < 20, "{distances:x?}");
        let chunks: Vec<isize> = distances.iter().map(|bytes| bytes >> 22).collect();
        assert!(most_common(&chunks) < 20, "{chunks:x?}");
    }
}

/// However few bytes are left behind what was asked for, they are looked at as they were marked.
#[test]
fn large_and_huge_blocks_end_anywhere() {
    common::run_tuned::<Hardened, _>(Kernel::real(), || {
        for end in [128 * KIB, 2 * MIB - 64 * KIB, 2 * MIB, 5 * MIB] {
            for slack in 0..80 {
                let held = allocate(end - slack, 0, slack as u8);
                held.free();
            }
        }
        verify();
    });
}

/// Where freed memory can be read, because the kernel refuses a guard now and then or has none to give, a block of odd alignment reads
/// zero like all others.
#[test]
fn blocks_of_odd_alignment_read_zero() {
    for kernel in kernels().chain([Kernel::short_of_guards(1)]) {
        common::run_tuned::<Hardened, _>(kernel, || {
            for round in 0..40 {
                for size in [100, 20 * KIB, 100 * KIB, 700 * KIB, 5 * MIB] {
                    let block = native::alloc::<Secure>(size, [24, 40, 1000][round % 3]);
                    // SAFETY: the block has so many bytes.
                    let bytes = unsafe { std::slice::from_raw_parts_mut(block.as_ptr(), size) };
                    assert!(bytes.iter().all(|&byte| byte == 0), "{size} bytes");
                    bytes.fill(0xa5);
                    // SAFETY: the block is freed once.
                    unsafe { native::free::<Secure>(block, size) };
                }
            }
        });
    }
}
