//! The thread that waits for the peak, and stops the others there.

use crate::{
    Libc,
    kernel::File,
    notes::{self, HEAD},
    sum,
};
use libc::{c_char, c_int, c_void, siginfo_t};
use ralloc::account;
use std::{
    ffi::CStr,
    mem::MaybeUninit,
    ptr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

/// Between two looks, in microseconds.
const BETWEEN: u32 = 200;
/// How long the others have to stop, in milliseconds.
const PATIENCE: usize = 2000;

static STOPPED: AtomicUsize = AtomicUsize::new(0);
static RELEASED: AtomicBool = AtomicBool::new(false);
/// Somebody has begun to write the account.
static DONE: AtomicBool = AtomicBool::new(false);

/// An environment variable, which stays as it is.
fn variable(name: &CStr) -> Option<&'static CStr> {
    // SAFETY: nobody has changed the environment yet, or nobody cares.
    let value: *const c_char = unsafe { libc::getenv(name.as_ptr()) };
    // SAFETY: it ends in a zero.
    (!value.is_null()).then(|| unsafe { CStr::from_ptr(value) })
}

/// The signal that stops a thread: one that programs do not use.
fn signal() -> c_int {
    libc::SIGRTMAX() - 3
}

/// Start the thread, if this run is to be looked at.
pub(crate) fn start() {
    if variable(c"RALLOC_EXPLAIN_OUT").is_none() && variable(c"RALLOC_EXPLAIN_PEAK").is_none() {
        return;
    }
    // For programs that are gone before the thread runs.
    if let Some(peak) = variable(c"RALLOC_EXPLAIN_PEAK").and_then(File::create) {
        note_peak(&peak, resident());
    }
    // SAFETY: all zero is a valid value, and is filled in.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = stand_still;
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
    // SAFETY: the handler does nothing but mark, count and wait.
    unsafe { libc::sigaction(signal(), &action, ptr::null_mut()) };
    let mut thread = MaybeUninit::uninit();
    // SAFETY: there is room for the answer; the thread uses nothing that goes.
    unsafe { libc::pthread_create(thread.as_mut_ptr(), ptr::null(), watch, ptr::null_mut()) };
}

extern "C" fn stand_still(_: c_int, _: *mut siginfo_t, _: *mut c_void) {
    let errno = ralloc_platform::errno();
    account::heads::<Libc>(&mut |block| notes::mark(block, HEAD));
    STOPPED.fetch_add(1, SeqCst);
    while !RELEASED.load(SeqCst) {
        pause(1000);
    }
    ralloc_platform::set_errno(errno);
}

fn pause(microseconds: u32) {
    let time = libc::timespec {
        tv_sec: 0,
        tv_nsec: i64::from(microseconds) * 1000,
    };
    // SAFETY: the time outlives the call.
    unsafe { libc::nanosleep(&time, ptr::null_mut()) };
}

/// Resident now, in KiB.
fn resident() -> usize {
    let mut text = [0; 128];
    let Some(file) = File::open(c"/proc/self/statm") else {
        return 0;
    };
    let read = file.read_at(&mut text, 0);
    let mut fields = text[..read].split(|&byte| byte == b' ');
    fields.nth(1).map_or(0, number) * 4
}

pub(crate) fn number(digits: &[u8]) -> usize {
    let digits = digits.iter().take_while(|digit| digit.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
}

/// Write down the most that was resident, over what is there.
fn note_peak(peak: &File, kib: usize) {
    let mut digits = *b"00000000000000000000\n";
    let mut rest = kib;
    for digit in digits[..20].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    peak.overwrite(&digits);
}

extern "C" fn watch(_: *mut c_void) -> *mut c_void {
    let at = variable(c"RALLOC_EXPLAIN_AT").map(|at| number(at.to_bytes()));
    let peak = variable(c"RALLOC_EXPLAIN_PEAK").and_then(File::reopen);
    let mut most = 0;
    while !DONE.load(SeqCst) {
        let now = resident();
        if now > most {
            most = now;
            if let Some(peak) = &peak {
                note_peak(peak, now);
            }
        }
        if at.is_some_and(|at| now >= at) && !DONE.swap(true, SeqCst) {
            account(false);
        }
        pause(BETWEEN);
    }
    ptr::null_mut()
}

/// A program that was gone before the peak was seen again is explained as it ends.
pub(crate) fn at_exit() {
    if variable(c"RALLOC_EXPLAIN_AT").is_some() && !DONE.swap(true, SeqCst) {
        account::heads::<Libc>(&mut |block| notes::mark(block, HEAD));
        account(true);
    }
}

/// Stop the others, add up, let them go on.
fn account(is_exit: bool) {
    let others = signal_others();
    let mut waited = 0;
    while STOPPED.load(SeqCst) < others && waited < PATIENCE {
        pause(1000);
        waited += 1;
    }
    let stopped = STOPPED.load(SeqCst);
    if let Some(out) = variable(c"RALLOC_EXPLAIN_OUT").and_then(File::create) {
        // It never fails but for a full disk, and then what is missing shows.
        let _ = sum::write(&out, is_exit, others, stopped);
    }
    RELEASED.store(true, SeqCst);
}

/// Returns how many there are.
fn signal_others() -> usize {
    let Some(folder) = File::open(c"/proc/self/task") else {
        return 0;
    };
    // SAFETY: always allowed, both.
    let (process, me) = (unsafe { libc::getpid() }, unsafe { libc::gettid() });
    let mut others = 0;
    let mut buffer = [0; 4096];
    loop {
        let read = folder.entries(&mut buffer);
        if read == 0 {
            return others;
        }
        let mut at = 0;
        while at < read {
            // An entry: two words, its length in two bytes, a byte, and the name.
            let length = usize::from(u16::from_ne_bytes([buffer[at + 16], buffer[at + 17]]));
            let thread = number(&buffer[at + 19..at + length]) as c_int;
            at += length;
            if thread == 0 || thread == me {
                continue;
            }
            // SAFETY: sends a signal that we handle.
            if unsafe { libc::syscall(libc::SYS_tgkill, process, thread, signal()) } == 0 {
                others += 1;
            }
        }
    }
}
