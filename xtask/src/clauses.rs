//! The table of clauses in `libralloc/README.md`: what each program of `tests/c` holds the library to.
//!
//! A program says so in its header, in any number of lines:
//!
//! ```text
//! // clause: C 7.22.3.2 | a product that overflows is refused
//! ```
//!
//! The first word is the group, one of [`GROUPS`]; what follows up to the bar is the section.

use crate::{
    c_program::Test,
    cargo,
    report::{Outcome, Report},
};
use anyhow::{Context, Result, ensure};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    process::ExitCode,
};

const FILE: &str = "libralloc/README.md";
const BEGIN: &str = "<!-- clauses: written by `cargo xtask clauses` -->\n";
const END: &str = "<!-- end of clauses -->\n";

/// The groups in the order of the table, and their titles.
const GROUPS: [(&str, &str); 7] = [
    (
        "C",
        "ISO C, by the sections of C17 (C23 where it is younger)",
    ),
    ("POSIX", "POSIX.1-2024"),
    ("glibc", "The GNU C library's manual"),
    ("BSD", "BSD manual pages"),
    ("C++", "ISO C++20"),
    ("life", "Life in a process"),
    ("link", "Ways to be linked"),
];

/// Writes the table.
pub(crate) fn write() -> Result<ExitCode> {
    let (before, _, after) = file()?;
    let table = table(&Test::all()?)?;
    fs::write(
        cargo::root().join(FILE),
        format!("{before}{BEGIN}{table}{END}{after}"),
    )?;
    println!("{FILE}: {} rows", rows(&table));
    Ok(ExitCode::SUCCESS)
}

/// Whether the table is what the programs say.
pub(crate) fn check(tests: &[Test], report: &mut Report) -> Result<()> {
    let (_, found, _) = file()?;
    let wanted = table(tests)?;
    let outcome = match found == wanted {
        true => Outcome::Passed,
        false => Outcome::failed(
            "the programs say otherwise; `cargo xtask clauses` writes it anew",
            difference(&found, &wanted),
        ),
    };
    report.add(&format!("table of clauses in {FILE}"), None, &outcome);
    check_system_calls(report)
}

/// The program that has the list of system calls enforced.
const ENFORCED: &str = "tests/c/life/system_calls.c";

/// Whether the list of system calls is the one that the program enforces.
fn check_system_calls(report: &mut Report) -> Result<()> {
    let readme = fs::read_to_string(cargo::root().join(FILE))?;
    let program = fs::read_to_string(cargo::root().join(ENFORCED))?;
    let (listed, enforced) = (listed_calls(&readme), enforced_calls(&program));
    let outcome = match listed == enforced && !listed.is_empty() {
        true => Outcome::Passed,
        false => Outcome::failed(
            format!("{FILE} and {ENFORCED} have different lists"),
            format!("{listed:?}\n{enforced:?}"),
        ),
    };
    report.add(&format!("system calls in {FILE}"), None, &outcome);
    Ok(())
}

/// The names in the first column of the table below the heading, but for the rows about options.
fn listed_calls(readme: &str) -> BTreeSet<String> {
    let section = readme.split("\n## System calls\n").nth(1).unwrap_or("");
    let section = section.split("\n## ").next().unwrap_or("");
    let rows = section
        .lines()
        .filter(|line| line.starts_with("| `") && !line.contains("| with "));
    let cells = rows.filter_map(|row| row.split('|').nth(1));
    let names = cells.flat_map(str::split_whitespace);
    names.map(|name| name.replace('`', "")).collect()
}

/// The names in the arrays of the program that are the library's.
fn enforced_calls(program: &str) -> BTreeSet<String> {
    let list = program.split("// The list of the library.").nth(1);
    let list = list.and_then(|rest| rest.split("\n\n").next());
    let words = list
        .unwrap_or("")
        .split(|c: char| !c.is_alphanumeric() && c != '_');
    let names = words.filter_map(|word| word.strip_prefix("SYS_"));
    names.map(|name| name.replace("_here", "")).collect()
}

/// What is before the table, the table, and what is behind.
fn file() -> Result<(String, String, String)> {
    let text = fs::read_to_string(cargo::root().join(FILE))?;
    let marks = || format!("{FILE} needs the lines {BEGIN} and {END}");
    let (before, rest) = text.split_once(BEGIN).with_context(marks)?;
    let (table, after) = rest.split_once(END).with_context(marks)?;
    Ok((before.to_owned(), table.to_owned(), after.to_owned()))
}

fn table(tests: &[Test]) -> Result<String> {
    let mut groups: BTreeMap<usize, Vec<[String; 4]>> = BTreeMap::new();
    for test in tests {
        for clause in test.header.all("clause") {
            let (group, row) = row(test, clause)?;
            groups.entry(group).or_default().push(row);
        }
    }
    let mut text = String::new();
    for (group, mut rows) in groups {
        rows.sort();
        write!(
            text,
            "\n**{}**\n\n| section | clause | program | control on the system's malloc |\n|---|---|---|---|\n",
            GROUPS[group].1
        )?;
        for [section, clause, name, control] in rows {
            writeln!(text, "| {section} | {clause} | `{name}` | {control} |")?;
        }
    }
    text.push('\n');
    Ok(text)
}

fn row(test: &Test, clause: &str) -> Result<(usize, [String; 4])> {
    let (section, clause) = clause
        .split_once('|')
        .with_context(|| format!("{}: clause: GROUP SECTION | TEXT", test.name))?;
    let (word, section) = section
        .trim()
        .split_once(' ')
        .unwrap_or((section.trim(), ""));
    let group = GROUPS.iter().position(|(name, _)| *name == word);
    let group = group.with_context(|| format!("{}: no group of clauses {word}", test.name))?;
    ensure!(!clause.trim().is_empty(), "{}: an empty clause", test.name);
    let control = match test.header.with_reasons("control").next() {
        None => "passes".to_owned(),
        Some(("skip", reason)) => format!("not run: {reason}"),
        Some((elsewhere, _)) => {
            format!(
                "passes, but not on {}",
                elsewhere.trim_start_matches("skip ")
            )
        }
    };
    let cells = [section.trim(), clause.trim(), &test.name, &control];
    Ok((group, cells.map(str::to_owned)))
}

fn rows(table: &str) -> usize {
    table
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| section "))
        .count()
}

/// The lines that only one of the two has.
fn difference(found: &str, wanted: &str) -> String {
    let only = |mark: char, these: &str, those: &str| {
        let lines = these
            .lines()
            .filter(|line| !those.lines().any(|other| other == *line));
        lines.fold(String::new(), |text, line| {
            text + &format!("{mark} {line}\n")
        })
    };
    only('-', found, wanted) + &only('+', wanted, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_shows_the_lines_of_one_side() {
        assert_eq!(difference("a\nb\n", "b\nc\n"), "- a\n+ c\n");
        assert_eq!(difference("a\n", "a\n"), "");
    }

    #[test]
    fn system_calls_are_found_in_both() {
        let readme = "x\n## System calls\n\n| a | b |\n|---|---|\n| `mmap` `brk` | memory |\n\
            | `open` | with an option |\n\n## Next\n| `x` | y |\n";
        let program = "// The list of the library.\nint a[] = {SYS_mmap_here, SYS_brk};\n\nint b = SYS_exit;\n";
        assert_eq!(listed_calls(readme), enforced_calls(program));
        assert_eq!(listed_calls(readme).len(), 2);
    }

    #[test]
    fn every_group_of_the_programs_is_known() {
        let tests = Test::all().unwrap();
        assert!(rows(&table(&tests).unwrap()) > 40);
    }
}
