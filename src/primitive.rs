//! The one seam through which a model checker replaces what threads share.
//!
//! Every other module takes its atomics, its cells and the words of free blocks from here, so that `cfg(loom)`
//! appears in this file only. Built with `--cfg loom`, each of them has a shadow that loom watches: an atomic may then
//! return any value that the memory model allows, and two accesses to a cell or word that no Release and Acquire put in
//! order are an error. The shadows, and the models that run on them, are in `tests/loom`.

#[cfg(not(loom))]
pub(crate) use core::{
    cell::Cell,
    sync::atomic::{AtomicPtr, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
};

/// A number that nothing but policy and statistics rest on. A model checker does not try every value that it might have:
/// the order of its changes is the order of execution.
#[cfg(not(loom))]
pub(crate) use core::sync::atomic::AtomicUsize as Tally;

/// Lengths of free runs that are told apart, see [`room`](crate::room): those that are longer count as the last. In a model all count as
/// one: each is a location of its own, and what is done to one is done to all.
pub(crate) const LENGTHS: usize = if cfg!(loom) { 1 } else { 64 };

/// A mark that says whether something is there, to whoever holds it. The model checker leaves it alone.
pub(crate) use core::sync::atomic::AtomicU8 as Mark;

/// Read a word of a free block.
///
/// # Safety
///
/// As for [`core::ptr::read`].
#[cfg(not(loom))]
#[inline(always)]
pub(crate) unsafe fn read(word: *const usize) -> usize {
    // SAFETY: the caller's promise.
    unsafe { word.read() }
}

/// Write a word of a free block.
///
/// # Safety
///
/// As for [`core::ptr::write`].
#[cfg(not(loom))]
#[inline(always)]
pub(crate) unsafe fn write(word: *mut usize, value: usize) {
    // SAFETY: the caller's promise.
    unsafe { word.write(value) }
}

#[cfg(loom)]
#[path = "../tests/loom/shadow.rs"]
pub(crate) mod shadow;
#[cfg(loom)]
pub(crate) use shadow::{
    AtomicPtr, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Cell, Ordering, Tally, fence, read,
    write,
};

#[cfg(all(test, loom))]
#[path = "../tests/loom/models.rs"]
mod models;
