//! The programs of `tests/rust-programs`, which stand on well-known crates, on ralloc as global allocator and on the
//! system's: as a tier, which compares what they find, and as a command, which compares what they take.

use crate::{
    cargo, process,
    report::{Outcome, Report},
    tier::Request,
};
use anyhow::{Context, Result, bail, ensure};
use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

const FOLDER: &str = "tests/rust-programs";
const README: &str = "tests/rust-programs/README.md";
const BEGIN: &str = "<!-- figures: written by `cargo xtask rust-programs --write` -->\n";
const END: &str = "<!-- end of figures -->\n";

/// For a build, on a machine that does other things as well.
const BUILD: Duration = Duration::from_secs(1800);
const LIMIT: Duration = Duration::from_secs(300);

/// What cargo is told for assertions in the allocator and nowhere else: the crates are built once.
const CHECKED: &str = "debug-assertions = true\noverflow-checks = true";

struct Program {
    name: &'static str,
    /// How often it does its work in a test, with assertions as well.
    short: u32,
    /// How often when it is measured.
    long: u32,
}

const PROGRAMS: [Program; 4] = [
    Program {
        name: "search",
        short: 1,
        long: 20,
    },
    Program {
        name: "echo",
        short: 100,
        long: 1000,
    },
    Program {
        name: "highlight",
        short: 1,
        long: 3,
    },
    Program {
        name: "json",
        short: 10,
        long: 60,
    },
];

/// Which programs to measure, and how often.
#[derive(clap::Args)]
pub(crate) struct Comparison {
    /// Only these programs.
    programs: Vec<String>,
    /// Runs of each program on each allocator, one after the other in turn.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Write the table to `tests/rust-programs/README.md`, too.
    #[arg(long, conflicts_with = "programs")]
    write: bool,
}

/// The programs as they are on each allocator.
struct Built {
    system: PathBuf,
    ralloc: PathBuf,
}

/// What a run took.
struct Run {
    found: String,
    time: Duration,
    /// In KiB.
    peak: u64,
}

/// Every program once on each allocator, and once on an allocator that checks itself.
pub(crate) fn run(request: &Request, report: &mut Report) -> Result<()> {
    let wanted = |program: &&Program| request.wants(program.name);
    if !PROGRAMS.iter().any(|program| wanted(&program)) {
        return Ok(());
    }
    let start = Instant::now();
    let built = build()?;
    let checked = build_checked(&built)?;
    report.add("build", Some(start.elapsed()), &Outcome::Passed);
    for program in PROGRAMS.iter().filter(wanted) {
        let system = once(&built.system, program.name, program.short)?;
        for (name, binary) in [("ralloc", &built.ralloc), ("assertions", &checked)] {
            let outcome = match once(binary, program.name, program.short) {
                Err(error) => {
                    let said = format!("{error:#}");
                    let (reason, output) = said.split_once('\n').unwrap_or((&said, ""));
                    (None, Outcome::failed(reason, output))
                }
                Ok(run) => (Some(run.time), same(&system.found, &run.found)),
            };
            report.add(&format!("{} ({name})", program.name), outcome.0, &outcome.1);
        }
    }
    Ok(())
}

fn same(wanted: &str, found: &str) -> Outcome {
    match wanted == found {
        true => Outcome::Passed,
        false => Outcome::failed(
            "finds something else than on the system's allocator",
            format!("system  {wanted}\nralloc  {found}"),
        ),
    }
}

/// Builds the programs on both allocators.
fn build() -> Result<Built> {
    let folder = build_with(&[], &["--workspace"])?;
    Ok(Built {
        system: folder.join("on-system"),
        ralloc: folder.join("on-ralloc"),
    })
}

/// Builds the programs on ralloc with assertions, and leaves what `build` has built as it was.
fn build_checked(built: &Built) -> Result<PathBuf> {
    let plain = built.ralloc.with_extension("plain");
    let checked = built.ralloc.with_extension("checked");
    fs::copy(&built.ralloc, &plain)?;
    let mut options = Vec::new();
    for package in ["ralloc", "ralloc-platform"] {
        for line in CHECKED.lines() {
            options.push(format!("profile.release.package.{package}.{line}"));
        }
    }
    let result = build_with(&options, &["--package", "on-ralloc"]);
    if result.is_ok() {
        fs::rename(&built.ralloc, &checked)?;
    }
    fs::rename(&plain, &built.ralloc)?;
    result.map(|_| checked)
}

/// Returns the folder of the programs.
fn build_with(options: &[String], words: &[&str]) -> Result<PathBuf> {
    let target = cargo::target()?.join("rust-programs");
    let mut build = cargo::command(&["build", "--quiet", "--release"]);
    build.args(words).arg("--manifest-path");
    build.arg(cargo::root().join(FOLDER).join("Cargo.toml"));
    build.arg("--target-dir").arg(&target);
    for option in options {
        build.arg("--config").arg(option);
    }
    let ended = process::run(&mut build, BUILD)?;
    ensure!(
        ended.succeeded(),
        "the programs do not build: {}\n{}",
        ended.describe(),
        ended.output
    );
    Ok(target.join("release"))
}

/// Runs a program over the sources of the repository.
fn once(binary: &Path, program: &str, size: u32) -> Result<Run> {
    let mut command = Command::new(binary);
    command.arg(program).arg(size.to_string());
    command.arg(cargo::root()).env_remove("LD_PRELOAD");
    let ended = process::run(&mut command, LIMIT)?;
    let binary = binary.display();
    ensure!(
        ended.succeeded(),
        "{binary} {program}: {}\n{}",
        ended.describe(),
        ended.output
    );
    let found = ended.output.lines().find(|line| line.starts_with(program));
    let peak = ended.output.lines().find_map(|line| {
        let (number, _) = line.strip_prefix("peak: ")?.split_once(' ')?;
        number.parse().ok()
    });
    Ok(Run {
        found: found
            .with_context(|| format!("{binary} {program} says nothing"))?
            .to_owned(),
        time: ended.took,
        peak: peak.with_context(|| format!("{binary} {program} names no peak"))?,
    })
}

/// Measures, prints the table, and writes it where that is asked for.
pub(crate) fn compare(comparison: &Comparison) -> Result<ExitCode> {
    let chosen = |program: &&Program| {
        comparison.programs.is_empty()
            || comparison.programs.iter().any(|name| name == program.name)
    };
    let unknown = |name: &&String| PROGRAMS.iter().all(|program| program.name != **name);
    if let Some(name) = comparison.programs.iter().find(unknown) {
        let names = PROGRAMS.map(|program| program.name).join(", ");
        bail!("no program is called {name}; there are {names}");
    }
    process::begin()?;
    let built = build()?;
    let before = load()?;
    let mut table = String::from(
        "| program | allocator | median time | fastest | slowest | peak RSS | found |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for program in PROGRAMS.iter().filter(chosen) {
        let (mut system, mut ralloc) = (Vec::new(), Vec::new());
        for _ in 0..comparison.runs {
            system.push(once(&built.system, program.name, program.long)?);
            ralloc.push(once(&built.ralloc, program.name, program.long)?);
        }
        let wanted = &system[0].found;
        if let Some(run) = ralloc
            .iter()
            .chain(&system)
            .find(|run| run.found != *wanted)
        {
            bail!("not the same in each run:\n{wanted}\n{}", run.found);
        }
        rows(&mut table, program, &mut system, &mut ralloc)?;
    }
    let text = format!(
        "\n{}; {} runs each, in turn; {} processors, load {before} at the start and {} at the end.\n\n{table}\n",
        today()?,
        comparison.runs,
        std::thread::available_parallelism()?,
        load()?
    );
    print!("{text}");
    if comparison.write {
        write(&text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The two rows of a program.
fn rows(
    table: &mut String,
    program: &Program,
    system: &mut [Run],
    ralloc: &mut [Run],
) -> Result<()> {
    let (system, ralloc) = (Taken::of(system), Taken::of(ralloc));
    let found = ralloc.found.split_once(": ").map_or("", |(_, found)| found);
    let (name, size) = (program.name, program.long);
    let of = |ours: f64, theirs: f64| format!("{:.2} of it", ours / theirs);
    writeln!(
        table,
        "| `{name} {size}` | system | {:.3} s | {:.3} s | {:.3} s | {:.1} MiB | {found} |",
        system.median, system.fastest, system.slowest, system.peak
    )?;
    writeln!(
        table,
        "| | ralloc | {:.3} s ({}) | {:.3} s | {:.3} s | {:.1} MiB ({}) | the same |",
        ralloc.median,
        of(ralloc.median, system.median),
        ralloc.fastest,
        ralloc.slowest,
        ralloc.peak,
        of(ralloc.peak, system.peak)
    )?;
    Ok(())
}

/// What several runs took: seconds, and the median of their peaks in MiB.
struct Taken<'a> {
    found: &'a str,
    median: f64,
    fastest: f64,
    slowest: f64,
    peak: f64,
}

impl<'a> Taken<'a> {
    /// There is at least one run.
    fn of(runs: &'a mut [Run]) -> Self {
        runs.sort_by_key(|run| run.peak);
        let peak = runs[runs.len() / 2].peak as f64 / 1024.0;
        runs.sort_by_key(|run| run.time);
        let seconds = |place: usize| runs[place].time.as_secs_f64();
        Self {
            found: &runs[0].found,
            median: seconds(runs.len() / 2),
            fastest: seconds(0),
            slowest: seconds(runs.len() - 1),
            peak,
        }
    }
}

/// How many processes wanted a processor in the last minute, on average.
fn load() -> Result<String> {
    let text = fs::read_to_string("/proc/loadavg")?;
    Ok(text.split(' ').next().unwrap_or_default().to_owned())
}

fn today() -> Result<String> {
    let output = Command::new("date").arg("+%F %H:%M").output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Puts the table in the place of the last.
fn write(table: &str) -> Result<()> {
    let file = cargo::root().join(README);
    let text = fs::read_to_string(&file)?;
    let marks = || format!("{README} needs the lines {BEGIN} and {END}");
    let (before, rest) = text.split_once(BEGIN).with_context(marks)?;
    let (_, after) = rest.split_once(END).with_context(marks)?;
    fs::write(&file, format!("{before}{BEGIN}{table}{END}{after}"))?;
    println!("{README}: written");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(time: u64, peak: u64) -> Run {
        Run {
            found: "json: 1".to_owned(),
            time: Duration::from_millis(time),
            peak,
        }
    }

    #[test]
    fn time_and_peak_have_medians_of_their_own() {
        let mut runs = [run(3000, 1024), run(1000, 3072), run(2000, 2048)];
        let taken = Taken::of(&mut runs);
        assert_eq!(
            (taken.median, taken.fastest, taken.slowest, taken.peak),
            (2.0, 1.0, 3.0, 2.0)
        );
    }

    #[test]
    fn another_result_is_a_failure() {
        assert!(matches!(same("json: 1", "json: 1"), Outcome::Passed));
        assert!(matches!(same("json: 1", "json: 2"), Outcome::Failed { .. }));
    }
}
