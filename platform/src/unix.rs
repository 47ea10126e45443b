//! FreeBSD, DragonFly BSD, NetBSD, OpenBSD and macOS, by way of their C libraries.
//!
//! They share POSIX and anonymous memory, and have in common what they lack: none grows a mapping where it stands, and what
//! NetBSD and macOS have to move one has no counterpart on the others, so nothing is moved. What differs (flags, where
//! `errno` is, numbers of threads) is in `system`, one file each.
//!
//! Purging is not done by advice. `MADV_FREE` of the BSDs and of macOS leaves it open whether old contents come back, and
//! the contract wants zeros; a fresh mapping over the range gives the frames back at once, and reads zero.
//!
//! The feature `unix` puts this module in the place of `linux`, so that every test of the project can run on it.

use crate::{
    Hooks, Platform,
    posix::{self, hooks, keep_errno},
    process_info::stderr,
    system::{self, mapping},
};
use core::{
    ffi::{c_int, c_void},
    ptr::{self, NonNull},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// The kernel behind a POSIX C library.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unix;

// SAFETY: the kernel never hands out a mapped range unless told to replace it. Only `purge` tells it so, and the range
// is its caller's. Anonymous memory reads zero.
unsafe impl Platform for Unix {
    fn page_size(&self) -> usize {
        static PAGE_SIZE: AtomicUsize = AtomicUsize::new(0);
        // Relaxed: who does not see the number asks for it, and gets the same.
        let known = PAGE_SIZE.load(Relaxed);
        if known != 0 {
            return known;
        }
        // SAFETY: asks only.
        let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let size = usize::try_from(size).unwrap_or(4096);
        PAGE_SIZE.store(size, Relaxed);
        size
    }

    fn map(&self, size: usize, align: usize) -> Option<NonNull<u8>> {
        let page = self.page_size();
        keep_errno(|| match align <= page {
            true => map_raw(0, size, 0),
            false => map_aligned(size, align).or_else(|| map_and_trim(size, align, page)),
        })
    }

    fn extend(&self, end: NonNull<u8>, additional: usize) -> bool {
        keep_errno(|| map_exactly(end.addr().get(), additional, OPEN))
    }

    unsafe fn unmap(&self, base: NonNull<u8>, size: usize) -> bool {
        // SAFETY: the range is ours and out of use, by the caller's promise.
        keep_errno(|| unsafe { unmap_raw(base.addr().get(), size) })
    }

    unsafe fn purge(&self, base: NonNull<u8>, size: usize) -> bool {
        // The kernel would round a crooked range, and take more than it was told.
        if !(base.addr().get() | size).is_multiple_of(self.page_size()) {
            return false;
        }
        // POSIX: a fixed mapping replaces what is there, in one step.
        keep_errno(|| map_raw(base.addr().get(), size, libc::MAP_FIXED)) == Some(base)
    }

    unsafe fn guard(&self, base: NonNull<u8>, size: usize) -> bool {
        if !(base.addr().get() | size).is_multiple_of(self.page_size()) {
            return false;
        }
        let map = || map_with(base.addr().get(), size, libc::PROT_NONE, libc::MAP_FIXED);
        keep_errno(map) == Some(base)
    }

    unsafe fn unguard(&self, base: NonNull<u8>, size: usize) -> bool {
        // SAFETY: the range is ours, and nobody else uses it.
        keep_errno(|| unsafe { set_rights(base, size, OPEN) })
    }

    unsafe fn hide(&self, base: NonNull<u8>, size: usize) -> bool {
        // SAFETY: the range is ours, and nobody needs to reach it, by the caller's promise.
        keep_errno(|| unsafe { set_rights(base, size, libc::PROT_NONE) })
    }

    fn reserve(&self, base: NonNull<u8>, size: usize) -> bool {
        keep_errno(|| map_exactly(base.addr().get(), size, libc::PROT_NONE))
    }

    unsafe fn relocate(
        &self,
        _old: NonNull<u8>,
        _old_size: usize,
        _new_size: usize,
        _align: usize,
    ) -> Option<NonNull<u8>> {
        None
    }

    unsafe fn program_break(&self, to: Option<usize>) -> usize {
        // SAFETY: the caller's promise.
        keep_errno(|| unsafe { system::program_break(to) })
    }

    fn arm_thread_exit(&self) -> bool {
        hooks::arm_thread_exit()
    }

    fn install(&self, hooks: Hooks) {
        hooks::install(hooks);
    }

    fn entropy(&self) -> usize {
        posix::entropy()
    }

    fn write_stderr(&self, mut text: &[u8]) {
        let stderr = stderr();
        keep_errno(|| {
            while !text.is_empty() {
                // SAFETY: reads so many bytes.
                let written = unsafe { libc::write(stderr, text.as_ptr().cast(), text.len()) };
                match usize::try_from(written) {
                    Ok(0) => return,
                    Ok(written) => text = text.get(written..).unwrap_or(&[]),
                    Err(_) if posix::errno() == libc::EINTR => {}
                    Err(_) => return,
                }
            }
        });
    }

    fn yield_now(&self) {
        // SAFETY: asks for nothing but time. POSIX has no error for it.
        keep_errno(|| unsafe { libc::sched_yield() });
    }

    fn abort(&self) -> ! {
        posix::abort()
    }
}

/// Rights to read and to write.
const OPEN: c_int = libc::PROT_READ | libc::PROT_WRITE;

/// One call: anonymous private memory, where the flags say; at 0 anywhere.
///
/// With `MAP_FIXED` alone it replaces what is there: the range is ours then, and its contents are not needed.
fn map_raw(address: usize, size: usize, flags: c_int) -> Option<NonNull<u8>> {
    map_with(address, size, OPEN, flags)
}

/// As [`map_raw`], with these rights.
fn map_with(address: usize, size: usize, rights: c_int, flags: c_int) -> Option<NonNull<u8>> {
    let at: *mut c_void = ptr::with_exposed_provenance_mut(address);
    let flags = flags | mapping::ALWAYS | libc::MAP_PRIVATE | libc::MAP_ANON;
    // SAFETY: replaces nothing that is needed, see above.
    let base = unsafe { libc::mmap(at, size, rights, flags, -1, 0) };
    (base != libc::MAP_FAILED).then(|| NonNull::new(base.cast()))?
}

/// # Safety
///
/// The range is ours, in whole OS pages, and out of use.
unsafe fn unmap_raw(base: usize, size: usize) -> bool {
    // SAFETY: as the caller promises.
    unsafe { libc::munmap(ptr::with_exposed_provenance_mut(base), size) == 0 }
}

/// # Safety
///
/// The range is ours, in whole OS pages, and nobody uses it meanwhile.
unsafe fn set_rights(base: NonNull<u8>, size: usize, rights: c_int) -> bool {
    // SAFETY: as the caller promises.
    unsafe { libc::mprotect(base.as_ptr().cast(), size, rights) == 0 }
}

/// Map exactly at `address`, or not at all. A kernel that takes the address for a hint is believed if it followed it.
fn map_exactly(address: usize, size: usize, rights: c_int) -> bool {
    let Some(base) = map_with(address, size, rights, mapping::EXACTLY) else {
        return false;
    };
    if base.addr().get() == address {
        return true;
    }
    // SAFETY: mapped by the first line, known to nobody.
    unsafe { unmap_raw(base.addr().get(), size) };
    false
}

/// Map where the kernel finds an aligned place, if it looks for one.
fn map_aligned(size: usize, align: usize) -> Option<NonNull<u8>> {
    let flags = mapping::aligned(align);
    if flags == 0 {
        return None;
    }
    let base = map_raw(0, size, flags)?;
    if base.addr().get().is_multiple_of(align) {
        return Some(base);
    }
    // SAFETY: mapped by the line above, known to nobody.
    unsafe { unmap_raw(base.addr().get(), size) };
    None
}

/// Map so much that an aligned range must lie within, and give the rest back.
fn map_and_trim(size: usize, align: usize, page: usize) -> Option<NonNull<u8>> {
    let total = size.checked_add(align - page)?;
    let whole = map_raw(0, total, 0)?;
    let head = whole.align_offset(align);
    let base = whole.addr().get() + head;
    let tail = total - size - head;
    // SAFETY: what is unmapped here was mapped three lines above and is known to nobody.
    let trim = |at: usize, length: usize| length == 0 || unsafe { unmap_raw(at, length) };
    if !trim(whole.addr().get(), head) {
        trim(whole.addr().get(), total);
        return None;
    }
    if !trim(base + size, tail) {
        trim(base, size + tail);
        return None;
    }
    NonNull::new(whole.as_ptr().wrapping_add(head))
}
