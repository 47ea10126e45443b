//! Windows, by way of `kernel32`, and of the C library for `errno` and streams.
//!
//! Memory is first *reserved* (addresses, in units of 64 KiB) and then *committed* (memory that the system promises to have, in OS
//! pages). A mapping is a reservation of which the first `size` bytes are committed. What is behind them, up to the next
//! multiple of 64 KiB, is what `extend` commits next; beyond that it makes another reservation.
//!
//! - `unmap` decommits, and gives a reservation back when nothing of it is committed any more: the system takes reservations
//!   back only whole. A hole inside one faults, and its memory is the system's, but its addresses serve nobody else until then.
//! - `purge` decommits and commits again. If the system has promised the memory to somebody else meanwhile, there is nothing that
//!   could be handed out as zeros, or at all: after some patience that ends the process with one line.
//! - The system promises no more than it has: memory that is committed is there. So `map` fails where Linux would let
//!   the program run into its end, and the handlers of the allocator see it.
//! - Nothing is moved, there is no `fork`, and there is no program break: `sbrk` fails with ENOMEM.
//! - Threads say that they exit through a fibre-local slot (`exit`).

/// A function `fn() -> Option<NonNull<c_void>>`: nothing. What is linked on Windows is there; nothing is weak.
#[macro_export]
macro_rules! weak_symbol {
    ($function:ident, $symbol:literal) => {
        fn $function() -> Option<core::ptr::NonNull<core::ffi::c_void>> {
            None
        }
    };
}

mod exit;
mod kernel32;
mod process;

pub use process::{
    EINVAL, ENOMEM, environment, errno, keep_stderr, next_symbol, plant_pages, resident, set_errno,
    symbol_in, write_stream,
};

use crate::{Hooks, Platform};
use core::{
    arch::asm,
    ffi::c_void,
    mem::MaybeUninit,
    ptr::{self, NonNull},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};
use kernel32::{
    GetStdHandle, GetSystemInfo, MEM_COMMIT, MEM_DECOMMIT, MEM_RELEASE, MEM_RESERVE,
    MemoryBasicInformation, PAGE_READWRITE, STD_ERROR_HANDLE, SwitchToThread, SystemInfo,
    VirtualAlloc, VirtualFree, VirtualQuery, WriteFile,
};

/// The unit of reservations.
const GRANULARITY: usize = 64 << 10;

/// How often an aligned place is looked for when others take it.
const PLACES: usize = 32;

/// How often memory that was given up for an instant is asked back.
const PATIENCE: usize = 1000;

/// The Windows kernel.
#[derive(Clone, Copy, Debug, Default)]
pub struct Windows;

// SAFETY: the kernel never reserves what is reserved, and a reservation has one mapping, whose caller alone extends it.
// Committed memory reads zero.
unsafe impl Platform for Windows {
    fn page_size(&self) -> usize {
        static PAGE_SIZE: AtomicUsize = AtomicUsize::new(0);
        // Relaxed: who does not see the number asks for it, and gets the same.
        let known = PAGE_SIZE.load(Relaxed);
        if known != 0 {
            return known;
        }
        let mut info = MaybeUninit::<SystemInfo>::zeroed();
        // SAFETY: fills the structure.
        unsafe { GetSystemInfo(info.as_mut_ptr()) };
        // SAFETY: numbers and pointers, for which zeros would do.
        let size = unsafe { info.assume_init() }.page_size as usize;
        PAGE_SIZE.store(size, Relaxed);
        size
    }

    fn map(&self, size: usize, align: usize) -> Option<NonNull<u8>> {
        let base = reserve(size, align)?;
        if commit(base.addr().get(), size) {
            return Some(base);
        }
        // SAFETY: reserved above, known to nobody.
        unsafe { release(base.addr().get()) };
        None
    }

    fn extend(&self, end: NonNull<u8>, additional: usize) -> bool {
        let at = end.addr().get();
        let Some(after) = at.checked_add(additional) else {
            return false;
        };
        // What the reservation before has left.
        let boundary = at.next_multiple_of(GRANULARITY).min(after);
        let rest = after - boundary;
        if !is_uncommitted(at, boundary) {
            return false;
        }
        // Inside a longer reservation, of which a part was unmapped.
        if rest != 0 && Region::at(boundary).is_some_and(|region| region.is_reserved()) {
            return Region::at(at - 1).map(|region| region.reservation)
                == Region::at(after - 1).map(|region| region.reservation)
                && is_uncommitted(at, after)
                && commit(at, additional);
        }
        let more = match rest {
            0 => None,
            _ => match reserve_at(boundary, rest) {
                None => return false,
                more => more,
            },
        };
        let done =
            (rest == 0 || commit(boundary, rest)) && (boundary == at || commit(at, boundary - at));
        if let Some(more) = more.filter(|_| !done) {
            // SAFETY: reserved above, known to nobody.
            unsafe { release(more.addr().get()) };
        }
        done
    }

    unsafe fn unmap(&self, base: NonNull<u8>, size: usize) -> bool {
        let (start, end) = (base.addr().get(), base.addr().get() + size);
        if !(start | size).is_multiple_of(self.page_size()) {
            return false;
        }
        each_reservation(start, end, |reservation, from, to| {
            // SAFETY: the range is ours and out of use, by the caller's promise.
            let done = unsafe { decommit(from, to - from) };
            if done && is_empty(reservation) {
                // SAFETY: nothing of it is committed, and only who has a part of it that is would extend it.
                unsafe { release(reservation) };
            }
            done
        })
    }

    unsafe fn purge(&self, base: NonNull<u8>, size: usize) -> bool {
        let (start, end) = (base.addr().get(), base.addr().get() + size);
        if !(start | size).is_multiple_of(self.page_size()) {
            return false;
        }
        each_reservation(start, end, |_, from, to| {
            // SAFETY: the range is ours and nobody needs its contents, by the caller's promise.
            let given_up = unsafe { decommit(from, to - from) };
            if given_up && !(0..PATIENCE).any(|_| commit_or_yield(from, to - from)) {
                self.write_stderr(b"ralloc: the system has no memory for a purged range\n");
                self.abort();
            }
            given_up
        })
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

    unsafe fn program_break(&self, _to: Option<usize>) -> usize {
        0
    }

    fn arm_thread_exit(&self) -> bool {
        exit::arm()
    }

    fn install(&self, hooks: Hooks) {
        exit::install(hooks);
    }

    fn entropy(&self) -> usize {
        process::entropy()
    }

    fn write_stderr(&self, mut text: &[u8]) {
        // SAFETY: asks only.
        let stderr = unsafe { GetStdHandle(STD_ERROR_HANDLE) };
        while !text.is_empty() {
            let mut written = 0;
            let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
            // SAFETY: reads so many bytes. A handle that is none is refused.
            let done = unsafe {
                WriteFile(
                    stderr,
                    text.as_ptr().cast(),
                    length,
                    &raw mut written,
                    ptr::null_mut(),
                )
            };
            if done == 0 || written == 0 {
                return;
            }
            text = text.get(written as usize..).unwrap_or(&[]);
        }
    }

    fn yield_now(&self) {
        // SAFETY: asks for nothing but time.
        unsafe { SwitchToThread() };
    }

    fn abort(&self) -> ! {
        /// `FAST_FAIL_FATAL_APP_EXIT` of `<winnt.h>`.
        const FATAL_EXIT: usize = 7;
        // SAFETY: `__fastfail`: the kernel ends the process, and runs nothing of it.
        unsafe { asm!("int 0x29", in("rcx") FATAL_EXIT, options(noreturn, nostack)) }
    }
}

/// Reserve `size` bytes, aligned.
fn reserve(size: usize, align: usize) -> Option<NonNull<u8>> {
    if align <= GRANULARITY {
        return reserve_at(0, size);
    }
    let total = size.checked_add(align - GRANULARITY)?;
    for _ in 0..PLACES {
        // A place of this kind is free now; that it still is when it has been given back is likely.
        let whole = reserve_at(0, total)?;
        let base = whole.addr().get().next_multiple_of(align);
        if base == whole.addr().get() && total == size {
            return Some(whole);
        }
        // SAFETY: reserved above, known to nobody.
        unsafe { release(whole.addr().get()) };
        if let Some(base) = reserve_at(base, size) {
            return Some(base);
        }
    }
    None
}

/// Reserve at `address`, a multiple of 64 KiB, if nothing is there; anywhere if it is 0. In whole units.
fn reserve_at(address: usize, size: usize) -> Option<NonNull<u8>> {
    let size = size.checked_next_multiple_of(GRANULARITY)?;
    let at = ptr::without_provenance_mut(address);
    // SAFETY: what is reserved already is refused.
    let base = unsafe { VirtualAlloc(at, size, MEM_RESERVE, PAGE_READWRITE) };
    NonNull::new(base.cast())
}

/// Commit OS pages of a reservation of ours: they are readable and writable, and those that were not committed read zero.
fn commit(address: usize, size: usize) -> bool {
    let at: *mut c_void = ptr::with_exposed_provenance_mut(address);
    // SAFETY: memory of ours; what is committed stays as it is.
    unsafe { !VirtualAlloc(at, size, MEM_COMMIT, PAGE_READWRITE).is_null() }
}

fn commit_or_yield(address: usize, size: usize) -> bool {
    let done = commit(address, size);
    if !done {
        Windows.yield_now();
    }
    done
}

/// # Safety
///
/// The range lies within one reservation of ours, in whole OS pages, and nobody needs its contents.
unsafe fn decommit(address: usize, size: usize) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        VirtualFree(
            ptr::with_exposed_provenance_mut(address),
            size,
            MEM_DECOMMIT,
        ) != 0
    }
}

/// # Safety
///
/// A reservation of ours begins there, and is out of use.
unsafe fn release(reservation: usize) {
    // SAFETY: as the caller promises. It fails for nothing that is so.
    unsafe {
        VirtualFree(
            ptr::with_exposed_provenance_mut(reservation),
            0,
            MEM_RELEASE,
        )
    };
}

/// Neighbouring OS pages that are in the same state.
#[derive(Clone, Copy)]
struct Region {
    /// Where the reservation begins that they are of.
    reservation: usize,
    end: usize,
    state: u32,
}

impl Region {
    /// What is from this address on. `None` where there are no addresses.
    fn at(address: usize) -> Option<Self> {
        let mut info = MaybeUninit::<MemoryBasicInformation>::zeroed();
        let size = size_of::<MemoryBasicInformation>();
        let at = ptr::without_provenance(address);
        // SAFETY: asks about any address, and writes at most so many bytes.
        let written = unsafe { VirtualQuery(at, info.as_mut_ptr(), size) };
        // SAFETY: numbers and pointers, for which zeros will do.
        let info = unsafe { info.assume_init() };
        (written == size).then(|| Self {
            reservation: info.allocation_base.addr(),
            end: info.base.addr() + info.size,
            state: info.state,
        })
    }

    /// Addresses of a reservation, without memory.
    fn is_reserved(self) -> bool {
        self.state == MEM_RESERVE
    }

    fn is_committed(self) -> bool {
        self.state == MEM_COMMIT
    }
}

/// Whether all of a range is reserved, and nothing of it committed.
fn is_uncommitted(start: usize, end: usize) -> bool {
    let mut at = start;
    while at < end {
        match Region::at(at) {
            Some(region) if region.is_reserved() => at = region.end,
            _ => return false,
        }
    }
    true
}

/// Whether nothing of a reservation is committed.
fn is_empty(reservation: usize) -> bool {
    let mut at = reservation;
    while let Some(region) = Region::at(at) {
        if region.reservation != reservation {
            break;
        }
        if region.is_committed() {
            return false;
        }
        at = region.end;
    }
    true
}

/// Call `work` for the part of the range in each reservation that it touches: the reservation, start and end. Stops at the
/// first that fails.
fn each_reservation(
    start: usize,
    end: usize,
    mut work: impl FnMut(usize, usize, usize) -> bool,
) -> bool {
    let mut from = start;
    while from < end {
        let Some(first) = Region::at(from).filter(|region| region.is_committed()) else {
            return false;
        };
        let mut to = first.end;
        while to < end
            && let Some(next) = Region::at(to)
            && next.reservation == first.reservation
        {
            to = next.end;
        }
        let to = to.min(end);
        if !work(first.reservation, from, to) {
            return false;
        }
        from = to;
    }
    true
}
