//! What happens when the library is loaded, and when the process exits.

use core::{
    ffi::CStr,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use core_ralloc::stats;
use ralloc_platform::{Platform, System, environment, keep_stderr, on_load, on_unload, resident};

use crate::Libc;

/// The options that `RALLOC_OPTIONS` may have, separated by commas.
const VARIABLE: &CStr = c"RALLOC_OPTIONS";

static STATS: AtomicBool = AtomicBool::new(false);

/// Runs when the library is loaded: by then the C library takes thread keys and fork handlers.
fn load() {
    core_ralloc::install::<Libc>();
    if let Some(options) = environment(VARIABLE) {
        options
            .to_bytes()
            .split(|&byte| byte == b',')
            .for_each(option);
    }
}

fn option(name: &[u8]) {
    match name {
        b"stats" => {
            STATS.store(true, Relaxed);
            keep_stderr();
        }
        b"" => {}
        _ => {
            System.write_stderr(b"ralloc: unknown option: ");
            System.write_stderr(name);
            System.write_stderr(b"\n");
        }
    }
}

/// Runs when the process exits, or the library is unloaded.
fn unload() {
    if STATS.load(Relaxed) {
        stats::print_stats::<Libc>(resident());
    }
}

on_load!(load);
on_unload!(unload);
