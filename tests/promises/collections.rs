//! Collections of `allocator-api2` on an allocator of their own.

use super::common::Draw;
use allocator_api2::{
    alloc::{Allocator, Layout},
    boxed::Box,
    vec::Vec,
};
use ralloc::{Defaults, Ralloc, stats};
use std::thread;

ralloc::instance! {
    /// The allocator of the collections here.
    struct Mine: Defaults;
}

const MINE: Ralloc<Mine> = Ralloc::new();

/// At the start of an OS page each.
#[repr(align(4096))]
#[derive(Clone, Copy)]
struct Page(u8);

#[test]
fn vectors_grow_shrink_and_move_between_threads() {
    let mut numbers = Vec::new_in(MINE);
    for number in 0..300_000_u64 {
        numbers.push(number);
        if number % 50_000 == 0 {
            numbers.shrink_to_fit();
        }
    }
    assert!(stats::stats::<Mine>().live >= 2_400_000, "they are in Mine");
    let worker = thread::spawn(move || {
        let mut numbers = numbers;
        assert!(numbers.iter().copied().eq(0..300_000));
        numbers.truncate(10);
        numbers.shrink_to_fit();
        numbers
    });
    let numbers = worker.join().expect("no panic").into_boxed_slice();
    assert!(numbers.iter().copied().eq(0..10));
}

#[test]
fn alignments_and_types_without_bytes() {
    let mut pages = Vec::new_in(MINE);
    for number in 0..100 {
        pages.push(Page(number));
        assert!(pages.as_ptr().addr().is_multiple_of(4096));
    }
    assert!(pages.iter().map(|page| page.0).eq(0..100));
    let mut units = Vec::new_in(MINE);
    units.extend([(); 1000]);
    assert_eq!(units.len(), 1000);
    drop(Box::new_in((), MINE));
    assert_eq!(*Box::new_in([7_u8; 100_000], MINE), [7; 100_000]);
}

/// Any layout becomes any other.
#[test]
fn layouts_become_others() {
    let mut draw = Draw::new(11);
    for _ in 0..2000 {
        let mut layout = |most: usize| {
            let most = [1, 100, 5000, 200_000, most][draw.below(5)];
            let size = draw.below(most);
            Layout::from_size_align(size, 1 << draw.below(16)).expect("a layout")
        };
        let (one, other) = (layout(3 << 20), layout(3 << 20));
        let (small, large) = if one.size() <= other.size() {
            (one, other)
        } else {
            (other, one)
        };
        let block = MINE.allocate(small).expect("there is memory").cast::<u8>();
        assert!(block.addr().get().is_multiple_of(small.align()));
        // SAFETY: each is the block of the layout before it, grown, shrunk and freed once.
        unsafe {
            let both = small.size().min(1000);
            super::memory::fill(block, both);
            let grown = MINE
                .grow_zeroed(block, small, large)
                .expect("there is memory")
                .cast::<u8>();
            assert!(grown.addr().get().is_multiple_of(large.align()));
            super::memory::check(grown, both);
            assert!((small.size()..large.size()).all(|at| grown.add(at).read() == 0));
            let shrunk = MINE
                .shrink(grown, large, small)
                .expect("there is memory")
                .cast::<u8>();
            assert!(shrunk.addr().get().is_multiple_of(small.align()));
            super::memory::check(shrunk, both);
            MINE.deallocate(shrunk, small);
        }
    }
    let too_much = Layout::from_size_align(isize::MAX as usize - 15, 16).expect("a layout");
    assert!(MINE.allocate(too_much).is_err() && MINE.allocate_zeroed(too_much).is_err());
}
