//! What ralloc asks of a kernel, and nothing about allocators.
//!
//! One trait, [`Platform`], states what an operating system must provide, with a precondition and a
//! postcondition for each function. One module per kernel implements it; this file is the only place
//! where the project asks which operating system it is built for. A second trait, [`ThreadBlock`],
//! states where a few machine words per thread live.
//!
//! What this crate will not do: allocate, cache, retry, touch `errno`, or call back into its user
//! except through the plain function pointers it was handed.
#![no_std]

#[cfg(all(target_os = "linux", any(test, feature = "sim")))]
extern crate std;

use core::ptr::NonNull;

mod entropy;
mod hooks;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod loader;
#[cfg(target_os = "linux")]
mod process_info;
#[cfg(target_os = "redox")]
pub mod redox;
#[cfg(all(target_os = "linux", any(test, feature = "sim")))]
pub mod sim;
#[cfg(any(target_os = "linux", target_os = "redox"))]
mod thread_block;

#[cfg(target_os = "linux")]
pub use linux::Linux as System;
#[cfg(target_os = "linux")]
pub use linux::{EINVAL, ENOMEM, errno, set_errno};
#[cfg(target_os = "linux")]
pub use loader::{next_symbol, symbol_in};
#[cfg(target_os = "linux")]
pub use process_info::{environment, keep_stderr, resident, write_stream};
#[cfg(target_os = "redox")]
pub use redox::{EINVAL, ENOMEM, Redox as System};
#[cfg(any(target_os = "linux", target_os = "redox"))]
pub use thread_block::StaticBlock;
#[cfg(all(
    any(target_os = "linux", target_os = "redox"),
    any(
        all(target_arch = "x86_64", target_pointer_width = "64"),
        all(target_arch = "aarch64", target_pointer_width = "64"),
        target_arch = "riscv64",
        target_arch = "x86",
    )
))]
#[doc(hidden)]
pub use thread_block::words;

/// Number of machine words in a thread's block: free-list heads, the heap's address, the state.
pub const THREAD_WORDS: usize = 72;

/// A kernel, as an allocator sees it.
///
/// Sizes and addresses are in bytes. "OS page" is [`page_size`](Platform::page_size). Every function may
/// be called from any thread at any time, also from a signal handler and between `fork` and `exec`; none
/// allocates, none touches `errno`. The exceptions are [`install`](Platform::install) and
/// [`arm_thread_exit`](Platform::arm_thread_exit): they ask the C library, which may call the allocator while it
/// notes that down.
///
/// # Safety
///
/// An implementation upholds every postcondition below: an allocator hands the memory out on the strength
/// of them. In particular no two live mappings returned by one instance overlap, and memory that is said to
/// read zero reads zero.
pub unsafe trait Platform: Sync {
    /// The size of an OS page in bytes.
    ///
    /// Post: a power of two, at least 4096, the same at every call.
    fn page_size(&self) -> usize;

    /// Map fresh memory, readable and writable, private, not yet backed by frames.
    ///
    /// Pre: `size` is a non-zero multiple of the OS page; `align` is a power of two, at least the OS page.
    ///
    /// Post: `Some(base)` with `base` a multiple of `align`, the `size` bytes from it reading zero and
    /// belonging to nobody else; or `None`, and nothing has changed.
    fn map(&self, size: usize, align: usize) -> Option<NonNull<u8>>;

    /// Map `additional` bytes that begin exactly at `end`, without replacing what may be there.
    ///
    /// Pre: the OS page before `end` lies in a mapping of this instance; `additional` is a non-zero multiple of the OS
    /// page.
    ///
    /// Post: `true`, and the bytes are as [`map`](Platform::map) leaves them; or `false` (something is in the
    /// way, the same mapping perhaps, or no memory), and nothing has changed.
    fn extend(&self, end: NonNull<u8>, additional: usize) -> bool;

    /// Give addresses and frames back.
    ///
    /// Post: `true`, and the range is a hole that others may fill at once; or `false` (the kernel has no room
    /// to split a mapping), and the range is as it was.
    ///
    /// # Safety
    ///
    /// The range lies within mappings of this instance, in whole OS pages, and nobody uses it any more.
    unsafe fn unmap(&self, base: NonNull<u8>, size: usize) -> bool;

    /// Give the frames back and keep the addresses.
    ///
    /// Post: `true`, the range is still mapped and reads zero; or `false`, and its contents are undefined but it is
    /// still mapped. At no moment is the range a hole: another thread cannot take it.
    ///
    /// # Safety
    ///
    /// The range lies within mappings of this instance, in whole OS pages, and nobody needs its contents.
    unsafe fn purge(&self, base: NonNull<u8>, size: usize) -> bool;

    /// Say that all of a range is about to be used, so that large pages may back it. Advice, nothing more.
    ///
    /// # Safety
    ///
    /// The range lies within mappings of this instance, in whole OS pages.
    unsafe fn expect_use(&self, base: NonNull<u8>, size: usize) {
        let _ = (base, size);
    }

    /// Move a mapping to a place aligned to `align`, and make it `new_size` bytes, by moving pages, not bytes.
    ///
    /// Pre: `new_size` is a non-zero multiple of the OS page; `align` as for [`map`](Platform::map).
    ///
    /// Post: `Some(new)`: the first `min(old_size, new_size)` bytes have the contents they had at `old`, the
    /// rest reads zero, the old range is a hole; or `None` (no such call on this kernel, no room, or the kernel keeps
    /// the range as more than one mapping), and nothing has changed.
    ///
    /// # Safety
    ///
    /// The old range lies within mappings of this instance; nobody but the caller uses it.
    unsafe fn relocate(
        &self,
        old: NonNull<u8>,
        old_size: usize,
        new_size: usize,
        align: usize,
    ) -> Option<NonNull<u8>>;

    /// Ask for the program break (`None`) or set it (`Some(address)`).
    ///
    /// Post: the break after the call. It differs from the address asked for exactly when the kernel refused; 0
    /// where the system has no break.
    ///
    /// # Safety
    ///
    /// A break that is set leaves alone what others have placed below the old one.
    unsafe fn program_break(&self, to: Option<usize>) -> usize;

    /// Have the hook given to [`install`](Platform::install) called when the current thread exits.
    ///
    /// The hook is called with the number of the round, from 0. Systems that run exit hooks in rounds (POSIX
    /// thread keys do, so that hooks may use one another) call it in every round for which it was armed again.
    ///
    /// Post: `true`, and the hook will run; or `false`, and it will not.
    fn arm_thread_exit(&self) -> bool;

    /// Tell the kernel's library, early, whom to call when threads exit and around `fork`. Several allocators of one program
    /// tell it each for itself; `fork_prepare` hooks are called in the reverse order.
    ///
    /// Pre: called at most once for an allocator, before its first [`arm_thread_exit`](Platform::arm_thread_exit), and for at most
    /// 16 allocators.
    fn install(&self, hooks: Hooks);

    /// A word that an attacker cannot guess, as far as the system has one to give so early.
    fn entropy(&self) -> usize;

    /// Write all of `text` to standard error, as far as it will take it.
    fn write_stderr(&self, text: &[u8]);

    /// Let other threads run.
    fn yield_now(&self);

    /// End the process abnormally, at once.
    fn abort(&self) -> !;
}

/// Whom the platform calls up into. Plain functions: the platform knows nothing of their meaning.
#[derive(Clone, Copy, Debug)]
pub struct Hooks {
    /// The current thread is exiting; `round` counts from 0, the last round is [`Hooks::LAST_ROUND`].
    pub thread_exit: fn(round: usize),
    /// Before `fork`, in the thread that forks, ahead of the C library's own locks.
    pub fork_prepare: fn(),
    /// After `fork`, in the parent.
    pub fork_parent: fn(),
    /// After `fork`, in the child, which has this one thread only.
    pub fork_child: fn(),
}

impl Hooks {
    /// The last round in which exit hooks are run: `PTHREAD_DESTRUCTOR_ITERATIONS` (POSIX: at least 4) less one.
    pub const LAST_ROUND: usize = 3;
}

/// [`THREAD_WORDS`] machine words per thread, all zero when the thread starts, reached without a lock or a call.
///
/// # Safety
///
/// `get` returns what the same thread last stored with `set` at the same index, or zero; no other thread sees
/// or changes it.
pub unsafe trait ThreadBlock {
    /// The word at `index` of the current thread's block.
    ///
    /// # Safety
    ///
    /// `index < THREAD_WORDS`.
    unsafe fn get(index: usize) -> usize;

    /// Store a word at `index` of the current thread's block.
    ///
    /// # Safety
    ///
    /// `index < THREAD_WORDS`.
    unsafe fn set(index: usize, word: usize);

    /// [`get`](ThreadBlock::get) with an index known to the compiler, which then takes no register.
    #[inline(always)]
    fn get_fixed<const INDEX: usize>() -> usize {
        const { assert!(INDEX < THREAD_WORDS) };
        // SAFETY: the index is within the block, as just asserted.
        unsafe { Self::get(INDEX) }
    }

    /// [`set`](ThreadBlock::set) with an index known to the compiler, which then takes no register.
    #[inline(always)]
    fn set_fixed<const INDEX: usize>(word: usize) {
        const { assert!(INDEX < THREAD_WORDS) };
        // SAFETY: the index is within the block, as just asserted.
        unsafe { Self::set(INDEX, word) };
    }
}

/// Have a `fn()` called when the object that this code is linked into is loaded, before `main`.
///
/// By then the C library takes thread keys and fork handlers. Where a system has no such list the function is not
/// called.
#[macro_export]
macro_rules! on_load {
    ($function:path) => {
        const _: () = {
            extern "C" fn call_on_load() {
                $function();
            }
            #[used]
            #[cfg_attr(
                any(target_os = "linux", target_os = "redox"),
                unsafe(link_section = ".init_array")
            )]
            static LOAD: extern "C" fn() = call_on_load;
        };
    };
}

/// Define the panic handler of a library without `std`, from the `fn() -> !` that ends the process.
///
/// Nothing where this crate is built for the simulated kernel: then `std` is there, with its own.
#[cfg(not(feature = "sim"))]
#[macro_export]
macro_rules! on_panic {
    ($function:path) => {
        #[panic_handler]
        fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
            $function()
        }
    };
}

/// Nothing: `std` is there, with a panic handler of its own.
#[cfg(feature = "sim")]
#[macro_export]
macro_rules! on_panic {
    ($function:path) => {
        const _: fn() -> ! = $function;
    };
}

/// Have a `fn()` called when the process exits, or the object that this code is linked into is unloaded.
///
/// As [`on_load!`], for the other end.
#[macro_export]
macro_rules! on_unload {
    ($function:path) => {
        const _: () = {
            extern "C" fn call_on_unload() {
                $function();
            }
            #[used]
            #[cfg_attr(
                any(target_os = "linux", target_os = "redox"),
                unsafe(link_section = ".fini_array")
            )]
            static UNLOAD: extern "C" fn() = call_on_unload;
        };
    };
}
