//! Everything can be customised: the numbers and the policy of an allocator are the constants of a type that implements
//! `Tuning`, and several allocators, each with its own, live in one program. What is not overridden costs nothing: the
//! compiler sees constants.
#![expect(
    clippy::multiple_unsafe_ops_per_block,
    reason = "one reason covers them all"
)]

use ralloc::{Instance, Tuning, native, stats};

/// Gives memory back at once.
struct Thrifty;

impl Tuning for Thrifty {
    const IDLE_FLOOR: usize = 0;
    const IDLE_SHARE: usize = usize::MAX;
    const CHURN_WINDOW: usize = 0;
}

/// Keeps up to 256 MiB for whoever comes next.
struct Generous;

impl Tuning for Generous {
    const IDLE_FLOOR: usize = 256 << 20;
}

ralloc::instance! {
    /// For what comes and goes once.
    struct Once: Thrifty;
}

ralloc::instance! {
    /// For what comes and goes all the time.
    struct Often: Generous;
}

/// Take 32 MiB and give them back. Returns how many bytes the allocator keeps.
fn kept<I: Instance>() -> usize {
    let blocks: Vec<_> = (0..128)
        .map(|_| native::alloc::<I>(256 << 10, 16))
        .collect();
    for block in blocks {
        // SAFETY: filled within its size, then freed once, by the allocator and with the size it is from.
        unsafe {
            block.write_bytes(7, 256 << 10);
            native::free::<I>(block, 256 << 10);
        }
    }
    stats::stats::<I>().retained
}

fn main() {
    let (once, often) = (kept::<Once>(), kept::<Often>());
    println!("of 32 MiB Once keeps {once} bytes, Often {often}");
    assert!(once <= 1 << 20 && often >= 30 << 20);
}
