//! Random traces of all public operations against a reference that cannot be wrong: a map of live ranges, each with
//! contents of its own.
//!
//! A failure prints the seed of the run and a trace that was made as short as it could be. `RALLOC_SEED` (64
//! hexadecimal digits) repeats a run.

mod common;

use common::{Case, Held, KIB, Kernel, MIB, boundaries};
use proptest::{
    prelude::*,
    sample::select,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};
use ralloc::c_abi;
use ralloc_platform::sim::Rules;
use std::collections::BTreeMap;

/// Traces for each kernel.
const TRACES: u32 = 10;
/// Operations of a trace, at most.
const OPERATIONS: usize = 3000;
/// Operations between two walks over the whole state.
const VERIFY_EVERY: usize = 300;
/// Live bytes at which something is freed first.
const LIVE_MAX: usize = 64 * MIB;

/// One call. Blocks are picked from the live ones, by a number that is reduced to their count.
#[derive(Clone, Debug)]
enum Op {
    Malloc(usize),
    Calloc(usize, usize),
    Realloc(usize, usize),
    ReallocArray(usize, usize, usize),
    AlignedAlloc(u32, usize),
    Memalign(usize, usize),
    PosixMemalign(u32, usize),
    Valloc(usize),
    Pvalloc(usize),
    Free(usize),
    Check(usize),
    Nonsense,
    Trim,
}

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
        22 => pick().prop_map(Op::Free),
        4 => pick().prop_map(Op::Check),
        1 => Just(Op::Nonsense),
        1 => Just(Op::Trim),
    ]
}

/// The reference: live blocks by address.
#[derive(Default)]
struct Reference {
    live: BTreeMap<usize, Held>,
    bytes: usize,
    blocks_so_far: u64,
}

impl Reference {
    fn seed(&mut self) -> u64 {
        self.blocks_so_far += 1;
        self.blocks_so_far
    }

    /// A block has come into being. It overlaps no other.
    fn insert(&mut self, held: Option<Held>) {
        let held = held.expect("there is memory enough");
        let (start, end) = (held.address(), held.address() + held.usable());
        let before = self.live.range(..end).next_back();
        if let Some((_, other)) = before {
            let other_end = other.address() + other.usable();
            assert!(other_end <= start, "{held:?} overlaps {other:?}");
        }
        self.bytes += held.usable();
        self.live.insert(start, held);
    }

    fn remove(&mut self, pick: usize) -> Option<Held> {
        let index = pick.checked_rem(self.live.len())?;
        // Near an address: the picks are spread over the address range, which is fast, and random enough.
        let address = *self.live.keys().nth(index)?;
        let held = self.live.remove(&address)?;
        self.bytes -= held.usable();
        Some(held)
    }

    fn resize(&mut self, pick: usize, count: Option<usize>, size: usize) {
        let seed = self.seed();
        match self.remove(pick) {
            Some(held) => {
                let resized = held.resize(count, size, seed);
                if let Some(held) = resized.expect("there is memory enough") {
                    self.insert(Some(held));
                }
            }
            None => {
                // SAFETY: null is allowed.
                let block = unsafe { c_abi::realloc::<Case>(std::ptr::null_mut(), size) };
                self.insert(Held::new(block, size, 16, seed));
            }
        }
    }

    fn apply(&mut self, op: &Op) {
        while self.bytes > LIVE_MAX {
            self.remove(self.blocks_so_far as usize)
                .expect("live")
                .free();
        }
        let seed = self.seed();
        match *op {
            Op::Malloc(size) => {
                self.insert(Held::new(c_abi::malloc::<Case>(size), size, 16, seed));
            }
            Op::Calloc(count, size) => {
                let block = c_abi::calloc::<Case>(count, size);
                self.insert(Held::new_zeroed(block, count * size, seed));
            }
            Op::Realloc(pick, size) => self.resize(pick, None, size),
            Op::ReallocArray(pick, count, size) => self.resize(pick, Some(count), size),
            Op::AlignedAlloc(shift, size) => {
                let block = c_abi::aligned_alloc::<Case>(1 << shift, size);
                self.insert(Held::new(block, size, 1 << shift, seed));
            }
            Op::Memalign(align, size) => {
                let block = c_abi::memalign::<Case>(align, size);
                self.insert(Held::new(block, size, align.next_power_of_two(), seed));
            }
            Op::PosixMemalign(shift, size) => {
                let block = c_abi::posix_memalign::<Case>(1 << shift, size).expect("memory enough");
                self.insert(Held::new(block.as_ptr(), size, 1 << shift, seed));
            }
            Op::Valloc(size) => {
                self.insert(Held::new(c_abi::valloc::<Case>(size), size, 4096, seed));
            }
            Op::Pvalloc(size) => {
                let whole = size.max(1).next_multiple_of(4096);
                self.insert(Held::new(c_abi::pvalloc::<Case>(size), whole, 4096, seed));
            }
            Op::Free(pick) => match self.remove(pick) {
                Some(held) => held.free(),
                // SAFETY: null is allowed.
                None => unsafe { c_abi::free::<Case>(std::ptr::null_mut()) },
            },
            Op::Check(pick) => {
                if let Some(index) = pick.checked_rem(self.live.len()) {
                    self.live.values().nth(index).expect("in range").check();
                }
            }
            Op::Nonsense => refuses_nonsense(),
            Op::Trim => _ = c_abi::malloc_trim::<Case>(),
        }
    }
}

fn refuses_nonsense() {
    let half = usize::MAX / 2;
    assert!(c_abi::malloc::<Case>(usize::MAX).is_null());
    assert!(c_abi::malloc::<Case>(half + 1).is_null());
    assert!(c_abi::calloc::<Case>(half, 3).is_null());
    assert!(c_abi::aligned_alloc::<Case>(48, 100).is_null());
    assert!(c_abi::aligned_alloc::<Case>(0, 100).is_null());
    assert!(c_abi::memalign::<Case>(half + 2, 100).is_null());
    assert!(c_abi::posix_memalign::<Case>(4, 100).is_err());
    assert!(c_abi::posix_memalign::<Case>(24, 100).is_err());
    assert!(c_abi::pvalloc::<Case>(usize::MAX).is_null());
    // SAFETY: null is allowed.
    let usable = unsafe { c_abi::malloc_usable_size::<Case>(std::ptr::null_mut()) };
    assert_eq!(usable, 0);
    // SAFETY: null is allowed.
    assert!(unsafe { c_abi::reallocarray::<Case>(std::ptr::null_mut(), half, 3) }.is_null());
}

/// Run a trace, and free what is left.
fn replay(trace: &[Op]) {
    let mut reference = Reference::default();
    for (number, op) in trace.iter().enumerate() {
        reference.apply(op);
        if number % VERIFY_EVERY == VERIFY_EVERY - 1 {
            common::verify();
        }
    }
    for held in reference.live.values() {
        held.check();
    }
    let most = reference.live.into_values();
    most.for_each(Held::free);
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
        cases: TRACES,
        failure_persistence: None,
        max_shrink_time: 60_000,
        ..ProptestConfig::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let traces = prop::collection::vec(op(), 1..=OPERATIONS);
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
