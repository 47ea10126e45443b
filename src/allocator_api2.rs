//! `Ralloc` for collections that take an allocator, on stable Rust.

use core::{alloc::Layout, ptr::NonNull};

use allocator_api2::alloc::{AllocError, Allocator};

use crate::{collection, global_alloc::Ralloc, process::Instance};

// SAFETY: blocks are live until they are freed, wherever the handle is; all handles of an instance are the same allocator.
unsafe impl<I: Instance> Allocator for Ralloc<I> {
    #[inline]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        collection::allocate(self, layout).ok_or(AllocError)
    }

    #[inline]
    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        collection::allocate_zeroed(self, layout).ok_or(AllocError)
    }

    #[inline]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { collection::deallocate(self, block, layout) };
    }

    #[inline]
    unsafe fn grow(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promise.
        unsafe { collection::resize(self, block, old, new) }.ok_or(AllocError)
    }

    #[inline]
    unsafe fn shrink(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promise.
        unsafe { collection::resize(self, block, old, new) }.ok_or(AllocError)
    }
}
