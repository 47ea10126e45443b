//! Any other processor: the block is a page of memory, and a thread key of the C library leads to it.
//!
//! What that costs: a call of `pthread_getspecific` per access, and an OS page per thread that ever stored a word
//! (pages of threads that have gone serve new ones). What it cannot do:
//!
//! - The C library drops the key's value after the last round of exit hooks. From then on the words of the dying
//!   thread read zero, until it stores again.
//! - It keeps the values of the first 32 keys without allocating, no more. The key is made at the first store,
//!   which is the first use of the allocator; a program that has made 32 keys before that is told, and aborted.
//! - A thread that stores a word after its last round keeps the page for good, and in the child of a `fork` the
//!   pages of the other threads are lost.
//!
//! A page is *held* by a thread, or *left*: then it says by which. It changes hands only when the kernel knows
//! that thread no more, so the last accesses of the dying thread are its own.

use crate::{Hooks, Platform, THREAD_WORDS, ThreadBlock, linux::Linux};
use core::{
    cell::Cell,
    ffi::c_void,
    ptr::{self, NonNull},
    sync::atomic::{
        AtomicI32, AtomicPtr, AtomicUsize,
        Ordering::{AcqRel, Acquire, Relaxed, Release},
    },
};
use rustix::{io::Errno, thread::Pid};

/// The words of one thread, at the start of a page of their own.
#[repr(C)]
struct Page {
    words: [Cell<usize>; THREAD_WORDS],
    /// How many rounds of exit hooks the holder has been through.
    rounds: Cell<usize>,
    /// 0 while a thread holds the page; else the kernel's number of the thread that has left it.
    left_by: AtomicI32,
    /// The page made before this one. Pages are never unmapped.
    next: *mut Page,
}

/// All pages, the newest first.
static PAGES: AtomicPtr<Page> = AtomicPtr::new(ptr::null_mut());

/// The thread key plus 1; 0 before there is one.
static KEY: AtomicUsize = AtomicUsize::new(0);

/// The C library keeps the values of so many keys in the thread itself.
const KEYS_WITHOUT_ALLOCATION: libc::pthread_key_t = 32;

/// The block by way of a thread key.
#[derive(Clone, Copy, Debug)]
pub struct KeyBlock;

// SAFETY: a page is held by one thread at a time, is cleared when it changes hands, and the key's value is the
// thread's own.
unsafe impl ThreadBlock for KeyBlock {
    unsafe fn get(index: usize) -> usize {
        let Some(page) = held_page() else {
            return 0;
        };
        // SAFETY: the index is within the block, by the caller's promise.
        unsafe { page.words.get_unchecked(index) }.get()
    }

    unsafe fn set(index: usize, word: usize) {
        let page = held_page().unwrap_or_else(take_page);
        // SAFETY: the index is within the block, by the caller's promise.
        unsafe { page.words.get_unchecked(index) }.set(word);
    }
}

/// The page that this thread holds.
fn held_page() -> Option<&'static Page> {
    // Acquire: pairs with the Release in `key`; the key is made.
    let key = KEY.load(Acquire).checked_sub(1)?;
    // SAFETY: the key was created and is never deleted.
    let value = unsafe { libc::pthread_getspecific(key as libc::pthread_key_t) };
    // SAFETY: the value is null or a page that this thread holds; pages are never unmapped.
    unsafe { value.cast::<Page>().as_ref() }
}

/// Hold a page that has been left by a thread which is no more, or a new one.
#[cold]
fn take_page() -> &'static Page {
    let key = key();
    let page = left_page().unwrap_or_else(new_page);
    page.words.iter().for_each(|word| word.set(0));
    page.rounds.set(0);
    hold(key, page);
    page
}

/// Make the page the value of this thread's key.
fn hold(key: libc::pthread_key_t, page: &'static Page) {
    let value: *const c_void = ptr::from_ref(page).cast();
    // SAFETY: the key was created and is never deleted; the page is this thread's.
    if unsafe { libc::pthread_setspecific(key, value) } != 0 {
        Linux.abort();
    }
}

fn left_page() -> Option<&'static Page> {
    // Acquire: pairs with the Release in `new_page`; makes the page's `next` visible.
    let mut at = PAGES.load(Acquire);
    // SAFETY: null or a page; pages are never unmapped.
    while let Some(page) = unsafe { at.as_ref() } {
        let thread = page.left_by.load(Relaxed);
        // Acquire: pairs with the Release in `end_of_round`; what the last holder wrote is over.
        if thread != 0
            && is_gone(thread)
            && page
                .left_by
                .compare_exchange(thread, 0, Acquire, Relaxed)
                .is_ok()
        {
            return Some(page);
        }
        at = page.next;
    }
    None
}

/// Whether the kernel knows no such thread. Its own number also tells a thread that it inherits, or comes back.
fn is_gone(thread: i32) -> bool {
    let Some(thread) = Pid::from_raw(thread) else {
        return true;
    };
    thread == rustix::thread::gettid()
        || rustix::process::test_kill_process(thread) == Err(Errno::SRCH)
}

/// A fresh page, in the list of all.
fn new_page() -> &'static Page {
    const { assert!(size_of::<Page>() <= 4096) };
    let size = Linux.page_size();
    let Some(base) = Linux.map(size, size) else {
        Linux.write_stderr(b"ralloc: no memory for the words of a thread\n");
        Linux.abort();
    };
    let page: NonNull<Page> = base.cast();
    // Release, below: pairs with the Acquire in `left_page`; publishes `next`, and the zeros of the rest.
    let mut next = PAGES.load(Relaxed);
    loop {
        // SAFETY: nobody else knows the page before it is in the list.
        unsafe { (*page.as_ptr()).next = next };
        match PAGES.compare_exchange_weak(next, page.as_ptr(), Release, Relaxed) {
            // SAFETY: mapped above, large enough, and every field may be zero.
            Ok(_) => return unsafe { page.as_ref() },
            Err(newer) => next = newer,
        }
    }
}

/// The key, made by the first thread that comes here.
fn key() -> libc::pthread_key_t {
    // Acquire: pairs with the Release below.
    if let Some(key) = KEY.load(Acquire).checked_sub(1) {
        return key as libc::pthread_key_t;
    }
    let mut key = 0;
    // SAFETY: the key is written before it is read, and the destructor is a plain function.
    let failed = unsafe { libc::pthread_key_create(&raw mut key, Some(end_of_round)) } != 0;
    if failed || key >= KEYS_WITHOUT_ALLOCATION {
        Linux.write_stderr(b"ralloc: no thread key that can be used without allocating\n");
        Linux.abort();
    }
    // Release: pairs with the Acquire in `held_page`. Acquire: if another thread was first, its key is made.
    match KEY.compare_exchange(0, key as usize + 1, AcqRel, Acquire) {
        Ok(_) => key,
        Err(first) => {
            // SAFETY: nobody has seen this key.
            unsafe { libc::pthread_key_delete(key) };
            (first - 1) as libc::pthread_key_t
        }
    }
}

/// The key's destructor: keeps the page for the rest of this round, and for the next one. In the last round it
/// says that the page will be left.
unsafe extern "C" fn end_of_round(value: *mut c_void) {
    // SAFETY: the value of the key is a page that this thread holds.
    let page: &'static Page = unsafe { &*value.cast::<Page>() };
    hold(key(), page);
    page.rounds.set(page.rounds.get() + 1);
    if page.rounds.get() > Hooks::LAST_ROUND {
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        // Release: pairs with the Acquire in `left_page`. What this thread still writes it writes before the
        // kernel forgets it, and only then is the page taken.
        page.left_by.store(thread, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages() -> usize {
        let mut count = 0;
        let mut at = PAGES.load(Acquire);
        // SAFETY: null or a page; pages are never unmapped.
        while let Some(page) = unsafe { at.as_ref() } {
            count += 1;
            at = page.next;
        }
        count
    }

    #[test]
    fn pages_of_threads_that_have_gone_serve_new_ones() {
        for _ in 0..500 {
            let body = || {
                // Only now is there a page, and it may be that of another thread.
                KeyBlock::set_fixed::<8>(1);
                assert_eq!(KeyBlock::get_fixed::<7>(), 0);
                KeyBlock::set_fixed::<7>(1);
            };
            std::thread::spawn(body).join().expect("it fares well");
        }
        // The kernel forgets a thread a little after it has been joined.
        assert!((1..50).contains(&pages()), "{}", pages());
    }

    #[test]
    fn a_page_is_not_taken_from_a_thread_that_lives() {
        let first_thread = rustix::process::getpid().as_raw_nonzero().get();
        let gone = std::thread::spawn(move || is_gone(first_thread)).join();
        assert!(!gone.expect("it fares well"));
    }
}
