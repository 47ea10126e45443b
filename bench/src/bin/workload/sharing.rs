//! `false-sharing-active`, `false-sharing-passive`: tiny objects of different threads, written
//! often. An allocator that puts two of them in one cache line makes the writes slow.

use crate::{
    job::{Finding, Job, Tally, on_threads, timed},
    memory::{Block, Chain, Mailbox},
};

/// Writes to one object.
const WRITES: u64 = 4000;
/// Objects of one thread.
const OBJECTS: usize = 500_000;

/// Each thread allocates an object, writes to it, frees it, and so on.
pub(crate) fn active(job: &Job) -> Finding {
    timed(|| on_threads(job.threads, |me| write_objects(job, me, Tally::default())))
}

/// The same, but first each thread frees an object that the main thread allocated next to those of
/// the others: an allocator that reuses it at once shares the line.
pub(crate) fn passive(job: &Job) -> Finding {
    let gifts: Vec<Mailbox> = (0..job.threads).map(|_| Mailbox::default()).collect();
    timed(|| {
        for (number, gift) in gifts.iter().enumerate() {
            let mut chain = Chain::default();
            chain.push(Block::new(Chain::MIN_BLOCK, number as u32));
            gift.swap(chain);
        }
        on_threads(job.threads, |me| {
            let mut tally = Tally::default();
            tally.free_chain(gifts[me].swap(Chain::default()));
            write_objects(job, me, tally)
        })
    })
}

fn write_objects(job: &Job, me: usize, mut tally: Tally) -> Tally {
    for _ in 0..job.scaled(OBJECTS) {
        let mut object = Block::new(Chain::MIN_BLOCK, me as u32);
        object.hammer(WRITES);
        tally.free(object);
    }
    tally
}
