//! The block as a thread-local of the standard library, for programs that have it.
//!
//! The compiler knows such a thread-local, and the assembler it cannot see into: where the index is known as well, a load is one
//! instruction in an executable. In a shared object it is a call of `__tls_get_addr`. What the compiler knows it may also keep: code that
//! a switch of contexts moves to another thread may go on with the block of the first, as with every thread-local of Rust.

use crate::THREAD_WORDS;
use core::cell::Cell;

/// The words of one thread. A cache line: the block shares none with the thread-locals of others.
#[doc(hidden)]
#[repr(align(64))]
pub struct Cells([Cell<usize>; THREAD_WORDS]);

impl Cells {
    /// All zero.
    #[allow(
        clippy::new_without_default,
        reason = "a thread-local, made by the macro below"
    )]
    pub const fn new() -> Self {
        Self([const { Cell::new(0) }; THREAD_WORDS])
    }

    /// The word at an index.
    ///
    /// # Safety
    ///
    /// `index < THREAD_WORDS`.
    #[inline(always)]
    pub unsafe fn cell(&self, index: usize) -> &Cell<usize> {
        // SAFETY: the caller's promise.
        unsafe { self.0.get_unchecked(index) }
    }
}

/// As [`thread_block!`](crate::thread_block), of the standard library, which the crate that asks for it has: for programs.
///
/// ```
/// use ralloc_platform::ThreadBlock;
///
/// ralloc_platform::std_thread_block! {
///     /// The words of my allocator.
///     struct Words;
/// }
///
/// Words::set_fixed::<3>(42);
/// assert_eq!(Words::get_fixed::<3>(), 42);
/// std::thread::spawn(|| assert_eq!(Words::get_fixed::<3>(), 0)).join().unwrap();
/// ```
#[macro_export]
macro_rules! std_thread_block {
    ($(#[$attribute:meta])* $visibility:vis struct $name:ident;) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug)]
        $visibility struct $name;

        const _: () = {
            ::std::thread_local! {
                // A constant without a destructor: nothing is made, registered or ended.
                static WORDS: $crate::Cells = const { $crate::Cells::new() };
            }

            // SAFETY: every thread has cells of its own, zero at first, which nobody else knows.
            unsafe impl $crate::ThreadBlock for $name {
                #[inline(always)]
                unsafe fn get(index: usize) -> usize {
                    // SAFETY: the index is within the block, by the caller's promise.
                    WORDS.with(|words| unsafe { words.cell(index) }.get())
                }

                #[inline(always)]
                unsafe fn set(index: usize, word: usize) {
                    // SAFETY: as above.
                    WORDS.with(|words| unsafe { words.cell(index) }.set(word));
                }
            }
        };
    };
}
