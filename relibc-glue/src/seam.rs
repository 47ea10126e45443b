//! What relibc calls: the seven names it knows, the hooks, and what its C symbols need.
//!
//! Each function takes the allocator as a parameter; [`seam!`](crate::seam!) gives them names without one.

use core::{
    alloc::Layout,
    ffi::c_void,
    ptr::{self, NonNull},
    sync::atomic::{
        AtomicPtr,
        Ordering::{Acquire, Relaxed, Release},
    },
};

use ralloc::{Instance, alloc as verbs, c_abi, info, sbrk as program_break, unborn};
use ralloc_platform::Platform;

use crate::{Kernel, Words};

/// What is said before the process ends because two copies of a C library have the words of a thread in the same place.
const NOT_OUR_WORDS: &[u8] =
    b"ralloc: the words of this thread are those of another copy of the allocator\n";

/// An allocator in the place of relibc's.
pub trait Seam: Instance {
    /// Whether the thread pointer leads to a control block.
    fn is_tls_real() -> bool;

    /// Blocks that were freed while it did not, linked through their first words.
    fn freed_unborn() -> &'static AtomicPtr<u8>;
}

/// A block for relibc's own Rust code, null if there is no memory.
///
/// This door is the only one that asks whether the thread pointer is real: relibc's start-up code allocates before it is, C programs
/// cannot.
#[inline]
pub fn alloc_layout<S: Seam>(layout: Layout) -> *mut u8 {
    match S::is_tls_real() {
        true => verbs::allocate_aligned::<S>(layout.size(), layout.align()),
        false => unborn::allocate::<S>(layout.size(), layout.align()),
    }
}

/// As [`alloc_layout`], all bytes zero.
#[inline]
pub fn alloc_layout_zeroed<S: Seam>(layout: Layout) -> *mut u8 {
    if S::is_tls_real() {
        return verbs::allocate_aligned_zeroed::<S>(layout.size(), layout.align());
    }
    let block = unborn::allocate::<S>(layout.size(), layout.align());
    if !block.is_null() {
        // SAFETY: the block has that many bytes and is ours.
        unsafe { block.write_bytes(0, layout.size()) };
    }
    block
}

/// Give a block of [`alloc_layout`] back.
///
/// # Safety
///
/// `block` is a live block of this allocator, which its user gives up.
#[inline]
pub unsafe fn dealloc_layout<S: Seam>(block: *mut u8) {
    match S::is_tls_real() {
        // SAFETY: the caller's promise.
        true => unsafe { verbs::free::<S>(block) },
        // SAFETY: the caller's promise.
        false => unsafe { put_aside::<S>(block) },
    }
}

/// A block of `size` bytes in place of `block`, null if there is no memory: then `block` is as it was.
///
/// # Safety
///
/// `block` is a live block of this allocator of this layout.
pub unsafe fn realloc_layout<S: Seam>(block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
    let Some(live) = NonNull::new(block) else {
        return ptr::null_mut();
    };
    if S::is_tls_real() {
        // SAFETY: the caller's promise.
        return unsafe { verbs::reallocate_aligned::<S>(live, size, layout.align()) };
    }
    let new = unborn::allocate::<S>(size, layout.align());
    if !new.is_null() {
        let kept = layout.size().min(size);
        // SAFETY: two live blocks do not overlap, and both have that many bytes.
        unsafe { ptr::copy_nonoverlapping(block, new, kept) };
        // SAFETY: the caller gives the block up when it gets a new one.
        unsafe { put_aside::<S>(block) };
    }
    new
}

/// Keep a block that cannot be freed yet.
///
/// # Safety
///
/// `block` is a live block of this allocator, which its user gives up.
unsafe fn put_aside<S: Seam>(block: *mut u8) {
    let list = S::freed_unborn();
    let mut first = list.load(Relaxed);
    loop {
        let link: *mut *mut u8 = block.cast();
        // SAFETY: the smallest block has room for a word, and this one is ours now.
        unsafe { link.write(first) };
        // Release: pairs with the Acquire in `free_what_waits`; the link is written.
        match list.compare_exchange_weak(first, block, Release, Relaxed) {
            Ok(_) => return,
            Err(now) => first = now,
        }
    }
}

fn free_what_waits<S: Seam>() {
    // Acquire: pairs with the Release in `put_aside`.
    let mut block = S::freed_unborn().swap(ptr::null_mut(), Acquire);
    while !block.is_null() {
        let link: *mut *mut u8 = block.cast();
        // SAFETY: written by `put_aside`.
        let next = unsafe { link.read() };
        // SAFETY: given up by its user.
        unsafe { verbs::free::<S>(block) };
        block = next;
    }
}

/// malloc: a block at a multiple of 16, null if there is no memory.
#[inline(always)]
pub fn alloc<S: Seam>(size: usize) -> *mut c_void {
    c_abi::malloc::<S>(size).cast()
}

/// calloc, once the product has been made: as [`alloc`], all bytes zero.
#[inline]
pub fn alloc_zeroed<S: Seam>(size: usize) -> *mut c_void {
    c_abi::calloc::<S>(1, size).cast()
}

/// memalign, for any alignment.
pub fn alloc_align<S: Seam>(size: usize, align: usize) -> *mut c_void {
    c_abi::memalign::<S>(align, size).cast()
}

/// realloc. A size of 0 is that of a block, as relibc has it.
///
/// # Safety
///
/// `block` is null or a live block of this allocator.
pub unsafe fn realloc<S: Seam>(block: *mut c_void, size: usize) -> *mut c_void {
    match NonNull::new(block.cast()) {
        None => alloc::<S>(size),
        // SAFETY: the caller's promise.
        Some(block) => unsafe { verbs::reallocate::<S>(block, size) }.cast(),
    }
}

/// free.
///
/// # Safety
///
/// `block` is null or a live block of this allocator, which its user gives up.
#[inline(always)]
pub unsafe fn free<S: Seam>(block: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { c_abi::free::<S>(block.cast()) };
}

/// malloc_usable_size.
///
/// # Safety
///
/// `block` is null or a live block of this allocator.
pub unsafe fn alloc_usable_size<S: Seam>(block: *mut c_void) -> usize {
    // SAFETY: the caller's promise.
    unsafe { c_abi::malloc_usable_size::<S>(block.cast()) }
}

/// Hook: from now on the thread pointer of this thread leads to a control block. Once for each program, in its first thread; more
/// often does no harm.
///
/// Ends the process with a line if another copy of the allocator has its words in the same place: that would hand out blocks of the
/// other's heap.
pub fn tls_is_real<S: Seam>() {
    if !ralloc::has_own_words::<S>() {
        Kernel.write_stderr(NOT_OUR_WORDS);
        Kernel.abort();
    }
    free_what_waits::<S>();
}

/// Hook: the thread gets another control block, and this is the last moment before its thread pointer leads there.
///
/// # Safety
///
/// As for [`Words::go`].
pub unsafe fn tls_moves(from: *mut Words, to: *mut Words) {
    // SAFETY: the caller's promise.
    unsafe { Words::go(from, to) };
}

/// Hook: the current thread has run its destructors and exits. It may still free and allocate, slowly; once its control block
/// may be unmapped, it must not.
pub fn thread_exits<S: Seam>() {
    (ralloc::hooks::<S>().thread_exit)(0);
}

/// Hook: the current thread is about to fork, and the handlers of the program have run.
pub fn fork_prepare<S: Seam>() {
    (ralloc::hooks::<S>().fork_prepare)();
}

/// Hook: it has forked, or failed to; this is the parent.
pub fn fork_parent<S: Seam>() {
    (ralloc::hooks::<S>().fork_parent)();
}

/// Hook: it has forked; this is the child, and no handler of the program has run yet.
pub fn fork_child<S: Seam>() {
    (ralloc::hooks::<S>().fork_child)();
}

/// malloc_trim: give back what can be given back. Whether anything was.
pub fn trim<S: Seam>() -> bool {
    c_abi::malloc_trim::<S>()
}

/// mallinfo2: the figures.
pub fn info<S: Seam>() -> info::Info {
    info::info::<S>()
}

/// sbrk: move the program break. Returns where it was; `None` if it cannot be there.
///
/// # Safety
///
/// Memory that a negative increment gives up is not used any more.
pub unsafe fn sbrk<S: Seam>(increment: isize) -> Option<*mut c_void> {
    // SAFETY: the caller's promise.
    let old = unsafe { program_break::sbrk::<S>(increment) }.ok()?;
    Some(ptr::with_exposed_provenance_mut(old))
}

/// brk: set the program break. Whether it is there now.
///
/// # Safety
///
/// Memory above `address` is not used any more.
pub unsafe fn brk<S: Seam>(address: *mut c_void) -> bool {
    // SAFETY: the caller's promise.
    unsafe { program_break::brk::<S>(address.expose_provenance()) }.is_ok()
}
