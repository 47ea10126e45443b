//! Mutants meet the tests that reach them.

use crate::process::{self, Ended};
use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    thread,
    time::Duration,
};

/// Bytes of a census: the mutants are fewer.
const ROOM: usize = 65536;

/// Who neither runs nor wants to for so long waits for what will not come.
const STILL: Duration = Duration::from_secs(3);

/// The oracle's seed: a mutant that is killed once is killed again.
const SEED: &str = "72616c6c6f6372616c6c6f6372616c6c6f6372616c6c6f6372616c6c6f630001";

/// One test, and which mutants it reaches.
pub(super) struct Test {
    program: PathBuf,
    pub(super) suite: String,
    pub(super) name: String,
    /// Of processor time, without a mutant, in the process that takes the most.
    pub(super) seconds: f64,
    pub(super) reach: Vec<u8>,
}

/// How a mutant's meeting with a test ended.
pub(super) enum Met {
    Alive,
    Killed,
    Circles,
}

impl Test {
    pub(super) fn label(&self) -> String {
        format!("{} {}", self.suite, self.name)
    }

    /// Whether it is a unit test in this source file.
    pub(super) fn is_of(&self, file: &str) -> bool {
        let module = file.trim_start_matches("src/").trim_end_matches(".rs");
        let module = module.replace('/', "::");
        let behind = self.name.strip_prefix(&module);
        self.suite == "lib" && behind.is_some_and(|rest| rest.starts_with("::"))
    }

    fn command(&self, tree: &Path, processor: u64) -> Command {
        let mut command = Command::new("prlimit");
        command
            .args([&format!("--cpu={processor}"), "--"])
            .arg(&self.program)
            .args([&self.name, "--exact", "--test-threads=1", "--quiet"])
            .current_dir(tree)
            .env("RALLOC_SEED", SEED)
            .env("RALLOC_TRACES", "2");
        command
    }

    /// Runs the test without a mutant, and notes what it reaches.
    fn count(&mut self, tree: &Path) -> Result<()> {
        let census = tempfile::NamedTempFile::new()?;
        fs::write(census.path(), vec![0; ROOM])?;
        let mut command = self.command(tree, 600);
        command.env("RALLOC_CENSUS", census.path());
        let ended = process::run(&mut command, Duration::from_secs(900))?;
        if !ended.succeeded() {
            // It may need what a single process is not given here. It is no judge.
            let (name, how) = (self.label(), ended.describe());
            println!("left out, for it fails without a mutant ({how}): {name}");
            return Ok(());
        }
        self.reach = fs::read(census.path())?;
        let time = self.reach.split_off(ROOM - 8);
        let time = u64::from_ne_bytes(time.try_into().expect("eight bytes"));
        self.seconds = Duration::from_nanos(time).as_secs_f64();
        Ok(())
    }

    /// Runs the test with this mutant alive.
    pub(super) fn meet(&self, tree: &Path, number: usize) -> Result<Met> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let processor = 2 + (self.seconds * 5.0) as u64;
        let mut command = self.command(tree, processor);
        command.env("RALLOC_MUTANT", number.to_string());
        // On a busy machine that much processor time may take long. Who waits for nothing is known by that.
        let limit = Duration::from_secs(60 + 20 * processor);
        let Ended { status, .. } = process::run_while_awake(&mut command, limit, STILL)?;
        Ok(match status {
            None => Met::Circles,
            Some(status) if status.success() => Met::Alive,
            Some(status) => match std::os::unix::process::ExitStatusExt::signal(&status) {
                // The limits on processor time end it by one of these.
                Some(9 | 24) => Met::Circles,
                _ => Met::Killed,
            },
        })
    }
}

/// All tests of these programs, each run once without a mutant; the quickest first.
pub(super) fn census(
    tree: &Path,
    programs: &[(String, PathBuf)],
    jobs: usize,
) -> Result<Vec<Test>> {
    let mut tests = Vec::new();
    for (suite, program) in programs {
        let output = Command::new(program)
            .args(["--list", "--format", "terse"])
            .current_dir(tree)
            .output()
            .with_context(|| program.display().to_string())?;
        let names = String::from_utf8(output.stdout)?;
        let names = names.lines().filter_map(|line| line.strip_suffix(": test"));
        tests.extend(names.map(|name| Test {
            program: program.clone(),
            suite: suite.clone(),
            name: name.to_owned(),
            seconds: 0.0,
            reach: Vec::new(),
        }));
    }
    let waiting = Mutex::new(tests.iter_mut());
    parallel(jobs, || {
        loop {
            let next = waiting.lock().expect("no panic").next();
            match next {
                Some(test) => test.count(tree)?,
                None => return Ok(()),
            }
        }
    })?;
    tests.retain(|test| !test.reach.is_empty());
    tests.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    Ok(tests)
}

/// Does `work` in so many threads.
pub(super) fn parallel(jobs: usize, work: impl Fn() -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs).map(|_| scope.spawn(&work)).collect();
        for thread in threads {
            thread.join().expect("no panic")?;
        }
        Ok(())
    })
}

/// Runs all tests of a program.
pub(super) fn whole(tree: &Path, program: &Path, jobs: usize) -> Result<Met> {
    let mut command = Command::new("prlimit");
    command
        .args(["--cpu=120", "--"])
        .arg(program)
        .args([&format!("--test-threads={jobs}"), "--quiet"])
        .current_dir(tree)
        .env("RALLOC_SEED", SEED)
        .env("RALLOC_TRACES", "2");
    let ended = process::run(&mut command, Duration::from_secs(300))?;
    Ok(match ended.status {
        None => Met::Circles,
        Some(status) if status.success() => Met::Alive,
        Some(_) => Met::Killed,
    })
}
