//! Every workload runs at a tiny scale, twice, and comes to the same sum; and the runner gets from
//! the command line to a report. Nothing here looks at a clock.

use std::{env, fs, path::Path, process::Command};

use bench::{Group, Outcome, WORKLOADS};

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
    let ours = |group| group != Group::Program;
    for workload in WORKLOADS.iter().filter(|one| ours(one.group)) {
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
fn what_times_each_call_says_how_long_calls_take() {
    for name in ["latency", "latency-crowd"] {
        let latency = outcome(name).latency.expect(name);
        for calls in [latency.malloc, latency.free] {
            assert!(calls.median > 0 && calls.median <= calls.p99, "{name}");
            assert!(
                calls.p99 <= calls.p999 && calls.p999 <= calls.worst,
                "{name}"
            );
        }
    }
}

/// Those programs that are there; on a machine without them the runner installs them.
#[test]
fn real_programs_do_their_work() {
    let programs = [
        ("sqlite", "sqlite3"),
        ("python", "/usr/bin/python3"),
        ("redis", "redis-server"),
    ];
    for (name, program) in programs {
        if Command::new(program).arg("--version").output().is_err() {
            continue;
        }
        let said = run(env!("CARGO_BIN_EXE_program"), &[name, "--scale", "0.01"]);
        let outcome: Outcome = said.trim().parse().expect("an outcome");
        assert!(outcome.peak_kib > 0 && outcome.cpu.is_some(), "{name}");
    }
    let mut unknown = Command::new(env!("CARGO_BIN_EXE_program"));
    assert!(
        !unknown
            .arg("nothing")
            .output()
            .expect("it starts")
            .status
            .success()
    );
}

#[test]
fn the_runner_reports_and_renders_again() {
    let programs = Path::new(env!("CARGO_BIN_EXE_workload"))
        .parent()
        .expect("a directory");
    let programs = programs.to_str().expect("a path in UTF-8");
    let folder = env::temp_dir().join(format!("ralloc-bench-test-{}", std::process::id()));
    let (first, second) = (folder.join("first"), folder.join("second"));
    fs::create_dir_all(&second).expect("a folder");
    let path = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
    let only = "server,free-1gib,latency";
    let arguments = ["--quick", "--write", "--peers", "glibc", "--only", only];
    let report = run(
        env!("CARGO_BIN_EXE_bench"),
        &[
            &arguments[..],
            &["--programs", programs, "--out", &path(&first)],
        ]
        .concat(),
    );
    for part in [
        "# Results",
        "## Targets",
        "not measured here",
        "| server ",
        "## Kept",
        "## Single calls: latency",
        "(plots/rss-server.svg)",
    ] {
        assert!(report.contains(part), "no `{part}` in\n{report}");
    }
    let data = path(&first.join("results.json"));
    let again = ["--render", "--data", &data, "--out", &path(&second)];
    run(env!("CARGO_BIN_EXE_bench"), &again);
    for file in [
        "RESULTS.md",
        "plots/time-memory.svg",
        "plots/rss-server.svg",
    ] {
        let read = |folder: &Path| fs::read_to_string(folder.join(file)).expect(file);
        assert_eq!(read(&first), read(&second), "{file}");
        assert!(read(&first).len() < 100 << 10, "{file} is small");
    }
    fs::remove_dir_all(&folder).expect("it goes");
}
