//! The bitmaps of the chunks: claims, releases, growth, purges, and chunks that come and go.

use super::{
    Small, scribble,
    world::{self, Kernel, Model},
};
use crate::{
    chunk_entry::Run,
    config::{FIRST_BLOCK_OFFSET, SLICE, SLICES, Tuning},
    memory::Memory,
    primitive,
    recent::Recent,
    room::Wanted,
};
use std::{mem, ptr::NonNull};

type Shared = Memory<Kernel, Small>;

/// Behind the header, should the slice be the first of its chunk.
const INSIDE: usize = FIRST_BLOCK_OFFSET;

/// Some place in a slice of a run.
fn inside(run: &Run, slice: usize) -> NonNull<u8> {
    // SAFETY: the slice lies in the run.
    unsafe { run.start().add(slice * SLICE + INSIDE) }
}

/// Claims a run, which reads zero if it is said to, and uses it.
fn claim(memory: &Shared, slices: usize) -> Run {
    // SAFETY: all zero remembers none.
    let recent: Recent = unsafe { mem::zeroed() };
    let run = match slices {
        1 => memory.claim_page(slices, true, &recent),
        _ => memory.claim(slices, 1),
    };
    let run = run.expect("memory");
    if run.is_clean() {
        for slice in [0, slices - 1] {
            // SAFETY: the slice is mapped.
            let word = unsafe { primitive::read(inside(&run, slice).as_ptr().cast()) };
            assert_eq!(word, 0, "a clean slice reads zero");
        }
    }
    use_run(&run);
    run
}

/// Writes to a run.
fn use_run(run: &Run) {
    scribble(inside(run, 0));
    scribble(inside(run, run.slices - 1));
}

/// Uses a run once more, and gives it back.
fn release(memory: &Shared, run: &Run) {
    use_run(run);
    memory.release(run, run.slices);
}

/// Claims slices until nothing of the first chunk is left.
fn fill_first_chunk(memory: &Shared) -> Vec<Run> {
    (0..Small::FIRST_MAPPING / SLICE)
        .map(|_| claim(memory, 1))
        .collect()
}

#[test]
fn two_threads_take_the_first_memory() {
    let model = Model {
        name: "chunks: first",
        bound: 2,
    };
    model.run(
        || Shared::new(Kernel),
        |memory| {
            let body = move || {
                let run = claim(memory, 1);
                release(memory, &run);
            };
            let one = world::spawn(body);
            let two = world::spawn(body);
            one.join();
            two.join();
            memory.chunks.check();
        },
    );
}

#[test]
fn a_slice_has_one_holder_and_is_not_forgotten() {
    let model = Model {
        name: "chunks: claims",
        bound: 3,
    };
    model.run(
        || Shared::new(Kernel),
        |memory| {
            let mut held = fill_first_chunk(memory);
            let mapped = memory.chunks.totals().mapped;
            let (mine, theirs) = (held.remove(2), held.remove(1));
            release(memory, &mine);
            // One gives a slice back while the other takes the last that is free.
            let one = world::spawn(move || release(memory, &theirs));
            let run = claim(memory, 1);
            one.join();
            let other = claim(memory, 1);
            assert!(run.first != other.first);
            assert_eq!(
                memory.chunks.totals().mapped,
                mapped,
                "what is free is found"
            );
            memory.chunks.check();
        },
    );
}

#[test]
fn a_slice_that_comes_free_during_a_search_is_not_forgotten() {
    let model = Model {
        name: "chunks: room",
        bound: 3,
    };
    model.run(
        || Shared::new(Kernel),
        |memory| {
            let mut held = fill_first_chunk(memory);
            let theirs = held.remove(2);
            // One gives a slice back while the other looks for one in vain, or finds it.
            let one = world::spawn(move || release(memory, &theirs));
            memory.chunks.claim_mapped(&Wanted::new(1, 1, true));
            one.join();
            memory.chunks.check();
        },
    );
}

#[test]
fn the_first_chunk_grows_by_one_thread_at_a_time() {
    let model = Model {
        name: "chunks: growth",
        bound: 2,
    };
    model.run(
        || Shared::new(Kernel),
        |memory| {
            fill_first_chunk(memory);
            let wanted = Wanted::new(1, 1, true);
            assert!(
                memory.chunks.claim_mapped(&wanted).is_none(),
                "as both know"
            );
            let body = move || {
                claim(memory, 1);
            };
            let one = world::spawn(body);
            let two = world::spawn(body);
            one.join();
            two.join();
            assert_eq!(
                world::misled(),
                0,
                "the kernel is told where the chunk ends"
            );
            memory.chunks.check();
        },
    );
}

#[test]
fn a_slice_is_purged_while_nobody_has_it() {
    let model = Model {
        name: "chunks: purge",
        bound: 3,
    };
    model.run(
        || Shared::new(Kernel),
        |memory| {
            let mut held = fill_first_chunk(memory);
            let (one, two) = (held.remove(2), held.remove(1));
            release(memory, &one);
            let purger = world::spawn(move || memory.purge(0, 0, 0));
            let again = claim(memory, 1);
            release(memory, &two);
            purger.join();
            memory.chunks.check();
            release(memory, &again);
            memory.purge(0, 0, 0);
            claim(memory, 1);
            claim(memory, 1);
            memory.chunks.check();
        },
    );
}

#[test]
fn a_chunk_is_unmapped_while_nobody_has_it() {
    let model = Model {
        name: "chunks: unmap",
        bound: 3,
    };
    model.run(
        || Shared::new(Kernel),
        |memory| {
            claim(memory, SLICES / 2);
            let second = claim(memory, SLICES - 1);
            release(memory, &second);
            let purger = world::spawn(move || memory.purge(0, 0, 0));
            let run = claim(memory, SLICES - 1);
            purger.join();
            use_run(&run);
            memory.chunks.check();
        },
    );
}

#[test]
fn chunks_stay_while_somebody_walks_them() {
    let model = Model {
        name: "chunks: walk",
        bound: 3,
    };
    model.run(
        || Shared::new(Kernel),
        |memory| {
            claim(memory, SLICES / 2);
            let second = claim(memory, SLICES - 1);
            release(memory, &second);
            let purger = world::spawn(move || memory.purge(0, 0, 0));
            {
                let _guard = memory.lock();
                for chunk in memory.chunks.chunks() {
                    assert!(chunk.index() < 2);
                }
            }
            purger.join();
            memory.chunks.check();
        },
    );
}
