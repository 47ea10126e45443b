//! Sizes worth asking for, and repeatable random numbers.

use super::{KIB, MIB};
use std::vec::Vec;

/// Every size at which something changes: size classes, slices, chunks. Tests add one, or take one away.
pub fn boundaries() -> Vec<usize> {
    let linear = (0..=16).map(|granule| granule * 16);
    let steps = |from: usize, to: usize, per_doubling: usize| {
        let doublings = (from.ilog2()..to.ilog2()).map(|shift| 1_usize << shift);
        doublings.flat_map(move |base| {
            (1..=per_doubling).map(move |step| base + base * step / per_doubling)
        })
    };
    let slices = (1..=64).map(|slices| slices * 64 * KIB);
    let chunks = (1..=3).map(|chunks| chunks * 4 * MIB);
    linear
        .chain(steps(256, KIB, 8))
        .chain(steps(KIB, 32 * KIB, 4))
        .chain(slices)
        .chain(chunks)
        .collect()
}

/// Random numbers that are the same for the same seed (xorshift64*).
pub struct Draw(u64);

impl Draw {
    /// A sequence of its own for each seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next number.
    pub fn word(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.word() >> 16) as usize % bound
    }

    /// A number from `low` to below `high`, small ones as likely as large ones.
    pub fn skewed(&mut self, low: usize, high: usize) -> usize {
        let doublings = (high / low.max(1)).max(1).ilog2() as usize + 1;
        let top = (low.max(1) << (1 + self.below(doublings))).min(high);
        low + self.below((top - low).max(1))
    }
}
