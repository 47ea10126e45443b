//! The same work on ralloc and on what the libc has today, in one run, in turns: time, and frames. Times under an
//! emulator or a tracer mean something as ratios only, and on a busy machine not even that, so nothing depends on them.

use crate::{
    case,
    common::Lock,
    frames,
    kernel::{Count, Counters, cycles, say},
    peer::{Nothing, Ours, Peer, Subject},
    thread,
    work::{self, Job},
};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::{boxed::Box, fmt, vec, vec::Vec};

/// Rounds, of which the least time counts.
const ROUNDS: usize = 3;

/// Cycles for a hundred operations, by as many threads at the same time, each with a job of its own: from when the first begins until
/// the last is done.
fn time<S: Subject>(subject: &S, job: fn(u64) -> Job<S>, threads: u64) -> u64 {
    let ready = AtomicU64::new(0);
    let total = Lock::new((0, u64::MAX, 0));
    let works = (1..=threads).map(|seed| {
        let (ready, total) = (&ready, &total);
        let mut job = job(seed);
        Box::new(move || {
            // Once without counting: memory comes from the kernel then.
            job.run(subject);
            ready.fetch_add(1, Relaxed);
            work::wait_until(|| ready.load(Relaxed) == threads);
            let start = cycles();
            let done = job.run(subject);
            let end = cycles();
            let mut total = total.lock();
            *total = (total.0 + done, start.min(total.1), end.max(total.2));
        }) as Box<dyn FnOnce() + Send + '_>
    });
    thread::together(works);
    let (done, start, end) = total.into_inner();
    (end - start) * 100 / done
}

/// What an amount of work costs: with ralloc, with its peer, and with nothing that allocates.
#[derive(Clone, Copy)]
struct Costs([u64; 3]);

impl Costs {
    fn least(self, other: Self) -> Self {
        Self(core::array::from_fn(|number| {
            self.0[number].min(other.0[number])
        }))
    }
}

/// Each kind of work, and its costs.
fn round() -> Vec<(&'static str, Costs)> {
    let peer = Peer::new();
    let mut rows = vec![];
    case::run(|| {
        let mut all = |name, jobs: Jobs, threads| {
            let costs = [
                time(&Ours, jobs.0, threads),
                time(&peer, jobs.1, threads),
                time(&Nothing, jobs.2, threads),
            ];
            rows.push((name, Costs(costs)));
        };
        let one_block = Jobs(Job::one_block, Job::one_block, Job::one_block);
        let hundred = Jobs(Job::hundred, Job::hundred, Job::hundred);
        let server = Jobs(Job::small_server, Job::small_server, Job::small_server);
        all("one block, 1 thread", one_block, 1);
        all("one block, 2 threads", one_block, 2);
        all("a hundred blocks, 1 thread", hundred, 1);
        all("a hundred blocks, 2 threads", hundred, 2);
        all("server, 1 thread", server, 1);
        all("server, 2 threads", server, 2);
        let handed = [hand_over(&Ours), hand_over(&peer), hand_over(&Nothing)];
        rows.push(("one allocates, one frees", Costs(handed)));
    });
    rows
}

/// The costs of a hundred operations where one thread allocates and one frees. Where calls are counted, it says which ones these are.
fn hand_over<S: Subject>(subject: &S) -> u64 {
    let before = Counters::now();
    let costs = work::hand_over(subject, 64);
    if let Some(before) = before {
        let waits = before.since(Count::FutexWait) + before.since(Count::FutexWake);
        let yields = before.since(Count::Yield);
        let per_million = |calls: u64| calls * 1_000_000 / work::HANDED_OPERATIONS;
        say!(
            "calls for a million operations, one allocates, one frees, {}: memory {}, futex {}, yield {}",
            S::NAME,
            per_million(before.memory_calls()),
            per_million(waits),
            per_million(yields)
        );
    }
    costs
}

/// The same job, on each of the subjects.
#[derive(Clone, Copy)]
struct Jobs(
    fn(u64) -> Job<Ours>,
    fn(u64) -> Job<Peer>,
    fn(u64) -> Job<Nothing>,
);

/// A ratio, for a column of eight.
struct Tenths(u64);

impl Tenths {
    fn of(dividend: u64, divisor: u64) -> Self {
        Self(dividend * 10 / divisor.max(1))
    }
}

impl fmt::Display for Tenths {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{:>6}.{}", self.0 / 10, self.0 % 10)
    }
}

/// Compare, and print two tables.
pub fn compare() {
    let mut rows = round();
    for _ in 1..ROUNDS {
        for (row, (_, again)) in rows.iter_mut().zip(round()) {
            row.1 = row.1.least(again);
        }
    }
    say!(
        "cycles for 100 operations, the least of {ROUNDS}: {}, {}, ratio, the work without an allocator, ratio of what is above that",
        Ours::NAME,
        Peer::NAME
    );
    for (name, Costs([ours, peer, nothing])) in rows {
        let ratio = Tenths::of(peer, ours);
        let above = Tenths::of(peer.saturating_sub(nothing), ours.saturating_sub(nothing));
        say!("  {name:28}{ours:>9}{peer:>9}{ratio}{nothing:>9}{above}");
    }
    say!("frames at most, and left: {}, {}", Ours::NAME, Peer::NAME);
    memory("server, 4,000 objects", server_of(4000), server_of(4000));
    memory(
        "server, 40,000 objects",
        server_of(40_000),
        server_of(40_000),
    );
    memory(
        "one allocates, 8 batches wait",
        hand_over_of(8),
        hand_over_of(8),
    );
    memory(
        "one allocates, 100 batches wait",
        hand_over_of(100),
        hand_over_of(100),
    );
}

/// Work that is done once, on whatever subject.
type Once<S> = Box<dyn Fn(&S) + Sync>;

fn server_of<S: Subject + 'static>(objects: usize) -> Once<S> {
    let job = Lock::new(Job::server(3, objects));
    Box::new(move |subject| _ = job.lock().run(subject))
}

fn hand_over_of<S: Subject + 'static>(most: usize) -> Once<S> {
    Box::new(move |subject| _ = work::hand_over(subject, most))
}

/// The most frames that the same work takes, and what it leaves, in a heap that nobody has used.
fn memory(name: &str, ours: Once<Ours>, theirs: Once<Peer>) {
    let peer = Peer::new();
    // Once for the stacks and the memory of the tests themselves, which they keep.
    theirs(&peer);
    let peer = Peer::new();
    let mut figures = [(0, 0); 2];
    let mut asked = [None; 2];
    case::run(|| asked[0] = asked_by(|| figures[0] = frames::taken_by(|| ours(&Ours))));
    asked[1] = asked_by(|| figures[1] = frames::taken_by(|| theirs(&peer)));
    let [(most, left), (peer_most, peer_left)] = figures;
    say!("  {name:34}{most:>8}{left:>6}{peer_most:>8}{peer_left:>6}");
    // Where nobody counts there is nothing to say.
    if let [Some(ours), Some(peer)] = asked {
        for (subject, asked) in [(Ours::NAME, ours), (Peer::NAME, peer)] {
            let [calls, futexes, granted, reserved, walked] = asked;
            say!(
                "asked: | {name} | {subject} | {calls} | {futexes} | {granted} | {reserved} | {walked} |"
            );
        }
    }
}

/// What some work asks of the kernel: calls about memory, calls of `futex`, pages granted, pages granted more than given back at its end,
/// pages walked by calls.
fn asked_by(work: impl FnOnce()) -> Option<[u64; 5]> {
    const WALKED: [Count; 4] = [
        Count::WalkedByFunmap,
        Count::WalkedByFixed,
        Count::WalkedByMprotect,
        Count::WalkedByMremap,
    ];
    let before = Counters::now();
    work();
    let before = before?;
    let all = |counts: &[Count]| counts.iter().map(|&count| before.since(count)).sum();
    Some([
        before.memory_calls(),
        all(&[Count::FutexWait, Count::FutexWake]),
        all(&[Count::PagesMapped]),
        all(&[Count::PagesReserved]),
        all(&WALKED),
    ])
}
