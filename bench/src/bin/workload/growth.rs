//! `large-pairs`, `realloc-growth`, `calloc-large`: what is too large for size classes.

use fastrand::Rng;

use crate::{
    job::{Finding, Job, Tally, timed},
    memory::{Block, Table},
    sizes::logarithmic,
};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Each step replaces one of eight blocks of 32 KiB to 16 MiB, small ones as often as large ones
/// octave by octave; each page is written to.
pub(crate) fn large_pairs(job: &Job) -> Finding {
    let mut rng = Rng::with_seed(3);
    timed(|| {
        replace(job.scaled(2500), &mut rng, |rng| {
            Block::new(logarithmic(rng, 32 * KIB, 9), rng.u32(..))
        })
    })
}

/// The same from `calloc`, 64 KiB to 64 MiB; of each page the first byte is read and written.
pub(crate) fn calloc_large(job: &Job) -> Finding {
    let mut rng = Rng::with_seed(4);
    timed(|| {
        replace(job.scaled(250), &mut rng, |rng| {
            Block::zeroed(logarithmic(rng, 64 * KIB, 10), rng.u32(..))
        })
    })
}

fn replace(steps: usize, rng: &mut Rng, allocate: impl Fn(&mut Rng) -> Block) -> Tally {
    let mut live: [Option<Block>; 8] = Default::default();
    let mut tally = Tally::default();
    for _ in 0..steps {
        let slot = &mut live[rng.usize(..8)];
        tally.clear(slot);
        *slot = Some(allocate(rng));
    }
    live.iter_mut().for_each(|slot| tally.clear(slot));
    tally
}

/// Vectors: one that grows by half to 1 GiB, one that grows by 16 KiB to 8 MiB, and strings that
/// grow by half among each other from 16 bytes to 64 KiB.
pub(crate) fn realloc_growth(job: &Job) -> Finding {
    timed(|| {
        let mut tally = Tally::default();
        grow(&mut tally, KIB, job.scaled(1024 * MIB), |size| {
            size + size / 2
        });
        for _ in 0..2 {
            grow(&mut tally, 16 * KIB, job.scaled(8 * MIB), |size| {
                size + 16 * KIB
            });
        }
        strings(&mut tally, job.scaled(400_000));
        tally
    })
}

fn grow(tally: &mut Tally, least: usize, most: usize, step: impl Fn(usize) -> usize) {
    let mut size = least;
    let mut block = Block::new(size, 0);
    while size < most {
        size = step(size).min(most);
        block = block.resized(size, tally.operations as u32);
        tally.operations += 1;
    }
    tally.free(block);
}

fn strings(tally: &mut Tally, steps: usize) {
    const STRINGS: usize = 1024;
    let mut sizes: Table<u16> = Table::new(STRINGS);
    let mut table: Table<Option<Block>> = Table::new(STRINGS);
    let mut rng = Rng::with_seed(5);
    for step in 0..steps {
        let at = rng.usize(..STRINGS);
        let (slot, size) = (&mut table[at], &mut sizes[at]);
        *slot = match slot.take() {
            Some(block) if *size < 40_000 => {
                *size += *size / 2;
                tally.operations += 1;
                Some(block.resized(usize::from(*size), step as u32))
            }
            old => {
                if let Some(block) = old {
                    tally.free(block);
                }
                *size = 16;
                Some(Block::new(16, step as u32))
            }
        };
    }
    table.iter_mut().for_each(|slot| tally.clear(slot));
}
