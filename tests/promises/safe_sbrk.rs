//! The break moves between any two operations: the heap does not notice.

use super::{child, memory};
use std::{ptr::NonNull, thread};

/// In a process of its own: the C library's own malloc may use the break as well.
#[test]
#[ignore = "a part of threads_that_move_the_break_get_memory_of_their_own"]
fn part_threads() {
    const TIMES: usize = 20_000;
    let move_up = || -> Vec<usize> {
        // SAFETY: what lies above is this thread's.
        let up = |_| unsafe { ralloc::sbrk(16) }.expect("there is room for it");
        (0..TIMES).map(|at| up(at).addr()).collect()
    };
    let mut starts: Vec<usize> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(move_up)).collect();
        let results = threads.into_iter().map(|thread| thread.join());
        results.flat_map(|starts| starts.expect("ends")).collect()
    });
    starts.sort_unstable();
    assert!(starts.windows(2).all(|two| two[0] + 16 <= two[1]));
}

#[test]
fn threads_that_move_the_break_get_memory_of_their_own() {
    child::passes("safe_sbrk::part_threads");
}

/// In a process of its own, and without threads: the C library's own malloc may use the break as well.
#[test]
#[ignore = "a part of the_break_moves_between_any_two_operations"]
fn part_moving() {
    // SAFETY: asks only.
    let start = unsafe { ralloc::sbrk(0) }.expect("the kernel has a break");
    let mut up = 0_isize;
    let mut seed = 1_usize;
    let mut draw = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % below
    };
    let mut live: Vec<(NonNull<u8>, usize)> = Vec::with_capacity(1000);
    for _ in 0..5000 {
        // Up by much, up by little, down, to where it began.
        let by = match draw(4) {
            0 => draw(4 << 20).cast_signed(),
            1 => draw(100).cast_signed(),
            2 => -draw(up.cast_unsigned() + 1).cast_signed(),
            _ => -up,
        };
        // SAFETY: what is above `start` is ours.
        let old = unsafe { ralloc::sbrk(by) }.expect("there is room for it");
        assert_eq!(old.addr(), start.addr() + up.cast_unsigned());
        up += by;
        // What is ours there is written to.
        // SAFETY: the break is above.
        unsafe { start.write_bytes(0xFF, up.cast_unsigned().min(10_000)) };
        let most = [100, 3000, 200_000, 4 << 20][draw(4)];
        let size = 1 + draw(most);
        match draw(5) {
            0 | 1 if live.len() < 100 => {
                let block = ralloc::alloc(size, 16);
                // SAFETY: the block has so many bytes.
                unsafe { memory::fill(block, size.min(2000)) };
                live.push((block, size));
            }
            2 if !live.is_empty() => {
                let (block, old) = live.swap_remove(draw(live.len()));
                // SAFETY: the block has so many bytes, then as many as are wanted.
                unsafe {
                    let block = ralloc::realloc(block, old, size, 16);
                    memory::check(block, old.min(size).min(2000));
                    memory::fill(block, size.min(2000));
                    live.push((block, size));
                }
            }
            _ if !live.is_empty() => {
                let (block, size) = live.swap_remove(draw(live.len()));
                // SAFETY: the block has so many bytes, and is freed once.
                unsafe {
                    memory::check(block, size.min(2000));
                    ralloc::free(block, size);
                }
            }
            _ => {}
        }
    }
    // SAFETY: no other thread is at work.
    unsafe { ralloc::verify() };
    for (block, size) in live {
        let range = start.addr()..start.addr() + (64 << 20);
        assert!(
            !range.contains(&block.addr().get()),
            "no block is at the break"
        );
        // SAFETY: as above.
        unsafe {
            memory::check(block, size.min(2000));
            ralloc::free(block, size);
        }
    }
    // SAFETY: as above.
    let refused = unsafe { ralloc::sbrk(isize::MAX) };
    assert!(refused.is_err(), "there is no room for it");
    // SAFETY: as above.
    let now = unsafe { ralloc::sbrk(-up) }.expect("down again");
    assert_eq!(
        now.addr(),
        start.addr() + up.cast_unsigned(),
        "and it stayed where it was"
    );
}

#[test]
fn the_break_moves_between_any_two_operations() {
    child::passes("safe_sbrk::part_moving");
}
