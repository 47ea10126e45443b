//! Pages that are put where nothing is mapped, when somebody reads there.
//!
//! A handler of SIGSEGV does it. What it does not know it leaves to whoever handled the signal before; a program that sets a
//! handler of its own later takes its place.

use crate::{Platform, System, posix, system::mapping};
use core::{
    cell::UnsafeCell,
    ffi::{c_int, c_void},
    mem::{MaybeUninit, transmute},
    ptr::{self, NonNull},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// What is put there. Relaxed, both: set before the handler is.
static WORD: AtomicUsize = AtomicUsize::new(0);
static WANTED: AtomicUsize = AtomicUsize::new(0);

/// What SIGSEGV did before.
struct Before(UnsafeCell<MaybeUninit<libc::sigaction>>);

// SAFETY: written once, before the handler is there that reads it.
unsafe impl Sync for Before {}

static BEFORE: Before = Before(UnsafeCell::new(MaybeUninit::uninit()));

/// From now on, when the process touches an address that `wanted` accepts, and nothing is mapped there: put an OS page there
/// that is full of `word`, and go on. To be called at most once, while no other thread is.
///
/// `wanted` is called in the handler of a signal.
pub fn plant_pages(wanted: fn(usize) -> bool, word: usize) {
    WORD.store(word, Relaxed);
    WANTED.store(wanted as usize, Relaxed);
    let handler = on_fault as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
    // SAFETY: zeros are an action without flags, and with an empty set of signals.
    let mut action = unsafe { core::mem::zeroed::<libc::sigaction>() };
    action.sa_sigaction = handler as libc::sighandler_t;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    let before = BEFORE.0.get().cast();
    // SAFETY: the handler does what may be done in one, and nobody else looks at what was before.
    posix::keep_errno(|| unsafe { libc::sigaction(libc::SIGSEGV, &raw const action, before) });
}

extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
    // SAFETY: set before this handler was.
    let wanted = unsafe { transmute::<usize, fn(usize) -> bool>(WANTED.load(Relaxed)) };
    // SAFETY: the kernel has filled it.
    let info = unsafe { &*info };
    // SAFETY: of this signal it has an address; of one that a process has sent, anything.
    let address = unsafe { info.si_addr() }.addr();
    let is_hole = info.si_code == SEGV_MAPERR;
    if is_hole && wanted(address) && posix::keep_errno(|| plant(address)) {
        return;
    }
    posix::keep_errno(|| {
        // SAFETY: as it was before: written when this handler was set.
        unsafe { libc::sigaction(signal, BEFORE.0.get().cast(), ptr::null_mut()) };
        if info.si_code <= 0 {
            // It was sent, and does not come again by itself.
            // SAFETY: what happens then was the program's choice.
            unsafe { libc::raise(signal) };
        }
    });
}

/// Nothing is mapped there, as all systems have it.
const SEGV_MAPERR: c_int = 1;

/// Whether there is a page now: this one, or another that came first.
fn plant(address: usize) -> bool {
    let page = System.page_size();
    let place: *mut c_void = ptr::with_exposed_provenance_mut(address & !(page - 1));
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    let flags = mapping::EXACTLY | mapping::ALWAYS | libc::MAP_PRIVATE | libc::MAP_ANON;
    // SAFETY: replaces nothing.
    let base = unsafe { libc::mmap(place, page, rights, flags, -1, 0) };
    if base == libc::MAP_FAILED {
        return posix::errno() == libc::EEXIST;
    }
    if base != place {
        // SAFETY: mapped by the call above, and known to nobody.
        unsafe { libc::munmap(base, page) };
        return false;
    }
    let Some(base) = NonNull::new(base.cast::<usize>()) else {
        return false;
    };
    for index in 0..page / size_of::<usize>() {
        // SAFETY: within the page that was mapped above.
        let at = unsafe { base.add(index) };
        // SAFETY: as above. Who reads it meanwhile reads a zero.
        unsafe { at.write_volatile(WORD.load(Relaxed)) };
    }
    true
}
