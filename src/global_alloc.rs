//! ralloc as the allocator of a Rust program.

use core::{
    alloc::{GlobalAlloc, Layout},
    marker::PhantomData,
    ptr::NonNull,
};

use ralloc_platform::{StaticBlock, System, on_load};

use crate::{
    alloc,
    config::Defaults,
    process::{Instance, Process},
    thread,
};

/// The allocator of the process, for `#[global_allocator]`.
///
/// ```
/// #[global_allocator]
/// static GLOBAL: ralloc::Ralloc = ralloc::Ralloc::new();
///
/// let numbers: Vec<u64> = (0..1000).collect();
/// assert_eq!(numbers.iter().sum::<u64>(), 499_500);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Ralloc<I = Global>(PhantomData<fn() -> I>);

impl<I> Ralloc<I> {
    /// A handle. All handles of one instance are the same allocator.
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// The instance behind [`Ralloc`]: the system's kernel, the default policy.
#[derive(Clone, Copy, Debug, Default)]
pub struct Global;

static PROCESS: Process<Global> = Process::new(System);

// SAFETY: the state is one static.
unsafe impl Instance for Global {
    type Platform = System;
    type Thread = StaticBlock;
    type Tuning = Defaults;

    #[inline(always)]
    fn process() -> &'static Process<Self> {
        &PROCESS
    }
}

on_load!(thread::install::<Global>);

// SAFETY: blocks are at least as large and as aligned as asked for, belong to one user until freed, and no method unwinds.
unsafe impl<I: Instance> GlobalAlloc for Ralloc<I> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= alloc::MIN_ALIGN {
            alloc::allocate::<I>(layout.size())
        } else {
            alloc::allocate_aligned::<I>(layout.size(), layout.align())
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { alloc::free::<I>(block) };
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= alloc::MIN_ALIGN {
            alloc::allocate_zeroed::<I>(layout.size())
        } else {
            alloc::allocate_aligned_zeroed::<I>(layout.size(), layout.align())
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: a live block is not null.
        let block = unsafe { NonNull::new_unchecked(block) };
        // SAFETY: the caller's promise.
        unsafe { alloc::reallocate_aligned::<I>(block, new_size, layout.align()) }
    }
}
