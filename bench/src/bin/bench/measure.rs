//! Runs the workloads, each measurement in a process of its own, the allocators in turn.

use std::{
    fs,
    io::Read,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Error, Result, ensure};
use bench::{Group, Outcome, Workload};
use serde::{Deserialize, Serialize};
use wait4::Wait4;

use crate::{
    provide::{self, Allocator, Workshop},
    stats::median,
};

/// One measurement.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Sample {
    /// The round that it belongs to: ratios are those of the same round.
    pub(crate) round: usize,
    /// Wall time: of the measured part, or of the whole process where the start is what counts.
    pub(crate) seconds: f64,
    /// User and system time of the process.
    pub(crate) cpu: f64,
    /// What the workload said.
    pub(crate) outcome: Outcome,
}

/// All measurements of one workload on one allocator.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Cell {
    /// One per round in which it was its turn.
    pub(crate) samples: Vec<Sample>,
    /// Why there are no more of them.
    pub(crate) failure: Option<String>,
}

/// System calls of `hello`.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct HelloCalls {
    /// From its start to its end.
    pub(crate) all: u64,
    /// Those about memory, after the loader has finished.
    pub(crate) memory: u64,
}

/// What was resident in the course of a run.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Timeline {
    pub(crate) workload: String,
    pub(crate) allocator: String,
    /// Milliseconds since the start, and KiB.
    pub(crate) points: Vec<(u32, u32)>,
}

/// Of these workloads there are timelines.
const TIMELINES: [&str; 4] = ["server", "survivors", "large-pairs", "free-1gib"];
/// At most so many points of each.
const POINTS: usize = 150;
const BETWEEN_POINTS: Duration = Duration::from_millis(2);

/// What has taken longer is measured in every third round only, and what has taken very long only once.
const SLOW: f64 = 3.0;
const VERY_SLOW: f64 = 10.0;
/// Real programs, large processes and latencies are measured in every third round.
const THIRD: usize = 3;

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
    /// Minutes after which no round begins that would not end in time.
    pub(crate) minutes: f64,
    /// The programs over well-known crates, if any is to run.
    pub(crate) rust: Option<PathBuf>,
}

impl Plan<'_> {
    /// Runs everything, and says how many rounds there were. The result is indexed by workload, then by allocator.
    pub(crate) fn run(&self) -> (Vec<Vec<Cell>>, usize) {
        let row = |_| {
            (0..self.allocators.len())
                .map(|_| Cell::default())
                .collect()
        };
        let mut cells: Vec<Vec<Cell>> = self.workloads.iter().map(row).collect();
        let start = Instant::now();
        let mut longest = Duration::ZERO;
        for round in 0..self.rounds {
            let before = start.elapsed();
            // The first round says how long a round is.
            if round > 0 && (before + longest).as_secs_f64() > self.minutes * 60.0 {
                eprintln!(
                    "{round} rounds in {} s; there is no time for another",
                    before.as_secs()
                );
                return (cells, round);
            }
            for (workload, row) in self.workloads.iter().zip(&mut cells) {
                eprintln!("round {} of {}: {}", round + 1, self.rounds, workload.name);
                for turn in 0..row.len() {
                    // Each round begins with another allocator, so that none always follows the
                    // one that leaves the machine warm, or swept empty.
                    let which = (turn + round) % row.len();
                    let cell = &mut row[which];
                    if cell.failure.is_some() || !is_due(round, workload, cell) {
                        continue;
                    }
                    match self.measure(workload, &self.allocators[which]) {
                        Ok(sample) => cell.samples.push(Sample { round, ..sample }),
                        Err(error) => {
                            eprintln!("  {} failed: {error:#}", self.allocators[which].name);
                            // Details may name paths of this machine; the report goes without.
                            cell.failure = Some(error.to_string());
                        }
                    }
                }
            }
            longest = longest.max(start.elapsed() - before);
        }
        (cells, self.rounds)
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
            round: 0,
            seconds: of(|start| start.seconds).context("no start")?,
            cpu: of(|start| start.cpu).context("no start")?,
            outcome: starts[STARTS / 2].outcome,
        })
    }

    fn start(&self, workload: &Workload, allocator: &Allocator) -> Result<Sample> {
        let hello = workload.name == "hello";
        let mut command = self.workload(workload, allocator);
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
        let own = (end.rusage.utime + end.rusage.stime).as_secs_f64();
        Ok(Sample {
            round: 0,
            seconds: if hello { wall } else { outcome.seconds },
            cpu: outcome.cpu.unwrap_or(own),
            outcome,
        })
    }

    /// The command for a workload.
    fn workload(&self, workload: &Workload, allocator: &Allocator) -> Command {
        let scale = self.scale.to_string();
        if workload.name == "hello" {
            return self.command("hello", allocator);
        }
        if workload.group == Group::Program {
            let mut command = Command::new(self.workshop.programs.join("program"));
            command.arg(workload.name).args(["--scale", &scale]);
            if let Some(preload) = &allocator.preload {
                command.arg("--preload").arg(preload);
            }
            if let Some(rust) = &self.rust {
                command.arg("--rust").arg(rust);
            }
            return command;
        }
        let mut command = self.command("workload", allocator);
        command.arg(workload.name).args(["--scale", &scale]);
        if let Some(threads) = self.threads {
            command.arg("--threads").arg(threads.to_string());
        }
        command
    }

    /// What is resident in the course of some workloads, on each allocator once.
    pub(crate) fn timelines(&self) -> Vec<Timeline> {
        let mut all = Vec::new();
        for workload in self
            .workloads
            .iter()
            .filter(|one| TIMELINES.contains(&one.name))
        {
            eprintln!("resident memory over time: {}", workload.name);
            for allocator in self.allocators {
                match self.timeline(workload, allocator) {
                    Ok(points) => all.push(Timeline {
                        workload: workload.name.to_owned(),
                        allocator: allocator.name.clone(),
                        points,
                    }),
                    Err(error) => eprintln!("  {} failed: {error:#}", allocator.name),
                }
            }
        }
        all
    }

    fn timeline(&self, workload: &Workload, allocator: &Allocator) -> Result<Vec<(u32, u32)>> {
        let mut command = self.workload(workload, allocator);
        let start = Instant::now();
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut points = Vec::new();
        let file = format!("/proc/{}/statm", child.id());
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            // Between its end and our asking there is no such process any more.
            let text = fs::read_to_string(&file).unwrap_or_default();
            let pages = text
                .split(' ')
                .nth(1)
                .and_then(|pages| pages.parse::<u32>().ok());
            if let Some(pages) = pages.filter(|&pages| pages > 0) {
                points.push((start.elapsed().as_millis() as u32, pages * 4));
            }
            thread::sleep(BETWEEN_POINTS);
        };
        ensure!(status.success(), "{status}");
        Ok(thinned(&points, POINTS))
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
    pub(crate) fn system_calls(&self) -> Result<Vec<HelloCalls>> {
        if provide::output("strace", &["--version"]).is_err() {
            provide::install_one_of(&["strace"])?;
        }
        self.allocators
            .iter()
            .map(|allocator| self.count_calls(allocator))
            .collect()
    }

    fn count_calls(&self, allocator: &Allocator) -> Result<HelloCalls> {
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
        Ok(calls(&fs::read_to_string(&log)?))
    }
}

/// Whether a workload is measured in this round.
fn is_due(round: usize, workload: &Workload, cell: &Cell) -> bool {
    let slowest = cell
        .samples
        .iter()
        .map(|sample| sample.seconds)
        .fold(0.0, f64::max);
    let every = match workload.group {
        _ if slowest > VERY_SLOW => return false,
        Group::Pattern if slowest <= SLOW => 1,
        _ => THIRD,
    };
    round.is_multiple_of(every)
}

/// At most so many of the points: of each piece the highest, so that peaks stay.
fn thinned(points: &[(u32, u32)], most: usize) -> Vec<(u32, u32)> {
    let piece = points.len().div_ceil(most).max(1);
    let highest = |piece: &[(u32, u32)]| piece.iter().copied().max_by_key(|point| point.1);
    points.chunks(piece).filter_map(highest).collect()
}

/// Counts the system calls in the log of strace. The loader has finished when it unmaps its cache.
fn calls(log: &str) -> HelloCalls {
    const MEMORY: [&str; 6] = [
        "mmap(",
        "munmap(",
        "mremap(",
        "madvise(",
        "mprotect(",
        "brk(",
    ];
    let is_call = |line: &&str| line.contains('(') && !line.contains("resumed>");
    let lines = || log.lines().filter(is_call);
    let is_memory = |line: &&str| MEMORY.iter().any(|call| line.contains(call));
    let cache = lines()
        .skip_while(|line| !line.contains("/etc/ld.so.cache"))
        .find(|line| line.contains("mmap("))
        .and_then(|line| line.rsplit_once("= "))
        .map_or("no cache", |(_, address)| address.trim());
    let unmaps = format!("munmap({cache},");
    let after = lines().skip_while(|line| !line.contains(&unmaps)).skip(1);
    HelloCalls {
        all: lines().count() as u64,
        memory: after.filter(is_memory).count() as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loaders_calls_are_not_the_allocators() {
        let log = "\
1 execve(\"hello\", [\"hello\"]) = 0
1 openat(AT_FDCWD, \"/etc/ld.so.cache\", O_RDONLY) = 3
1 mmap(NULL, 20000, PROT_READ, MAP_PRIVATE, 3, 0) = 0x7000
1 mmap(NULL, 8192, PROT_READ, MAP_PRIVATE, -1, 0) = 0x9000
1 munmap(0x7000, 20000) = 0
1 mmap(NULL, 262144, PROT_READ, MAP_PRIVATE, -1, 0) = 0x400000
1 write(1, \"hello\", 5) = 5
1 madvise(0x400000, 4096, MADV_DONTNEED <unfinished ...>
1 <... madvise resumed>) = 0
1 +++ exited with 0 +++
";
        let counted = calls(log);
        assert_eq!((counted.all, counted.memory), (8, 2));
    }

    #[test]
    fn what_is_slow_is_measured_less_often() {
        let (pattern, program) = ("small", "sqlite");
        let due = |name, seconds, round| {
            let outcome = "seconds=1 operations=1 checksum=1 peak_kib=1"
                .parse()
                .unwrap();
            let sample = Sample {
                round: 0,
                seconds,
                cpu: 1.0,
                outcome,
            };
            let cell = Cell {
                samples: vec![sample],
                failure: None,
            };
            is_due(round, Workload::named(name).unwrap(), &cell)
        };
        assert!(due(pattern, 1.0, 1) && !due(program, 1.0, 1) && due(program, 1.0, 3));
        assert!(!due(pattern, 4.0, 1) && due(pattern, 4.0, 3) && !due(pattern, 20.0, 3));
    }

    #[test]
    fn peaks_stay() {
        let points: Vec<_> = (0..1000)
            .map(|at| (at, if at == 777 { 9 } else { 1 }))
            .collect();
        let few = thinned(&points, 10);
        assert!(few.len() <= 10 && few.contains(&(777, 9)));
        assert_eq!(thinned(&points[..3], 10).len(), 3);
    }
}
