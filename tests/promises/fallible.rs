//! What is named `try_` returns an error, asks nobody, and leaves everything as it was.

use super::{
    common::{self, Case, Kernel, MIB},
    memory,
};
use ralloc::{Block, OutOfMemory, Recovery, native, oom};
use ralloc_platform::sim::Rules;

fn never(_: OutOfMemory) -> Recovery {
    panic!("nobody asks a handler");
}

/// Sizes that no machine has, at every alignment.
#[test]
fn sizes_beyond_all_memory() {
    for size in [
        1 << 50,
        isize::MAX as usize,
        (isize::MAX as usize) + 1,
        usize::MAX - 4095,
        usize::MAX,
    ] {
        for align in [
            1,
            3,
            16,
            4096,
            4097,
            1 << 22,
            (1 << 30) - 1,
            1 << 30,
            1 << 62,
            usize::MAX,
        ] {
            let refused = ralloc::try_alloc(size, align).expect_err("too much");
            assert_eq!(refused, OutOfMemory { size, align });
            assert!(Block::<ralloc::Global>::try_new(size, align).is_err());
            let block = ralloc::alloc(100, 8);
            // SAFETY: the block has 100 bytes, also after a request that failed.
            unsafe {
                memory::fill(block, 100);
                assert!(ralloc::try_realloc(block, 100, size, 8).is_err());
                assert!(ralloc::realloc_inplace(block, 100, size).is_err());
                memory::check(block, 100);
                ralloc::free(block, 100);
            }
        }
    }
}

/// Each kind of block, when the kernel has nothing more.
#[test]
fn nobody_is_asked_and_blocks_stay_whole() {
    for rules in [Rules::Linux, Rules::Redox] {
        common::run(Kernel::sim(rules), || {
            oom::set_oom_handler::<Case>(Some(never));
            common::kernel().limit(32 * MIB);
            for size in [40, 5000, 100_000, 3 * MIB] {
                let block = native::alloc::<Case>(size, 8);
                // SAFETY: the block has so many bytes.
                unsafe { memory::fill(block, size) };
                let next = || native::try_alloc::<Case>(size, 8).ok();
                let all: Vec<_> = std::iter::from_fn(next).collect();
                assert!(!all.is_empty());
                // SAFETY: the blocks have so many bytes, and are freed once.
                unsafe {
                    assert!(native::try_realloc::<Case>(block, size, 40 * MIB, 8).is_err());
                    memory::check(block, size);
                    native::free::<Case>(block, size);
                    all.into_iter()
                        .for_each(|block| native::free::<Case>(block, size));
                }
                common::verify();
            }
        });
    }
}

/// The note that the first split of a block needs may fail; then the block is whole.
#[test]
fn a_split_that_fails_leaves_the_block() {
    common::run(Kernel::sim(Rules::Linux), || {
        oom::set_oom_handler::<Case>(Some(never));
        let mut block = Block::<Case>::new(1000, 8);
        common::kernel().limit(0);
        let next = || native::try_alloc::<Case>(100, 8).ok();
        let mut all: Vec<_> = std::iter::from_fn(next).collect();
        let next = || native::try_alloc::<Case>(16, 8).ok();
        let small: Vec<_> = std::iter::from_fn(next).collect();
        match block.try_split_off(500) {
            Err(refused) => assert_eq!((refused.size, block.len()), (1000, 1000)),
            Ok(rest) => assert_eq!((rest.len(), block.len()), (500, 500)),
        }
        // SAFETY: allocated above with these sizes, freed once.
        unsafe {
            all.drain(..)
                .for_each(|block| native::free::<Case>(block, 100));
            small
                .into_iter()
                .for_each(|block| native::free::<Case>(block, 16));
        }
        common::kernel().relent();
    });
}
