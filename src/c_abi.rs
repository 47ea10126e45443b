//! The C functions, as the standards and manual pages have them, for any [`Instance`].
//!
//! Null exists here and nowhere below. `errno` is the instance's business: [`Instance::on_failure`] is told why.
//! The symbols themselves are in the package `libralloc`.
//!
//! ```
//! use ralloc::{Failure, Global, c_abi};
//!
//! // SAFETY: each block is live when it is used, and given up once.
//! unsafe {
//!     let block = c_abi::malloc::<Global>(100);
//!     assert!(c_abi::malloc_usable_size::<Global>(block) >= c_abi::malloc_good_size(100));
//!     let block = c_abi::realloc::<Global>(block, 200);
//!     let block = c_abi::reallocarray::<Global>(block, 10, 30);
//!     assert!(c_abi::reallocarray::<Global>(block, usize::MAX, 2).is_null());
//!     c_abi::free::<Global>(c_abi::reallocf::<Global>(block, 400));
//!
//!     let zeros = c_abi::calloc::<Global>(10, 20);
//!     let more = c_abi::recallocarray::<Global>(zeros, 10, 20, 20);
//!     assert_eq!(*more.add(399), 0);
//!     c_abi::freezero::<Global>(more, 400);
//!     c_abi::free_sized::<Global>(c_abi::malloc::<Global>(24), 24);
//!
//!     let page = c_abi::valloc::<Global>(10);
//!     assert!(page.addr().is_multiple_of(4096));
//!     let aligned = c_abi::posix_memalign::<Global>(64, 100).expect("there is memory");
//!     let others = [
//!         c_abi::aligned_alloc::<Global>(64, 100),
//!         c_abi::memalign::<Global>(48, 100),
//!         c_abi::pvalloc::<Global>(10),
//!     ];
//!     others.into_iter().chain([page, aligned.as_ptr()]).for_each(|block| c_abi::free::<Global>(block));
//! }
//! assert_eq!(c_abi::posix_memalign::<Global>(3, 100), Err(Failure::BadArgument));
//! c_abi::malloc_trim::<Global>();
//! ```

use core::{
    hint,
    ptr::{self, NonNull},
};

use ralloc_platform::Platform;

use crate::{
    alloc,
    config::{GRANULE, MEDIUM_MAX},
    large::good_size,
    process::{Failure, Instance},
    size_class::SizeClass,
};

/// `malloc` (ISO C): a unique block even for size 0.
#[inline(always)]
pub fn malloc<I: Instance>(size: usize) -> *mut u8 {
    alloc::allocate::<I>(size)
}

/// `free` (ISO C). Keeps `errno` (POSIX.1-2024).
///
/// # Safety
///
/// `block` is null or a live block of this instance.
#[inline(always)]
pub unsafe fn free<I: Instance>(block: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe { alloc::free::<I>(block) };
}

/// `free_sized` (ISO C23): as [`free`], of a block of which `size` bytes were asked for.
///
/// # Safety
///
/// As for [`free`], and the block was allocated with `size` bytes.
#[inline(always)]
pub unsafe fn free_sized<I: Instance>(block: *mut u8, size: usize) {
    // SAFETY: the caller's promise.
    unsafe { alloc::free_sized::<I>(block, size) };
}

/// `calloc` (ISO C). Fails with `ENOMEM` if the product overflows.
#[inline]
pub fn calloc<I: Instance>(count: usize, size: usize) -> *mut u8 {
    match count.checked_mul(size) {
        Some(bytes) => alloc::allocate_zeroed::<I>(bytes),
        None => fail::<I>(Failure::NoMemory),
    }
}

/// `realloc` (ISO C). Size 0 frees the block and returns null, as glibc does.
///
/// # Safety
///
/// `block` is null or a live block of this instance.
pub unsafe fn realloc<I: Instance>(block: *mut u8, size: usize) -> *mut u8 {
    let Some(live) = NonNull::new(block) else {
        return alloc::allocate::<I>(size);
    };
    if size == 0 {
        // SAFETY: the caller's promise.
        unsafe { alloc::free::<I>(block) };
        return ptr::null_mut();
    }
    // SAFETY: the caller's promise.
    unsafe { alloc::reallocate::<I>(live, size) }
}

/// `reallocarray` (POSIX.1-2024). Fails with `ENOMEM` if the product overflows; the block is as it was then.
///
/// # Safety
///
/// `block` is null or a live block of this instance.
pub unsafe fn reallocarray<I: Instance>(block: *mut u8, count: usize, size: usize) -> *mut u8 {
    match count.checked_mul(size) {
        // SAFETY: the caller's promise.
        Some(bytes) => unsafe { realloc::<I>(block, bytes) },
        None => fail::<I>(Failure::NoMemory),
    }
}

/// `aligned_alloc` (ISO C17): any power of two, any size. Fails with `EINVAL` for other alignments.
pub fn aligned_alloc<I: Instance>(align: usize, size: usize) -> *mut u8 {
    if !align.is_power_of_two() {
        return fail::<I>(Failure::BadArgument);
    }
    alloc::allocate_aligned::<I>(size, align)
}

/// `memalign` (obsolete): an alignment that is not a power of two is rounded up to one, as glibc does. Fails with
/// `EINVAL` if there is none.
pub fn memalign<I: Instance>(align: usize, size: usize) -> *mut u8 {
    match align.max(GRANULE).checked_next_power_of_two() {
        Some(align) => alloc::allocate_aligned::<I>(size, align),
        None => fail::<I>(Failure::BadArgument),
    }
}

/// `posix_memalign` (POSIX). `Err(BadArgument)` for an alignment that is not a power of two or not a multiple of the size
/// of a pointer.
pub fn posix_memalign<I: Instance>(align: usize, size: usize) -> Result<NonNull<u8>, Failure> {
    if !align.is_power_of_two() || align < size_of::<usize>() {
        return Err(Failure::BadArgument);
    }
    NonNull::new(alloc::allocate_aligned::<I>(size, align)).ok_or(Failure::NoMemory)
}

/// `valloc` (obsolete): at a multiple of the OS page.
pub fn valloc<I: Instance>(size: usize) -> *mut u8 {
    alloc::allocate_aligned::<I>(size, I::process().memory.kernel.page_size())
}

/// `pvalloc` (GNU): at a multiple of the OS page, the size rounded up to one. Fails with `ENOMEM` rather than wrap.
pub fn pvalloc<I: Instance>(size: usize) -> *mut u8 {
    let os_page = I::process().memory.kernel.page_size();
    match size.max(1).checked_next_multiple_of(os_page) {
        Some(size) => alloc::allocate_aligned::<I>(size, os_page),
        None => fail::<I>(Failure::NoMemory),
    }
}

/// `malloc_usable_size` (GNU): the bytes of the block that may be used; 0 for null.
///
/// # Safety
///
/// `block` is null or a live block of this instance.
pub unsafe fn malloc_usable_size<I: Instance>(block: *mut u8) -> usize {
    match NonNull::new(block) {
        // SAFETY: the caller's promise.
        Some(block) => unsafe { alloc::usable_size::<I>(block) },
        None => 0,
    }
}

/// `reallocf` (FreeBSD): as [`realloc`], but a block that cannot be resized is given back.
///
/// # Safety
///
/// `block` is null or a live block of this instance.
pub unsafe fn reallocf<I: Instance>(block: *mut u8, size: usize) -> *mut u8 {
    // SAFETY: the caller's promise.
    let new = unsafe { realloc::<I>(block, size) };
    if new.is_null() && size != 0 {
        // SAFETY: the caller's promise, and the block is as it was.
        unsafe { alloc::free::<I>(block) };
    }
    new
}

/// `recallocarray` (OpenBSD): as [`reallocarray`], but what is new reads zero, what is given up is cleared, and a size of 0 is
/// that of a block. Fails with `EINVAL` if the old product overflows, with `ENOMEM` if the new one does.
///
/// # Safety
///
/// `block` is null, or a live block of this instance that was allocated with `old_count * size` bytes.
pub unsafe fn recallocarray<I: Instance>(
    block: *mut u8,
    old_count: usize,
    new_count: usize,
    size: usize,
) -> *mut u8 {
    let Some(live) = NonNull::new(block) else {
        return calloc::<I>(new_count, size);
    };
    let Some(new_size) = new_count.checked_mul(size) else {
        return fail::<I>(Failure::NoMemory);
    };
    let Some(old_size) = old_count.checked_mul(size) else {
        return fail::<I>(Failure::BadArgument);
    };
    let Some(new) = NonNull::new(alloc::allocate_zeroed::<I>(new_size)) else {
        return ptr::null_mut();
    };
    // SAFETY: both blocks have that many bytes, and two live blocks do not overlap.
    unsafe { ptr::copy_nonoverlapping(live.as_ptr(), new.as_ptr(), old_size.min(new_size)) };
    // SAFETY: the caller's promise.
    unsafe { freezero::<I>(block, old_size) };
    new.as_ptr()
}

/// `freezero` (OpenBSD): clear the first `size` bytes, whatever the optimiser thinks of it, and give the block back.
///
/// # Safety
///
/// `block` is null or a live block of this instance.
pub unsafe fn freezero<I: Instance>(block: *mut u8, size: usize) {
    let Some(live) = NonNull::new(block) else {
        return;
    };
    // SAFETY: the caller's promise.
    let usable = unsafe { alloc::usable_size::<I>(live) };
    // SAFETY: the block has so many bytes, and its user gives them up.
    unsafe { live.write_bytes(0, size.min(usable)) };
    // The block is freed by code that the optimiser cannot see through from here.
    // SAFETY: the caller's promise.
    unsafe { alloc::free::<I>(hint::black_box(block)) };
}

/// `malloc_good_size` (macOS): the usable size of the block that [`malloc`] would return for `size`; the first few blocks of a class may be larger,
/// see [`Tuning::LENT_BYTES`](crate::Tuning::LENT_BYTES).
pub fn malloc_good_size(size: usize) -> usize {
    if size <= MEDIUM_MAX {
        return SizeClass::of(size).size();
    }
    good_size(size)
}

/// `malloc_trim` (GNU): give back what can be given back. Whether anything was.
pub fn malloc_trim<I: Instance>() -> bool {
    alloc::trim::<I>()
}

#[cold]
fn fail<I: Instance>(why: Failure) -> *mut u8 {
    I::on_failure(why);
    ptr::null_mut()
}
