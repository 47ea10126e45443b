//! In-place reallocation: a block grows or shrinks where it stands, or not at all. Nothing is ever copied, so it is never
//! slow. Blocks above 32 KiB give back what they no longer need.
#![expect(
    clippy::multiple_unsafe_ops_per_block,
    reason = "one reason covers them all"
)]

#[global_allocator]
static GLOBAL: ralloc::Ralloc = ralloc::Ralloc::new();

const MIB: usize = 1 << 20;

fn main() {
    let block = ralloc::alloc(64 * MIB, 16);
    let before = ralloc::stats().huge;
    // SAFETY: the block has as many bytes as is said, each time.
    unsafe {
        block.write_bytes(7, 64 * MIB);
        ralloc::realloc_inplace(block, 64 * MIB, 8 * MIB).expect("smaller always works");
        assert_eq!(block.add(8 * MIB - 1).read(), 7);
    }
    let after = ralloc::stats().huge;
    println!("{} MiB became {} MiB", before / MIB, after / MIB);
    assert!(after + 52 * MIB <= before);

    // Larger works if there is room behind; if not, the block is as it was.
    // SAFETY: the block has 8 MiB.
    let grown = unsafe { ralloc::realloc_inplace(block, 8 * MIB, 16 * MIB) };
    let size = if grown.is_ok() { 16 * MIB } else { 8 * MIB };
    // SAFETY: the block has that size, and is freed once.
    unsafe {
        assert_eq!(block.read(), 7);
        ralloc::free(block, size);
    }
}
