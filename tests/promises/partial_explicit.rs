//! Parts of blocks of every kind, freed in any order by any thread; the memory of a huge one goes back part by part.

use super::{
    common::{self, Case, Draw, KIB, Kernel, MIB},
    memory,
};
use ralloc::Block;
use std::thread;

/// A block in `count` parts.
fn in_parts(size: usize, count: usize) -> Vec<Block> {
    let mut rest = Block::new(size, 16);
    // SAFETY: the block has so many bytes.
    unsafe { memory::fill(rest.as_ptr(), size) };
    let mut parts = Vec::new();
    for number in 0..count - 1 {
        let (part, more) = rest.split(size * (number + 1) / count - size * number / count);
        parts.push(part);
        rest = more;
    }
    parts.push(rest);
    parts
}

#[test]
fn each_part_of_a_huge_block_goes_back_at_once() {
    const PARTS: usize = 16;
    const PART: usize = 2 * MIB + 4 * KIB;
    let parts = in_parts(PARTS * PART, PARTS);
    let start = parts[0].as_ptr();
    let resident = || memory::resident(start, PARTS * PART).expect("mapped");
    let mut expected = resident();
    assert!(expected >= PARTS * PART - MIB, "{expected}");
    // Every other one first: none of the free parts is next to another.
    let (even, odd): (Vec<_>, Vec<_>) = parts
        .into_iter()
        .enumerate()
        .partition(|(at, _)| at % 2 == 0);
    let mut others: Vec<_> = odd.into_iter().map(|(_, part)| part).collect();
    let last = others.pop().expect("eight");
    for part in even.into_iter().map(|(_, part)| part).chain(others) {
        part.free();
        let now = resident();
        assert!(now + PART - 8 * KIB <= expected, "{now} of {expected}");
        expected = now;
    }
    // What is held keeps its contents.
    // SAFETY: the part is ours; the pattern depends on the place in the whole.
    unsafe {
        let at = (PARTS - 1) * PART;
        assert_eq!(last.as_ptr().read(), (at ^ at >> 8) as u8);
    }
    drop(last);
}

#[test]
fn parts_of_every_kind_of_block_are_freed_by_many_threads() {
    for size in [16, 100, 1024, 5000, 32 * KIB, 100_000, 2 * MIB, 9 * MIB] {
        let parts = in_parts(size, 12);
        let mut hands: Vec<Vec<Block>> = (0..4).map(|_| Vec::new()).collect();
        for (number, part) in parts.into_iter().enumerate() {
            hands[number * 7 % 4].push(part);
        }
        thread::scope(|scope| {
            for hand in hands {
                scope.spawn(move || hand.into_iter().rev().for_each(Block::free));
            }
        });
    }
}

/// The block is there until its last byte is freed, and gone then: what is live says so.
#[test]
fn the_last_byte_frees_the_block() {
    common::run(Kernel::real(), || {
        let mut draw = Draw::new(5);
        for size in [1100, 20_000, 300_000, 5 * MIB] {
            // Counts of pages live in blocks of their own: another part keeps those.
            let other = Block::<Case>::new(size, 1).split(1);
            let before = common::stats().live;
            let mut parts = vec![Block::<Case>::new(size, 1)];
            while parts.len() < size.min(50) {
                let whole = parts.swap_remove(draw.below(parts.len()));
                let at = draw.below(whole.len() + 1);
                let (left, right) = whole.split(at);
                parts.extend([left, right].into_iter().filter(|part| !part.is_empty()));
            }
            while parts.len() > 1 {
                parts.swap_remove(draw.below(parts.len())).free();
                assert!(common::stats().live > before, "{size}: a part is held");
            }
            parts.clear();
            let live = common::stats().live;
            assert!(live <= before, "{size}: nobody holds it");
            drop(other);
        }
    });
}
