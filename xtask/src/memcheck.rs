//! What memcheck finds out about programs on the library, compared with what it finds out about them on the system's malloc.
//!
//! `tests/memcheck/faults.c` has a fault under each name: kinds, sizes and the program's own lines of all errors and leaks are
//! the same. Of real programs without a fault memcheck says nothing.

use crate::{
    cargo,
    library::Library,
    pool,
    process::{self, Ended},
    report::{Outcome, Report},
    tier::Request,
    valgrind::APART,
};
use anyhow::Result;
use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

const LIMIT: Duration = Duration::from_secs(120);

const FAULTS: &str = "faults.c";

/// Memcheck searches all of the memory that an allocator maps for pointers, free or not: what a lost block leads to is reachable
/// to it. It knows better of its own allocator only.
const SAME_BUT_FOR_REACHABLE: [&str; 1] = ["leak_list"];

/// Programs without a fault, that every Debian has.
const FAULTLESS: [(&str, &[&str]); 6] = [
    ("ls", &["-lR", "/usr/include"]),
    ("sort", &["-r", "/usr/share/common-licenses/GPL-3"]),
    (
        "perl",
        &[
            "-e",
            "my %h; $h{$_ % 97} .= $_ for 1..5000; print scalar keys %h",
        ],
    ),
    (
        "tar",
        &["-c", "-f", "/dev/null", "/usr/share/common-licenses"],
    ),
    (
        "bash",
        &[
            "-c",
            "a=(); for i in {1..300}; do a+=($i); done; echo ${#a[@]}",
        ],
    ),
    ("grep", &["-rc", "the", "/usr/share/common-licenses"]),
];

pub(crate) fn run(request: &Request, library: &Library, report: &mut Report) -> Result<()> {
    let scratch = library.scratch()?;
    let program = scratch.path().join("faults");
    let faults = compile(&program)?;
    let faults: Vec<_> = match &faults {
        Ok(names) => names.lines().filter(|name| request.wants(name)).collect(),
        Err(failure) => {
            report.add(FAULTS, None, failure);
            Vec::new()
        }
    };
    let judge = |name: &&str| timed(|| same(name, &program, library));
    pool::each(&faults, judge, |name, (took, outcome)| {
        report.add(&format!("faults/{name}"), Some(took), &outcome);
    });
    let faultless: Vec<_> = FAULTLESS
        .iter()
        .filter(|(name, _)| request.wants(name))
        .collect();
    let judge = |(name, words): &&(&str, &[&str])| timed(|| silent(name, words, library));
    pool::each(&faultless, judge, |(name, _), (took, outcome)| {
        report.add(&format!("faultless/{name}"), Some(took), &outcome);
    });
    Ok(())
}

fn timed(work: impl FnOnce() -> Result<Outcome>) -> (Duration, Outcome) {
    let start = Instant::now();
    let outcome = work().unwrap_or_else(|error| Outcome::failed(format!("{error:#}"), ""));
    (start.elapsed(), outcome)
}

/// The names of all faults, or why there are none.
fn compile(program: &Path) -> Result<std::result::Result<String, Outcome>> {
    let source = cargo::root().join("tests/memcheck").join(FAULTS);
    let flags = ["-std=gnu17", "-O1", "-g", "-w", "-pthread", "-o"];
    let mut command = Command::new("cc");
    command.args(flags).arg(program).arg(source);
    let ended = process::run(&mut command, LIMIT)?;
    if !ended.succeeded() {
        return Ok(Err(Outcome::failed("does not compile", ended.output)));
    }
    let ended = process::run(&mut Command::new(program), LIMIT)?;
    Ok(Ok(ended.output))
}

/// Memcheck, with the library preloaded or not.
fn memcheck(library: Option<&Library>) -> Command {
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--num-callers=40", "--error-exitcode=99"]);
    if let Some(library) = library {
        command.arg(APART).env("LD_PRELOAD", &library.shared);
    }
    command
}

fn same(name: &str, program: &Path, library: &Library) -> Result<Outcome> {
    let findings = |library| -> Result<(Ended, Vec<String>)> {
        let mut command = memcheck(library);
        command.args(["--leak-check=full", "--show-leak-kinds=all"]);
        let ended = process::run(command.arg(program).arg(name), LIMIT)?;
        let found = findings(&ended.output);
        Ok((ended, found))
    };
    let (theirs, mut expected) = findings(None)?;
    let (ours, mut found) = findings(Some(library))?;
    if expected.is_empty() {
        return Ok(Outcome::failed(
            "the test is wrong: there is no fault",
            theirs.output,
        ));
    }
    if SAME_BUT_FOR_REACHABLE.contains(&name) {
        expected.iter_mut().for_each(only_lost);
        expected.retain(|line| !line.contains("indirectly"));
        found.retain(|line| !line.contains("reachable"));
    }
    Ok(match found == expected {
        true => Outcome::Passed,
        false => {
            let output = format!(
                "on the system's malloc:\n{}\non the library:\n{}\n{}",
                expected.join("\n"),
                found.join("\n"),
                ours.output
            );
            Outcome::failed("memcheck finds something else on the library", output)
        }
    })
}

/// "160 (32 direct, 128 indirect) bytes" are 32 that were lost.
fn only_lost(line: &mut String) {
    if let Some((_, rest)) = line.split_once('(')
        && let Some((direct, rest)) = rest.split_once(" direct")
        && let Some((_, rest)) = rest.split_once(')')
    {
        *line = format!("{direct}{rest}");
    }
}

/// What memcheck says, without addresses and numbers of processes: one item for each heading, with the lines of `faults.c` that the
/// stack below it has.
fn findings(output: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in output.lines().filter_map(said) {
        if line.starts_with("Thread ") {
            continue;
        }
        let frame = ["at 0x", "by 0x"]
            .iter()
            .any(|start| line.starts_with(start));
        if !frame {
            let line = line.split(" in loss record").next().unwrap_or(line);
            let words = line.split(' ').filter(|word| !word.starts_with("0x"));
            found.push(words.collect::<Vec<_>>().join(" "));
        } else if let (Some((_, place)), Some(last)) = (line.split_once(": "), found.last_mut())
            && place.contains(&format!("({FAULTS}:"))
        {
            last.push_str(" / ");
            last.push_str(place);
        }
    }
    found
}

/// What stands behind the number of the process, unless it is nothing.
fn said(line: &str) -> Option<&str> {
    let (_, text) = line.strip_prefix("==")?.split_once("==")?;
    Some(text.trim()).filter(|text| !text.is_empty())
}

fn silent(name: &str, words: &[&str], library: &Library) -> Result<Outcome> {
    let mut command = memcheck(Some(library));
    let ended = process::run(command.arg(name).args(words), LIMIT)?;
    let is_silent = !ended.output.lines().any(|line| said(line).is_some());
    Ok(match ended.succeeded() && is_silent {
        true => Outcome::Passed,
        false => Outcome::failed(ended.describe(), ended.output),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_from_run_to_run_is_left_out() {
        let output = "==12== Invalid read of size 1\n==12==    at 0x48: inside (library.c:3)\n\
            ==12==    by 0x10A: fault (faults.c:63)\n==12==    by 0x10B: main (faults.c:230)\n\
            ==12==  Address 0x4c0 is 0 bytes after a block of size 10 alloc'd\n==12== \nits own words\n\
            ==12== 10 bytes in 1 blocks are definitely lost in loss record 1 of 2\n";
        assert_eq!(
            findings(output),
            [
                "Invalid read of size 1 / fault (faults.c:63) / main (faults.c:230)",
                "Address is 0 bytes after a block of size 10 alloc'd",
                "10 bytes in 1 blocks are definitely lost",
            ]
        );
    }

    #[test]
    fn bytes_that_lost_blocks_lead_to_are_left_out() {
        let mut line = "160 (32 direct, 128 indirect) bytes in 1 blocks are lost".to_owned();
        only_lost(&mut line);
        assert_eq!(line, "32 bytes in 1 blocks are lost");
    }
}
