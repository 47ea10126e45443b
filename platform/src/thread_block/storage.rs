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
            $crate::words_id(concat!(env!("CARGO_PKG_VERSION"), module_path!(), "::", stringify!($name)), line!(), column!());
            "ralloc_thread_block_", env!("CARGO_CRATE_NAME"), "_", stringify!($name)
        );
    };
}

/// The number at the end of the symbol of a block. A symbol cannot have the characters of a path; without the path, blocks of two
/// modules, or of two versions of a crate, would be one.
#[doc(hidden)]
pub const fn words_id(path: &str, line: u32, column: u32) -> u64 {
    const FACTOR: u64 = 0x100_0000_01B3; // FNV-1a, of 64 bits.
    let mut hash = 0xCBF2_9CE4_8422_2325 ^ ((line as u64) << 32 | column as u64);
    let mut bytes = path.as_bytes();
    while let [first, rest @ ..] = bytes {
        hash = (hash ^ *first as u64).wrapping_mul(FACTOR);
        bytes = rest;
    }
    hash
}

/// The storage behind a block, and the way to it. The rest is a number and text in parts, which make the symbol.
#[doc(hidden)]
#[macro_export]
macro_rules! define_thread_block {
    ($name:ident, $id:expr; $($symbol:tt)*) => {
        $crate::define_thread_storage!($id; $($symbol)*);

        // SAFETY: every thread has a copy of its own of the symbol, zero at first; the load and the store address the word
        // asked for in the copy of the running thread, and nobody else knows the symbol.
        unsafe impl $crate::ThreadBlock for $name {
            #[inline(always)]
            unsafe fn get(index: usize) -> usize {
                let distance = $crate::distance_of_thread_block!($id; $($symbol)*);
                // SAFETY: the index is within the block, by the caller's promise.
                unsafe { $crate::words::get(distance, index) }
            }

            #[inline(always)]
            unsafe fn set(index: usize, word: usize) {
                let distance = $crate::distance_of_thread_block!($id; $($symbol)*);
                // SAFETY: the index is within the block, by the caller's promise.
                unsafe { $crate::words::set(distance, index, word) };
            }

            #[inline(always)]
            fn get_fixed<const INDEX: usize>() -> usize {
                const { assert!(INDEX < $crate::THREAD_WORDS) };
                let distance = $crate::distance_of_thread_block!($id; $($symbol)*);
                // SAFETY: the index is within the block, as just asserted.
                unsafe { $crate::words::get_fixed::<INDEX>(distance) }
            }

            #[inline(always)]
            fn set_fixed<const INDEX: usize>(word: usize) {
                const { assert!(INDEX < $crate::THREAD_WORDS) };
                let distance = $crate::distance_of_thread_block!($id; $($symbol)*);
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
    ($id:expr; $($symbol:tt)*) => {
        core::arch::global_asm!(
            concat!(".pushsection .tbss.", $($symbol)*, "_{id},\"awT\",%nobits"),
            concat!(".globl ", $($symbol)*, "_{id}"),
            concat!(".hidden ", $($symbol)*, "_{id}"),
            concat!(".type ", $($symbol)*, "_{id},%object"),
            concat!(".size ", $($symbol)*, "_{id},{size}"),
            ".p2align 6", // A cache line: the block shares none with the thread-locals of others.
            concat!($($symbol)*, "_{id}:"),
            ".zero {size}",
            ".popsection",
            size = const $crate::THREAD_WORDS * size_of::<usize>(),
            id = const $id,
        );
    };
}

/// The storage behind a block: zeros of the image's template, which the loader copies for each thread.
#[cfg(windows)]
#[doc(hidden)]
#[macro_export]
macro_rules! define_thread_storage {
    ($id:expr; $($symbol:tt)*) => {
        core::arch::global_asm!(
            // The linker sorts by what follows the dollar, and the template ends before `ZZZ`.
            ".section .tls$R,\"dw\"",
            concat!(".globl ", $($symbol)*, "_{id}"),
            ".p2align 6",
            concat!($($symbol)*, "_{id}:"),
            ".zero {size}",
            ".text",
            size = const $crate::THREAD_WORDS * size_of::<usize>(),
            id = const $id,
        );
    };
}

const _: () = assert!(
    crate::THREAD_WORDS * size_of::<usize>() <= 1024,
    "the room for thread-locals of objects loaded later is scarce"
);
