//! What the work is done on: ralloc, and what the libc has today, dlmalloc behind one futex.

use crate::common::Case;
use core::{
    cell::UnsafeCell,
    ptr,
    sync::atomic::{
        AtomicI32,
        Ordering::{Acquire, Relaxed, Release},
    },
};
use dlmalloc::{Allocator, Dlmalloc};
use ralloc::c_abi;
use ralloc_platform::{Platform, redox::Redox};
use syscall::{FUTEX_WAIT, FUTEX_WAKE};

/// An allocator.
pub trait Subject: Sync {
    const NAME: &'static str;
    fn allocate(&self, size: usize) -> *mut u8;
    /// # Safety
    ///
    /// The block is of this subject, of this size, and live.
    unsafe fn free(&self, block: *mut u8, size: usize);
}

pub struct Ours;

impl Subject for Ours {
    const NAME: &'static str = "ralloc";

    fn allocate(&self, size: usize) -> *mut u8 {
        c_abi::malloc::<Case>(size)
    }

    unsafe fn free(&self, block: *mut u8, _: usize) {
        // SAFETY: the caller's promise.
        unsafe { c_abi::free::<Case>(block) }
    }
}

/// No allocator: any block of a size is the same one. What the work costs by itself.
pub struct Nothing;

/// Blocks of [`Nothing`].
static mut BLOCKS: [u128; 1 << 12] = [0; 1 << 12];

impl Subject for Nothing {
    const NAME: &'static str = "nothing";

    fn allocate(&self, size: usize) -> *mut u8 {
        let blocks = (&raw mut BLOCKS).cast::<u128>();
        // SAFETY: within the array, and the rest of the block is not written.
        unsafe { blocks.add(size * 7 % (1 << 12)).cast() }
    }

    unsafe fn free(&self, _: *mut u8, _: usize) {}
}

/// The kernel, as dlmalloc asks it for memory in the libc of today.
struct Pages;

// SAFETY: fresh memory from the kernel, which is given back as it was taken.
unsafe impl Allocator for Pages {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        match Redox.map(size, 4096) {
            Some(base) => (base.as_ptr(), size, 0),
            None => (ptr::null_mut(), 0, 0),
        }
    }

    fn remap(&self, _: *mut u8, _: usize, _: usize, _: bool) -> *mut u8 {
        ptr::null_mut()
    }

    fn free_part(&self, base: *mut u8, old: usize, new: usize) -> bool {
        let tail = ptr::NonNull::new(base.wrapping_add(new));
        // SAFETY: the tail of what `alloc` has mapped.
        tail.is_some_and(|tail| unsafe { Redox.unmap(tail, old - new) })
    }

    fn free(&self, base: *mut u8, size: usize) -> bool {
        // SAFETY: what `alloc` has mapped.
        ptr::NonNull::new(base).is_some_and(|base| unsafe { Redox.unmap(base, size) })
    }

    fn can_release_part(&self, _: u32) -> bool {
        true
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        4096
    }
}

/// dlmalloc behind a lock that waits in the kernel: 0 free, 1 held, 2 held and somebody may be waiting.
pub struct Peer {
    word: AtomicI32,
    heap: UnsafeCell<Dlmalloc<Pages>>,
}

// SAFETY: the heap is used under the lock.
unsafe impl Sync for Peer {}

impl Peer {
    pub const fn new() -> Self {
        Self {
            word: AtomicI32::new(0),
            heap: UnsafeCell::new(Dlmalloc::new_with_allocator(Pages)),
        }
    }

    fn locked<R>(&self, work: impl FnOnce(&mut Dlmalloc<Pages>) -> R) -> R {
        // Acquire: pairs with the Release below.
        if self.word.compare_exchange(0, 1, Acquire, Relaxed).is_err() {
            while self.word.swap(2, Acquire) != 0 {
                self.futex(FUTEX_WAIT, 2);
            }
        }
        // SAFETY: the lock is held.
        let result = work(unsafe { &mut *self.heap.get() });
        if self.word.swap(0, Release) == 2 {
            self.futex(FUTEX_WAKE, 1);
        }
        result
    }

    fn futex(&self, operation: usize, value: i32) {
        // SAFETY: a word of ours; it returns when it has changed, at the latest when it is woken.
        let _ = unsafe { syscall::futex(self.word.as_ptr(), operation, value, 0, ptr::null_mut()) };
    }
}

impl Subject for Peer {
    const NAME: &'static str = "dlmalloc and a lock";

    fn allocate(&self, size: usize) -> *mut u8 {
        // SAFETY: any size and alignment will do.
        self.locked(|heap| unsafe { heap.malloc(size, 16) })
    }

    unsafe fn free(&self, block: *mut u8, size: usize) {
        // SAFETY: the caller's promise.
        self.locked(|heap| unsafe { heap.free(block, size, 16) });
    }
}
