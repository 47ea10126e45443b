//! The allocator of a Rust program, and its verbs as plain functions.

use core::ptr::NonNull;

use crate::{
    alloc as verbs,
    global_instance::Global,
    native,
    oom::{self, OomHandler, OutOfMemory},
    process::{Failure, Instance},
    sbrk as program_break,
    stats::{self, Stats},
};

/// A block of at least `size` bytes at a multiple of `align`, which may be any number but 0.
///
/// ```
/// let block = ralloc::alloc(1000, 24);
/// assert_eq!(block.addr().get() % 24, 0);
/// // SAFETY: allocated above with this size, freed once.
/// unsafe { ralloc::free(block, 1000) };
/// ```
///
/// A block of no bytes is a pointer that is not null, at a multiple of the alignment, and costs nothing.
///
/// If there is no memory the handler is asked ([`set_oom_handler`]); if that gives up, or there is none, the process ends
/// with the line `ralloc: out of memory: ` and the size.
///
/// # Panics
///
/// If `align` is 0.
#[inline]
pub fn alloc(size: usize, align: usize) -> NonNull<u8> {
    native::alloc::<Global>(size, align)
}

/// As [`alloc()`], but asks no handler.
///
/// ```
/// assert!(ralloc::try_alloc(usize::MAX, 16).is_err());
/// ```
///
/// # Errors
///
/// There is no memory, or there could never be so much (`size` is above `isize::MAX`).
///
/// # Panics
///
/// If `align` is 0.
#[inline]
pub fn try_alloc(size: usize, align: usize) -> Result<NonNull<u8>, OutOfMemory> {
    native::try_alloc::<Global>(size, align)
}

/// As [`alloc()`], all `size` bytes zero. Memory that is known to read zero is not cleared again.
///
/// ```
/// let block = ralloc::alloc_zeroed(4096, 16);
/// // SAFETY: the block has 4096 bytes.
/// assert!(unsafe { core::slice::from_raw_parts(block.as_ptr(), 4096) }.iter().all(|&byte| byte == 0));
/// # // SAFETY: allocated above with this size, freed once.
/// # unsafe { ralloc::free(block, 4096) };
/// ```
///
/// # Panics
///
/// If `align` is 0.
#[inline]
pub fn alloc_zeroed(size: usize, align: usize) -> NonNull<u8> {
    native::alloc_zeroed::<Global>(size, align)
}

/// Give back the block of `size` bytes at `block`. Any thread may.
///
/// ```
/// let block = ralloc::alloc(100, 8);
/// // SAFETY: allocated above with this size, freed once.
/// unsafe { ralloc::free(block, 100) };
/// ```
///
/// # Safety
///
/// `block` was allocated by this allocator, or resized, with `size` bytes, and is not used any more.
///
/// # Panics
///
/// In debug builds, if this allocator can have no such block.
#[inline]
pub unsafe fn free(block: NonNull<u8>, size: usize) {
    // SAFETY: the caller's promise.
    unsafe { native::free::<Global>(block, size) };
}

/// A block of `size` bytes at a multiple of `align` with the contents of the `old` bytes at `block`, which is given back; in
/// place if that wastes little. If there is no memory: as [`alloc()`].
///
/// ```
/// let small = ralloc::alloc(10, 1);
/// // SAFETY: the block has 10 bytes, then 100.
/// unsafe {
///     small.write_bytes(7, 10);
///     let large = ralloc::realloc(small, 10, 100, 1);
///     assert_eq!(large.add(9).read(), 7);
///     ralloc::free(large, 100);
/// }
/// ```
///
/// # Safety
///
/// As for [`free`] with `old` bytes, and `block` is at a multiple of `align`.
///
/// # Panics
///
/// If `align` is 0; in debug builds, if this allocator can have no such block.
#[inline]
pub unsafe fn realloc(block: NonNull<u8>, old: usize, size: usize, align: usize) -> NonNull<u8> {
    // SAFETY: the caller's promise.
    unsafe { native::realloc::<Global>(block, old, size, align) }
}

/// As [`realloc`], but asks no handler.
///
/// ```
/// let block = ralloc::alloc(10, 1);
/// // SAFETY: the block has 10 bytes, also after a request that failed.
/// unsafe {
///     assert!(ralloc::try_realloc(block, 10, usize::MAX, 1).is_err());
///     ralloc::free(block, 10);
/// }
/// ```
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
#[inline]
pub unsafe fn try_realloc(
    block: NonNull<u8>,
    old: usize,
    size: usize,
    align: usize,
) -> Result<NonNull<u8>, OutOfMemory> {
    // SAFETY: the caller's promise.
    unsafe { native::try_realloc::<Global>(block, old, size, align) }
}

/// Make the block of `old` bytes at `block` one of `size` bytes where it stands. Nothing is ever copied.
///
/// Making a block smaller succeeds, unless to nothing; what can be given back of it is: whole slices (64 KiB) of a block above 32 KiB,
/// whole chunks (4 MiB) of one above 2 MiB.
///
/// ```
/// let block = ralloc::alloc(100_000, 16);
/// // SAFETY: the block has as many bytes as is said.
/// unsafe {
///     assert!(ralloc::realloc_inplace(block, 100_000, 70_000).is_ok());
///     ralloc::free(block, 70_000);
/// }
/// ```
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
/// In debug builds, if this allocator can have no such block.
#[expect(clippy::result_unit_err, reason = "there is one way to fail")]
#[inline]
pub unsafe fn realloc_inplace(block: NonNull<u8>, old: usize, size: usize) -> Result<(), ()> {
    // SAFETY: the caller's promise.
    unsafe { native::realloc_inplace::<Global>(block, old, size) }
}

/// The bytes from `block` on that may be used: at least the `size` that were asked for. Any number between the two may be
/// given as the size when the block is freed or resized.
///
/// ```
/// let block = ralloc::alloc(100, 1);
/// // SAFETY: allocated above with this size.
/// assert!(unsafe { ralloc::usable_size(block, 100) } >= 100);
/// # // SAFETY: as above, freed once.
/// # unsafe { ralloc::free(block, 100) };
/// ```
///
/// # Safety
///
/// `block` is a live block of this allocator of `size` bytes.
pub unsafe fn usable_size(block: NonNull<u8>, size: usize) -> usize {
    // SAFETY: the caller's promise.
    unsafe { native::usable_size::<Global>(block, size) }
}

/// Move the program break by `increment` bytes (`sbrk`, SUSv2). Returns where it was. The heap never uses the break, so
/// moving it harms nothing.
///
/// ```
/// // SAFETY: nobody else in this program uses the break.
/// unsafe {
///     let mine = ralloc::sbrk(4096)?;
///     mine.write_bytes(7, 4096);
///     assert_eq!(ralloc::sbrk(-4096)?, mine.add(4096));
/// }
/// # Ok::<(), ralloc::Failure>(())
/// ```
///
/// # Errors
///
/// The kernel refuses, or has no break; then it is where it was.
///
/// # Safety
///
/// A break that is moved down leaves alone what others have placed there.
pub unsafe fn sbrk(increment: isize) -> Result<*mut u8, Failure> {
    // SAFETY: the caller's promise.
    unsafe { program_break::sbrk::<Global>(increment) }.map(core::ptr::with_exposed_provenance_mut)
}

/// Give back to the kernel what can be given back. Returns whether anything was.
///
/// ```
/// #[global_allocator]
/// static GLOBAL: ralloc::Ralloc = ralloc::Ralloc::new();
///
/// drop(vec![7_u8; 1 << 20]);
/// assert!(ralloc::trim());
/// ```
pub fn trim() -> bool {
    verbs::trim::<Global>()
}

/// A picture of the allocator.
///
/// ```
/// let text = String::from("kept");
/// println!("{}", ralloc::stats());
/// # drop(text);
/// ```
pub fn stats() -> Stats {
    stats::stats::<Global>()
}

/// Walk the whole state of the allocator and check every structure's equation. Meant for tests; slow.
///
/// ```
/// let block = ralloc::alloc(100, 8);
/// // SAFETY: this program has one thread.
/// unsafe { ralloc::verify() };
/// # // SAFETY: allocated above with this size, freed once.
/// # unsafe { ralloc::free(block, 100) };
/// ```
///
/// # Panics
///
/// If an equation does not hold.
///
/// # Safety
///
/// No other thread uses the allocator meanwhile.
pub unsafe fn verify() {
    // SAFETY: the caller's promise.
    unsafe { Global::process().verify() };
}

/// Give the allocator `size` bytes at `start` that were not its own: a static that is no longer needed, memory that the boot
/// loader has left. Returns how many of them it can use; the others are as they were.
///
/// They serve for its tables, as far as they are as large and aligned as those must be, and never go back.
///
/// ```
/// use core::{mem::MaybeUninit, ptr::NonNull};
///
/// let unused: &'static mut [MaybeUninit<u8>] = Box::leak(Box::new_uninit_slice(10_000));
/// // SAFETY: nobody uses them any more.
/// let taken = unsafe { ralloc::donate(NonNull::from(&mut *unused).cast(), 10_000) };
/// assert!(taken > 9_000);
/// ```
///
/// # Safety
///
/// The memory may be read and written for the rest of the process, and is given up.
pub unsafe fn donate(start: NonNull<u8>, size: usize) -> usize {
    // SAFETY: the caller's promise.
    unsafe { native::donate::<Global>(start, size) }
}

/// Have `handler` asked in threads that have none of their own when a request cannot be served; `None`: nobody. Returns who was
/// asked before.
///
/// ```
/// use ralloc::{OutOfMemory, Recovery};
///
/// fn drop_caches(_: OutOfMemory) -> Recovery {
///     Recovery::GiveUp
/// }
/// assert!(ralloc::set_oom_handler(Some(drop_caches)).is_none());
/// ```
pub fn set_oom_handler(handler: Option<OomHandler>) -> Option<OomHandler> {
    oom::set_oom_handler::<Global>(handler)
}
