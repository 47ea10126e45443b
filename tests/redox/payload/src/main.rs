//! Tests of ralloc on the Redox kernel, as the first and only program of the machine: no C library, no file system, no
//! process manager.
//!
//! - `kernel`: starting, descriptors, debug output, counters.
//! - `heap`: memory for the tests themselves, out of the way of the allocator under test.
//! - `thread`: threads, by the kernel's own files; a fault or a panic ends a thread, not the program.
//! - `case`: an allocator for each test, on the Redox platform with a ledger.
//! - `other_copy`: the variables of the platform once more.
//! - `frames`: how many frames are in use, as the kernel counts them.
//! - `contract` `breaks` `oracle` `threads` `fork` `exhaustion` `guards` `figures`: the tests.
//! - `peer` `work` `speed`: the comparison with dlmalloc behind a lock.
//!
//! `common` is shared with the tests that run on Linux (`tests/common`).
#![no_std]
#![no_main]

// The shared files say `std` for what this crate gives them in its place.
extern crate alloc as alloc_crate;
extern crate self as std;
pub use alloc_crate::{boxed, collections, string, sync, vec};
pub use core::{cell, fmt, iter, mem, ptr, slice};

/// Nobody has set a variable where nobody has started the program.
pub mod env {
    /// No value.
    pub fn var(_: &str) -> Result<crate::string::String, ()> {
        Err(())
    }

    /// No value either.
    pub fn var_os(_: &str) -> Option<crate::string::String> {
        None
    }
}

mod breaks;
mod case;
mod common;
mod contract;
mod exhaustion;
mod figures;
mod fork;
mod frames;
mod guards;
mod heap;
mod kernel;
mod oracle;
mod other_copy;
mod peer;
mod speed;
mod thread;
mod threads;
mod work;

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use kernel::say;

/// What each module has.
pub type Tests = &'static [(&'static str, fn())];

const ALL: [(&str, Tests); 8] = [
    ("contract", contract::TESTS),
    ("breaks", breaks::TESTS),
    ("guards", guards::TESTS),
    ("figures", figures::TESTS),
    ("exhaustion", exhaustion::TESTS),
    ("oracle", oracle::TESTS),
    ("threads", threads::TESTS),
    ("fork", fork::TESTS),
];

/// The one module that is run, if it was built so. A program without arguments is told when it is made.
const ONLY: Option<&str> = option_env!("REDOX_PAYLOAD_ONLY");

/// Tests that have failed.
static FAILED: AtomicUsize = AtomicUsize::new(0);

/// The program. Every test runs in a thread of its own.
pub fn main() {
    let mut passed = 0;
    for (module, tests) in ALL {
        if ONLY.is_some_and(|only| only != module) {
            continue;
        }
        for &(name, test) in tests {
            let outcome = thread::spawn(test).end();
            if outcome == thread::End::Done {
                passed += 1;
                say!("{module} {name} ok");
            } else {
                FAILED.fetch_add(1, Relaxed);
                say!("{module} {name} FAILED: {outcome:?}");
            }
        }
    }
    // In a thread as well: the stack of this one is small.
    let compares = ONLY.is_none_or(|only| only == "speed");
    if compares && thread::spawn(speed::compare).end() != thread::End::Done {
        FAILED.fetch_add(1, Relaxed);
    }
    say!("{passed} passed, {} failed", FAILED.load(Relaxed));
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    say!("{info}");
    thread::fail()
}
