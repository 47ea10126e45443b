//! What the allocator asks of the kernel: calls for each amount of growth, pages that fork and exit walk, reserved memory, frames.
//! Calls and walks are the runner's numbers; on a real kernel, which does not count them, the ledger has what was reserved.
//! Frames are the kernel's own account everywhere.

use crate::{
    Tests, case,
    common::{Case, KIB, MIB},
    frames,
    kernel::{Count, Counters, say},
    thread::{self, End},
};
use ralloc::c_abi;
use std::vec::Vec;

const PAGE: usize = 4 * KIB;

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
    ("a_purge_returns_frames", a_purge_returns_frames),
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
}

/// Frames for page tables and other notes of a kernel that has them among its frames, for so many pages.
const fn notes(pages: i64) -> i64 {
    pages / 256 + 32
}

/// What a C program asks for until it has said a line and returned: descriptors, names, a buffer. It has 64 KiB of frames;
/// addresses it has more, a slice for each size class.
fn hello_world() {
    const SIZES: [usize; 20] = [
        64, 512, 24, 16, 32, 48, 1024, 100, 16, 24, 40, 72, 64, 24, 16, 120, 32, 48, 16, 24,
    ];
    case::run(|| {
        let (since, before) = (Since::now(), frames::in_use());
        let blocks: Vec<_> = SIZES.into_iter().map(touch).collect();
        let (calls, frames) = (since.calls(), frames::since(before));
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

/// A child that does nothing: what `fork` and the end of the child have walked, where that is counted.
fn walked() -> u64 {
    let since = Counters::now();
    assert!(thread::in_child(|| ()) == End::Done);
    let walked = |count| since.as_ref().map_or(0, |since| since.since(count));
    walked(Count::WalkedByFork).max(walked(Count::WalkedByExit))
}

/// Work that takes a gibibyte and frees it leaves at most 16 MiB: to reserve, to walk for `fork` and exit, and in frames.
fn leaves_little(what: &str, work: impl FnOnce()) {
    const MOST: usize = 16 * MIB;
    let (walk, before) = (walked(), frames::in_use());
    work();
    assert!(case::kernel().most_mapped() >= 1024 * MIB);
    let (more, frames) = (walked() as i64 - walk as i64, frames::since(before));
    let mapped = case::kernel().mapped();
    say!(
        "{what}: {} KiB are left to walk, fork or exit walk {more} pages more, {frames} frames are kept",
        mapped / KIB
    );
    let most = (MOST / PAGE) as i64;
    assert!(mapped <= MOST && more <= most && frames <= most + notes(most));
}

fn little_is_left_to_walk_after_a_gibibyte() {
    case::run(|| {
        leaves_little("a gibibyte in blocks of 8 KiB, freed", || {
            let blocks: Vec<_> = (0..1 << 17).map(|_| touch(8 * KIB)).collect();
            blocks.into_iter().for_each(free);
        });
    });
}

fn little_is_left_after_a_gibibyte_in_huge_blocks() {
    case::run(|| {
        leaves_little("a gibibyte in huge blocks, freed", || {
            let blocks: Vec<_> = (0..128).map(|_| touch(8 * MIB)).collect();
            blocks.into_iter().for_each(free);
        });
    });
}

/// What is purged and not unmapped, because something is left in every chunk: the frames go back.
fn a_purge_returns_frames() {
    case::run(|| {
        let before = frames::in_use();
        let (kept, blocks): (Vec<_>, Vec<_>) = (0..256)
            .map(|_| touch(256 * KIB))
            .enumerate()
            .partition(|(number, _)| number % 15 == 0);
        let with = frames::since(before);
        for (_, block) in blocks {
            free(block);
        }
        c_abi::malloc_trim::<Case>();
        let (after, mapped) = (frames::since(before), case::kernel().mapped());
        say!(
            "64 MiB in blocks of 256 KiB: {with} frames; but for one of fifteen freed: {after}, {} KiB mapped",
            mapped / KIB
        );
        let in_use = (kept.len() * 256 * KIB / PAGE) as i64;
        assert!(with >= (64 * MIB / PAGE) as i64);
        assert!(mapped >= 60 * MIB, "no chunk is empty");
        assert!(
            after <= in_use + notes(with) + in_use / 4,
            "{in_use} are in use"
        );
        for (_, block) in kept {
            free(block);
        }
    });
}

fn reserved_is_not_much_more_than_resident() {
    case::run(|| {
        let before = frames::in_use();
        let mut blocks = Vec::new();
        for size in [100, 3000, 20 * KIB, 100 * KIB, 3 * MIB] {
            blocks.extend((0..(4 * MIB / size).max(2)).map(|_| touch(size)));
            let mapped = case::kernel().mapped();
            let resident = usize::try_from(frames::since(before)).unwrap_or(0) * PAGE;
            assert!(
                mapped <= 2 * resident + 4 * MIB,
                "{mapped} mapped, {resident} resident"
            );
        }
        blocks.into_iter().for_each(free);
    });
}

fn a_huge_block_that_grows_is_not_copied() {
    case::run(|| {
        let in_the_way = touch(3 * MIB);
        let mut block = touch(4 * MIB);
        let also_in_the_way = touch(3 * MIB);
        let (since, before) = (Since::now(), frames::in_use());
        for size in (5..=64).map(|size| size * MIB) {
            // SAFETY: the block is live.
            block = unsafe { c_abi::realloc::<Case>(block, size) };
            assert!(!block.is_null());
        }
        // What is copied is touched.
        let (calls, frames) = (since.calls(), frames::since(before));
        say!("a block that grows from 4 to 64 MiB by 1: {calls} calls, {frames} frames");
        assert!(frames < 64 && calls <= 2 * 60);
        [in_the_way, block, also_in_the_way]
            .into_iter()
            .for_each(free);
    });
}
