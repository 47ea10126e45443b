//! The native verbs, for any [`Instance`]: what the C library's cannot do. The functions of the same names at the root of the crate
//! are these, for [`Global`](crate::Global).
//!
//! A block is known by where it begins and how many bytes of it were asked for; sizes and alignments are in bytes. An alignment is any
//! number but 0. A block of no bytes is no block: a pointer that is not null, at a multiple of the alignment, which may be freed
//! and resized as any other.
//!
//! ```
//! use ralloc::native;
//!
//! ralloc::instance! {
//!     /// An allocator beside that of the program.
//!     pub struct Mine: ralloc::Defaults;
//! }
//!
//! let block = native::alloc::<Mine>(1000, 24);
//! assert!(block.addr().get().is_multiple_of(24));
//! let zeros = native::alloc_zeroed::<Mine>(1000, 8);
//! assert!(native::try_alloc::<Mine>(usize::MAX, 8).is_err());
//! // SAFETY: each block has the size that is said, and is given up once.
//! unsafe {
//!     let room = native::usable_size::<Mine>(block, 1000);
//!     native::realloc_inplace::<Mine>(block, 1000, room).expect("there is room");
//!     let block = native::realloc::<Mine>(block, room, 5000, 24);
//!     native::free::<Mine>(block, 5000);
//!     let zeros = native::try_realloc::<Mine>(zeros, 1000, 2000, 8).expect("there is memory");
//!     native::free::<Mine>(zeros, 2000);
//! }
//! let arena = Box::leak(Box::new([0_u8; 1 << 20])).as_mut_ptr();
//! // SAFETY: nobody else has the memory, which stays for the rest of the process.
//! let used = unsafe { native::donate::<Mine>(std::ptr::NonNull::new(arena).expect("not null"), 1 << 20) };
//! assert!(used > 0);
//! ```

use core::ptr::{self, NonNull};

use crate::{
    alloc as verbs,
    large::SIZE_MAX,
    odd,
    oom::{OutOfMemory, exhausted, insist},
    partial,
    process::Instance,
    resize, secure,
};

/// A block of at least `size` bytes at a multiple of `align`.
///
/// If there is no memory the handler is asked ([`set_oom_handler`](crate::set_oom_handler)); if that gives up, or there is none, the
/// process ends with the line `ralloc: out of memory: ` and the size.
///
/// # Panics
///
/// If `align` is 0.
pub fn alloc<I: Instance>(size: usize, align: usize) -> NonNull<u8> {
    let block = insist::<I>(size, align, || fetch::<I>(size, align, false));
    NonNull::new(block).unwrap_or_else(|| exhausted::<I>(OutOfMemory { size, align }))
}

/// As [`alloc`], all `size` bytes zero. Memory that is known to read zero is not cleared again.
///
/// # Panics
///
/// If `align` is 0.
pub fn alloc_zeroed<I: Instance>(size: usize, align: usize) -> NonNull<u8> {
    let block = insist::<I>(size, align, || fetch::<I>(size, align, true));
    NonNull::new(block).unwrap_or_else(|| exhausted::<I>(OutOfMemory { size, align }))
}

/// As [`alloc`], but asks no handler.
///
/// # Errors
///
/// There is no memory, or there could never be so much (`size` is above `isize::MAX`).
///
/// # Panics
///
/// If `align` is 0.
pub fn try_alloc<I: Instance>(size: usize, align: usize) -> Result<NonNull<u8>, OutOfMemory> {
    NonNull::new(fetch::<I>(size, align, false)).ok_or(OutOfMemory { size, align })
}

/// A block, or null.
pub(crate) fn fetch<I: Instance>(size: usize, align: usize, zeroed: bool) -> *mut u8 {
    assert!(align != 0, "ralloc: an alignment of 0");
    if size == 0 {
        return ptr::without_provenance_mut(align);
    }
    if size > SIZE_MAX {
        return ptr::null_mut();
    }
    if partial::is_on::<I>() {
        return partial::allocate::<I>(size, align, zeroed);
    }
    odd::allocate::<I>(size, align, zeroed)
}

/// Give back the block of `size` bytes at `block`.
///
/// In an instance with [`Tuning::PARTIAL`](crate::Tuning::PARTIAL) it may be a part of a block.
///
/// # Safety
///
/// `block` was allocated by this instance, or resized, with `size` bytes, and is not used any more.
///
/// # Panics
///
/// In debug builds, if this instance can have no such block.
#[inline]
pub unsafe fn free<I: Instance>(block: NonNull<u8>, size: usize) {
    if size == 0 {
        return;
    }
    if cfg!(debug_assertions) {
        check::<I>(block, size);
    }
    if partial::is_on::<I>() {
        // SAFETY: the caller's promise.
        unsafe { partial::free::<I>(block.as_ptr(), size) };
    } else {
        // SAFETY: the caller's promise.
        unsafe { verbs::free_sized::<I>(block.as_ptr(), size) };
    }
}

/// A block of `size` bytes at a multiple of `align` with the contents of the `old` bytes at `block`, which is given back; in
/// place if that wastes little. If there is no memory: as [`alloc`].
///
/// # Safety
///
/// As for [`free`] with `old` bytes, and `block` is at a multiple of `align`.
///
/// # Panics
///
/// If `align` is 0; in debug builds, if this instance can have no such block.
pub unsafe fn realloc<I: Instance>(
    block: NonNull<u8>,
    old: usize,
    size: usize,
    align: usize,
) -> NonNull<u8> {
    // SAFETY: the caller's promise; a request that fails leaves the block as it was.
    let attempt = || unsafe { refetch::<I>(block, old, size, align) };
    let new = insist::<I>(size, align, attempt);
    NonNull::new(new).unwrap_or_else(|| exhausted::<I>(OutOfMemory { size, align }))
}

/// As [`realloc`], but asks no handler.
///
/// # Errors
///
/// As for [`try_alloc`]; then `block` is as it was.
///
/// # Safety
///
/// As for [`realloc`].
///
/// # Panics
///
/// As for [`realloc`].
pub unsafe fn try_realloc<I: Instance>(
    block: NonNull<u8>,
    old: usize,
    size: usize,
    align: usize,
) -> Result<NonNull<u8>, OutOfMemory> {
    // SAFETY: the caller's promise.
    let new = unsafe { refetch::<I>(block, old, size, align) };
    NonNull::new(new).ok_or(OutOfMemory { size, align })
}

/// A block of another size in place of `block`, or null.
///
/// # Safety
///
/// As for [`realloc`].
pub(crate) unsafe fn refetch<I: Instance>(
    block: NonNull<u8>,
    old: usize,
    size: usize,
    align: usize,
) -> *mut u8 {
    assert!(align != 0, "ralloc: an alignment of 0");
    if old == 0 {
        return fetch::<I>(size, align, false);
    }
    if size == 0 {
        // SAFETY: the caller's promise.
        unsafe { free::<I>(block, old) };
        return ptr::without_provenance_mut(align);
    }
    if size > SIZE_MAX {
        return ptr::null_mut();
    }
    if cfg!(debug_assertions) {
        check::<I>(block, old);
    }
    if partial::is_on::<I>() {
        // SAFETY: the caller's promise.
        unsafe { partial::reallocate::<I>(block, old, size, align) }
    } else {
        // SAFETY: the caller's promise.
        unsafe { odd::reallocate::<I>(block, size, align) }
    }
}

/// Make the block of `old` bytes at `block` one of `size` bytes where it stands. Nothing is ever copied.
///
/// Making a block smaller succeeds, unless to nothing; what can be given back of it is: whole slices (64 KiB) of a block above 32 KiB,
/// whole chunks (4 MiB) of one above 2 MiB.
///
/// # Errors
///
/// It cannot grow where it stands, or one of the sizes is 0 and the other is not; then it is as it was.
///
/// # Safety
///
/// As for [`free`] with `old` bytes, if that succeeds, for the bytes behind `size`.
///
/// # Panics
///
/// In debug builds, if this instance can have no such block.
#[expect(clippy::result_unit_err, reason = "there is one way to fail")]
pub unsafe fn realloc_inplace<I: Instance>(
    block: NonNull<u8>,
    old: usize,
    size: usize,
) -> Result<(), ()> {
    if old == size {
        return Ok(());
    }
    if old == 0 || size == 0 || size > SIZE_MAX {
        return Err(());
    }
    if cfg!(debug_assertions) {
        check::<I>(block, old);
    }
    let done = if partial::is_on::<I>() {
        // SAFETY: the caller's promise.
        unsafe { partial::resize_in_place::<I>(block, old, size, true) }
    } else {
        // SAFETY: the caller's promise.
        unsafe { resize::resize_where_it_stands::<I>(block, size) }
    };
    if done { Ok(()) } else { Err(()) }
}

/// The bytes from `block` on that may be used: at least as many as were asked for. All of them may be given as the size when
/// the block is freed or resized, but in an instance with [`Tuning::PARTIAL`](crate::Tuning::PARTIAL), where every byte is
/// counted: there they are those that were asked for.
///
/// # Safety
///
/// `block` is a live block of this instance of `size` bytes.
pub unsafe fn usable_size<I: Instance>(block: NonNull<u8>, size: usize) -> usize {
    if size == 0 || partial::is_on::<I>() {
        return size;
    }
    // SAFETY: the caller's promise.
    unsafe { verbs::usable_size::<I>(block) }
}

/// As [`donate`](crate::donate), for an instance.
///
/// # Safety
///
/// The memory may be read and written for the rest of the process, and is given up.
pub unsafe fn donate<I: Instance>(start: NonNull<u8>, size: usize) -> usize {
    // The first chunk is the kernel's: that one is extended where it stands.
    let first = verbs::allocate::<I>(1);
    if first.is_null() {
        return 0;
    }
    // SAFETY: allocated above.
    unsafe { verbs::free::<I>(first) };
    // SAFETY: the caller's promise.
    unsafe { I::process().memory.donate(start, size) }
}

/// End the program if this instance can have no block of `size` bytes at `block`.
pub(crate) fn check<I: Instance>(block: NonNull<u8>, size: usize) {
    if secure::is_on::<I>() {
        // The verb itself looks, and says more.
        return;
    }
    let process = I::process();
    assert!(
        process.memory.has(block),
        "ralloc: {block:p} is not a block of this allocator"
    );
    // SAFETY: the address lies in memory of ours. That a block begins there is the caller's promise.
    let usable = if partial::is_on::<I>() {
        // SAFETY: as above.
        unsafe { partial::bytes_from::<I>(block) }
    } else {
        // SAFETY: as above.
        unsafe { verbs::usable_size::<I>(block) }
    };
    assert!(
        size <= usable,
        "ralloc: {block:p} is a block of {usable} bytes, not of {size}"
    );
}
