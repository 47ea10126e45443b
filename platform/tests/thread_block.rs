//! The contract of [`ThreadBlock`], for the block in static storage, for the one by way of a key,
//! and for the one that tests use.

use core::hint::black_box;
#[cfg(not(windows))]
use ralloc_platform::sim::KeyBlock;
use ralloc_platform::{StaticBlock, THREAD_WORDS, ThreadBlock, sim::TestBlock};
use std::{
    sync::{Barrier, Mutex},
    thread,
};

/// The same tests for each block.
macro_rules! for_each_block {
    ($($test:ident)*) => {
        mod static_block {
            $(#[test] fn $test() { super::in_a_thread(super::$test::<super::StaticBlock>) })*
        }
        #[cfg(not(windows))]
        mod key_block {
            $(#[test] fn $test() { super::in_a_thread(super::$test::<super::KeyBlock>) })*
        }
        mod test_block {
            $(#[test] fn $test() { super::in_a_thread(super::$test::<super::TestBlock>) })*
        }
    };
}

for_each_block! {
    all_words_are_zero_at_the_start
    a_word_is_what_was_stored_last
    words_do_not_touch_each_other
    fixed_and_variable_indexes_mean_the_same
    a_load_sees_the_store_before_it
    a_load_sees_the_store_of_a_callee
    a_load_in_a_loop_sees_the_store_in_the_loop
    threads_do_not_see_each_other
    a_thread_in_the_place_of_another_starts_anew
}

/// In a thread of its own: the harness may run several tests in one.
fn in_a_thread(test: fn()) {
    thread::spawn(test).join().expect("the test passes");
}

fn get<B: ThreadBlock>(index: usize) -> usize {
    assert!(index < THREAD_WORDS);
    // SAFETY: asserted above.
    unsafe { B::get(index) }
}

fn set<B: ThreadBlock>(index: usize, word: usize) {
    assert!(index < THREAD_WORDS);
    // SAFETY: asserted above.
    unsafe { B::set(index, word) };
}

fn all_words_are_zero_at_the_start<B: ThreadBlock>() {
    assert!((0..THREAD_WORDS).all(|index| get::<B>(index) == 0));
}

fn a_word_is_what_was_stored_last<B: ThreadBlock>() {
    for index in 0..THREAD_WORDS {
        for word in [1, usize::MAX, 0, usize::MAX / 3, 7] {
            set::<B>(index, word);
            assert_eq!(get::<B>(index), word);
        }
    }
}

fn words_do_not_touch_each_other<B: ThreadBlock>() {
    for index in 0..THREAD_WORDS {
        set::<B>(index, !index);
    }
    assert!((0..THREAD_WORDS).all(|index| get::<B>(index) == !index));
}

fn fixed_and_variable_indexes_mean_the_same<B: ThreadBlock>() {
    const LAST: usize = THREAD_WORDS - 1;
    B::set_fixed::<0>(11);
    B::set_fixed::<33>(22);
    B::set_fixed::<LAST>(33);
    assert_eq!([get::<B>(0), get::<B>(33), get::<B>(LAST)], [11, 22, 33]);
    set::<B>(0, 44);
    set::<B>(33, 55);
    set::<B>(LAST, 66);
    assert_eq!(
        [
            B::get_fixed::<0>(),
            B::get_fixed::<33>(),
            B::get_fixed::<LAST>()
        ],
        [44, 55, 66]
    );
}

/// All in one function, with nothing to hold the compiler back but the block's own promises.
fn a_load_sees_the_store_before_it<B: ThreadBlock>() {
    let (first, second) = (black_box(5), black_box(6));
    B::set_fixed::<3>(first);
    let one = B::get_fixed::<3>();
    B::set_fixed::<3>(second);
    let two = B::get_fixed::<3>();
    let three = get::<B>(3);
    set::<B>(3, first);
    let four = B::get_fixed::<3>();
    assert_eq!([one, two, three, four], [first, second, second, first]);
}

#[inline(never)]
fn increment<B: ThreadBlock>(index: usize) {
    set::<B>(index, get::<B>(index) + 1);
}

fn a_load_sees_the_store_of_a_callee<B: ThreadBlock>() {
    B::set_fixed::<9>(1);
    let before = B::get_fixed::<9>();
    increment::<B>(9);
    let after = B::get_fixed::<9>();
    assert_eq!([before, after], [1, 2]);
}

fn a_load_in_a_loop_sees_the_store_in_the_loop<B: ThreadBlock>() {
    for _ in 0..black_box(1000) {
        B::set_fixed::<2>(B::get_fixed::<2>() + 1);
    }
    assert_eq!(B::get_fixed::<2>(), 1000);
}

fn threads_do_not_see_each_other<B: ThreadBlock>() {
    let together = Barrier::new(8);
    thread::scope(|scope| {
        for mark in 1..=8 {
            let together = &together;
            scope.spawn(move || {
                for round in 0..20 {
                    (0..THREAD_WORDS).for_each(|index| set::<B>(index, mark + round * index));
                    together.wait();
                    assert!((0..THREAD_WORDS).all(|i| get::<B>(i) == mark + round * i));
                    together.wait();
                }
            });
        }
    });
}

/// The C library gives a new thread the stack, and with it the storage, of one that has gone.
fn a_thread_in_the_place_of_another_starts_anew<B: ThreadBlock>() {
    let clean = Mutex::new(0);
    for _ in 0..50 {
        thread::scope(|scope| {
            scope.spawn(|| {
                *clean.lock().unwrap() += (0..THREAD_WORDS).filter(|&i| get::<B>(i) == 0).count();
                (0..THREAD_WORDS).for_each(|index| set::<B>(index, usize::MAX));
            });
        });
    }
    assert_eq!(clean.into_inner().unwrap(), 50 * THREAD_WORDS);
}
