//! What the allocator asks of the kernel: calls for each amount of growth, pages that fork and exit walk, reserved memory.
//! The numbers are the runner's; on a real kernel, which does not count, these tests have nothing to look at but the ledger.

use crate::{
    Tests, case,
    common::{Case, KIB, MIB},
    kernel::{Count, Counters, say},
};
use ralloc::c_abi;
use std::vec::Vec;

pub const TESTS: Tests = &[
    ("hello_world", hello_world),
    (
        "a_small_process_grows_by_256_kib_a_call",
        a_small_process_grows_by_256_kib_a_call,
    ),
    (
        "a_large_process_grows_by_4_mib_a_call",
        a_large_process_grows_by_4_mib_a_call,
    ),
    (
        "little_is_left_to_walk_after_a_gibibyte",
        little_is_left_to_walk_after_a_gibibyte,
    ),
    (
        "little_is_left_after_a_gibibyte_in_huge_blocks",
        little_is_left_after_a_gibibyte_in_huge_blocks,
    ),
    (
        "reserved_is_not_much_more_than_resident",
        reserved_is_not_much_more_than_resident,
    ),
    (
        "a_huge_block_that_grows_is_not_copied",
        a_huge_block_that_grows_is_not_copied,
    ),
];

/// Allocate, and write to the first and the last byte.
fn touch(size: usize) -> *mut u8 {
    let block = c_abi::malloc::<Case>(size);
    assert!(!block.is_null(), "{size:#x}");
    for offset in (0..size).step_by(4 * KIB).chain([size - 1]) {
        // SAFETY: within the block.
        unsafe { block.add(offset).write_volatile(1) };
    }
    block
}

fn free(block: *mut u8) {
    // SAFETY: the tests free each block once.
    unsafe { c_abi::free::<Case>(block) };
}

/// The counters at a moment, and the calls about memory since.
struct Since(Option<Counters>);

impl Since {
    fn now() -> Self {
        Self(Counters::now())
    }

    fn calls(&self) -> u64 {
        self.0.as_ref().map_or(0, Counters::memory_calls)
    }

    /// Frames that are in use now and were not.
    fn frames(&self) -> i64 {
        let frames = |counters: &Counters| counters.get(Count::Frames) as i64;
        let (before, now) = (self.0.as_ref().map_or(0, frames), Counters::now());
        now.as_ref().map_or(0, frames) - before
    }
}

/// What a C program asks for until it has said a line and returned: descriptors, names, a buffer.
fn hello_world() {
    const SIZES: [usize; 20] = [
        64, 512, 24, 16, 32, 48, 1024, 100, 16, 24, 40, 72, 64, 24, 16, 120, 32, 48, 16, 24,
    ];
    case::run(|| {
        let since = Since::now();
        let blocks: Vec<_> = SIZES.into_iter().map(touch).collect();
        let (calls, frames) = (since.calls(), since.frames());
        let reserved = case::kernel().mapped() / KIB;
        say!("hello world: {calls} calls, {frames} frames, {reserved} KiB reserved");
        assert!(calls <= 3 && frames <= 16);
        blocks.into_iter().for_each(free);
    });
}

fn a_small_process_grows_by_256_kib_a_call() {
    case::run(|| {
        let since = Since::now();
        let blocks: Vec<_> = (0..14 * 256).map(|_| touch(KIB)).collect();
        let calls = since.calls();
        say!("3.5 MiB in blocks of 1 KiB: {calls} calls");
        assert!(calls <= 14, "{calls} calls");
        blocks.into_iter().for_each(free);
    });
}

fn a_large_process_grows_by_4_mib_a_call() {
    case::run(|| {
        let blocks: Vec<_> = (0..32).map(|_| touch(MIB)).collect();
        let since = Since::now();
        let more: Vec<_> = (0..128 * 64).map(|_| touch(16 * KIB)).collect();
        let calls = since.calls();
        say!("128 MiB in blocks of 16 KiB: {calls} calls");
        assert!(calls <= 128 / 4 + 8, "{calls} calls");
        blocks.into_iter().chain(more).for_each(free);
    });
}

/// `fork` and exit walk every page that is mapped.
fn walks(what: &str) {
    let mapped = case::kernel().mapped();
    say!("{what}: {} KiB are left to walk", mapped / KIB);
    assert!(mapped <= 16 * MIB, "{mapped} bytes");
}

fn little_is_left_to_walk_after_a_gibibyte() {
    case::run(|| {
        let blocks: Vec<_> = (0..1 << 17).map(|_| touch(8 * KIB)).collect();
        assert!(case::kernel().mapped() >= 1024 * MIB);
        blocks.into_iter().for_each(free);
        walks("a gibibyte in blocks of 8 KiB, freed");
    });
}

fn little_is_left_after_a_gibibyte_in_huge_blocks() {
    case::run(|| {
        let blocks: Vec<_> = (0..128).map(|_| touch(8 * MIB)).collect();
        blocks.into_iter().for_each(free);
        walks("a gibibyte in huge blocks, freed");
    });
}

fn reserved_is_not_much_more_than_resident() {
    case::run(|| {
        let since = Since::now();
        let mut blocks = Vec::new();
        for size in [100, 3000, 20 * KIB, 100 * KIB, 3 * MIB] {
            blocks.extend((0..(4 * MIB / size).max(2)).map(|_| touch(size)));
            let (frames, mapped) = (since.frames(), case::kernel().mapped());
            if since.0.is_some() {
                let resident = usize::try_from(frames).unwrap_or(0) * 4 * KIB;
                assert!(
                    mapped <= 2 * resident + 4 * MIB,
                    "{mapped} mapped, {resident} resident"
                );
            }
        }
        blocks.into_iter().for_each(free);
    });
}

fn a_huge_block_that_grows_is_not_copied() {
    case::run(|| {
        let in_the_way = touch(3 * MIB);
        let mut block = touch(4 * MIB);
        let also_in_the_way = touch(3 * MIB);
        let since = Since::now();
        for size in (5..=64).map(|size| size * MIB) {
            // SAFETY: the block is live.
            block = unsafe { c_abi::realloc::<Case>(block, size) };
            assert!(!block.is_null());
        }
        // What is copied is touched.
        let (calls, frames) = (since.calls(), since.frames());
        say!("a block that grows from 4 to 64 MiB by 1: {calls} calls, {frames} frames");
        assert!(frames < 64 && calls <= 2 * 60);
        [in_the_way, block, also_in_the_way]
            .into_iter()
            .for_each(free);
    });
}
