//! A handler for one thread that runs out of memory.

use ralloc_platform::ThreadBlock;

use crate::{
    oom::{HANDLER, OomHandler, from_word, to_word},
    process::Instance,
};

/// Have `handler` asked when a request of the current thread cannot be served, in place of that of the process; `None`: that
/// of the process. Returns which of its own the thread had before.
///
/// ```
/// use ralloc::{Global, OutOfMemory, Recovery};
///
/// fn give_up(_: OutOfMemory) -> Recovery {
///     Recovery::GiveUp
/// }
/// assert!(ralloc::set_thread_oom_handler::<Global>(Some(give_up)).is_none());
/// ```
pub fn set_thread_oom_handler<I: Instance>(handler: Option<OomHandler>) -> Option<OomHandler> {
    let old = I::Thread::get_fixed::<HANDLER>();
    I::Thread::set_fixed::<HANDLER>(to_word(handler));
    // SAFETY: the word holds what `to_word` has made.
    unsafe { from_word(old) }
}
