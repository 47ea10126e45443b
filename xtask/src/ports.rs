//! The other systems: everything is built, what can run runs, and a table says which is which.
//!
//! Linux on other processors and C libraries is the business of [`crate::cross`]; here are Windows under wine, the module for the
//! BSDs and macOS in the place of Linux' own, the Rust tests on emulated processors, and the static libraries of the rest.
//! In short form, as a tier, what takes its time is left out: the table names the command for it.

use crate::{
    cargo,
    cross::{self, Core},
    header::Header,
    needs::{self, Needs},
    process,
    report::{Outcome, Report},
    unit,
};
use anyhow::Result;
use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

const LIMIT: Duration = Duration::from_secs(1800);
/// For the tests of one package under an emulator.
const EMULATED_LIMIT: Duration = Duration::from_secs(7200);

/// What the user asked for.
#[derive(clap::Args)]
pub(crate) struct Ports {
    /// Only rows whose name contains one of these.
    rows: Vec<String>,
    /// What the tier runs.
    #[arg(long)]
    short: bool,
}

impl Ports {
    /// What the tier runs.
    pub(crate) fn tier() -> Self {
        Self {
            rows: Vec::new(),
            short: true,
        }
    }

    fn wants(&self, row: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|text| row.contains(text.as_str()))
    }
}

/// A row of the table.
struct Row {
    name: &'static str,
    built: String,
    run: String,
}

/// A system for which only the static library is built here: what it runs on is not.
const BUILT: [(&str, &str); 5] = [
    ("FreeBSD", "x86_64-unknown-freebsd"),
    ("NetBSD", "x86_64-unknown-netbsd"),
    ("macOS x86_64", "x86_64-apple-darwin"),
    ("macOS aarch64", "aarch64-apple-darwin"),
    ("Windows msvc", "x86_64-pc-windows-msvc"),
];

/// A system that is emulated, where the Rust tests run.
struct Emulated {
    name: &'static str,
    target: &'static str,
    linker: &'static str,
    emulator: &'static str,
    packages: &'static str,
}

const EMULATED: [Emulated; 6] = [
    Emulated {
        name: "Rust tests on aarch64",
        target: "aarch64-unknown-linux-gnu",
        linker: "aarch64-linux-gnu-gcc",
        emulator: "qemu-aarch64 -L /usr/aarch64-linux-gnu",
        packages: "gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user",
    },
    Emulated {
        name: "Rust tests on aarch64, OS pages of 64 KiB",
        target: "aarch64-unknown-linux-gnu",
        linker: "aarch64-linux-gnu-gcc",
        emulator: "qemu-aarch64 -p 65536 -L /usr/aarch64-linux-gnu",
        packages: "gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user",
    },
    Emulated {
        name: "Rust tests on riscv64",
        target: "riscv64gc-unknown-linux-gnu",
        linker: "riscv64-linux-gnu-gcc",
        emulator: "qemu-riscv64 -L /usr/riscv64-linux-gnu",
        packages: "gcc-riscv64-linux-gnu libc6-dev-riscv64-cross qemu-user",
    },
    Emulated {
        name: "Rust tests on i686",
        target: "i686-unknown-linux-gnu",
        linker: "i686-linux-gnu-gcc",
        emulator: "qemu-i386 -L /usr/i686-linux-gnu",
        packages: "gcc-i686-linux-gnu libc6-dev-i386-cross qemu-user",
    },
    Emulated {
        name: "Rust tests on s390x, big-endian",
        target: "s390x-unknown-linux-gnu",
        linker: "s390x-linux-gnu-gcc",
        emulator: "qemu-s390x -L /usr/s390x-linux-gnu",
        packages: "gcc-s390x-linux-gnu libc6-dev-s390x-cross qemu-user",
    },
    Emulated {
        name: "Rust tests on Windows gnu",
        target: WINDOWS,
        linker: MINGW,
        emulator: "wine",
        packages: WINDOWS_PACKAGES,
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

/// Parts of the names of tests that make no sense there: a `fork` of the emulator while it has threads makes the emulator itself
/// fail, an emulated program cannot start itself again, and what the emulator has to say of a child that aborts gets into the test's line.
const NOT_EMULATED: [&str; 3] = [
    "in_forked_child",
    "arming_before_install_is_refused",
    "abort_",
];

/// Random traces per test, of those that make 24 elsewhere.
const TRACES: &str = "8";

/// The command: everything, and the table.
pub(crate) fn command(ports: &Ports) -> Result<ExitCode> {
    process::begin()?;
    let mut report = Report::new();
    let mut rows = Vec::new();
    report.tier("ports", |report| all(ports, report, &mut rows))?;
    println!("| row | built | run |\n|---|---|---|");
    for Row { name, built, run } in rows {
        println!("| {name} | {built} | {run} |");
    }
    println!("\nLinux on other processors and C libraries: `cargo xtask cross`.\n");
    Ok(report.close())
}

/// The tier.
pub(crate) fn run(report: &mut Report) -> Result<()> {
    all(&Ports::tier(), report, &mut Vec::new())
}

fn all(ports: &Ports, report: &mut Report, rows: &mut Vec<Row>) -> Result<()> {
    let name = "BSD and macOS module, on Linux";
    if ports.wants(name) {
        rows.push(unix_module(name, ports.short, report)?);
    }
    let name = "Windows gnu";
    if ports.wants(name) {
        rows.push(windows(name, report)?);
    }
    for (name, target) in BUILT.iter().filter(|(name, _)| ports.wants(name)) {
        let built = static_library(target)?;
        report.add(&format!("{name}, static library"), None, &built);
        let run = "-".to_owned();
        rows.push(Row {
            name,
            built: word(&built),
            run,
        });
    }
    if ports.short {
        return Ok(());
    }
    for row in EMULATED.iter().filter(|row| ports.wants(row.name)) {
        rows.push(emulated(row, report)?);
    }
    Ok(())
}

fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Passed => "yes".to_owned(),
        Outcome::Failed { reason, .. } => format!("FAILED: {reason}"),
        Outcome::Skipped { reason } => format!("skipped: {reason}"),
    }
}

/// What is built in a folder of its own: other features and targets would have everything built anew.
fn folder() -> Result<PathBuf> {
    Ok(cargo::target()?.join("ports"))
}

/// The tests of the platform on the module for the BSDs and macOS; in full those of the allocator too.
fn unix_module(name: &'static str, short: bool, report: &mut Report) -> Result<Row> {
    let suites: [(&str, &str); 2] = [
        ("ralloc-platform", "sim,unix"),
        (
            "ralloc",
            "partial,thread_oom,allocator-api2,ralloc-platform/unix",
        ),
    ];
    let mut counts = Vec::new();
    for (package, features) in suites.iter().take(if short { 1 } else { 2 }) {
        let mut command = cargo::command(&["test", "--no-fail-fast", "--package", package]);
        command.args(["--features", features, "--target-dir"]);
        command.arg(folder()?);
        let counted = unit::counted(&format!("unix, {package}"), &mut command, report)?;
        counts.push(format!("{package}: {counted}"));
    }
    Ok(Row {
        name,
        built: "yes".to_owned(),
        run: counts.join("; "),
    })
}

/// The tests of the platform and the traces of the oracle, under an emulator.
fn emulated(row: &Emulated, report: &mut Report) -> Result<Row> {
    let emulator = row.emulator.split(' ').next().unwrap_or_default();
    let commands = format!("{} {emulator}", row.linker);
    if let Err(outcome) = ready(row.target, &commands, row.packages)? {
        report.add(row.name, None, &outcome);
        return Ok(Row {
            name: row.name,
            built: word(&outcome),
            run: "-".to_owned(),
        });
    }
    let scratch = tempfile::tempdir()?;
    let mut counts = Vec::new();
    for (package, features, tests) in SUITES {
        let mut command = cargo::command(&["test", "--no-fail-fast", "--package", package]);
        command
            .args(["--features", features, "--target", row.target])
            .arg("--target-dir")
            .arg(folder()?)
            .args(tests.iter().flat_map(|test| ["--test", test]))
            .arg("--config")
            .arg(format!("target.{}.linker = '{}'", row.target, row.linker))
            .arg("--config")
            .arg(format!("target.{}.runner = '{}'", row.target, row.emulator))
            .arg("--")
            .args(NOT_EMULATED.iter().flat_map(|test| ["--skip", test]))
            .env("RALLOC_TRACES", TRACES);
        if row.target == WINDOWS {
            for_wine(&mut command, scratch.path())?;
        }
        let counted = unit::counted_within(
            EMULATED_LIMIT,
            &format!("{}, {package}", row.name),
            &mut command,
            report,
        )?;
        counts.push(format!("{package}: {counted}"));
    }
    Ok(Row {
        name: row.name,
        built: "yes".to_owned(),
        run: counts.join("; "),
    })
}

/// What wine and programs of Rust's standard library need of each other.
fn for_wine(command: &mut Command, scratch: &Path) -> Result<()> {
    let library = scratch.join("bcryptprimitives.dll");
    let mut compile = Command::new(MINGW);
    compile
        .args(["-O1", "-Wall", "-shared", "-o"])
        .arg(&library)
        .arg(cargo::root().join("tests/windows/bcryptprimitives.c"))
        .arg("-ladvapi32");
    let ended = process::run(&mut compile, LIMIT)?;
    anyhow::ensure!(ended.succeeded(), "{}", ended.output);
    command
        .env("WINEPATH", scratch)
        .env("WINEPREFIX", scratch.join("wine"))
        .env("WINEDEBUG", "-all")
        // The linker of mingw would else have the program look for its own library.
        .env(
            "CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUSTFLAGS",
            "-C target-feature=+crt-static",
        )
        // Without processes of their own the tests of what is mapped would meet each other.
        .arg("--test-threads=1");
    Ok(())
}

/// Whether a target can be built for, and the commands are there.
fn ready(target: &str, commands: &str, packages: &str) -> Result<Result<(), Outcome>> {
    let header = format!("//needs: {commands}\n//packages: {packages}");
    let needs = Needs::of(&Header::parse(&header, "//"));
    needs::install([&needs])?;
    if let Some(reason) = needs.missing() {
        return Ok(Err(Outcome::skipped(reason)));
    }
    Ok(match cross::core_library(target)? {
        Core::Built => Ok(()),
        _ => Err(Outcome::skipped(format!(
            "needs the core library for {target} (rustup target add)"
        ))),
    })
}

/// `libralloc.a` for a target whose linker is not needed for that.
fn static_library(target: &str) -> Result<Outcome> {
    match cross::core_library(target)? {
        Core::Built => {}
        _ => {
            let reason = format!("needs the core library for {target} (rustup target add)");
            return Ok(Outcome::skipped(reason));
        }
    }
    let words = ["rustc", "--release", "--package", "libralloc", "--lib"];
    let mut command = cargo::command(&words);
    command
        .args(["--no-default-features", "--crate-type", "staticlib"])
        // Whole-program optimisation is not what is tested here.
        .args(["--config", "profile.release.lto=false"])
        .args(["--target", target, "--target-dir"])
        .arg(folder()?);
    let ended = process::run(&mut command, LIMIT)?;
    let folder = folder()?.join(target).join("release");
    let library = ["libralloc.a", "ralloc.lib"].map(|name| folder.join(name));
    Ok(
        match ended.succeeded() && library.iter().any(|file| file.is_file()) {
            true => Outcome::Passed,
            false => Outcome::failed(ended.describe(), ended.output),
        },
    )
}

const WINDOWS: &str = "x86_64-pc-windows-gnu";
const MINGW: &str = "x86_64-w64-mingw32-gcc";
const WINDOWS_PACKAGES: &str = "gcc-mingw-w64-x86-64-win32 wine wine64";

/// The library by mingw, and a C program on it under wine: with the archive and with the DLL.
fn windows(name: &'static str, report: &mut Report) -> Result<Row> {
    let not = |outcome: Outcome, report: &mut Report| {
        report.add(name, None, &outcome);
        Row {
            name,
            built: word(&outcome),
            run: "-".to_owned(),
        }
    };
    if let Err(outcome) = ready(WINDOWS, &format!("{MINGW} wine"), WINDOWS_PACKAGES)? {
        return Ok(not(outcome, report));
    }
    let words = ["build", "--release", "--package", "libralloc", "--lib"];
    let mut command = cargo::command(&words);
    command
        .args(["--no-default-features", "--target", WINDOWS, "--target-dir"])
        .arg(folder()?);
    let ended = process::run(&mut command, LIMIT)?;
    if !ended.succeeded() {
        return Ok(not(Outcome::failed(ended.describe(), ended.output), report));
    }
    let built = folder()?.join(WINDOWS).join("release");
    let mut runs = Vec::new();
    for library in ["libralloc.a", "libralloc.dll.a"] {
        let start = Instant::now();
        let outcome = windows_program(&built, library)?;
        let test = format!("{name}, C program on {library}");
        report.add(&test, Some(start.elapsed()), &outcome);
        runs.push(format!("C program on {library}: {}", word(&outcome)));
    }
    Ok(Row {
        name,
        built: "yes".to_owned(),
        run: runs.join("; "),
    })
}

fn windows_program(built: &Path, library: &str) -> Result<Outcome> {
    let root = cargo::root();
    // Beside the DLL, where the loader looks first.
    let program = built.join(format!("{library}.exe"));
    let mut compile = Command::new(MINGW);
    compile
        .args(["-O1", "-Wall", "-Wextra", "-Werror", "-I"])
        .arg(root.join("libralloc/include"))
        .arg("-o")
        .arg(&program)
        .arg(root.join("tests/windows/program.c"))
        .arg(built.join(library));
    let ended = process::run(&mut compile, LIMIT)?;
    if !ended.succeeded() {
        let reason = format!("does not compile: {}", ended.describe());
        return Ok(Outcome::failed(reason, ended.output));
    }
    let prefix = tempfile::tempdir()?;
    let mut wine = Command::new("wine");
    wine.arg(&program)
        .env("WINEPREFIX", prefix.path())
        .env("WINEDEBUG", "-all");
    let ended = process::run(&mut wine, Duration::from_secs(600))?;
    Ok(
        match ended.succeeded() && ended.output.contains("all is well") {
            true => Outcome::Passed,
            false => Outcome::failed(ended.describe(), ended.output),
        },
    )
}
