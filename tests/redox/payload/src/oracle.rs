//! Random and recorded traces against the reference that cannot be wrong, on the Redox platform.

use crate::{
    Tests, case,
    common::{
        Case, Draw, Held, KIB, MIB, Op, Reference, boundaries,
        trace::{Step, Trace, Verb},
    },
    thread,
};
use ralloc::{Instance, c_abi};
use std::{collections::BTreeMap, vec::Vec};

pub const TESTS: Tests = &[
    ("random_traces", random_traces),
    (
        "random_traces_by_threads_that_go",
        random_traces_by_threads_that_go,
    ),
    ("recorded_sqlite", || {
        recorded(include_bytes!("../../../traces/sqlite.trace"))
    }),
    ("recorded_perl", || {
        recorded(include_bytes!("../../../traces/perl.trace"))
    }),
    ("recorded_python_with_threads", || {
        recorded(include_bytes!("../../../traces/python-threads.trace"));
    }),
];

/// Operations of a random trace.
const OPERATIONS: usize = 3000;
/// Live bytes at which something is freed first.
const LIVE_MAX: usize = 32 * MIB;

/// The sizes and operations of `tests/oracle.rs`, drawn.
struct Drawing {
    draw: Draw,
    boundaries: Vec<usize>,
}

impl Drawing {
    fn new(seed: u64) -> Self {
        Self {
            draw: Draw::new(seed),
            boundaries: boundaries(),
        }
    }

    fn size(&mut self) -> usize {
        let limit = match self.draw.below(30) {
            0..10 => return self.draw.below(KIB + 1),
            10..20 => KIB,
            20..26 => 32 * KIB,
            26..29 => 2 * MIB,
            _ => 12 * MIB,
        };
        let near = self.boundaries.partition_point(|&size| size <= limit);
        (self.boundaries[self.draw.below(near)] + self.draw.below(3)).saturating_sub(1)
    }

    fn op(&mut self) -> Op {
        let pick = self.draw.word() as usize;
        let size = self.size();
        match self.draw.below(75) {
            0..20 => Op::Malloc(size),
            20..25 => Op::Calloc(1 + self.draw.below(4), size),
            25..33 => Op::Realloc(pick, size),
            33..35 => Op::ReallocArray(pick, self.draw.below(4), size),
            35..37 => Op::AlignedAlloc(self.draw.below(23) as u32, size),
            37 => Op::Memalign(self.draw.below(100_000), size),
            38..40 => Op::PosixMemalign(3 + self.draw.below(20) as u32, size),
            40 => Op::Valloc(size),
            41 => Op::Pvalloc(size),
            42..44 => Op::AlignedZeroed(self.draw.below(24) as u32, size),
            44..46 => Op::ReallocAligned(pick, size),
            46..68 => Op::Free(pick),
            68..72 => Op::Check(pick),
            72 => Op::Nonsense,
            73 => Op::Trim,
            _ => Op::Sbrk(self.draw.below(100_000)),
        }
    }
}

fn verify() {
    // SAFETY: no other thread of the case runs.
    unsafe { Case::process().verify() };
}

fn random_traces() {
    for seed in 1..=6 {
        case::run(|| {
            let mut drawing = Drawing::new(seed);
            let mut reference = Reference::new(LIVE_MAX, seed);
            for number in 0..OPERATIONS {
                reference.apply(&drawing.op());
                if number % 500 == 0 {
                    verify();
                }
            }
            reference.check_all();
            reference.free_all();
        });
    }
}

/// Each part of a trace is made by another thread, which then ends: what it leaves others free and resize.
fn random_traces_by_threads_that_go() {
    case::run(|| {
        let mut drawing = Drawing::new(77);
        let mut reference = Reference::new(LIVE_MAX, 77);
        for _ in 0..40 {
            let end = thread::apart(|| {
                for _ in 0..150 {
                    reference.apply(&drawing.op());
                }
            });
            assert!(end == thread::End::Done);
            verify();
        }
        reference.check_all();
        reference.free_all();
    });
}

/// Live blocks by number, and where they are.
#[derive(Default)]
struct World {
    blocks: BTreeMap<usize, Held>,
    ends: BTreeMap<usize, usize>,
    births: usize,
}

impl World {
    fn apply(&mut self, verb: Verb) {
        let seed = self.births as u64;
        let held = match verb {
            Verb::Malloc { size } => Held::new(c_abi::malloc::<Case>(size), size, 16, seed),
            Verb::Calloc { size } => {
                Held::new_zeroed(c_abi::calloc::<Case>(1, size), size, 16, seed)
            }
            Verb::Aligned { shift, size } => {
                let align = 1 << shift;
                Held::new(c_abi::memalign::<Case>(align, size), size, align, seed)
            }
            Verb::Realloc { old, size } => {
                let resized = self.take(old).resize(None, size, seed);
                resized.expect("there is memory enough")
            }
            Verb::Free { old } => return self.take(old).free(),
        };
        let held = held.expect("there is memory enough");
        let (start, end) = (held.address(), held.address() + held.usable());
        if let Some((_, &other_end)) = self.ends.range(..end).next_back() {
            assert!(other_end <= start, "{held:?} overlaps another block");
        }
        self.ends.insert(start, end);
        self.blocks.insert(self.births, held);
        self.births += 1;
    }

    fn take(&mut self, number: usize) -> Held {
        let held = self.blocks.remove(&number).expect("a block that is live");
        self.ends.remove(&held.address());
        held
    }
}

/// What each thread did between two others is done by one thread, which then ends.
fn recorded(file: &[u8]) {
    let trace = Trace::read(file);
    case::run(|| {
        let mut world = World::default();
        // Turns are short in some traces; every so many steps the thread changes.
        for part in trace.steps.chunks(2000) {
            let mut act = |steps: &[Step]| steps.iter().for_each(|step| world.apply(step.verb));
            if trace.threads == 1 {
                act(part);
            } else {
                assert!(thread::apart(|| act(part)) == thread::End::Done);
            }
        }
        verify();
        world.blocks.into_values().for_each(Held::free);
    });
}
