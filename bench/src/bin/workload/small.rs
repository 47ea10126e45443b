//! `small`: short-lived objects on one thread.

use fastrand::Rng;

use crate::{
    job::{Finding, Job, Tally, timed},
    memory::{Block, Table},
};

/// Objects that live a little longer.
const WINDOW: usize = 4096;
/// Temporaries of one step.
const BURST: usize = 8;
/// Objects of one bulk.
const BULK: usize = 64;

/// Bursts of numbers of a few words, freed last first but for one that stays in a window (as
/// bignums are in cfrac); and now and then a bulk of sets of 64 to 512 bytes, freed first first
/// (as in espresso).
pub(crate) fn small(job: &Job) -> Finding {
    let mut window: Table<Option<Block>> = Table::new(WINDOW);
    let mut rng = Rng::with_seed(1);
    timed(|| {
        let mut tally = Tally::default();
        for step in 0..job.scaled(8_000_000) {
            burst(&mut tally, &mut rng, &mut window[step % WINDOW]);
            if step % BULK == 0 {
                bulk(&mut tally, &mut rng);
            }
        }
        window.iter_mut().for_each(|slot| tally.clear(slot));
        tally
    })
}

#[inline]
fn burst(tally: &mut Tally, rng: &mut Rng, slot: &mut Option<Block>) {
    let mut bits = rng.u32(..);
    let burst: [Block; BURST] = std::array::from_fn(|_| {
        let words = 1 + (bits & 7) as usize;
        bits >>= 3;
        Block::new(8 * words, bits)
    });
    for (place, block) in burst.into_iter().rev().enumerate() {
        if place == 1 {
            tally.clear(slot);
            *slot = Some(block);
        } else {
            tally.free(block);
        }
    }
}

#[inline]
fn bulk(tally: &mut Tally, rng: &mut Rng) {
    let bulk: [Block; BULK] = std::array::from_fn(|_| Block::new(rng.usize(64..=512), rng.u32(..)));
    bulk.into_iter().for_each(|block| tally.free(block));
}
