//! A thread that goes one instruction at a time, and stops wherever the allocator's memory has changed.
//!
//! The processor's trap flag sends the thread a signal after each instruction. The handler looks at the memory that is
//! watched; if it is not as it was, the thread waits there, in the middle of whatever it is doing, until the main
//! thread has had its turn. No stop is made within a kernel call: nothing of the allocator changes there, and the kernel's
//! ledger has locks that a child would find held.

use crate::common;
use std::{
    arch::asm,
    cell::Cell,
    fs::File,
    io::{Read, Write},
    os::fd::{AsRawFd, FromRawFd},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    ptr,
    sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering::SeqCst},
    thread_local,
};

/// The flag that makes the processor trap after each instruction.
const TRAP: u64 = 1 << 8;
/// Instructions after which the thread stops even if nothing that is watched has changed.
const PATIENCE: usize = 3000;
/// What the thread tells the main one.
const STOPPED: u8 = b's';
const OVER: u8 = b'o';

/// Memory that is watched: address and bytes.
static WATCHED: [(AtomicUsize, AtomicUsize); 3] =
    [const { (AtomicUsize::new(0), AtomicUsize::new(0)) }; 3];
/// What it was like when the thread last stopped.
static SEEN: AtomicU64 = AtomicU64::new(0);
/// Instructions since then, and in all.
static SINCE: AtomicUsize = AtomicUsize::new(0);
static STEPS: AtomicUsize = AtomicUsize::new(0);
/// Whether the thread is to stop at all.
static STOPS: AtomicBool = AtomicBool::new(true);
/// Where the thread writes and reads.
static TO_MAIN: AtomicI32 = AtomicI32::new(-1);
static FROM_MAIN: AtomicI32 = AtomicI32::new(-1);

/// The main thread's ends of the two pipes.
pub(crate) struct Stepper {
    from: File,
    to: File,
    /// The thread's ends, to be closed at the end.
    _theirs: [File; 2],
}

impl Stepper {
    /// Watch these ranges. One stepper at a time.
    pub(crate) fn new(watched: &[(usize, usize)]) -> Self {
        for (place, range) in WATCHED.iter().zip(watched) {
            place.0.store(range.0, SeqCst);
            place.1.store(range.1, SeqCst);
        }
        let ((from, their_to), (their_from, to)) = (pipe(), pipe());
        TO_MAIN.store(their_to.as_raw_fd(), SeqCst);
        FROM_MAIN.store(their_from.as_raw_fd(), SeqCst);
        STEPS.store(0, SeqCst);
        STOPS.store(true, SeqCst);
        let handler: extern "C" fn(i32) = trap;
        // SAFETY: zero is a valid action; the handler does what handlers may do.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = handler as usize;
        // SAFETY: nobody else uses this signal.
        let done = unsafe { libc::sigaction(libc::SIGTRAP, &raw const action, ptr::null_mut()) };
        assert_eq!(done, 0);
        Self {
            from,
            to,
            _theirs: [their_to, their_from],
        }
    }

    /// Call `at_stop` whenever the thread has stopped, until it is through. Returns stops and instructions.
    pub(crate) fn attend(mut self, mut at_stop: impl FnMut()) -> (usize, usize) {
        let (mut stops, mut failure) = (0, None);
        loop {
            let mut said = [0];
            self.from
                .read_exact(&mut said)
                .expect("the thread is there");
            if said[0] == OVER {
                break;
            }
            stops += 1;
            if let Err(panic) = catch_unwind(AssertUnwindSafe(&mut at_stop)) {
                // The thread goes on to its end without any more stops.
                failure = Some(panic);
                STOPS.store(false, SeqCst);
            }
            self.to.write_all(b"g").expect("the thread is there");
        }
        match failure {
            Some(panic) => resume_unwind(panic),
            None => (stops, STEPS.load(SeqCst)),
        }
    }
}

/// From here on this thread goes step by step.
fn begin() {
    SINCE.store(0, SeqCst);
    SEEN.store(picture(), SeqCst);
    // SAFETY: sets a flag of the processor; the stack is as before.
    unsafe { asm!("pushfq", "or qword ptr [rsp], {trap}", "popfq", trap = const TRAP) };
}

/// From here on it does not.
fn end() {
    // SAFETY: as above.
    unsafe {
        asm!("pushfq", "and qword ptr [rsp], {others}", "popfq", others = const !TRAP as i32)
    };
    tell(OVER);
}

/// Do `work` step by step.
pub(crate) fn through(work: impl FnOnce()) {
    begin();
    work();
    end();
}

/// To be called before the thread first uses the allocator, if it may go [`through_exit`]: what is first is destroyed last.
pub(crate) fn prepare_exit() {
    END.with(|_| ());
}

/// Have this thread go step by step through what the hooks do at its exit.
pub(crate) fn through_exit() {
    EXITS.set(true);
    BEGIN.with(|_| ());
}

struct AtExit(fn());

impl Drop for AtExit {
    fn drop(&mut self) {
        self.0();
    }
}

thread_local! {
    /// Whether the thread goes step by step through its exit.
    static EXITS: Cell<bool> = const { Cell::new(false) };
    static BEGIN: AtExit = const { AtExit(begin) };
    static END: AtExit = const { AtExit(|| if EXITS.get() { end(); }) };
}

extern "C" fn trap(_signal: i32) {
    STEPS.fetch_add(1, SeqCst);
    if !STOPS.load(SeqCst) || !common::kernel().is_quiet() {
        return;
    }
    let picture = picture();
    let is_patient = SINCE.fetch_add(1, SeqCst) < PATIENCE;
    if picture == SEEN.load(SeqCst) && is_patient {
        return;
    }
    SEEN.store(picture, SeqCst);
    SINCE.store(0, SeqCst);
    tell(STOPPED);
    let mut go = 0_u8;
    // SAFETY: a byte is read into a byte.
    let read = unsafe { libc::read(FROM_MAIN.load(SeqCst), (&raw mut go).cast(), 1) };
    assert_eq!(read, 1);
}

fn tell(what: u8) {
    // SAFETY: a byte is written from a byte.
    let written = unsafe { libc::write(TO_MAIN.load(SeqCst), (&raw const what).cast(), 1) };
    assert_eq!(written, 1);
}

/// A number that changes when a word that is watched does.
fn picture() -> u64 {
    let mut lanes = [1_u64; 4];
    for (at, bytes) in &WATCHED {
        let base: *const u64 = ptr::with_exposed_provenance(at.load(SeqCst));
        for word in 0..bytes.load(SeqCst) / 8 {
            // SAFETY: the word is in the range.
            let word_at = unsafe { base.add(word) };
            // SAFETY: the range is mapped; the thread that writes to it is this one.
            let value = unsafe { word_at.read_volatile() };
            let lane = &mut lanes[word % 4];
            *lane = (*lane ^ value)
                .wrapping_mul(0x9E37_79B9_7F4A_7C15)
                .rotate_left(29);
        }
    }
    lanes
        .into_iter()
        .fold(0, |sum: u64, lane| sum.rotate_left(7) ^ lane)
}

fn pipe() -> (File, File) {
    let mut ends = [0; 2];
    // SAFETY: there is room for two numbers.
    let done = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) };
    assert_eq!(done, 0, "there are files enough");
    let [read, write] = ends.map(|end| {
        // SAFETY: the number is that of a fresh pipe.
        unsafe { File::from_raw_fd(end) }
    });
    (read, write)
}
