//! The table of huge blocks, and the cache of those that wait for the next request.

use super::{
    Small, scribble,
    world::{self, Kernel, Model},
};
use crate::{config::CHUNK, huge::Huge, huge_cache::Span, memory::Memory};
use ralloc_platform::Platform;
use std::{cell::Cell, ptr::NonNull, rc::Rc};

type Shared = Memory<Kernel, Small>;

/// Windows are compared as a table of so few would have them: then they are the same in each segment.
const WINDOWS: usize = 16;

/// A block that measures `chunks` chunks, used at both ends.
fn claim(memory: &Shared, chunks: usize) -> NonNull<u8> {
    let (block, _) = memory.claim_huge(chunks * CHUNK, CHUNK).expect("memory");
    use_block(memory, block, chunks);
    block
}

/// Writes to a block that measures `chunks` chunks.
fn use_block(memory: &Shared, block: NonNull<u8>, chunks: usize) {
    assert_eq!(memory.huge.usable(block), Some(chunks * CHUNK));
    scribble(block);
    // SAFETY: the chunk lies in the block.
    scribble(unsafe { block.add((chunks - 1) * CHUNK) });
}

fn release(memory: &Shared, block: NonNull<u8>, chunks: usize) {
    use_block(memory, block, chunks);
    assert!(memory.release_huge(block), "a live block is known");
}

#[test]
fn blocks_come_and_go_in_two_threads() {
    let model = Model {
        name: "huge: table",
        bound: 2,
    };
    model.run(
        || Shared::new(Kernel),
        |memory| {
            let body = move || {
                let block = claim(memory, 1);
                release(memory, block, 1);
            };
            let one = world::spawn(body);
            let two = world::spawn(body);
            one.join();
            two.join();
            memory.huge.check();
            assert_eq!(memory.huge.live(), 0, "nothing lives");
        },
    );
}

#[test]
fn a_waiting_block_is_cut_joined_and_taken_once() {
    let model = Model {
        name: "huge: cache",
        bound: 3,
    };
    model.run(
        || Shared::new(Kernel),
        |memory| {
            let (three, next) = (claim(memory, 3), claim(memory, 1));
            release(memory, three, 3);
            // One cuts what waits; the other's block is a neighbour of the rest.
            let one = world::spawn(move || {
                let block = claim(memory, 1);
                release(memory, block, 1);
            });
            release(memory, next, 1);
            let two = claim(memory, 2);
            one.join();
            release(memory, two, 2);
            memory.huge.check();
            assert_eq!(memory.huge.live(), 0, "nothing lives");
        },
    );
}

/// The next addresses that share all windows of the first segments with `base`. The kernel skips those before.
fn neighbour(memory: &Shared, base: NonNull<u8>) -> Span {
    loop {
        let next = memory.kernel.map(CHUNK, CHUNK).expect("memory");
        if Huge::window_of(next, WINDOWS) == Huge::window_of(base, WINDOWS) {
            return Span {
                base: next,
                size: CHUNK,
            };
        }
    }
}

#[test]
fn blocks_share_a_window_of_the_table() {
    let model = Model {
        name: "huge: window",
        bound: 3,
    };
    model.run(
        || Shared::new(Kernel),
        |memory| {
            let one = claim(memory, 1);
            let (two, three) = (neighbour(memory, one), neighbour(memory, one));
            let other = world::spawn(move || {
                assert!(
                    memory
                        .huge
                        .insert(&two, CHUNK, &memory.chunks, &memory.kernel)
                );
                use_block(memory, two.base, 1);
            });
            let removed = memory.huge.remove(one).expect("a live block");
            assert_eq!(removed.size, CHUNK);
            assert!(
                memory
                    .huge
                    .insert(&three, CHUNK / 2, &memory.chunks, &memory.kernel)
            );
            other.join();
            assert_eq!(memory.huge.usable(two.base), Some(CHUNK));
            assert_eq!(memory.huge.usable(three.base), Some(CHUNK / 2));
            memory.huge.check();
        },
    );
}

#[test]
fn of_two_frees_of_one_block_one_succeeds() {
    let model = Model {
        name: "huge: double free",
        bound: 3,
    };
    model.run(
        || Shared::new(Kernel),
        |memory| {
            let block = claim(memory, 1);
            let theirs = Rc::new(Cell::new(false));
            let tell = Rc::clone(&theirs);
            let one = world::spawn(move || tell.set(memory.huge.remove(block).is_some()));
            let mine = memory.huge.remove(block).is_some();
            one.join();
            assert!(mine != theirs.get());
        },
    );
}

#[test]
fn a_block_moves_while_another_takes_its_place() {
    let model = Model {
        name: "huge: move",
        bound: 3,
    };
    model.run(
        || Shared::new(Kernel),
        |memory| {
            world::reuse_addresses();
            let block = claim(memory, 1);
            let mover = world::spawn(move || {
                let moved = memory.huge.relocate(
                    block,
                    (2 * CHUNK, 2 * CHUNK),
                    &memory.chunks,
                    &memory.kernel,
                    // SAFETY: the thread holds the block.
                    || unsafe { memory.kernel.relocate(block, CHUNK, 2 * CHUNK, CHUNK) },
                );
                let moved = moved.expect("the kernel moves it");
                use_block(memory, moved, 2);
                release(memory, moved, 2);
            });
            let other = claim(memory, 1);
            release(memory, other, 1);
            mover.join();
            memory.huge.check();
            assert_eq!(memory.huge.live(), 0, "nothing lives");
        },
    );
}
