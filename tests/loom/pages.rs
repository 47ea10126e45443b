//! Pages that change hands: given to the commons, taken over from orphans, while their blocks are on their way home.

use super::{
    Small, allocate, check_all_home, free,
    world::{Model, exit, spawn, spawn_hooked},
};
use std::{array, ptr::NonNull};

/// A page holds eight blocks of this size.
const EIGHTH: usize = 8 << 10;

/// Blocks of two sparse pages of one class: two of the first, which is not the current one, and one of the other.
fn two_sparse_pages() -> [NonNull<u8>; 3] {
    let [one, two, rest @ ..]: [_; 8] = array::from_fn(|_| allocate(EIGHTH));
    let other = allocate(EIGHTH);
    rest.into_iter().for_each(free);
    [one, two, other]
}

#[test]
fn a_page_is_donated_while_its_blocks_come_home() {
    let model = Model {
        name: "pages: donate",
        bound: 2,
    };
    model.run_process::<Small>(|process| {
        let [one, two, other] = two_sparse_pages();
        let remote = spawn(move || free(one));
        // The refill keeps house: the first page goes to the commons.
        let block = allocate(EIGHTH);
        free(two);
        remote.join();
        free(block);
        free(other);
        exit();
        check_all_home(process);
    });
}

#[test]
fn what_was_collected_for_a_page_follows_it() {
    let model = Model {
        name: "pages: forward",
        bound: 1,
    };
    model.run_process::<Small>(|process| {
        let [one, two, other] = two_sparse_pages();
        let remote = spawn_hooked(move || {
            // Worth a heap, in whose ring the other two are collected.
            let own = allocate(16);
            free(one);
            free(two);
            free(own);
        });
        let block = allocate(EIGHTH);
        free(block);
        free(other);
        remote.join();
        exit();
        check_all_home(process);
    });
}

#[test]
fn a_page_is_taken_from_the_commons_while_others_give_and_free() {
    let model = Model {
        name: "pages: adopt",
        bound: 1,
    };
    model.run_process::<Small>(|process| {
        let [one, two, other] = two_sparse_pages();
        let taker = spawn_hooked(move || {
            let block = allocate(EIGHTH);
            free(block);
        });
        let block = allocate(EIGHTH);
        [one, two, other, block].into_iter().for_each(free);
        taker.join();
        exit();
        check_all_home(process);
    });
}
