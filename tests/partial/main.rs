//! Blocks that are freed in parts, and alignments that are no powers of two: random traces of the native verbs against a map of
//! live parts, each with contents of its own.
//!
//! A slot is reclaimed exactly when its last byte is freed: not before, or a new block would overlap a part that is
//! still held; not later, or the count of used blocks would not fall with the last free.

#[path = "../common/mod.rs"]
mod common;
mod interface;

use common::{Case, Kernel, MIB, boundaries, in_thread, join};
use interface::{Explicit, Implicit, InParts, Interface};
use proptest::{prelude::*, sample::select, test_runner::TestRunner};
use ralloc::{Instance, native, stats};
use ralloc_platform::sim::Rules;
use std::{collections::BTreeMap, ptr::NonNull, slice};

/// Traces for each kernel.
const TRACES: u32 = 12;
/// Operations of a trace, at most.
const OPERATIONS: usize = 1500;
/// Bytes in slots at which parts are freed first.
const HELD_MAX: usize = 96 * MIB;

#[derive(Clone, Debug)]
enum Op {
    Alloc(usize, usize),
    Zeroed(usize, usize),
    /// Cut a part in two.
    Split(usize, usize),
    Free(usize),
    /// Free in a thread of its own.
    FreeElsewhere(usize),
    /// Several parts, each in a thread of its own, at the same time.
    FreeTogether(usize, usize),
    Realloc(usize, usize),
    InPlace(usize, usize),
    Trim,
}

fn size() -> impl Strategy<Value = usize> {
    let near = |below: usize| {
        let all: Vec<_> = boundaries().into_iter().filter(|&at| at <= below).collect();
        (select(all), 0..3_usize).prop_map(|(at, off)| (at + off).saturating_sub(1))
    };
    prop_oneof![
        10 => near(1 << 10),
        10 => 0..=1024_usize,
        6 => near(32 << 10),
        3 => near(2 * MIB),
        1 => 2 * MIB..12 * MIB,
    ]
}

fn align() -> impl Strategy<Value = usize> {
    prop_oneof![
        10 => Just(1_usize),
        4 => (0..13_u32).prop_map(|shift| 1 << shift),
        1 => (13..23_u32).prop_map(|shift| 1 << shift),
        6 => 1..100_usize,
        3 => 1..10_000_usize,
        1 => select(vec![4097_usize, 65_537, (4 << 20) + 1, (4 << 20) - 8, 5_000_011]),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let pick = any::<usize>;
    prop_oneof![
        16 => (size(), align()).prop_map(|(size, align)| Op::Alloc(size, align)),
        3 => (size(), align()).prop_map(|(size, align)| Op::Zeroed(size, align)),
        16 => (pick(), pick()).prop_map(|(part, at)| Op::Split(part, at)),
        14 => pick().prop_map(Op::Free),
        3 => pick().prop_map(Op::FreeElsewhere),
        1 => (pick(), 2..5_usize).prop_map(|(part, count)| Op::FreeTogether(part, count)),
        5 => (pick(), size()).prop_map(|(part, size)| Op::Realloc(part, size)),
        5 => (pick(), size()).prop_map(|(part, size)| Op::InPlace(part, size)),
        1 => Just(Op::Trim),
    ]
}

/// A part of a slot. What it holds depends on its seed and the place of the byte in the part.
struct Held<F: Interface> {
    part: F::Part,
    seed: usize,
    /// The number of the slot in [`Reference::slots`]; none for a part without bytes.
    slot: Option<usize>,
}

impl<F: Interface> Held<F> {
    fn bytes(&mut self) -> &mut [u8] {
        let (start, bytes) = (F::start(&self.part), F::bytes(&self.part));
        // SAFETY: the part is live and ours; the allocator has been told nothing about its contents.
        unsafe { slice::from_raw_parts_mut(start.as_ptr(), bytes) }
    }

    fn pattern(seed: usize, at: usize) -> u8 {
        (seed ^ at ^ at >> 8).wrapping_mul(167) as u8
    }

    /// The places that are filled and checked: all of a small part, the ends and some of a large one.
    fn places(bytes: usize) -> impl Iterator<Item = usize> {
        let step = if bytes > 8192 { 509 } else { 1 };
        (0..bytes)
            .step_by(step)
            .chain(bytes.saturating_sub(16)..bytes)
    }

    fn fill(&mut self) {
        let (seed, bytes) = (self.seed, F::bytes(&self.part));
        let memory = self.bytes();
        for at in Self::places(bytes) {
            memory[at] = Self::pattern(seed, at);
        }
    }

    /// Whether it still holds what it was filled with when it had `filled` bytes.
    fn check(&mut self, filled: usize) {
        let seed = self.seed;
        let memory = self.bytes();
        for at in Self::places(filled).filter(|&at| at < memory.len()) {
            assert_eq!(memory[at], Self::pattern(seed, at), "byte {at} of {filled}");
        }
    }
}

/// The reference: parts by address, and how many bytes of each slot are held.
struct Reference<F: Interface> {
    parts: BTreeMap<usize, Held<F>>,
    /// Slots that are not yet free: first byte, bytes asked for, bytes held.
    slots: BTreeMap<usize, (usize, usize, usize)>,
    /// Slots by address.
    places: BTreeMap<usize, usize>,
    empty: Vec<Held<F>>,
    so_far: usize,
}

impl<F: Interface> Reference<F> {
    fn new() -> Self {
        Self {
            parts: BTreeMap::new(),
            slots: BTreeMap::new(),
            places: BTreeMap::new(),
            empty: Vec::new(),
            so_far: 0,
        }
    }

    fn held(&self) -> usize {
        self.slots.values().map(|slot| slot.1).sum()
    }

    fn hold(&mut self, part: F::Part, slot: Option<usize>) {
        self.so_far += 1;
        let mut held = Held {
            slot: slot.filter(|_| F::bytes(&part) != 0),
            part,
            seed: self.so_far,
        };
        held.fill();
        if F::bytes(&held.part) == 0 {
            self.empty.push(held);
        } else {
            let old = self.parts.insert(F::start(&held.part).addr().get(), held);
            assert!(old.is_none(), "two parts begin at one place");
        }
    }

    /// A block has come into being: it overlaps no slot of which a part is held.
    fn add_slot(&mut self, start: usize, bytes: usize) -> Option<usize> {
        if bytes == 0 {
            return None;
        }
        let before = self.places.range(..start + bytes).next_back();
        if let Some((&other, &number)) = before {
            let end = other + self.slots[&number].1;
            assert!(
                end <= start,
                "{bytes} bytes at {start:#x} overlap the slot at {other:#x} to {end:#x}"
            );
        }
        self.so_far += 1;
        self.places.insert(start, self.so_far);
        self.slots.insert(self.so_far, (start, bytes, bytes));
        Some(self.so_far)
    }

    fn alloc(&mut self, size: usize, align: usize, zeroed: bool) {
        let part = F::alloc(size, align, zeroed);
        let start = F::start(&part);
        assert_eq!(start.addr().get() % align, 0, "{start:p} at {align}");
        if zeroed {
            // SAFETY: so many bytes were asked for.
            let bytes = unsafe { slice::from_raw_parts(start.as_ptr(), size) };
            assert!(bytes.iter().all(|&byte| byte == 0), "it reads zero");
        }
        let slot = self.add_slot(start.addr().get(), size);
        self.hold(part, slot);
    }

    fn pick(&mut self, pick: usize) -> Option<Held<F>> {
        if pick.is_multiple_of(16)
            && let Some(empty) = self.empty.pop()
        {
            return Some(empty);
        }
        let index = pick.checked_rem(self.parts.len())?;
        let address = *self.parts.keys().nth(index)?;
        let mut held = self.parts.remove(&address)?;
        let bytes = F::bytes(&held.part);
        held.check(bytes);
        Some(held)
    }

    /// So many bytes of a slot are no longer held. Whether those were the last.
    fn let_go(&mut self, slot: Option<usize>, bytes: usize) -> bool {
        let Some(number) = slot else {
            return false;
        };
        let entry = self.slots.get_mut(&number).expect("a part has a slot");
        entry.2 -= bytes;
        if entry.2 != 0 {
            return false;
        }
        let (start, ..) = self.slots.remove(&number).expect("as above");
        self.places.remove(&start);
        true
    }

    fn free(&mut self, pick: usize) {
        let Some(held) = self.pick(pick) else { return };
        let bytes = F::bytes(&held.part);
        let last = self.let_go(held.slot, bytes);
        // Counts of pages that have gone may come home at any time, and would blur what is measured.
        let is_exact = pick % 4 == 1;
        if is_exact {
            // Once for the pages, once for their counts.
            ralloc::alloc::trim::<Case<F::Tuning>>();
            ralloc::alloc::trim::<Case<F::Tuning>>();
        }
        let before = used::<F>();
        F::free(held.part);
        let after = used::<F>();
        if last {
            assert!(after < before, "the last byte frees the slot");
        } else if is_exact {
            // The first part that is freed may need memory to be counted in.
            assert!(after >= before, "what others hold a part of stays");
        }
    }

    fn free_together(&mut self, pick: usize, count: usize) {
        let mut together = Vec::new();
        for number in 0..count {
            if let Some(held) = self.pick(pick.wrapping_add(number)) {
                self.let_go(held.slot, F::bytes(&held.part));
                together.push(held.part);
            }
        }
        std::thread::scope(|scope| {
            let free = |part| scope.spawn(move || F::free(part));
            let threads: Vec<_> = together.into_iter().map(free).collect();
            // Joined one by one: then their exit hooks have run as well.
            threads.into_iter().for_each(join);
        });
    }

    fn realloc(&mut self, pick: usize, size: usize) {
        let Some(held) = self.pick(pick) else { return };
        let (old, seed) = (F::bytes(&held.part), held.seed);
        let was = F::start(&held.part).addr().get();
        let align = 1 << was.trailing_zeros().min(12);
        let part = F::realloc(held.part, size, align);
        let start = F::start(&part).addr().get();
        assert_eq!(start % align, 0);
        let mut moved = Held::<F> {
            part,
            seed,
            slot: None,
        };
        moved.check(old);
        let slot = if start == was && held.slot.is_some() && size != 0 {
            self.resized(held.slot, old, size);
            held.slot
        } else {
            self.let_go(held.slot, old);
            self.add_slot(start, size)
        };
        self.hold(moved.part, slot);
    }

    /// A part has another size where it stands.
    fn resized(&mut self, slot: Option<usize>, old: usize, new: usize) {
        let entry = slot.and_then(|number| self.slots.get_mut(&number));
        let (start, bytes, held) = entry.expect("a part has a slot");
        if new > old {
            assert_eq!(*held, old, "a part does not grow in place beside others");
            // It may have been the last part of a larger block, and grown over what was free.
            *bytes = (*bytes).max(new);
            let end = *start + *bytes;
            let start = *start;
            let next = self.places.range(start + 1..).next();
            assert!(
                next.is_none_or(|(&next, _)| end <= next),
                "it grows over another"
            );
            self.slots
                .get_mut(&slot.expect("as above"))
                .expect("as above")
                .2 = new;
        } else {
            *held -= old - new;
            if *held == new {
                // What lies behind may be given out again.
                *bytes = new;
            }
        }
    }

    fn in_place(&mut self, pick: usize, size: usize) {
        let Some(mut held) = self.pick(pick) else {
            return;
        };
        let old = F::bytes(&held.part);
        let was = F::start(&held.part);
        let slot = held.slot;
        let done = F::in_place(&mut held.part, size);
        assert_eq!(was, F::start(&held.part), "in place is in place");
        assert!(
            done || size > old || size == 0 || old == 0,
            "{old} bytes become {size}"
        );
        if done && old != size {
            self.resized(slot, old, size);
        }
        held.check(old);
        held.fill();
        if F::bytes(&held.part) == 0 {
            self.empty.push(held);
        } else {
            self.parts.insert(was.addr().get(), held);
        }
    }

    fn apply(&mut self, op: &Op) {
        while self.held() > HELD_MAX {
            self.free(self.so_far | 1);
        }
        match *op {
            Op::Alloc(size, align) => self.alloc(size, align, false),
            Op::Zeroed(size, align) => self.alloc(size, align, true),
            Op::Split(pick, at) => {
                let Some(held) = self.pick(pick) else { return };
                let at = at % (F::bytes(&held.part) + 1);
                let (left, right) = F::split(held.part, at);
                self.hold(left, held.slot);
                self.hold(right, held.slot);
            }
            Op::Free(pick) => self.free(pick),
            Op::FreeElsewhere(pick) => self.free_together(pick, 1),
            Op::FreeTogether(pick, count) => self.free_together(pick, count),
            Op::Realloc(pick, size) => self.realloc(pick, size),
            Op::InPlace(pick, size) => self.in_place(pick, size),
            Op::Trim => _ = ralloc::alloc::trim::<Case<F::Tuning>>(),
        }
    }

    fn free_all(&mut self) {
        while !self.parts.is_empty() || !self.empty.is_empty() {
            self.free(16 * self.parts.len());
        }
    }
}

/// Blocks of pages that are in use, runs and huge blocks, as numbers.
fn used<F: Interface>() -> usize {
    let stats = stats::stats::<Case<F::Tuning>>();
    let blocks: usize = stats.classes.iter().map(|class| class.used).sum();
    blocks + stats.run_count + stats.huge / (4 * MIB)
}

fn replay<F: Interface>(trace: &[Op]) {
    let mut reference = Reference::<F>::new();
    for (number, op) in trace.iter().enumerate() {
        reference.apply(op);
        if number % 200 == 0 {
            // SAFETY: no other thread is about.
            unsafe { Case::<F::Tuning>::process().verify() };
        }
    }
    reference.free_all();
}

fn agrees<F: Interface>(kernel: fn() -> Kernel) {
    let config = ProptestConfig {
        cases: common::traces(TRACES),
        failure_persistence: None,
        max_shrink_time: 60_000,
        max_shrink_iters: common::shrinks(),
        ..ProptestConfig::default()
    };
    let traces = prop::collection::vec(op(), 1..=OPERATIONS);
    let outcome = TestRunner::new(config).run(&traces, |trace| {
        common::run_tuned::<F::Tuning, _>(kernel(), || replay::<F>(&trace));
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

#[test]
fn raw_parts_on_a_simulated_linux() {
    agrees::<Implicit>(|| Kernel::sim(Rules::Linux));
}

#[test]
fn raw_parts_on_a_simulated_redox() {
    agrees::<Implicit>(|| Kernel::sim(Rules::Redox));
}

#[test]
fn raw_parts_on_the_real_kernel() {
    agrees::<Implicit>(Kernel::real);
}

#[test]
fn blocks_on_a_simulated_linux() {
    agrees::<Explicit>(|| Kernel::sim(Rules::Linux));
}

#[test]
fn blocks_on_a_simulated_redox() {
    agrees::<Explicit>(|| Kernel::sim(Rules::Redox));
}

#[test]
fn blocks_on_the_real_kernel() {
    agrees::<Explicit>(Kernel::real);
}

/// Alone in its block, a part counts for the whole; the threads race for the last byte.
#[test]
fn one_of_many_threads_frees_the_last_byte() {
    common::run_tuned::<InParts, _>(Kernel::real(), || {
        for round in 0..300 {
            let bytes = [100, 4096, 20_000, 100_000, 5 * MIB][round % 5];
            let start = native::alloc::<Case<InParts>>(bytes, 8).addr().get();
            std::thread::scope(|scope| {
                for part in 0..4 {
                    scope.spawn(move || {
                        let from = bytes * part / 4;
                        let to = bytes * (part + 1) / 4;
                        let at: *mut u8 = std::ptr::with_exposed_provenance_mut(start + from);
                        let at = NonNull::new(at).expect("not null");
                        // SAFETY: the quarters are disjoint, and each is freed once.
                        unsafe { native::free::<Case<InParts>>(at, to - from) };
                    });
                }
            });
        }
        in_thread(|| ());
    });
}
