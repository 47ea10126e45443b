//! The thread's handler is asked before that of the process, in that thread alone, in each allocator for itself.

use super::common::{self, Case, Kernel, MIB};
use ralloc::{Defaults, Global, OutOfMemory, Recovery, native, oom, set_thread_oom_handler};
use ralloc_platform::sim::Rules;
use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

const TOO_MUCH: usize = 1 << 60;

static ASKED: Mutex<Vec<&str>> = Mutex::new(Vec::new());

fn note(who: &'static str) -> Recovery {
    ASKED.lock().expect("no panic").push(who);
    Recovery::GiveUp
}

fn asked() -> Vec<&'static str> {
    std::mem::take(&mut *ASKED.lock().expect("no panic"))
}

fn fails() {
    assert!(Vec::<u8>::new().try_reserve_exact(TOO_MUCH).is_err());
}

ralloc::instance! {
    /// Another allocator, whose threads have handlers of their own.
    struct Other: Defaults;
}

#[test]
fn the_thread_s_comes_first_and_is_its_own() {
    let worker = thread::spawn(|| {
        let old = set_thread_oom_handler::<Global>(Some(|_| note("thread")));
        assert!(old.is_none());
        fails();
        assert_eq!(asked(), ["thread"], "in place of that of the process");
        let other = thread::spawn(fails);
        other.join().expect("no panic");
        assert_eq!(asked(), [""; 0], "not in other threads");
        // SAFETY: asks for nothing that anybody could have.
        let block = native::try_alloc::<Other>(TOO_MUCH, 1);
        assert!(
            block.is_err() && asked().is_empty(),
            "not of other allocators, not by `try_`"
        );
        assert!(set_thread_oom_handler::<Global>(None).is_some());
        fails();
        assert_eq!(asked(), [""; 0], "it is gone");
    });
    worker.join().expect("no panic");
    // A thread that comes later starts without one.
    let later = thread::spawn(|| set_thread_oom_handler::<Global>(None).is_none());
    assert!(later.join().expect("no panic"));
}

#[test]
fn without_one_the_process_is_asked() {
    static PROCESS: AtomicUsize = AtomicUsize::new(0);
    static THREAD: AtomicUsize = AtomicUsize::new(0);
    fn of_process(_: OutOfMemory) -> Recovery {
        PROCESS.fetch_add(1, SeqCst);
        Recovery::GiveUp
    }
    fn of_thread(_: OutOfMemory) -> Recovery {
        // A retry asks the same handler again.
        match THREAD.fetch_add(1, SeqCst) {
            0 | 1 => Recovery::Retry,
            _ => Recovery::GiveUp,
        }
    }
    common::run(Kernel::sim(Rules::Linux), || {
        use std::alloc::{GlobalAlloc, Layout};
        common::kernel().limit(8 * MIB);
        oom::set_oom_handler::<Case>(Some(of_process));
        let layout = Layout::from_size_align(20 * MIB, 16).expect("a layout");
        // SAFETY: the layout has a size.
        let fails = || assert!(unsafe { ralloc::Ralloc::<Case>::new().alloc(layout) }.is_null());
        fails();
        assert_eq!((PROCESS.load(SeqCst), THREAD.load(SeqCst)), (1, 0));
        set_thread_oom_handler::<Case>(Some(of_thread));
        fails();
        assert_eq!((PROCESS.load(SeqCst), THREAD.load(SeqCst)), (1, 3));
        set_thread_oom_handler::<Case>(None);
        fails();
        assert_eq!((PROCESS.load(SeqCst), THREAD.load(SeqCst)), (2, 3));
    });
}
