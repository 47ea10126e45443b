//! The awkward moments, each with its name.

extern crate alloc as rust_alloc;

use core::{
    alloc::Layout,
    sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed},
};
use ralloc::Instance;
use rust_alloc::{alloc, boxed::Box, vec::Vec};

/// End the program with a line unless something holds.
macro_rules! require {
    ($what:expr) => {
        if !$what {
            kernel::fail(&["does not hold: ", stringify!($what)]);
        }
    };
}

mod copies;

use copies::*;

use crate::{
    allocator, kernel, second,
    threads::{self, Event, Tcb, Thread, check_filled, fill},
};

/// All situations by their names.
macro_rules! situations {
    ($($name:ident)*) => {
        pub(crate) fn run(name: &str) -> ! {
            match name {
                $(stringify!($name) => $name(),)*
                _ => kernel::fail(&["no situation is called ", name]),
            }
            kernel::exit(0)
        }
    };
}

situations! {
    allocates_before_the_thread_pointer_is_real
    frees_before_the_thread_pointer_is_real
    large_blocks_before_the_thread_pointer_is_real
    moves_to_a_second_control_block
    control_block_replaced_without_a_word
    threads_start_with_a_shim
    frees_after_the_exit_hook
    allocates_after_the_exit_hook
    memory_of_a_dead_thread_is_used_again
    forks_while_threads_allocate
    child_allocates_before_its_hook
    child_frees_what_another_thread_had
    allocates_between_deactivation_and_exec
    two_copies_free_each_others_blocks
    two_copies_ask_about_each_others_blocks
    two_copies_hand_over_what_is_older_than_the_thread_pointer
    two_copies_work_side_by_side
    second_copy_on_the_same_words
    functions_of_the_seam
    break_moves
}

/// Check every equation of the library's allocator.
fn verify() {
    // SAFETY: called where no other thread is about.
    unsafe { allocator::Allocator::process().verify() };
    // SAFETY: as above.
    unsafe { second::Allocator::process().verify() };
}

fn malloc(size: usize) -> *mut u8 {
    // SAFETY: any size will do.
    let block = unsafe { allocator::alloc(size) };
    require!(!block.is_null());
    block.cast()
}

fn free(block: *mut u8) {
    // SAFETY: each situation frees what it has, once.
    unsafe { allocator::free(block.cast()) };
}

/// As the table of files of a static program on Redox: 64 bytes and 512, and one that grows.
fn allocates_before_the_thread_pointer_is_real() {
    require!(!threads::is_tls_real());
    let table = Box::new([1_u8; 64]);
    let mut files: Vec<u8> = Vec::with_capacity(512);
    let mut grows: Vec<usize> = Vec::new();
    for number in 0..2000 {
        grows.push(number);
        files.push(number as u8);
    }
    let zeroed = rust_alloc::vec![0_u8; 3000];
    threads::start();
    require!(table.iter().all(|&byte| byte == 1) && zeroed.iter().all(|&byte| byte == 0));
    for number in 2000..9000 {
        grows.push(number);
        files.push(number as u8);
    }
    require!(
        grows
            .iter()
            .enumerate()
            .all(|(place, &number)| place == number)
    );
    require!(
        files
            .iter()
            .enumerate()
            .all(|(place, &byte)| place as u8 == byte)
    );
    drop((table, files, grows, zeroed));
    verify();
    require!(allocator::info().used == 0);
}

fn frees_before_the_thread_pointer_is_real() {
    let blocks: Vec<_> = (1..60).map(|n| rust_alloc::vec![n as u8; n * 40]).collect();
    drop(blocks);
    threads::start();
    verify();
    require!(allocator::info().used == 0);
}

fn large_blocks_before_the_thread_pointer_is_real() {
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    for size in [40 << 10, 70 << 10, 1 << 20, 3 << 20, 9 << 20] {
        blocks.push(rust_alloc::vec![7; size]);
    }
    let aligned = Layout::from_size_align(100, 64 << 10).unwrap_or(Layout::new::<u8>());
    // SAFETY: the layout has a size.
    let block = unsafe { alloc::alloc(aligned) };
    require!(block.addr().is_multiple_of(64 << 10) && !block.is_null());
    threads::start();
    require!(
        blocks
            .iter()
            .all(|block| block.iter().all(|&byte| byte == 7))
    );
    // SAFETY: allocated above.
    unsafe { alloc::dealloc(block, aligned) };
    drop(blocks);
    verify();
    require!(allocator::info().used == 0 && allocator::info().huge == 0);
}

/// As ld.so on Linux: 162 blocks on a first control block, then the main thread gets another.
fn moves_to_a_second_control_block() {
    threads::start();
    let old = Tcb::current();
    let mut blocks = [core::ptr::null_mut(); 162];
    for (number, block) in blocks.iter_mut().enumerate() {
        *block = malloc(number * 5 + 1);
        fill(*block, number * 5 + 1, number);
    }
    free(blocks[161]);
    let new = Tcb::map();
    // SAFETY: this thread's words, and those of a fresh block.
    unsafe { allocator::tls_moves(Tcb::words(old), Tcb::words(new)) };
    // SAFETY: mapped above.
    unsafe { Tcb::activate(new) };
    allocator::tls_is_real();
    // The first control block is gone, as on Redox.
    // SAFETY: nobody uses it any more.
    unsafe { kernel::unmap(old.cast(), threads::PAGE) };
    for (number, &block) in blocks[..161].iter().enumerate() {
        check_filled(block, number * 5 + 1, number);
        free(block);
    }
    free(malloc(10));
    // The heap has come along.
    require!(heaps_taken() == 1);
    verify();
    require!(allocator::info().used == 0);
}

/// How often a thread has taken a heap.
fn heaps_taken() -> usize {
    ralloc::stats::stats::<allocator::Allocator>().threads
}

/// A loader that tells nobody: the words begin anew, and the heap is nobody's from then on.
fn control_block_replaced_without_a_word() {
    threads::start();
    let mut blocks = [core::ptr::null_mut(); 500];
    for (number, block) in blocks.iter_mut().enumerate() {
        *block = malloc(number * 9 + 1);
        fill(*block, number * 9 + 1, number);
    }
    // SAFETY: mapped for this thread.
    unsafe { Tcb::activate(Tcb::map()) };
    allocator::tls_is_real();
    let more = [(); 500].map(|()| malloc(300));
    for &block in &more {
        fill(block, 300, 99);
    }
    for (number, &block) in blocks.iter().enumerate() {
        check_filled(block, number * 9 + 1, number);
        free(block);
    }
    for &block in &more {
        check_filled(block, 300, 99);
        free(block);
    }
    require!(heaps_taken() == 2);
    verify();
}

/// Blocks that threads pass to each other.
static PASSED: [AtomicPtr<u8>; 64] = [const { AtomicPtr::new(core::ptr::null_mut()) }; 64];

/// Allocate, pass on, and free what others have passed on.
fn pass_on(seed: usize) {
    let mut random = seed * 2 + 1;
    for _ in 0..4000 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let size = 16 + (random >> 33) % 3000;
        let block = malloc(size);
        fill(block, size, size);
        let sized: *mut usize = block.cast();
        // SAFETY: at least 16 bytes.
        unsafe { sized.write(size) };
        let place = &PASSED[(random >> 20) % 64];
        // AcqRel by default of the pair: the one who takes it reads what was filled.
        let other = place.swap(block, core::sync::atomic::Ordering::AcqRel);
        take(other);
    }
}

fn take(block: *mut u8) {
    if !block.is_null() {
        let sized: *const usize = block.cast();
        // SAFETY: written by `pass_on`.
        let size = unsafe { sized.read() };
        check_filled(block.wrapping_add(8), size - 8, size);
        free(block);
    }
}

fn take_all() {
    for place in &PASSED {
        take(place.swap(core::ptr::null_mut(), core::sync::atomic::Ordering::AcqRel));
    }
}

fn threads_start_with_a_shim() {
    threads::start();
    for _ in 0..4 {
        let threads = [1, 2, 3, 4].map(|seed| Thread::start(pass_on, seed));
        pass_on(5);
        threads.into_iter().for_each(Thread::join);
    }
    take_all();
    verify();
    require!(allocator::info().used == 0);
}

/// The shim frees a block of the creator's behind the hook, then unmaps the control block.
fn frees_after_the_exit_hook() {
    threads::start();
    for round in 0..200 {
        Thread::start(|size| free(malloc(size)), round * 7).join();
    }
    verify();
    require!(allocator::info().used == 0);
}

fn allocates_after_the_exit_hook() {
    threads::start();
    let late = |argument: usize| {
        let before = malloc(argument);
        allocator::thread_exits();
        let after = malloc(argument);
        require!(after != before);
        fill(after, argument, 3);
        free(before);
        free(after);
        let large = malloc(100 << 10);
        free(large);
    };
    for size in [24, 500, 4000, 30_000] {
        Thread::start(late, size).join();
    }
    verify();
    require!(allocator::info().used == 0);
}

fn memory_of_a_dead_thread_is_used_again() {
    threads::start();
    static BLOCKS: [AtomicPtr<u8>; 3000] = [const { AtomicPtr::new(core::ptr::null_mut()) }; 3000];
    let fills = |size: usize| {
        BLOCKS
            .iter()
            .for_each(|block| block.store(malloc(size), Relaxed))
    };
    let mut arena = 0;
    for round in 0..30 {
        Thread::start(fills, 400).join();
        BLOCKS.iter().for_each(|block| free(block.load(Relaxed)));
        if round == 4 {
            arena = allocator::info().arena;
        }
    }
    require!(allocator::info().arena <= arena + (1 << 20));
    verify();
}

static STOP: Event = Event::new();
static STARTED: AtomicUsize = AtomicUsize::new(0);

fn forks_while_threads_allocate() {
    threads::start();
    let busy = |seed: usize| {
        STARTED.fetch_add(1, Relaxed);
        while !STOP.is_set() {
            pass_on(seed);
        }
    };
    let others = [1, 2].map(|seed| Thread::start(busy, seed));
    while STARTED.load(Relaxed) < 2 {
        pass_on(9);
    }
    for round in 0..30 {
        let mine = malloc(1000);
        fill(mine, 1000, round);
        let child = threads::fork();
        if child == 0 {
            check_filled(mine, 1000, round);
            free(mine);
            for size in 1..400 {
                let block = malloc(size * 11);
                fill(block, size * 11, size);
                check_filled(block, size * 11, size);
                free(block);
            }
            kernel::exit(0);
        }
        require!(kernel::wait(child) == 0);
        free(mine);
    }
    STOP.set();
    others.into_iter().for_each(Thread::join);
    take_all();
    verify();
}

/// On Redox the child allocates inside of the system's fork: `threads::fork` does so. Here the parent's heap is full of blocks
/// that the child frees and takes again.
fn child_allocates_before_its_hook() {
    threads::start();
    let blocks = [(); 300].map(|()| malloc(300));
    for generation in 0..3 {
        let child = threads::fork();
        if child != 0 {
            require!(kernel::wait(child) == 0);
            blocks[..blocks.len() - generation]
                .iter()
                .for_each(|&block| free(block));
            break;
        }
        let freed = blocks[blocks.len() - 1 - generation];
        free(freed);
        let again = [(); 300].map(|()| malloc(300));
        // What the parent's heap had free is served in the child.
        require!(again.contains(&freed));
        again.into_iter().for_each(free);
        require!(heaps_taken() == 1);
        if generation == 2 {
            kernel::exit(0);
        }
    }
    verify();
}

/// A thread that waits while its process forks is not there in the child. What it had is used again there when it has been freed:
/// that is what the child's hook is for.
fn child_frees_what_another_thread_had() {
    static BLOCKS: [AtomicPtr<u8>; 20_000] =
        [const { AtomicPtr::new(core::ptr::null_mut()) }; 20_000];
    static FILLED: Event = Event::new();
    static FORKED: Event = Event::new();
    let fill_all = |size: usize| {
        for block in &BLOCKS {
            block.store(malloc(size), Relaxed);
        }
    };
    let free_all = || BLOCKS.iter().for_each(|block| free(block.load(Relaxed)));
    threads::start();
    let other = Thread::start(
        |size| {
            BLOCKS
                .iter()
                .for_each(|block| block.store(malloc(size), Relaxed));
            FILLED.set();
            FORKED.wait();
        },
        400,
    );
    FILLED.wait();
    let arena = allocator::info().arena;
    let child = threads::fork();
    if child == 0 {
        free_all();
        fill_all(400);
        require!(allocator::info().arena <= arena + (1 << 20));
        kernel::exit(0);
    }
    require!(kernel::wait(child) == 0);
    FORKED.set();
    other.join();
    free_all();
    verify();
}

fn allocates_between_deactivation_and_exec() {
    threads::start();
    let block = Tcb::current();
    let kept = Box::new([5_u8; 100]);
    threads::deactivate();
    let mut path: Vec<u8> = Vec::new();
    for number in 0..5000 {
        path.push(number as u8);
    }
    drop(kept);
    require!(path[4999] == 4999_usize as u8);
    // SAFETY: this thread's.
    unsafe { threads::activate_again(block) };
    allocator::tls_is_real();
    drop(path);
    verify();
    require!(allocator::info().used == 0);
}
