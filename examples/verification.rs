//! Verification: every structure of the allocator states its equation, and `ralloc::verify` walks all of them, in any build.
//! In debug builds what can be seen to be wrong in a free or a reallocation ends the program with a message at once.

use std::thread;

#[global_allocator]
static GLOBAL: ralloc::Ralloc = ralloc::Ralloc::new();

/// Something for the structures to have gone through.
fn work(seed: usize) -> Vec<Vec<u8>> {
    let mut kept = Vec::new();
    for number in 0..2000 {
        let size = (number * 7919 + seed) % 5000;
        kept.push(vec![number as u8; size]);
        if number % 3 == 0 {
            kept.swap_remove(number * 31 % kept.len());
        }
    }
    kept
}

fn main() {
    let kept = work(1);
    let theirs = thread::spawn(|| work(2)).join().expect("no panic");
    // SAFETY: the other thread is gone, its exit hooks included.
    unsafe { ralloc::verify() };
    drop((kept, theirs));
    // SAFETY: as above.
    unsafe { ralloc::verify() };
    println!("every equation holds");
}
