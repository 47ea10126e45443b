//! The global-local model: each thread allocates from lists of its own and frees into them, without a lock and without an
//! atomic write. What another thread frees travels home in batches, and what a thread leaves behind when it ends is used
//! again by the others.

use std::thread;

#[global_allocator]
static GLOBAL: ralloc::Ralloc = ralloc::Ralloc::new();

/// Blocks that are made here and freed by a thread that was started for that.
fn make_here_free_there() {
    let blocks: Vec<Box<[u8; 1000]>> = (0..1000).map(|_| Box::new([7; 1000])).collect();
    thread::spawn(move || drop(blocks))
        .join()
        .expect("no panic");
}

fn main() {
    make_here_free_there();
    let first = ralloc::stats();
    (0..100).for_each(|_| make_here_free_there());
    let last = ralloc::stats();

    // 100 MB have changed hands; the same megabyte served them all.
    assert!(last.mapped <= first.mapped + (4 << 20));
    // The frees came home in batches, not one by one.
    let batches = last.batches - first.batches;
    assert!(batches < 100_000 / 4, "{batches} batches");
    // A hundred threads came and went; each took over what the one before had left.
    assert!(last.threads >= first.threads + 100 && last.heaps <= first.heaps + 2);
    println!(
        "100,000 blocks came home in {batches} batches; {} threads shared {} heaps and {} KiB",
        last.threads,
        last.heaps,
        last.mapped >> 10
    );
}
