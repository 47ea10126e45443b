//! The C symbols of malloc on ralloc, for programs that preload or link them.
//!
//! Semantics are in the crate `ralloc` (`c_abi`); here are the names, the types and `errno`.
#![no_std]

use core::ptr::NonNull;

use core_ralloc::{Failure, Instance, Process, Watchers};
use ralloc_platform::{EINVAL, ENOMEM, StaticBlock, System, set_errno};

pub mod bsd;
pub mod c;
pub mod cxx;
mod elsewhere;
pub mod gnu;
#[cfg(all(
    feature = "override",
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64"
    ),
    not(any(windows, target_vendor = "apple"))
))]
mod operators;
mod options;
#[cfg(not(feature = "security"))]
mod policy {
    pub(crate) use core_ralloc::Defaults as Policy;
}
#[cfg(feature = "security")]
mod policy {
    pub(crate) use core_ralloc::Hardened as Policy;
}
mod start;
#[cfg(feature = "override")]
mod unprefixed;

/// The allocator behind the C symbols.
pub(crate) struct Libc;

static PROCESS: Process<Libc> = Process::new(System);

// SAFETY: the state is one static.
unsafe impl Instance for Libc {
    type Platform = System;
    type Thread = StaticBlock;
    type Tuning = policy::Policy;

    #[inline(always)]
    fn process() -> &'static Process<Self> {
        &PROCESS
    }

    #[cold]
    fn watchers(debugger: bool) -> Option<Watchers> {
        options::watchers(debugger)
    }

    #[cold]
    fn on_failure(why: Failure) {
        set_errno(code(why));
    }

    #[cold]
    fn free_elsewhere(block: NonNull<u8>) -> bool {
        elsewhere::free(block)
    }

    #[cold]
    fn usable_size_elsewhere(block: NonNull<u8>) -> Option<usize> {
        elsewhere::usable_size(block)
    }

    #[cold]
    fn reallocate_elsewhere(block: NonNull<u8>, size: usize) -> Option<*mut u8> {
        elsewhere::reallocate(block, size)
    }
}

fn code(why: Failure) -> i32 {
    match why {
        Failure::NoMemory => ENOMEM,
        Failure::BadArgument => EINVAL,
    }
}

/// The library has nobody to report to: it ends the process.
fn give_up() -> ! {
    use ralloc_platform::Platform;
    System.write_stderr(b"ralloc: internal error\n");
    System.abort()
}

ralloc_platform::on_panic!(give_up);
