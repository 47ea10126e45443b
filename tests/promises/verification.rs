//! What is wrong is seen: by `verify`, and in debug builds by what is called with it.

use super::child;
use ralloc::{Defaults, Instance, native};
use std::{
    alloc::{GlobalAlloc, Layout},
    panic::{catch_unwind, resume_unwind},
};

ralloc::instance! {
    /// Not the allocator of the program.
    struct Other: Defaults;
}

/// What a panic says.
fn message(attempt: impl FnOnce() + std::panic::UnwindSafe) -> String {
    match catch_unwind(attempt) {
        Ok(()) => "nothing was noticed".into(),
        Err(payload) => match payload.downcast::<String>() {
            Ok(text) => *text,
            Err(payload) => match payload.downcast::<&str>() {
                Ok(text) => (*text).into(),
                Err(payload) => resume_unwind(payload),
            },
        },
    }
}

#[test]
#[ignore = "a part of a_block_that_was_freed_twice_is_found"]
fn part_freed_twice() {
    let blocks: Vec<_> = (0..50).map(|_| native::alloc::<Other>(100, 8)).collect();
    // SAFETY: no other thread is at work.
    unsafe { Other::process().verify() };
    for number in [20, 21, 20] {
        // SAFETY: none: one block is freed twice, which is what is to be found.
        unsafe { native::free::<Other>(blocks[number], 100) };
    }
    let said = message(|| {
        // SAFETY: no other thread is at work.
        unsafe { Other::process().verify() };
    });
    assert_eq!(said, "used + free.len() == initialised");
    // Nothing of that page is used any more; the program's allocator is whole.
    // SAFETY: as above.
    unsafe { ralloc::verify() };
    // SAFETY: the exit hooks of this thread would stumble over it.
    unsafe { libc::_exit(44) };
}

#[test]
fn a_block_that_was_freed_twice_is_found() {
    let ended = child::run("verification::part_freed_twice");
    assert_eq!(ended.status.code(), Some(44), "{}", ended.said);
}

#[test]
#[ignore = "a part of every_equation_holds_after_much"]
fn part_much() {
    let work = |seed: usize| {
        let mut kept: Vec<Vec<u8>> = Vec::new();
        for number in 0..20_000 {
            let size = (number * 7919 + seed) % [300, 3000, 60_000][number % 97 % 3];
            kept.push(vec![1; size]);
            if kept.len() > 300 {
                kept.swap_remove(number * 31 % 300);
            }
        }
        kept
    };
    for round in 0..5 {
        let threads: Vec<_> = (0..3)
            .map(|seed| std::thread::spawn(move || work(seed)))
            .collect();
        let kept: Vec<_> = threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect();
        // SAFETY: the other threads are gone.
        unsafe { ralloc::verify() };
        drop(kept);
        // SAFETY: as above.
        unsafe { ralloc::verify() };
        assert!(ralloc::trim() || round > 0);
    }
}

#[test]
fn every_equation_holds_after_much() {
    child::passes("verification::part_much");
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "a part of debug builds")]
fn a_wrong_size_is_noticed() {
    for (size, said) in [
        (100, 5000),
        (5000, 50_000),
        (100_000, 2 << 20),
        (5 << 20, 50 << 20),
    ] {
        let block = ralloc::alloc(size, 8);
        // It has fewer bytes; that is noticed before anything is touched.
        let noticed = [
            message(move || {
                // SAFETY: none, see above.
                unsafe { ralloc::free(block, said) }
            }),
            message(move || {
                // SAFETY: none, see above.
                _ = unsafe { ralloc::realloc(block, said, 1, 8) };
            }),
            message(move || {
                // SAFETY: none, see above.
                _ = unsafe { ralloc::realloc_inplace(block, said, 1) };
            }),
        ];
        for text in noticed {
            assert!(
                text.starts_with(&format!("ralloc: {block:p} is a block of ")),
                "{text}"
            );
            assert!(text.ends_with(&format!(" bytes, not of {said}")), "{text}");
        }
        // SAFETY: freed with the size it has.
        unsafe { ralloc::free(block, size) };
    }
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "a part of debug builds")]
fn the_wrong_allocator_is_noticed() {
    for size in [100, 5000, 100_000, 5 << 20] {
        let block = native::alloc::<Other>(size, 8);
        // It is another allocator's; that is noticed before anything is touched.
        let noticed = [
            message(move || {
                // SAFETY: none, see above.
                unsafe { ralloc::free(block, size) }
            }),
            message(move || {
                // SAFETY: none, see above.
                _ = unsafe { ralloc::try_realloc(block, size, 1, 8) };
            }),
        ];
        for text in noticed {
            assert_eq!(
                text,
                format!("ralloc: {block:p} is not a block of this allocator")
            );
        }
        // SAFETY: freed by the allocator it is from.
        unsafe { native::free::<Other>(block, size) };
    }
}

#[test]
#[ignore = "a part of what_global_alloc_notices_ends_the_program"]
fn part_wrong_layout() {
    let layout = Layout::from_size_align(100, 8).expect("a layout");
    let wrong = Layout::from_size_align(5000, 8).expect("a layout");
    // SAFETY: none: the layout is not that of the block, which is what is to be noticed.
    unsafe {
        let block = super::GLOBAL.alloc(layout);
        super::GLOBAL.dealloc(block, wrong);
    }
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "a part of debug builds")]
fn what_global_alloc_notices_ends_the_program() {
    child::dies("verification::part_wrong_layout", "bytes, not of 5000");
}
