//! Format, lints and documentation, without a warning.

use crate::{
    cargo, process,
    report::{Outcome, Report},
};
use anyhow::Result;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(600);

/// A check, the command that makes it, and a variable that turns warnings into errors.
type Check = (
    &'static str,
    &'static [&'static str],
    Option<(&'static str, &'static str)>,
);

const CHECKS: [Check; 3] = [
    ("fmt", &["fmt", "--all", "--check"], None),
    (
        "clippy",
        &[
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--",
            "--deny",
            "warnings",
        ],
        None,
    ),
    (
        "doc",
        &["doc", "--quiet", "--workspace", "--no-deps"],
        Some(("RUSTDOCFLAGS", "--deny warnings")),
    ),
];

pub(crate) fn run(report: &mut Report) -> Result<()> {
    for (name, words, variable) in CHECKS {
        if !cargo::command(&[words[0], "--version"])
            .output()?
            .status
            .success()
        {
            report.add(
                name,
                None,
                &Outcome::skipped(format!("needs cargo {}", words[0])),
            );
            continue;
        }
        let mut command = cargo::command(words);
        command.envs(variable);
        let ended = process::run(&mut command, LIMIT)?;
        let outcome = match ended.succeeded() {
            true => Outcome::Passed,
            false => Outcome::failed(ended.describe(), ended.output.clone()),
        };
        report.add(name, Some(ended.took), &outcome);
    }
    Ok(())
}
