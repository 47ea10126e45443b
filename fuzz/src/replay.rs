//! Steps of one thread, made on the allocator and on the reference.

use crate::{
    common::{self, MIB, Op, Reference},
    step::{Refusal, Step},
};

/// Live bytes at which something is freed first.
const LIVE_MAX: usize = 24 * MIB;

/// The blocks of a sequence of steps.
pub(crate) struct Replay {
    pub(crate) reference: Reference,
}

impl Replay {
    /// Replays with different seeds have blocks with different contents.
    pub(crate) fn new(seed: u64) -> Self {
        let reference = Reference::new(LIVE_MAX, seed);
        Self { reference }
    }

    /// Make a step. What concerns threads is for others.
    pub(crate) fn make(&mut self, step: &Step) {
        match step {
            Step::Times(count, op) => (0..*count).for_each(|time| self.apply(op, time)),
            Step::Sweep {
                from,
                stride,
                count,
            } => self.sweep(*from, *stride, *count),
            Step::Refuse(refusal) => refuse(*refusal),
            Step::Relent => common::kernel().relent(),
            Step::Verify => {
                common::verify();
                self.reference.check_all();
            }
            Step::Fork => {
                common::kernel().as_sim().fork_prepare();
                common::kernel().as_sim().fork_parent();
            }
            Step::Switch(_) | Step::Exit { .. } | Step::Give(_) | Step::Take(_) => {}
        }
    }

    /// Check all contents, and free everything.
    pub(crate) fn finish(self) {
        self.reference.check_all();
        self.reference.free_all();
    }

    fn apply(&mut self, op: &Op, time: usize) {
        let op = match *op {
            Op::Realloc(pick, size) => Op::Realloc(pick + time, size),
            Op::ReallocArray(pick, count, size) => Op::ReallocArray(pick + time, count, size),
            Op::ReallocAligned(pick, size) => Op::ReallocAligned(pick + time, size),
            Op::Free(pick) => Op::Free(pick + time),
            Op::Check(pick) => Op::Check(pick + time),
            ref other => other.clone(),
        };
        self.reference.apply(&op);
    }

    fn sweep(&mut self, from: usize, stride: usize, count: usize) {
        for time in 0..count.min(self.reference.blocks()) {
            self.reference.apply(&Op::Free(from + stride * time));
        }
    }
}

pub(crate) fn refuse(refusal: Refusal) {
    let sim = common::kernel().as_sim();
    match refusal {
        Refusal::At(calls) => sim.fail_at(calls),
        Refusal::From(calls) => sim.fail_from(calls),
        Refusal::Limit(bytes) => sim.limit(bytes),
    }
}
