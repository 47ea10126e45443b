//! From every shape of block to every other (small, medium, large, huge; at powers of two and at odd alignments), in place, elsewhere and
//! in parts, of every kind of allocator, while the program has filled each byte that it may use with what would mean something to the
//! allocator: nothing that a program writes into a block is ever read as the allocator's own.
//!
//! Each test is one allocator's: nobody else uses it, so that its equations can be looked at.
#![expect(
    clippy::multiple_unsafe_ops_per_block,
    reason = "one reason covers them all"
)]

use ralloc::{Block, Global, Instance, native};
use std::ptr::NonNull;

const MIB: usize = 1 << 20;

/// Two of each shape, and the ends.
const SIZES: [usize; 10] = [
    1,
    1000,
    1025,
    20_000,
    32 << 10,
    100_000,
    MIB,
    2 * MIB,
    2 * MIB + 1,
    3 * MIB,
];

/// 3 and 24: some mappings begin at a multiple of them, some do not.
const ALIGNS: [usize; 12] = [
    8,
    64,
    4096,
    128 << 10,
    4 * MIB,
    8 * MIB,
    3,
    24,
    4097,
    100_000,
    4 * MIB - 1,
    4 * MIB + 1,
];

/// What a block is filled with: all bits, none, and what looks like an owner word with one flag.
const WORDS: [usize; 8] = [usize::MAX, 0, 1, 2, 4, 8, 16, 0x1C];

/// The bytes of a word, over and over, from the address on.
fn byte_at(address: usize, word: usize) -> u8 {
    word.to_ne_bytes()[address % size_of::<usize>()]
}

/// Fill a block.
///
/// # Safety
///
/// The block has so many bytes.
unsafe fn fill(block: NonNull<u8>, size: usize, word: usize) {
    // SAFETY: the caller's promise; what it holds so far does not matter to any type of bytes.
    let bytes = unsafe { std::slice::from_raw_parts_mut(block.as_ptr(), size) };
    // SAFETY: any bytes are words.
    let (head, words, tail) = unsafe { bytes.align_to_mut::<usize>() };
    words.fill(word);
    for byte in head.iter_mut().chain(tail) {
        let address = std::ptr::from_mut(byte).addr();
        *byte = byte_at(address, word);
    }
}

/// Whether what was filled at `was` is there still: both ends, and samples between.
///
/// # Safety
///
/// The block has so many bytes.
unsafe fn holds(block: NonNull<u8>, size: usize, was: usize, word: usize) -> bool {
    let ends = (0..size.min(600)).chain(size.saturating_sub(600)..size);
    ends.chain((0..size).step_by(1009)).all(|at| {
        // SAFETY: the caller's promise.
        let byte = unsafe { block.add(at).read() };
        byte == byte_at(was + at, word)
    })
}

fn verify<I: Instance>() {
    // SAFETY: no other thread uses this allocator.
    unsafe { I::process().verify() };
}

fn is_part_of_the_sample(align: usize, old: usize, new: usize, turn: usize) -> bool {
    // Both are alike for a page's blocks; a ninth of the pairs that copy megabytes will do.
    old + new < 3 * MIB
        || (align ^ (old >> 3) ^ (new >> 5))
            .wrapping_add(turn)
            .is_multiple_of(9)
}

/// Each pair of sizes at each alignment, with one word after another.
fn each_pair(mut attempt: impl FnMut(usize, usize, usize, usize)) {
    let mut turn = 0;
    for align in ALIGNS {
        for old in SIZES {
            for new in SIZES {
                turn += 1;
                if is_part_of_the_sample(align, old, new, turn) {
                    attempt(align, old, new, WORDS[turn % WORDS.len()]);
                }
            }
        }
    }
}

/// All bytes that may be used are filled, and how many there are is known with everything in them.
unsafe fn usable<I: Instance>(block: NonNull<u8>, size: usize, word: usize) -> usize {
    // SAFETY: the caller's block, of so many bytes.
    unsafe {
        let usable = native::usable_size::<I>(block, size);
        assert!(usable >= size, "{usable} bytes of {size} at {block:p}");
        fill(block, usable, word);
        assert_eq!(native::usable_size::<I>(block, size), usable);
        usable
    }
}

fn moves_or_stays<I: Instance>() {
    each_pair(|align, old, new, word| {
        // Mappings are placed downwards: there is no room for a huge one to grow where it stands.
        let wall = Block::<I>::new(if old > 2 * MIB { 3 * MIB } else { 1 }, 8);
        let block = native::alloc::<I>(old, align);
        let was = block.addr().get();
        let what = format!("{old} at {align} becomes {new}, filled with {word:#x}");
        // SAFETY: the block has so many bytes, is resized to as many as is said, and freed once.
        unsafe {
            // What a program says that it has may be all that it may use.
            let all = usable::<I>(block, old, word);
            let old = if word & 2 == 0 { old } else { all };
            let block = native::realloc::<I>(block, old, new, align);
            let now = block.addr().get();
            assert!(now.is_multiple_of(align), "{what}");
            assert!(holds(block, old.min(new), was, word), "{what}");
            usable::<I>(block, new, word);
            // And back.
            let block = native::realloc::<I>(block, new, old, align);
            assert!(block.addr().get().is_multiple_of(align), "{what} and back");
            assert!(holds(block, old.min(new), now, word), "{what} and back");
            usable::<I>(block, old, word);
            native::free::<I>(block, old);
        }
        drop(wall);
    });
    verify::<I>();
}

fn stays<I: Instance>() {
    each_pair(|align, old, new, word| {
        let block = native::alloc::<I>(old, align);
        let was = block.addr().get();
        let what = format!("{old} at {align} in place {new}, filled with {word:#x}");
        // SAFETY: as above.
        unsafe {
            usable::<I>(block, old, word);
            let done = native::realloc_inplace::<I>(block, old, new).is_ok();
            assert!(done || new > old, "{what}");
            let size = if done { new } else { old };
            assert!(holds(block, old.min(size), was, word), "{what}");
            usable::<I>(block, size, word);
            let third = size.div_ceil(3);
            native::realloc_inplace::<I>(block, size, third).expect("smaller is possible");
            assert!(holds(block, third, was, word), "{what}, then {third}");
            usable::<I>(block, third, word);
            // What has become smaller where it stands is resized and freed as what it is now.
            let block = native::realloc::<I>(block, third, new, align);
            assert!(block.addr().get().is_multiple_of(align), "{what}");
            assert!(holds(block, third.min(new), was, word), "{what}");
            usable::<I>(block, new, word);
            native::free::<I>(block, new);
        }
    });
    verify::<I>();
}

/// Three parts, two of which are freed first; the third gets another size, in place and elsewhere.
fn parts<I: Instance>() {
    each_pair(|align, old, new, word| {
        let what = format!("a part of {old} at {align} becomes {new}, filled with {word:#x}");
        for kept in 0..3 {
            let mut block = Block::<I>::new(old, align);
            // SAFETY: the block has so many bytes.
            unsafe { fill(block.as_ptr(), old, word) };
            let mut middle = block.split_off(old / 3);
            let last = middle.split_off(old / 3);
            let mut parts = vec![block, middle, last];
            let mut part = parts.remove(kept);
            drop(parts.pop());
            let rest = parts.pop();
            let (was, bytes) = (part.as_ptr().addr().get(), part.len());
            if rest.as_ref().is_some_and(|rest| rest.len() % 2 == 0) {
                drop(rest);
            }
            let smaller = bytes - bytes / 4;
            let done = part.realloc_inplace(smaller).is_ok();
            assert_eq!(done, smaller != 0, "{what}");
            let align = 1 << was.trailing_zeros().min(12);
            let part = part.realloc(new, align).expect("there is memory");
            assert!(part.as_ptr().addr().get().is_multiple_of(align), "{what}");
            // SAFETY: the part has so many bytes.
            unsafe {
                let kept = smaller.min(new);
                assert!(holds(part.as_ptr(), kept, was, word), "{what}");
                fill(part.as_ptr(), new, word);
            }
        }
    });
    verify::<I>();
}

/// As [`parts`], of an allocator that is told of parts by their addresses.
#[cfg(feature = "partial")]
fn raw_parts<I: Instance>() {
    each_pair(|align, old, new, word| {
        let what = format!("a part of {old} at {align} becomes {new}, filled with {word:#x}");
        let half = old.div_ceil(2);
        for kept_first in [true, false] {
            let block = native::alloc::<I>(old, align);
            // SAFETY: the block has so many bytes; the halves are disjoint, and each is freed or resized once.
            unsafe {
                fill(block, old, word);
                let second = block.add(half);
                let (part, bytes) = if kept_first {
                    native::free::<I>(second, old - half);
                    (block, half)
                } else {
                    native::free::<I>(block, half);
                    (second, old - half)
                };
                if bytes == 0 {
                    continue;
                }
                let was = part.addr().get();
                let align = if kept_first { align } else { 1 };
                let part = native::realloc::<I>(part, bytes, new, align);
                assert!(part.addr().get().is_multiple_of(align), "{what}");
                assert!(holds(part, bytes.min(new), was, word), "{what}");
                fill(part, new, word);
                native::free::<I>(part, new);
            }
        }
    });
    verify::<I>();
}

/// A huge block at a multiple of 3 may begin where its mapping does; where the pages are moved to, no multiple may be.
fn moved_pages<I: Instance>() {
    for align in [3, 5, 12] {
        // Side by side, so that each has no room and begins somewhere else.
        let blocks = [(); 24].map(|()| native::alloc::<I>(3 * MIB, align));
        let moved = blocks.map(|block| {
            let was = block.addr().get();
            // SAFETY: the block has so many bytes, and is resized to as many as is said.
            unsafe {
                block.write_bytes(1, 1000);
                let block = native::realloc::<I>(block, 3 * MIB, 7 * MIB, align);
                assert!(
                    block.addr().get().is_multiple_of(align),
                    "{block:p} at {align}"
                );
                assert!(holds(block, 300, was, usize::MAX / 255));
                block
            }
        });
        for block in moved {
            // SAFETY: it has so many bytes, and is freed once.
            unsafe { native::free::<I>(block, 7 * MIB) };
        }
    }
}

#[test]
fn plain() {
    moved_pages::<Global>();
    moves_or_stays::<Global>();
    stays::<Global>();
    parts::<Global>();
}

#[cfg(feature = "partial")]
#[test]
fn partial() {
    use ralloc::Partial;
    moved_pages::<Partial>();
    moves_or_stays::<Partial>();
    stays::<Partial>();
    parts::<Partial>();
    raw_parts::<Partial>();
}

#[cfg(feature = "security")]
#[test]
fn secure() {
    use ralloc::Secure;
    moved_pages::<Secure>();
    moves_or_stays::<Secure>();
    stays::<Secure>();
    parts::<Secure>();
}
