//! What happens when there is no memory.
//!
//! The kernel has refused, and everything that could be given back has been: the *handler* is asked, that of the thread before that of
//! the process. It may free memory and have the request tried again, give up, or not return: end the process, wait for ever, or unwind,
//! though not through `GlobalAlloc`, where a panic of a handler ends the process. While it runs, requests of the
//! same thread that fail do so at once: a handler is never called from within a handler.
//!
//! Only requests that promise an answer ask it: [`alloc`](crate::alloc()) and its relatives, and `GlobalAlloc`. Those named
//! `try_` and the C functions do not.
//!
//! ```
//! use ralloc::{OutOfMemory, Recovery};
//! use std::sync::Mutex;
//!
//! #[global_allocator]
//! static GLOBAL: ralloc::Ralloc = ralloc::Ralloc::new();
//!
//! static CACHE: Mutex<Vec<u8>> = Mutex::new(Vec::new());
//!
//! fn drop_the_cache(_: OutOfMemory) -> Recovery {
//!     // The thread that is out of memory may be the one that holds the lock.
//!     match CACHE.try_lock() {
//!         Ok(mut cache) if cache.capacity() != 0 => {
//!             *cache = Vec::new();
//!             Recovery::Retry
//!         }
//!         _ => Recovery::GiveUp,
//!     }
//! }
//!
//! CACHE.lock().unwrap().resize(1000, 0);
//! ralloc::set_oom_handler(Some(drop_the_cache));
//! assert!(Vec::<u8>::new().try_reserve(1 << 60).is_err());
//! assert_eq!(CACHE.lock().unwrap().capacity(), 0);
//! ```

use core::{error, fmt};

use ralloc_platform::ThreadBlock;

use crate::{
    config::HEADS,
    fatal::{OUT_OF_MEMORY, fatal},
    primitive::Ordering,
    process::Instance,
};

/// A request that could not be served.
///
/// ```
/// let refused = ralloc::try_alloc(1 << 60, 8).unwrap_err();
/// assert_eq!((refused.size, refused.align), (1 << 60, 8));
/// assert_eq!(refused.to_string(), "out of memory: 1152921504606846976 bytes at a multiple of 8");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutOfMemory {
    /// Bytes asked for.
    pub size: usize,
    /// Alignment asked for, in bytes.
    pub align: usize,
}

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "out of memory: {} bytes at a multiple of {}",
            self.size, self.align
        )
    }
}

impl error::Error for OutOfMemory {}

/// What a handler decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recovery {
    /// There should be memory now: try again.
    Retry,
    /// There is none to be had.
    GiveUp,
}

/// A function that is called when a request cannot be served.
///
/// ```
/// use ralloc::{Global, OomHandler, Recovery, oom};
///
/// let handler: OomHandler = |request| {
///     eprintln!("no room for {} bytes", request.size);
///     Recovery::GiveUp
/// };
/// let before = oom::set_oom_handler::<Global>(Some(handler));
/// assert_eq!(before, None);
/// ```
pub type OomHandler = fn(OutOfMemory) -> Recovery;

/// Where a thread has its own handler, 0 if it has none.
pub(crate) const HANDLER: usize = HEADS + 3;

/// Where a thread notes that it is in a handler.
const HANDLING: usize = HEADS + 4;

const _: () = assert!(HANDLING < ralloc_platform::THREAD_WORDS);

/// Have `handler` asked in threads that have none of their own; `None`: nobody. Returns who was asked before.
///
/// Takes effect for requests that fail from now on, in all threads.
pub fn set_oom_handler<I: Instance>(handler: Option<OomHandler>) -> Option<OomHandler> {
    // Relaxed: a function is nothing that has to become visible first.
    let old = I::process()
        .oom_handler
        .swap(to_word(handler), Ordering::Relaxed);
    // SAFETY: the word holds what `to_word` has made.
    unsafe { from_word(old) }
}

pub(crate) fn to_word(handler: Option<OomHandler>) -> usize {
    handler.map_or(0, |handler| (handler as *const ()).expose_provenance())
}

/// # Safety
///
/// `word` was made by [`to_word`].
pub(crate) unsafe fn from_word(word: usize) -> Option<OomHandler> {
    let pointer: *const () = core::ptr::with_exposed_provenance(word);
    // SAFETY: null is `None`, everything else was a function of this type.
    unsafe { core::mem::transmute::<*const (), Option<OomHandler>>(pointer) }
}

/// A thread is in its handler, until this is dropped.
struct Handling<I: Instance>(core::marker::PhantomData<I>);

impl<I: Instance> Drop for Handling<I> {
    fn drop(&mut self) {
        I::Thread::set_fixed::<HANDLING>(0);
    }
}

/// Ask the handler. Whether the request is to be tried again.
#[cold]
fn is_worth_a_retry<I: Instance>(request: OutOfMemory) -> bool {
    if I::Thread::get_fixed::<HANDLING>() != 0 {
        return false;
    }
    let mut word = I::Thread::get_fixed::<HANDLER>();
    if word == 0 {
        word = I::process().oom_handler.load(Ordering::Relaxed);
    }
    // SAFETY: both words hold what `to_word` has made.
    let Some(handler) = (unsafe { from_word(word) }) else {
        return false;
    };
    I::Thread::set_fixed::<HANDLING>(1);
    let _handling = Handling::<I>(core::marker::PhantomData);
    handler(request) == Recovery::Retry
}

/// Make `attempt` until it brings a block, or the handler gives up: then null.
pub(crate) fn insist<I: Instance>(
    size: usize,
    align: usize,
    mut attempt: impl FnMut() -> *mut u8,
) -> *mut u8 {
    loop {
        let block = attempt();
        if !block.is_null() || !is_worth_a_retry::<I>(OutOfMemory { size, align }) {
            return block;
        }
    }
}

/// The end of a program that cannot go on without memory.
#[cold]
pub(crate) fn exhausted<I: Instance>(request: OutOfMemory) -> ! {
    fatal(&I::process().memory.kernel, OUT_OF_MEMORY, request.size)
}
