//! The moments at which an allocator is used although nobody thinks of it: before `main`, while a thread takes itself down, after
//! `main`, in a panic.

use super::child;
use std::{
    cell::RefCell,
    panic::{catch_unwind, set_hook},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

/// What was allocated before `main`.
static EARLY: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

fn before_main() {
    let mut early = EARLY.lock().expect("nobody else is about");
    early.extend((0..200).map(|number| vec![number as u8; number * 100]));
    // Some of it is freed as early.
    early.truncate(150);
}

ralloc::platform::on_load!(before_main);

#[test]
fn before_main_blocks_are_blocks() {
    let early = std::mem::take(&mut *EARLY.lock().expect("no panic"));
    assert_eq!(early.len(), 150);
    for (number, block) in early.iter().enumerate() {
        assert!(block.iter().all(|&byte| usize::from(byte) == number));
    }
    // Freed by a thread that had no part in it.
    thread::spawn(move || drop(early)).join().expect("no panic");
}

/// Allocates when it is dropped, frees what it holds, and leaves blocks to others.
struct Last(Vec<Vec<u8>>);

static LEFT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
static DROPPED: AtomicUsize = AtomicUsize::new(0);

impl Drop for Last {
    fn drop(&mut self) {
        let blocks: Vec<_> = (0..100).map(|number| vec![7_u8; number * 50]).collect();
        assert!(blocks.iter().flatten().all(|&byte| byte == 7));
        self.0.clear();
        LEFT.lock().expect("no panic").extend(blocks);
        DROPPED.fetch_add(1, SeqCst);
    }
}

thread_local! {
    static ONE: RefCell<Option<Last>> = const { RefCell::new(None) };
    static OTHER: RefCell<Option<Last>> = const { RefCell::new(None) };
}

#[test]
fn thread_local_destructors_allocate_and_free() {
    for round in 1..=20 {
        let worker = thread::spawn(|| {
            // One is registered before the thread has a heap of its own, perhaps; the other after.
            ONE.with(|one| *one.borrow_mut() = Some(Last(Vec::new())));
            let theirs = std::mem::take(&mut *LEFT.lock().expect("no panic"));
            let mine = (0..100).map(|number| vec![1_u8; number * 30]);
            OTHER.with(|other| *other.borrow_mut() = Some(Last(mine.chain(theirs).collect())));
        });
        worker.join().expect("no panic");
        assert_eq!(DROPPED.load(SeqCst), 2 * round);
        let left = LEFT.lock().expect("no panic");
        assert_eq!(left.len(), 200);
        assert!(left.iter().flatten().all(|&byte| byte == 7));
    }
}

extern "C" fn at_exit() {
    let blocks: Vec<_> = (0..1000).map(|number| vec![7_u8; number]).collect();
    let bytes: usize = blocks.iter().map(Vec::len).sum();
    drop(blocks);
    println!("at exit: {bytes} bytes");
}

#[test]
#[ignore = "a part of at_exit_there_is_memory"]
fn part_at_exit() {
    let mut kept = vec![7_u8; 100_000];
    // SAFETY: the function allocates and prints, as functions at exit may.
    assert_eq!(unsafe { libc::atexit(at_exit) }, 0);
    kept.extend_from_within(..);
    std::process::exit(0);
}

#[test]
fn at_exit_there_is_memory() {
    let ended = child::run("moments::part_at_exit");
    assert!(ended.status.success(), "{}", ended.said);
    assert!(
        ended.said.contains("at exit: 499500 bytes"),
        "{}",
        ended.said
    );
}

#[test]
#[ignore = "a part of in_a_panic_hook_there_is_memory"]
fn part_panic_hook() {
    static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());
    set_hook(Box::new(|panic| {
        let text = (0..100).map(|number| format!("{number}: {panic}\n"));
        SAID.lock().expect("no panic in here").extend(text);
    }));
    // While blocks of all kinds are held, which unwinding frees.
    let outcome = catch_unwind(|| {
        let _blocks: Vec<_> = (0..40)
            .map(|shift| vec![1_u8; 3_usize << (shift / 2)])
            .collect();
        panic!("as planned");
    });
    assert!(outcome.is_err());
    let said = SAID.lock().expect("no panic in there");
    assert!(said.len() == 100 && said[99].contains("as planned"));
    // SAFETY: no other thread is at work.
    unsafe { ralloc::verify() };
}

#[test]
fn in_a_panic_hook_there_is_memory() {
    child::passes("moments::part_panic_hook");
}
