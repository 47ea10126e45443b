//! Format, lints and documentation, without a warning.

use crate::{
    cargo, process,
    report::{Outcome, Report},
};
use anyhow::Result;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(600);

struct Check {
    name: &'static str,
    words: &'static [&'static str],
    /// A component of the toolchain, if it is one that may be missing.
    component: Option<&'static str>,
    /// A variable of the environment that turns warnings into errors.
    variable: Option<(&'static str, &'static str)>,
}

const CHECKS: [Check; 3] = [
    Check {
        name: "fmt",
        words: &["fmt", "--all", "--check", "--", "--color", "never"],
        component: Some("fmt"),
        variable: None,
    },
    Check {
        name: "clippy",
        words: &[
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--",
            "--deny",
            "warnings",
        ],
        component: Some("clippy"),
        variable: None,
    },
    Check {
        name: "doc",
        words: &["doc", "--quiet", "--workspace", "--no-deps"],
        component: None,
        variable: Some(("RUSTDOCFLAGS", "--deny warnings")),
    },
];

pub(crate) fn run(report: &mut Report) -> Result<()> {
    for Check {
        name,
        words,
        component,
        variable,
    } in CHECKS
    {
        if let Some(component) = component
            && !cargo::command(&[component, "--version"])
                .output()?
                .status
                .success()
        {
            report.add(
                name,
                None,
                &Outcome::skipped(format!("needs cargo {component}")),
            );
            continue;
        }
        let ended = process::run(cargo::command(words).envs(variable), LIMIT)?;
        let outcome = match ended.succeeded() {
            true => Outcome::Passed,
            false => Outcome::failed(ended.describe(), ended.output.clone()),
        };
        report.add(name, Some(ended.took), &outcome);
    }
    Ok(())
}
