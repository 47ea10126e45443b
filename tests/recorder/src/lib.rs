//! Writes down what a program asks of malloc: to be preloaded by `cargo xtask record`, above whatever allocator serves.
//!
//! Each call becomes one [`Record`], in the order in which they happened: what a call gives up is noted before the call,
//! what it brings after it, so that an address is never noted twice at the same time. The first process that creates
//! the file named by `RALLOC_RECORD` is recorded, without its children; nothing here allocates.

use libc::{c_char, c_int, c_void, size_t};
use std::{
    cell::UnsafeCell,
    mem::transmute,
    ptr,
    sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicUsize, Ordering},
};

/// What a record says. The numbers are read by `xtask`.
#[repr(u64)]
#[derive(Clone, Copy)]
enum Verb {
    /// `size` bytes are at `block`.
    Malloc = 0,
    /// The same, zeroed.
    Calloc = 1,
    /// The same, at a multiple of `align`.
    Aligned = 2,
    /// The block at `block` is given up for a larger or smaller one, or...
    Resizing = 3,
    /// ...has become that at `block`, of `size` bytes. Null: it has not.
    Resized = 4,
    /// The block at `block` is given up.
    Free = 5,
}

/// 40 bytes, in the machine's byte order.
#[repr(C)]
#[derive(Clone, Copy)]
struct Record {
    verb: u64,
    thread: u64,
    size: u64,
    align: u64,
    block: u64,
}

const RECORDS: usize = 4096;

/// Records that are not in the file yet. Guarded by `LOCK`.
struct Buffer(UnsafeCell<([Record; RECORDS], usize)>);

// SAFETY: touched under `LOCK` only.
unsafe impl Sync for Buffer {}

const NOTHING: Record = Record {
    verb: 0,
    thread: 0,
    size: 0,
    align: 0,
    block: 0,
};
static BUFFER: Buffer = Buffer(UnsafeCell::new(([NOTHING; RECORDS], 0)));
static LOCK: AtomicBool = AtomicBool::new(false);
/// The open file; -1 while there is none, and when recording is over.
static FILE: AtomicI32 = AtomicI32::new(-1);

fn note(verb: Verb, size: usize, align: usize, block: *mut c_void) {
    if FILE.load(Ordering::Acquire) < 0 {
        return;
    }
    // SAFETY: the call takes nothing.
    let thread = unsafe { libc::syscall(libc::SYS_gettid) } as u64;
    let record = Record {
        verb: verb as u64,
        thread,
        size: size as u64,
        align: align as u64,
        block: block.addr() as u64,
    };
    with_buffer(|(records, count)| {
        records[*count] = record;
        *count += 1;
        if *count == RECORDS {
            write_out(records, count);
        }
    });
}

fn with_buffer(work: impl FnOnce(&mut ([Record; RECORDS], usize))) {
    // Acquire: pairs with the Release below.
    while LOCK.swap(true, Ordering::Acquire) {
        // SAFETY: the call takes nothing.
        unsafe { libc::sched_yield() };
    }
    // SAFETY: the lock is ours.
    work(unsafe { &mut *BUFFER.0.get() });
    LOCK.store(false, Ordering::Release);
}

fn write_out(records: &[Record; RECORDS], count: &mut usize) {
    let file = FILE.load(Ordering::Relaxed);
    let start: *const c_void = records.as_ptr().cast();
    let bytes = *count * size_of::<Record>();
    *count = 0;
    // SAFETY: so many records are there.
    let written = unsafe { libc::write(file, start, bytes) };
    if written != bytes as isize {
        FILE.store(-1, Ordering::Release);
    }
}

/// Start recording, if this is the process that is meant.
extern "C" fn begin() {
    // SAFETY: the name is a C string.
    let path: *const c_char = unsafe { libc::getenv(c"RALLOC_RECORD".as_ptr()) };
    if path.is_null() {
        return;
    }
    let flags = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY | libc::O_CLOEXEC;
    // SAFETY: the path is a C string.
    let file = unsafe { libc::open(path, flags, 0o644) };
    // SAFETY: the handler is a function of this library.
    unsafe { libc::pthread_atfork(None, None, Some(stop_in_child)) };
    FILE.store(file, Ordering::Release);
}

/// A child of the recorded process goes unrecorded.
extern "C" fn stop_in_child() {
    FILE.store(-1, Ordering::Release);
    LOCK.store(false, Ordering::Release);
}

extern "C" fn end() {
    if FILE.load(Ordering::Acquire) >= 0 {
        with_buffer(|(records, count)| write_out(records, count));
        FILE.store(-1, Ordering::Release);
    }
}

#[used]
#[unsafe(link_section = ".init_array")]
static BEGIN: extern "C" fn() = begin;
#[used]
#[unsafe(link_section = ".fini_array")]
static END: extern "C" fn() = end;

/// Memory for those who allocate while the allocator below is looked up. Never given back.
struct Early(UnsafeCell<[u128; 4096]>);

// SAFETY: parts are handed out once.
unsafe impl Sync for Early {}

static EARLY: Early = Early(UnsafeCell::new([0; 4096]));
static EARLY_USED: AtomicUsize = AtomicUsize::new(0);
static LOOKING: AtomicBool = AtomicBool::new(false);

fn early(size: usize) -> *mut c_void {
    let slots = size.div_ceil(16);
    let first = EARLY_USED.fetch_add(slots, Ordering::Relaxed);
    if first + slots > 4096 {
        return ptr::null_mut();
    }
    let start: *mut u128 = EARLY.0.get().cast();
    // SAFETY: the slots are within the memory.
    unsafe { start.add(first).cast() }
}

fn is_early(block: *mut c_void) -> bool {
    let start = EARLY.0.get().addr();
    (start..start + 4096 * 16).contains(&block.addr())
}

/// The function of this name in the allocator below; `None` while one is being looked up.
fn below(name: &std::ffi::CStr, known: &AtomicPtr<c_void>) -> Option<*mut c_void> {
    let found = known.load(Ordering::Acquire);
    if !found.is_null() {
        return Some(found);
    }
    if LOOKING.swap(true, Ordering::Acquire) {
        return None;
    }
    // SAFETY: the name is a C string.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    known.store(found, Ordering::Release);
    LOOKING.store(false, Ordering::Release);
    (!found.is_null()).then_some(found)
}

macro_rules! below {
    ($name:literal, $type:ty) => {{
        static KNOWN: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
        // SAFETY: the C library's function of this name has this type.
        below($name, &KNOWN).map(|found| unsafe { transmute::<*mut c_void, $type>(found) })
    }};
}

type OfOne = unsafe extern "C" fn(size_t) -> *mut c_void;
type OfTwo = unsafe extern "C" fn(size_t, size_t) -> *mut c_void;

/// As the C library's.
#[unsafe(no_mangle)]
pub extern "C" fn malloc(size: size_t) -> *mut c_void {
    let Some(malloc) = below!(c"malloc", OfOne) else {
        return early(size);
    };
    // SAFETY: any size will do.
    let block = unsafe { malloc(size) };
    note(Verb::Malloc, size, 0, block);
    block
}

/// As the C library's.
#[unsafe(no_mangle)]
pub extern "C" fn calloc(count: size_t, size: size_t) -> *mut c_void {
    let Some(calloc) = below!(c"calloc", OfTwo) else {
        return early(count * size);
    };
    // SAFETY: any sizes will do.
    let block = unsafe { calloc(count, size) };
    note(Verb::Calloc, count.saturating_mul(size), 0, block);
    block
}

/// As the C library's.
///
/// # Safety
///
/// As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free(block: *mut c_void) {
    if block.is_null() || is_early(block) {
        return;
    }
    note(Verb::Free, 0, 0, block);
    if let Some(free) = below!(c"free", unsafe extern "C" fn(*mut c_void)) {
        // SAFETY: the caller's promise.
        unsafe { free(block) };
    }
}

/// As the C library's.
///
/// # Safety
///
/// As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn realloc(block: *mut c_void, size: size_t) -> *mut c_void {
    if block.is_null() {
        return malloc(size);
    }
    if is_early(block) {
        // How much there is to copy is not known: no more than lies behind it.
        let end = EARLY.0.get().addr() + 4096 * 16;
        let new = malloc(size);
        if !new.is_null() {
            // SAFETY: both have so many bytes.
            unsafe { ptr::copy(block.cast::<u8>(), new.cast(), size.min(end - block.addr())) };
        }
        return new;
    }
    let Some(realloc) = below!(
        c"realloc",
        unsafe extern "C" fn(*mut c_void, size_t) -> *mut c_void
    ) else {
        return ptr::null_mut();
    };
    note(Verb::Resizing, size, 0, block);
    // SAFETY: the caller's promise.
    let new = unsafe { realloc(block, size) };
    note(Verb::Resized, size, 0, new);
    new
}

/// As the C library's.
///
/// # Safety
///
/// As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reallocarray(
    block: *mut c_void,
    count: size_t,
    size: size_t,
) -> *mut c_void {
    match count.checked_mul(size) {
        // SAFETY: the caller's promise.
        Some(size) => unsafe { realloc(block, size) },
        None => ptr::null_mut(),
    }
}

fn aligned(align: usize, size: usize) -> *mut c_void {
    let Some(memalign) = below!(c"memalign", OfTwo) else {
        return ptr::null_mut();
    };
    // SAFETY: any sizes will do.
    let block = unsafe { memalign(align, size) };
    note(Verb::Aligned, size, align, block);
    block
}

/// As the C library's.
#[unsafe(no_mangle)]
pub extern "C" fn memalign(align: size_t, size: size_t) -> *mut c_void {
    aligned(align, size)
}

/// As the C library's.
#[unsafe(no_mangle)]
pub extern "C" fn aligned_alloc(align: size_t, size: size_t) -> *mut c_void {
    aligned(align, size)
}

/// As the C library's.
#[unsafe(no_mangle)]
pub extern "C" fn valloc(size: size_t) -> *mut c_void {
    aligned(4096, size)
}

/// As the C library's.
///
/// # Safety
///
/// As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_memalign(
    place: *mut *mut c_void,
    align: size_t,
    size: size_t,
) -> c_int {
    if !align.is_power_of_two() || align < size_of::<usize>() {
        return libc::EINVAL;
    }
    let block = aligned(align, size);
    if block.is_null() {
        return libc::ENOMEM;
    }
    // SAFETY: the caller's promise.
    unsafe { place.write(block) };
    0
}
