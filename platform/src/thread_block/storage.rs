//! The block itself: a hidden symbol in `.tbss`, of which the C library gives each thread a copy that reads zero.

/// Define a block of [`THREAD_WORDS`](crate::THREAD_WORDS) words of static thread-local storage, and the type that leads to it: for
/// an allocator beside the one that has [`StaticBlock`](crate::StaticBlock).
///
/// It stands among the items of a module, not in a function.
///
/// ```
/// use ralloc_platform::ThreadBlock;
///
/// ralloc_platform::thread_block! {
///     /// The words of my allocator.
///     struct Words;
/// }
///
/// fn main() {
///     Words::set_fixed::<3>(42);
///     assert_eq!(Words::get_fixed::<3>(), 42);
/// }
/// ```
#[macro_export]
macro_rules! thread_block {
    ($(#[$attribute:meta])* $visibility:vis struct $name:ident;) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug)]
        $visibility struct $name;

        $crate::define_thread_block!(
            $name,
            "ralloc_thread_block_", env!("CARGO_CRATE_NAME"), "_", stringify!($name), "_", line!(), "_", column!()
        );
    };
}

/// The storage behind a block, and the way to it. The rest is the symbol, in parts.
#[doc(hidden)]
#[macro_export]
macro_rules! define_thread_block {
    ($name:ident, $($symbol:tt)*) => {
        $crate::define_thread_storage!($($symbol)*);

        // SAFETY: every thread has a copy of its own of the symbol, zero at first; the load and the store address the word
        // asked for in the copy of the running thread, and nobody else knows the symbol.
        unsafe impl $crate::ThreadBlock for $name {
            #[inline(always)]
            unsafe fn get(index: usize) -> usize {
                let distance = $crate::distance_of_thread_block!(concat!($($symbol)*));
                // SAFETY: the index is within the block, by the caller's promise.
                unsafe { $crate::words::get(distance, index) }
            }

            #[inline(always)]
            unsafe fn set(index: usize, word: usize) {
                let distance = $crate::distance_of_thread_block!(concat!($($symbol)*));
                // SAFETY: the index is within the block, by the caller's promise.
                unsafe { $crate::words::set(distance, index, word) };
            }

            #[inline(always)]
            fn get_fixed<const INDEX: usize>() -> usize {
                const { assert!(INDEX < $crate::THREAD_WORDS) };
                let distance = $crate::distance_of_thread_block!(concat!($($symbol)*));
                // SAFETY: the index is within the block, as just asserted.
                unsafe { $crate::words::get_fixed::<INDEX>(distance) }
            }

            #[inline(always)]
            fn set_fixed<const INDEX: usize>(word: usize) {
                const { assert!(INDEX < $crate::THREAD_WORDS) };
                let distance = $crate::distance_of_thread_block!(concat!($($symbol)*));
                // SAFETY: the index is within the block, as just asserted.
                unsafe { $crate::words::set_fixed::<INDEX>(distance, word) };
            }
        }
    };
}

/// The storage behind a block: a section of its own, which the linker drops if nobody asks for the symbol.
#[cfg(not(windows))]
#[doc(hidden)]
#[macro_export]
macro_rules! define_thread_storage {
    ($($symbol:tt)*) => {
        core::arch::global_asm!(
            concat!(".pushsection .tbss.", $($symbol)*, ",\"awT\",%nobits"),
            concat!(".globl ", $($symbol)*),
            concat!(".hidden ", $($symbol)*),
            concat!(".type ", $($symbol)*, ",%object"),
            concat!(".size ", $($symbol)*, ",{size}"),
            ".p2align 6", // A cache line: the block shares none with the thread-locals of others.
            concat!($($symbol)*, ":"),
            ".zero {size}",
            ".popsection",
            size = const $crate::THREAD_WORDS * size_of::<usize>(),
        );
    };
}

/// The storage behind a block: zeros of the image's template, which the loader copies for each thread.
#[cfg(windows)]
#[doc(hidden)]
#[macro_export]
macro_rules! define_thread_storage {
    ($($symbol:tt)*) => {
        core::arch::global_asm!(
            // The linker sorts by what follows the dollar, and the template ends before `ZZZ`.
            ".section .tls$R,\"dw\"",
            concat!(".globl ", $($symbol)*),
            ".p2align 6",
            concat!($($symbol)*, ":"),
            ".zero {size}",
            ".text",
            size = const $crate::THREAD_WORDS * size_of::<usize>(),
        );
    };
}

const _: () = assert!(
    crate::THREAD_WORDS * size_of::<usize>() <= 1024,
    "the room for thread-locals of objects loaded later is scarce"
);
