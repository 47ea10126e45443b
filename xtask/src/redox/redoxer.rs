//! The Rust tests that need the standard library, on a whole Redox: by redoxer, which boots one under QEMU.

use crate::{
    cargo, process,
    report::{Outcome, Report},
};
use anyhow::Result;
use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

/// For a whole system, fetched, booted and used.
const LIMIT: Duration = Duration::from_secs(3600);

/// What is tested: each package by itself, as redoxer hands the words to cargo.
const SUITES: [(&str, &[&str]); 2] = [
    (
        "ralloc",
        &[
            "--package",
            "ralloc",
            "--test",
            "oracle",
            "--test",
            "scenarios",
        ],
    ),
    ("relibc-glue", &["--package", "relibc-glue"]),
];

/// Runs each suite.
pub(super) fn run(report: &mut Report) -> Result<()> {
    if let Some(missing) = missing() {
        report.add("redoxer", None, &Outcome::skipped(missing));
        return Ok(());
    }
    for (name, words) in SUITES {
        let mut command = Command::new("redoxer");
        // The file is the configuration of the system that is installed: redoxer looks for none by itself.
        command.args(["test", "-i", "redoxer.toml"]).args(words);
        let ended = process::run(command.current_dir(cargo::root()), LIMIT)?;
        let outcome = match ended.succeeded() {
            true => Outcome::Passed,
            false => Outcome::failed(ended.describe(), &ended.output),
        };
        report.add(&format!("redoxer {name}"), Some(ended.took), &outcome);
    }
    Ok(())
}

/// What the machine lacks, in words.
fn missing() -> Option<&'static str> {
    let mut redoxer = Command::new("redoxer");
    let redoxer = redoxer.stdin(Stdio::null()).stdout(Stdio::null());
    // Without a word to say what to do it says how it is used.
    if redoxer.stderr(Stdio::null()).status().is_err() {
        return Some("needs redoxer: cargo install --locked redoxer");
    }
    // Redoxer would fetch it, which is for its user to decide.
    let chosen = env::var_os("REDOXER_TOOLCHAIN").map(PathBuf::from);
    let usual = || {
        Some(PathBuf::from(env::var_os("HOME")?).join(".redoxer/x86_64-unknown-redox/toolchain"))
    };
    if !chosen.or_else(usual).is_some_and(|folder| folder.is_dir()) {
        return Some("needs redoxer's toolchain: redoxer toolchain");
    }
    None
}
