//! Windows under wine.

use super::{LIMIT, Name, Row, folder, ready, word};
use crate::{
    cargo, process,
    report::{Outcome, Report},
};
use anyhow::Result;
use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

pub(super) const TARGET: &str = "x86_64-pc-windows-gnu";
pub(super) const LINKER: &str = "x86_64-w64-mingw32-gcc";
pub(super) const PROGRAMS: Name = Name {
    key: "windows",
    about: "Windows gnu, C programs under wine",
};
pub(super) const PACKAGES: &str = "gcc-mingw-w64-x86-64-win32 wine wine64";

/// The library by mingw, and a C program on it under wine: with the archive and with the DLL.
pub(super) fn programs(report: &mut Report) -> Result<Row> {
    let name = PROGRAMS;
    let not = |outcome: Outcome, report: &mut Report| {
        report.add(name.about, None, &outcome);
        Row {
            name,
            built: word(&outcome),
            run: "-".to_owned(),
        }
    };
    if let Err(outcome) = ready(TARGET, &format!("{LINKER} wine"), PACKAGES)? {
        return Ok(not(outcome, report));
    }
    let words = ["build", "--release", "--package", "libralloc", "--lib"];
    let mut command = cargo::command(&words);
    command
        .args(["--no-default-features", "--target", TARGET, "--target-dir"])
        .arg(folder()?);
    let ended = process::run(&mut command, LIMIT)?;
    if !ended.succeeded() {
        return Ok(not(Outcome::failed(ended.describe(), ended.output), report));
    }
    let built = folder()?.join(TARGET).join("release");
    let mut runs = Vec::new();
    for library in ["libralloc.a", "libralloc.dll.a"] {
        let start = Instant::now();
        let outcome = program(&built, library)?;
        let test = format!("Windows gnu, C program on {library}");
        report.add(&test, Some(start.elapsed()), &outcome);
        runs.push(format!("C program on {library}: {}", word(&outcome)));
    }
    Ok(Row {
        name,
        built: "yes".to_owned(),
        run: runs.join("; "),
    })
}

fn program(built: &Path, library: &str) -> Result<Outcome> {
    let root = cargo::root();
    // Beside the DLL, where the loader looks first.
    let program = built.join(format!("{library}.exe"));
    let mut compile = Command::new(LINKER);
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

/// What wine and programs of Rust's standard library need of each other.
pub(super) fn for_wine(command: &mut Command, scratch: &Path) -> Result<()> {
    let library = scratch.join("bcryptprimitives.dll");
    let mut compile = Command::new(LINKER);
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
