//! Mutation testing: the allocator is broken in each of the many small ways that `cargo-mutants` names, and the tests must notice.
//!
//! All mutants are built at once ([`weave`]), each behind a question that an environment variable answers. Each test is run
//! once without any to see which it reaches ([`meet`]); then a mutant meets only tests that reach it, one process each, the
//! quickest first, until one fails. What is in constants is built alone.

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
    /// Test nothing; print what earlier runs have found.
    #[arg(long)]
    report: bool,
}

/// The test programs that mutants meet.
const SUITES: [&str; 12] = [
    "lib",
    "policy",
    "oracle",
    "thread_exit",
    "fork",
    "promises",
    "recorded",
    "scenarios",
    "partial",
    "exhaustion",
    "security",
    "resizes",
];

/// Of these, those that a mutant in a constant meets.
const FEW: [&str; 4] = ["lib", "policy", "oracle", "promises"];

/// What a mutant may map. A loop that allocates must not take the machine with it.
const MEMORY: u64 = 64 << 30;

/// Runs the mutants; what survives is named at the end. What has become of each is in `target/mutants.txt`.
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
    let resume = arguments.resume || arguments.report;
    let mut record = Record::open(cargo::target()?.join("mutants.txt"), resume)?;
    // All are numbered and woven, whichever are tested: the programs stay the same.
    let all = list::list(&[])?;
    let equivalents = Equivalents::read(&cargo::root().join("tests/mutants.md"));
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
    let of_files: Vec<Mutant> = all
        .into_iter()
        .filter(|mutant| is_in(mutant, &arguments.files))
        .collect();
    println!("{}", record.table(&of_files, &equivalents));
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
        killers: Mutex::new(HashMap::new()),
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
    /// How many of a file's mutants each test has killed.
    killers: Mutex<HashMap<(String, usize), usize>>,
}

impl Shared<'_> {
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
        let mut order: Vec<(f64, usize)> = {
            let killers = self.killers.lock().expect("no panic");
            let reaching = (0..tests.len()).filter(|&index| tests[index].reach[mutant.number] != 0);
            // What has killed its neighbours is worth more time.
            reaching
                .map(|index| {
                    let kills = killers.get(&(mutant.file.clone(), index)).copied();
                    #[expect(clippy::cast_precision_loss)]
                    let worth = 1.0 + 4.0 * kills.unwrap_or(0) as f64;
                    (tests[index].seconds / worth, index)
                })
                .collect()
        };
        if order.is_empty() {
            return Ok((UNREACHED, String::new()));
        }
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut seconds = 0.0;
        for &(_, index) in &order {
            let test = &tests[index];
            seconds += test.seconds;
            if quick.is_some_and(|most| seconds > most) {
                return Ok((WAITS, String::new()));
            }
            let outcome = match test.meet(stage.tree(), mutant.number)? {
                Met::Alive => continue,
                Met::Killed => KILLED,
                Met::Circles => CIRCLES,
            };
            let mut killers = self.killers.lock().expect("no panic");
            *killers.entry((mutant.file.clone(), index)).or_default() += 1;
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
