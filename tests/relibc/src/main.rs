//! A C library of a page on the glue, which does at the awkward moments what relibc does: it allocates before there is a thread
//! pointer, moves to a second control block, starts threads with a shim, frees after the exit hook, unmaps control blocks,
//! forks, and has a second copy of the allocator beside itself.
//!
//! `stand-in NAME` runs one situation and ends with status 0, or with a line on standard error. There is no C library in
//! the process: whatever the glue asked for beyond the system calls, the linker would miss here, or the program would end with its
//! name.
#![allow(
    unreachable_pub,
    reason = "what the macro defines is public to a C library"
)]
#![cfg_attr(all(target_os = "linux", target_arch = "x86_64"), no_std, no_main)]

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod kernel;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod situations;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod symbols;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod threads;

/// The allocator of the C library.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[allow(dead_code, reason = "not all of it is used here")]
pub(crate) mod allocator {
    relibc_glue::seam! {
        words: core::mem::offset_of!(crate::threads::Tcb, allocator);
        is_tls_real: crate::threads::is_tls_real();
    }
}

/// That of a second copy, a loader's, say: its words are elsewhere in the control block.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[allow(dead_code, reason = "not all of it is used here")]
pub(crate) mod second {
    relibc_glue::seam! {
        words: core::mem::offset_of!(crate::threads::Tcb, second);
        is_tls_real: crate::threads::is_tls_real();
    }
}

/// That of a copy whose words are in the place of the first one's, which cannot work.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[allow(dead_code, reason = "not all of it is used here")]
pub(crate) mod clashing {
    relibc_glue::seam! {
        words: core::mem::offset_of!(crate::threads::Tcb, allocator);
        is_tls_real: true;
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[global_allocator]
static ALLOCATOR: allocator::Allocator = allocator::NEWALLOCATOR;

/// Elsewhere there is nothing to run.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn main() {}
