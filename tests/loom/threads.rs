//! Whole threads: they allocate, free each other's blocks, come, go, and inherit.

use super::{
    Small, allocate, check_all_home, free, scribble,
    world::{Model, exit, spawn, spawn_hooked},
};
#[test]
fn a_block_comes_home_while_its_owner_works_and_leaves() {
    let model = Model {
        name: "threads: remote free",
        bound: 2,
    };
    model.run_process::<Small>(|process| {
        let (mine, theirs) = (allocate(32), allocate(32));
        let other = spawn(move || free(theirs));
        free(mine);
        let again = allocate(32);
        free(again);
        exit();
        other.join();
        check_all_home(process);
    });
}

#[test]
fn blocks_are_collected_and_delivered_in_batches() {
    let model = Model {
        name: "threads: batches",
        bound: 2,
    };
    model.run_process::<Small>(|process| {
        let blocks = [allocate(32), allocate(32), allocate(32)];
        let other = spawn_hooked(move || {
            // A block of its own makes it worth a heap, to collect the others in.
            let own = allocate(64);
            blocks.into_iter().for_each(free);
            free(own);
        });
        let again = allocate(32);
        free(again);
        other.join();
        exit();
        check_all_home(process);
    });
}

#[test]
fn an_orphan_is_inherited_once_while_others_free_its_blocks() {
    let model = Model {
        name: "threads: inherit",
        bound: 2,
    };
    model.run_process::<Small>(|process| {
        let (one, two) = (allocate(32), allocate(32));
        exit();
        let heir = spawn_hooked(move || {
            let block = allocate(32);
            free(one);
            free(block);
        });
        free(two);
        heir.join();
        check_all_home(process);
    });
}

#[test]
fn two_heirs_do_not_share() {
    let model = Model {
        name: "threads: two heirs",
        bound: 2,
    };
    model.run_process::<Small>(|process| {
        let block = allocate(32);
        exit();
        let heir = move || {
            let block = allocate(32);
            scribble(block);
            free(block);
        };
        let one = spawn_hooked(heir);
        let two = spawn_hooked(heir);
        one.join();
        two.join();
        free(block);
        check_all_home(process);
    });
}

#[test]
fn two_threads_tend_one_orphan() {
    let model = Model {
        name: "threads: tend",
        bound: 3,
    };
    model.run_process::<Small>(|process| {
        let (one, two) = (allocate(32), allocate(32));
        exit();
        let other = spawn(move || free(one));
        free(two);
        other.join();
        check_all_home(process);
    });
}

#[test]
fn threads_that_are_gone_borrow_heaps() {
    let model = Model {
        name: "threads: borrow",
        bound: 1,
    };
    model.run_process::<Small>(|process| {
        let block = allocate(32);
        exit();
        let other = spawn(move || {
            // Its hook runs before it has done anything.
            exit();
            free(block);
        });
        free(allocate(32));
        other.join();
        check_all_home(process);
    });
}
