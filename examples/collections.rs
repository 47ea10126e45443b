//! Collections with an allocator of their own, on stable Rust, by the crate `allocator-api2`: a vector whose memory is counted
//! apart from the rest of the program. Needs the feature `allocator-api2`.

use allocator_api2::vec::Vec;
use ralloc::{Defaults, Ralloc, stats};

#[global_allocator]
static GLOBAL: ralloc::Ralloc = ralloc::Ralloc::new();

ralloc::instance! {
    /// The allocator of the vectors here.
    struct Mine: Defaults;
}

fn main() {
    let mut numbers = Vec::new_in(Ralloc::<Mine>::new());
    numbers.extend(0..1_000_000_u64);
    assert_eq!(numbers.iter().sum::<u64>(), 499_999_500_000);

    let (mine, rest) = (stats::stats::<Mine>().live, ralloc::stats().live);
    println!("{} KiB in Mine, {} KiB elsewhere", mine >> 10, rest >> 10);
    assert!(mine >= 8_000_000 && rest < 1_000_000);
    drop(numbers);
    assert_eq!(stats::stats::<Mine>().live, 0);
}
