//! ralloc behind the traits of Rust.

use core::{
    alloc::{GlobalAlloc, Layout},
    marker::PhantomData,
    mem,
    ptr::NonNull,
};

use crate::{
    alloc, config::SMALL_MAX, global_instance::Global, native, oom::insist, partial,
    process::Instance, secure, size_class::SizeClass, thread,
};

/// The allocator of an instance, for `#[global_allocator]` and for collections with an allocator of their own.
///
/// ```
/// #[global_allocator]
/// static GLOBAL: ralloc::Ralloc = ralloc::Ralloc::new();
///
/// let numbers: Vec<u64> = (0..1000).collect();
/// assert_eq!(numbers.iter().sum::<u64>(), 499_500);
/// ```
///
/// `alloc` with a layout that the compiler knows is five instructions on x86-64 and one that fetches the next block's line, with the
/// feature `std` in a program that is optimised at link time: `Box::new` and `std::alloc::alloc` as well. Without `std` it is eight and
/// one, with `local-exec` instead seven and one. More are executed if the
/// thread has no block of that size at hand. When there is no memory the handler is asked, see
/// [`oom`](crate::oom); if there is none, or it gives up, the answer is null.
///
/// What can be seen to be wrong (a block that is not of this allocator, or has fewer bytes than the layout says) ends
/// the process in debug builds, and is not looked for in release builds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ralloc<I = Global>(PhantomData<fn() -> I>);

impl<I> Ralloc<I> {
    /// A handle. All handles of one instance are the same allocator.
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

// SAFETY: blocks are at least as large and as aligned as asked for, belong to one user until freed, and no method unwinds.
unsafe impl<I: Instance> GlobalAlloc for Ralloc<I> {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() <= SMALL_MAX
            && layout.align() <= alloc::MIN_ALIGN
            && !partial::is_on::<I>()
            && !secure::is_on::<I>()
            && let Some(block) = thread::take_head::<I>(SizeClass::of_small(layout.size()))
        {
            return block.start().as_ptr();
        }
        allocate::<I>(layout.size(), layout.align())
    }

    #[inline(always)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { free::<I>(block, layout.size()) };
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        insist_here::<I>(size, align, || {
            if partial::is_on::<I>() {
                partial::allocate::<I>(size, align, true)
            } else {
                alloc::allocate_aligned_zeroed::<I>(size, align)
            }
        })
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: a live block is not null.
        let block = unsafe { NonNull::new_unchecked(block) };
        if cfg!(debug_assertions) {
            check::<I>(block, layout.size());
        }
        insist_here::<I>(new_size, layout.align(), || {
            if partial::is_on::<I>() {
                // SAFETY: the caller's promise; a request that fails leaves the block as it was.
                unsafe { partial::reallocate::<I>(block, layout.size(), new_size, layout.align()) }
            } else {
                // SAFETY: as above.
                unsafe { alloc::reallocate_aligned::<I>(block, new_size, layout.align()) }
            }
        })
    }
}

/// What [`GlobalAlloc::alloc`] does when there is no block at hand.
#[inline(never)]
fn allocate<I: Instance>(size: usize, align: usize) -> *mut u8 {
    insist_here::<I>(size, align, || {
        if partial::is_on::<I>() {
            partial::allocate::<I>(size, align, false)
        } else {
            alloc::allocate_aligned::<I>(size, align)
        }
    })
}

/// As [`insist`], but a handler that unwinds ends the process: a global allocator must not.
fn insist_here<I: Instance>(
    size: usize,
    align: usize,
    attempt: impl FnMut() -> *mut u8,
) -> *mut u8 {
    let bomb = Unwinding;
    let block = insist::<I>(size, align, attempt);
    mem::forget(bomb);
    block
}

/// Dropped only by a panic that passes through; a second one ends the process.
struct Unwinding;

impl Drop for Unwinding {
    fn drop(&mut self) {
        panic!("ralloc: an out-of-memory handler unwinds from GlobalAlloc");
    }
}

/// # Safety
///
/// As for [`GlobalAlloc::dealloc`].
#[inline(always)]
unsafe fn free<I: Instance>(block: *mut u8, size: usize) {
    if cfg!(debug_assertions) {
        // SAFETY: a live block is not null.
        check::<I>(unsafe { NonNull::new_unchecked(block) }, size);
    }
    if partial::is_on::<I>() {
        // SAFETY: the caller's promise.
        unsafe { partial::free::<I>(block, size) };
    } else {
        // SAFETY: the caller's promise.
        unsafe { alloc::free_sized::<I>(block, size) };
    }
}

/// As [`native::check`], but a panic ends the process here: an allocator does not unwind.
extern "C" fn check<I: Instance>(block: NonNull<u8>, size: usize) {
    native::check::<I>(block, size);
}
