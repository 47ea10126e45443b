//! Linux, by way of raw system calls.
//!
//! `rustix` makes the calls without a C library, so that none touches `errno`; but not on every processor (on s390x it goes
//! by the C library): there `errno` is kept around those that can fail. What only the C library knows
//! (thread keys, fork handlers, the start-up vector, where `errno` is: `posix` and `system`) is asked of it by
//! functions that return their error or have none.

use crate::{
    Hooks, Platform,
    posix::{self, hooks},
    process_info::stderr,
    surroundings, system, valgrind,
};
use core::{
    ffi::c_void,
    ptr::{self, NonNull},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};
use rustix::{
    fd::BorrowedFd,
    io::Errno,
    mm::{self, MapFlags, MremapFlags, ProtFlags},
};

/// From this alignment on, mappings are packed against each other, from the top downwards.
const PACKED_ALIGN: usize = 1 << 20;

/// The lowest packed mapping, or 0. The next one is tried right below: the kernel merges neighbours into one
/// region, and finding an aligned place costs one system call instead of three.
///
/// A hint: whatever it holds, a mapping never replaces another. Hence Relaxed everywhere, nothing is published.
static CURSOR: AtomicUsize = AtomicUsize::new(0);

/// The Linux kernel, and the C library the process runs on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Linux;

/// Whether `rustix` makes the calls itself, on this processor.
const IS_RAW: bool = cfg!(any(
    target_arch = "x86_64",
    target_arch = "x86",
    target_arch = "aarch64",
    target_arch = "riscv64",
    target_arch = "arm"
));

/// Ask the kernel, and leave `errno` as it was. Where `rustix` makes the call itself there is nothing to keep; and there may be no
/// `errno` yet, nor any word of a thread.
fn ask<R>(call: impl FnOnce() -> R) -> R {
    if IS_RAW {
        call()
    } else {
        posix::keep_errno(call)
    }
}

// SAFETY: the kernel never hands out a mapped range unless told to replace it. Only `relocate` tells it so, and
// it replaces a mapping that it has just made. Anonymous memory reads zero.
unsafe impl Platform for Linux {
    fn page_size(&self) -> usize {
        static PAGE_SIZE: AtomicUsize = AtomicUsize::new(0);
        // Relaxed: who does not see the number asks for it, and gets the same.
        let known = PAGE_SIZE.load(Relaxed);
        if known != 0 {
            return known;
        }
        let size = system::start_up_value(libc::AT_PAGESZ).unwrap_or(4096);
        PAGE_SIZE.store(size, Relaxed);
        size
    }

    fn map(&self, size: usize, align: usize) -> Option<NonNull<u8>> {
        ask(|| self.place(size, align, ProtFlags::READ | ProtFlags::WRITE))
    }

    fn extend(&self, end: NonNull<u8>, additional: usize) -> bool {
        let page = self.page_size();
        let last_page: *mut c_void = end.as_ptr().wrapping_sub(page).cast();
        let Some(new_size) = page.checked_add(additional) else {
            return false;
        };
        // Growing the last page in place is what `MAP_FIXED_NOREPLACE` at `end` would be, but it needs no such
        // flag of the kernel, and the mapping stays one region, which `relocate` can move.
        //
        // SAFETY: without leave to move, the call adds free pages behind the mapping or does nothing.
        ask(|| unsafe { mm::mremap(last_page, page, new_size, MremapFlags::empty()) }).is_ok()
    }

    unsafe fn unmap(&self, base: NonNull<u8>, size: usize) -> bool {
        // SAFETY: the range is ours and out of use, by the caller's promise.
        let done = ask(|| unsafe { unmap_raw(base.addr().get(), size) });
        if done {
            raise_cursor(base.addr().get(), size);
        }
        done
    }

    unsafe fn purge(&self, base: NonNull<u8>, size: usize) -> bool {
        // SAFETY: the range is ours and nobody needs its contents, by the caller's promise.
        ask(|| unsafe { mm::madvise(base.as_ptr().cast(), size, mm::Advice::LinuxDontNeed) })
            .is_ok()
    }

    unsafe fn guard(&self, base: NonNull<u8>, size: usize) -> bool {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED;
        // SAFETY: replaces a range that is ours and whose contents nobody needs, by the caller's promise.
        let map =
            || unsafe { mm::mmap_anonymous(base.as_ptr().cast(), size, ProtFlags::empty(), flags) };
        ask(map).is_ok()
    }

    unsafe fn unguard(&self, base: NonNull<u8>, size: usize) -> bool {
        let rights = mm::MprotectFlags::READ | mm::MprotectFlags::WRITE;
        // SAFETY: the range is ours, and nobody else uses it.
        ask(|| unsafe { mm::mprotect(base.as_ptr().cast(), size, rights) }).is_ok()
    }

    unsafe fn hide(&self, base: NonNull<u8>, size: usize) -> bool {
        let rights = mm::MprotectFlags::empty();
        // SAFETY: the range is ours, and nobody needs to reach it, by the caller's promise.
        ask(|| unsafe { mm::mprotect(base.as_ptr().cast(), size, rights) }).is_ok()
    }

    fn reserve(&self, base: NonNull<u8>, size: usize) -> bool {
        ask(|| map_exactly(base.addr().get(), size, ProtFlags::empty())).is_some()
    }

    unsafe fn expect_use(&self, base: NonNull<u8>, size: usize) {
        // SAFETY: advice that changes no contents, by the caller's promise about memory of ours.
        let _ =
            ask(|| unsafe { mm::madvise(base.as_ptr().cast(), size, mm::Advice::LinuxHugepage) });
    }

    unsafe fn relocate(
        &self,
        old: NonNull<u8>,
        old_size: usize,
        new_size: usize,
        align: usize,
    ) -> Option<NonNull<u8>> {
        // SAFETY: the caller's promise.
        ask(|| unsafe { self.relocate_pages(old, old_size, new_size, align) })
    }

    unsafe fn program_break(&self, to: Option<usize>) -> usize {
        // SAFETY: the caller's promise.
        unsafe { system::program_break(to) }
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
        // SAFETY: nobody but the program closes it, and then writing fails.
        let stderr = unsafe { BorrowedFd::borrow_raw(stderr()) };
        while !text.is_empty() {
            match rustix::io::write(stderr, text) {
                Ok(0) => return,
                Ok(written) => text = text.get(written..).unwrap_or(&[]),
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    fn yield_now(&self) {
        rustix::thread::sched_yield();
    }

    fn abort(&self) -> ! {
        posix::abort()
    }

    fn is_debugged(&self) -> bool {
        valgrind::is_running()
    }

    fn mark_undefined(&self, base: NonNull<u8>, size: usize) {
        valgrind::mark_undefined(base, size);
    }

    fn mark_free(&self, base: NonNull<u8>, size: usize) {
        valgrind::mark_free(base, size);
    }

    fn mark_defined(&self, base: NonNull<u8>, size: usize) {
        valgrind::mark_defined(base, size);
    }

    fn block_allocated(&self, block: NonNull<u8>, size: usize, red_zone: usize, zeroed: bool) {
        valgrind::block_allocated(block, size, red_zone, zeroed);
    }

    fn block_resized(&self, block: NonNull<u8>, old: usize, size: usize, red_zone: usize) {
        valgrind::block_resized(block, old, size, red_zone);
    }

    fn block_freed(&self, block: NonNull<u8>, red_zone: usize) {
        valgrind::block_freed(block, red_zone);
    }

    fn call_sites(&self, sites: &mut [usize]) -> usize {
        surroundings::call_sites(sites)
    }

    fn roots(&self, visit: &mut dyn FnMut(NonNull<u8>, usize)) {
        surroundings::roots(visit);
    }

    fn place_of(&self, address: usize, name: &mut [u8]) -> Option<(usize, usize)> {
        surroundings::place_of(address, name)
    }

    fn object_around(&self, address: usize) -> Option<(usize, usize)> {
        surroundings::object_around(address)
    }

    fn write_descriptor(&self, descriptor: i32, text: &[u8]) {
        surroundings::write_descriptor(descriptor, text);
    }

    fn debugger_looks(&self, looks: bool) {
        valgrind::report_errors(looks);
    }
}

impl Linux {
    /// See [`Platform::relocate`].
    ///
    /// # Safety
    ///
    /// As there.
    unsafe fn relocate_pages(
        &self,
        old: NonNull<u8>,
        old_size: usize,
        new_size: usize,
        align: usize,
    ) -> Option<NonNull<u8>> {
        // SAFETY: the caller's promise.
        if !unsafe { is_one_mapping(old, old_size, self.page_size()) } {
            return None;
        }
        // The kernel has no "move, but replace nothing": hold the place first, then move onto it. What is held
        // has no access rights, so it counts against no limit on memory.
        let place = self.place(new_size, align, ProtFlags::empty())?;
        let kept = old_size.min(new_size);
        // SAFETY: the first `kept` bytes are the caller's alone; the place is ours alone. When shrinking, the
        // tail stays behind, because the kernel would drop it first and might then still refuse the move.
        let moved = unsafe { move_onto(old, kept, new_size, place) };
        if !moved {
            release_place(place, new_size);
            return None;
        }
        if old_size > kept {
            let tail = old.addr().get() + kept;
            // SAFETY: the tail is the caller's alone, who gave it up. If the kernel cannot split a region now,
            // the addresses are lost, and with them at most the frames of the tail.
            let _ = unsafe { unmap_raw(tail, old_size - kept) };
        }
        raise_cursor(old.addr().get(), old_size);
        Some(place)
    }

    /// Find an aligned place for `size` bytes and map it with these access rights.
    fn place(&self, size: usize, align: usize, rights: ProtFlags) -> Option<NonNull<u8>> {
        let page = self.page_size();
        if align <= page {
            // An emulator whose OS pages are larger than the host's finds no place now and then, where there is one.
            return map_raw(0, size, rights, MapFlags::empty())
                .or_else(|| map_below_cursor(size, page, rights));
        }
        if align < PACKED_ALIGN {
            return map_and_trim(size, align, page, rights);
        }
        let cursor = CURSOR.load(Relaxed);
        map_below_cursor(size, align, rights).or_else(|| {
            let base = map_and_trim(size, align, page, rights);
            // Where nothing could be mapped nothing has changed: a program that asks for what there is not would else have its next
            // mappings far away, for which its allocator needs tables of their own.
            CURSOR.store(base.map_or(cursor, |base| base.addr().get()), Relaxed);
            base
        })
    }
}

/// One system call: anonymous private memory, at `address` if the flags say so, anywhere if it is 0.
fn map_raw(address: usize, size: usize, rights: ProtFlags, flags: MapFlags) -> Option<NonNull<u8>> {
    let flags = flags | MapFlags::PRIVATE | MapFlags::NORESERVE;
    // SAFETY: the flags never include a plain `MAP_FIXED`, so the call replaces nothing.
    let base =
        unsafe { mm::mmap_anonymous(ptr::without_provenance_mut(address), size, rights, flags) };
    NonNull::new(base.ok()?.cast())
}

/// # Safety
///
/// The range is ours, in whole OS pages, and out of use.
unsafe fn unmap_raw(base: usize, size: usize) -> bool {
    // SAFETY: as the caller promises.
    unsafe { mm::munmap(ptr::with_exposed_provenance_mut(base), size) }.is_ok()
}

/// Map exactly at `address`, or not at all.
fn map_exactly(address: usize, size: usize, rights: ProtFlags) -> Option<NonNull<u8>> {
    let base = map_raw(address, size, rights, MapFlags::FIXED_NOREPLACE)?;
    if base.addr().get() == address {
        return Some(base);
    }
    // A kernel older than 4.17 takes the address as a hint.
    //
    // SAFETY: mapped by the line above, known to nobody.
    unsafe { unmap_raw(base.addr().get(), size) };
    None
}

/// Map at the highest aligned address at which `size` bytes end at the cursor or below.
fn map_below_cursor(size: usize, align: usize, rights: ProtFlags) -> Option<NonNull<u8>> {
    let below = |cursor: usize| {
        let address = cursor.checked_sub(size)? & !(align - 1);
        (address != 0).then_some(address)
    };
    // Claimed before it is mapped, so that two threads try two places.
    let cursor = CURSOR.fetch_update(Relaxed, Relaxed, below).ok()?;
    map_exactly(below(cursor)?, size, rights)
}

/// Map so much that an aligned range must lie within, and give the rest back.
fn map_and_trim(size: usize, align: usize, page: usize, rights: ProtFlags) -> Option<NonNull<u8>> {
    let total = size.checked_add(align - page)?;
    let whole = map_raw(0, total, rights, MapFlags::empty())?;
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

/// The range has become a hole: if it was the lowest of the packed ones, the next goes there.
fn raise_cursor(base: usize, size: usize) {
    // A failure means that the lowest is another one, or has just become so.
    let _ = CURSOR.compare_exchange(base, base + size, Relaxed, Relaxed);
}

/// Move the pages of `[old, old + old_size)` to `place`, where `new_size` bytes are held for them.
///
/// # Safety
///
/// Nobody uses the old range but the caller; `place` is a mapping that nobody knows.
unsafe fn move_onto(
    old: NonNull<u8>,
    old_size: usize,
    new_size: usize,
    place: NonNull<u8>,
) -> bool {
    if !IS_RAW {
        // The C library's call, because `rustix` gives it a flag of `mmap` for its own.
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        let (from, to): (*mut c_void, *mut c_void) = (old.as_ptr().cast(), place.as_ptr().cast());
        // SAFETY: both ranges are the caller's alone, by its promise.
        return unsafe { libc::mremap(from, old_size, new_size, flags, to) } == to;
    }
    // SAFETY: both ranges are the caller's alone, by its promise.
    let moved = unsafe {
        mm::mremap_fixed(
            old.as_ptr().cast(),
            old_size,
            new_size,
            MremapFlags::MAYMOVE,
            place.as_ptr().cast(),
        )
    };
    moved.is_ok()
}

/// Whether the kernel keeps a range as one mapping, as it must be for a move: advice, locks or protections that the
/// program gave to a part of it split it. Asked before anything is held, because after a refusal nobody can tell
/// whether what is held is still there.
///
/// # Safety
///
/// The range is the caller's alone.
unsafe fn is_one_mapping(base: NonNull<u8>, size: usize, page: usize) -> bool {
    // SAFETY: without leave to move, a mapping is grown where it stands, onto nothing else, or nothing happens.
    let grown = unsafe {
        mm::mremap(
            base.as_ptr().cast(),
            size,
            size + page,
            MremapFlags::empty(),
        )
    };
    match grown {
        Ok(_) => {
            // SAFETY: mapped by the call above, known to nobody.
            let _ = unsafe { unmap_raw(base.addr().get() + size, page) };
            true
        }
        Err(error) => error != Errno::FAULT,
    }
}

/// After a refused move, give the place back, if it is still ours.
///
/// Depending on the reason and on its version the kernel has already made the place a hole, in which another
/// thread may by now have mapped something. So the place is unmapped only after it has been mapped again without
/// replacing anything. If that fails, either nothing had been unmapped, or somebody was that quick: then
/// addresses are left behind, without access rights and without frames.
fn release_place(place: NonNull<u8>, size: usize) {
    if let Some(hole) = map_exactly(place.addr().get(), size, ProtFlags::empty()) {
        // SAFETY: mapped by the line above, known to nobody.
        unsafe { unmap_raw(hole.addr().get(), size) };
    }
}
