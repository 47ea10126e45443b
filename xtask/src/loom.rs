//! The models: every order of events within a bound, on the production code, by loom.

use crate::{cargo, process, report::Report, unit};
use anyhow::{Result, ensure};
use std::{
    env,
    process::{Command, ExitCode},
    time::Duration,
};

/// For all models within a bound that somebody asked for.
const LONG_LIMIT: Duration = Duration::from_secs(24 * 3600);
/// Where the models are among the tests.
const MODELS: &str = "primitive::models::";
/// What a model prints begins with this: its name, bound, executions and seconds follow.
const FIGURES: &str = "model ";

/// What a longer exploration is told.
#[derive(clap::Args)]
pub(crate) struct Exploration {
    /// Preemptions in one execution, at most, in place of each model's own bound.
    #[arg(long, value_name = "N")]
    bound: Option<u8>,
    /// Only models whose name begins with this.
    filter: Option<String>,
}

/// The command that runs the models whose name begins with `filter`.
///
/// The build is one of its own: loom takes the place of the atomics. Without debug assertions, because what is to be
/// explored is the code that is shipped, and each atomic that a check reads is a further place for other threads to step in.
fn command(filter: &str) -> Result<Command> {
    let mut command = cargo::command(&["test", "--package", "ralloc", "--lib"]);
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    command
        .arg(format!("{MODELS}{filter}"))
        .env("RUSTFLAGS", format!("{flags} --cfg loom").trim())
        .env("CARGO_PROFILE_TEST_DEBUG_ASSERTIONS", "false")
        .env("CARGO_TARGET_DIR", cargo::target()?.join("loom"));
    Ok(command)
}

/// Runs every model within its own bound.
pub(crate) fn run(report: &mut Report) -> Result<()> {
    unit::suite("ralloc", &mut command("")?, report)
}

/// Runs models and prints their figures as rows of a table.
pub(crate) fn explore(exploration: &Exploration) -> Result<ExitCode> {
    process::begin()?;
    let mut command = command(exploration.filter.as_deref().unwrap_or(""))?;
    command.args(["--", "--show-output"]);
    if let Some(bound) = exploration.bound {
        command.env("RALLOC_LOOM_BOUND", bound.to_string());
    }
    let ended = process::run(&mut command, LONG_LIMIT)?;
    let rows: Vec<_> = ended
        .output
        .lines()
        .filter_map(|line| line.strip_prefix(FIGURES))
        .collect();
    if !ended.succeeded() {
        println!("{}", ended.output);
        return Ok(ExitCode::FAILURE);
    }
    ensure!(!rows.is_empty(), "no model has a name that begins so");
    println!("| model | bound | executions | seconds |\n|---|---|---|---|");
    rows.iter().for_each(|row| println!("| {row} |"));
    Ok(ExitCode::SUCCESS)
}
