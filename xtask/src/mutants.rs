//! Mutation testing: `cargo-mutants` breaks the allocator in many small ways, and the tests must notice each.

use crate::{cargo, process};
use anyhow::{Result, ensure};
use std::{
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
};

/// What to break.
#[derive(clap::Args)]
pub(crate) struct Mutants {
    /// Only what is in these source files.
    files: Vec<PathBuf>,
    /// Only the K-th of N equal shares (K from 0), so that a long run can be had in parts.
    #[arg(long, value_name = "K/N")]
    shard: Option<String>,
    /// Mutants that are built and tested at the same time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
}

/// Runs the tests on each mutant; what survives is named at the end, and in `target/mutants.out`.
///
/// Which tests, and what is left alone: `.cargo/mutants.toml`.
pub(crate) fn run(mutants: &Mutants) -> Result<ExitCode> {
    process::begin()?;
    let mut present = Command::new("cargo-mutants");
    let present = present.arg("--version").stdout(Stdio::null()).status();
    ensure!(
        present.is_ok_and(|status| status.success()),
        "cargo-mutants is not installed: cargo install --locked cargo-mutants"
    );
    let mut command = cargo::command(&["mutants", "--package", "ralloc", "--no-shuffle"]);
    command
        .args(["--jobs", &mutants.jobs.to_string(), "--output"])
        .arg(cargo::target()?);
    if let Some(shard) = &mutants.shard {
        command.args(["--shard", shard]);
    }
    for file in &mutants.files {
        command.arg("--file").arg(file);
    }
    let status = command.status()?;
    Ok(ExitCode::from(
        u8::try_from(status.code().unwrap_or(1)).unwrap_or(1),
    ))
}
