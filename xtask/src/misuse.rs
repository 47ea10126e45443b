//! The programs of `tests/misuse`, each wrong in one way: as a tier, which holds the security build to every fatal line that it
//! promises and the default build to those of its own; and as a command, which runs them on other allocators as well, measures what
//! security costs, and writes the tables in `tests/misuse/README.md`.

mod case;
mod compare;
mod run;
mod table;

pub(crate) use compare::{Comparison, compare};

use self::{
    case::{Case, Program, Wanted},
    run::{End, Subject},
};
use crate::{
    cargo,
    header::Header,
    needs::{self, Needs},
    pool, process,
    report::{Outcome, Report},
    tier::Request,
};
use anyhow::{Context, Result, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// For a build of the whole allocator, on a machine that does other things as well.
const BUILD: Duration = Duration::from_secs(1800);

/// For a program that does nothing.
const MINUTE: Duration = Duration::from_secs(60);

/// What a program is to end like on an allocator; `None` if nothing is promised.
type Promise = fn(&Case) -> Option<&Wanted>;

/// One end to be judged.
struct Trial<'a> {
    case: &'a Case,
    control: bool,
    subject: &'a Subject,
    promise: Promise,
}

pub(crate) fn run(request: &Request, report: &mut Report) -> Result<()> {
    if let Some(reason) = tools()? {
        report.add("all", None, &Outcome::skipped(reason));
        return Ok(());
    }
    let mut programs = Program::all()?;
    programs.retain(|program| request.wants(&program.name));
    let folder = run::scratch()?;
    run::compile(&programs, folder.path())?;
    let subjects = subjects(request, folder.path(), report)?;
    if request.wants("options")
        && let Some((secure, _)) = subjects.iter().find(|(one, _)| one.name == "ralloc-secure")
    {
        let start = Instant::now();
        let outcome = options(secure)?;
        report.add("options", Some(start.elapsed()), &outcome);
    }
    for program in &programs {
        let mut variants: Vec<&str> = Vec::new();
        for case in &program.cases {
            if !variants.contains(&case.variant.as_str()) {
                variants.push(&case.variant);
            }
        }
        for variant in variants {
            let start = Instant::now();
            let outcome = judge(request, program, variant, &subjects, folder.path());
            let outcome = outcome.unwrap_or_else(|error| Outcome::failed(format!("{error:#}"), ""));
            let name = format!("{} {variant}", program.name);
            report.add(&name, Some(start.elapsed()), &outcome);
        }
    }
    Ok(())
}

/// Installs what the programs are compiled with; says what is missing still.
fn tools() -> Result<Option<String>> {
    let header = "//needs: cc c++\n//packages: gcc g++ libc6-dev";
    let tools = Needs::of(&Header::parse(header, "//"));
    needs::install([&tools])?;
    Ok(tools.missing())
}

/// Whom the tests run on, and what each has promised.
fn subjects(
    request: &Request,
    folder: &Path,
    report: &mut Report,
) -> Result<Vec<(Subject, Promise)>> {
    let mut all: Vec<(Subject, Promise)> = Vec::new();
    match secure_library(request)? {
        Some(library) => all.push((ours("ralloc-secure", library, folder)?, |case| {
            Some(&case.secure)
        })),
        None => report.add(
            "the security build",
            None,
            &Outcome::skipped("libralloc has no feature `security`"),
        ),
    }
    if request.is_whole {
        let default = cargo::build_library()?;
        all.push((ours("ralloc", default, folder)?, |case| {
            Some(&case.default).filter(|wanted| wanted.is_promised())
        }));
        all.push((run::unchecked(folder)?, |_| None));
    }
    Ok(all)
}

/// A copy of a library of ours: a build that goes on meanwhile must not change it.
fn ours(name: &str, library: PathBuf, folder: &Path) -> Result<Subject> {
    let copy = folder.join(format!("{name}.so"));
    fs::copy(&library, &copy).with_context(|| library.display().to_string())?;
    Ok(Subject {
        name: name.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        preload: Some(copy),
        environment: Vec::new(),
    })
}

/// The security build, built or as the user has named it.
fn secure_library(request: &Request) -> Result<Option<PathBuf>> {
    if let Some(library) = &request.library {
        return Ok(Some(library.clone()));
    }
    let manifest = fs::read_to_string(cargo::root().join("libralloc/Cargo.toml"))?;
    if !manifest.lines().any(|line| line.starts_with("security =")) {
        return Ok(None);
    }
    // Beside the default build, which has the same name.
    let target = cargo::target()?.join("security");
    let words = ["build", "--release", "--package", "libralloc", "--lib"];
    let mut build = cargo::command(&words);
    build.args(["--features", "security", "--target-dir"]);
    let ended = process::run(build.arg(&target), BUILD)?;
    ensure!(
        ended.succeeded(),
        "the security build failed: {}\n{}",
        ended.describe(),
        ended.output
    );
    Ok(Some(target.join("release/libralloc.so")))
}

/// What the security build says to the options that have nobody to watch in it, and to another.
const ANSWERS: [(&str, &str); 5] = [
    ("leaks", UNWATCHED),
    ("log", UNWATCHED),
    ("hooks=on", UNWATCHED),
    ("leaks,purge=eager,log", UNWATCHED),
    ("purge=eager", ""),
];
const UNWATCHED: &str =
    "ralloc: the security build watches by itself: leaks, log and hooks=on do nothing\n";

/// Whoever asks the security build for what it does not have is told so, once, and the program goes on.
fn options(secure: &Subject) -> Result<Outcome> {
    for (options, answer) in ANSWERS {
        let mut program = Command::new("sh");
        program.args(["-c", "exec true"]).env_clear();
        program.env("RALLOC_OPTIONS", options);
        if let Some(library) = &secure.preload {
            program.env("LD_PRELOAD", library);
        }
        let ended = process::run(&mut program, MINUTE)?;
        // Two programs, one after the other.
        let wanted = answer.repeat(2);
        if !ended.succeeded() || ended.output != wanted {
            let found = format!("RALLOC_OPTIONS={options}: {}", ended.describe());
            return Ok(Outcome::failed(found, ended.output));
        }
    }
    Ok(Outcome::Passed)
}

/// Runs the cases of a variant, each with its control.
fn judge(
    request: &Request,
    program: &Program,
    variant: &str,
    subjects: &[(Subject, Promise)],
    folder: &Path,
) -> Result<Outcome> {
    let chosen =
        |case: &&Case| case.variant == variant && (request.is_whole || case.is_representative);
    let mut trials = Vec::new();
    for case in program.cases.iter().filter(chosen) {
        for (subject, promise) in subjects {
            // What is not promised may take for ever.
            let is_judged = subject.name == "unchecked" || promise(case).is_some();
            for control in [true, false] {
                if !control && !is_judged {
                    continue;
                }
                trials.push(Trial {
                    case,
                    control,
                    subject,
                    promise: *promise,
                });
            }
        }
    }
    let mut wrong = Vec::new();
    let work =
        |trial: &Trial<'_>| run::run(folder, program, trial.case, trial.control, trial.subject);
    pool::each(&trials, work, |trial, end| {
        let found = match end {
            Ok(end) => complaint(trial, &end),
            Err(error) => Some(format!("{error:#}")),
        };
        if let Some(found) = found {
            let Trial { case, subject, .. } = trial;
            wrong.push(format!("{} on {}: {found}", case.name(), subject.name));
        }
    });
    wrong.sort();
    Ok(match wrong.first() {
        None => Outcome::Passed,
        Some(first) => Outcome::failed(first.clone(), wrong.join("\n")),
    })
}

/// What is wrong with an end.
fn complaint(trial: &Trial<'_>, end: &End) -> Option<String> {
    if trial.control {
        // An allocator that cannot be misused so, cannot be in the control either.
        let is_right = matches!(end, End::Control | End::NotApplicable);
        return (!is_right).then(|| format!("the control: {}", end.describe()));
    }
    if trial.subject.name == "unchecked" {
        let is_right = *end == End::Unnoticed;
        return (!is_right).then(|| format!("which notices nothing: {}", end.describe()));
    }
    let wanted = (trial.promise)(trial.case)?;
    (!wanted.is(end)).then(|| format!("wanted {}, but {}", wanted.text(), end.describe()))
}
