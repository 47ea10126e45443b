//! A block is taken apart and put together in any way; it is freed once, whoever drops what.

use super::common::{self, Case, Draw, Kernel, MIB};
use ralloc::Block;
use ralloc_platform::sim::Rules;

/// Merge neighbours, in any order, until there is one part.
fn together(mut parts: Vec<Block<Case>>, draw: &mut Draw) -> Block<Case> {
    while parts.len() > 1 {
        let at = draw.below(parts.len() - 1);
        let next = parts.remove(at + 1);
        let first = parts.remove(at);
        parts.insert(at, first.merge(next).expect("neighbours"));
    }
    parts.pop().expect("one is left")
}

#[test]
fn parts_are_put_together_in_any_order() {
    common::run(Kernel::sim(Rules::Linux), || {
        let mut draw = Draw::new(3);
        for size in [1, 100, 1000, 20_000, 100_000, 5 * MIB] {
            let block = Block::<Case>::new(size, 16);
            let start = block.as_ptr();
            let mut parts = vec![block];
            for _ in 0..40 {
                let at = draw.below(parts.len());
                let part = parts.remove(at);
                let cut = draw.below(part.len() + 1);
                let (left, right) = part.split(cut);
                parts.insert(at, right);
                parts.insert(at, left);
            }
            let whole = together(parts, &mut draw);
            assert_eq!(whole.len(), size);
            assert!(size == 1 || whole.as_ptr() == start);
            drop(whole);
        }
    });
}

#[test]
fn what_does_not_belong_together_stays_apart() {
    common::run(Kernel::sim(Rules::Linux), || {
        // Two blocks that lie side by side are still two.
        let mut blocks: Vec<_> = (0..64).map(|_| Block::<Case>::new(64, 8)).collect();
        blocks.sort_by_key(Block::as_ptr);
        let (mut refused, mut neighbours) = (0, 0);
        while blocks.len() >= 2 {
            let (right, left) = (blocks.pop().expect("two"), blocks.pop().expect("two"));
            neighbours +=
                usize::from(left.as_ptr().addr().get() + 64 == right.as_ptr().addr().get());
            // Whole, then as parts.
            let (left, right) = left.merge(right).expect_err("two blocks");
            let ((first, left), (right, last)) = (left.split(32), right.split(32));
            let (left, right) = left.merge(right).expect_err("parts of two blocks");
            let (right, first) = right.merge(first).expect_err("no neighbours");
            refused += usize::from(left.len() == 32 && right.len() == 32);
            drop((first, left, right, last));
        }
        assert!(refused == 32 && neighbours > 16, "{neighbours}");
    });
}

#[test]
fn a_part_cannot_become_an_address() {
    common::run(Kernel::sim(Rules::Linux), || {
        let (left, right) = Block::<Case>::new(100, 8).split(50);
        let left = left
            .into_raw()
            .expect_err("nobody could free it by its address");
        let whole = left.merge(right).expect("neighbours");
        let whole = whole
            .into_raw()
            .expect_err("its length is noted elsewhere now");
        drop(whole);
        let (start, size) = Block::<Case>::new(100, 8).into_raw().expect("whole");
        // SAFETY: made the line above.
        drop(unsafe { Block::<Case>::from_raw(start, size) });
    });
}

#[test]
fn parts_are_resized() {
    common::run(Kernel::sim(Rules::Linux), || {
        for size in [100, 5000, 200_000, 6 * MIB] {
            let (mut left, mut right) = Block::<Case>::new(size, 8).split(size / 2);
            left.as_uninit_slice()[0].write(1);
            right.as_uninit_slice()[0].write(2);
            assert!(
                left.realloc_inplace(size).is_err(),
                "others have what is behind"
            );
            left.realloc_inplace(1).expect("smaller");
            let mut right = right.realloc(2 * size, 1).expect("there is memory");
            assert_eq!((left.len(), right.len()), (1, 2 * size));
            // SAFETY: written above.
            let both = unsafe {
                let first = left.as_uninit_slice()[0].assume_init();
                (first, right.as_uninit_slice()[0].assume_init())
            };
            assert_eq!(both, (1, 2));
        }
    });
}

/// Blocks that lie side by side are no parts of one, and neither is a part and the block behind it; a part of no bytes joins anything.
#[test]
fn only_parts_of_one_block_are_put_together() {
    common::run(Kernel::sim(Rules::Linux), || {
        let blocks: Vec<_> = (0..8).map(|_| Block::<Case>::new(64, 16)).collect();
        let ends = |at: usize| blocks[at].as_ptr().addr().get() + 64;
        let at = (0..7)
            .find(|&at| ends(at) == blocks[at + 1].as_ptr().addr().get())
            .expect("two lie side by side");
        let mut blocks = blocks.into_iter().skip(at);
        let mut next = || blocks.next().expect("there are two");
        let (first, second) = next().merge(next()).expect_err("two blocks");
        let (head, tail) = first.split(48);
        assert!(!head.is_empty() && head.len() == 48);
        let (tail, second) = tail.merge(second).expect_err("a part, and a block");
        let (front, back) = second.split(16);
        let (tail, front) = tail.merge(front).expect_err("parts of two blocks");
        let whole = head.merge(tail).expect("two halves");
        let (left, rest) = whole.split(16);
        let (middle, right) = rest.split(16);
        let (left, right) = left.merge(right).expect_err("something is between them");
        let whole = left.merge(middle).expect("neighbours");
        let whole = whole.merge(right).expect("neighbours");
        let (nothing, whole) = whole.split(0);
        assert!(nothing.is_empty());
        let whole = nothing.merge(whole).expect("nothing joins anything");
        let (whole, nothing) = whole.split(64);
        let whole = whole.merge(nothing).expect("nothing joins anything");
        assert_eq!(whole.len(), 64);
        drop((whole, front.merge(back).expect("two halves")));
    });
}
