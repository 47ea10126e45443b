//! Fallible allocation: the functions named `try_` return an error when there is no memory. They call no handler, end no
//! program, and leave what was there as it was.
#![expect(
    clippy::multiple_unsafe_ops_per_block,
    reason = "one reason covers them all"
)]

use ralloc::{Block, OutOfMemory, Recovery};

#[global_allocator]
static GLOBAL: ralloc::Ralloc = ralloc::Ralloc::new();

fn never(request: OutOfMemory) -> Recovery {
    panic!("nobody asks a handler: {request}");
}

fn main() -> Result<(), OutOfMemory> {
    ralloc::set_oom_handler(Some(never));
    let block = ralloc::try_alloc(1000, 8)?;
    // SAFETY: the block has 1000 bytes.
    unsafe { block.write_bytes(7, 1000) };

    // No kernel has so much, and no computer could.
    for size in [1 << 60, isize::MAX as usize, usize::MAX] {
        let refused = ralloc::try_alloc(size, 8).expect_err("too much");
        println!("{refused}");
        assert_eq!((refused.size, refused.align), (size, 8));
        assert!(Block::<ralloc::Global>::try_new(size, 8).is_err());
        // SAFETY: the block has 1000 bytes; when that fails, it still has.
        let refused = unsafe { ralloc::try_realloc(block, 1000, size, 8) };
        assert!(refused.is_err());
    }
    // SAFETY: allocated above with this size, freed once.
    unsafe {
        assert_eq!(block.add(999).read(), 7);
        ralloc::free(block, 1000);
    }
    Ok(())
}
