//! Rust tests on a processor or a system that this machine is not.

use super::{Name, Row, UNHURRIED_LIMIT, folder, ready, windows, word};
use crate::{cargo, cross, report::Report, unit};
use anyhow::Result;

/// Where the tests run.
pub(super) struct Emulated {
    pub(super) name: Name,
    target: &'static str,
    linker: &'static str,
    /// What runs a program.
    emulator: &'static str,
    /// Where the C library is, if the emulator must be told.
    root: Option<&'static str>,
    packages: &'static str,
}

pub(super) const EMULATED: [Emulated; 7] = [
    Emulated {
        name: Name {
            key: "aarch64",
            about: "Rust tests on aarch64, under qemu",
        },
        target: "aarch64-unknown-linux-gnu",
        linker: "aarch64-linux-gnu-gcc",
        emulator: "qemu-aarch64",
        root: Some("/usr/aarch64-linux-gnu"),
        packages: "gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user",
    },
    Emulated {
        name: Name {
            key: "aarch64-16k",
            about: "Rust tests on aarch64, OS pages of 16 KiB, under qemu",
        },
        target: "aarch64-unknown-linux-gnu",
        linker: "aarch64-linux-gnu-gcc",
        emulator: "qemu-aarch64 -p 16384",
        root: Some("/usr/aarch64-linux-gnu"),
        packages: "gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user",
    },
    Emulated {
        name: Name {
            key: "aarch64-64k",
            about: "Rust tests on aarch64, OS pages of 64 KiB, under qemu",
        },
        target: "aarch64-unknown-linux-gnu",
        linker: "aarch64-linux-gnu-gcc",
        emulator: "qemu-aarch64 -p 65536",
        root: Some("/usr/aarch64-linux-gnu"),
        packages: "gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user",
    },
    Emulated {
        name: Name {
            key: "riscv64",
            about: "Rust tests on riscv64, under qemu",
        },
        target: "riscv64gc-unknown-linux-gnu",
        linker: "riscv64-linux-gnu-gcc",
        emulator: "qemu-riscv64",
        root: Some("/usr/riscv64-linux-gnu"),
        packages: "gcc-riscv64-linux-gnu libc6-dev-riscv64-cross qemu-user",
    },
    Emulated {
        name: Name {
            key: "i686",
            about: "Rust tests on i686: on the processor itself where it is one, else under qemu",
        },
        target: "i686-unknown-linux-gnu",
        linker: "i686-linux-gnu-gcc",
        emulator: "qemu-i386",
        root: Some("/usr/i686-linux-gnu"),
        packages: "gcc-i686-linux-gnu libc6-dev-i386-cross qemu-user",
    },
    Emulated {
        name: Name {
            key: "s390x",
            about: "Rust tests on s390x, big-endian, under qemu",
        },
        target: "s390x-unknown-linux-gnu",
        linker: "s390x-linux-gnu-gcc",
        emulator: "qemu-s390x",
        root: Some("/usr/s390x-linux-gnu"),
        packages: "gcc-s390x-linux-gnu libc6-dev-s390x-cross qemu-user",
    },
    Emulated {
        name: Name {
            key: windows::PROGRAMS.key,
            about: "Rust tests on Windows gnu, under wine",
        },
        target: windows::TARGET,
        linker: windows::LINKER,
        emulator: "wine",
        root: None,
        packages: windows::PACKAGES,
    },
];

/// What runs there: the package, its features, and some of its tests.
const SUITES: [(&str, &str, &[&str]); 2] = [
    (
        "ralloc-platform",
        "sim",
        &["contract", "hooks", "posix", "thread_block"],
    ),
    (
        "ralloc",
        "partial",
        &[
            "oracle",
            "recorded",
            "scenarios",
            "thread_exit",
            "exhaustion",
        ],
    ),
];

/// Parts of the names of tests that make no sense under an emulator: a `fork` of the emulator while it has threads makes the emulator
/// itself fail, an emulated program cannot start itself again, and what the emulator has to say of a child that aborts gets into the
/// test's line.
const NOT_EMULATED: [&str; 3] = [
    "in_forked_child",
    "arming_before_install_is_refused",
    "abort_",
];

/// What is shortened there: the variable, and its value. `tests/README.md` says what they mean.
const SHORTENED: [(&str, &str); 2] = [
    // Of 24.
    ("RALLOC_TRACES", "8"),
    // The suite `exhaustion` starts 47 threads for each call that it refuses, and of each that has ended qemu 7.2 keeps up to 260 KB.
    ("RALLOC_STRIDE", "7"),
];

impl Emulated {
    /// The tests of the platform and those of the allocator.
    pub(super) fn tests(&self, report: &mut Report) -> Result<Row> {
        let emulator = self.emulator.split(' ').next().unwrap_or_default();
        let commands = format!("{} {emulator}", self.linker);
        if let Err(outcome) = ready(self.target, &commands, self.packages)? {
            report.add(self.name.about, None, &outcome);
            return Ok(self.row(word(&outcome), "-".to_owned()));
        }
        let flags = match self.root {
            Some(root) => cross::starts_here(root, self.linker)?,
            None => None,
        };
        let scratch = tempfile::tempdir()?;
        let mut counts = Vec::new();
        for (package, features, tests) in SUITES {
            let mut command = cargo::command(&["test", "--no-fail-fast", "--package", package]);
            command
                .args(["--features", features, "--target", self.target])
                .arg("--target-dir")
                .arg(folder()?)
                .args(tests.iter().flat_map(|test| ["--test", test]))
                .args(["--config", &self.setting("linker", &quoted(self.linker))]);
            match &flags {
                // No emulator: every test makes sense.
                Some(flags) => {
                    let words = flags
                        .iter()
                        .flat_map(|flag| ["-C".to_owned(), format!("link-arg={flag}")]);
                    let words: Vec<_> = words.map(|word| quoted(&word)).collect();
                    let list = format!("[{}]", words.join(", "));
                    command.args(["--config", &self.setting("rustflags", &list)]);
                }
                None => {
                    let root = self
                        .root
                        .map_or(String::new(), |root| format!(" -L {root}"));
                    let runner = quoted(&format!("{}{root}", self.emulator));
                    command
                        .args(["--config", &self.setting("runner", &runner), "--"])
                        .args(NOT_EMULATED.iter().flat_map(|test| ["--skip", test]))
                        .envs(SHORTENED);
                }
            }
            if self.target == windows::TARGET {
                windows::for_wine(&mut command, scratch.path())?;
            }
            let name = format!("{}, {package}", self.name.about);
            let counted = unit::counted_within(UNHURRIED_LIMIT, &name, &mut command, report)?;
            counts.push(format!("{package}: {counted}"));
        }
        Ok(self.row("yes".to_owned(), counts.join("; ")))
    }

    fn row(&self, built: String, run: String) -> Row {
        Row {
            name: self.name,
            built,
            run,
        }
    }

    /// What cargo is told of the target.
    fn setting(&self, key: &str, value: &str) -> String {
        format!("target.{}.{key} = {value}", self.target)
    }
}

fn quoted(text: &str) -> String {
    format!("'{text}'")
}
