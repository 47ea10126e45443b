//! Soak: the scenarios at random, for as long as one likes (`tests/soak.rs`).

use crate::{
    cargo, process,
    report::{Outcome, Report},
};
use anyhow::{Context, Result};
use std::{process::Command, process::ExitCode, time::Duration};

/// Seconds of the short form.
const SHORT: u64 = 30;
/// For the short form, on a machine that does other things as well.
const LIMIT: Duration = Duration::from_secs(600);

/// How long to soak, and in what.
#[derive(clap::Args)]
pub(crate) struct Soak {
    /// For how long.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// Threads at the same time.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=4096))]
    threads: u64,
    /// Repeat the requests of a run that printed this seed; the threads' turns are the machine's.
    #[arg(long)]
    seed: Option<u64>,
}

/// Soaks, and shows what the program says as it says it.
pub(crate) fn soak(soak: &Soak) -> Result<ExitCode> {
    let mut command = command(soak.minutes * 60, soak.threads);
    if let Some(seed) = soak.seed {
        command.arg("--seed").arg(seed.to_string());
    }
    let status = command.status().context("cannot run cargo")?;
    Ok(ExitCode::from(u8::from(!status.success())))
}

/// The short form, as a test.
pub(crate) fn run(report: &mut Report) -> Result<()> {
    let ended = process::run(&mut command(SHORT, 64), LIMIT)?;
    let outcome = match ended.succeeded() {
        true => Outcome::Passed,
        false => Outcome::failed(ended.describe(), ended.output),
    };
    report.add("scenarios at random", Some(ended.took), &outcome);
    Ok(())
}

fn command(seconds: u64, threads: u64) -> Command {
    let mut command = cargo::command(&["test", "--quiet", "--package", "ralloc", "--test", "soak"]);
    command
        .args(["--", "--seconds"])
        .arg(seconds.to_string())
        .arg("--threads")
        .arg(threads.to_string());
    command
}
