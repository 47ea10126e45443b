//! The examples of the package `ralloc`, each run to its end: they assert what they claim.

use crate::{
    cargo, process,
    report::{Outcome, Report},
};
use anyhow::Result;
use std::{process::Command, time::Duration};

/// For all, built.
const BUILD: Duration = Duration::from_secs(600);
/// For one, run.
const RUN: Duration = Duration::from_secs(60);

/// Builds them with these options of cargo, and runs each.
pub(crate) fn run(options: &[&str], report: &mut Report) -> Result<()> {
    let mut build = cargo::command(&["build", "--quiet", "--package", "ralloc", "--examples"]);
    let built = process::run(build.args(options), BUILD)?;
    if !built.succeeded() {
        let outcome = Outcome::failed(built.describe(), &built.output);
        report.add("examples", Some(built.took), &outcome);
        return Ok(());
    }
    let programs = cargo::target()?.join("debug/examples");
    for source in cargo::files(&cargo::root().join("examples"), "rs")? {
        let name = source.file_stem().unwrap_or_default();
        let ended = process::run(&mut Command::new(programs.join(name)), RUN)?;
        let outcome = match (ended.succeeded(), ended.output.is_empty()) {
            (true, false) => Outcome::Passed,
            (true, true) => Outcome::failed("it says nothing", ""),
            (false, _) => Outcome::failed(ended.describe(), &ended.output),
        };
        let name = format!("example {}", name.display());
        report.add(&name, Some(ended.took), &outcome);
    }
    Ok(())
}
