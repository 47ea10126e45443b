//! Redox, by its system calls alone: nothing here asks a C library, because this is what Redox' C library stands on. For
//! programs that have one there is [`Hosted`], which has it say when threads exit and around `fork`.
//!
//! What the kernel is like, and what follows from it:
//!
//! - It puts a mapping into the smallest hole that is large enough, at that hole's low end, with the alignment of an OS page,
//!   and ignores hints. So this module chooses the addresses itself (`place`), and lays what is going to grow in
//!   front of holes larger than those that the kernel fills first.
//! - `funmap`, a fixed `fmap`, `fork` and exit walk every page of a mapping, touched or not. So nothing is reserved
//!   that has not been asked for.
//! - A fixed `fmap` over a range gives the frames back, and the range is at no moment a hole, because one call does both. It
//!   does not run out of memory.
//! - Memory without access rights can still be read. What must not be touched is a hole.
//! - Nothing is refused before it is touched: mapping fails for want of addresses, not of frames.
//!
//! The C library tells this module what only it knows: when threads exit and around `fork` ([`thread_exit`], [`fork_prepare`],
//! [`fork_parent`], [`fork_child`]), how a process ends ([`set_abort`]), where standard error is ([`set_stderr`]) and what
//! is random ([`add_entropy`]). None of the last three need be told.

mod entropy;
mod hosted;
mod place;
mod program_break;

pub use entropy::add_entropy;
pub use hosted::Hosted;
pub(crate) use hosted::c_library;

use crate::{Hooks, Platform, hooks};
use core::{
    mem::transmute,
    ptr::{self, NonNull},
    sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed},
};
use syscall::{
    EEXIST, EINTR, Error, MapFlags, MremapFlags, PAGE_SIZE, SYS_MREMAP, data::Map, syscall5,
};

/// `errno` for "no memory".
pub const ENOMEM: i32 = syscall::ENOMEM;
/// `errno` for "no such alignment".
pub const EINVAL: i32 = syscall::EINVAL;

/// What memory is for: nothing else is ever asked for.
const RIGHTS: MapFlags = MapFlags::PROT_READ.union(MapFlags::PROT_WRITE);

/// Where standard error is.
static STDERR: AtomicUsize = AtomicUsize::new(2);
/// How a process ends abnormally, a `fn() -> !`; null before anybody has said so.
static ABORT: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// The Redox kernel. Threads and forks are told by whoever makes them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Redox;

// SAFETY: the kernel never hands out a mapped range unless told to replace it, which is asked for in `purge`, about memory
// of the caller's, and in `relocate`, about a place mapped by the same call. Anonymous memory reads zero.
unsafe impl Platform for Redox {
    fn page_size(&self) -> usize {
        PAGE_SIZE
    }

    fn map(&self, size: usize, align: usize) -> Option<NonNull<u8>> {
        let base = if align <= PAGE_SIZE {
            map_raw(0, size, MapFlags::empty()).ok()?
        } else {
            let exactly = |base| map_raw(base, size, MapFlags::MAP_FIXED_NOREPLACE).map(|_| ());
            place::choose(size, align, exactly).or_else(|| map_and_trim(size, align))?
        };
        NonNull::new(ptr::with_exposed_provenance_mut(base))
    }

    fn extend(&self, end: NonNull<u8>, additional: usize) -> bool {
        let end = end.addr().get();
        map_raw(end, additional, MapFlags::MAP_FIXED_NOREPLACE).is_ok()
    }

    unsafe fn unmap(&self, base: NonNull<u8>, size: usize) -> bool {
        // SAFETY: the range is ours and out of use, by the caller's promise.
        let done = unsafe { unmap_raw(base.addr().get(), size) };
        if done {
            place::retreat(base.addr().get(), size);
        }
        done
    }

    unsafe fn purge(&self, base: NonNull<u8>, size: usize) -> bool {
        // `MAP_FIXED` replaces what is there: ours, and nobody needs its contents, by the caller's promise.
        map_raw(base.addr().get(), size, MapFlags::MAP_FIXED).is_ok()
    }

    unsafe fn relocate(
        &self,
        old: NonNull<u8>,
        old_size: usize,
        new_size: usize,
        align: usize,
    ) -> Option<NonNull<u8>> {
        let old = old.addr().get();
        // SAFETY: the old range is the caller's alone; without leave to replace, the place is a hole.
        let onto =
            |place| unsafe { move_raw((old, old_size), (place, new_size), MremapFlags::FIXED) };
        let new = place::choose(new_size, align, onto).or_else(|| {
            let place = map_and_trim(new_size, align)?;
            // SAFETY: the old range is the caller's alone; the place was mapped by the line above.
            let moved = unsafe {
                move_raw(
                    (old, old_size),
                    (place, new_size),
                    MremapFlags::FIXED_REPLACE,
                )
            };
            // A move that is refused is refused before the place is touched, or leaves a hole there, which others may have
            // filled: then the addresses are lost, and no frame is.
            moved.is_ok().then_some(place)
        })?;
        place::retreat(old, old_size);
        NonNull::new(ptr::with_exposed_provenance_mut(new))
    }

    unsafe fn program_break(&self, to: Option<usize>) -> usize {
        match to {
            None => program_break::get(),
            Some(address) => program_break::set(address),
        }
    }

    /// The exit hook runs if the C library calls [`thread_exit`], which it does for every thread.
    fn arm_thread_exit(&self) -> bool {
        true
    }

    fn install(&self, hooks: Hooks) {
        hooks::install(hooks, self);
    }

    fn entropy(&self) -> usize {
        entropy::word()
    }

    fn write_stderr(&self, mut text: &[u8]) {
        // Relaxed: a descriptor is a number, nothing else becomes visible with it.
        let stderr = STDERR.load(Relaxed);
        while !text.is_empty() {
            match syscall::write(stderr, text) {
                Ok(0) => return,
                Ok(written) => text = text.get(written..).unwrap_or(&[]),
                Err(error) if error.errno == EINTR => {}
                Err(_) => return,
            }
        }
    }

    fn yield_now(&self) {
        // It cannot fail.
        let _ = syscall::sched_yield();
    }

    fn abort(&self) -> ! {
        // Relaxed: code was there before anybody could point to it.
        let abort = ABORT.load(Relaxed);
        if !abort.is_null() {
            // SAFETY: only `set_abort` stores there, and what it stores is such a function.
            let abort = unsafe { transmute::<*mut (), fn() -> !>(abort) };
            abort();
        }
        loop {
            let kernel: *mut usize = ptr::without_provenance_mut(usize::MAX - 15);
            // SAFETY: none is needed: the last addresses are the kernel's on every processor, so this is an exception, which
            // ends the process, or the thread where there is no process manager.
            unsafe { kernel.write_volatile(0) };
        }
    }
}

/// Say how the process ends abnormally. Before, or if nobody does, a fatal error ends it by an exception.
pub fn set_abort(abort: fn() -> !) {
    ABORT.store(abort as *mut (), Relaxed);
}

/// Say where standard error is. Before, it is descriptor 2.
pub fn set_stderr(descriptor: usize) {
    STDERR.store(descriptor, Relaxed);
}

/// The current thread is about to exit and has run its other exit hooks. What it frees and allocates from then on is served
/// by other threads' means.
pub fn thread_exit() {
    hooks::thread_exit(Hooks::LAST_ROUND);
}

/// The current thread is about to fork. To be called before any lock is taken.
pub fn fork_prepare() {
    hooks::fork_prepare();
}

/// The current thread has forked, and this is the parent.
pub fn fork_parent() {
    hooks::fork_parent();
}

/// The current thread has forked, and this is the child.
pub fn fork_child() {
    hooks::fork_child();
}

/// One system call: anonymous private memory, at `address` if the flags say so.
///
/// With `MAP_FIXED` it replaces what is there: that is the caller's and out of use.
fn map_raw(address: usize, size: usize, flags: MapFlags) -> syscall::Result<usize> {
    let map = Map {
        offset: 0,
        size,
        flags: flags | MapFlags::MAP_PRIVATE | RIGHTS,
        address,
    };
    // SAFETY: replaces only what the caller says.
    unsafe { syscall::fmap(!0, &map) }
}

/// # Safety
///
/// The range is ours, in whole OS pages, and out of use.
unsafe fn unmap_raw(base: usize, size: usize) -> bool {
    // SAFETY: the caller's promise.
    unsafe { syscall::funmap(base, size) }.is_ok()
}

/// One system call: the pages of a range go to another place; what is longer there reads zero, what is longer here goes.
///
/// # Safety
///
/// The range is the caller's alone; what the place replaces, if the flags say that it may, is as well.
unsafe fn move_raw(
    (old, old_size): (usize, usize),
    (new, new_size): (usize, usize),
    flags: MremapFlags,
) -> syscall::Result<()> {
    let flags = flags.bits() | RIGHTS.bits();
    // SAFETY: the caller's promise.
    unsafe { syscall5(SYS_MREMAP, old, old_size, new, new_size, flags) }.map(|_| ())
}

/// Map so much that an aligned range must lie within, and give the rest back.
fn map_and_trim(size: usize, align: usize) -> Option<usize> {
    let total = size.checked_add(align - PAGE_SIZE)?;
    let whole = map_raw(0, total, MapFlags::empty()).ok()?;
    let base = whole.next_multiple_of(align);
    for (start, end) in [(whole, base), (base + size, whole + total)] {
        // SAFETY: mapped by the call above, known to nobody. It is not refused: what is anonymous can be cut anywhere.
        let _ = start == end || unsafe { unmap_raw(start, end - start) };
    }
    Some(base)
}

/// Whether a place was refused because something is there.
fn is_occupied(error: &Error) -> bool {
    error.errno == EEXIST
}
