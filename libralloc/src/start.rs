//! What happens when the library is loaded, and when the process exits.

use core_ralloc::stats;
use ralloc_platform::{errno, on_load, on_unload, resident, set_errno};

use crate::{Libc, options};

/// Runs when the library is loaded: by then the C library takes thread keys and fork handlers.
fn load() {
    let errno = errno();
    core_ralloc::install::<Libc>();
    options::loaded();
    set_errno(errno);
}

/// Runs when the process exits, or the library is unloaded.
fn unload() {
    if options::stats() {
        stats::print_stats::<Libc>(resident());
    }
}

on_load!(load);
on_unload!(unload);
