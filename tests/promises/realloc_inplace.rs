//! Where a block stands it grows or shrinks, of whatever kind it is; what it no longer needs is given back.

use super::memory;
use ralloc::realloc_inplace;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Small, medium, a run, huge.
const SIZES: [usize; 8] = [
    40,
    1000,
    5000,
    30 * KIB,
    100 * KIB,
    2 * MIB,
    5 * MIB,
    40 * MIB,
];

#[test]
fn every_kind_shrinks_and_keeps_its_contents() {
    for size in SIZES {
        let block = ralloc::alloc(size, 16);
        // SAFETY: the block has as many bytes as is said, and is freed once.
        unsafe {
            memory::fill(block, size.min(MIB));
            let mut now = size;
            for next in [size - 1, size / 2, size / 3, size / 10, 1] {
                assert_eq!(
                    realloc_inplace(block, now, next),
                    Ok(()),
                    "{size}: {now} to {next}"
                );
                memory::check(block, next.min(MIB));
                now = next;
            }
            assert!(
                realloc_inplace(block, now, 0).is_err(),
                "to nothing is not in place"
            );
            ralloc::free(block, now);
        }
    }
}

#[test]
fn every_kind_grows_into_what_it_had_or_stays_as_it_was() {
    for size in SIZES {
        let block = ralloc::alloc(size, 16);
        // SAFETY: the block has as many bytes as is said, and is freed once.
        unsafe {
            memory::fill(block, size.min(MIB));
            let usable = ralloc::usable_size(block, size);
            assert_eq!(
                realloc_inplace(block, size, usable),
                Ok(()),
                "{size} to all it has"
            );
            let mut now = usable;
            for next in [usable + 1, 2 * usable, 4 * usable] {
                if realloc_inplace(block, now, next).is_ok() {
                    now = next;
                    block.add(next - 1).write(7);
                    assert!(ralloc::usable_size(block, now) >= next);
                }
                memory::check(block, size.min(MIB));
            }
            assert!(realloc_inplace(block, now, usize::MAX).is_err());
            assert!(realloc_inplace(block, now, 1 << 60).is_err());
            ralloc::free(block, now);
        }
    }
}

/// Grown bytes belong to nobody else: a neighbour does not lose any.
#[test]
fn nobody_s_memory_is_grown_into() {
    for size in [100 * KIB, 3 * MIB] {
        let blocks: Vec<_> = (0..8).map(|_| ralloc::alloc(size, 16)).collect();
        let mut sizes = [size; 8];
        for (number, block) in blocks.iter().enumerate() {
            // SAFETY: the block has so many bytes.
            unsafe { block.write_bytes(number as u8, size) };
        }
        // Every other one goes, which makes room.
        for number in [1, 3, 5, 7] {
            // SAFETY: freed once.
            unsafe { ralloc::free(blocks[number], size) };
        }
        for number in [0, 2, 4, 6] {
            for next in [size + 64 * KIB, 2 * size, 3 * size] {
                // SAFETY: the block has so many bytes.
                unsafe {
                    if realloc_inplace(blocks[number], sizes[number], next).is_ok() {
                        let behind = blocks[number].add(sizes[number]);
                        behind.write_bytes(number as u8, next - sizes[number]);
                        sizes[number] = next;
                    }
                }
            }
        }
        for number in [0, 2, 4, 6] {
            // SAFETY: the block has so many bytes, and is freed once.
            unsafe {
                let block = std::slice::from_raw_parts(blocks[number].as_ptr(), sizes[number]);
                assert!(block.iter().all(|&byte| usize::from(byte) == number));
                ralloc::free(blocks[number], sizes[number]);
            }
        }
    }
}

#[test]
fn what_a_huge_block_no_longer_needs_goes_back() {
    let size = 64 * MIB;
    let block = ralloc::alloc(size, 16);
    // SAFETY: the block has as many bytes as is said, and is freed once.
    unsafe {
        block.write_bytes(7, size);
        assert!(memory::resident(block, size).is_some_and(|bytes| bytes > 60 * MIB));
        realloc_inplace(block, size, 9 * MIB).expect("smaller");
        assert!(memory::resident(block, 9 * MIB).is_some_and(|bytes| bytes >= 8 * MIB));
        // It may wait to be used again, but not all of it.
        let behind = memory::resident(block.add(12 * MIB), size - 12 * MIB);
        assert!(behind.unwrap_or(0) <= 32 * MIB, "{behind:?}");
        assert_eq!(block.add(9 * MIB - 1).read(), 7);
        ralloc::free(block, 9 * MIB);
    }
}
