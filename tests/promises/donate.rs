//! Donated memory serves, and is never given to the kernel.

use super::{child, memory};
use ralloc::{Defaults, Instance, native};
use std::{cell::UnsafeCell, ptr::NonNull, thread};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

ralloc::instance! {
    /// An allocator that nobody else gives anything to.
    struct Given: Defaults;
}

#[repr(align(4096))]
struct Static<const BYTES: usize>(UnsafeCell<[u8; BYTES]>);

// SAFETY: nobody uses it but who gives it away.
unsafe impl<const BYTES: usize> Sync for Static<BYTES> {}

impl<const BYTES: usize> Static<BYTES> {
    const fn new() -> Self {
        Self(UnsafeCell::new([1; BYTES]))
    }

    /// All of it but `skip` bytes at either end.
    fn give(&'static self, skip: usize) -> (NonNull<u8>, usize) {
        let start = NonNull::new(self.0.get().cast::<u8>()).expect("it is somewhere");
        // SAFETY: it has so many bytes.
        let start = unsafe { start.add(skip) };
        // SAFETY: nobody uses it from here on.
        let taken = unsafe { native::donate::<Given>(start, BYTES - 2 * skip) };
        (start, taken)
    }
}

#[test]
#[ignore = "a part of a_large_region_serves_blocks_and_stays"]
fn part_large() {
    static REGION: Static<{ 17 * MIB }> = Static::new();
    let (start, taken) = REGION.give(1001);
    assert!((16 * MIB..=17 * MIB - 2002).contains(&taken), "{taken}");
    let region = start.addr().get()..start.addr().get() + 17 * MIB - 2002;
    for round in 0..3 {
        let sizes = [100, 5000, 100_000, 600_000];
        let blocks: Vec<_> = (0..400)
            .map(|number| {
                let size = sizes[number % 4];
                let block = native::alloc_zeroed::<Given>(size, 16);
                // SAFETY: the block has so many bytes.
                let bytes = unsafe { std::slice::from_raw_parts(block.as_ptr(), size) };
                assert!(
                    bytes.iter().all(|&byte| byte == 0),
                    "what was donated was not zero"
                );
                // SAFETY: as above.
                unsafe { memory::fill(block, size.min(2000)) };
                (block, size)
            })
            .collect();
        let inside = blocks
            .iter()
            .filter(|(block, _)| region.contains(&block.addr().get()));
        let inside = inside.count();
        assert!(inside > 20, "round {round}: {inside} of 400 from it");
        // SAFETY: no other thread is at work.
        unsafe { Given::process().verify() };
        for (block, size) in blocks {
            // SAFETY: the block has so many bytes, and is freed once.
            unsafe {
                memory::check(block, size.min(2000));
                native::free::<Given>(block, size);
            }
        }
        ralloc::alloc::trim::<Given>();
        ralloc::alloc::trim::<Given>();
        // SAFETY: as above.
        unsafe { Given::process().verify() };
        let mapped = memory::resident(start, 17 * MIB - 2002);
        assert!(
            mapped.is_some(),
            "round {round}: some of it went to the kernel"
        );
    }
    // Given once more by parts, from several threads, while others allocate.
    static MORE: [Static<{ 9 * MIB }>; 3] = [const { Static::new() }; 3];
    thread::scope(|scope| {
        for more in &MORE {
            scope.spawn(move || _ = more.give(0));
            scope.spawn(|| {
                for size in (1..2000).map(|number| number * 37) {
                    let block = native::alloc::<Given>(size, 8);
                    // SAFETY: the block has so many bytes, and is freed once.
                    unsafe {
                        block.write_bytes(7, size);
                        native::free::<Given>(block, size);
                    }
                }
            });
        }
    });
    ralloc::alloc::trim::<Given>();
    // SAFETY: the other threads are gone.
    unsafe { Given::process().verify() };
}

#[test]
fn a_large_region_serves_blocks_and_stays() {
    child::passes("donate::part_large");
}

#[test]
fn a_small_static_serves_for_tables() {
    static SMALL: Static<{ 64 * KIB }> = Static::new();
    let (_, taken) = SMALL.give(7);
    assert!((60 * KIB..64 * KIB).contains(&taken), "{taken}");
    let blocks: Vec<_> = (0..100)
        .map(|_| native::alloc::<Given>(3 * MIB, 16))
        .collect();
    for block in blocks {
        // SAFETY: allocated with this size, freed once.
        unsafe { native::free::<Given>(block, 3 * MIB) };
    }
}

#[test]
fn what_is_too_small_is_not_taken() {
    static TINY: Static<128> = Static::new();
    let start = NonNull::new(TINY.0.get().cast::<u8>()).expect("it is somewhere");
    for size in [0, 1, 63, 64] {
        // SAFETY: nobody uses it; nothing of it is taken.
        let taken = unsafe { native::donate::<Given>(start, size) };
        assert_eq!(taken, 0, "{size}");
    }
}
