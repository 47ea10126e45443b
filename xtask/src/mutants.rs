//! Mutation testing: the allocator is broken in each of the many small ways that `cargo-mutants` names, and the tests must notice.
//!
//! All mutants are built at once ([`weave`]), each behind a question that an environment variable answers. Each test is run
//! once without any to see which it reaches ([`meet`]); then a mutant meets only tests that reach it, one process each, first those
//! that may be expected to kill it soonest, until one fails. What is in constants is built alone.

mod list;
mod meet;
mod record;
mod stage;
mod weave;

use crate::{cargo, process};
use anyhow::{Result, ensure};
use list::Mutant;
use meet::{Met, Test};
use record::{CIRCLES, Equivalents, KILLED, Record, SURVIVES, UNBUILDABLE, UNREACHED, WAITS};
use rustix::process::{Resource, Rlimit};
use stage::Stage;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::Mutex,
};

/// What to break.
#[derive(clap::Args)]
pub(crate) struct Mutants {
    /// Only what is in these source files, in this order; without any, all.
    files: Vec<PathBuf>,
    /// Mutants that are tested at the same time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Go on where an earlier run ended: a verdict holds while the text of its function is the same.
    #[arg(long)]
    resume: bool,
    /// Also test again what has survived.
    #[arg(long)]
    again: bool,
    /// A first round: no mutant meets tests of more than so many seconds in all.
    #[arg(long, value_name = "SECONDS")]
    quick: Option<f64>,
    /// Also those in constants, each of which needs a build of its own.
    #[arg(long)]
    alone: bool,
    /// Test nothing; write down and print what runs have found so far, also one that is under way.
    #[arg(long)]
    report: bool,
}

/// The test programs that mutants meet.
const SUITES: [&str; 15] = [
    "lib",
    "policy",
    "lending",
    "account",
    "oracle",
    "thread_exit",
    "fork",
    "promises",
    "recorded",
    "scenarios",
    "partial",
    "exhaustion",
    "refusals",
    "security",
    "resizes",
];

/// Of these, those that a mutant in a constant meets.
const FEW: [&str; 4] = ["lib", "policy", "oracle", "promises"];

/// What a mutant may map. A loop that allocates must not take the machine with it.
const MEMORY: u64 = 256 << 30;

/// Runs the mutants; what survives is named at the end. What has become of each goes to `target/mutants.txt` as it comes, and at the end
/// to `tests/mutants.txt`, and the sums to `tests/mutants.md`.
///
/// What is left alone, and why: `.cargo/mutants.toml`, and the list of equivalents in `tests/mutants.md`.
pub(crate) fn run(arguments: &Mutants) -> Result<ExitCode> {
    process::begin()?;
    install()?;
    let bound = Rlimit {
        current: Some(MEMORY),
        maximum: rustix::process::getrlimit(Resource::Data).maximum,
    };
    rustix::process::setrlimit(Resource::Data, bound)?;
    let page = cargo::root().join("tests/mutants.md");
    let mut record = Record::open(
        cargo::target()?.join("mutants.txt"),
        page.with_extension("txt"),
    );
    // All are numbered and woven, whichever are tested: the programs stay the same.
    let all = list::list(&[])?;
    let equivalents = Equivalents::read(&page);
    for stale in equivalents.stale(&all) {
        println!("listed as equivalent, and no mutant: {stale}");
    }
    if !arguments.report {
        let todo = chosen(arguments, &all, &record, &equivalents);
        println!(
            "{} mutants, of which {} are to be tested",
            all.len(),
            todo.len()
        );
        record = test(arguments, &all, todo, record)?;
    }
    record.keep(&all)?;
    if !arguments.report {
        record.close();
    }
    record::publish(&page, &record.table(&all, &equivalents).0)?;
    let of_files: Vec<Mutant> = all
        .into_iter()
        .filter(|mutant| is_in(mutant, &arguments.files))
        .collect();
    let (table, alive) = record.table(&of_files, &equivalents);
    println!("{table}\n{alive}");
    Ok(ExitCode::SUCCESS)
}

fn is_in(mutant: &Mutant, files: &[PathBuf]) -> bool {
    files.is_empty() || files.iter().any(|file| file == Path::new(&mutant.file))
}

/// What is to be tested, in the order of the files that were named.
fn chosen<'a>(
    arguments: &Mutants,
    all: &'a [Mutant],
    record: &Record,
    equivalents: &Equivalents,
) -> Vec<&'a Mutant> {
    let open = |mutant: &&Mutant| {
        let again = match record.outcome(mutant) {
            None => true,
            Some(_) if !arguments.resume => true,
            Some(WAITS) => arguments.quick.is_none() || arguments.again,
            Some(SURVIVES | UNREACHED) => arguments.again,
            Some(_) => false,
        };
        again && is_in(mutant, &arguments.files) && equivalents.reason(mutant).is_none()
    };
    let mut chosen: Vec<_> = all.iter().filter(open).collect();
    let place = |mutant: &&Mutant| {
        let mut files = arguments.files.iter();
        files.position(|file| file == Path::new(&mutant.file))
    };
    chosen.sort_by_key(place);
    chosen
}

fn test(arguments: &Mutants, all: &[Mutant], todo: Vec<&Mutant>, record: Record) -> Result<Record> {
    let mut stage = Stage::build(all, &SUITES)?;
    let tests = meet::census(stage.tree(), &stage.programs, arguments.jobs)?;
    census_summary(&tests);
    let (alone, woven): (Vec<_>, Vec<_>) = todo
        .into_iter()
        .partition(|mutant| stage.alone.contains(&mutant.number));
    let shared = Shared {
        record: Mutex::new(record),
        waiting: Mutex::new(woven.into_iter()),
        deeds: Mutex::new(HashMap::new()),
    };
    meet::parallel(arguments.jobs, || {
        loop {
            let next = shared.waiting.lock().expect("no panic").next();
            let Some(mutant) = next else { return Ok(()) };
            let (outcome, by) = if stage.unbuildable.contains(&mutant.number) {
                (UNBUILDABLE, String::new())
            } else {
                shared.meet(&stage, &tests, mutant, arguments.quick)?
            };
            shared.tell(mutant, outcome, &by)?;
        }
    })?;
    if arguments.alone {
        for mutant in alone {
            let (outcome, by) = meet_alone(&mut stage, mutant, arguments.jobs)?;
            shared.tell(mutant, outcome, &by)?;
        }
    } else {
        println!("{} need a build of their own (--alone)", alone.len());
    }
    Ok(shared.record.into_inner().expect("no panic"))
}

fn census_summary(tests: &[Test]) {
    let seconds: f64 = tests.iter().map(|test| test.seconds).sum();
    println!("{} tests, {seconds:.0} s", tests.len());
    for test in tests.iter().rev().take(8) {
        println!("  {:.1} s {}", test.seconds, test.label());
    }
}

/// What the threads share that test mutants.
struct Shared<'a> {
    record: Mutex<Record>,
    waiting: Mutex<std::vec::IntoIter<&'a Mutant>>,
    /// What each test has done so far to the mutants of a file, and of all.
    deeds: Mutex<HashMap<(String, usize), Deeds>>,
}

/// How many a test has met, and how many of them it has killed.
#[derive(Clone, Copy, Default)]
struct Deeds {
    met: usize,
    killed: usize,
}

impl Deeds {
    /// The share that it kills, as far as can be told; `expected` as long as it has met none.
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn share(self, expected: f64) -> f64 {
        (self.killed as f64 + expected) / (self.met as f64 + 1.0)
    }
}

/// Seconds that a test takes before it begins.
const START: f64 = 0.02;
/// What a test of which nothing is known is taken to kill.
const SHARE: f64 = 0.1;
/// The same of one that is written beside what is broken.
const OWN: f64 = 0.5;

impl Shared<'_> {
    /// Kills per second that may be expected of a test among the mutants of a file: who has killed its neighbours kills it, as a rule.
    fn worth(&self, file: &str, index: usize, test: &Test) -> f64 {
        let deeds = self.deeds.lock().expect("no panic");
        let of = |file: &str| deeds.get(&(file.to_owned(), index)).copied();
        let anywhere = of("").unwrap_or_default().share(SHARE);
        let expected = if test.is_of(file) { OWN } else { anywhere };
        of(file).unwrap_or_default().share(expected) / (test.seconds + START)
    }

    fn note(&self, file: &str, index: usize, killed: bool) {
        let mut deeds = self.deeds.lock().expect("no panic");
        for file in [file, ""] {
            let deeds = deeds.entry((file.to_owned(), index)).or_default();
            deeds.met += 1;
            deeds.killed += usize::from(killed);
        }
    }

    fn tell(&self, mutant: &Mutant, outcome: &str, by: &str) -> Result<()> {
        println!("{outcome} {} {by}", mutant.name());
        let mut record = self.record.lock().expect("no panic");
        record.note(mutant, outcome, by)
    }

    fn meet(
        &self,
        stage: &Stage,
        tests: &[Test],
        mutant: &Mutant,
        quick: Option<f64>,
    ) -> Result<(&'static str, String)> {
        let reaching = (0..tests.len()).filter(|&index| tests[index].reach[mutant.number] != 0);
        let mut order: Vec<(f64, usize)> = reaching
            .map(|index| (self.worth(&mutant.file, index, &tests[index]), index))
            .collect();
        if order.is_empty() {
            return Ok((UNREACHED, String::new()));
        }
        order.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut seconds = 0.0;
        for &(_, index) in &order {
            let test = &tests[index];
            seconds += test.seconds;
            if quick.is_some_and(|most| seconds > most) {
                return Ok((WAITS, String::new()));
            }
            let outcome = match test.meet(stage.tree(), mutant.number)? {
                Met::Alive => None,
                Met::Killed => Some(KILLED),
                Met::Circles => Some(CIRCLES),
            };
            self.note(&mutant.file, index, outcome.is_some());
            let Some(outcome) = outcome else { continue };
            return Ok((outcome, test.label()));
        }
        Ok((SURVIVES, String::new()))
    }
}

/// A mutant with a program of its own meets the few suites, whole.
fn meet_alone(stage: &mut Stage, mutant: &Mutant, jobs: usize) -> Result<(&'static str, String)> {
    if !stage.build_alone(mutant, &FEW)? {
        return Ok((UNBUILDABLE, String::new()));
    }
    for (suite, program) in &stage.programs {
        let outcome = meet::whole(stage.tree(), program, jobs)?;
        match outcome {
            Met::Alive => {}
            Met::Killed => return Ok((KILLED, suite.clone())),
            Met::Circles => return Ok((CIRCLES, suite.clone())),
        }
    }
    Ok((SURVIVES, String::new()))
}

/// Installs `cargo-mutants` unless it is there.
fn install() -> Result<()> {
    let mut present = Command::new("cargo-mutants");
    let present = present.args(["mutants", "--version"]).stdout(Stdio::null());
    if present.status().is_ok_and(|status| status.success()) {
        return Ok(());
    }
    println!("installing cargo-mutants");
    let status = cargo::command(&["install", "--locked", "cargo-mutants"]).status()?;
    ensure!(
        status.success(),
        "cargo-mutants could not be installed: cargo install --locked cargo-mutants"
    );
    Ok(())
}
