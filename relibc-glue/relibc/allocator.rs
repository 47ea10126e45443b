//! ralloc, in the place of relibc's own allocator. `relibc-glue/README.md` of its repository says more; `cargo xtask relibc`
//! there wrote this file.

use core::mem::offset_of;

use crate::{ld_so::tcb::Tcb, platform::types::pid_t};

/// Whether the thread pointer leads to a TCB. On Redox the first requests come before that, and after it in front of `exec`.
#[cfg(target_os = "redox")]
#[inline(always)]
fn is_tls_real() -> bool {
    // Relaxed: written while the process has one thread.
    redox_rt::TLS_ACTIVATED.load(core::sync::atomic::Ordering::Relaxed)
}

/// Whether the thread pointer leads to a TCB: the loader and the static start see to it before they allocate.
#[cfg(not(target_os = "redox"))]
#[inline(always)]
fn is_tls_real() -> bool {
    true
}

relibc_glue::seam! {
    words: offset_of!(Tcb, allocator);
    is_tls_real: is_tls_real();
}

/// Fork, with the hooks of the allocator around.
pub fn around_fork(fork: impl FnOnce() -> pid_t) -> pid_t {
    fork_prepare();
    let pid = fork();
    if pid == 0 {
        fork_child();
    } else {
        fork_parent();
    }
    pid
}
