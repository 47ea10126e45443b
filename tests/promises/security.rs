//! `Ralloc<Secure>` lets a program that does nothing wrong go on, and ends one that does, in every kind of block.

use super::child;
use ralloc::{Block, Ralloc, Secure, native};
use std::{
    alloc::{GlobalAlloc, Layout},
    ptr::NonNull,
    thread,
};

static SECURE: Ralloc<Secure> = Ralloc::new();

/// Small, medium, large and huge.
const SIZES: [usize; 4] = [40, 5000, 100_000, 5 << 20];

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("a layout")
}

/// Run the part for each size that a block may have: the process must end each time, with this line.
fn dies_for_each_size(part: &str, line: &str) {
    for size in SIZES {
        // SAFETY: this test's program reads the variable in children only.
        unsafe { std::env::set_var("RALLOC_TEST_SIZE", size.to_string()) };
        child::dies(part, line);
    }
}

fn size() -> usize {
    let size = std::env::var("RALLOC_TEST_SIZE").expect("a size");
    size.parse().expect("a number")
}

#[test]
fn misuse_ends_the_process() {
    for (part, line) in [
        ("freed_twice", "ralloc: double free: 0x"),
        ("freed_twice_by_two_threads", "ralloc: double free: 0x"),
        ("freed_from_within", "ralloc: interior pointer: 0x"),
        ("freed_with_another_size", "ralloc: wrong size: 0x"),
        ("written_behind", "ralloc: overflow: 0x"),
        ("resized_when_free", "ralloc: freed block: 0x"),
    ] {
        dies_for_each_size(&format!("security::{part}"), line);
    }
}

#[test]
#[ignore = "a part of misuse_ends_the_process"]
fn freed_twice() {
    let layout = layout(size());
    // SAFETY: none; the allocator finds out.
    unsafe {
        let block = SECURE.alloc(layout);
        SECURE.dealloc(block, layout);
        SECURE.dealloc(block, layout);
    }
}

#[test]
#[ignore = "a part of misuse_ends_the_process"]
fn freed_twice_by_two_threads() {
    let size = size();
    let block = native::alloc::<Secure>(size, 8);
    let address = block.expose_provenance().get();
    let free = || {
        let block = NonNull::new(std::ptr::with_exposed_provenance_mut(address));
        // SAFETY: none; the allocator finds out.
        unsafe { native::free::<Secure>(block.expect("a block"), size) };
    };
    thread::scope(|scope| scope.spawn(free).join().expect("no panic"));
    free();
}

#[test]
#[ignore = "a part of misuse_ends_the_process"]
fn freed_from_within() {
    let layout = layout(size());
    // SAFETY: none; the allocator finds out.
    unsafe { SECURE.dealloc(SECURE.alloc(layout).add(16), layout) };
}

#[test]
#[ignore = "a part of misuse_ends_the_process"]
fn freed_with_another_size() {
    let size = size();
    // SAFETY: none; the allocator finds out.
    unsafe { SECURE.dealloc(SECURE.alloc(layout(size)), layout(size - 1)) };
}

#[test]
#[ignore = "a part of misuse_ends_the_process"]
fn written_behind() {
    // Not a multiple of the OS page: behind that is the guard, which ends the process at once.
    let layout = layout(size() + 1);
    // SAFETY: none; the allocator finds out.
    unsafe {
        let block = SECURE.alloc(layout);
        block.add(layout.size()).write(0);
        SECURE.dealloc(block, layout);
    }
}

#[test]
#[ignore = "a part of misuse_ends_the_process"]
fn resized_when_free() {
    let layout = layout(size());
    // SAFETY: none; the allocator finds out.
    unsafe {
        let block = SECURE.alloc(layout);
        SECURE.dealloc(block, layout);
        SECURE.realloc(block, layout, 2 * layout.size());
    }
}

#[test]
fn links_in_flight_are_witnessed() {
    child::dies("security::links_exchanged", "ralloc: write after free: 0x");
}

/// Blocks that another thread has freed wait for the thread that they are from, and each leads to the next. Whoever changes links so that each still
/// leads to a block that waits, and the last is the last, is found out all the same.
#[test]
#[ignore = "a part of links_in_flight_are_witnessed"]
fn links_exchanged() {
    const SIZE: usize = 40;
    let blocks: Vec<usize> = (0..64)
        .map(|_| native::alloc::<Secure>(SIZE, 8).expose_provenance().get())
        .collect();
    let word = |address: usize| std::ptr::with_exposed_provenance_mut::<usize>(address);
    thread::scope(|scope| {
        let free = || {
            for &block in &blocks {
                let block = NonNull::new(word(block).cast());
                // SAFETY: freed once.
                unsafe { native::free::<Secure>(block.expect("a block"), SIZE) };
            }
        };
        scope.spawn(free).join().expect("no panic");
    });
    // SAFETY: none; the allocator finds out.
    let next =
        |block: usize| Some(unsafe { word(block).read() }).filter(|next| blocks.contains(next));
    let lists = blocks.iter().map(|&block| {
        let list = std::iter::successors(Some(block), |&block| next(block));
        list.take(blocks.len()).collect::<Vec<_>>()
    });
    let longest = lists.max_by_key(Vec::len).expect("there are blocks");
    // The first two carry what there is to know of all.
    let [first, second, third, fourth] = longest[2..6] else {
        unreachable!("four of them");
    };
    // SAFETY: none; the allocator finds out.
    unsafe {
        word(first).write(third);
        word(third).write(second);
        word(second).write(fourth);
    }
    for _ in 0..10_000 {
        native::alloc::<Secure>(SIZE, 8);
    }
}

#[test]
fn what_is_written_to_free_blocks_is_found_when_their_thread_ends() {
    for part in ["written_at_the_end", "written_on_its_way"] {
        child::dies(&format!("security::{part}"), "ralloc: write after free: 0x");
    }
}

/// Write to a block of 40 bytes at this offset, after it was freed in a thread that ends then.
fn write_in_a_thread(block: impl FnOnce() -> usize + Send, offset: usize) {
    let work = || {
        let address = block();
        let block = NonNull::new(std::ptr::with_exposed_provenance_mut::<u8>(address));
        let block = block.expect("a block");
        // SAFETY: freed once.
        unsafe { native::free::<Secure>(block, 40) };
        // SAFETY: none; the allocator finds out.
        unsafe { block.add(offset).write(1) };
    };
    thread::scope(|scope| scope.spawn(work).join().expect("no panic"));
}

fn address() -> usize {
    native::alloc::<Secure>(40, 8).expose_provenance().get()
}

#[test]
#[ignore = "a part of what_is_written_to_free_blocks_is_found_when_their_thread_ends"]
fn written_at_the_end() {
    write_in_a_thread(address, 39);
}

/// The block is another thread's: it is about to travel there, and this is where it carries what nobody may change.
#[test]
#[ignore = "a part of what_is_written_to_free_blocks_is_found_when_their_thread_ends"]
fn written_on_its_way() {
    let block = address();
    write_in_a_thread(|| block, 2 * size_of::<usize>());
}

#[test]
fn parts_and_odd_alignments_are_no_misuse() {
    for size in SIZES {
        let (left, right) = Block::<Secure>::new(size, 24).split(size / 3);
        thread::spawn(move || drop(left)).join().expect("no panic");
        drop(right);
        let block = Block::<Secure>::new(size, 48);
        let larger = block.realloc(size + size / 2, 48).expect("there is memory");
        drop(larger);
    }
}

#[test]
fn nothing_at_any_alignment_is_freed_with_its_size() {
    for align in [8, 64, 4096, 1 << 16, 1 << 22, 1 << 23] {
        let block = native::alloc_zeroed::<Secure>(1, align);
        // SAFETY: freed once, with the size that was asked for.
        unsafe { native::free::<Secure>(block, 1) };
        let block = ralloc::c_abi::aligned_alloc::<Secure>(align, 0);
        // SAFETY: as above.
        unsafe { ralloc::c_abi::free_sized::<Secure>(block, 0) };
    }
}
