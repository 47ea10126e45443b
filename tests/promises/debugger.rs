//! A debugger knows every block, to the byte, and memory that is in no block is nobody's.

use super::{
    child,
    common::{self, Case, Kernel},
};
use ralloc::{Block, Defaults, Instance, Process, Watchers, alloc as verbs, native, watch};
use ralloc_platform::sim::Rules;
use ralloc_platform::{Platform, System, forward, thread_block};
use std::{
    collections::BTreeMap,
    ptr::NonNull,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
};

/// What a debugger notes down.
struct Notes {
    /// Where blocks begin, how large they are, and how many bytes around them must not be touched.
    blocks: BTreeMap<usize, (usize, usize)>,
    misused: Vec<usize>,
}

/// The system's kernel, and a debugger that notes all blocks down.
struct Debugged(Mutex<Notes>);

impl Debugged {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// SAFETY: what matters is the system's; the debugger touches nothing.
unsafe impl Platform for Debugged {
    fn is_debugged(&self) -> bool {
        true
    }
    fn block_allocated(&self, block: NonNull<u8>, size: usize, red_zone: usize, _zeroed: bool) {
        let start = block.addr().get();
        let mut notes = self.notes();
        let before = notes.blocks.range(..start).next_back();
        let before = before.map_or(0, |(start, (size, _))| start + size);
        let after = notes.blocks.range(start..).next();
        let after = after.map_or(usize::MAX, |(start, _)| *start);
        assert!(
            red_zone >= 16 && before + red_zone <= start,
            "a red zone in front"
        );
        assert!(start + size + red_zone <= after, "a red zone behind");
        notes.blocks.insert(start, (size, red_zone));
    }
    fn block_resized(&self, block: NonNull<u8>, old: usize, size: usize, _red_zone: usize) {
        let mut notes = self.notes();
        let known = notes.blocks.get_mut(&block.addr().get()).expect("a block");
        assert_eq!(known.0, old);
        known.0 = size;
    }
    fn block_freed(&self, block: NonNull<u8>, red_zone: usize) {
        let mut notes = self.notes();
        match notes.blocks.remove(&block.addr().get()) {
            Some((_, known)) => assert_eq!(known, red_zone),
            None => notes.misused.push(block.addr().get()),
        }
    }

    forward! {
        self => System;
        page_size map extend unmap purge relocate program_break
        arm_thread_exit install entropy write_stderr yield_now abort
    }
}

thread_block! {
    /// Where a thread keeps its words.
    struct Words;
}

/// An allocator that is watched.
struct Mine;

static PROCESS: Process<Mine> = Process::new(Debugged(Mutex::new(Notes {
    blocks: BTreeMap::new(),
    misused: Vec::new(),
})));

// SAFETY: the state is one static.
unsafe impl Instance for Mine {
    type Platform = Debugged;
    type Thread = Words;
    type Tuning = Defaults;

    fn process() -> &'static Process<Self> {
        &PROCESS
    }
}

/// Each test has the one debugger for itself, and frees what it has allocated.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn known(block: NonNull<u8>) -> Option<usize> {
    let notes = PROCESS.kernel().notes();
    notes.blocks.get(&block.addr().get()).map(|block| block.0)
}

const SIZES: [usize; 11] = [
    1,
    7,
    24,
    100,
    1000,
    5000,
    33_000,
    100_001,
    1 << 20,
    3 << 20,
    9 << 20,
];

#[test]
fn every_block_is_known_to_the_byte() {
    let _alone = alone();
    let mut live = Vec::new();
    for align in [1, 8, 16, 24, 64, 100, 4096, 1 << 16, 1 << 22] {
        for size in SIZES {
            let block = native::alloc::<Mine>(size, align);
            assert!(block.addr().get().is_multiple_of(align));
            assert_eq!(known(block), Some(size));
            // SAFETY: a live block.
            assert_eq!(unsafe { native::usable_size::<Mine>(block, size) }, size);
            // SAFETY: the block has so many bytes.
            unsafe { block.write_bytes(0xA5, size) };
            live.push((block, size));
        }
    }
    for &(block, size) in &live {
        // SAFETY: written above.
        unsafe { assert!([0, size - 1].iter().all(|&at| block.add(at).read() == 0xA5)) };
        // SAFETY: allocated above.
        unsafe { native::free::<Mine>(block, size) };
        assert_eq!(known(block), None);
    }
    assert!(PROCESS.kernel().notes().misused.is_empty());
}

#[test]
fn zeroed_blocks_are_zero() {
    let _alone = alone();
    for _ in 0..3 {
        for size in SIZES {
            let block = native::alloc_zeroed::<Mine>(size, 8);
            // SAFETY: the block has so many bytes, all written.
            let bytes = unsafe { std::slice::from_raw_parts_mut(block.as_ptr(), size) };
            assert!(bytes.iter().all(|&byte| byte == 0));
            bytes.fill(1);
            // SAFETY: allocated above.
            unsafe { native::free::<Mine>(block, size) };
        }
    }
}

#[test]
fn a_block_that_is_reallocated_is_another() {
    let _alone = alone();
    let mut block = native::alloc::<Mine>(1, 8);
    let mut size = 1;
    // SAFETY: a live block of ours, each time.
    unsafe {
        block.write(7);
        for new in SIZES.iter().chain(SIZES.iter().rev()) {
            let moved = native::realloc::<Mine>(block, size, *new, 8);
            assert!(moved != block && moved.read() == 7);
            assert_eq!((known(block), known(moved)), (None, Some(*new)));
            (block, size) = (moved, *new);
        }
        native::free::<Mine>(block, size);
    }
}

#[test]
fn a_block_is_resized_where_it_stands() {
    let _alone = alone();
    let block = native::alloc::<Mine>(1000, 8);
    // SAFETY: a live block of ours.
    unsafe {
        native::realloc_inplace::<Mine>(block, 1000, 400).expect("smaller");
        assert_eq!(known(block), Some(400));
        native::realloc_inplace::<Mine>(block, 400, 900).expect("as large as it was");
        assert_eq!(known(block), Some(900));
        native::realloc_inplace::<Mine>(block, 900, 1 << 20).expect_err("somebody is behind");
        native::free::<Mine>(block, 900);
    }
}

#[test]
fn a_block_goes_with_its_last_part() {
    let _alone = alone();
    for size in [100, 40_000, 5 << 20] {
        let mut left = Block::<Mine>::new(size, 16);
        let start = NonNull::new(left.as_ptr().as_ptr()).expect("a block");
        let right = left.split_off(size / 3);
        drop(left);
        assert_eq!(known(start), Some(size));
        drop(right);
        assert_eq!(known(start), None);
    }
}

#[test]
fn threads_free_what_others_have_allocated() {
    let _alone = alone();
    let make = || {
        let blocks = (0..500).map(|n| (native::alloc::<Mine>(n + 1, 8), n + 1));
        blocks
            .map(|(block, size)| (block.as_ptr().expose_provenance(), size))
            .collect::<Vec<_>>()
    };
    let release = |blocks: Vec<(usize, usize)>| {
        for (block, size) in blocks {
            let block =
                NonNull::new(std::ptr::with_exposed_provenance_mut(block)).expect("a block");
            // SAFETY: allocated by another thread, freed once.
            unsafe { native::free::<Mine>(block, size) };
        }
    };
    for _ in 0..4 {
        let makers: Vec<_> = (0..4).map(|_| thread::spawn(make)).collect();
        let made = makers
            .into_iter()
            .map(|maker| maker.join().expect("no panic"));
        let freers: Vec<_> = made
            .map(|blocks| thread::spawn(move || release(blocks)))
            .collect();
        freers
            .into_iter()
            .for_each(|freer| freer.join().expect("no panic"));
    }
    let notes = PROCESS.kernel().notes();
    assert!(notes.blocks.is_empty() && notes.misused.is_empty());
}

#[test]
fn what_is_freed_twice_is_told_and_the_program_goes_on() {
    let _alone = alone();
    for size in [10, 2000, 100_000] {
        let block = native::alloc::<Mine>(size, 16);
        let inside = block.as_ptr().wrapping_add(8);
        // SAFETY: two bugs, between which the block is freed as it should be.
        unsafe {
            verbs::free::<Mine>(inside);
            verbs::free::<Mine>(block.as_ptr());
            verbs::free::<Mine>(block.as_ptr());
        }
        let misused = std::mem::take(&mut PROCESS.kernel().notes().misused);
        assert_eq!(misused, [inside.addr(), block.addr().get()]);
    }
}

#[test]
fn what_is_freed_is_not_handed_out_again_at_once() {
    let _alone = alone();
    let freed = native::alloc::<Mine>(100, 16);
    // SAFETY: allocated above.
    unsafe { native::free::<Mine>(freed, 100) };
    for _ in 0..1000 {
        let block = native::alloc::<Mine>(100, 16);
        assert!(block != freed);
        // SAFETY: allocated above.
        unsafe { native::free::<Mine>(block, 100) };
    }
    // In the end it is: nothing is lost.
    let large = native::alloc::<Mine>(1 << 20, 16);
    // SAFETY: allocated above.
    unsafe { native::free::<Mine>(large, 1 << 20) };
    let mut again = false;
    for _ in 0..200_000 {
        let block = native::alloc::<Mine>(100, 16);
        again |= block == freed;
        // SAFETY: allocated above.
        unsafe { native::free::<Mine>(block, 100) };
    }
    assert!(again);
}

ralloc::instance! {
    /// Watched without a debugger.
    struct Strict: Defaults;
}

#[test]
fn without_a_debugger_what_is_freed_twice_ends_the_process() {
    child::dies("debugger::a_part_that_frees_twice", "ralloc: in");
}

#[test]
#[ignore = "ends the process"]
fn a_part_that_frees_twice() {
    watch::<Strict>(Watchers::EVENTS);
    let block = native::alloc::<Strict>(10, 16);
    // SAFETY: the second one is a bug.
    unsafe {
        verbs::free::<Strict>(block.as_ptr());
        verbs::free::<Strict>(block.as_ptr());
    }
}

#[test]
fn blocks_from_before_and_after_live_side_by_side() {
    ralloc::instance! {
        /// Watched later.
        struct Late: Defaults;
    }
    let make = |size| (native::alloc::<Late>(size, 16), size);
    let sizes = || SIZES.into_iter().chain(1..200);
    let before: Vec<_> = sizes().map(make).collect();
    watch::<Late>(Watchers::EVENTS);
    let after: Vec<_> = sizes().map(make).collect();
    for &(block, size) in &after {
        // What the thread had in reserve is not given out any more: it has no record, and the size of its class.
        // SAFETY: a live block.
        assert_eq!(unsafe { verbs::usable_size::<Late>(block) }, size);
    }
    for (block, size) in before.into_iter().chain(after) {
        // SAFETY: allocated above; all bytes of it are ours.
        unsafe {
            block.write_bytes(1, size);
            assert!(native::usable_size::<Late>(block, size) >= size);
            native::free::<Late>(block, size);
        }
    }
    // SAFETY: no other thread uses it.
    unsafe { Late::process().verify() };
}

/// Blocks of `size` bytes up to the end of what is mapped of the first chunk.
fn up_to_the_end(size: usize) -> Vec<NonNull<u8>> {
    let mut blocks = Vec::new();
    loop {
        let block = native::alloc::<Case>(size, 16);
        blocks.push(block);
        let mappings = common::kernel().as_sim().mappings();
        let address = block.addr().get();
        let end = mappings.iter().map(|(base, size)| base + size);
        let end = end
            .filter(|&end| end > address)
            .min()
            .expect("it is mapped");
        let reached = if size == 16 {
            address + 16
        } else {
            (address | 0xFFFF) + 1
        };
        if reached == end {
            return blocks;
        }
        assert!(blocks.len() < 20_000, "the first chunk is small");
    }
}

fn free_all(blocks: Vec<NonNull<u8>>, size: usize) {
    for block in blocks {
        // SAFETY: allocated with that size, and freed once.
        unsafe { native::free::<Case>(block, size) };
    }
}

/// Behind the last block of a page there may be less than a record, and then nothing mapped: no record is looked for there.
#[test]
fn behind_the_last_block_of_a_page_is_no_record() {
    common::run(Kernel::sim(Rules::Linux), || {
        watch::<Case>(Watchers::LEAKS);
        let blocks = up_to_the_end(20);
        let last = blocks[blocks.len() - 1].addr().get();
        let tail = (last | 0xFFFF) & !15;
        let tail = blocks[0].map_addr(|_| tail.try_into().expect("not null"));
        // SAFETY: in hooked mode the answer is found without a look at what is there.
        let usable = unsafe { verbs::usable_size::<Case>(tail) };
        assert!(usable > 20, "as of a block from before anybody watched");
        free_all(blocks, 20);
    });
}

/// Nor is one looked for in a page from before anybody watched: its blocks may be smaller than a record.
#[test]
fn in_a_page_from_before_anybody_watched_is_no_record() {
    common::run(Kernel::sim(Rules::Linux), || {
        let blocks = up_to_the_end(16);
        watch::<Case>(Watchers::LEAKS);
        let last = blocks[blocks.len() - 1];
        // SAFETY: a live block.
        assert_eq!(unsafe { verbs::usable_size::<Case>(last) }, 16);
        free_all(blocks, 16);
    });
}
