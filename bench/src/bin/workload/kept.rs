//! `free-1gib`, `dead-threads`: what stays with the process when everything has been freed.

use std::{
    thread,
    time::{Duration, Instant},
};

use bench::Kept;
use fastrand::Rng;

use crate::{
    job::{Finding, Job, Tally, resident_kib},
    memory::{Block, Table},
};

const MIB: usize = 1 << 20;
/// Between the least and the most block, on average.
const MEAN: usize = 256;
const LEAST: usize = 16;

/// 1 GiB of blocks of 16 to 496 bytes, freed in random order.
pub(crate) fn free_1gib(job: &Job) -> Finding {
    let bytes = job.scaled(1024 * MIB);
    let before = resident_kib();
    let mut rng = Rng::with_seed(6);
    let mut tally = Tally::default();
    let mut blocks: Table<Option<Block>> = Table::new(bytes / MEAN + 1);
    let start = Instant::now();
    fill(&mut blocks, &mut rng);
    rng.shuffle(&mut blocks);
    blocks.iter_mut().for_each(|slot| tally.clear(slot));
    let time = start.elapsed();
    drop(blocks);
    let mut kept = kept(bytes, before);
    ordinary_activity(job, &mut rng);
    kept.later_kib = Some(resident_kib().saturating_sub(before));
    Finding {
        tally,
        time,
        kept: Some(kept),
        latency: None,
    }
}

/// A second of a program that holds a thousand small blocks and replaces some, with pauses as programs have them.
fn ordinary_activity(job: &Job, rng: &mut Rng) {
    let until = Instant::now() + Duration::from_secs(1).mul_f64(job.scale.min(1.0));
    let mut live: Table<Option<Block>> = Table::new(1000);
    let mut tally = Tally::default();
    while Instant::now() < until {
        for _ in 0..1000 {
            let slot = &mut live[rng.usize(..1000)];
            tally.clear(slot);
            *slot = Some(Block::new(rng.usize(LEAST..2 * MEAN), 0));
        }
        thread::sleep(Duration::from_millis(1));
    }
    live.iter_mut().for_each(|slot| tally.clear(slot));
}

/// Threads that run at a time.
const WAVE: usize = 20;

/// A thousand threads, twenty at a time, each leave 1 MiB of small blocks behind and die; then
/// the main thread frees all of them.
pub(crate) fn dead_threads(job: &Job) -> Finding {
    const EACH: usize = MIB / MEAN;
    let threads = job.scaled(1000);
    let before = resident_kib();
    let mut tally = Tally::default();
    let mut blocks: Table<Option<Block>> = Table::new(threads * EACH);
    let start = Instant::now();
    for (wave, left) in blocks.chunks_mut(WAVE * EACH).enumerate() {
        thread::scope(|scope| {
            for (number, left) in left.chunks_mut(EACH).enumerate() {
                let seed = (wave * WAVE + number) as u64;
                scope.spawn(move || fill(left, &mut Rng::with_seed(seed)));
            }
        });
    }
    blocks.iter_mut().for_each(|slot| tally.clear(slot));
    let time = start.elapsed();
    drop(blocks);
    Finding {
        tally,
        time,
        kept: Some(kept(threads * MIB, before)),
        latency: None,
    }
}

fn fill(blocks: &mut [Option<Block>], rng: &mut Rng) {
    let mut draw = || Block::new(rng.usize(LEAST..2 * MEAN - LEAST), rng.u32(..));
    blocks.fill_with(|| Some(draw()));
}

fn kept(asked: usize, before: u64) -> Kept {
    Kept {
        asked_kib: asked as u64 / 1024,
        kept_kib: resident_kib().saturating_sub(before),
        later_kib: None,
    }
}
