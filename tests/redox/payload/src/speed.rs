//! The same work on ralloc and on what the libc has today: dlmalloc behind one futex. In one run, in turns; the least
//! of several counts. Times under an emulator or a tracer mean something as ratios only, so nothing is asserted.

use crate::{
    case,
    common::{Case, Draw, KIB, Lock},
    kernel::{Count, Counters, cycles, say},
    thread,
};
use core::{
    cell::UnsafeCell,
    ptr,
    sync::atomic::{
        AtomicI32, AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
};
use dlmalloc::{Allocator, Dlmalloc};
use ralloc::c_abi;
use ralloc_platform::{Platform, redox::Redox};
use std::{boxed::Box, vec, vec::Vec};
use syscall::{FUTEX_WAIT, FUTEX_WAKE};

/// What the work is done on.
trait Subject: Sync {
    const NAME: &'static str;
    fn allocate(&self, size: usize) -> *mut u8;
    /// # Safety
    ///
    /// The block is of this subject, of this size, and live.
    unsafe fn free(&self, block: *mut u8, size: usize);
}

struct Ours;

impl Subject for Ours {
    const NAME: &'static str = "ralloc";

    fn allocate(&self, size: usize) -> *mut u8 {
        c_abi::malloc::<Case>(size)
    }

    unsafe fn free(&self, block: *mut u8, _: usize) {
        // SAFETY: the caller's promise.
        unsafe { c_abi::free::<Case>(block) }
    }
}

/// The kernel, as dlmalloc asks it for memory in the libc of today.
struct Pages;

// SAFETY: fresh memory from the kernel, which is given back as it was taken.
unsafe impl Allocator for Pages {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        match Redox.map(size, 4096) {
            Some(base) => (base.as_ptr(), size, 0),
            None => (ptr::null_mut(), 0, 0),
        }
    }

    fn remap(&self, _: *mut u8, _: usize, _: usize, _: bool) -> *mut u8 {
        ptr::null_mut()
    }

    fn free_part(&self, base: *mut u8, old: usize, new: usize) -> bool {
        let tail = ptr::NonNull::new(base.wrapping_add(new));
        // SAFETY: the tail of what `alloc` has mapped.
        tail.is_some_and(|tail| unsafe { Redox.unmap(tail, old - new) })
    }

    fn free(&self, base: *mut u8, size: usize) -> bool {
        // SAFETY: what `alloc` has mapped.
        ptr::NonNull::new(base).is_some_and(|base| unsafe { Redox.unmap(base, size) })
    }

    fn can_release_part(&self, _: u32) -> bool {
        true
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        4096
    }
}

/// dlmalloc behind a lock that waits in the kernel: 0 free, 1 held, 2 held and somebody may be waiting.
struct Peer {
    word: AtomicI32,
    heap: UnsafeCell<Dlmalloc<Pages>>,
}

// SAFETY: the heap is used under the lock.
unsafe impl Sync for Peer {}

impl Peer {
    const fn new() -> Self {
        Self {
            word: AtomicI32::new(0),
            heap: UnsafeCell::new(Dlmalloc::new_with_allocator(Pages)),
        }
    }

    fn locked<R>(&self, work: impl FnOnce(&mut Dlmalloc<Pages>) -> R) -> R {
        // Acquire: pairs with the Release below.
        if self.word.compare_exchange(0, 1, Acquire, Relaxed).is_err() {
            while self.word.swap(2, Acquire) != 0 {
                self.futex(FUTEX_WAIT, 2);
            }
        }
        // SAFETY: the lock is held.
        let result = work(unsafe { &mut *self.heap.get() });
        if self.word.swap(0, Release) == 2 {
            self.futex(FUTEX_WAKE, 1);
        }
        result
    }

    fn futex(&self, operation: usize, value: i32) {
        // SAFETY: a word of ours; it returns when it has changed, at the latest when it is woken.
        let _ = unsafe { syscall::futex(self.word.as_ptr(), operation, value, 0, ptr::null_mut()) };
    }
}

impl Subject for Peer {
    const NAME: &'static str = "dlmalloc and a lock";

    fn allocate(&self, size: usize) -> *mut u8 {
        // SAFETY: any size and alignment will do.
        self.locked(|heap| unsafe { heap.malloc(size, 16) })
    }

    unsafe fn free(&self, block: *mut u8, size: usize) {
        // SAFETY: the caller's promise.
        self.locked(|heap| unsafe { heap.free(block, size, 16) });
    }
}

/// A block and its size, for any thread to free.
struct Handed(*mut u8, usize);
// SAFETY: a block belongs to whoever holds it.
unsafe impl Send for Handed {}

fn take(subject: &impl Subject, size: usize) -> Handed {
    let block = subject.allocate(size);
    assert!(!block.is_null());
    // SAFETY: just allocated.
    unsafe { block.write_volatile(1) };
    Handed(block, size)
}

fn give_back(subject: &impl Subject, Handed(block, size): Handed) {
    // SAFETY: whoever holds it frees it once.
    unsafe { subject.free(block, size) };
}

/// A server: so many objects live, each request replaces one. Operations done.
fn serve(subject: &impl Subject, seed: u64, objects: usize) -> u64 {
    const STEPS: u64 = 60_000;
    let mut draw = Draw::new(seed);
    let mut live: Vec<Handed> = (0..objects)
        .map(|_| take(subject, draw.skewed(16, KIB)))
        .collect();
    for step in 0..STEPS {
        if step % 4000 == 0 {
            sample();
        }
        let pick = draw.below(objects);
        let high = if draw.below(50) == 0 { 16 * KIB } else { KIB };
        let fresh = take(subject, draw.skewed(16, high));
        give_back(subject, core::mem::replace(&mut live[pick], fresh));
    }
    live.into_iter().for_each(|block| give_back(subject, block));
    2 * STEPS
}

fn server(subject: &impl Subject, seed: u64) -> u64 {
    serve(subject, seed, 4000)
}

/// A block that is taken and given back at once, again and again.
fn one_block(subject: &impl Subject, _: u64) -> u64 {
    const STEPS: u64 = 300_000;
    for step in 0..STEPS {
        let size = 16 + (step % 8) as usize * 16;
        give_back(subject, take(subject, size));
    }
    2 * STEPS
}

/// One thread allocates, the other frees.
fn hand_over(subject: &impl Subject, most: usize) -> u64 {
    const BATCHES: u64 = 400;
    let queue = Lock::new(Vec::<Vec<Handed>>::new());
    let produce = || {
        let mut draw = Draw::new(11);
        for _ in 0..BATCHES {
            let batch = (0..100)
                .map(|_| take(subject, draw.skewed(16, KIB)))
                .collect();
            while queue.lock().len() >= most {
                let _ = syscall::sched_yield();
            }
            queue.lock().push(batch);
            sample();
        }
    };
    let consume = || {
        let mut left = BATCHES;
        while left > 0 {
            let batches = core::mem::take(&mut *queue.lock());
            if batches.is_empty() {
                let _ = syscall::sched_yield();
            }
            left -= batches.len() as u64;
            let blocks = batches.into_iter().flatten();
            blocks.for_each(|block| give_back(subject, block));
        }
    };
    let works: [Box<dyn FnOnce() + Send + '_>; 2] = [Box::new(produce), Box::new(consume)];
    thread::together(works);
    BATCHES * 200
}

type Work<S> = fn(&S, u64) -> u64;

/// Cycles for a hundred operations, by as many threads at the same time.
fn time<S: Subject>(subject: &S, work: Work<S>, threads: u64) -> u64 {
    let done = Lock::new(0);
    let spent = Lock::new(0_u64);
    let works = (1..=threads).map(|seed| {
        let (done, spent) = (&done, &spent);
        Box::new(move || {
            // Once without counting: memory comes from the kernel then.
            work(subject, seed);
            let start = cycles();
            *done.lock() += work(subject, seed + 10);
            let took = cycles() - start;
            let mut spent = spent.lock();
            *spent = took.max(*spent);
        }) as Box<dyn FnOnce() + Send + '_>
    });
    thread::together(works);
    let (done, spent) = (*done.lock(), *spent.lock());
    spent * 100 / done
}

fn hand_over_time<S: Subject>(subject: &S, _: Work<S>, _: u64) -> u64 {
    let start = cycles();
    let done = hand_over(subject, 8);
    (cycles() - start) * 100 / done
}

/// The most frames that were in use when somebody looked; 0 where nobody is to look.
static MOST_FRAMES: AtomicU64 = AtomicU64::new(0);

/// Look how many frames are in use.
fn sample() {
    if MOST_FRAMES.load(Relaxed) != 0 {
        MOST_FRAMES.fetch_max(frames(), Relaxed);
    }
}

fn frames() -> u64 {
    Counters::now().map_or(0, |now| now.get(Count::Frames))
}

struct Row {
    name: &'static str,
    ours: u64,
    peer: u64,
}

/// Compare, and print a table.
pub fn compare() {
    let mut rows: Vec<Row> = vec![];
    let mut note = |name, round: usize, ours: u64, peer: u64| match rows
        .iter_mut()
        .find(|row| row.name == name)
    {
        Some(row) if round > 0 => {
            row.ours = row.ours.min(ours);
            row.peer = row.peer.min(peer);
        }
        _ => rows.push(Row { name, ours, peer }),
    };
    for round in 0..3 {
        let peer = Peer::new();
        case::run(|| {
            let mut both = |name, ours: Work<Ours>, theirs: Work<Peer>, threads| {
                let (ours, peer) = (time(&Ours, ours, threads), time(&peer, theirs, threads));
                note(name, round, ours, peer);
            };
            both("one block, 1 thread", one_block, one_block, 1);
            both("one block, 2 threads", one_block, one_block, 2);
            both("server, 1 thread", server, server, 1);
            both("server, 2 threads", server, server, 2);
            let ours = hand_over_time(&Ours, server, 2);
            note(
                "one allocates, one frees",
                round,
                ours,
                hand_over_time(&peer, server, 2),
            );
        });
    }
    say!(
        "cycles for 100 operations, the least of 3: {}, {}, ratio",
        Ours::NAME,
        Peer::NAME
    );
    for Row { name, ours, peer } in &rows {
        let ratio = peer * 10 / ours.max(&1);
        say!(
            "  {name:26}{ours:>9}{peer:>9}{:>6}.{}",
            ratio / 10,
            ratio % 10
        );
    }
    memory();
}

/// The most frames that the same work takes, and what it leaves, in a heap that nobody has used.
fn memory() {
    if Counters::now().is_none() {
        return;
    }
    let hold = |work: &(dyn Fn() + Sync)| {
        let before = frames();
        MOST_FRAMES.store(before, Relaxed);
        thread::together([Box::new(work) as Box<dyn FnOnce() + Send + '_>]);
        let most = MOST_FRAMES.swap(0, Relaxed);
        (most - before, frames().saturating_sub(before))
    };
    let row = |name: &str, ours: &(dyn Fn() + Sync), peer: &(dyn Fn() + Sync)| {
        let mut figures = [(0, 0); 2];
        case::run(|| figures[0] = hold(ours));
        figures[1] = hold(peer);
        let [(most, left), (peer_most, peer_left)] = figures;
        say!("  {name:34}{most:>8}{left:>6}{peer_most:>8}{peer_left:>6}");
    };
    say!("frames at most, and left: {}, {}", Ours::NAME, Peer::NAME);
    for (name, objects) in [
        ("server, 4,000 objects", 4000),
        ("server, 40,000 objects", 40_000),
    ] {
        let peer = Peer::new();
        row(name, &|| _ = serve(&Ours, 3, objects), &|| {
            _ = serve(&peer, 3, objects)
        });
    }
    for (name, most) in [
        ("one allocates, 8 batches wait", 8),
        ("one allocates, 100 batches wait", 100),
    ] {
        let peer = Peer::new();
        row(name, &|| _ = hand_over(&Ours, most), &|| {
            _ = hand_over(&peer, most)
        });
    }
}
