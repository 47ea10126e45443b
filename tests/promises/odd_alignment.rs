//! Any alignment but 0, any size: of blocks in pages, in runs and in mappings of their own.

use super::memory;
use std::{
    alloc::{GlobalAlloc, Layout},
    panic::catch_unwind,
    ptr::NonNull,
};

const GIB: usize = 1 << 30;

/// Both ends are there, the size is kept, and another size keeps the contents.
fn one(size: usize, align: usize) {
    let block = ralloc::alloc(size, align);
    assert!(
        block.addr().get().is_multiple_of(align),
        "{size} at {align}"
    );
    let looked_at = (size - 1).min(3000);
    // SAFETY: the block has so many bytes, is resized to as many as is said, and freed once.
    unsafe {
        memory::fill(block, looked_at);
        block.add(size - 1).write(7);
        assert!(ralloc::usable_size(block, size) >= size);
        let mut block = block;
        let mut old = size;
        for new in [size + size / 3 + 1, looked_at + 1, 2 * size] {
            block = ralloc::realloc(block, old, new, align);
            assert!(
                block.addr().get().is_multiple_of(align),
                "{size} to {new} at {align}"
            );
            memory::check(block, looked_at);
            block.add(new - 1).write(7);
            old = new;
        }
        ralloc::free(block, old);
    }
    let zeroed = ralloc::alloc_zeroed(size, align);
    assert!(zeroed.addr().get().is_multiple_of(align));
    // SAFETY: the block has so many bytes, and is freed once.
    unsafe {
        assert!((0..looked_at).all(|at| zeroed.add(at).read() == 0));
        assert!((size - looked_at..size).all(|at| zeroed.add(at).read() == 0));
        ralloc::free(zeroed, size);
    }
}

#[test]
fn those_of_the_issue() {
    for (size, align) in [(63, 3), (1000, 24), (100, 4097)] {
        one(size, align);
    }
}

#[test]
fn every_small_alignment() {
    for align in 1..200 {
        for size in [1, 8, 63, 1000, 1024, 1025] {
            one(size, align);
        }
    }
}

#[test]
fn around_every_power_of_two() {
    for shift in 6..24 {
        for align in [(1 << shift) - 1, 1 << shift, (1 << shift) + 1] {
            for size in [1, 3000, 32 << 10, 100_000, (2 << 20) + 1] {
                one(size, align);
            }
        }
    }
}

#[test]
fn up_to_a_gibibyte() {
    for align in [(64 << 20) - 1, 64 << 20, 333_333_333, GIB - 1, GIB] {
        for size in [1, 5000, 300_000, 5 << 20] {
            one(size, align);
        }
    }
}

#[test]
fn layouts_of_any_alignment_up_to_a_gibibyte() {
    let allocator = &super::GLOBAL;
    for shift in 0..=30 {
        for size in [1, 100, 40_000, 3 << 20] {
            let layout = Layout::from_size_align(size, 1 << shift).expect("a layout");
            // SAFETY: the layout has a size; the block is resized and freed once.
            unsafe {
                let block = allocator.alloc(layout);
                assert!(!block.is_null() && block.addr().is_multiple_of(layout.align()));
                block.add(size - 1).write(7);
                let block = allocator.realloc(block, layout, 2 * size);
                assert!(!block.is_null() && block.addr().is_multiple_of(layout.align()));
                assert_eq!(block.add(size - 1).read(), 7);
                let layout = Layout::from_size_align(2 * size, 1 << shift).expect("a layout");
                allocator.dealloc(block, layout);
            }
        }
    }
}

/// The largest layouts that there can be.
#[test]
fn sizes_up_to_the_end_of_the_address_space() {
    for shift in 0..=30 {
        let align = 1_usize << shift;
        let size = isize::MAX as usize - (align - 1);
        let layout = Layout::from_size_align(size, align).expect("the largest there is");
        // SAFETY: the layout has a size.
        assert!(unsafe { super::GLOBAL.alloc(layout) }.is_null());
        // SAFETY: as above.
        assert!(unsafe { super::GLOBAL.alloc_zeroed(layout) }.is_null());
    }
    // A tebibyte may be had: it is addresses, not memory.
    if let Ok(block) = ralloc::try_alloc(1 << 40, 3 << 20) {
        // SAFETY: the block has so many bytes, and is freed once.
        unsafe {
            block.add((1 << 40) - 1).write(7);
            ralloc::free(block, 1 << 40);
        }
    }
}

#[test]
fn blocks_of_no_bytes() {
    for align in [1, 3, 16, 4096, 4097, GIB] {
        let block = ralloc::alloc(0, align);
        assert!(block.addr().get().is_multiple_of(align));
        // SAFETY: a block of no bytes; what it becomes is freed once with the size it has.
        unsafe {
            assert_eq!(ralloc::usable_size(block, 0), 0);
            assert!(ralloc::realloc_inplace(block, 0, 0).is_ok());
            assert!(ralloc::realloc_inplace(block, 0, 1).is_err());
            ralloc::free(block, 0);
            let some = ralloc::realloc(block, 0, 100, align);
            assert!(some.addr().get().is_multiple_of(align));
            some.write_bytes(7, 100);
            let none = ralloc::realloc(some, 100, 0, align);
            assert!(none.addr().get().is_multiple_of(align));
            ralloc::free(none, 0);
        }
    }
    let zeroed = ralloc::alloc_zeroed(0, 8);
    assert_eq!(
        zeroed,
        NonNull::without_provenance(std::num::NonZero::new(8).expect("not 0"))
    );
}

#[test]
fn an_alignment_of_nothing_is_refused() {
    let refused = |attempt: fn()| {
        let payload = catch_unwind(attempt).expect_err("it panics");
        let message = payload.downcast_ref::<&str>();
        assert_eq!(message, Some(&"ralloc: an alignment of 0"));
    };
    refused(|| _ = ralloc::alloc(8, 0));
    refused(|| _ = ralloc::alloc_zeroed(8, 0));
    refused(|| _ = ralloc::try_alloc(0, 0));
    refused(|| _ = ralloc::Block::<ralloc::Global>::new(8, 0));
}

/// What the program writes into a huge block is nothing that the allocator reads when the block becomes smaller.
#[test]
fn a_huge_block_becomes_a_large_one() {
    for align in [3, 24, 4097, (4 << 20) - 1, (4 << 20) + 1] {
        for old in [(2 << 20) + 1, 9 << 20] {
            for new in [40_000, 100_000, 2 << 20] {
                for byte in [0, 1, 0xAA, 0xFF] {
                    let block = ralloc::alloc(old, align);
                    // SAFETY: the block has so many bytes, is resized to as many as is said, and freed once.
                    unsafe {
                        block.write_bytes(byte, old);
                        let block = ralloc::realloc(block, old, new, align);
                        assert!(block.addr().get().is_multiple_of(align));
                        assert!((0..new).all(|at| block.add(at).read() == byte));
                        ralloc::free(block, new);
                    }
                }
            }
        }
    }
}

/// A mapping of its own is as large as the block in it needs, wherever it begins: of alignments of less than a word it may be some steps.
#[test]
fn a_huge_block_ends_within_its_mapping() {
    for align in [3, 5, 6, 7, 9, 11, 24] {
        // So that the mapping ends with what there is room for.
        for missing in 0..2 * align + 2 {
            let size = (8 << 20) - missing;
            // Where a block begins depends on where the mapping does.
            let blocks: Vec<_> = (0..3).map(|_| ralloc::alloc(size, align)).collect();
            for block in blocks {
                // SAFETY: the block has so many bytes, and is freed once.
                unsafe {
                    let usable = ralloc::usable_size(block, size);
                    assert!(usable >= size, "{usable} bytes of {size} at {align}");
                    block.add(size - 1).write(7);
                    ralloc::free(block, size);
                }
            }
        }
    }
}
