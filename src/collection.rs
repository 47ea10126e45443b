//! What the two `Allocator` traits have in common: blocks by layout, a layout of no bytes included.

use core::{
    alloc::{GlobalAlloc, Layout},
    ptr::NonNull,
};

use crate::{alloc, global_alloc::Ralloc, process::Instance};

/// `Ralloc` as the `Allocator` that the calling module has imported, with the `AllocError` beside it: the two traits have the same
/// methods.
macro_rules! implement_allocator {
    () => {
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
    };
}
pub(crate) use implement_allocator;

/// A block, and how many bytes of it were asked for.
fn slice(block: *mut u8, size: usize) -> Option<NonNull<[u8]>> {
    Some(NonNull::slice_from_raw_parts(NonNull::new(block)?, size))
}

/// The block of a layout without bytes.
fn nothing(layout: Layout) -> NonNull<[u8]> {
    NonNull::slice_from_raw_parts(dangling(layout), 0)
}

#[inline]
pub(crate) fn allocate<I: Instance>(ralloc: &Ralloc<I>, layout: Layout) -> Option<NonNull<[u8]>> {
    if layout.size() == 0 {
        return Some(nothing(layout));
    }
    // SAFETY: the layout has a size.
    slice(unsafe { ralloc.alloc(layout) }, layout.size())
}

#[inline]
pub(crate) fn allocate_zeroed<I: Instance>(
    ralloc: &Ralloc<I>,
    layout: Layout,
) -> Option<NonNull<[u8]>> {
    if layout.size() == 0 {
        return Some(nothing(layout));
    }
    // SAFETY: the layout has a size.
    slice(unsafe { ralloc.alloc_zeroed(layout) }, layout.size())
}

/// # Safety
///
/// As for `Allocator::deallocate`.
#[inline]
pub(crate) unsafe fn deallocate<I: Instance>(
    ralloc: &Ralloc<I>,
    block: NonNull<u8>,
    layout: Layout,
) {
    if layout.size() != 0 {
        // SAFETY: the caller's promise.
        unsafe { ralloc.dealloc(block.as_ptr(), layout) };
    }
}

/// # Safety
///
/// As for `Allocator::grow` or `Allocator::shrink`.
pub(crate) unsafe fn resize<I: Instance>(
    ralloc: &Ralloc<I>,
    block: NonNull<u8>,
    old: Layout,
    new: Layout,
) -> Option<NonNull<[u8]>> {
    let in_common = old.size().min(new.size());
    let is_aligned = block.as_ptr().addr().is_multiple_of(new.align());
    if in_common != 0 && is_aligned && new.align() <= old.align().max(alloc::MIN_ALIGN) {
        let layout = Layout::from_size_align(old.size(), new.align()).ok()?;
        // SAFETY: the caller's promise; the block is at a multiple of the new alignment.
        let moved = unsafe { ralloc.realloc(block.as_ptr(), layout, new.size()) };
        return slice(moved, new.size());
    }
    let moved = allocate(ralloc, new)?;
    // SAFETY: two blocks that both have so many bytes.
    unsafe { block.copy_to_nonoverlapping(moved.cast(), in_common) };
    // SAFETY: the caller gives the old block up.
    unsafe { deallocate(ralloc, block, old) };
    Some(moved)
}

/// A pointer at a multiple of the layout's alignment.
fn dangling(layout: Layout) -> NonNull<u8> {
    // SAFETY: an alignment is not 0.
    unsafe { NonNull::new_unchecked(core::ptr::without_provenance_mut(layout.align())) }
}
