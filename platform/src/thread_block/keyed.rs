//! Any other processor or system: the block is a page of memory, and a thread key of the C library leads to it.
//!
//! What that costs: a call of `pthread_getspecific` per access, and an OS page per thread that ever stored a word
//! (pages of threads that have gone serve new ones). What it cannot do:
//!
//! - The C library drops the key's value after the last round of exit hooks. From then on the words of the dying
//!   thread read zero, until it stores again.
//! - It keeps the values of the first keys without allocating (glibc of 32, macOS of all), no more. The key is made at
//!   the first store, which is the first use of the allocator; a program that has made so many before that is told, and
//!   aborted.
//! - A thread that stores a word after its last round keeps the page for good, and in the child of a `fork` the
//!   pages of the other threads are lost.
//!
//! A page is *held* by a thread, or *left*: then it says by which. It changes hands only when the kernel knows
//! that thread no more, so the last accesses of the dying thread are its own.

use crate::{Hooks, Platform, System, THREAD_WORDS, posix::keep_errno, system};
use core::{
    cell::Cell,
    ffi::c_void,
    ptr::{self, NonNull},
    sync::atomic::{
        AtomicPtr, AtomicUsize,
        Ordering::{AcqRel, Acquire, Relaxed, Release},
    },
};

/// The words of one thread, at the start of a page of their own.
#[repr(C)]
struct Page {
    words: [Cell<usize>; THREAD_WORDS],
    /// How many rounds of exit hooks the holder has been through.
    rounds: Cell<usize>,
    /// 0 while a thread holds the page; else the kernel's number of the thread that has left it.
    left_by: AtomicUsize,
    /// In whose list the page is.
    of: &'static Keyed,
    /// The page made before this one. Pages are never unmapped.
    next: *mut Page,
}

/// What leads the threads to the pages that are their blocks.
#[derive(Debug)]
pub struct Keyed {
    /// All pages, the newest first.
    pages: AtomicPtr<Page>,
    /// The thread key plus 1; 0 before there is one.
    key: AtomicUsize,
}

/// Define a block by way of a thread key, and the type that leads to it.
#[doc(hidden)]
#[macro_export]
macro_rules! keyed_block {
    ($(#[$attribute:meta])* $visibility:vis struct $name:ident;) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug)]
        $visibility struct $name;

        const _: () = {
            static KEYED: $crate::keyed::Keyed = $crate::keyed::Keyed::new();

            // SAFETY: a page is held by one thread at a time, is cleared when it changes hands, and the key's value is the
            // thread's own.
            unsafe impl $crate::ThreadBlock for $name {
                unsafe fn get(index: usize) -> usize {
                    // SAFETY: the index is within the block, by the caller's promise.
                    unsafe { KEYED.get(index) }
                }

                unsafe fn set(index: usize, word: usize) {
                    // SAFETY: the index is within the block, by the caller's promise.
                    unsafe { KEYED.set(index, word) };
                }
            }
        };
    };
}

crate::keyed_block! {
    /// The block by way of a thread key.
    pub struct KeyBlock;
}

impl Keyed {
    /// No key, no pages.
    #[allow(
        clippy::new_without_default,
        reason = "a static, made by the macro above"
    )]
    pub const fn new() -> Self {
        Self {
            pages: AtomicPtr::new(ptr::null_mut()),
            key: AtomicUsize::new(0),
        }
    }

    /// See [`ThreadBlock::get`](crate::ThreadBlock::get).
    ///
    /// # Safety
    ///
    /// As there.
    pub unsafe fn get(&'static self, index: usize) -> usize {
        let Some(page) = self.held_page() else {
            return 0;
        };
        // SAFETY: the index is within the block, by the caller's promise.
        unsafe { page.words.get_unchecked(index) }.get()
    }

    /// See [`ThreadBlock::set`](crate::ThreadBlock::set).
    ///
    /// # Safety
    ///
    /// As there.
    pub unsafe fn set(&'static self, index: usize, word: usize) {
        let page = self.held_page();
        let page = page.unwrap_or_else(|| keep_errno(|| self.take_page()));
        // SAFETY: the index is within the block, by the caller's promise.
        unsafe { page.words.get_unchecked(index) }.set(word);
    }

    /// The page that this thread holds.
    fn held_page(&self) -> Option<&'static Page> {
        // Acquire: pairs with the Release in `key`; the key is made.
        let key = self.key.load(Acquire).checked_sub(1)?;
        // SAFETY: the key was created and is never deleted.
        let value = unsafe { libc::pthread_getspecific(key as libc::pthread_key_t) };
        // SAFETY: the value is null or a page that this thread holds; pages are never unmapped.
        unsafe { value.cast::<Page>().as_ref() }
    }

    /// Hold a page that has been left by a thread which is no more, or a new one.
    #[cold]
    fn take_page(&'static self) -> &'static Page {
        let key = self.key();
        let page = self.left_page().unwrap_or_else(|| self.new_page());
        page.words.iter().for_each(|word| word.set(0));
        page.rounds.set(0);
        hold(key, page);
        page
    }

    fn left_page(&self) -> Option<&'static Page> {
        // Acquire: pairs with the Release in `new_page`; makes the page's `next` visible.
        let mut at = self.pages.load(Acquire);
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

    /// A fresh page, in the list of all.
    fn new_page(&'static self) -> &'static Page {
        const { assert!(size_of::<Page>() <= 4096) };
        let size = System.page_size();
        let Some(base) = System.map(size, size) else {
            System.write_stderr(b"ralloc: no memory for the words of a thread\n");
            System.abort();
        };
        let page: NonNull<Page> = base.cast();
        // SAFETY: mapped above, large enough, known to nobody else.
        unsafe { (*page.as_ptr()).of = self };
        // Release, below: pairs with the Acquire in `left_page`; publishes `next`, and the zeros of the rest.
        let mut next = self.pages.load(Relaxed);
        loop {
            // SAFETY: nobody else knows the page before it is in the list.
            unsafe { (*page.as_ptr()).next = next };
            match self
                .pages
                .compare_exchange_weak(next, page.as_ptr(), Release, Relaxed)
            {
                // SAFETY: `of` is written, and every other field may be zero.
                Ok(_) => return unsafe { page.as_ref() },
                Err(newer) => next = newer,
            }
        }
    }

    /// The key, made by the first thread that comes here.
    fn key(&self) -> libc::pthread_key_t {
        // Acquire: pairs with the Release below.
        if let Some(key) = self.key.load(Acquire).checked_sub(1) {
            return key as libc::pthread_key_t;
        }
        let mut key = 0;
        // SAFETY: the key is written before it is read, and the destructor is a plain function.
        let failed = unsafe { libc::pthread_key_create(&raw mut key, Some(end_of_round)) } != 0;
        if failed || key as usize >= system::KEYS_WITHOUT_ALLOCATION {
            System.write_stderr(b"ralloc: no thread key that can be used without allocating\n");
            System.abort();
        }
        // Release: pairs with the Acquire in `held_page`. Acquire: if another thread was first, its key is made.
        match self
            .key
            .compare_exchange(0, key as usize + 1, AcqRel, Acquire)
        {
            Ok(_) => key,
            Err(first) => {
                // SAFETY: nobody has seen this key.
                unsafe { libc::pthread_key_delete(key) };
                (first - 1) as libc::pthread_key_t
            }
        }
    }
}

/// Make the page the value of this thread's key.
fn hold(key: libc::pthread_key_t, page: &'static Page) {
    let value: *const c_void = ptr::from_ref(page).cast();
    // SAFETY: the key was created and is never deleted; the page is this thread's.
    if unsafe { libc::pthread_setspecific(key, value) } != 0 {
        System.abort();
    }
}

/// Whether the kernel knows no such thread. Its own number also tells a thread that it inherits, or comes back.
fn is_gone(thread: usize) -> bool {
    thread == system::thread_number() || system::is_gone(thread)
}

/// The key's destructor: keeps the page for the rest of this round, and for the next one. In the last round it
/// says that the page will be left.
unsafe extern "C" fn end_of_round(value: *mut c_void) {
    // SAFETY: the value of the key is a page that this thread holds.
    let page: &'static Page = unsafe { &*value.cast::<Page>() };
    hold(page.of.key(), page);
    page.rounds.set(page.rounds.get() + 1);
    if page.rounds.get() > Hooks::LAST_ROUND {
        // Release: pairs with the Acquire in `left_page`. What this thread still writes it writes before the
        // kernel forgets it, and only then is the page taken.
        page.left_by.store(system::thread_number(), Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ThreadBlock;

    crate::keyed_block! {
        /// Beside the other.
        struct Second;
    }

    static COUNTED: Keyed = Keyed::new();

    fn pages() -> usize {
        let mut count = 0;
        let mut at = COUNTED.pages.load(Acquire);
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
                // SAFETY: the index is small. Only now is there a page, and it may be that of another thread.
                unsafe { COUNTED.set(8, 1) };
                // SAFETY: as above.
                assert_eq!(unsafe { COUNTED.get(7) }, 0);
                // SAFETY: as above.
                unsafe { COUNTED.set(7, 1) };
            };
            std::thread::spawn(body).join().expect("it fares well");
        }
        // The kernel forgets a thread a little after it has been joined.
        assert!((1..50).contains(&pages()), "{}", pages());
    }

    #[test]
    fn a_page_is_not_taken_from_a_thread_that_lives() {
        let first_thread = std::process::id() as usize;
        let gone = std::thread::spawn(move || is_gone(first_thread)).join();
        assert!(!gone.expect("it fares well"));
    }

    #[test]
    fn two_allocators_have_two_blocks() {
        let body = || {
            KeyBlock::set_fixed::<4>(1);
            Second::set_fixed::<4>(2);
            assert_eq!(KeyBlock::get_fixed::<4>(), 1);
            assert_eq!(Second::get_fixed::<4>(), 2);
        };
        std::thread::spawn(body).join().expect("it fares well");
    }
}
