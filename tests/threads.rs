//! Scenarios in the spirit of the original ralloc's tests: each is written once, and then run plain, in several threads,
//! in acid (other traffic between every two steps), and in threads that die while others hold their blocks; on
//! every kernel.

mod common;

use common::{Case, Draw, Held, KIB, Kernel};
use ralloc::c_abi;
use std::{
    collections::VecDeque,
    sync::{Mutex, mpsc},
    thread,
};

/// Threads that run a scenario at the same time.
const THREADS: usize = 4;
/// Steps of a scenario.
const STEPS: usize = 1000;

/// An allocator under test: what a scenario sees of it.
struct Subject<'a> {
    draw: Draw,
    surroundings: Surroundings<'a>,
}

/// What goes on around each step.
enum Surroundings<'a> {
    /// Nothing.
    Plain,
    /// Other traffic of the same thread.
    Acid(Vec<Held>),
    /// Blocks are left for whoever outlives this thread.
    Bequest(&'a Mutex<Vec<Held>>),
}

impl<'a> Subject<'a> {
    fn new(seed: u64, surroundings: Surroundings<'a>) -> Self {
        let draw = Draw::new(seed + 1);
        Self { draw, surroundings }
    }

    fn allocate(&mut self, size: usize) -> Held {
        self.between();
        let seed = self.draw.word();
        Held::new(c_abi::malloc::<Case>(size), size, 16, seed).expect("there is memory enough")
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
                heirs.lock().expect("no panic while it is held").push(held);
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
        let Surroundings::Acid(held) = &mut self.surroundings else {
            return;
        };
        for _ in 0..self.draw.below(4) {
            if held.len() > 40 || !held.is_empty() && self.draw.below(2) == 0 {
                held.swap_remove(self.draw.below(held.len())).free();
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
        if let Surroundings::Acid(held) = &mut self.surroundings {
            held.drain(..).for_each(Held::free);
        }
    }
}

/// What was allocated last is freed first.
fn last_in_first_out(subject: &mut Subject) {
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
fn first_in_first_out(subject: &mut Subject) {
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
fn random_replacement(subject: &mut Subject) {
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
fn realloc_growth(subject: &mut Subject) {
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
fn zeroed(subject: &mut Subject) {
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
fn hand_over(subject: &mut Subject) {
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
        common::join(other);
    });
}

type Scenario = fn(&mut Subject);

fn plain(scenario: Scenario) {
    scenario(&mut Subject::new(1, Surroundings::Plain));
    common::verify();
}

fn in_several_threads(scenario: Scenario) {
    thread::scope(|scope| {
        let work = |seed| move || scenario(&mut Subject::new(seed, Surroundings::Plain));
        let threads: Vec<_> = (0..THREADS as u64)
            .map(|seed| scope.spawn(work(seed)))
            .collect();
        threads.into_iter().for_each(common::join);
    });
    common::verify();
}

fn in_acid(scenario: Scenario) {
    thread::scope(|scope| {
        let work = |seed| move || scenario(&mut Subject::new(seed, Surroundings::Acid(Vec::new())));
        let threads: Vec<_> = (0..2).map(|seed| scope.spawn(work(seed))).collect();
        threads.into_iter().for_each(common::join);
    });
    common::verify();
}

fn in_dying_threads(scenario: Scenario) {
    let heirs = Mutex::new(Vec::new());
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
                let some: Vec<_> = heirs.lock().expect("no panic").drain(..).collect();
                some.into_iter().for_each(Held::free);
                common::join(thread);
            }
        });
    }
    common::verify();
    let rest = heirs.into_inner().expect("no panic");
    rest.into_iter().for_each(Held::free);
    common::verify();
}

fn in_all_ways(scenario: Scenario) {
    for (name, kernel) in Kernel::all() {
        println!("on {name}");
        common::run(kernel(), || plain(scenario));
        common::run(kernel(), || in_several_threads(scenario));
        common::run(kernel(), || in_acid(scenario));
        common::run(kernel(), || in_dying_threads(scenario));
        common::run(kernel(), || {
            plain(scenario);
            in_dying_threads(scenario);
            in_several_threads(scenario);
        });
    }
}

/// A test for each scenario.
macro_rules! scenarios {
    ($($scenario:ident)*) => {
        mod scenarios {
            $(#[test] fn $scenario() { super::in_all_ways(super::$scenario) })*
        }
    };
}

scenarios! {
    last_in_first_out
    first_in_first_out
    random_replacement
    realloc_growth
    zeroed
    hand_over
}
