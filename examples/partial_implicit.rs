//! Partial deallocation, the implicit form: with `Ralloc<Partial>` as its allocator a program may take a vector apart, and
//! drop the parts one by one. The block is reclaimed when its last byte is freed. Needs the feature `partial`.
#![expect(
    clippy::multiple_unsafe_ops_per_block,
    reason = "one reason covers them all"
)]

use std::mem::ManuallyDrop;

#[global_allocator]
static GLOBAL: ralloc::Ralloc<ralloc::Partial> = ralloc::Ralloc::new();

/// A vector, taken apart at `at`.
fn split(whole: Vec<u8>, at: usize) -> (Vec<u8>, Vec<u8>) {
    let mut whole = ManuallyDrop::new(whole.into_boxed_slice());
    let (start, length) = (whole.as_mut_ptr(), whole.len());
    assert!(at <= length);
    // SAFETY: the parts are disjoint, together the whole, which is not dropped; the allocator allows parts.
    unsafe {
        let left = Vec::from_raw_parts(start, at, at);
        let right = Vec::from_raw_parts(start.add(at), length - at, length - at);
        (left, right)
    }
}

fn main() {
    let (head, tail) = split((0..200).collect(), 100);
    let (middle, end) = split(tail, 50);
    drop(middle);
    assert!(head.iter().copied().eq(0..100) && end.iter().copied().eq(150..200));

    // Freed from another thread, in another order.
    std::thread::spawn(move || drop(end))
        .join()
        .expect("no panic");
    assert!(head.iter().copied().eq(0..100));
    drop(head);
    println!("200 bytes were freed as 50, 50 and 100");
}
