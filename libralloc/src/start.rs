//! What happens when the library is loaded, and when the process exits.

use core::fmt;

use core_ralloc::{leaks, stats};
use ralloc_platform::{Platform, System, errno, on_load, on_unload, resident, set_errno};

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
    if let Some(descriptor) = options::leaks() {
        // It never fails, so there is nothing to report.
        let _ = leaks::report_leaks::<Libc>(&mut Report(descriptor));
    }
}

/// Where the report of leaks goes.
struct Report(i32);

impl fmt::Write for Report {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        match self.0 {
            -1 => System.write_stderr(text.as_bytes()),
            descriptor => System.write_descriptor(descriptor, text.as_bytes()),
        }
        Ok(())
    }
}

on_load!(load);
on_unload!(unload);
