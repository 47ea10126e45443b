//! A kernel that refuses: one fixed trace is replayed with the n-th kernel call refused, for every n, with all calls from
//! the n-th on refused, and with a bound on what may be mapped.
//!
//! A request is served or gets null; nothing panics; blocks keep their contents. When the kernel relents, the same trace
//! is served in full, and at the end the kernel has everything back.

mod common;

use common::{Case, Draw, Held, KIB, Kernel, MIB};
use ralloc::c_abi;
use ralloc_platform::sim::{Rules, Sim};
use std::thread;

/// Live blocks in the trace.
const LIVE: usize = 400;

/// What a replay has come to.
#[derive(Default)]
struct Tally {
    served: usize,
    refused: usize,
}

/// A replay of the trace: always the same requests, whatever becomes of them.
struct Replay {
    draw: Draw,
    live: Vec<Option<Held>>,
    tally: Tally,
}

impl Replay {
    fn new(seed: u64) -> Self {
        Self {
            draw: Draw::new(seed),
            live: (0..LIVE).map(|_| None).collect(),
            tally: Tally::default(),
        }
    }

    fn count(&mut self, held: Option<Held>) -> Option<Held> {
        match held {
            Some(_) => self.tally.served += 1,
            None => self.tally.refused += 1,
        }
        held
    }

    /// A request of each kind, for `size` bytes.
    fn request(&mut self, size: usize) -> Option<Held> {
        let (kind, seed) = (self.draw.below(8), self.draw.word());
        let shift = self.draw.below(if size < 64 * KIB { 15 } else { 23 });
        let align = 1 << shift;
        let held = match kind {
            0 | 1 => Held::new_zeroed(c_abi::calloc::<Case>(1, size), size, 16, seed),
            2 => Held::new(c_abi::aligned_alloc::<Case>(align, size), size, align, seed),
            _ => Held::new(c_abi::malloc::<Case>(size), size, 16, seed),
        };
        self.count(held)
    }

    fn place(&mut self, held: Option<Held>) {
        let slot = self.draw.below(LIVE);
        if let Some(old) = std::mem::replace(&mut self.live[slot], held) {
            old.free();
        }
    }

    fn resize(&mut self, size: usize) {
        let (slot, seed) = (self.draw.below(LIVE), self.draw.word());
        let Some(old) = self.live[slot].take() else {
            return;
        };
        self.live[slot] = match old.resize(None, size, seed) {
            Ok(new) => self.count(new),
            Err(old) => {
                self.tally.refused += 1;
                Some(old)
            }
        };
    }

    /// `steps` requests for sizes from `low` to `high`; some blocks change their size.
    fn churn(&mut self, steps: usize, low: usize, high: usize) {
        for _ in 0..steps {
            let size = self.draw.skewed(low, high);
            if self.draw.below(5) == 0 {
                self.resize(size);
            } else {
                let held = self.request(size);
                self.place(held);
            }
        }
    }

    /// One block grows and shrinks through runs and huge sizes, in place and elsewhere.
    fn growth(&mut self) {
        let mut vector = self.request(MIB);
        let obstacle = self.request(3 * MIB);
        for size in [1500, 2100, 3000, 5000, 4100, 9000, 3000, 1800, 700, 40] {
            let Some(held) = vector.take() else { break };
            let seed = self.draw.word();
            vector = match held.resize(None, size * KIB, seed) {
                Ok(new) => self.count(new),
                Err(old) => {
                    self.tally.refused += 1;
                    Some(old)
                }
            };
        }
        [vector, obstacle]
            .into_iter()
            .flatten()
            .for_each(Held::free);
    }

    /// Another thread frees what is this one's, leaves blocks behind, and goes.
    fn visit(&mut self) {
        let mut theirs: Vec<_> = self
            .live
            .iter_mut()
            .step_by(3)
            .filter_map(Option::take)
            .collect();
        let seed = self.draw.word();
        let (tally, mut left) = common::in_thread(move || {
            let mut visitor = Self::new(seed);
            visitor.churn(60, 1, 2 * KIB);
            theirs.drain(..).for_each(Held::free);
            visitor.churn(60, 1, 40 * KIB);
            (visitor.tally, visitor.live)
        });
        self.tally.served += tally.served;
        self.tally.refused += tally.refused;
        left.drain(..).flatten().for_each(Held::free);
    }

    fn trace(mut self) -> Tally {
        self.churn(500, 1, KIB);
        self.visit();
        self.churn(250, KIB, 32 * KIB);
        self.churn(60, 32 * KIB, 900 * KIB);
        self.growth();
        c_abi::malloc_trim::<Case>();
        self.visit();
        for slot in 0..LIVE / 2 {
            self.live[slot].take().into_iter().for_each(Held::free);
        }
        self.churn(6, 2 * MIB, 5 * MIB);
        self.churn(1000, 1, 3 * KIB);
        c_abi::malloc_trim::<Case>();
        self.live.drain(..).flatten().for_each(Held::free);
        self.tally
    }
}

/// Replay in a thread that comes and goes.
fn replay() -> Tally {
    common::in_thread(|| Replay::new(7).trace())
}

/// Tell the kernel what to refuse; replay; let it relent; replay again. Returns whether it was asked to refuse.
fn refusing(rules: Rules, refuse: impl Fn(&Sim) + Sync, what: &str) -> bool {
    common::run(Kernel::sim(rules), || {
        let sim = common::kernel().as_sim();
        refuse(sim);
        let tally = replay();
        let asked = sim.was_asked_to_fail();
        assert!(asked || tally.refused == 0, "{what}: refused for no reason");
        common::kernel().relent();
        common::verify();
        let tally = replay();
        assert_eq!(
            tally.refused, 0,
            "{what}: still refused when the kernel has relented"
        );
        assert!(
            tally.served > 1000,
            "{what}: a trace of {} requests",
            tally.served
        );
        asked
    })
}

/// Refuse by `refuse` at every `stride`-th call of the trace, until the trace needs fewer calls.
fn at_every_call(rules: Rules, stride: usize, refuse: impl Fn(&Sim, usize) + Sync, verb: &str) {
    let mut n = 0;
    while refusing(
        rules,
        |sim| refuse(sim, n),
        &format!("{verb}({n}), {rules:?}"),
    ) {
        n += stride;
    }
    println!("{verb}, {rules:?}: {n} calls");
    assert!(n > 40, "the trace reaches the kernel {n} times only");
}

#[test]
fn one_call_is_refused_on_linux() {
    at_every_call(Rules::Linux, 1, Sim::fail_at, "fail_at");
}

#[test]
fn one_call_is_refused_on_redox() {
    at_every_call(Rules::Redox, 1, Sim::fail_at, "fail_at");
}

#[test]
fn all_calls_from_one_on_are_refused_on_linux() {
    at_every_call(Rules::Linux, 1, Sim::fail_from, "fail_from");
}

#[test]
fn all_calls_from_one_on_are_refused_on_redox() {
    at_every_call(Rules::Redox, 1, Sim::fail_from, "fail_from");
}

#[test]
fn a_bound_on_what_may_be_mapped() {
    for rules in [Rules::Linux, Rules::Redox] {
        for bound in [
            0,
            64 * KIB,
            256 * KIB,
            MIB,
            5 * MIB,
            9 * MIB,
            13 * MIB,
            21 * MIB,
            37 * MIB,
        ] {
            let what = format!("limit({bound}), {rules:?}");
            assert!(
                refusing(rules, |sim| sim.limit(bound), &what),
                "{what} is generous"
            );
        }
    }
}

/// Allocate blocks of `size` bytes until there is no memory.
fn fill(size: usize) -> Vec<Held> {
    let next = |seed| Held::new(c_abi::malloc::<Case>(size), size, 16, seed);
    (0..).map_while(next).collect()
}

#[test]
fn service_resumes_after_frees() {
    for (rules, size) in [Rules::Linux, Rules::Redox]
        .into_iter()
        .flat_map(|rules| [48, 1024, 20 * KIB, 300 * KIB, 3 * MIB].map(|size| (rules, size)))
    {
        common::run(Kernel::sim(rules), || {
            common::kernel().as_sim().limit(24 * MIB);
            let mut blocks = fill(size);
            let count = blocks.len();
            assert!(
                count * size > 12 * MIB,
                "{count} blocks of {size} bytes only"
            );
            assert!(c_abi::malloc::<Case>(size).is_null());
            // As many can be had again as were freed, here or by another thread.
            let half = blocks.split_off(count / 2);
            half.into_iter().for_each(Held::free);
            let again = fill(size);
            assert!(
                again.len() >= count - count / 2,
                "{} of {count}",
                again.len()
            );
            thread::scope(|scope| {
                common::join(scope.spawn(move || again.into_iter().for_each(Held::free)));
            });
            // Memory of one kind serves requests of another.
            blocks.into_iter().for_each(Held::free);
            for other in [16, 512, 5 * KIB, 200 * KIB, 2500 * KIB] {
                let others = fill(other);
                let bytes = others.len() * other;
                assert!(bytes > 8 * MIB, "{bytes} bytes of {other} after {size}");
                others.into_iter().for_each(Held::free);
            }
        });
    }
}
