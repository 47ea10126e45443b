//! The block in static thread-local storage: which leaf serves this processor.

#[path = "storage.rs"]
mod storage;

/// For tests of it.
#[cfg(all(feature = "sim", not(windows)))]
#[doc(hidden)]
#[path = "keyed.rs"]
pub mod keyed;

#[cfg(all(target_arch = "x86_64", target_pointer_width = "64", not(windows)))]
#[path = "x86_64.rs"]
#[doc(hidden)]
pub mod words;
#[cfg(all(target_arch = "x86_64", windows))]
#[path = "x86_64_windows.rs"]
#[doc(hidden)]
pub mod words;
#[cfg(target_arch = "aarch64")]
#[path = "aarch64.rs"]
#[doc(hidden)]
pub mod words;
#[cfg(target_arch = "riscv64")]
#[path = "riscv64.rs"]
#[doc(hidden)]
pub mod words;
#[cfg(target_arch = "x86")]
#[path = "x86.rs"]
#[doc(hidden)]
pub mod words;

#[cfg(not(windows))]
#[path = "standard.rs"]
mod standard;
#[cfg(not(windows))]
#[doc(hidden)]
pub use standard::Cells;

#[cfg(not(all(target_arch = "x86_64", feature = "local-exec", not(windows))))]
#[path = "static_block.rs"]
mod static_block;
#[cfg(all(target_arch = "x86_64", feature = "local-exec", not(windows)))]
#[path = "x86_64_local_exec.rs"]
mod static_block;
pub use static_block::StaticBlock;
#[doc(hidden)]
pub use storage::words_id;

/// As [`thread_block!`](crate::thread_block): on this system not every standard library has thread-locals of the compiler's.
#[cfg(windows)]
#[macro_export]
macro_rules! std_thread_block {
    ($($block:tt)*) => {
        $crate::thread_block! { $($block)* }
    };
}
