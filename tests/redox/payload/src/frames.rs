//! Frames of memory, as the kernel counts them: those of the whole machine, page tables and the kernel's own among them. The
//! runner answers with those of the reader's address space.

use crate::{
    kernel::{open, scheme},
    thread,
};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::boxed::Box;
use syscall::{
    O_RDONLY,
    data::GlobalSchemes,
    flag::{CallFlags, StdFsCallKind},
};

/// The descriptor of the memory scheme.
const MEMORY: usize = 5;

/// Ask the kernel for its memory scheme.
pub fn open_account() {
    // SAFETY: nothing has this number.
    let opened = unsafe { open(scheme(GlobalSchemes::Memory), "", O_RDONLY, MEMORY) };
    assert!(opened.is_ok(), "no memory scheme: {opened:?}");
}

/// Frames that are in use.
pub fn in_use() -> u64 {
    const WORDS: usize = 4;
    let mut answer = [0; WORDS * 8];
    let request = [StdFsCallKind::Fstatvfs as u64, 0, 0];
    let told = syscall::call_ro(MEMORY, &mut answer, CallFlags::STD_FS, &request);
    assert!(told.is_ok(), "the frames are not counted: {told:?}");
    // The size of a page, and how many there are, are free, and are free to us.
    let (words, _) = answer.as_chunks();
    let [_, all, free, _] = core::array::from_fn(|number| u64::from_le_bytes(words[number]));
    all - free
}

/// Frames that are in use now and were not.
pub fn since(before: u64) -> i64 {
    in_use().cast_signed() - before.cast_signed()
}

/// The most frames that were in use when somebody looked; 0 where nobody is to look.
static MOST: AtomicU64 = AtomicU64::new(0);

/// Look how many frames are in use, if somebody wants to know.
pub fn sample() {
    if MOST.load(Relaxed) != 0 {
        MOST.fetch_max(in_use(), Relaxed);
    }
}

/// The most frames that a thread with this work takes, as far as somebody looks, and those that it leaves.
pub fn taken_by(work: impl Fn() + Sync) -> (u64, u64) {
    let before = in_use();
    MOST.store(before, Relaxed);
    thread::together([Box::new(&work) as Box<dyn FnOnce() + Send + '_>]);
    let most = MOST.swap(0, Relaxed);
    (most - before, in_use().saturating_sub(before))
}
