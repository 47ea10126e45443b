//! Random traces of all public operations, by threads that take turns and exit, against a reference that cannot be wrong:
//! a map of live ranges, each with contents of its own.
//!
//! A failure prints the seed of the run and a trace that was made as short as it could be. `RALLOC_SEED` (64
//! hexadecimal digits) repeats a run; `RALLOC_TRACES` says how many traces each kernel gets.

mod common;

use common::{KIB, Kernel, MIB, Op, Reference, actors::Actors, boundaries};
use proptest::{
    prelude::*,
    sample::select,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};
use ralloc_platform::sim::Rules;
use std::{sync::Mutex, thread};

/// Traces for each kernel.
const TRACES: u32 = 24;
/// Operations of a trace, at most.
const OPERATIONS: usize = 3000;
/// Threads that take turns.
const THREADS: usize = 4;
/// Operations between two walks over the whole state.
const VERIFY_EVERY: usize = 300;
/// Live bytes at which something is freed first.
const LIVE_MAX: usize = 64 * MIB;

fn size() -> impl Strategy<Value = usize> {
    let near = |below: usize| {
        let all: Vec<_> = boundaries().into_iter().filter(|&at| at <= below).collect();
        (select(all), 0..3_usize).prop_map(|(at, off)| (at + off).saturating_sub(1))
    };
    prop_oneof![
        10 => near(KIB),
        10 => 0..=KIB,
        6 => near(32 * KIB),
        3 => near(2 * MIB),
        1 => near(12 * MIB),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let pick = any::<usize>;
    prop_oneof![
        20 => size().prop_map(Op::Malloc),
        5 => (1..5_usize, size()).prop_map(|(count, size)| Op::Calloc(count, size)),
        8 => (pick(), size()).prop_map(|(pick, size)| Op::Realloc(pick, size)),
        2 => (pick(), 0..4_usize, size())
            .prop_map(|(pick, count, size)| Op::ReallocArray(pick, count, size)),
        2 => (0..23_u32, size()).prop_map(|(shift, size)| Op::AlignedAlloc(shift, size)),
        1 => (0..100_000_usize, size()).prop_map(|(align, size)| Op::Memalign(align, size)),
        2 => (prop_oneof![10 => 3..17_u32, 1 => 17..25_u32], size())
            .prop_map(|(shift, size)| Op::PosixMemalign(shift, size)),
        1 => size().prop_map(Op::Valloc),
        1 => size().prop_map(Op::Pvalloc),
        2 => (0..24_u32, size()).prop_map(|(shift, size)| Op::AlignedZeroed(shift, size)),
        2 => (pick(), size()).prop_map(|(pick, size)| Op::ReallocAligned(pick, size)),
        22 => pick().prop_map(Op::Free),
        4 => pick().prop_map(Op::Check),
        1 => Just(Op::Nonsense),
        1 => Just(Op::Trim),
        1 => (0..100_000_usize).prop_map(Op::Sbrk),
    ]
}

/// One step of a trace.
#[derive(Clone, Debug)]
enum Step {
    /// The thread whose turn it is makes a call.
    Call(Op),
    /// It is this thread's turn: what others have allocated it frees and resizes.
    Turn(usize),
    /// This thread exits. Another takes its number when it is its turn again.
    Exit(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        40 => op().prop_map(Step::Call),
        2 => (0..THREADS).prop_map(Step::Turn),
        1 => (0..THREADS).prop_map(Step::Exit),
    ]
}

/// Run a trace, and free what is left.
fn replay(trace: &[Step]) {
    let reference = Mutex::new(Reference::new(LIVE_MAX, 0));
    let shared = &reference;
    thread::scope(|scope| {
        let mut actors = Actors::new(scope, THREADS);
        let mut turn = 0;
        let mut calls = 0;
        let is_call = |step: &Step| matches!(step, Step::Call(_));
        for part in trace.chunk_by(|a, b| is_call(a) && is_call(b)) {
            match part[0] {
                Step::Call(_) => actors.act(turn, move || {
                    let mut reference = shared.lock().expect("no panic while it is held");
                    for step in part {
                        if let Step::Call(op) = step {
                            reference.apply(op);
                        }
                    }
                }),
                Step::Turn(thread) => turn = thread,
                Step::Exit(thread) => actors.end(thread),
            }
            calls += part.len();
            if calls > VERIFY_EVERY {
                common::verify();
                calls = 0;
            }
        }
        actors.end_all();
    });
    let reference = reference.into_inner().expect("no panic");
    reference.check_all();
    reference.free_all();
}

fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    match std::env::var("RALLOC_SEED") {
        Ok(digits) => {
            assert_eq!(digits.len(), 64, "RALLOC_SEED has 64 hexadecimal digits");
            for (index, byte) in seed.iter_mut().enumerate() {
                *byte = u8::from_str_radix(&digits[2 * index..2 * index + 2], 16)
                    .expect("RALLOC_SEED is hexadecimal");
            }
        }
        Err(_) => {
            use std::hash::{BuildHasher, RandomState};
            for (index, byte) in seed.iter_mut().enumerate() {
                *byte = RandomState::new().hash_one(index) as u8;
            }
        }
    }
    seed
}

fn agrees(kernel: impl Fn() -> Kernel) {
    let seed = seed();
    let digits: String = seed.iter().map(|byte| format!("{byte:02x}")).collect();
    println!("RALLOC_SEED={digits}");
    let config = ProptestConfig {
        cases: common::traces(TRACES),
        failure_persistence: None,
        max_shrink_time: 60_000,
        max_shrink_iters: common::shrinks(),
        ..ProptestConfig::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let traces = prop::collection::vec(step(), 1..=OPERATIONS);
    let outcome = runner.run(&traces, |trace| {
        common::run(kernel(), || replay(&trace));
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("RALLOC_SEED={digits}: {failure}");
    }
}

#[test]
fn agrees_with_the_reference_on_a_simulated_linux() {
    agrees(|| Kernel::sim(Rules::Linux));
}

#[test]
fn agrees_with_the_reference_on_a_simulated_redox() {
    agrees(|| Kernel::sim(Rules::Redox));
}

#[test]
fn agrees_with_the_reference_on_the_real_kernel() {
    agrees(Kernel::real);
}
