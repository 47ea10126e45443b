//! Fork while another thread is in the middle of a slow path: at every point at which the allocator's memory is in a state
//! of its own.
//!
//! A thread goes through a slow path one instruction at a time (`step.rs`). After each instruction that has changed a heap, a
//! page, an owner word or a count, the main thread forks. The child, in which the stepping thread is gone, frees
//! what that thread had, allocates, starts threads that would take its heap over, and checks every equation.
//!
//! Not tried here: that the kernel copies memory page by page, not at one moment (`c/fork/torn_heaps.c`).
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

#[path = "../common/mod.rs"]
mod common;
mod step;

use common::{Case, Held, KIB, Kernel, MIB};
use ralloc::{Process, c_abi};
use ralloc_platform::sim::Rules;
use std::{
    sync::{Barrier, Mutex},
    thread,
};
use step::Stepper;

/// Pages of such blocks have room for few, so that they are opened and closed often.
const MEDIUM: usize = 8 * KIB;
/// Pages of such blocks are extended several times.
const SMALL: usize = 200;

fn block(size: usize, seed: usize) -> Held {
    let held = Held::new(c_abi::malloc::<Case>(size), size, 16, seed as u64);
    held.expect("there is memory")
}

fn blocks(count: usize, size: usize) -> Vec<Held> {
    (0..count).map(|seed| block(size, seed)).collect()
}

/// What a thread of the child does that has not allocated before: it takes over whatever there is to take.
fn live() {
    let (some, others) = (blocks(20, MEDIUM), blocks(40, SMALL));
    some.iter().chain(&others).for_each(Held::check);
    some.into_iter().chain(others).for_each(Held::free);
}

/// The life of a child: `inherited` are blocks of the thread that is gone.
fn child(inherited: &[Held]) {
    common::verify();
    let (first, second) = inherited.split_at(inherited.len() / 2);
    first.iter().for_each(Held::free_inherited);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(live)).collect();
        threads.into_iter().for_each(common::join);
    });
    live();
    second.iter().for_each(Held::free_inherited);
    c_abi::malloc_trim::<Case>();
    live();
    common::verify();
}

/// What the thread has when it begins to go step by step.
struct Belongings {
    /// What it keeps: the child frees this.
    kept: Vec<Held>,
    /// What it may free on the way.
    spent: Vec<Held>,
}

/// What is watched: the first chunk's owner words and pages, the first heaps, and the process' counts and entries.
fn watched(block: &Held) -> [(usize, usize); 3] {
    let chunk = block.address() & !(4 * MIB - 1);
    let slice = (block.address() - chunk) >> 16;
    let owner: *const usize = std::ptr::with_exposed_provenance(chunk + 8 * slice);
    // SAFETY: the owner words are at the beginning of a chunk.
    let heap = unsafe { owner.read() } & !(2 * KIB - 1);
    let slab = heap & !(64 * KIB - 1);
    let process: *const Process<Case> = <Case as ralloc::Instance>::process();
    [
        (chunk, 8 * KIB),
        (slab, 8 * KIB),
        (process.expose_provenance(), 4 * KIB),
    ]
}

/// What a thread does: before it goes step by step, when it does, and whether its exit is part of that.
struct Errand {
    /// It gets blocks of another thread that is alive.
    prepare: fn(others: Vec<Held>) -> Belongings,
    /// There is room for some more in the vector: nothing else is to be allocated here, the child of a `fork` in the middle
    /// of another allocator than ours is not the question.
    go: fn(spent: &mut Vec<Held>),
    exits: bool,
}

/// Fork wherever the errand of another thread changes something.
fn at_every_change(kernel: Kernel, errand: &Errand) {
    common::run(kernel, || {
        let mine = block(SMALL, 1);
        let others = blocks(12, MEDIUM).into_iter().chain(blocks(12, SMALL));
        let others: Vec<_> = others.collect();
        let stepper = Stepper::new(&watched(&mine));
        let (kept, rest) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        let ready = Barrier::new(2);
        thread::scope(|scope| {
            let (kept, rest, ready) = (&kept, &rest, &ready);
            let stepping = scope.spawn(move || {
                step::prepare_exit();
                let Belongings {
                    kept: mine,
                    mut spent,
                } = (errand.prepare)(others);
                spent.reserve(100);
                *kept.lock().expect("no panic") = mine;
                ready.wait();
                if errand.exits {
                    step::through_exit();
                } else {
                    step::through(|| (errand.go)(&mut spent));
                }
                rest.lock().expect("no panic").append(&mut spent);
            });
            ready.wait();
            attend(stepper, kept);
            common::join(stepping);
        });
        let kept = kept.into_inner().expect("no panic");
        let rest = rest.into_inner().expect("no panic");
        kept.into_iter().chain(rest).for_each(Held::free);
        mine.free();
    });
}

fn attend(stepper: Stepper, kept: &Mutex<Vec<Held>>) {
    let kept = kept.lock().expect("no panic");
    let (forks, steps) = stepper.attend(|| common::fork(|| child(&kept)));
    println!("{forks} forks in {steps} instructions");
    assert!(forks > 5, "{forks} forks in {steps} instructions");
}

fn sim() -> Kernel {
    Kernel::sim(Rules::Linux)
}

#[test]
fn while_a_thread_opens_and_extends_pages() {
    let errand = Errand {
        prepare: |others| Belongings {
            kept: blocks(3, MEDIUM),
            spent: others,
        },
        go: |spent| {
            spent.extend((0..12).map(|seed| block(MEDIUM, seed)));
            spent.extend((0..3).map(|seed| block(SMALL, seed)));
        },
        exits: false,
    };
    at_every_change(sim(), &errand);
}

#[test]
fn while_a_thread_takes_its_blocks_home_and_closes_pages() {
    let errand = Errand {
        prepare: |others| {
            others.into_iter().for_each(Held::free);
            let mut all = blocks(30, MEDIUM);
            Belongings {
                kept: all.split_off(26),
                spent: all,
            }
        },
        go: |spent| spent.drain(..).for_each(Held::free),
        exits: false,
    };
    at_every_change(sim(), &errand);
}

#[test]
fn while_a_thread_frees_blocks_of_others() {
    let errand = Errand {
        prepare: |others| Belongings {
            kept: blocks(3, MEDIUM),
            spent: others,
        },
        go: |spent| spent.drain(..).for_each(Held::free),
        exits: false,
    };
    at_every_change(sim(), &errand);
}

#[test]
fn while_a_thread_looks_into_its_inbox() {
    let errand = Errand {
        prepare: |spent| {
            let mut all = blocks(30, MEDIUM);
            let kept = all.split_off(20);
            // They arrive when that thread ends.
            common::in_thread(|| all.into_iter().for_each(Held::free));
            Belongings { kept, spent }
        },
        go: |spent| spent.extend((0..8).map(|seed| block(MEDIUM, seed))),
        exits: false,
    };
    at_every_change(sim(), &errand);
}

#[test]
fn while_a_thread_begins_where_another_has_ended() {
    let errand = Errand {
        prepare: |spent| {
            let kept = common::in_thread(|| blocks(11, MEDIUM));
            Belongings { kept, spent }
        },
        go: |spent| spent.push(block(MEDIUM, 5)),
        exits: false,
    };
    at_every_change(sim(), &errand);
}

#[test]
fn while_a_thread_takes_a_page_over() {
    let errand = Errand {
        prepare: |mut spent| {
            spent.push(block(SMALL, 7));
            let kept = common::in_thread(|| blocks(11, MEDIUM));
            Belongings { kept, spent }
        },
        go: |spent| spent.extend((0..8).map(|seed| block(MEDIUM, seed))),
        exits: false,
    };
    at_every_change(sim(), &errand);
}

#[test]
fn while_a_thread_ends() {
    let errand = Errand {
        prepare: |others| {
            let mut all = blocks(14, MEDIUM);
            all.extend(blocks(30, SMALL));
            let kept = all.split_off(20);
            all.into_iter().chain(others).for_each(Held::free);
            Belongings {
                kept,
                spent: Vec::new(),
            }
        },
        go: |_| (),
        exits: true,
    };
    at_every_change(sim(), &errand);
}

#[test]
fn what_had_arrived_for_the_forking_thread_comes_home_in_the_child() {
    common::run(sim(), || {
        let all = blocks(16, MEDIUM);
        // They arrive when that thread ends.
        common::in_thread(|| all.into_iter().for_each(Held::free));
        common::fork(|| {
            c_abi::malloc_trim::<Case>();
            assert_eq!(common::stats().live, 0, "what had arrived is lost");
        });
    });
}
