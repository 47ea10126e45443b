//! A safe `sbrk`: the heap never uses the program break, so a program may move it up and down between any two operations and
//! use the memory there, and nothing of the heap changes.
#![expect(
    clippy::multiple_unsafe_ops_per_block,
    reason = "one reason covers them all"
)]

#[global_allocator]
static GLOBAL: ralloc::Ralloc = ralloc::Ralloc::new();

fn main() {
    let mut kept = Vec::new();
    for number in 0..100_u8 {
        kept.push(vec![number; 100 * usize::from(number)]);
        // SAFETY: nobody else in this program uses the break; 4 KiB are ours between the two moves.
        unsafe {
            let mine = ralloc::sbrk(4096).expect("the kernel has a break");
            mine.write_bytes(0xFF, 4096);
            kept.push(vec![number; 3000]);
            assert_eq!(ralloc::sbrk(-4096), Ok(mine.add(4096)));
        }
    }
    for (number, block) in kept.iter().enumerate() {
        assert!(block.iter().all(|&byte| usize::from(byte) == number / 2));
    }
    println!(
        "the break moved 200 times; all {} blocks are whole",
        kept.len()
    );
}
