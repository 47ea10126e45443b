//! Every workload runs at a tiny scale, twice, and comes to the same sum; and the runner gets from
//! the command line to a report. Nothing here looks at a clock.

use std::{path::Path, process::Command};

use bench::{Outcome, WORKLOADS};

/// Runs a program of this package, which must succeed, and returns what it printed.
fn run(program: &str, arguments: &[&str]) -> String {
    let done = Command::new(program)
        .args(arguments)
        .output()
        .expect("it starts");
    let complaint = String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.success(),
        "{arguments:?}: {} {complaint}",
        done.status
    );
    String::from_utf8(done.stdout).expect("text")
}

fn outcome(name: &str) -> Outcome {
    let said = if name == "hello" {
        run(env!("CARGO_BIN_EXE_hello"), &[])
    } else {
        run(
            env!("CARGO_BIN_EXE_workload"),
            &[name, "--scale", "0.002", "--threads", "2"],
        )
    };
    said.lines()
        .last()
        .expect("a line")
        .parse()
        .expect("an outcome")
}

#[test]
fn every_workload_runs_and_repeats_itself() {
    for workload in WORKLOADS {
        let (first, second) = (outcome(workload.name), outcome(workload.name));
        assert!(first.operations > 0, "{}", workload.name);
        assert!(first.peak_kib > 0, "{}", workload.name);
        assert_eq!(
            (first.operations, first.checksum),
            (second.operations, second.checksum),
            "{}",
            workload.name
        );
    }
}

#[test]
fn what_looks_back_says_what_is_kept() {
    for name in ["free-1gib", "dead-threads"] {
        assert!(outcome(name).kept.is_some(), "{name}");
    }
    assert!(outcome("hello").private_dirty_kib.is_some());
}

#[test]
fn an_unknown_workload_is_an_error() {
    let mut workload = Command::new(env!("CARGO_BIN_EXE_workload"));
    let done = workload.arg("nothing").output().expect("it starts");
    assert!(!done.status.success());
}

#[test]
fn malloc_comes_from_the_c_library() {
    let file = run(env!("CARGO_BIN_EXE_workload"), &["--which"]);
    let name = Path::new(file.trim())
        .file_name()
        .expect("a file")
        .to_string_lossy();
    assert!(name.starts_with("libc"), "{name}");
}

#[test]
fn the_runner_reports() {
    let programs = Path::new(env!("CARGO_BIN_EXE_workload"))
        .parent()
        .expect("a directory");
    let programs = programs.to_str().expect("a path in UTF-8");
    let only = "server,free-1gib";
    let arguments = ["--quick", "--no-write", "--peers", "glibc", "--only", only];
    let report = run(
        env!("CARGO_BIN_EXE_bench"),
        &[&arguments[..], &["--programs", programs]].concat(),
    );
    for part in [
        "# Results",
        "## Targets",
        "not measured here",
        "| server ",
        "## Kept",
    ] {
        assert!(report.contains(part), "no `{part}` in\n{report}");
    }
}
