//! `fork`, `busy-threads`, `sparse-20gib`: processes that are large in one way.

use std::thread;

use fastrand::Rng;

use crate::{
    job::{Finding, Job, Tally, on_threads, timed},
    memory::{Block, Table, in_child},
    sizes::{Sizes, logarithmic},
};

const MIB: usize = 1 << 20;

/// Blocks of 16 to 1008 bytes, 512 on average.
const MEAN: usize = 512;
const FORKS: usize = 20;

/// A process that holds 1 GiB of small blocks forks again and again; each child replaces 1,000 of
/// them, which copies their pages, and ends. Measured from the first fork on.
pub(crate) fn fork(job: &Job) -> Finding {
    let mut rng = Rng::with_seed(8);
    let mut tally = Tally::default();
    let mut blocks: Table<Option<Block>> = Table::new(job.scaled(1024 * MIB) / MEAN);
    blocks.fill_with(|| Some(Block::new(rng.usize(16..2 * MEAN - 16), rng.u32(..))));
    let finding = timed(|| {
        for _ in 0..FORKS {
            let ended_well = in_child(|| {
                let mut tally = Tally::default();
                for _ in 0..1000 {
                    let slot = rng.usize(..blocks.len());
                    tally.clear(&mut blocks[slot]);
                    blocks[slot] = Some(Block::new(rng.usize(16..2 * MEAN - 16), 0));
                }
            });
            assert!(ended_well, "a child failed");
        }
        Tally::default()
    });
    blocks.iter_mut().for_each(|slot| tally.clear(slot));
    Finding { tally, ..finding }
}

const THREADS: usize = 1000;
const STEPS: usize = 20_000;
const LIVE: usize = 256;

/// A thousand threads at once, each with blocks of its own, a table full of which it replaces.
pub(crate) fn busy_threads(job: &Job) -> Finding {
    let sizes = Sizes::pareto(16, 2048);
    timed(|| {
        on_threads(job.scaled(THREADS), |me| {
            let mut table: [Option<Block>; LIVE] = [const { None }; LIVE];
            let mut rng = Rng::with_seed(me as u64);
            let mut tally = Tally::default();
            for step in 0..STEPS {
                let slot = &mut table[rng.usize(..LIVE)];
                tally.clear(slot);
                *slot = Some(Block::new(sizes.pick(&mut rng), step as u32));
                if step % 4096 == 0 {
                    // All of them are there at once, however long a turn of the processor is.
                    thread::yield_now();
                }
            }
            table.iter_mut().for_each(|slot| tally.clear(slot));
            tally
        })
    })
}

/// 20 GiB at once, of which the first word and the last byte of each block are written; a third of
/// them is replaced in random order, then all are freed in random order.
pub(crate) fn sparse(job: &Job) -> Finding {
    let mut rng = Rng::with_seed(9);
    let most = job.scaled(20 * 1024 * MIB);
    let draw = |rng: &mut Rng| logarithmic(rng, 64 << 10, 6);
    let mut blocks: Table<Option<Block>> = Table::new(most / (64 << 10));
    timed(|| {
        let mut tally = Tally::default();
        let mut live = 0;
        let mut held = 0;
        while live < most {
            let size = draw(&mut rng);
            blocks[held] = Some(Block::sparse(size, held as u32));
            live += size;
            held += 1;
        }
        let blocks = &mut blocks[..held];
        for step in 0..held / 3 {
            let slot = &mut blocks[rng.usize(..held)];
            let size = slot.as_ref().map_or(0, Block::size);
            tally.clear(slot);
            // Of the same size, so that there is never more of it.
            *slot = Some(Block::sparse(size, step as u32));
        }
        rng.shuffle(blocks);
        blocks.iter_mut().for_each(|slot| tally.clear(slot));
        tally
    })
}
