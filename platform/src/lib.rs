//! What ralloc asks of a kernel, and nothing about allocators.
//!
//! One trait, [`Platform`], states what an operating system must provide, with a precondition and a
//! postcondition for each function. One module per kernel implements it; this file is the only place
//! where the project asks which operating system it is built for (tests and the simulation apart). A second trait, [`ThreadBlock`],
//! states where a few machine words per thread live.
//!
//! What this crate will not do: allocate, cache, retry, touch `errno`, or call back into its user
//! except through the plain function pointers it was handed.
#![no_std]

#[cfg(all(not(target_os = "redox"), any(test, feature = "sim")))]
extern crate std;

use core::ptr::NonNull;

// The C library's functions, for what is asked of it in the same way everywhere.
#[cfg(all(unix, not(target_os = "redox")))]
use libc as c_library;
#[cfg(target_os = "redox")]
use redox::c_library;

#[cfg(not(windows))]
mod entropy;
#[cfg_attr(windows, allow(dead_code, reason = "there is no fork"))]
mod hooks;
#[cfg(target_os = "redox")]
#[path = "posix/hooks.rs"]
mod key_hooks;

// The kernel.
#[cfg(all(target_os = "linux", not(feature = "unix")))]
mod linux;
#[cfg(target_os = "redox")]
pub mod redox;
#[cfg(all(
    unix,
    not(target_os = "redox"),
    any(feature = "unix", not(target_os = "linux"))
))]
mod unix;
#[cfg(windows)]
mod windows;

mod forward;
mod moments;
mod prefetch;

// What the systems with POSIX' C library share, and what is each one's own.
#[cfg(all(unix, not(target_os = "redox")))]
mod loader;
#[cfg(all(unix, not(target_os = "redox")))]
mod posix;
#[cfg(all(unix, not(target_os = "redox")))]
mod process_info;
#[cfg(target_os = "dragonfly")]
#[path = "system/dragonfly.rs"]
#[allow(dead_code, reason = "the block by way of a key is not in every build")]
mod system;
#[cfg(target_os = "freebsd")]
#[path = "system/freebsd.rs"]
#[allow(dead_code, reason = "the block by way of a key is not in every build")]
mod system;
#[cfg(target_os = "linux")]
#[path = "system/linux.rs"]
#[allow(dead_code, reason = "the block by way of a key is not in every build")]
mod system;
#[cfg(target_os = "macos")]
#[path = "system/macos.rs"]
#[allow(dead_code, reason = "the block by way of a key is not in every build")]
mod system;
#[cfg(target_os = "netbsd")]
#[path = "system/netbsd.rs"]
#[allow(dead_code, reason = "the block by way of a key is not in every build")]
mod system;
#[cfg(target_os = "openbsd")]
#[path = "system/openbsd.rs"]
#[allow(dead_code, reason = "the block by way of a key is not in every build")]
mod system;

#[cfg(all(not(target_os = "redox"), any(test, feature = "sim")))]
pub mod sim;
#[cfg(target_os = "linux")]
mod surroundings;
mod thread_block;
#[cfg(target_os = "linux")]
mod valgrind;

#[cfg(all(target_os = "linux", not(feature = "unix")))]
pub use linux::Linux as System;
pub use prefetch::prefetch;
#[cfg(target_os = "redox")]
pub use redox::{EINVAL, ENOMEM, Hosted as System};
#[cfg(all(
    unix,
    not(target_os = "redox"),
    any(feature = "unix", not(target_os = "linux"))
))]
pub use unix::Unix as System;
#[cfg(windows)]
pub use windows::Windows as System;

#[cfg(target_vendor = "apple")]
#[doc(hidden)]
pub use loader::symbol_anywhere;
#[cfg(all(unix, not(target_os = "redox")))]
pub use loader::{next_symbol, symbol_in};
#[cfg(all(unix, not(target_os = "redox")))]
pub use posix::{EINVAL, ENOMEM, errno, faults::plant_pages, set_errno};
#[cfg(all(unix, not(target_os = "redox")))]
pub use process_info::{environment, keep_stderr, resident, write_stream};
#[cfg(windows)]
pub use windows::{
    EINVAL, ENOMEM, environment, errno, keep_stderr, next_symbol, plant_pages, resident, set_errno,
    symbol_in, write_stream,
};

pub use thread_block::*;

/// Whether what [`relocate`](Platform::relocate) has moved and lengthened holds what it held, whatever it was before. Redox' kernel 663e6641 has been seen
/// to give other contents to a mapping that had waited for reuse.
pub const MOVED_PAGES_HOLD: bool = cfg!(not(target_os = "redox"));

/// Number of machine words in a thread's block: free-list heads, the heap's address, the state.
pub const THREAD_WORDS: usize = 40;

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

    /// Give the frames back, keep the addresses, and see to it that whoever touches them is ended.
    ///
    /// Post: `true`, and every access is an error until [`unguard`](Platform::unguard); or `false` (no such call on this kernel, or
    /// too many mappings), and nothing has changed.
    ///
    /// # Safety
    ///
    /// The range lies within mappings of this instance, in whole OS pages, and nobody needs its contents.
    unsafe fn guard(&self, base: NonNull<u8>, size: usize) -> bool {
        let _ = (base, size);
        false
    }

    /// Make memory of guarded addresses again.
    ///
    /// Post: `true`, and what was guarded of the range reads zero, what was [hidden](Platform::hide) as before; or `false`, and nothing has
    /// changed.
    ///
    /// # Safety
    ///
    /// The range lies within mappings of this instance, in whole OS pages, and is the caller's alone.
    unsafe fn unguard(&self, base: NonNull<u8>, size: usize) -> bool {
        let _ = (base, size);
        false
    }

    /// Keep frames and addresses, and see to it that whoever touches them is ended.
    ///
    /// Post: `true`, and every access is an error until [`unguard`](Platform::unguard), which brings the contents back; or `false` (no such
    /// call on this kernel, or too many mappings), and nothing has changed.
    ///
    /// # Safety
    ///
    /// The range lies within mappings of this instance, in whole OS pages, and nobody needs to reach it.
    unsafe fn hide(&self, base: NonNull<u8>, size: usize) -> bool {
        let _ = (base, size);
        false
    }

    /// Take the addresses of a hole, so that nobody else does, and whoever touches them is ended.
    ///
    /// Post: `true`, and the range is mapped, and guarded as by [`guard`](Platform::guard); or `false` (no such call on this kernel, or
    /// something is mapped there), and nothing has changed.
    fn reserve(&self, base: NonNull<u8>, size: usize) -> bool {
        let _ = (base, size);
        false
    }

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

    /// Write a line of a log, with its end: in one piece, if that can be.
    fn write_log(&self, line: &[u8]) {
        self.write_stderr(line);
    }

    /// Let other threads run.
    fn yield_now(&self);

    /// End the process abnormally, at once.
    fn abort(&self) -> !;

    /// Whether a debugger watches the process that wants to know of memory and blocks: then the functions below tell it.
    ///
    /// They are told nothing but what is so, and may do nothing: that is what they do unless a platform says otherwise.
    fn is_debugged(&self) -> bool {
        false
    }

    /// Tell the debugger that memory may be written to, and that what it holds means nothing until then.
    fn mark_undefined(&self, base: NonNull<u8>, size: usize) {
        let _ = (base, size);
    }

    /// Tell the debugger that memory is nobody's: neither to be read nor to be written to.
    fn mark_free(&self, base: NonNull<u8>, size: usize) {
        let _ = (base, size);
    }

    /// Tell the debugger that memory may be read and written to, and holds what it should.
    fn mark_defined(&self, base: NonNull<u8>, size: usize) {
        let _ = (base, size);
    }

    /// Tell the debugger of a block, between two red zones of memory that is marked free, in bytes each. It may be written to; it
    /// holds zeros, or nothing that means anything.
    fn block_allocated(&self, block: NonNull<u8>, size: usize, red_zone: usize, zeroed: bool) {
        let _ = (red_zone, zeroed);
        self.mark_undefined(block, size);
    }

    /// Tell the debugger that a block has another size where it stands. Neither is 0.
    fn block_resized(&self, block: NonNull<u8>, old: usize, size: usize, red_zone: usize) {
        let _ = (block, old, size, red_zone);
    }

    /// Tell the debugger that the block at this address is freed. If it knows of none, that is an error of the program.
    fn block_freed(&self, block: NonNull<u8>, red_zone: usize) {
        let _ = (block, red_zone);
    }

    /// The return addresses of the calls that are under way, innermost first. Returns how many there are, 0 where that is not known.
    ///
    /// An exception as [`install`](Platform::install) is: the C library may call the allocator when it is asked for the first time.
    fn call_sites(&self, sites: &mut [usize]) -> usize {
        let _ = sites;
        0
    }

    /// Hand all memory in which the program may keep pointers to `visit`, as ranges that can be read: also what this instance has mapped.
    fn roots(&self, visit: &mut dyn FnMut(NonNull<u8>, usize)) {
        let _ = visit;
    }

    /// The file that is mapped at `address`: its name goes to `name`. Returns the length of that, and the offset in the file.
    fn place_of(&self, address: usize, name: &mut [u8]) -> Option<(usize, usize)> {
        let _ = (address, name);
        None
    }

    /// From where to where the file is mapped that is mapped at `address`.
    fn object_around(&self, address: usize) -> Option<(usize, usize)> {
        let _ = address;
        None
    }

    /// Write all of `text` to a file that is open under this number, as far as it will take it.
    fn write_descriptor(&self, descriptor: i32, text: &[u8]) {
        let _ = descriptor;
        self.write_stderr(text);
    }

    /// Tell the debugger whether to look at what this thread does to memory. Calls nest: it looks when it has been told so as often as
    /// not to.
    fn debugger_looks(&self, looks: bool) {
        let _ = looks;
    }
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
