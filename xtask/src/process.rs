//! Runs a command to its end or to its time limit, and leaves nothing of it behind.

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Resource, Rlimit, Signal};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};
use std::{
    fs,
    io::{Read, Seek},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// How often a running command is looked at.
const TICK: Duration = Duration::from_millis(5);

/// The process groups under way: an interrupt from the terminal does not reach them by itself.
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// What an interrupt must remove, for nobody else will.
static TEMPORARY: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Has an interrupt remove this directory.
pub(crate) fn remove_at_interrupt(folder: &Path) {
    TEMPORARY
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(folder.to_owned());
}

fn running() -> MutexGuard<'static, Vec<Pid>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Prepares this process for running tests: an interrupt ends them too, and crashes leave no cores.
pub(crate) fn begin() -> Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: rustix::process::getrlimit(Resource::Core).maximum,
    };
    rustix::process::setrlimit(Resource::Core, none)?;
    let mut signals =
        Signals::new([SIGHUP, SIGINT, SIGTERM]).context("cannot listen for signals")?;
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            running().iter().for_each(|&group| end(group));
            for folder in TEMPORARY
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .iter()
            {
                let _ = fs::remove_dir_all(folder);
            }
            std::process::exit(128 + signal);
        }
    });
    Ok(())
}

/// How a command ended.
pub(crate) struct Ended {
    /// `None` if the time limit ended it.
    pub(crate) status: Option<ExitStatus>,
    /// Standard output and standard error, in the order of writing.
    pub(crate) output: String,
    pub(crate) took: Duration,
}

impl Ended {
    pub(crate) fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// The end, in words for a reader.
    pub(crate) fn describe(&self) -> String {
        match self.status {
            None => format!("still running after {} s", self.took.as_secs()),
            Some(status) => match status.signal() {
                Some(signal) => format!("killed by signal {}", signal_name(signal)),
                None => format!("exit status {}", status.code().unwrap_or_default()),
            },
        }
    }
}

/// Runs a command without standard input. All its descendants end with it, unless they leave its group.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<Ended> {
    run_while_awake(command, limit, limit)
}

/// As [`run`]; it also ends when no thread of the group has run or wanted to for `still`.
pub(crate) fn run_while_awake(
    command: &mut Command,
    limit: Duration,
    still: Duration,
) -> Result<Ended> {
    let mut output = tempfile::tempfile()?;
    let name = command.get_program().to_os_string();
    command.process_group(0).stdin(Stdio::null());
    command
        .stdout(output.try_clone()?)
        .stderr(output.try_clone()?);

    let start = Instant::now();
    let child = {
        // Not to be interrupted between the start and the note of it.
        let mut running = running();
        let child = command
            .spawn()
            .with_context(|| format!("cannot run {}", name.display()))?;
        running.push(Pid::from_child(&child));
        child
    };
    let group = Pid::from_child(&child);
    let status = wait(child, start + limit, still.min(limit));
    let took = start.elapsed();
    // What the command left running.
    end(group);
    running().retain(|&other| other != group);

    let mut text = Vec::new();
    output.rewind()?;
    output.read_to_end(&mut text)?;
    Ok(Ended {
        status: status?,
        output: String::from_utf8_lossy(&text).into_owned(),
        took,
    })
}

/// The status of a child, or `None` after it had to be killed: at the deadline, or because its group stood still.
fn wait(mut child: Child, deadline: Instant, still: Duration) -> Result<Option<ExitStatus>> {
    let group = Pid::from_child(&child);
    let mut seen = (Instant::now(), None);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let now = Instant::now();
        // Four looks that see the same and nobody who wants to run.
        if now >= seen.0 + still / 4 {
            let ticks = ticks_if_asleep(group);
            let times = match seen.1 {
                Some((before, times)) if ticks == Some(before) => times + 1,
                _ => 0,
            };
            seen = (now, ticks.map(|ticks| (ticks, times)));
        }
        let stands_still = seen.1.is_some_and(|(_, times)| times == 4);
        if now >= deadline || stands_still {
            end(group);
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(TICK);
    }
}

/// The processor time of a group, or `None` if one of its threads runs or wants to.
fn ticks_if_asleep(group: Pid) -> Option<u64> {
    let mut ticks = 0;
    for process in fs::read_dir("/proc").ok()?.flatten() {
        // State, parent, group, and further on the time in the program and in the kernel.
        let Some(stat) = stat(&process.path()) else {
            continue;
        };
        let number = |at: usize| stat.get(at)?.parse::<u64>().ok();
        if number(2) != u64::try_from(group.as_raw_nonzero().get()).ok() {
            continue;
        }
        ticks += number(11)? + number(12)?;
        for thread in fs::read_dir(process.path().join("task")).ok()?.flatten() {
            if stat_is_awake(&thread.path()) {
                return None;
            }
        }
    }
    Some(ticks)
}

fn stat_is_awake(thread: &Path) -> bool {
    stat(thread).is_some_and(|stat| matches!(stat[0].as_str(), "R" | "D"))
}

/// What the kernel says of a process or thread, from its state on.
fn stat(folder: &Path) -> Option<Vec<String>> {
    let text = fs::read_to_string(folder.join("stat")).ok()?;
    // The name before may have anything in it.
    let (_, behind) = text.rsplit_once(") ")?;
    Some(behind.split(' ').map(str::to_owned).collect())
}

fn end(group: Pid) {
    // The group may be empty already.
    let _ = rustix::process::kill_process_group(group, Signal::KILL);
}

/// The signals that tests expect, and those they die of.
const SIGNALS: [(&str, Signal); 8] = [
    ("ABRT", Signal::ABORT),
    ("SEGV", Signal::SEGV),
    ("BUS", Signal::BUS),
    ("ILL", Signal::ILL),
    ("TRAP", Signal::TRAP),
    ("FPE", Signal::FPE),
    ("KILL", Signal::KILL),
    ("TERM", Signal::TERM),
];

/// The number of a signal given as `ABRT` or `SIGABRT`.
pub(crate) fn signal_number(name: &str) -> Result<i32> {
    let short = name.strip_prefix("SIG").unwrap_or(name);
    match SIGNALS.iter().find(|(known, _)| *known == short) {
        Some((_, signal)) => Ok(signal.as_raw()),
        None => bail!("unknown signal {name}"),
    }
}

fn signal_name(number: i32) -> String {
    match SIGNALS.iter().find(|(_, signal)| signal.as_raw() == number) {
        Some((name, _)) => (*name).to_owned(),
        None => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration) -> Ended {
        run(Command::new("sh").args(["-c", script]), limit).unwrap()
    }

    #[test]
    fn both_streams_are_kept_in_order() {
        let ended = sh(
            "echo one; echo two >&2; echo three; exit 3",
            Duration::from_secs(20),
        );
        assert_eq!(ended.output, "one\ntwo\nthree\n");
        assert_eq!(ended.describe(), "exit status 3");
    }

    #[test]
    fn a_signal_is_named() {
        let ended = sh("kill -ABRT $$", Duration::from_secs(20));
        assert_eq!(ended.describe(), "killed by signal ABRT");
        assert_eq!(
            signal_number("SIGABRT").unwrap(),
            signal_number("ABRT").unwrap()
        );
    }

    #[test]
    fn who_waits_for_nothing_is_ended_and_who_works_is_not() {
        let short = Duration::from_millis(400);
        let long = Duration::from_secs(60);
        let mut sleeps = Command::new("sh");
        let ended = run_while_awake(sleeps.args(["-c", "sleep 1000"]), long, short).unwrap();
        assert!(ended.status.is_none() && ended.took < long);
        let mut works = Command::new("sh");
        let work = "i=0; while [ $i -lt 500000 ]; do i=$((i+1)); done";
        assert!(
            run_while_awake(works.args(["-c", work]), long, short)
                .unwrap()
                .succeeded()
        );
    }

    #[test]
    fn the_limit_ends_children_too() {
        let ended = sh(
            "sleep 1000 & echo $!; sleep 1000",
            Duration::from_millis(300),
        );
        assert!(ended.status.is_none());
        let child = format!("/proc/{}/stat", ended.output.trim());
        // Killed, and perhaps not yet collected by init.
        let gone = || std::fs::read_to_string(&child).map_or(true, |stat| stat.contains(") Z"));
        let patience = Instant::now() + Duration::from_secs(5);
        while !gone() && Instant::now() < patience {
            thread::sleep(TICK);
        }
        assert!(gone());
    }
}
