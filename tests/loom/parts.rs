//! The count of what is yet to be freed of a block: two threads free the halves of one block at the same time.

use super::{
    Small, allocate, check_all_home, scribble,
    world::{Case, Model, exit, spawn},
};
use crate::{
    config::SLICE,
    partial::{self, slot_of},
};
use std::ptr::NonNull;

/// Half of a small block.
const HALF: usize = 32;

/// A part is written to once more, and given up. Whoever gives up the last has the other's part as well, and writes to it when the
/// block goes to a list.
fn free_half(half: NonNull<u8>, bytes: usize) {
    scribble(half);
    // SAFETY: the halves are disjoint, each is freed once.
    unsafe { partial::free_part::<Case<Small>>(half, bytes) };
}

fn halves(block: NonNull<u8>, bytes: usize) -> [NonNull<u8>; 2] {
    // SAFETY: the block has twice as many bytes.
    [block, unsafe { block.add(bytes) }]
}

fn note(block: NonNull<u8>, bytes: usize) {
    // SAFETY: the block is live.
    let slot = unsafe { slot_of::<Case<Small>>(block) };
    assert!(partial::note::<Case<Small>>(slot, bytes));
}

/// A block of so many bytes: the one that has just been freed, if its last half was ours. Both halves are written to.
fn use_again(bytes: usize) {
    let block = allocate(bytes);
    halves(block, bytes / 2).into_iter().for_each(scribble);
    // SAFETY: the block is live, and all of it is freed.
    unsafe { partial::free_part::<Case<Small>>(block, bytes) };
}

#[test]
fn two_threads_free_the_halves_of_a_block() {
    let model = Model {
        name: "parts: noted",
        bound: 2,
    };
    model.run_process::<Small>(|process| {
        let block = allocate(2 * HALF);
        note(block, 2 * HALF);
        let [left, right] = halves(block, HALF);
        scribble(right);
        let other = spawn(move || free_half(right, HALF));
        free_half(left, HALF);
        use_again(2 * HALF);
        other.join();
        exit();
        check_all_home(process);
    });
}

#[test]
fn two_threads_are_the_first_to_free_a_part() {
    let model = Model {
        name: "parts: first",
        bound: 1,
    };
    model.run_process::<Small>(|process| {
        // All of the block was asked for: nothing is noted, and both need counts for its page.
        let block = allocate(2 * HALF);
        let [left, right] = halves(block, HALF);
        scribble(right);
        let other = spawn(move || free_half(right, HALF));
        free_half(left, HALF);
        other.join();
        exit();
        check_all_home(process);
    });
}

#[test]
fn two_threads_free_the_halves_of_a_run() {
    let model = Model {
        name: "parts: run",
        bound: 2,
    };
    model.run_process::<Small>(|process| {
        let block = allocate(2 * SLICE);
        note(block, 2 * SLICE);
        let [left, right] = halves(block, SLICE);
        scribble(right);
        let other = spawn(move || free_half(right, SLICE));
        free_half(left, SLICE);
        use_again(2 * SLICE);
        other.join();
        exit();
        check_all_home(process);
    });
}
