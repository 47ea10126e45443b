//! The Rust suites under the sanitizers' runtimes.
//!
//! `-Zsanitizer` is an unstable flag, which a stable compiler takes with `RUSTC_BOOTSTRAP`; the runtimes come with it. The
//! standard library is not rebuilt: that needs its sources, which a toolchain need not have. What follows from it:
//!
//! - AddressSanitizer looks at the tests and at everything that is the allocator's own, its tables and records as well as
//!   the simulated kernel. What lies in a block is no business of its: the allocator's memory comes from the kernel, and
//!   nobody tells the sanitizer where a block ends. There the pattern in each block tells. No interceptor collides: the
//!   suites use instances of their own, and the program's allocator stays the sanitizer's.
//! - ThreadSanitizer sees every access of the allocator to its records, and every atomic: that a page's record, which is
//!   plain cells, is touched by its owner only is exactly what it verifies. It does not see the words of the thread that
//!   the libraries reach by assembler; the suites keep them in a variable that it does see. Memory that goes back to the
//!   real kernel and comes again to another thread looks like a race to it, because the system calls are the allocator's
//!   own; so it watches the simulated kernels, whose lock is one that it sees (`ralloc_platform::sim::Lock`).

use crate::{
    cargo, process,
    report::{Outcome, Report},
    unit,
};
use anyhow::Result;
use std::{fs, process::Command, time::Duration};

/// A sanitizer, and what runs under it.
struct Sanitizer {
    /// What the compiler calls it.
    name: &'static str,
    /// How the name of its runtime library ends.
    runtime: &'static str,
    /// Compiler flags beside its name.
    flags: &'static str,
    /// Which tests.
    tests: &'static [&'static str],
    /// What the test programs are told.
    arguments: &'static [&'static str],
    /// The variable that sets its options, and options, where `{root}` is the top of the repository.
    options: (&'static str, &'static str),
}

const SANITIZERS: [Sanitizer; 2] = [
    Sanitizer {
        name: "address",
        runtime: "_rt.asan.a",
        flags: "",
        tests: &["oracle", "exhaustion"],
        arguments: &[],
        options: ("ASAN_OPTIONS", "detect_stack_use_after_return=1"),
    },
    Sanitizer {
        name: "thread",
        runtime: "_rt.tsan.a",
        // It would like a standard library that it has compiled.
        flags: "-Cunsafe-allow-abi-mismatch=sanitizer",
        tests: &["scenarios"],
        // One case after the other: what the test runner passes between its own threads is the standard library's.
        arguments: &[
            "--test-threads=1",
            "on_a_simulated",
            "--skip=in_forked_child",
        ],
        options: ("TSAN_OPTIONS", "suppressions={root}/tests/tsan.supp"),
    },
];

/// Runs the suites under each.
pub(crate) fn run(report: &mut Report) -> Result<()> {
    for sanitizer in &SANITIZERS {
        match lacks(sanitizer)? {
            Some(reason) => report.add(sanitizer.name, None, &Outcome::skipped(reason)),
            None => unit::suite(sanitizer.name, &mut command(sanitizer)?, report)?,
        }
    }
    Ok(())
}

/// What the toolchain lacks, in words.
fn lacks(sanitizer: &Sanitizer) -> Result<Option<String>> {
    let mut ask = Command::new("rustc");
    let ended = process::run(
        ask.args(["--print", "target-libdir"]),
        Duration::from_secs(60),
    )?;
    let has_runtime = fs::read_dir(ended.output.trim()).is_ok_and(|mut files| {
        files.any(|file| {
            file.is_ok_and(|file| {
                file.file_name()
                    .to_string_lossy()
                    .ends_with(sanitizer.runtime)
            })
        })
    });
    let name = sanitizer.name;
    Ok((!has_runtime)
        .then(|| format!("the toolchain has no runtime of the sanitizer for {name}s here")))
}

/// A `cargo test` in a build of its own.
fn command(sanitizer: &Sanitizer) -> Result<Command> {
    let name = sanitizer.name;
    let words = ["test", "--package", "ralloc", "--no-fail-fast", "--target"];
    let mut command = cargo::command(&words);
    command.arg(cargo::host()?);
    for test in sanitizer.tests {
        command.args(["--test", test]);
    }
    let (variable, options) = sanitizer.options;
    let options = options.replace("{root}", &cargo::root().display().to_string());
    command
        .arg("--")
        .args(sanitizer.arguments)
        .env("RUSTC_BOOTSTRAP", "1")
        .env(
            "RUSTFLAGS",
            format!("-Zsanitizer={name} {}", sanitizer.flags).trim(),
        )
        .env(
            "CARGO_TARGET_DIR",
            cargo::target()?.join(format!("sanitize-{name}")),
        )
        .env(variable, options);
    Ok(command)
}
