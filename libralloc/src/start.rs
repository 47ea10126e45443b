//! What happens when the library is loaded, and when the process exits.

use core::{
    ffi::CStr,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use core_ralloc::stats;
use ralloc_platform::{Platform, System, environment, resident};

use crate::Libc;

/// The options that `RALLOC_OPTIONS` may have, separated by commas.
const VARIABLE: &CStr = c"RALLOC_OPTIONS";

static STATS: AtomicBool = AtomicBool::new(false);

/// Runs when the library is loaded: by then the C library takes thread keys and fork handlers.
extern "C" fn load() {
    core_ralloc::install::<Libc>();
    if let Some(options) = environment(VARIABLE) {
        options.to_bytes().split(|&byte| byte == b',').for_each(option);
    }
}

fn option(name: &[u8]) {
    match name {
        b"stats" => STATS.store(true, Relaxed),
        b"" => {}
        _ => {
            System.write_stderr(b"ralloc: unknown option: ");
            System.write_stderr(name);
            System.write_stderr(b"\n");
        }
    }
}

/// Runs when the process exits, or the library is unloaded.
extern "C" fn unload() {
    if STATS.load(Relaxed) {
        stats::print_stats::<Libc>(resident());
    }
}

#[used]
#[unsafe(link_section = ".init_array")]
static LOAD: extern "C" fn() = load;

#[used]
#[unsafe(link_section = ".fini_array")]
static UNLOAD: extern "C" fn() = unload;
