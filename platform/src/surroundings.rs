//! What a process can learn about its own memory on Linux: who called, what is mapped, and which file an address is of.

use core::{
    ffi::{c_int, c_void},
    mem::transmute,
    ptr::NonNull,
};

use rustix::{
    fd::{BorrowedFd, OwnedFd},
    fs::{Mode, OFlags},
};

crate::weak_symbol!(backtrace, "backtrace");

type Backtrace = unsafe extern "C" fn(*mut *mut c_void, c_int) -> c_int;

/// As [`Platform::call_sites`](crate::Platform::call_sites): backtrace(3) of the C library, where that has it.
pub(crate) fn call_sites(sites: &mut [usize]) -> usize {
    let Some(backtrace) = backtrace() else {
        return 0;
    };
    // SAFETY: backtrace(3), as the C library declares it.
    let backtrace = unsafe { transmute::<NonNull<c_void>, Backtrace>(backtrace) };
    let most = c_int::try_from(sites.len()).unwrap_or(c_int::MAX);
    let errno = crate::errno();
    // SAFETY: there is room for so many words; a return address is one.
    let found = unsafe { backtrace(sites.as_mut_ptr().cast(), most) };
    crate::set_errno(errno);
    usize::try_from(found).unwrap_or(0)
}

/// A line of proc(5), `maps`.
struct Mapping<'a> {
    start: usize,
    end: usize,
    rights: &'a [u8],
    offset: usize,
    name: &'a [u8],
}

impl<'a> Mapping<'a> {
    /// `start-end rights offset device inode name`.
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.splitn(6, |&byte| byte == b' ');
        let mut range = fields.next()?.splitn(2, |&byte| byte == b'-');
        let (start, end) = (number(range.next()?)?, number(range.next()?)?);
        let (rights, offset) = (fields.next()?, number(fields.next()?)?);
        let name = fields.nth(2).unwrap_or_default().trim_ascii_start();
        Some(Self {
            start,
            end,
            rights,
            offset,
            name,
        })
    }
}

fn number(digits: &[u8]) -> Option<usize> {
    usize::from_str_radix(core::str::from_utf8(digits).ok()?, 16).ok()
}

/// Hand every mapping to `visit`, until it returns `false`.
fn mappings(mut visit: impl FnMut(&Mapping<'_>) -> bool) {
    let open = || {
        rustix::fs::open(
            c"/proc/self/maps",
            OFlags::RDONLY | OFlags::CLOEXEC,
            Mode::empty(),
        )
    };
    let Ok(file): Result<OwnedFd, _> = open() else {
        return;
    };
    let mut text = [0; 4096 + 512];
    let mut length = 0;
    while let Ok(more @ 1..) = rustix::io::read(&file, &mut text[length..]) {
        length += more;
        let mut from = 0;
        while let Some(end) = text[from..length].iter().position(|&byte| byte == b'\n') {
            let mapping = Mapping::parse(&text[from..from + end]);
            if mapping.is_some_and(|mapping| !visit(&mapping)) {
                return;
            }
            from += end + 1;
        }
        text.copy_within(from..length, 0);
        length -= from;
    }
}

/// As [`Platform::roots`](crate::Platform::roots): private mappings that can be read and written, and are of no device.
pub(crate) fn roots(visit: &mut dyn FnMut(NonNull<u8>, usize)) {
    mappings(|mapping| {
        let start = NonNull::new(core::ptr::with_exposed_provenance_mut(mapping.start));
        if let Some(start) = start
            && mapping.rights.starts_with(b"rw")
            && mapping.rights.ends_with(b"p")
            && !mapping.name.starts_with(b"/dev/")
        {
            visit(start, mapping.end - mapping.start);
        }
        true
    });
}

/// As [`Platform::place_of`](crate::Platform::place_of).
pub(crate) fn place_of(address: usize, name: &mut [u8]) -> Option<(usize, usize)> {
    let mut found = None;
    mappings(|mapping| {
        if !(mapping.start..mapping.end).contains(&address) {
            return true;
        }
        let length = mapping.name.len().min(name.len());
        name[..length].copy_from_slice(&mapping.name[..length]);
        found = (length != 0).then_some((length, address - mapping.start + mapping.offset));
        false
    });
    found
}

/// As [`Platform::object_around`](crate::Platform::object_around).
pub(crate) fn object_around(address: usize) -> Option<(usize, usize)> {
    let mut wanted = [0; 256];
    let (length, _) = place_of(address, &mut wanted)?;
    let mut range: Option<(usize, usize)> = None;
    mappings(|mapping| {
        if mapping.name.get(..length) == Some(&wanted[..length]) {
            let (from, _) = range.unwrap_or((mapping.start, 0));
            range = Some((from, mapping.end));
        }
        true
    });
    range
}

/// As [`Platform::write_descriptor`](crate::Platform::write_descriptor).
pub(crate) fn write_descriptor(descriptor: i32, mut text: &[u8]) {
    // SAFETY: whoever gives the number away keeps it open; if not, writing fails.
    let file = unsafe { BorrowedFd::borrow_raw(descriptor) };
    while let Ok(written @ 1..) = rustix::io::write(file, text) {
        text = text.get(written..).unwrap_or(&[]);
    }
}
