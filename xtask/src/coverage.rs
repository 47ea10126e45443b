//! Which lines of the allocator a set of runs reaches, by the compiler's own counters.

use crate::{
    cargo,
    header::Header,
    needs::{self, Needs},
    process,
};
use anyhow::{Context, Result, bail, ensure};
use std::{
    path::PathBuf,
    process::{Command, ExitCode},
    time::Duration,
};

/// What the compiler is told.
pub(crate) const FLAGS: &str = "-Cinstrument-coverage";

const LIMIT: Duration = Duration::from_secs(900);

/// Makes the runs, and prints a line for each file of `src/`.
pub(crate) fn print(runs: Vec<(PathBuf, Command)>) -> Result<ExitCode> {
    let version = tools()?;
    let folder = tempfile::tempdir()?;
    let merged = folder.path().join("merged");
    let mut programs = Vec::new();
    for (program, mut command) in runs {
        command.env("LLVM_PROFILE_FILE", folder.path().join("%p.profraw"));
        let ended = process::run(&mut command, LIMIT)?;
        ensure!(ended.succeeded(), "{}\n{}", ended.describe(), ended.output);
        programs.push(program);
    }
    let mut merge = Command::new(format!("llvm-profdata-{version}"));
    merge.args(["merge", "-sparse", "-o"]).arg(&merged);
    for profile in cargo::files(folder.path(), "profraw")? {
        merge.arg(profile);
    }
    said(&mut merge)?;
    let mut report = Command::new(format!("llvm-cov-{version}"));
    report
        .args(["report", "--show-branch-summary=false", "--instr-profile"])
        .arg(&merged);
    let first = programs.first().context("there is a target")?;
    report.arg(first);
    for program in &programs[1..] {
        report.arg("--object").arg(program);
    }
    report.arg("--sources").arg(cargo::root().join("src"));
    println!("{}", said(&mut report)?);
    Ok(ExitCode::SUCCESS)
}

/// The tools must not be older than the compiler: the version of its LLVM.
fn tools() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text
        .lines()
        .find_map(|line| line.strip_prefix("LLVM version: "))
        .and_then(|version| version.split('.').next())
        .context("rustc does not name its LLVM")?
        .to_owned();
    let header = format!("//needs: llvm-cov-{version}\n//packages: llvm-{version}");
    let needs = Needs::of(&Header::parse(&header, "//"));
    needs::install([&needs])?;
    if let Some(reason) = needs.missing() {
        bail!("{reason}");
    }
    Ok(version)
}

fn said(command: &mut Command) -> Result<String> {
    let ended = process::run(command, LIMIT)?;
    ensure!(ended.succeeded(), "{}\n{}", ended.describe(), ended.output);
    Ok(ended.output)
}
