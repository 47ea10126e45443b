//! Fuzzing: the targets of the package `fuzz`, built and run without `cargo fuzz`, which works on them as well.
//!
//! What libFuzzer has found interesting is kept in `target/fuzz/corpus`, and a small selection of it in the tree, in
//! `fuzz/corpus`. Inputs that failed are left in `fuzz/artifacts`.

use crate::{
    cargo, coverage,
    header::Header,
    needs::{self, Needs},
    pool,
    process::{self, Ended},
    report::{Outcome, Report},
};
use anyhow::{Result, bail, ensure};
use clap::ValueEnum;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

/// What the compiler is told, so that libFuzzer sees which branches an input takes. Any stable compiler can. Comparisons
/// are not traced: an allocator knows no magic words, and the tests compare many bytes.
const COUNTERS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table";

/// What libFuzzer is always told: inputs of at most 400 bytes, long ones from the start; one that takes a minute hangs.
const OPTIONS: [&str; 4] = [
    "-max_len=400",
    "-len_control=0",
    "-timeout=60",
    "-print_final_stats=1",
];

/// For a build, for a replay, and beyond what libFuzzer was told to take.
const LIMIT: Duration = Duration::from_secs(900);

/// How long the tier `fuzz` fuzzes, all targets together.
const TIER: Duration = Duration::from_secs(60);

/// A fuzz target.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Target {
    /// One thread, all verbs, a kernel that refuses.
    Operations,
    /// Several threads, one of which moves at a time.
    TwoThreads,
    /// Two threads that run at the same time.
    AtOnce,
}

impl Target {
    const ALL: [Self; 3] = [Self::Operations, Self::TwoThreads, Self::AtOnce];

    fn name(self) -> &'static str {
        match self {
            Self::Operations => "operations",
            Self::TwoThreads => "two_threads",
            Self::AtOnce => "at_once",
        }
    }
}

/// What to do with the fuzz targets.
#[derive(clap::Args)]
pub(crate) struct Fuzzing {
    /// How long to fuzz, each target.
    #[arg(long, value_name = "N", default_value_t = 1)]
    minutes: u64,
    /// Only these targets.
    #[arg(long = "target", value_name = "NAME", value_delimiter = ',')]
    targets: Vec<Target>,
    /// Run this input once, with a backtrace if it fails; needs one target.
    #[arg(long, value_name = "FILE", group = "what")]
    replay: Option<PathBuf>,
    /// Make an input that fails as short as goes in the given minutes; needs one target.
    #[arg(long, value_name = "FILE", group = "what")]
    minimize: Option<PathBuf>,
    /// Write the smallest selection of what has been found that covers as much to the tree.
    #[arg(long, group = "what")]
    merge: bool,
    /// Say which lines of the allocator are reached by what has been found.
    #[arg(long, group = "what")]
    coverage: bool,
}

/// A build of the targets.
pub(crate) struct Built(PathBuf);

impl Built {
    /// Where the machine lacks something, it is said.
    pub(crate) fn provide(flags: &str, folder: &str) -> Result<Result<Self, Outcome>> {
        let compiler = Needs::of(&Header::parse("//needs: c++\n//packages: g++", "//"));
        needs::install([&compiler])?;
        if let Some(reason) = compiler.missing() {
            return Ok(Err(Outcome::skipped(format!("{reason}, for libFuzzer"))));
        }
        let host = cargo::host()?;
        let target = cargo::target()?.join(folder);
        let words = ["build", "--release", "--manifest-path", "fuzz/Cargo.toml"];
        let mut build = cargo::command(&words);
        build.arg("--target").arg(&host).arg("--target-dir");
        build.arg(&target).env("RUSTFLAGS", flags);
        let ended = process::run(&mut build, LIMIT)?;
        Ok(if ended.succeeded() {
            Ok(Self(target.join(host).join("release")))
        } else {
            Err(Outcome::failed("the targets do not build", ended.output))
        })
    }

    /// A target, told the usual. Its crashes go to `fuzz/artifacts`.
    pub(crate) fn command(&self, target: Target) -> Result<Command> {
        let artifacts = cargo::root().join("fuzz/artifacts").join(target.name());
        fs::create_dir_all(&artifacts)?;
        let mut command = Command::new(self.0.join(target.name()));
        command
            .args(OPTIONS)
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .env("RUST_BACKTRACE", "1")
            .current_dir(cargo::root());
        Ok(command)
    }
}

/// The inputs of a target that are in the tree.
fn kept(target: Target) -> PathBuf {
    cargo::root().join("fuzz/corpus").join(target.name())
}

/// All that has been found interesting on this machine.
fn found(target: Target) -> Result<PathBuf> {
    let folder = cargo::target()?.join("fuzz/corpus").join(target.name());
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Replays what is in the tree, and fuzzes for a minute.
pub(crate) fn run(report: &mut Report) -> Result<()> {
    let built = match Built::provide(COUNTERS, "fuzz")? {
        Ok(built) => built,
        Err(outcome) => {
            report.add("all", None, &outcome);
            return Ok(());
        }
    };
    for target in Target::ALL {
        let ended = process::run(
            built.command(target)?.arg("-runs=0").arg(kept(target)),
            LIMIT,
        )?;
        let name = format!("replay {}", target.name());
        report.add(&name, Some(ended.took), &judge(target, &ended));
    }
    let each = TIER / Target::ALL.len() as u32;
    fuzz(&built, &Target::ALL, each, |target, ended| {
        report.add(target.name(), Some(ended.took), &judge(target, &ended));
    })
}

/// Fuzzes targets side by side, each so long.
fn fuzz(
    built: &Built,
    targets: &[Target],
    each: Duration,
    mut done: impl FnMut(Target, Ended),
) -> Result<()> {
    let work = |target: &Target| -> Result<Ended> {
        let mut command = built.command(*target)?;
        command.arg(format!("-max_total_time={}", each.as_secs()));
        command.arg(found(*target)?).arg(kept(*target));
        process::run(&mut command, each + LIMIT)
    };
    let mut outcome = Ok(());
    pool::each(targets, work, |target, ended| match ended {
        Ok(ended) => done(*target, ended),
        Err(error) => outcome = Err(error),
    });
    outcome
}

/// How a run ended; what it printed before the failure is of no use.
fn judge(target: Target, ended: &Ended) -> Outcome {
    if ended.succeeded() {
        return Outcome::Passed;
    }
    let mark = "Test unit written to ";
    let file = ended.output.lines().find_map(|line| line.split_once(mark));
    let Some((_, file)) = file else {
        return Outcome::failed(ended.describe(), &ended.output);
    };
    let advice = format!(
        "{}\n{}",
        interesting(&ended.output),
        next_steps(target, file)
    );
    Outcome::failed(format!("an input that fails: {file}"), advice)
}

/// What a reader does with an input that failed.
fn next_steps(target: Target, file: &str) -> String {
    let name = target.name();
    let command = format!("cargo xtask fuzz --target {name}");
    format!(
        "to see it again:      {command} --replay {file}\n\
         to make it shorter:   {command} --minimize {file}\n\
         when it is mended:    move it to fuzz/corpus/{name}, which every test run replays"
    )
}

/// Without libFuzzer's progress.
fn interesting(output: &str) -> String {
    let is_progress = |line: &&str| !line.starts_with('#') && !line.contains("NEW_FUNC");
    output
        .lines()
        .filter(is_progress)
        .collect::<Vec<_>>()
        .join("\n")
}

/// What a run came to: executions, edges covered, features (edges with how often they were taken), inputs kept.
fn figures(output: &str) -> Option<[String; 4]> {
    let executions = output
        .lines()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))?;
    let last = output
        .lines()
        .rfind(|line| line.starts_with('#') && line.contains(" cov: "))?;
    let after = |key: &str| {
        let mut words = last.split_whitespace().skip_while(|word| *word != key);
        words.nth(1).unwrap_or("?").to_owned()
    };
    let [edges, features, inputs] = [after("cov:"), after("ft:"), after("corp:")];
    Some([executions.trim().to_owned(), edges, features, inputs])
}

/// What the user asked for.
pub(crate) fn command(fuzzing: &Fuzzing) -> Result<ExitCode> {
    process::begin()?;
    let (flags, folder) = match fuzzing.coverage {
        true => (coverage::FLAGS, "fuzz-coverage"),
        false => (COUNTERS, "fuzz"),
    };
    let targets = match fuzzing.targets.as_slice() {
        [] => &Target::ALL,
        some => some,
    };
    let built = match Built::provide(flags, folder)? {
        Ok(built) => built,
        Err(Outcome::Skipped { reason }) => bail!("{reason}"),
        Err(Outcome::Failed { reason, output }) => bail!("{reason}\n{output}"),
        Err(Outcome::Passed) => unreachable!("a build that passed is there"),
    };
    let one = || match targets {
        [target] => Ok(*target),
        _ => bail!("name the one target that the input is for: --target NAME"),
    };
    if let Some(file) = &fuzzing.replay {
        return single(built.command(one()?)?.arg(existing(file)?), LIMIT);
    }
    if let Some(file) = &fuzzing.minimize {
        return minimize(&built, one()?, file, fuzzing.minutes);
    }
    if fuzzing.merge {
        targets
            .iter()
            .try_for_each(|&target| merge(&built, target))?;
        return Ok(ExitCode::SUCCESS);
    }
    if fuzzing.coverage {
        return coverage_of(&built, targets);
    }
    let each = Duration::from_secs(60 * fuzzing.minutes);
    let mut good = true;
    println!("| target | executions | edges | features | inputs kept |\n|---|---|---|---|---|");
    fuzz(&built, targets, each, |target, ended| {
        let figures = figures(&ended.output).map(|figures| figures.join(" | "));
        println!("| `{}` | {} |", target.name(), figures.unwrap_or_default());
        if let Outcome::Failed { reason, output } = judge(target, &ended) {
            println!("{reason}\n{output}");
            good = false;
        }
    })?;
    Ok(ExitCode::from(u8::from(!good)))
}

fn existing(file: &Path) -> Result<PathBuf> {
    ensure!(file.is_file(), "there is no file {}", file.display());
    Ok(file.canonicalize()?)
}

/// Runs libFuzzer, which says all there is to say.
fn single(command: &mut Command, limit: Duration) -> Result<ExitCode> {
    let ended = process::run(command, limit)?;
    println!("{}", interesting(&ended.output));
    Ok(ExitCode::from(u8::from(!ended.succeeded())))
}

/// libFuzzer shortens an input again and again; the last one is the shortest.
fn minimize(built: &Built, target: Target, file: &Path, minutes: u64) -> Result<ExitCode> {
    let seconds = 60 * minutes;
    let mut command = built.command(target)?;
    command.arg("-minimize_crash=1");
    command.arg(format!("-max_total_time={seconds}"));
    let ended = process::run(
        command.arg(existing(file)?),
        Duration::from_secs(seconds) + LIMIT,
    )?;
    let is_step = |line: &&str| line.starts_with("CRASH_MIN:");
    let steps: Vec<_> = ended.output.lines().filter(is_step).collect();
    println!("{}", steps.join("\n"));
    Ok(ExitCode::from(u8::from(steps.is_empty())))
}

/// Replaces the inputs in the tree.
fn merge(built: &Built, target: Target) -> Result<()> {
    let selection = tempfile::tempdir()?;
    let mut command = built.command(target)?;
    // By edges alone: how often each is taken would keep ten times as much.
    command
        .args(["-merge=1", "-use_counters=0"])
        .arg(selection.path());
    command.arg(kept(target)).arg(found(target)?);
    let ended = process::run(&mut command, LIMIT)?;
    ensure!(ended.succeeded(), "{}: {}", ended.describe(), ended.output);
    let kept = kept(target);
    if kept.is_dir() {
        fs::remove_dir_all(&kept)?;
    }
    fs::create_dir_all(&kept)?;
    let mut bytes = 0;
    for entry in fs::read_dir(selection.path())? {
        let entry = entry?;
        bytes += fs::copy(entry.path(), kept.join(entry.file_name()))?;
    }
    let count = fs::read_dir(&kept)?.count();
    println!("{}: {count} inputs, {bytes} bytes", target.name());
    Ok(())
}

fn coverage_of(built: &Built, targets: &[Target]) -> Result<ExitCode> {
    let mut runs = Vec::new();
    for &target in targets {
        let mut command = built.command(target)?;
        command.arg("-runs=0").arg(kept(target)).arg(found(target)?);
        runs.push((built.0.join(target.name()), command));
    }
    coverage::print(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
#2\tINITED cov: 3 ft: 4 corp: 1/1b exec/s: 0 rss: 30Mb
#8213\tREDUCE cov: 1970 ft: 11302 corp: 777/182Kb lim: 400 exec/s: 65 rss: 59Mb L: 374/400
stat::number_of_executed_units: 8213
";

    #[test]
    fn figures_are_those_of_the_end() {
        let figures = figures(OUTPUT).unwrap();
        assert_eq!(figures, ["8213", "1970", "11302", "777/182Kb"]);
    }

    #[test]
    fn progress_is_of_no_use_to_a_reader() {
        assert_eq!(
            interesting("#2 x\nthread panicked\n\tNEW_FUNC[1/2]"),
            "thread panicked"
        );
    }
}
