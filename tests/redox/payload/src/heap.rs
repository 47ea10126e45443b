//! Memory for the tests themselves: the maps of the oracle, stacks, closures. From an arena that is mapped once, so that the
//! calls that are counted are those of the allocator under test.

use core::{
    alloc::{GlobalAlloc, Layout},
    cell::UnsafeCell,
    sync::atomic::{
        AtomicBool, AtomicU64, AtomicUsize,
        Ordering::{Acquire, Relaxed, Release},
    },
};
use dlmalloc::{Allocator, Dlmalloc};
use syscall::{MapFlags, data::Map};

/// Addresses that nobody else chooses. Touched as far as it is needed.
const ARENA: usize = 1 << 40;
const ARENA_SIZE: usize = 256 << 20;

/// Stacks, with holes between them. Mapped when they are first used, and used again.
const STACKS: usize = ARENA + (1 << 39);
const STACKS_APART: usize = 2 << 20;
const STACK_SIZE: usize = 1 << 20;

/// Map the arena.
pub fn open() {
    map(ARENA, ARENA_SIZE);
}

fn map(address: usize, size: usize) {
    let map = Map {
        offset: 0,
        size,
        flags: MapFlags::PROT_READ
            | MapFlags::PROT_WRITE
            | MapFlags::MAP_PRIVATE
            | MapFlags::MAP_FIXED_NOREPLACE,
        address,
    };
    // SAFETY: replaces nothing.
    let mapped = unsafe { syscall::fmap(!0, &map) };
    assert!(mapped == Ok(address), "no memory for the tests: {mapped:?}");
}

/// A stack, from when it is taken until it is dropped.
pub struct Stack(usize);

/// Stacks that have been mapped, and those of them that are in use.
static STACKS_MAPPED: AtomicU64 = AtomicU64::new(0);
static STACKS_USED: AtomicU64 = AtomicU64::new(0);

impl Stack {
    /// Take one that nobody uses.
    pub fn take() -> Self {
        for number in 0..u64::BITS as usize {
            let bit = 1 << number;
            // Acquire: pairs with the Release in `drop`.
            if STACKS_USED.fetch_or(bit, Acquire) & bit != 0 {
                continue;
            }
            if STACKS_MAPPED.fetch_or(bit, Relaxed) & bit == 0 {
                map(STACKS + number * STACKS_APART, STACK_SIZE);
            }
            return Self(number);
        }
        panic!("too many threads at a time")
    }

    /// Its upper end.
    pub fn top(&self) -> usize {
        STACKS + self.0 * STACKS_APART + STACK_SIZE
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        STACKS_USED.fetch_and(!(1 << self.0), Release);
    }
}

/// How much of the arena is given out.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// The arena, as a kernel that only gives.
struct Arena;

// SAFETY: every part is given out once.
unsafe impl Allocator for Arena {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        let size = size.next_multiple_of(4096);
        let start = TAKEN.fetch_add(size, Relaxed);
        if start + size > ARENA_SIZE {
            return (core::ptr::null_mut(), 0, 0);
        }
        let start = core::ptr::with_exposed_provenance_mut(ARENA + start);
        (start, size, 0)
    }

    fn remap(&self, _: *mut u8, _: usize, _: usize, _: bool) -> *mut u8 {
        core::ptr::null_mut()
    }

    fn free_part(&self, _: *mut u8, _: usize, _: usize) -> bool {
        false
    }

    fn free(&self, _: *mut u8, _: usize) -> bool {
        false
    }

    fn can_release_part(&self, _: u32) -> bool {
        false
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        4096
    }
}

/// A lock that lets others run while it waits. The shared tests ask for one of this name.
pub struct Lock<T> {
    held: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: whoever holds the lock is alone with the value.
unsafe impl<T: Send> Sync for Lock<T> {}

/// The right to the value.
pub struct Guard<'a, T>(&'a Lock<T>);

impl<T> Lock<T> {
    pub const fn new(value: T) -> Self {
        Self {
            held: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }
    }

    pub fn lock(&self) -> Guard<'_, T> {
        // Acquire: pairs with the Release in `drop`.
        while self.held.swap(true, Acquire) {
            let _ = syscall::sched_yield();
        }
        Guard(self)
    }

    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T> core::ops::Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the lock is held.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> core::ops::DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held, by this guard alone.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `lock`.
        self.0.held.store(false, Release);
    }
}

struct Heap(Lock<Dlmalloc<Arena>>);

#[global_allocator]
static HEAP: Heap = Heap(Lock::new(Dlmalloc::new_with_allocator(Arena)));

// SAFETY: blocks are dlmalloc's, under a lock.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { self.0.lock().malloc(layout.size(), layout.align()) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { self.0.lock().free(block, layout.size(), layout.align()) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe {
            self.0
                .lock()
                .realloc(block, layout.size(), layout.align(), size)
        }
    }
}
