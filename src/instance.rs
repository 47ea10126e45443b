//! Allocators of one's own.

/// Define an allocator: a type that names it, to be used as [`Ralloc<Name>`](crate::Ralloc) and in place of `I` in the functions of
/// [`native`](crate::native); its state; and the words that each thread has for it (576 bytes).
///
/// The allocator stands on the kernel that the program runs on, and follows the [`Tuning`](crate::Tuning) that is named. Several
/// can live in one program, at most 16; blocks of one must not be given to another.
///
/// ```
/// use core::alloc::{GlobalAlloc, Layout};
/// use ralloc::{Ralloc, Tuning};
///
/// /// Gives memory back at once.
/// pub struct Thrifty;
/// impl Tuning for Thrifty {
///     const IDLE_FLOOR: usize = 0;
///     const IDLE_SHARE: usize = usize::MAX;
/// }
///
/// ralloc::instance! {
///     /// The allocator of what comes and goes in large amounts.
///     pub struct Batch: Thrifty;
/// }
///
/// let layout = Layout::new::<[u64; 100]>();
/// // SAFETY: the layout has a size; the block is freed once, by the allocator that it is from.
/// unsafe {
///     let block = Ralloc::<Batch>::new().alloc(layout);
///     assert!(!block.is_null());
///     Ralloc::<Batch>::new().dealloc(block, layout);
/// }
/// ```
#[macro_export]
macro_rules! instance {
    ($(#[$attribute:meta])* $visibility:vis struct $name:ident: $tuning:ty;) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, Default)]
        $visibility struct $name;

        const _: () = {
            mod words {
                $crate::platform::thread_block! {
                    /// The words of a thread.
                    pub struct $name;
                }
            }

            static PROCESS: $crate::Process<$name> = $crate::Process::new($crate::platform::System);

            // SAFETY: the state is one static.
            unsafe impl $crate::Instance for $name {
                type Platform = $crate::platform::System;
                type Thread = words::$name;
                type Tuning = $tuning;

                #[inline(always)]
                fn process() -> &'static $crate::Process<Self> {
                    &PROCESS
                }
            }

            $crate::platform::on_load!($crate::install::<$name>);
        };
    };
}
