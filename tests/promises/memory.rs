//! What the kernel says of a piece of memory, and patterns in it.

use std::ptr::NonNull;

const PAGE: usize = 4096;

/// Bytes of the whole OS pages in a range that are in memory; `None` if some of them are not mapped.
pub(crate) fn resident(start: NonNull<u8>, bytes: usize) -> Option<usize> {
    let from = start.addr().get().next_multiple_of(PAGE);
    let to = (start.addr().get() + bytes) / PAGE * PAGE;
    let mut pages = vec![0_u8; to.saturating_sub(from) / PAGE];
    let at = start.as_ptr().with_addr(from).cast();
    // SAFETY: the kernel writes one byte for each page.
    let done = unsafe { libc::mincore(at, pages.len() * PAGE, pages.as_mut_ptr()) };
    (done == 0).then(|| pages.iter().filter(|&&page| page & 1 != 0).count() * PAGE)
}

/// Fill with a pattern that depends on the place.
///
/// # Safety
///
/// So many bytes are the caller's.
pub(crate) unsafe fn fill(start: NonNull<u8>, bytes: usize) {
    for at in 0..bytes {
        // SAFETY: the caller's promise.
        unsafe { start.add(at).write((at ^ at >> 8) as u8) };
    }
}

/// The first `bytes` hold what [`fill`] has left.
///
/// # Safety
///
/// As for [`fill`].
pub(crate) unsafe fn check(start: NonNull<u8>, bytes: usize) {
    for at in 0..bytes {
        // SAFETY: the caller's promise.
        let byte = unsafe { start.add(at).read() };
        assert_eq!(byte, (at ^ at >> 8) as u8, "byte {at} of {bytes}");
    }
}
