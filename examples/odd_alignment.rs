//! Alignments need not be powers of two: records of 24 bytes can begin at multiples of 24, whatever they are embedded in.
#![expect(
    clippy::multiple_unsafe_ops_per_block,
    reason = "one reason covers them all"
)]

#[global_allocator]
static GLOBAL: ralloc::Ralloc = ralloc::Ralloc::new();

fn main() {
    for (size, align) in [(63, 3), (1000, 24), (100, 4097), (5_000_000, 4_000_037)] {
        let block = ralloc::alloc(size, align);
        assert!(block.addr().get().is_multiple_of(align));
        println!("{size} bytes at {block:p}, a multiple of {align}");

        // SAFETY: the block has as many bytes as is said, and is given up once.
        unsafe {
            block.write_bytes(7, size);
            let larger = ralloc::realloc(block, size, 3 * size, align);
            assert!(larger.addr().get().is_multiple_of(align));
            assert_eq!(larger.add(size - 1).read(), 7);
            ralloc::free(larger, 3 * size);
        }
    }
}
