//! A kernel that refuses: one fixed trace is replayed with the n-th kernel call refused, for every n, with all calls from
//! the n-th on refused, and with a bound on what may be mapped.
//!
//! A request is served or gets null; nothing panics; blocks keep their contents. When the kernel relents, the same trace
//! is served in full, and at the end the kernel has everything back. `RALLOC_STRIDE=7` takes every seventh n only.

mod common;

use common::{
    Case, Held, KIB, Kernel, MIB,
    replay::{Replay, Tally},
};
use ralloc::c_abi;
use ralloc_platform::sim::{Rules, Sim};
use std::{
    ptr::{self, NonNull},
    thread,
};

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
        assert!(
            asked || tally.operations >= 10_000,
            "{what}: a trace of {} operations",
            tally.operations
        );
        common::kernel().relent();
        common::verify();
        let tally = Replay::new(8).epilogue();
        assert_eq!(
            tally.refused, 0,
            "{what}: still refused when the kernel has relented"
        );
        asked
    })
}

/// Refuse by `refuse` at every call of the trace, until the trace needs fewer calls.
fn at_every_call(rules: Rules, refuse: impl Fn(&Sim, usize) + Sync, verb: &str) {
    let stride = common::stride();
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
    at_every_call(Rules::Linux, Sim::fail_at, "fail_at");
}

#[test]
fn one_call_is_refused_on_redox() {
    at_every_call(Rules::Redox, Sim::fail_at, "fail_at");
}

#[test]
fn all_calls_from_one_on_are_refused_on_linux() {
    at_every_call(Rules::Linux, Sim::fail_from, "fail_from");
}

#[test]
fn all_calls_from_one_on_are_refused_on_redox() {
    at_every_call(Rules::Redox, Sim::fail_from, "fail_from");
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

#[test]
fn one_thread_waits_for_nobody_when_the_first_chunk_cannot_grow() {
    for rules in [Rules::Linux, Rules::Redox] {
        common::run(Kernel::sim(rules), || {
            let first = Held::new(c_abi::malloc::<Case>(100), 100, 16, 1).expect("there is memory");
            let sim = common::kernel().as_sim();
            let of_first = |&&(base, size): &&(usize, usize)| first.address() - base < size;
            let mappings = sim.mappings();
            let mut below = mappings.iter().filter(|(base, _)| *base < first.address());
            let &(base, size) = below.rfind(of_first).expect("it is mapped");
            let end = NonNull::new(ptr::without_provenance_mut(base + size));
            sim.occupy(end.expect("not null"), 4 * KIB);
            // Several chunks, each mapped when the one before is full.
            let more = fill_some(30);
            assert_eq!(common::kernel().yields(), 0, "{rules:?}");
            first.free();
            more.into_iter().for_each(Held::free);
        });
    }
}

/// So many blocks of 1 MiB.
fn fill_some(count: u64) -> Vec<Held> {
    let next = |seed| Held::new(c_abi::malloc::<Case>(MIB), MIB, 16, seed);
    (0..count).map_while(next).collect()
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
