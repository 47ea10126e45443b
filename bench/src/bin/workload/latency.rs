//! `latency`, `latency-crowd`: each call is timed.

use std::time::Instant;

use bench::{Calls, Latency};
use fastrand::Rng;

use crate::{
    job::{Finding, Job, Tally, on_threads, timed},
    memory::{Block, Chain, Mailbox, Table},
    sizes::{Sizes, logarithmic},
};

/// Blocks that a thread keeps.
const LIVE: usize = 4096;
/// Steps of all threads together.
const STEPS: usize = 2_000_000;
/// One block in so many is a buffer of 8 KiB to 512 KiB.
const BUFFERS: u32 = 256;

/// Each thread replaces random blocks of its own, and leaves every fourth to its neighbour, which
/// frees what it finds.
pub(crate) fn latency(job: &Job, threads: usize) -> Finding {
    let mailboxes: Vec<Mailbox> = (0..threads).map(|_| Mailbox::default()).collect();
    let sizes = Sizes::pareto(Chain::MIN_BLOCK as u16, 4096);
    let clock = clock();
    let scale = nanoseconds_per_tick();
    let mut times: Table<Times> = Table::new(threads);
    let places: Vec<_> = times.iter_mut().map(std::sync::Mutex::new).collect();
    let mut finding = timed(|| {
        let steps = job.scaled(STEPS) / threads;
        let tally = on_threads(threads, |me| {
            let mut times = places[me].lock().expect("nobody else takes it");
            measure(steps, me, &mailboxes, &sizes, &mut times)
        });
        mailboxes.iter().fold(tally, |mut tally, mailbox| {
            tally.free_chain(mailbox.swap(Chain::default()));
            tally
        })
    });
    drop(places);
    let (first, others) = times.split_first_mut().expect("there is a thread");
    for other in others {
        first.malloc.add(&other.malloc);
        first.free.add(&other.free);
    }
    finding.latency = Some(Latency {
        malloc: first.malloc.calls(scale),
        free: first.free.calls(scale),
        clock: clock.calls(scale).median,
    });
    finding
}

fn measure(
    steps: usize,
    me: usize,
    mailboxes: &[Mailbox],
    sizes: &Sizes,
    times: &mut Times,
) -> Tally {
    let neighbour = &mailboxes[(me + 1) % mailboxes.len()];
    let mut table: Table<Option<Block>> = Table::new(LIVE);
    let mut rng = Rng::with_seed(me as u64);
    let mut tally = Tally::default();
    let mut free = |block: Block, tally: &mut Tally| {
        let word = block.word();
        let start = now();
        block.free();
        times.free.note(now() - start);
        tally.operations += 1;
        tally.checksum = tally.checksum.wrapping_add(word);
    };
    for step in 0..steps {
        let size = match rng.u32(..BUFFERS) {
            0 => logarithmic(&mut rng, 8 << 10, 6),
            _ => sizes.pick(&mut rng),
        };
        let tag = rng.u32(..);
        let start = now();
        let room = Block::room(size);
        times.malloc.note(now() - start);
        let old = table[rng.usize(..LIVE)].replace(room.signed(size, tag));
        match old {
            Some(block) if step % 4 == 0 => {
                let mut chain = Chain::default();
                chain.push(block);
                let mut found = neighbour.swap(chain);
                while let Some(block) = found.pop() {
                    free(block, &mut tally);
                }
            }
            Some(block) => free(block, &mut tally),
            None => {}
        }
    }
    for slot in table.iter_mut() {
        if let Some(block) = slot.take() {
            free(block, &mut tally);
        }
    }
    tally
}

/// What one thread has seen. All zero to begin with.
pub(crate) struct Times {
    malloc: Histogram,
    free: Histogram,
}

// SAFETY: counts and a number.
unsafe impl crate::memory::Zero for Times {}

/// Steps of a doubling: a time is known to 3 %.
const STEPS_OF_DOUBLING: u64 = 32;
const DOUBLINGS: usize = 64 - 5;

/// Times, counted by size: exact up to 32 ticks, then 32 steps for each doubling.
struct Histogram {
    counts: [u32; STEPS_OF_DOUBLING as usize * DOUBLINGS],
    worst: u64,
}

impl Histogram {
    #[inline]
    fn note(&mut self, ticks: u64) {
        self.counts[Self::index(ticks)] += 1;
        self.worst = self.worst.max(ticks);
    }

    #[inline]
    fn index(ticks: u64) -> usize {
        if ticks < STEPS_OF_DOUBLING {
            return ticks as usize;
        }
        let doubling = u64::from(ticks.ilog2()) - 5;
        ((doubling + 1) * STEPS_OF_DOUBLING + (ticks >> doubling) - STEPS_OF_DOUBLING) as usize
    }

    /// The least time that is counted there.
    fn ticks(index: usize) -> u64 {
        let (doubling, step) = (
            index as u64 / STEPS_OF_DOUBLING,
            index as u64 % STEPS_OF_DOUBLING,
        );
        match doubling.checked_sub(1) {
            None => step,
            Some(doubling) => (STEPS_OF_DOUBLING + step) << doubling,
        }
    }

    fn add(&mut self, other: &Histogram) {
        for (count, others) in self.counts.iter_mut().zip(&other.counts) {
            *count += others;
        }
        self.worst = self.worst.max(other.worst);
    }

    /// So many of a thousand took at most this.
    fn quantile(&self, of_1000: u64) -> u64 {
        let all: u64 = self.counts.iter().copied().map(u64::from).sum();
        let mut left = (all * of_1000).div_ceil(1000);
        for (index, &count) in self.counts.iter().enumerate() {
            left = left.saturating_sub(count.into());
            if left == 0 {
                return Self::ticks(index);
            }
        }
        self.worst
    }

    fn calls(&self, scale: f64) -> Calls {
        let time = |ticks: u64| (ticks as f64 * scale).round() as u64;
        Calls {
            median: time(self.quantile(500)),
            p99: time(self.quantile(990)),
            p999: time(self.quantile(999)),
            worst: time(self.worst),
        }
    }
}

/// How long it takes to look at the clock twice.
fn clock() -> Box<Histogram> {
    let mut histogram = Box::new(Histogram {
        counts: [0; _],
        worst: 0,
    });
    for _ in 0..10_000 {
        let start = now();
        histogram.note(now() - start);
    }
    histogram
}

/// The processor's own clock, where there is one that a program may read.
#[cfg(target_arch = "x86_64")]
#[inline]
fn now() -> u64 {
    // SAFETY: reads a counter.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn now() -> u64 {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    START.elapsed().as_nanos() as u64
}

/// Against the system's clock, for 20 milliseconds.
fn nanoseconds_per_tick() -> f64 {
    let (start, ticks) = (Instant::now(), now());
    while start.elapsed().as_millis() < 20 {
        std::hint::spin_loop();
    }
    let (time, ticks) = (start.elapsed(), now() - ticks);
    time.as_nanos() as f64 / ticks as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_where_it_belongs() {
        for ticks in (0..10_000).chain([1 << 20, u64::MAX / 3]) {
            let least = Histogram::ticks(Histogram::index(ticks));
            let next = Histogram::ticks(Histogram::index(ticks) + 1);
            assert!(least <= ticks && ticks < next, "{ticks}: {least}, {next}");
            assert!(
                next - least <= (ticks / STEPS_OF_DOUBLING).max(1),
                "{ticks}"
            );
        }
    }

    #[test]
    fn quantiles_are_those_of_the_calls() {
        let mut times = clock();
        times.counts.fill(0);
        times.worst = 0;
        for _ in 0..989 {
            times.note(10);
        }
        for _ in 0..10 {
            times.note(20);
        }
        times.note(30_000);
        let calls = times.calls(1.0);
        assert_eq!(
            (calls.median, calls.p99, calls.p999, calls.worst),
            (10, 20, 20, 30_000)
        );
    }
}
