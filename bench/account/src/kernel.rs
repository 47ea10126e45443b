//! What the kernel is asked: without the heap, and without the C library's streams.

use libc::{c_int, c_void};
use std::{ffi::CStr, fmt, ptr};

pub(crate) const PAGE: usize = 4096;

/// Fresh zeroed memory that costs nothing until it is touched.
pub(crate) fn map(size: usize) -> Option<*mut u8> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a fresh mapping touches nothing that exists.
    let start = unsafe { libc::mmap(ptr::null_mut(), size, access, flags, -1, 0) };
    (start != libc::MAP_FAILED).then_some(start.cast())
}

pub(crate) fn unmap(start: *mut u8, size: usize) {
    // SAFETY: a mapping of our own that nobody has seen.
    unsafe { libc::munmap(start.cast(), size) };
}

/// A file that closes itself.
pub(crate) struct File(c_int);

impl File {
    pub(crate) fn open(path: &CStr) -> Option<File> {
        // SAFETY: the path ends in a zero.
        let file = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
        (file >= 0).then_some(File(file))
    }

    pub(crate) fn create(path: &CStr) -> Option<File> {
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC | libc::O_CLOEXEC;
        // SAFETY: the path ends in a zero.
        let file = unsafe { libc::open(path.as_ptr(), flags, 0o644) };
        (file >= 0).then_some(File(file))
    }

    pub(crate) fn reopen(path: &CStr) -> Option<File> {
        // SAFETY: the path ends in a zero.
        let file = unsafe { libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC) };
        (file >= 0).then_some(File(file))
    }

    /// As much as there is from the offset on, and fits.
    pub(crate) fn read_at(&self, to: &mut [u8], offset: u64) -> usize {
        let mut done = 0;
        while done < to.len() {
            let rest = &mut to[done..];
            let at = (offset + done as u64) as libc::off_t;
            // SAFETY: the buffer is as long as we say.
            let read = unsafe { libc::pread(self.0, rest.as_mut_ptr().cast(), rest.len(), at) };
            match usize::try_from(read) {
                Ok(0) | Err(_) => break,
                Ok(read) => done += read,
            }
        }
        done
    }

    /// Entries of a directory, as the kernel has them.
    pub(crate) fn entries(&self, to: &mut [u8]) -> usize {
        let buffer: *mut c_void = to.as_mut_ptr().cast();
        // SAFETY: the buffer is as long as we say.
        let read = unsafe { libc::syscall(libc::SYS_getdents64, self.0, buffer, to.len()) };
        usize::try_from(read).unwrap_or(0)
    }

    /// Write all of it over what is at the start.
    pub(crate) fn overwrite(&self, text: &[u8]) {
        // SAFETY: the text is as long as we say.
        unsafe { libc::pwrite(self.0, text.as_ptr().cast(), text.len(), 0) };
    }
}

impl fmt::Write for &File {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // SAFETY: the text is as long as we say.
        let written = unsafe { libc::write(self.0, text.as_ptr().cast(), text.len()) };
        if written == text.len() as isize {
            Ok(())
        } else {
            Err(fmt::Error)
        }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: it is ours.
        unsafe { libc::close(self.0) };
    }
}

/// Whether a page is in memory, and this process' own: what is counted as resident, without the page of zeros that reads share.
pub(crate) fn is_own(entry: u64) -> bool {
    const PRESENT: u64 = 1 << 63;
    const EXCLUSIVE: u64 = 1 << 56;
    entry & PRESENT != 0 && entry & EXCLUSIVE != 0
}

/// The same of the page at an address.
pub(crate) fn is_resident(address: usize) -> bool {
    let Some(map) = File::open(c"/proc/self/pagemap") else {
        return true;
    };
    let mut entry = [0; 8];
    map.read_at(&mut entry, (address / PAGE * 8) as u64);
    is_own(u64::from_ne_bytes(entry))
}
