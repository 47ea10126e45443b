//! Two copies of the allocator in one process, and the functions of one.

use core::{
    alloc::{GlobalAlloc, Layout},
    ffi::c_void,
};

use super::{free, malloc, pass_on, take_all, verify};
use crate::{
    allocator, clashing, kernel, second,
    threads::{self, Thread, check_filled, dies, fill},
};

/// Small, medium, a run of slices, huge.
const SIZES: [usize; 6] = [1, 24, 1000, 20_000, 100_000, 5 << 20];

pub(super) fn two_copies_free_each_others_blocks() {
    threads::start();
    second::tls_is_real();
    for size in SIZES {
        let ours = malloc(size);
        // SAFETY: any size will do.
        let theirs = unsafe { second::alloc(size) };
        fill(ours, size, 1);
        fill(theirs.cast(), size, 2);
        dies(|| free(theirs.cast()));
        // SAFETY: it is not; this is what is to be noticed.
        dies(|| unsafe { second::free(ours.cast()) });
        check_filled(ours, size, 1);
        check_filled(theirs.cast(), size, 2);
        free(ours);
        // SAFETY: allocated above.
        unsafe { second::free(theirs) };
    }
    verify();
}

pub(super) fn two_copies_ask_about_each_others_blocks() {
    threads::start();
    for size in SIZES {
        // SAFETY: any size will do.
        let theirs = unsafe { second::alloc(size) };
        // SAFETY: it is not of this copy; this is what is to be noticed.
        dies(|| unsafe {
            allocator::alloc_usable_size(theirs);
        });
        // SAFETY: as above.
        dies(|| unsafe {
            allocator::realloc(theirs, 10);
        });
        // SAFETY: allocated above.
        unsafe { second::free(theirs) };
    }
    verify();
}

/// A loader and a library allocate before there is a thread pointer, and each is handed what the other has from then.
pub(super) fn two_copies_hand_over_what_is_older_than_the_thread_pointer() {
    require!(!threads::is_tls_real());
    let early = SIZES.map(|size| {
        let layout = Layout::from_size_align(size, 16).unwrap_or(Layout::new::<u8>());
        // SAFETY: the layout has a size.
        let ours = unsafe { allocator::NEWALLOCATOR.alloc(layout) };
        // SAFETY: as above.
        let theirs = unsafe { second::NEWALLOCATOR.alloc(layout) };
        fill(ours, size, 1);
        fill(theirs, size, 2);
        (size, ours, theirs)
    });
    threads::start();
    second::tls_is_real();
    for (size, ours, theirs) in early {
        dies(|| free(theirs));
        // SAFETY: it is not of this copy; this is what is to be noticed.
        dies(|| unsafe { second::free(ours.cast()) });
        // SAFETY: as above.
        dies(|| unsafe {
            allocator::realloc(theirs.cast(), 10);
        });
        // SAFETY: as above.
        dies(|| unsafe {
            second::realloc(ours.cast(), 10);
        });
        check_filled(ours, size, 1);
        check_filled(theirs, size, 2);
        free(ours);
        // SAFETY: allocated above.
        unsafe { second::free(theirs.cast()) };
    }
    require!(allocator::info().used == 0 && second::info().used == 0);
    verify();
}

/// Both are used in turn, by several threads, and neither sees the other's blocks.
pub(super) fn two_copies_work_side_by_side() {
    threads::start();
    let both = |seed: usize| {
        let mut theirs: [*mut c_void; 100] = [core::ptr::null_mut(); 100];
        for round in 0..50 {
            for (number, block) in theirs.iter_mut().enumerate() {
                // SAFETY: any size will do.
                *block = unsafe { second::alloc(number * 30) };
                fill(block.cast(), number * 30, seed);
            }
            if round % 10 == 0 {
                pass_on(seed);
            }
            for (number, &block) in theirs.iter().enumerate() {
                check_filled(block.cast(), number * 30, seed);
                // SAFETY: allocated above.
                unsafe { second::free(block) };
            }
        }
        second::thread_exits();
    };
    let threads = [1, 2].map(|seed| Thread::start(both, seed));
    both(3);
    threads.into_iter().for_each(Thread::join);
    take_all();
    verify();
    require!(allocator::info().used == 0 && second::info().used == 0);
}

pub(super) fn second_copy_on_the_same_words() {
    threads::start();
    clashing::tls_is_real();
    let block = malloc(10);
    dies(clashing::tls_is_real);
    free(block);
    verify();
}

#[expect(clippy::multiple_unsafe_ops_per_block, reason = "a list of calls")]
pub(super) fn functions_of_the_seam() {
    threads::start();
    // SAFETY: each block is used for what it is.
    unsafe {
        require!(!allocator::alloc(0).is_null());
        require!(allocator::alloc(usize::MAX / 2 + 1).is_null());
        require!(allocator::alloc_zeroed(usize::MAX).is_null());
        let block = allocator::realloc(core::ptr::null_mut(), 100);
        fill(block.cast(), 100, 4);
        let block = allocator::realloc(block, 50_000);
        check_filled(block.cast(), 100, 4);
        require!(allocator::alloc_usable_size(block) >= 50_000);
        // As relibc has it, and not as the GNU library.
        let block = allocator::realloc(block, 0);
        require!(!block.is_null());
        allocator::free(block);
        allocator::free(core::ptr::null_mut());
        require!(allocator::alloc_usable_size(core::ptr::null_mut()) == 0);
        for align in [1, 16, 64, 4096, 64 << 10, 4 << 20] {
            let block = allocator::alloc_align(100, align);
            require!(block.addr().is_multiple_of(align) && !block.is_null());
            allocator::free(block);
        }
        // A size that is served by its own class from the first block on.
        let dirty = malloc(1000);
        fill(dirty, 1000, 9);
        free(dirty);
        let clean = [(); 100].map(|()| allocator::alloc_zeroed(1000));
        require!(clean.contains(&dirty.cast()));
        for block in clean {
            check_filled(block.cast(), 1000, 0);
            allocator::free(block);
        }
    }
    let blocks = [(); 100].map(|()| malloc(1 << 20));
    blocks.iter().for_each(|&block| fill(block, 1 << 20, 1));
    let full = allocator::info();
    require!(full.used >= 100 << 20 && full.arena == full.used + full.free);
    blocks.into_iter().for_each(free);
    require!(allocator::trim());
    require!(allocator::info().arena < full.arena);
    verify();
}

#[expect(clippy::multiple_unsafe_ops_per_block, reason = "a list of calls")]
pub(super) fn break_moves() {
    threads::start();
    // SAFETY: nobody has memory at the break.
    unsafe {
        let at = |place: Option<*mut c_void>| place.map_or(0, |place| place.addr());
        let old = at(allocator::sbrk(0));
        require!(old != 0);
        require!(at(allocator::sbrk(1 << 20)) == old);
        let memory: *mut u8 = core::ptr::with_exposed_provenance_mut(old);
        fill(memory, 1 << 20, 6);
        check_filled(memory, 1 << 20, 6);
        require!(allocator::brk(memory.wrapping_add(100).cast()));
        require!(at(allocator::sbrk(0)) == old + 100);
        require!(allocator::sbrk(isize::MAX).is_none());
        require!(!allocator::brk(core::ptr::without_provenance_mut(
            usize::MAX
        )));
        require!(at(allocator::sbrk(0)) == old + 100);
    }
    free(malloc(10));
    verify();
}
