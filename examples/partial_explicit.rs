//! Partial deallocation, the explicit form: a `Block` is split, and its parts are freed in any order, by any thread. Costs
//! nothing until the first split. Whole OS pages of a huge block go back to the kernel with the part that they are in.

use ralloc::Block;
use std::{mem::MaybeUninit, thread};

#[global_allocator]
static GLOBAL: ralloc::Ralloc = ralloc::Ralloc::new();

const MIB: usize = 1 << 20;

/// Bytes of this process that are in memory.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").expect("/proc is mounted");
    let pages = text.split(' ').nth(1).expect("the second field");
    pages.parse::<usize>().expect("a number") * 4096
}

fn main() {
    let mut header: Block = Block::new(64 * MIB, 16);
    header.as_uninit_slice().fill(MaybeUninit::new(7));
    let whole = resident();

    let body = header.split_off(4096);
    let (left, right) = body.split(32 * MIB);
    thread::spawn(move || right.free())
        .join()
        .expect("no panic");
    let half = resident();
    drop(left);
    let little = resident();

    // The header is still here, and holds what it held.
    // SAFETY: all of the block was filled.
    assert_eq!(unsafe { header.as_uninit_slice()[4095].assume_init() }, 7);
    println!(
        "resident: {} MiB, {} after one half, {} with 4 KiB left",
        whole / MIB,
        half / MIB,
        little / MIB
    );
    assert!(half + 24 * MIB < whole && little + 24 * MIB < half);
    header.free();
}
