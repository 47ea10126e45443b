//! Real programs on the library: the scripts of `tests/programs`, each of which checks a result, and those of
//! `tests/suites`, each of which runs a library's own tests with and without ours.
//!
//! A script is one test. It reads the library's path from RALLOC_LIB, passes with exit status 0, and
//! says with 77 that it lacks something. The comment at its top may hold:
//!
//! - `timeout: SECONDS` (180);
//! - `runs: 2`: to be run twice, because threads take another turn each time;
//! - `ci: yes`: a suite that the tier runs, too;
//! - `needs:`, `check:`, `packages:`, as in [`Needs`].

use crate::{
    cargo,
    header::Header,
    library::{self, Library},
    needs::{self, Needs},
    pool, process,
    report::{Outcome, Report},
    tier::Request,
};
use anyhow::{Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

const LIMIT: Duration = Duration::from_secs(180);
/// The exit status of a test that lacks something, as automake has it.
const LACKING: i32 = 77;

struct Test {
    name: String,
    script: PathBuf,
    limit: Duration,
    runs: u32,
    ci: bool,
    needs: Needs,
}

impl Test {
    /// Every script of a folder.
    fn all(folder: &str) -> Result<Vec<Self>> {
        let folder = cargo::root().join(folder);
        let mut scripts = cargo::files(&folder, "sh")?;
        // What the scripts share lies deeper.
        scripts.retain(|script| script.parent() == Some(&folder));
        scripts.into_iter().map(Self::read).collect()
    }

    fn read(script: PathBuf) -> Result<Self> {
        let header = Header::parse(&fs::read_to_string(&script)?, "#");
        let name = script.file_stem().unwrap_or_default().display().to_string();
        let runs = header
            .get("runs")
            .and_then(|value| value.parse().ok())
            .unwrap_or(1);
        Ok(Self {
            name,
            script,
            limit: header.limit(LIMIT),
            runs,
            ci: header.get("ci").is_some(),
            needs: Needs::of(&header),
        })
    }
}

/// The programs, and the suites that take little time.
pub(crate) fn run(request: &Request, report: &mut Report) -> Result<()> {
    let mut tests = Test::all("tests/programs")?;
    tests.extend(
        Test::all("tests/suites")?
            .into_iter()
            .filter(|test| test.ci),
    );
    tests.retain(|test| request.wants(&test.name));
    scripts(tests, request, report)
}

/// The suites of these names, or all; what they count is printed.
pub(crate) fn suites(names: &[String]) -> Result<ExitCode> {
    let mut tests = Test::all("tests/suites")?;
    if let Some(name) = names
        .iter()
        .find(|name| !tests.iter().any(|test| test.name == **name))
    {
        bail!("tests/suites has no {name}.sh");
    }
    tests.retain(|test| names.is_empty() || names.contains(&test.name));
    process::begin()?;
    let request = Request {
        filter: None,
        library: None,
        is_whole: true,
    };
    let mut report = Report::new();
    report.tier("suites", |report| scripts(tests, &request, report))?;
    Ok(report.close())
}

fn scripts(mut tests: Vec<Test>, request: &Request, report: &mut Report) -> Result<()> {
    // The longest first, so that none is left alone at the end.
    tests.sort_by_key(|test| std::cmp::Reverse(test.limit * test.runs));
    needs::install(tests.iter().map(|test| &test.needs))?;

    let library = Library::provide(request)?;
    if !library.serves(report)? {
        return Ok(());
    }
    let work = |test: &Test| {
        let start = Instant::now();
        let outcome = judge(test, &library)
            .unwrap_or_else(|error| Outcome::failed(format!("{error:#}"), String::new()));
        (start.elapsed(), outcome)
    };
    pool::each(&tests, work, |test, (took, outcome)| {
        report.add(&test.name, Some(took), &outcome);
    });
    Ok(())
}

fn judge(test: &Test, library: &Library) -> Result<Outcome> {
    if let Some(reason) = test.needs.missing() {
        return Ok(Outcome::skipped(reason));
    }
    for _ in 0..test.runs {
        match once(test, &library.shared, library)? {
            Outcome::Passed => {}
            other => return Ok(other),
        }
    }
    Ok(Outcome::Passed)
}

fn once(test: &Test, shared: &Path, library: &Library) -> Result<Outcome> {
    let scratch = library.scratch()?;
    let mut command = Command::new("bash");
    command.arg(&test.script).current_dir(scratch.path());
    command
        .env("RALLOC_LIB", shared)
        .env("TMPDIR", scratch.path())
        .env("RALLOC_CACHE", cargo::target()?.join("suites"))
        .env_remove("LD_PRELOAD");
    let ended = process::run(&mut command, test.limit)?;
    if let Some(failure) = library::not_preloaded(&ended) {
        return Ok(failure);
    }
    for line in ended.output.lines() {
        if let Some(figures) = line.strip_prefix("FIGURES ") {
            println!("      {}: {figures}", test.name);
        }
    }
    let code = ended.status.and_then(|status| status.code());
    Ok(match code {
        Some(0) => Outcome::Passed,
        Some(LACKING) => Outcome::skipped(ended.output.lines().last().unwrap_or("lacks something")),
        _ => Outcome::failed(ended.describe(), ended.output),
    })
}
