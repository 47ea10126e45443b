//! What a workload is given and what it gives back.

use std::{
    fs::File,
    io::Read,
    ops::Add,
    thread,
    time::{Duration, Instant},
};

use bench::{Kept, Latency};

use crate::memory::{Block, Chain};

/// How much work to do.
pub(crate) struct Job {
    /// Threads at a time, in the workloads that have several.
    pub(crate) threads: usize,
    /// Factor on the amount of work, 1 for the real thing.
    pub(crate) scale: f64,
}

impl Job {
    /// `amount` at this scale, but at least 1.
    pub(crate) fn scaled(&self, amount: usize) -> usize {
        ((amount as f64 * self.scale) as usize).max(1)
    }
}

/// What has been done so far. Sums do not depend on the order of the threads.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tally {
    /// Blocks freed and blocks resized.
    pub(crate) operations: u64,
    /// Sum of the words that the freed blocks opened with.
    pub(crate) checksum: u64,
}

impl Tally {
    /// Frees a block and counts it.
    #[inline]
    pub(crate) fn free(&mut self, block: Block) {
        self.operations += 1;
        self.checksum = self.checksum.wrapping_add(block.free());
    }

    /// Frees the block in a slot, if there is one.
    #[inline]
    pub(crate) fn clear(&mut self, slot: &mut Option<Block>) {
        if let Some(block) = slot.take() {
            self.free(block);
        }
    }

    /// Frees a chain.
    pub(crate) fn free_chain(&mut self, mut chain: Chain) {
        while let Some(block) = chain.pop() {
            self.free(block);
        }
    }
}

impl Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Tally {
            operations: self.operations + other.operations,
            checksum: self.checksum.wrapping_add(other.checksum),
        }
    }
}

/// What a workload found.
pub(crate) struct Finding {
    pub(crate) tally: Tally,
    pub(crate) time: Duration,
    pub(crate) kept: Option<Kept>,
    pub(crate) latency: Option<Latency>,
}

/// Runs and times the whole of a workload.
pub(crate) fn timed(work: impl FnOnce() -> Tally) -> Finding {
    let start = Instant::now();
    let tally = work();
    Finding {
        tally,
        time: start.elapsed(),
        kept: None,
        latency: None,
    }
}

/// Runs `work` on as many threads and adds up; each is told its number.
pub(crate) fn on_threads(threads: usize, work: impl Fn(usize) -> Tally + Sync) -> Tally {
    thread::scope(|scope| {
        let work = &work;
        let spawn = |me| scope.spawn(move || work(me));
        let all: Vec<_> = (0..threads).map(spawn).collect();
        all.into_iter()
            .map(|thread| thread.join().expect("a thread of the workload panicked"))
            .fold(Tally::default(), Tally::add)
    })
}

/// Reads `key` from a `key: N kB` file under /proc/self, in KiB, without allocating.
fn proc_kib(file: &str, key: &str) -> u64 {
    let mut text = [0; 4096];
    let read = File::open(file)
        .and_then(|mut file| file.read(&mut text))
        .unwrap_or(0);
    text[..read]
        .split(|&byte| byte == b'\n')
        .find_map(|line| {
            str::from_utf8(line)
                .ok()?
                .strip_prefix(key)?
                .strip_prefix(':')
        })
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}

/// What is resident now, exactly: the kernel walks the page tables for it.
pub(crate) fn resident_kib() -> u64 {
    proc_kib("/proc/self/smaps_rollup", "Rss")
}

/// The most that was ever resident.
pub(crate) fn peak_kib() -> u64 {
    proc_kib("/proc/self/status", "VmHWM")
}
