//! `pareto`, `pareto-threads`, `linear-falloff`: random replacement in a table of blocks.

use fastrand::Rng;

use crate::{
    job::{Finding, Job, Tally, on_threads, timed},
    memory::{Block, Chain, Mailbox, Table},
    sizes::{self, Sizes},
};

/// One thread, a table of 2^17 blocks.
pub(crate) fn pareto(job: &Job) -> Finding {
    let sizes = Sizes::pareto(16, 4096);
    timed(|| replace(&sizes, 1 << 17, job.scaled(16_000_000), 2))
}

/// Each thread has a table of 2^19 blocks.
pub(crate) fn pareto_threads(job: &Job) -> Finding {
    let sizes = Sizes::pareto(16, 4096);
    timed(|| {
        on_threads(job.threads, |me| {
            replace(&sizes, 1 << 19, job.scaled(5_000_000), me as u64)
        })
    })
}

fn replace(sizes: &Sizes, slots: usize, steps: usize, seed: u64) -> Tally {
    let mut table: Table<Option<Block>> = Table::new(slots);
    let mut rng = Rng::with_seed(seed);
    let mut tally = Tally::default();
    for step in 0..steps {
        let slot = &mut table[rng.usize(..slots)];
        tally.clear(slot);
        *slot = Some(Block::new(sizes.pick(&mut rng), step as u32));
    }
    table.iter_mut().for_each(|slot| tally.clear(slot));
    tally
}

/// Blocks that one step takes away from a thread and leaves to its neighbour.
const LEFT: usize = 400;
/// Blocks that one step replaces.
const REPLACED: usize = 1200;
/// Live blocks of a thread.
const LIVE: usize = 16 << 10;

/// Sizes fall linearly from 16 to 8000 bytes; a quarter is freed by the neighbour.
pub(crate) fn linear_falloff(job: &Job) -> Finding {
    let mailboxes: Vec<Mailbox> = (0..job.threads).map(|_| Mailbox::default()).collect();
    timed(|| {
        let tally = on_threads(job.threads, |me| falloff(job, me, &mailboxes));
        mailboxes.iter().fold(tally, |mut tally, mailbox| {
            tally.free_chain(mailbox.swap(Chain::default()));
            tally
        })
    })
}

fn falloff(job: &Job, me: usize, mailboxes: &[Mailbox]) -> Tally {
    let neighbour = &mailboxes[(me + 1) % mailboxes.len()];
    let mut table: Table<Option<Block>> = Table::new(LIVE);
    let mut rng = Rng::with_seed(me as u64);
    let mut tally = Tally::default();
    let draw = |rng: &mut Rng| {
        Block::new(
            sizes::linear_falloff(rng, 16, 8000).max(Chain::MIN_BLOCK),
            rng.u32(..),
        )
    };
    for _ in 0..job.scaled(800) {
        for _ in 0..REPLACED {
            let slot = &mut table[rng.usize(..LIVE)];
            tally.clear(slot);
            *slot = Some(draw(&mut rng));
        }
        let mut leaving = Chain::default();
        for _ in 0..LEFT {
            let slot = &mut table[rng.usize(..LIVE)];
            if let Some(block) = slot.replace(draw(&mut rng)) {
                leaving.push(block);
            }
        }
        tally.free_chain(neighbour.swap(leaving));
    }
    table.iter_mut().for_each(|slot| tally.clear(slot));
    tally
}
