//! One trait is all that a kernel is: the same work on two simulated ones, with other rules each, and on that of the machine.

use super::common::{self, Case, Kernel, MIB};
use ralloc::{Block, native};

#[test]
fn the_same_work_on_every_kernel() {
    for (name, kernel) in Kernel::all() {
        common::run(kernel(), || {
            let mut blocks = Vec::new();
            for number in 0..3000_usize {
                let size = [1, 48, 700, 9000, 200_000, 3 * MIB][number * number % 6] + number % 7;
                let align = [1, 8, 24, 64, 4096, 4097][number % 6];
                let mut block = Block::<Case>::new(size, align);
                assert!(block.as_ptr().addr().get().is_multiple_of(align), "{name}");
                block.as_uninit_slice()[size - 1].write(number as u8);
                blocks.push((block, number as u8));
                if blocks.len() > 40 {
                    let (mut block, byte) = blocks.swap_remove(number * 31 % 40);
                    let size = block.len();
                    // SAFETY: written when it was made.
                    let last = unsafe { block.as_uninit_slice()[size - 1].assume_init() };
                    assert_eq!(last, byte, "{name}");
                }
            }
            drop(blocks);
            native::try_alloc::<Case>(usize::MAX, 1).expect_err("no kernel has so much");
            common::verify();
        });
    }
}
