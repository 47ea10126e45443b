//! `producer-consumer`, `bulk-lifo`, `bulk-fifo`: blocks freed by threads that did not allocate
//! them.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use fastrand::Rng;

use crate::{
    job::{Finding, Job, Tally, on_threads, timed},
    memory::{Block, Chain, Mailbox, Table},
    sizes::Sizes,
};

/// Blocks that travel together.
const BATCH: usize = 128;
/// Batches that may wait for a consumer.
const WAITING: usize = 64;

/// Each pair of threads: one only allocates, the other only frees.
pub(crate) fn producer_consumer(job: &Job) -> Finding {
    let pairs = (job.threads / 2).max(1);
    let sizes = Sizes::powers(Chain::MIN_BLOCK as u16, 5);
    let batches = job.scaled(150_000);
    timed(|| {
        on_threads(pairs, |me| {
            let (sender, receiver) = sync_channel(WAITING);
            std::thread::scope(|scope| {
                let sizes = &sizes;
                scope.spawn(move || produce(&sender, sizes, batches, me as u64));
                consume(&receiver)
            })
        })
    })
}

fn produce(consumer: &SyncSender<Chain>, sizes: &Sizes, batches: usize, seed: u64) {
    let mut rng = Rng::with_seed(seed);
    for _ in 0..batches {
        let mut batch = Chain::default();
        for _ in 0..BATCH {
            batch.push(Block::new(sizes.pick(&mut rng), rng.u32(..)));
        }
        assert!(
            consumer.send(batch).is_ok(),
            "the consumer outlives the producer"
        );
    }
}

fn consume(producer: &Receiver<Chain>) -> Tally {
    let mut tally = Tally::default();
    for batch in producer {
        tally.free_chain(batch);
    }
    tally
}

/// In which order a bulk is freed.
#[derive(Clone, Copy)]
pub(crate) enum Order {
    LastFirst,
    FirstFirst,
}

/// Blocks of one bulk.
const BULK: usize = 4096;

/// Each thread allocates bulks, most of one of similar sizes, frees the older half itself, and
/// leaves the other half to its neighbour, taking what it finds there.
pub(crate) fn bulk(job: &Job, order: Order) -> Finding {
    let mailboxes: Vec<Mailbox> = (0..job.threads).map(|_| Mailbox::default()).collect();
    timed(|| {
        let tally = on_threads(job.threads, |me| bulks(job, order, me, &mailboxes));
        mailboxes.iter().fold(tally, |mut tally, mailbox| {
            tally.free_chain(mailbox.swap(Chain::default()));
            tally
        })
    })
}

fn bulks(job: &Job, order: Order, me: usize, mailboxes: &[Mailbox]) -> Tally {
    let neighbour = &mailboxes[(me + 1) % mailboxes.len()];
    let mut bulk: Table<Option<Block>> = Table::new(BULK);
    let mut rng = Rng::with_seed(me as u64);
    let mut tally = Tally::default();
    for round in 0..job.scaled(2500) {
        let least = Chain::MIN_BLOCK + 40 * (round % 16);
        bulk.fill_with(|| Some(Block::new(rng.usize(least..least + 64), rng.u32(..))));
        let (mine, others) = bulk.split_at_mut(BULK / 2);
        let mut leaving = Chain::default();
        match order {
            // A chain is popped in the order opposite to that in which it was pushed.
            Order::LastFirst => {
                mine.iter_mut().rev().for_each(|slot| tally.clear(slot));
                others
                    .iter_mut()
                    .filter_map(Option::take)
                    .for_each(|block| leaving.push(block));
            }
            Order::FirstFirst => {
                mine.iter_mut().for_each(|slot| tally.clear(slot));
                others
                    .iter_mut()
                    .rev()
                    .filter_map(Option::take)
                    .for_each(|b| leaving.push(b));
            }
        }
        tally.free_chain(neighbour.swap(leaving));
    }
    tally
}
