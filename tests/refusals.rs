//! A kernel that refuses, and what the trace of `exhaustion.rs` has no part in: the security build, an allocator that is watched, blocks
//! that are freed in parts, alignments that are no powers of two, forks, chunks far away from the first.
//!
//! A request is served or gets null; nothing panics; blocks keep their contents; at the end the kernel has everything back.

mod common;

use common::{Case, Draw, KIB, Kernel, MIB};
use ralloc::{Block, Defaults, Hardened, Instance, Tuning, Watchers, c_abi, native};
use ralloc_platform::sim::{Rules, Sim};
use std::{marker::PhantomData, ptr::NonNull};

/// Blocks may be freed in parts.
struct InParts;

impl Tuning for InParts {
    const PARTIAL: bool = true;
}

/// Bytes at either end of a block that are filled and looked at.
const ENDS: usize = 200;

/// A block that the trace holds. Both ends of it are filled with its seed.
struct Held<T: Tuning> {
    start: NonNull<u8>,
    size: usize,
    seed: u8,
    policy: PhantomData<fn() -> T>,
}

// SAFETY: a block belongs to whoever holds it.
unsafe impl<T: Tuning> Send for Held<T> {}

impl<T: Tuning> Held<T> {
    fn new(start: NonNull<u8>, size: usize, align: usize, seed: u8) -> Self {
        assert!(start.as_ptr().addr().is_multiple_of(align));
        let policy = PhantomData;
        let held = Self {
            start,
            size,
            seed,
            policy,
        };
        held.fill();
        held
    }

    fn byte(&self, at: usize) -> *mut u8 {
        // SAFETY: callers stay in the block.
        unsafe { self.start.add(at) }.as_ptr()
    }

    fn places(size: usize) -> impl Iterator<Item = usize> {
        (0..size.min(ENDS)).chain(size.saturating_sub(ENDS)..size)
    }

    fn fill(&self) {
        // SAFETY: the block is live and ours.
        Self::places(self.size).for_each(|at| unsafe { self.byte(at).write(self.seed) });
    }

    /// Whether what was filled among the first bytes is as it was.
    fn check(&self, kept: usize) {
        for at in Self::places(self.size).filter(|&at| at < kept) {
            // SAFETY: the block is live and ours.
            let byte = unsafe { self.byte(at).read() };
            assert_eq!(byte, self.seed, "byte {at} of {}", self.size);
        }
    }

    fn assert_zero(start: NonNull<u8>, size: usize) {
        for at in Self::places(size) {
            // SAFETY: the place lies in the block.
            let place = unsafe { start.add(at) };
            // SAFETY: a live block of ours.
            let byte = unsafe { place.read() };
            assert_eq!(byte, 0, "byte {at} of {size}");
        }
    }

    /// All of it, or its parts in any order.
    fn free(self, draw: &mut Draw) {
        self.check(self.size);
        let mut parts = vec![(0, self.size)];
        for _ in 0..if T::PARTIAL { draw.below(4) } else { 0 } {
            let part = draw.below(parts.len());
            let (at, size) = parts[part];
            let left = draw.below(size);
            if left != 0 {
                parts[part] = (at, left);
                parts.push((at + left, size - left));
            }
        }
        for (at, size) in parts.into_iter().rev() {
            // SAFETY: the part lies in the block.
            let start = unsafe { self.start.add(at) };
            // SAFETY: every byte is given up once.
            unsafe { native::free::<Case<T>>(start, size) };
        }
    }

    /// The same block with another size, or as it was.
    fn resized(self, size: usize, align: usize) -> Self {
        self.check(self.size);
        let (old, seed) = (self.size, self.seed);
        // SAFETY: a live block of so many bytes.
        let new = unsafe { native::try_realloc::<Case<T>>(self.start, old, size, align) };
        let Ok(start) = new else {
            self.check(old);
            return self;
        };
        let moved = Self { start, ..self };
        moved.check(old.min(size));
        Self::new(start, size, 1, seed)
    }

    /// The same where it stands, if that can be.
    fn resized_in_place(mut self, size: usize) -> Self {
        // SAFETY: as above.
        let done = unsafe { native::realloc_inplace::<Case<T>>(self.start, self.size, size) };
        if done.is_ok() {
            self.check(self.size.min(size));
            self.size = size;
            self.fill();
        }
        self
    }
}

/// The trace: always the same requests, whatever becomes of them.
struct Replay<T: Tuning> {
    draw: Draw,
    live: Vec<Held<T>>,
    refused: usize,
    steps: usize,
}

impl<T: Tuning> Replay<T> {
    fn new(seed: u64) -> Self {
        Self {
            draw: Draw::new(seed),
            live: Vec::new(),
            refused: 0,
            steps: 0,
        }
    }

    fn seed(&mut self) -> u8 {
        1 + self.draw.below(255) as u8
    }

    fn keep(&mut self, block: *mut u8, size: usize, align: usize) {
        let seed = self.seed();
        match NonNull::new(block) {
            Some(start) => self.live.push(Held::new(start, size, align, seed)),
            None => self.refused += 1,
        }
    }

    fn pick(&mut self) -> Option<Held<T>> {
        let count = self.live.len();
        (count != 0).then(|| self.live.swap_remove(self.draw.below(count)))
    }

    fn allocate(&mut self, size: usize) {
        let align: usize = match self.draw.below(4) {
            0 => 16 << self.draw.below(14),
            1 => [3, 24, 48, 100, 1000, 5000, 70_000][self.draw.below(7)],
            _ => 16,
        };
        let verb = if T::PARTIAL { 4 } else { self.draw.below(6) };
        let (block, size, align) = match verb {
            0 => {
                let block = c_abi::calloc::<Case<T>>(1, size);
                NonNull::new(block).inspect(|&start| Held::<T>::assert_zero(start, size));
                (block, size, 16)
            }
            1 if align.is_power_of_two() => {
                let block = c_abi::posix_memalign::<Case<T>>(align, size);
                (pointer(block.ok()), size, align)
            }
            2 => {
                let whole = size.next_multiple_of(4096);
                (c_abi::pvalloc::<Case<T>>(size), whole, 4096)
            }
            _ => {
                let block = native::try_alloc::<Case<T>>(size, align);
                (pointer(block.ok()), size, align)
            }
        };
        self.keep(block, size, align);
    }

    /// A block with an owner, cut in two, both of which are freed by another thread.
    fn cut(&mut self, size: usize) {
        let Ok(mut block) = Block::<Case<T>>::try_new(size, 16) else {
            self.refused += 1;
            return;
        };
        let at = 1 + self.draw.below(size - 1);
        let rest = block.try_split_off(at);
        self.refused += usize::from(rest.is_err());
        assert_eq!(block.len(), if rest.is_ok() { at } else { size });
        common::in_thread(|| drop((block, rest)));
    }

    fn step(&mut self, low: usize, high: usize) {
        self.steps += 1;
        let size = self.draw.skewed(low, high);
        match self.draw.below(20) {
            0..10 => self.allocate(size),
            10..12 => {
                if let Some(held) = self.pick() {
                    // The block may have any alignment, and need not have it elsewhere.
                    let held = held.resized(size, 1);
                    self.live.push(held);
                }
            }
            12 => {
                if let Some(held) = self.pick() {
                    self.live.push(held.resized_in_place(size));
                }
            }
            13 if !T::PARTIAL => self.cut(size.max(2)),
            _ => {
                if let Some(held) = self.pick() {
                    held.free(&mut self.draw);
                }
            }
        }
    }

    /// What a fork does in the parent, with blocks on their way.
    fn fork(&mut self) {
        let half = self.live.split_off(self.live.len() / 2);
        let draw = Draw::new(self.draw.word());
        free_elsewhere(half, draw);
        let sim = Case::<T>::process().kernel().as_sim();
        sim.fork_prepare();
        sim.fork_parent();
    }

    /// All of it. Returns how many requests were refused.
    fn trace(mut self) -> usize {
        (0..600).for_each(|_| self.step(1, 2 * KIB));
        self.fork();
        (0..150).for_each(|_| self.step(KIB, 40 * KIB));
        (0..60).for_each(|_| self.step(40 * KIB, 900 * KIB));
        self.fork();
        (0..40).for_each(|_| self.step(MIB, 9 * MIB));
        free_elsewhere(std::mem::take(&mut self.live), Draw::new(1));
        c_abi::malloc_trim::<Case<T>>();
        (0..200).for_each(|_| self.step(1, 40 * KIB));
        free_elsewhere(std::mem::take(&mut self.live), Draw::new(2));
        self.refused
    }
}

fn pointer(block: Option<NonNull<u8>>) -> *mut u8 {
    block.map_or(std::ptr::null_mut(), NonNull::as_ptr)
}

fn free_elsewhere<T: Tuning>(blocks: Vec<Held<T>>, mut draw: Draw) {
    common::in_thread(move || blocks.into_iter().for_each(|held| held.free(&mut draw)));
}

/// Replay once with this refused. Returns whether the kernel was asked to refuse.
fn refusing<T: Tuning>(
    kernel: Kernel,
    prepare: fn(),
    refuse: impl Fn(&Sim) + Sync,
    what: &str,
) -> bool {
    common::run_tuned::<T, _>(kernel, || {
        prepare();
        let kernel = Case::<T>::process().kernel();
        refuse(kernel.as_sim());
        let refused = common::in_thread(|| Replay::<T>::new(7).trace());
        let asked = kernel.was_asked_to_fail();
        assert!(asked || refused == 0, "{what}: refused for no reason");
        kernel.relent();
        let refused = common::in_thread(|| Replay::<T>::new(8).trace());
        assert_eq!(refused, 0, "{what}: the kernel has relented");
        c_abi::malloc_trim::<Case<T>>();
        asked
    })
}

/// Refuse one call, and then all from one on, at every so many calls of the trace, by both rules.
fn at_many_calls<T: Tuning>(kernel: fn(Rules) -> Kernel, prepare: fn(), stride: usize) {
    for rules in [Rules::Linux, Rules::Redox] {
        let ways: [fn(&Sim, usize); 2] = [Sim::fail_at, Sim::fail_from];
        for (verb, refuse) in ["fail_at", "fail_from"].into_iter().zip(ways) {
            let mut n = 0;
            let once = |n| {
                let what = format!("{verb}({n}), {rules:?}");
                refusing::<T>(kernel(rules), prepare, |sim| refuse(sim, n), &what)
            };
            while once(n) {
                n += stride;
            }
            println!("{verb}, {rules:?}: {n} calls");
            assert!(n > 40, "the trace reaches the kernel {n} times only");
        }
    }
}

fn nothing() {}

#[test]
fn odd_alignments_parts_and_forks() {
    at_many_calls::<Defaults>(Kernel::sim, nothing, 5);
}

#[test]
fn parts_by_their_addresses() {
    at_many_calls::<InParts>(Kernel::sim, nothing, 5);
}

#[test]
fn an_allocator_that_is_watched() {
    let watch = || ralloc::watch::<Case>(Watchers::LEAKS);
    at_many_calls::<Defaults>(Kernel::sim, watch, 5);
}

/// In front of a huge block that is watched lies the word by which a free knows it: it stays when the block is cleared.
#[test]
fn a_watched_huge_block_is_freed_as_such_when_it_was_cleared() {
    for (_, kernel) in Kernel::all() {
        common::run(kernel(), || {
            ralloc::watch::<Case>(Watchers::LEAKS);
            let mut draw = Draw::new(1);
            for _ in 0..3 {
                let block = c_abi::calloc::<Case>(3, MIB);
                let start = NonNull::new(block).expect("there is memory");
                Held::<Defaults>::assert_zero(start, 3 * MIB);
                Held::<Defaults>::new(start, 3 * MIB, 16, 7).free(&mut draw);
            }
        });
    }
}

/// Chunks so far away from the first that they are noted down in tables of their own, which the kernel may refuse.
#[cfg(target_pointer_width = "64")]
#[test]
fn chunks_far_away() {
    const GIB: usize = 1 << 30;
    for (rules, n) in [Rules::Linux, Rules::Redox]
        .into_iter()
        .flat_map(|rules| (0..12).map(move |n| (rules, n)))
    {
        common::run(Kernel::with_space(rules, 150 * GIB), || {
            let sim = common::kernel().as_sim();
            let first = NonNull::new(c_abi::malloc::<Case>(100)).expect("there is memory");
            let mut draw = Draw::new(1);
            let mut blocks = vec![Held::<Defaults>::new(first, 100, 16, 1)];
            // Somebody else has all that is near.
            let mappings = sim.mappings();
            let mine = mappings.iter().copied();
            let (base, size) = match rules {
                Rules::Linux => mine.min(),
                Rules::Redox => mine.max(),
            }
            .expect("something is mapped");
            let near = match rules {
                Rules::Linux => base - 70 * GIB,
                Rules::Redox => base + size,
            };
            let near = NonNull::new(std::ptr::without_provenance_mut(near)).expect("not null");
            assert!(sim.occupy(near, 70 * GIB));
            sim.fail_at(n);
            let mut refused = 0;
            for seed in 2..12 {
                match NonNull::new(c_abi::malloc::<Case>(MIB)) {
                    Some(start) => blocks.push(Held::new(start, MIB, 16, seed)),
                    None => refused += 1,
                }
            }
            // Another way is tried when one call is refused.
            assert!(refused <= 1, "{refused} with {n}, {rules:?}");
            let far = |held: &&Held<_>| held.start.as_ptr().addr().abs_diff(base) > 64 * GIB;
            assert!(blocks.iter().filter(far).count() > 5, "{n}, {rules:?}");
            blocks.into_iter().for_each(|held| held.free(&mut draw));
        });
    }
}

#[test]
fn the_security_build() {
    at_many_calls::<Hardened>(|rules| Kernel::guarding(rules, 0), nothing, 5);
}

#[test]
fn the_security_build_with_some_guards_refused() {
    at_many_calls::<Hardened>(|rules| Kernel::guarding(rules, 7), nothing, 25);
}
