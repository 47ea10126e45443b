//! `ralloc --leaks PROGRAM` on the real library: what it says of programs of which it is known what they leave behind, and how it ends.

#[allow(dead_code, unreachable_pub)]
mod stage;

use stage::text;
use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
};

/// The programs, compiled once.
struct Programs {
    folder: tempfile::TempDir,
}

impl Programs {
    fn get() -> &'static Self {
        static PROGRAMS: OnceLock<Programs> = OnceLock::new();
        PROGRAMS.get_or_init(|| {
            let folder = tempfile::Builder::new().prefix("ralloc-leaks-").tempdir();
            let programs = Self {
                folder: folder.unwrap(),
            };
            programs.compile("cc", "leaks.c", &["-g"], "leaks");
            programs.compile("cc", "leaks.c", &["-s"], "stripped");
            programs.compile("c++", "leaks.cpp", &["-g"], "cxx");
            programs
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn compile(&self, compiler: &str, source: &str, flags: &[&str], name: &str) {
        let source = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/leaks")
            .join(source);
        let mut command = Command::new(compiler);
        command.args([
            "-O1",
            "-fno-builtin",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-pthread",
        ]);
        command
            .args(flags)
            .arg(source)
            .arg("-o")
            .arg(self.path(name));
        let status = command
            .status()
            .unwrap_or_else(|error| panic!("{compiler}: {error}"));
        assert!(status.success(), "{command:?}");
    }
}

/// The launcher, which builds the library as under `cargo run`.
fn launcher(line: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ralloc"));
    command.args(line).stdin(Stdio::null());
    command
        .env_remove("LD_PRELOAD")
        .env_remove("RALLOC_OPTIONS");
    command
}

fn run(program: &str, part: &str) -> Output {
    let program = Programs::get().path(program);
    launcher(&["--leaks", program.to_str().unwrap(), part])
        .output()
        .unwrap()
}

/// A row of the table.
#[derive(Debug)]
struct Group {
    is_lost: bool,
    bytes: usize,
    blocks: usize,
    size: usize,
    sites: Vec<String>,
}

/// What a report says.
#[derive(Debug)]
struct Report {
    /// Bytes and blocks.
    lost: (usize, usize),
    reachable: (usize, usize),
    groups: Vec<Group>,
}

impl Report {
    fn of(program: &str, part: &str) -> Self {
        let output = run(program, part);
        assert!(output.status.success(), "{output:?}");
        Self::parse(&text(&output.stderr))
    }

    fn parse(report: &str) -> Self {
        let mut found = Self {
            lost: (0, 0),
            reachable: (0, 0),
            groups: Vec::new(),
        };
        for line in report.lines() {
            let line = line
                .strip_prefix("ralloc: ")
                .unwrap_or_else(|| panic!("{report}"));
            let words: Vec<&str> = line.split_whitespace().collect();
            let number = |word: &str| word.parse::<usize>().unwrap_or_else(|_| panic!("{line}"));
            match words[..] {
                [kind, bytes, "bytes", "in", blocks, "blocks"] => {
                    let totals = (number(bytes), number(blocks));
                    match kind {
                        "lost:" => found.lost = totals,
                        "reachable:" => found.reachable = totals,
                        _ => panic!("{line}"),
                    }
                }
                ["bytes", "blocks", "size"] => {}
                ["at" | "by", ..] => {
                    let group = found.groups.last_mut().expect("a group has the call site");
                    group.sites.push(words[1..].join(" "));
                }
                [kind, bytes, blocks, size] => found.groups.push(Group {
                    is_lost: kind == "lost",
                    bytes: number(bytes),
                    blocks: number(blocks),
                    size: number(size),
                    sites: Vec::new(),
                }),
                _ => panic!("{line}"),
            }
        }
        found.check();
        found
    }

    /// The totals are those of the groups, of which those that take up most come first.
    fn check(&self) {
        for (is_lost, total) in [(true, self.lost), (false, self.reachable)] {
            let groups = || self.groups.iter().filter(|group| group.is_lost == is_lost);
            let sum = groups().fold((0, 0), |sum, group| {
                (sum.0 + group.bytes, sum.1 + group.blocks)
            });
            assert_eq!(sum, total, "{self:#?}");
            assert!(
                groups().is_sorted_by_key(|group| usize::MAX - group.bytes),
                "{self:#?}"
            );
        }
        assert!(
            self.groups.is_sorted_by_key(|group| !group.is_lost),
            "lost ones first"
        );
        assert!(
            self.groups
                .iter()
                .all(|group| group.bytes == group.blocks * group.size)
        );
    }

    /// Sizes of the blocks of a kind that the program itself has asked for.
    fn sizes(&self, is_lost: bool) -> Vec<usize> {
        let own = self.groups.iter().filter(|group| {
            group.is_lost == is_lost && group.sites.iter().any(|site| site.starts_with("main ("))
        });
        let mut sizes: Vec<usize> = own
            .flat_map(|group| vec![group.size; group.blocks])
            .collect();
        sizes.sort_unstable();
        sizes
    }
}

#[test]
fn blocks_are_grouped_by_size_and_call_site() {
    let report = Report::of("leaks", "groups");
    assert_eq!(report.lost, (456, 10), "{report:#?}");
    let lost = report.groups.iter().filter(|group| group.is_lost);
    let found: Vec<_> = lost
        .map(|group| (group.bytes, group.blocks, group.size, &*group.sites[0]))
        .collect();
    let starts = [
        (200, 2, 100, "here ("),
        (160, 5, 32, "here ("),
        (96, 3, 32, "there ("),
    ];
    assert_eq!(found.len(), starts.len(), "{report:#?}");
    for (found, wanted) in found.iter().zip(starts) {
        assert_eq!((found.0, found.1, found.2), (wanted.0, wanted.1, wanted.2));
        assert!(
            found.3.starts_with(wanted.3) && found.3.contains("leaks.c:"),
            "{report:#?}"
        );
    }
    for group in report.groups.iter().filter(|group| group.is_lost) {
        assert!(group.sites[1].starts_with("groups ("), "{report:#?}");
        assert!(group.sites[2].starts_with("main ("), "{report:#?}");
    }
}

/// Several times: where the kernel puts the program's memory is its choice, and differs.
#[test]
fn pointers_are_found_wherever_they_are() {
    for _ in 0..5 {
        let report = Report::of("leaks", "reach");
        // Of the lost ones, one has a pointer right behind its end, and of the others one leads to the other.
        assert_eq!(report.sizes(true), [1004, 2001, 2002], "{report:#?}");
        let reachable = [0, 1001, 1002, 1003, 1005, 1006, 1007];
        assert_eq!(report.sizes(false), reachable, "{report:#?}");
        assert_eq!(report.lost, (1004 + 2001 + 2002, 3), "{report:#?}");
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn pointers_in_registers_are_found() {
    let report = Report::of("leaks", "registers");
    assert_eq!(report.lost, (0, 0), "{report:#?}");
    assert_eq!(
        report.sizes(false),
        [1001, 1002, 1003, 1004, 1005],
        "{report:#?}"
    );
}

#[test]
fn blocks_of_every_kind_are_in_the_report() {
    let report = Report::of("leaks", "kinds");
    let lost = [12, 300, 2222, 8192, 100_001, 300_001, 3_000_001, 5_000_001];
    assert_eq!(report.sizes(true), lost, "{report:#?}");
    assert_eq!(report.sizes(false), [400_001, 6_000_001], "{report:#?}");
    assert_eq!(report.lost, (lost.iter().sum(), lost.len()), "{report:#?}");
}

#[test]
fn new_is_named_as_the_program_has_it() {
    let report = Report::of("cxx", "");
    assert_eq!(report.sizes(true), [100, 640, 648], "{report:#?}");
    // The pointer that the program has kept leads behind the number of the elements.
    assert_eq!(report.sizes(false), [328], "{report:#?}");
    for name in ["farm::grow", "farm::build", "farm::forget", "farm::buy"] {
        let names = |group: &Group| group.sites[0].starts_with(name);
        assert!(report.groups.iter().any(names), "{name}: {report:#?}");
    }
}

#[test]
fn the_stack_of_another_thread_is_searched() {
    let report = Report::of("leaks", "stack");
    let own = report.groups.iter().find(|group| group.size == 1234);
    assert!(own.is_some_and(|group| !group.is_lost), "{report:#?}");
    assert_eq!(report.lost, (0, 0), "{report:#?}");
}

#[test]
fn threads_that_go_on_do_not_disturb_the_report() {
    for _ in 0..5 {
        let output = run("leaks", "threads");
        assert_eq!(output.status.code(), Some(7), "{output:?}");
        let report = Report::parse(&text(&output.stderr));
        assert!(report.sizes(true).contains(&4321), "{report:#?}");
    }
}

#[test]
fn a_child_of_fork_reports_for_itself() {
    let output = run("leaks", "child");
    let said = text(&output.stderr);
    let totals: Vec<_> = said
        .lines()
        .filter(|line| line.contains(" lost: "))
        .collect();
    let wanted = [
        "ralloc: lost: 23 bytes in 2 blocks",
        "ralloc: lost: 11 bytes in 1 blocks",
    ];
    assert_eq!(totals, wanted, "{said}");
}

#[test]
fn of_a_stripped_program_there_are_files_and_offsets() {
    let report = Report::of("stripped", "groups");
    assert_eq!(report.lost, (456, 10), "{report:#?}");
    let file = format!("{}+0x", Programs::get().path("stripped").display());
    for group in report.groups.iter().filter(|group| group.is_lost) {
        assert!(group.sites[0].starts_with(&file), "{report:#?}");
    }
}

#[test]
fn without_the_launcher_there_are_files_and_offsets() {
    let program = Programs::get().path("leaks");
    let mut command = launcher(&[program.to_str().unwrap(), "groups"]);
    let output = command.env("RALLOC_OPTIONS", "leaks").output().unwrap();
    let report = Report::parse(&text(&output.stderr));
    assert_eq!(report.lost, (456, 10), "{report:#?}");
    let file = format!("{}+0x", program.display());
    assert!(report.groups[0].sites[0].starts_with(&file), "{report:#?}");
}

#[test]
fn the_report_goes_to_the_file_that_is_named() {
    let program = Programs::get().path("leaks");
    let shell = format!("exec {} groups 5>&1 >&2", program.display());
    let mut command = launcher(&["sh", "-c", &shell]);
    let output = command
        .env("RALLOC_OPTIONS", "leaks-to=5")
        .output()
        .unwrap();
    assert_eq!(text(&output.stderr), "");
    assert_eq!(Report::parse(&text(&output.stdout)).lost, (456, 10));
    // Nobody is told, and nothing goes wrong, where there is no such file.
    let mut command = launcher(&[program.to_str().unwrap(), "status"]);
    let output = command
        .env("RALLOC_OPTIONS", "leaks-to=77")
        .output()
        .unwrap();
    assert_eq!(
        (output.status.code(), text(&output.stderr)),
        (Some(42), String::new())
    );
}

#[test]
fn the_program_s_status_is_handed_on() {
    let output = run("leaks", "status");
    assert_eq!(output.status.code(), Some(42), "{output:?}");
    assert_eq!(Report::parse(&text(&output.stderr)).lost, (10, 1));
}

#[test]
fn a_program_that_does_not_exit_by_itself_leaves_no_report() {
    let none = "ralloc: the program has left no report: it did not exit by itself\n";
    for (part, status) in [("_exit", 3), ("killed", 128 + 15)] {
        let output = run("leaks", part);
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        assert_eq!(text(&output.stderr), none);
    }
}

#[test]
fn statistics_can_be_had_as_well() {
    let program = Programs::get().path("leaks");
    let line = ["--stats", "--leaks", program.to_str().unwrap(), "groups"];
    let said = text(&launcher(&line).output().unwrap().stderr);
    assert!(said.contains("lost: 456 bytes in 10 blocks"), "{said}");
    assert!(
        said.lines().any(|line| !line.starts_with("ralloc: ")),
        "{said}"
    );
}

#[test]
fn what_cannot_be_is_refused() {
    let refused = |line: &[&str], status, reason: &str| {
        let output = launcher(line).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        let said = text(&output.stderr);
        assert!(
            said.starts_with("ralloc: ") && said.contains(reason),
            "{said}"
        );
        assert_eq!(
            (said.lines().count(), text(&output.stdout)),
            (1, String::new()),
            "{said}"
        );
    };
    refused(&["--leaks", "no-such-program"], 127, "no such program");
    refused(&["--leaks", "/"], 126, "is a directory");
    refused(&["--leak", "ls"], 2, "--help");
    refused(&["--leaks=all", "ls"], 2, "--help");
    refused(&["--leaks", "--secure", "ls"], 2, "exclude each other");
}

#[test]
fn the_options_are_explained() {
    let output = launcher(&["--help"]).output().unwrap();
    assert!(output.status.success());
    let help = text(&output.stdout);
    for word in [
        "--leaks",
        "--secure",
        "--stats",
        "--lib",
        "--version",
        "leaks-to=FD",
        "127",
    ] {
        assert!(help.contains(word), "{word}: {help}");
    }
    // Without a program the same goes to standard error, as an error.
    let output = launcher(&["--leaks"]).output().unwrap();
    assert_eq!(
        (output.status.code(), text(&output.stderr)),
        (Some(2), help)
    );
}
