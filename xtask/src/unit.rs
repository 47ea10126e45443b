//! The tests of each package, as `cargo test` runs them.

use crate::{
    cargo, examples,
    process::{self, Ended},
    report::{Outcome, Report},
};
use anyhow::Result;
use std::{process::Command, time::Duration};

/// For one package, built and run.
const LIMIT: Duration = Duration::from_secs(900);

/// What `ralloc` is built with: every feature that a stable compiler takes and a shared object links.
const FEATURES: &[&str] = &["--features", "partial,security,thread_oom,allocator-api2"];

/// The packages with tests of their own, and how cargo is to build them.
const SUITES: [(&str, &[&str]); 8] = [
    ("ralloc", FEATURES),
    // Once more what a program sees, with its threads' words where the standard library has them.
    (
        "ralloc",
        &["--features", "std,thread_oom", "--test", "promises"],
    ),
    ("ralloc-platform", &["--features", "sim"]),
    ("relibc-glue", &[]),
    ("launcher", &[]),
    ("bench", &[]),
    ("redox-runner", &[]),
    ("xtask", &[]),
];

pub(crate) fn run(report: &mut Report) -> Result<()> {
    for (package, options) in SUITES {
        let mut command = cargo::command(&["test", "--package", package, "--no-fail-fast"]);
        suite(package, command.args(options), report)?;
    }
    examples::run(FEATURES, report)?;
    nightly(report)
}

/// The unstable trait of the core library is implemented as the compiler of the day has it, where there is one.
fn nightly(report: &mut Report) -> Result<()> {
    let has = Command::new("cargo")
        .args(["+nightly", "--version"])
        .output();
    let name = "ralloc, feature nightly";
    if !has.is_ok_and(|output| output.status.success()) {
        report.add(name, None, &Outcome::skipped("needs a nightly compiler"));
        return Ok(());
    }
    let words =
        "+nightly check --quiet --package ralloc --features nightly --target-dir target/nightly";
    let mut check = Command::new("cargo");
    check.args(words.split(' ')).current_dir(cargo::root());
    // These name the compiler that runs us.
    let check = ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN"]
        .iter()
        .fold(&mut check, |check, name| check.env_remove(name));
    let ended = process::run(check, LIMIT)?;
    let outcome = match ended.succeeded() {
        true => Outcome::Passed,
        false => Outcome::failed(ended.describe(), &ended.output),
    };
    report.add(name, Some(ended.took), &outcome);
    Ok(())
}

/// Runs one `cargo test` and reports each of its tests.
pub(crate) fn suite(name: &str, command: &mut Command, report: &mut Report) -> Result<()> {
    counted(name, command, report).map(|_| ())
}

/// As [`suite`]. Returns how many passed, in words.
pub(crate) fn counted(name: &str, command: &mut Command, report: &mut Report) -> Result<String> {
    counted_within(LIMIT, name, command, report)
}

/// As [`counted`], where that takes its time.
pub(crate) fn counted_within(
    limit: Duration,
    name: &str,
    command: &mut Command,
    report: &mut Report,
) -> Result<String> {
    let ended = process::run(
        command
            .env("CARGO_TERM_COLOR", "never")
            .env("RUST_BACKTRACE", "0"),
        limit,
    )?;
    let tests = parse(&ended.output);
    for (test, outcome) in &tests {
        report.add(&format!("{name} {test}"), None, outcome);
    }
    let explained = tests
        .iter()
        .any(|(_, outcome)| matches!(outcome, Outcome::Failed { .. }));
    if !ended.succeeded() && !explained {
        report.add(name, Some(ended.took), &unexplained(&ended));
    }
    let passed = |(_, outcome): &&(String, Outcome)| matches!(outcome, Outcome::Passed);
    let passed = tests.iter().filter(passed).count();
    Ok(match ended.succeeded() {
        true => format!("{passed} passed"),
        false => format!("FAILED, {passed} of {} passed", tests.len()),
    })
}

/// A build that failed, or tests that ended before they could say how: what the first of them said last.
fn unexplained(ended: &Ended) -> Outcome {
    const LAST_WORDS: usize = 20;
    let is_noise = |line: &&str| line.trim_start().starts_with("Compiling ");
    let lines: Vec<_> = ended
        .output
        .lines()
        .filter(|line| !is_noise(line))
        .collect();
    let panicked = lines.iter().position(|line| line.contains(" panicked at "));
    let shown = match panicked {
        Some(first) => &lines[first..lines.len().min(first + LAST_WORDS)],
        None => &lines,
    };
    Outcome::failed(ended.describe(), shown.join("\n"))
}

/// The tests that `cargo test` reported, each with the name of its file.
fn parse(output: &str) -> Vec<(String, Outcome)> {
    let mut tests = Vec::new();
    let mut file = "";
    for line in output.lines() {
        if let Some(heading) = heading(line) {
            file = heading;
        } else if let Some((name, outcome)) = test(line, output)
            && !is_part(&outcome)
        {
            tests.push((format!("{file} {name}"), outcome));
        }
    }
    tests
}

/// The file in `Running unittests src/lib.rs (target/...)`, or `doc` for `Doc-tests ralloc`.
fn heading(line: &str) -> Option<&str> {
    let line = line.trim_start();
    if line.starts_with("Doc-tests ") {
        return Some("doc");
    }
    let file = line.strip_prefix("Running ")?.split(" (").next()?;
    Some(file.strip_prefix("unittests ").unwrap_or(file))
}

/// The name and the outcome in `test NAME ... ok`.
fn test<'a>(line: &'a str, output: &str) -> Option<(&'a str, Outcome)> {
    let (name, word) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let outcome = match word.split([',', ' ']).next()? {
        "ok" => Outcome::Passed,
        "FAILED" => Outcome::failed("failed", details(name, output)),
        "ignored" => {
            let reason = word
                .strip_prefix("ignored, ")
                .unwrap_or("ignored by its author");
            Outcome::skipped(reason)
        }
        // What the test wrote past the capture pushed the word away; ends of lines are looked at too.
        _ if word.ends_with("ok") => Outcome::Passed,
        _ => Outcome::failed("ended without a word", word),
    };
    Some((name, outcome))
}

/// Some tests run others, in a process of their own; these are marked `#[ignore = "a part of ..."]`.
fn is_part(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Skipped { reason } if reason.starts_with("a part of "))
}

/// What a failed test printed, from the list at the end of its file's run.
fn details(name: &str, output: &str) -> String {
    let title = format!("---- {name} stdout ----");
    let lines = output.lines().skip_while(|line| *line != title).skip(1);
    let own = lines.take_while(|line| !line.starts_with("---- ") && *line != "failures:");
    own.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
     Running unittests src/lib.rs (target/debug/deps/x-0)

running 4 tests
test a::good ... ok
test a::bad ... FAILED
test a::slow ... ignored, takes an hour
test a::half ... ignored, a part of whole

failures:

---- a::bad stdout ----

left is not right

failures:
    a::bad

test result: FAILED. 1 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out
   Doc-tests x
test src/lib.rs - f (line 3) ... ok
";

    #[test]
    fn tests_are_found_with_their_files() {
        let names: Vec<_> = parse(OUTPUT).into_iter().map(|(name, _)| name).collect();
        let expected = [
            "src/lib.rs a::good",
            "src/lib.rs a::bad",
            "src/lib.rs a::slow",
        ];
        assert_eq!(names[..3], expected);
        assert_eq!(names[3..], ["doc src/lib.rs - f (line 3)"]);
    }

    #[test]
    fn a_failure_brings_what_it_printed() {
        let tests = parse(OUTPUT);
        assert!(matches!(&tests[0].1, Outcome::Passed));
        let Outcome::Failed { output, .. } = &tests[1].1 else {
            panic!("not failed")
        };
        assert_eq!(output.trim(), "left is not right");
        let Outcome::Skipped { reason } = &tests[2].1 else {
            panic!("not skipped")
        };
        assert_eq!(reason, "takes an hour");
    }
}
