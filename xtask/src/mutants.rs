//! Mutation testing: `cargo-mutants` breaks the allocator in many small ways, and the tests must notice each.
//!
//! Two rounds. In the first every mutant meets the few tests that kill most for their time; what they let live meets all
//! others in the second. A round remembers the dead of the rounds before it.

use crate::{cargo, process};
use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit};
use std::{
    fs,
    path::{Path, PathBuf},
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
    /// Go on where an earlier run ended: what has been killed stays dead.
    #[arg(long)]
    resume: bool,
    /// Only the first round: what survives may still be killed by the tests of the second.
    #[arg(long)]
    quick: bool,
}

/// Tests that meet the mutants together, and how they are built.
struct Round {
    profile: &'static str,
    tests: &'static [&'static str],
    /// Traces that each test of random traces makes.
    traces: &'static str,
    /// Seconds, at least, until a mutant counts as going round in circles.
    patience: &'static str,
}

const ROUNDS: [Round; 2] = [
    Round {
        profile: "mutants",
        tests: &["oracle", "policy"],
        traces: "2",
        patience: "12",
    },
    Round {
        profile: "mutants-thorough",
        tests: &[
            "lib",
            "oracle",
            "policy",
            "thread_exit",
            "fork",
            "promises",
            "recorded",
            "scenarios",
            "partial",
            "exhaustion",
        ],
        traces: "6",
        patience: "120",
    },
];

/// The oracle's seed: a mutant that is killed once is killed again.
const SEED: &str = "72616c6c6f6372616c6c6f6372616c6c6f6372616c6c6f6372616c6c6f630001";

/// What a mutant may map. A loop that allocates must not take the machine with it.
const MEMORY: u64 = 16 << 30;

/// Runs the rounds; what survives is named at the end, and in `target/mutants.out/missed.txt`.
///
/// What is left alone, and why: `.cargo/mutants.toml`.
pub(crate) fn run(mutants: &Mutants) -> Result<ExitCode> {
    process::begin()?;
    install()?;
    let bound = Rlimit {
        current: Some(MEMORY),
        maximum: rustix::process::getrlimit(Resource::As).maximum,
    };
    rustix::process::setrlimit(Resource::As, bound)?;
    let rounds = if mutants.quick {
        &ROUNDS[..1]
    } else {
        &ROUNDS[..]
    };
    let mut status = 0;
    for (index, round) in rounds.iter().enumerate() {
        let on_top = mutants.resume || index != 0;
        status = round.run(mutants, on_top)?;
        // 2: some mutants live; 3: some did not end. All else is no result.
        ensure!(
            matches!(status, 0 | 2 | 3),
            "cargo-mutants ended with {status}"
        );
    }
    summary(&cargo::target()?.join("mutants.out"))?;
    Ok(ExitCode::from(u8::try_from(status).unwrap_or(1)))
}

impl Round {
    fn run(&self, mutants: &Mutants, on_top: bool) -> Result<i32> {
        println!("round of {}", self.tests.join(", "));
        let mut command = cargo::command(&["mutants", "--package", "ralloc", "--no-shuffle"]);
        command
            .args(["--profile", self.profile])
            .args(["--minimum-test-timeout", self.patience])
            .args(["--jobs", &mutants.jobs.to_string(), "--output"])
            .arg(cargo::target()?);
        if on_top {
            command.arg("--iterate");
        }
        if let Some(shard) = &mutants.shard {
            command.args(["--shard", shard]);
        }
        for file in &mutants.files {
            command.arg("--file").arg(file);
        }
        command.arg("--");
        for test in self.tests {
            match *test {
                "lib" => command.arg("--lib"),
                test => command.args(["--test", test]),
            };
        }
        command
            .env("RALLOC_SEED", SEED)
            .env("RALLOC_TRACES", self.traces);
        let status = command.status()?;
        status.code().context("cargo-mutants was killed")
    }
}

/// Installs `cargo-mutants` unless it is there.
fn install() -> Result<()> {
    let mut present = Command::new("cargo-mutants");
    let present = present.args(["mutants", "--version"]).stdout(Stdio::null());
    if present.status().is_ok_and(|status| status.success()) {
        return Ok(());
    }
    println!("installing cargo-mutants");
    let status = cargo::command(&["install", "--locked", "cargo-mutants"]).status()?;
    ensure!(
        status.success(),
        "cargo-mutants could not be installed: cargo install --locked cargo-mutants"
    );
    Ok(())
}

/// Counts the lines of the lists that the rounds have left.
fn summary(folder: &Path) -> Result<()> {
    let lines = |name: &str| -> usize {
        let text = fs::read_to_string(folder.join(name)).unwrap_or_default();
        text.lines().count()
    };
    let before = lines("previously_caught.txt");
    let killed = before + lines("caught.txt") + lines("timeout.txt") + lines("unviable.txt");
    println!(
        "{killed} killed (or not a program), {} survive: {}",
        lines("missed.txt"),
        folder.join("missed.txt").display()
    );
    Ok(())
}
