//! Runs the workloads, each measurement in a process of its own, the allocators in turn.

use std::{
    fs,
    io::Read,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Error, Result, ensure};
use bench::{Outcome, Workload};
use wait4::Wait4;

use crate::{
    provide::{self, Allocator, Workshop},
    stats::median,
};

/// One measurement.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    /// Wall time: of the measured part, or of the whole process where the start is what counts.
    pub(crate) seconds: f64,
    /// User and system time of the process.
    pub(crate) cpu: f64,
    /// What the workload said.
    pub(crate) outcome: Outcome,
}

/// All measurements of one workload on one allocator.
#[derive(Default)]
pub(crate) struct Cell {
    /// One per round.
    pub(crate) samples: Vec<Sample>,
    /// Why there are no more of them.
    pub(crate) failure: Option<String>,
}

/// A process that lives for a millisecond is started this often, and the median taken.
const STARTS: usize = 21;

/// What is run and how.
pub(crate) struct Plan<'a> {
    pub(crate) workshop: &'a Workshop,
    pub(crate) allocators: &'a [Allocator],
    pub(crate) workloads: &'a [&'static Workload],
    pub(crate) rounds: usize,
    pub(crate) scale: f64,
    pub(crate) threads: Option<usize>,
}

impl Plan<'_> {
    /// Runs everything. The result is indexed by workload, then by allocator.
    pub(crate) fn run(&self) -> Vec<Vec<Cell>> {
        let row = |_| {
            (0..self.allocators.len())
                .map(|_| Cell::default())
                .collect()
        };
        let mut cells: Vec<Vec<Cell>> = self.workloads.iter().map(row).collect();
        for round in 0..self.rounds {
            for (workload, row) in self.workloads.iter().zip(&mut cells) {
                eprintln!("round {} of {}: {}", round + 1, self.rounds, workload.name);
                for turn in 0..row.len() {
                    // Each round begins with another allocator, so that none always follows the
                    // one that leaves the machine warm, or swept empty.
                    let which = (turn + round) % row.len();
                    let cell = &mut row[which];
                    if cell.failure.is_some() {
                        continue;
                    }
                    match self.measure(workload, &self.allocators[which]) {
                        Ok(sample) => cell.samples.push(sample),
                        Err(error) => {
                            eprintln!("  {} failed: {error:#}", self.allocators[which].name);
                            // Details may name paths of this machine; the report goes without.
                            cell.failure = Some(error.to_string());
                        }
                    }
                }
            }
        }
        cells
    }

    fn measure(&self, workload: &Workload, allocator: &Allocator) -> Result<Sample> {
        if workload.name != "hello" {
            return self.start(workload, allocator);
        }
        let starts: Result<Vec<_>> = (0..STARTS)
            .map(|_| self.start(workload, allocator))
            .collect();
        let starts = starts?;
        let of = |value: fn(&Sample) -> f64| median(starts.iter().map(value));
        Ok(Sample {
            seconds: of(|start| start.seconds).context("no start")?,
            cpu: of(|start| start.cpu).context("no start")?,
            outcome: starts[STARTS / 2].outcome,
        })
    }

    fn start(&self, workload: &Workload, allocator: &Allocator) -> Result<Sample> {
        let hello = workload.name == "hello";
        let mut command = self.command(if hello { "hello" } else { "workload" }, allocator);
        if !hello {
            command
                .arg(workload.name)
                .arg("--scale")
                .arg(self.scale.to_string());
            if let Some(threads) = self.threads {
                command.arg("--threads").arg(threads.to_string());
            }
        }
        let start = Instant::now();
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut said = String::new();
        child
            .stdout
            .take()
            .context("no pipe")?
            .read_to_string(&mut said)?;
        let mut complaint = String::new();
        child
            .stderr
            .take()
            .context("no pipe")?
            .read_to_string(&mut complaint)?;
        let end = child.wait4()?;
        let wall = start.elapsed().as_secs_f64();
        let complaint = complaint.trim().to_owned();
        ensure!(
            end.status.success(),
            Error::msg(complaint).context(end.status)
        );
        let line = said.lines().last().unwrap_or_default();
        let outcome: Outcome = line.parse().map_err(Error::msg)?;
        Ok(Sample {
            seconds: if hello { wall } else { outcome.seconds },
            cpu: (end.rusage.utime + end.rusage.stime).as_secs_f64(),
            outcome,
        })
    }

    /// A program on an allocator, in an otherwise empty environment.
    fn command(&self, program: &str, allocator: &Allocator) -> Command {
        let mut command = Command::new(self.workshop.programs.join(program));
        command.env_clear();
        if let Some(preload) = &allocator.preload {
            command.env("LD_PRELOAD", preload);
        }
        command
    }

    /// How many system calls `hello` makes on each allocator, from its start to its end.
    pub(crate) fn system_calls(&self) -> Result<Vec<u64>> {
        if provide::output("strace", &["--version"]).is_err() {
            provide::install_one_of(&["strace"])?;
        }
        self.allocators
            .iter()
            .map(|allocator| self.count_calls(allocator))
            .collect()
    }

    fn count_calls(&self, allocator: &Allocator) -> Result<u64> {
        let log = self.workshop.scratch("bench-hello.strace");
        let mut strace = Command::new("strace");
        strace.env_clear().arg("-f").arg("-o").arg(&log);
        if let Some(preload) = &allocator.preload {
            strace
                .arg("-E")
                .arg(format!("LD_PRELOAD={}", preload.display()));
        }
        let done = strace.arg(self.workshop.programs.join("hello")).output()?;
        ensure!(done.status.success(), "strace failed");
        let lines = fs::read_to_string(&log)?;
        let is_call = |line: &&str| line.contains('(') && !line.contains("resumed>");
        Ok(lines.lines().filter(is_call).count() as u64)
    }
}
