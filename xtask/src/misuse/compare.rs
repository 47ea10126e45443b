//! `cargo xtask misuse`: the same programs on ralloc and on its peers, and what security costs each.

use super::{
    case::{Case, Program},
    ours,
    run::{self, End, Subject},
    secure_library, table, tools,
};
use crate::{cargo, pool, process, tier::Request};
use anyhow::{Context, Result, bail, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

const README: &str = "tests/misuse/README.md";

/// Which tables to make.
#[derive(clap::Args)]
pub(crate) struct Comparison {
    /// Only programs whose name contains this.
    #[arg(conflicts_with = "write")]
    filter: Option<String>,
    /// Write the tables to `tests/misuse/README.md`.
    #[arg(long)]
    write: bool,
    /// Only this table.
    #[arg(long, value_name = "TABLE")]
    only: Option<Part>,
    /// How often each program runs on each allocator: some notice by luck.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// How often each workload of the bench runs, for the table of cost.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Take this for the security build.
    #[arg(long, hide = true, value_name = "PATH")]
    lib: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Part {
    /// Who notices what.
    Detection,
    /// Time and memory.
    Cost,
}

/// The peers of the bench that have such a build, and what has each check as much as it can without being built anew.
const PEERS: [(&str, &[(&str, &str)]); 5] = [
    ("mimalloc3-secure", &[("MIMALLOC_SHOW_ERRORS", "1")]),
    ("mimalloc2-secure", &[("MIMALLOC_SHOW_ERRORS", "1")]),
    ("snmalloc-checks", &[]),
    ("scudo", &[("SCUDO_OPTIONS", "dealloc_type_mismatch=true")]),
    ("glibc-check", &[("MALLOC_CHECK_", "3")]),
];

/// A case and how it ended on each allocator, each time.
pub(super) struct Row<'a> {
    pub(super) program: &'a Program,
    pub(super) case: &'a Case,
    pub(super) ends: Vec<Vec<End>>,
}

pub(crate) fn compare(comparison: &Comparison) -> Result<ExitCode> {
    process::begin()?;
    if let Some(reason) = tools()? {
        bail!(reason);
    }
    let request = Request {
        filter: comparison.filter.clone(),
        library: comparison.lib.clone(),
        is_whole: true,
    };
    let wants = |part| comparison.only.is_none_or(|only| only == part);
    let folder = run::scratch()?;
    let secure = secure_library(&request)?;
    let default = cargo::build_library()?;
    if wants(Part::Detection) {
        let text = detection(
            comparison,
            &request,
            secure.as_deref(),
            &default,
            folder.path(),
        )?;
        publish(comparison, "detection", &text)?;
    }
    if wants(Part::Cost) {
        let secure =
            secure.context("libralloc has no feature `security`, whose cost there would be")?;
        publish(comparison, "cost", &cost(comparison, &default, &secure)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs every program on every allocator.
fn detection(
    comparison: &Comparison,
    request: &Request,
    secure: Option<&Path>,
    default: &Path,
    folder: &Path,
) -> Result<String> {
    let mut programs = Program::all()?;
    programs.retain(|program| request.wants(&program.name));
    run::compile(&programs, folder)?;
    let mut subjects = Vec::new();
    if let Some(library) = secure {
        subjects.push(ours("ralloc-secure", library.to_owned(), folder)?);
    }
    subjects.push(ours("ralloc", default.to_owned(), folder)?);
    let (peers, absent) = peers()?;
    subjects.extend(peers);
    let cases: Vec<_> = programs
        .iter()
        .flat_map(|program| program.cases.iter().map(move |case| (program, case)))
        .collect();
    let mut rows = Vec::new();
    let work = |&(program, case): &(&Program, &Case)| -> Result<Vec<Vec<End>>> {
        let times = |subject| times(folder, program, case, subject, comparison.runs);
        subjects.iter().map(times).collect()
    };
    pool::each(&cases, work, |&(program, case), ends| {
        eprintln!("{} {}", program.name, case.name());
        rows.push((program, case, ends));
    });
    let place = |case: &Case| {
        cases
            .iter()
            .position(|(_, other)| std::ptr::eq(*other, case))
    };
    rows.sort_by_key(|(_, case, _)| place(case));
    let rows = rows.into_iter().map(|(program, case, ends)| {
        Ok(Row {
            program,
            case,
            ends: ends?,
        })
    });
    let rows = rows.collect::<Result<Vec<_>>>()?;
    Ok(table::detection(&rows, &subjects, &absent, comparison.runs))
}

/// The ends of a case on an allocator; what hangs once is not tried again.
fn times(
    folder: &Path,
    program: &Program,
    case: &Case,
    subject: &Subject,
    runs: u32,
) -> Result<Vec<End>> {
    let control = run::run(folder, program, case, true, subject)?;
    if control == End::NotApplicable {
        return Ok(vec![control]);
    }
    if control != End::Control {
        let wrong = format!("the control: {}", control.describe());
        return Ok(vec![End::WentWrong(wrong)]);
    }
    let mut ends = Vec::new();
    for _ in 0..runs {
        let end = run::run(folder, program, case, false, subject)?;
        ends.push(end.clone());
        if end == End::Hung {
            break;
        }
    }
    Ok(ends)
}

/// The system's own malloc and all peers that can be had, and a line about each that cannot.
fn peers() -> Result<(Vec<Subject>, Vec<String>)> {
    let names: Vec<_> = PEERS.iter().map(|(name, _)| *name).collect();
    let words = [
        "run",
        "--quiet",
        "--release",
        "--package",
        "bench",
        "--bin",
        "bench",
        "--",
    ];
    let mut command = cargo::command(&words);
    // The system's malloc first, for its version.
    let names = format!("glibc,{}", names.join(","));
    command.arg("--provide").arg(names).stdin(Stdio::null());
    let output = command.output()?;
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        output.status.success(),
        "the peers cannot be had:\n{complaints}"
    );
    let mut subjects = Vec::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        let fields: Vec<_> = line.split('\t').collect();
        let [name, version, path] = fields[..] else {
            bail!("the bench says {line:?}");
        };
        let environment = PEERS.iter().find(|(peer, _)| *peer == name);
        subjects.push(Subject {
            name: name.to_owned(),
            version: version.to_owned(),
            preload: (!path.is_empty()).then(|| PathBuf::from(path)),
            environment: environment.map_or(Vec::new(), |(_, environment)| environment.to_vec()),
        });
    }
    // What the details of a failure name is of this machine.
    let absent = complaints
        .lines()
        .filter(|line| line.starts_with("skipping "));
    let absent = absent.map(|line| line.split(':').next().unwrap_or(line).to_owned());
    Ok((subjects, absent.collect()))
}

/// Has the bench compare the two builds.
fn cost(comparison: &Comparison, default: &Path, secure: &Path) -> Result<String> {
    let words = [
        "run",
        "--quiet",
        "--release",
        "--package",
        "bench",
        "--bin",
        "bench",
        "--",
    ];
    let mut command: Command = cargo::command(&words);
    command
        .arg("--ralloc")
        .arg(default)
        .arg("--cost")
        .arg(secure);
    command.arg("--rounds").arg(comparison.rounds.to_string());
    let output = command
        .stderr(Stdio::inherit())
        .stdin(Stdio::null())
        .output()?;
    ensure!(output.status.success(), "the bench failed");
    Ok(String::from_utf8(output.stdout)?)
}

/// Prints a table, and puts it in the place of the last where that is asked for.
fn publish(comparison: &Comparison, name: &str, text: &str) -> Result<()> {
    println!("{text}");
    if !comparison.write {
        return Ok(());
    }
    let file = cargo::root().join(README);
    let old = fs::read_to_string(&file)?;
    let begin = format!("<!-- {name}: written by `cargo xtask misuse --write` -->\n");
    let end = format!("<!-- end of {name} -->\n");
    let marks = || format!("{README} needs the lines {begin} and {end}");
    let (before, rest) = old.split_once(&begin).with_context(marks)?;
    let (_, after) = rest.split_once(&end).with_context(marks)?;
    fs::write(&file, format!("{before}{begin}\n{text}\n{end}{after}"))?;
    println!("{README}: {name} written");
    Ok(())
}
