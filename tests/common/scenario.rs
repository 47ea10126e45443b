//! Scenarios in the spirit of the original ralloc's tests: each is written once, and multiplied by the conditions under
//! which it runs.
//!
//! Scenarios know nothing of conditions: they allocate and free through a [`Subject`], around which the condition lets
//! happen what it wants.

use super::{Case, Draw, Held, KIB};
use ralloc::c_abi;
use ralloc_platform::sim::Lock;
use std::{
    collections::VecDeque,
    sync::{
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread,
};

/// Threads that run a scenario at the same time.
const THREADS: usize = 4;
/// Steps of a scenario.
const STEPS: usize = 1000;

/// An allocator under test: what a scenario sees of it.
pub struct Subject<'a> {
    draw: Draw,
    surroundings: Surroundings<'a>,
}

/// What goes on around each step.
pub enum Surroundings<'a> {
    /// Nothing.
    Plain,
    /// Other traffic: blocks of this thread, and a pool through which threads free one another's.
    Acid(Vec<Held>, &'a Lock<Vec<Held>>),
    /// Blocks are left for whoever outlives this thread.
    Bequest(&'a Lock<Vec<Held>>),
}

impl<'a> Subject<'a> {
    /// The same seed makes the same requests.
    pub fn new(seed: u64, surroundings: Surroundings<'a>) -> Self {
        let draw = Draw::new(seed + 1);
        Self { draw, surroundings }
    }

    fn allocate(&mut self, size: usize) -> Held {
        self.between();
        let seed = self.draw.word();
        Held::new(c_abi::malloc::<Case>(size), size, 16, seed).expect("there is memory enough")
    }

    fn allocate_aligned(&mut self, size: usize, align: usize) -> Held {
        self.between();
        let seed = self.draw.word();
        let block = c_abi::aligned_alloc::<Case>(align, size);
        Held::new(block, size, align, seed).expect("there is memory enough")
    }

    fn allocate_zeroed(&mut self, size: usize) -> Held {
        self.between();
        let seed = self.draw.word();
        Held::new_zeroed(c_abi::calloc::<Case>(1, size), size, 16, seed)
            .expect("there is memory enough")
    }

    fn resize(&mut self, held: Held, size: usize) -> Held {
        self.between();
        let resized = held.resize(None, size, self.draw.word());
        resized.expect("there is memory enough").expect("of a size")
    }

    fn free(&mut self, held: Held) {
        self.between();
        match &self.surroundings {
            Surroundings::Bequest(heirs) if self.draw.below(4) == 0 => {
                heirs.lock().push(held);
            }
            _ => held.free(),
        }
    }

    /// A size: mostly one of a few, so that pages fill, now and then a run of slices or huge.
    fn size(&mut self) -> usize {
        match self.draw.below(400) {
            0 => self.draw.skewed(2048 * KIB, 5000 * KIB),
            1..8 => self.draw.skewed(32 * KIB, 512 * KIB),
            8..20 => self.draw.skewed(KIB, 32 * KIB),
            20..60 => 28 * KIB,
            60..100 => self.draw.skewed(1, KIB),
            100..200 => 64,
            _ => 900,
        }
    }

    fn between(&mut self) {
        let Surroundings::Acid(held, pool) = &mut self.surroundings else {
            return;
        };
        for _ in 0..self.draw.below(4) {
            if held.len() > 40 || !held.is_empty() && self.draw.below(2) == 0 {
                let old = held.swap_remove(self.draw.below(held.len()));
                if self.draw.below(3) != 0 {
                    old.free();
                    continue;
                }
                let mut pool = pool.lock();
                pool.push(old);
                if pool.len() > 20 {
                    pool.swap_remove(self.draw.below(20)).free();
                }
                continue;
            }
            let (size, seed) = (self.draw.skewed(1, 40 * KIB), self.draw.word());
            held.extend(Held::new(c_abi::malloc::<Case>(size), size, 16, seed));
        }
        if self.draw.below(500) == 0 {
            c_abi::malloc_trim::<Case>();
        }
    }
}

impl Drop for Subject<'_> {
    fn drop(&mut self) {
        if let Surroundings::Acid(held, _) = &mut self.surroundings {
            held.drain(..).for_each(Held::free);
        }
    }
}

/// What was allocated last is freed first.
pub fn last_in_first_out(subject: &mut Subject) {
    let mut stack = Vec::new();
    for _ in 0..STEPS / 100 {
        for _ in 0..subject.draw.below(100) {
            let size = subject.size();
            stack.push(subject.allocate(size));
        }
        for _ in 0..subject.draw.below(stack.len() + 1) {
            let held = stack.pop().expect("no more than there are");
            subject.free(held);
        }
    }
    stack.into_iter().rev().for_each(|held| subject.free(held));
}

/// What was allocated first is freed first.
pub fn first_in_first_out(subject: &mut Subject) {
    let mut queue = VecDeque::new();
    for _ in 0..STEPS {
        let size = subject.size();
        queue.push_back(subject.allocate(size));
        if queue.len() > 300 {
            let held = queue.pop_front().expect("not empty");
            subject.free(held);
        }
    }
    queue.into_iter().for_each(|held| subject.free(held));
}

/// Blocks die in any order.
pub fn random_replacement(subject: &mut Subject) {
    let mut held: Vec<_> = (0..200).map(|_| subject.allocate(64)).collect();
    for _ in 0..STEPS {
        let (index, size) = (subject.draw.below(held.len()), subject.size());
        let fresh = subject.allocate(size);
        let old = std::mem::replace(&mut held[index], fresh);
        subject.free(old);
    }
    held.into_iter().for_each(|held| subject.free(held));
}

/// Vectors grow, shrink and grow again.
pub fn realloc_growth(subject: &mut Subject) {
    for _ in 0..STEPS / 100 {
        let mut vectors: Vec<_> = (0..4).map(|_| subject.allocate(8)).collect();
        let most = subject.draw.skewed(KIB, 6000 * KIB);
        while vectors[0].usable() < most {
            for vector in &mut vectors[..] {
                let held = std::mem::replace(vector, subject.allocate(1));
                let size = held.usable() + held.usable() / 2 + 8;
                let grown = subject.resize(held, size.min(most + 16));
                subject.free(std::mem::replace(vector, grown));
            }
        }
        for held in vectors {
            let size = 1 + subject.draw.below(held.usable());
            let shrunk = subject.resize(held, size);
            subject.free(shrunk);
        }
    }
}

/// Memory that others have written to is clean when it is asked for clean.
pub fn zeroed(subject: &mut Subject) {
    let mut held = VecDeque::new();
    for _ in 0..STEPS {
        let size = subject.size();
        let fresh = if subject.draw.below(2) == 0 {
            subject.allocate_zeroed(size)
        } else {
            subject.allocate(size)
        };
        held.push_back(fresh);
        if held.len() > 100 {
            let old = held
                .swap_remove_back(subject.draw.below(100))
                .expect("in range");
            subject.free(old);
        }
    }
    held.into_iter().for_each(|held| subject.free(held));
}

/// One thread allocates, another frees, and the other way round at the same time.
pub fn hand_over(subject: &mut Subject) {
    let (to_other, from_me) = mpsc::sync_channel::<Held>(64);
    let (to_me, from_other) = mpsc::sync_channel::<Held>(64);
    let seed = subject.draw.word() >> 1;
    thread::scope(|scope| {
        let other = scope.spawn(move || {
            let mut other = Subject::new(seed, Surroundings::Plain);
            for held in from_me {
                held.free();
                let size = other.size();
                if to_me.send(other.allocate(size)).is_err() {
                    break;
                }
            }
        });
        for step in 0..STEPS {
            let size = subject.size();
            let held = subject.allocate(size);
            to_other.send(held).expect("the other thread is there");
            if step >= 32 {
                let held = from_other.recv().expect("the other thread is there");
                subject.free(held);
            }
        }
        drop(to_other);
        from_other.into_iter().for_each(|held| subject.free(held));
        super::join(other);
    });
}

/// Every alignment, with sizes below and above it.
pub fn aligned(subject: &mut Subject) {
    let mut held = VecDeque::new();
    for step in 0..STEPS / 2 {
        let most = if step % 50 == 0 { 23 } else { 14 };
        let align = 1 << (3 + subject.draw.below(most - 3));
        let size = subject.draw.skewed(1, 4 * align);
        held.push_back(subject.allocate_aligned(size, align));
        if held.len() > 60 {
            let old = held.swap_remove_back(subject.draw.below(60));
            subject.free(old.expect("in range"));
        }
    }
    held.into_iter().for_each(|held| subject.free(held));
}

/// A heap grows, most of it goes, a little stays here and there; again and again.
pub fn ebb_and_flow(subject: &mut Subject) {
    let mut stays = Vec::new();
    for tide in 1..=5 {
        let flood: Vec<_> = (0..STEPS / 2)
            .map(|_| {
                let size = subject.size();
                subject.allocate(size)
            })
            .collect();
        for (index, held) in flood.into_iter().enumerate() {
            if index % (8 * tide) == 0 {
                stays.push(held);
            } else {
                subject.free(held);
            }
        }
    }
    stays.into_iter().for_each(|held| subject.free(held));
}

/// What a thread does with a subject.
pub type Scenario = fn(&mut Subject);

/// All scenarios.
pub const SCENARIOS: [Scenario; 8] = [
    last_in_first_out,
    first_in_first_out,
    random_replacement,
    realloc_growth,
    zeroed,
    hand_over,
    aligned,
    ebb_and_flow,
];

/// One thread.
pub fn plain(scenario: Scenario) {
    scenario(&mut Subject::new(1, Surroundings::Plain));
    super::verify();
}

/// Several threads at the same time.
pub fn in_several_threads(scenario: Scenario) {
    thread::scope(|scope| {
        let work = |seed| move || scenario(&mut Subject::new(seed, Surroundings::Plain));
        let threads: Vec<_> = (0..THREADS as u64)
            .map(|seed| scope.spawn(work(seed)))
            .collect();
        threads.into_iter().for_each(super::join);
    });
    super::verify();
}

/// Other traffic between every two steps.
pub fn in_acid(scenario: Scenario) {
    let pool = Lock::new(Vec::new());
    thread::scope(|scope| {
        let work = |seed| {
            let surroundings = Surroundings::Acid(Vec::new(), &pool);
            move || scenario(&mut Subject::new(seed, surroundings))
        };
        let threads: Vec<_> = (0..2).map(|seed| scope.spawn(work(seed))).collect();
        threads.into_iter().for_each(super::join);
    });
    let rest = pool.into_inner();
    rest.into_iter().for_each(Held::free);
    super::verify();
}

/// Threads die, and leave blocks behind that others free, meanwhile and later.
pub fn in_dying_threads(scenario: Scenario) {
    let heirs = Lock::new(Vec::new());
    for round in 0..2_u64 {
        thread::scope(|scope| {
            let work = |seed| {
                let surroundings = Surroundings::Bequest(&heirs);
                move || scenario(&mut Subject::new(seed, surroundings))
            };
            let threads: Vec<_> = (0..THREADS as u64)
                .map(|seed| scope.spawn(work(10 * round + seed)))
                .collect();
            // While they are at it, and after they have gone.
            for thread in threads {
                let some: Vec<_> = heirs.lock().drain(..).collect();
                some.into_iter().for_each(Held::free);
                super::join(thread);
            }
        });
    }
    super::verify();
    let rest = heirs.into_inner();
    rest.into_iter().for_each(Held::free);
    super::verify();
}

/// Children of `fork`, made while other threads are at it: each has the blocks of the forking thread and some of others,
/// frees them, and does the same again with threads and a child of its own.
#[cfg(unix)]
pub fn in_forked_child(scenario: Scenario) {
    let (over, shared) = (AtomicBool::new(false), Lock::new(Vec::new()));
    thread::scope(|scope| {
        let work = |seed| {
            let (over, surroundings) = (&over, Surroundings::Bequest(&shared));
            move || {
                let mut subject = Subject::new(seed, surroundings);
                scenario(&mut subject);
                while !over.load(Relaxed) {
                    first_in_first_out(&mut subject);
                }
            }
        };
        let threads: Vec<_> = (0..2).map(|seed| scope.spawn(work(seed))).collect();
        let mut mine = Subject::new(2, Surroundings::Plain);
        let mut held: Vec<_> = (0..100).map(|_| mine.allocate(200)).collect();
        while held.len() < 150 {
            held.extend(shared.lock().drain(..));
            thread::yield_now();
        }
        super::fork(|| inherit(scenario, &held));
        held.into_iter().for_each(|held| mine.free(held));
        over.store(true, Relaxed);
        threads.into_iter().for_each(super::join);
    });
    let rest = shared.into_inner();
    rest.into_iter().for_each(Held::free);
    super::verify();
}

/// What a child does with what it has inherited.
#[cfg(unix)]
fn inherit(scenario: Scenario, held: &[Held]) {
    held.iter().for_each(Held::check);
    let (left, right) = held.split_at(held.len() / 2);
    left.iter().for_each(Held::free_inherited);
    in_several_threads(scenario);
    super::fork(|| {
        right.iter().for_each(Held::free_inherited);
        plain(scenario);
    });
    right.iter().for_each(Held::free_inherited);
    c_abi::malloc_trim::<Case>();
    scenario(&mut Subject::new(3, Surroundings::Plain));
    super::verify();
}

/// One thing after the other, on an allocator that has been used.
pub fn one_after_the_other(scenario: Scenario) {
    plain(scenario);
    in_dying_threads(scenario);
    in_acid(scenario);
    in_several_threads(scenario);
}
