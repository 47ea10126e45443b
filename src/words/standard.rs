//! In a thread-local of the standard library, which the compiler can see into.

ralloc_platform::std_thread_block! {
    /// The words of a thread.
    pub struct Words;
}
