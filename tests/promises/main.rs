//! The promises of the Rust interface, each with its adversary: the modules are named after the examples, which show the promise to
//! a user, and these try to break it. This program's own allocator is the one under test.
//!
//! What ends a process, or must be alone in one, is a test of its own that others run: "a part of".
#![expect(
    clippy::multiple_unsafe_ops_per_block,
    reason = "one reason covers them all"
)]

#[path = "../common/mod.rs"]
mod common;

mod child;
mod memory;
mod moments;

#[cfg(feature = "allocator-api2")]
mod collections;
mod debugger;
mod donate;
mod fallible;
mod odd_alignment;
mod log;
mod oom_handler;
mod partial_explicit;
#[cfg(feature = "partial")]
mod partial_implicit;
mod platform;
mod realloc_inplace;
mod safe_sbrk;
#[cfg(feature = "security")]
mod security;
mod shim;
#[cfg(feature = "thread_oom")]
mod thread_oom_handler;
mod thread_pools;
mod unique_block;
mod verification;

use std::{fs, path::Path};

#[global_allocator]
static GLOBAL: ralloc::Ralloc = ralloc::Ralloc::new();

/// What a promise has: an example, tests, and a line that leads there.
#[test]
fn each_example_has_tests_and_is_in_the_readme() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).expect("a README");
    let mut count = 0;
    for entry in fs::read_dir(root.join("examples")).expect("the examples") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|name| name.to_str());
        let name = name.expect("a name");
        let tests = root.join(format!("tests/promises/{name}.rs"));
        let tests = fs::read_to_string(&tests).unwrap_or_default();
        assert!(tests.contains("#[test]"), "{name} has no test");
        let link = format!("(examples/{name}.rs)");
        assert!(readme.contains(&link), "README.md does not lead to {name}");
        count += 1;
    }
    assert!(count >= 15, "{count} examples");
}
