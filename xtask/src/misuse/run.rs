//! Compiles the programs, runs a case on an allocator, and says how it ended.

use super::case::{Case, Program, folder};
use crate::process::{self, Ended};
use anyhow::{Context, Result, ensure};
use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const FLAGS: [&str; 8] = [
    "-std=gnu17",
    "-O1",
    "-g",
    "-Wall",
    // They are misuse.
    "-Wno-use-after-free",
    "-Wno-free-nonheap-object",
    "-Wno-unknown-warning-option",
    "-pthread",
];

/// A list of free blocks that has become a ring is walked for ever.
const LIMIT: Duration = Duration::from_secs(20);
const COMPILER: Duration = Duration::from_secs(120);

/// An allocator, as a program is run on it.
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) version: String,
    /// `None` is the C library's own.
    pub(crate) preload: Option<PathBuf>,
    /// What has it check as much as it can without being built anew.
    pub(crate) environment: Vec<(&'static str, &'static str)>,
}

/// How a program ended.
#[derive(Clone, PartialEq)]
pub(crate) enum End {
    /// By its own last line, and nobody has said a word.
    Unnoticed,
    /// By its own last line, which says that what it tried came to nothing.
    Prevented,
    /// By its own last line, but the allocator has complained.
    Reported(String),
    /// By a signal; what was said before, with the block's address as `BLOCK`.
    Died {
        signal: String,
        line: Option<String>,
    },
    /// By an exit status of somebody else's making.
    Exited(String),
    /// Not by itself.
    Hung,
    /// The program found that it had been given nonsense.
    WentWrong(String),
    /// The allocator cannot be misused so.
    NotApplicable,
    /// By the last line of the control.
    Control,
}

impl End {
    /// For a reader.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Unnoticed => "nobody has noticed".to_owned(),
            Self::Prevented => "prevented".to_owned(),
            Self::Reported(line) => format!("went on after: {line}"),
            Self::Died { signal, line } => {
                format!("{signal}, after: {}", line.as_deref().unwrap_or("no word"))
            }
            Self::Exited(line) => format!("exit status of failure, after: {line}"),
            Self::Hung => "still running at the time limit".to_owned(),
            Self::WentWrong(line) => format!("the program itself was led astray: {line}"),
            Self::NotApplicable => "not applicable".to_owned(),
            Self::Control => "as the control".to_owned(),
        }
    }

    /// Whether the allocator, or the memory's protection, has seen to it that the bug does not pass.
    pub(crate) fn is_noticed(&self) -> bool {
        matches!(
            self,
            Self::Prevented | Self::Reported(_) | Self::Died { .. } | Self::Exited(_)
        )
    }
}

/// Compiles every program into the folder.
pub(crate) fn compile(programs: &[Program], into: &Path) -> Result<()> {
    for program in programs {
        let mut command = Command::new("cc");
        command.args(FLAGS).arg("-o").arg(into.join(&program.name));
        command.arg(&program.source).args(&program.libraries);
        built(&mut command)?;
    }
    Ok(())
}

/// The malloc that notices nothing.
pub(crate) fn unchecked(into: &Path) -> Result<Subject> {
    let library = into.join("unchecked.so");
    let mut command = Command::new("cc");
    command
        .args(FLAGS)
        .args(["-shared", "-fPIC", "-fno-builtin", "-o"]);
    built(command.arg(&library).arg(folder().join("unchecked.c")))?;
    Ok(Subject {
        name: "unchecked".to_owned(),
        version: "tests/misuse/unchecked.c".to_owned(),
        preload: Some(library),
        environment: Vec::new(),
    })
}

fn built(command: &mut Command) -> Result<()> {
    let ended = process::run(command, COMPILER)?;
    ensure!(
        ended.succeeded() && ended.output.is_empty(),
        "does not compile without a word: {}\n{}",
        ended.describe(),
        ended.output
    );
    Ok(())
}

/// Runs a case, or its control, on an allocator.
pub(crate) fn run(
    folder: &Path,
    program: &Program,
    case: &Case,
    control: bool,
    subject: &Subject,
) -> Result<End> {
    let mut command = Command::new(folder.join(&program.name));
    command.args([&case.variant, &case.size, &case.thread]);
    command.args(control.then_some("control"));
    // Whether misuse is found must not hang on the environment of whoever runs the tests.
    command.env_clear().current_dir(folder);
    if let Some(library) = &subject.preload {
        command.env("LD_PRELOAD", library);
    }
    command.envs(subject.environment.iter().copied());
    let ended = process::run(&mut command, LIMIT)
        .with_context(|| format!("{} {}", program.name, case.name()))?;
    ensure!(
        !ended.output.contains("ERROR: ld.so"),
        "{} was not preloaded: {}",
        subject.name,
        ended.output
    );
    Ok(end(&ended))
}

/// Reads how a program ended from what it and others have said.
fn end(ended: &Ended) -> End {
    let block = ended
        .output
        .lines()
        .find_map(|line| line.strip_prefix("block "));
    let mine = |line: &&str| line.starts_with("block ") || line.starts_with("end: ");
    let said = ended
        .output
        .lines()
        .find(|line| !mine(line) && !line.trim().is_empty());
    let said = said.map(|line| match block {
        Some(block) if block.starts_with("0x") => line.replace(block, "BLOCK"),
        _ => line.to_owned(),
    });
    let Some(status) = ended.status else {
        return End::Hung;
    };
    if let Some(line) = said.as_ref().filter(|line| line.contains(": failed: ")) {
        return End::WentWrong(line.clone());
    }
    if status.signal().is_some() {
        let signal = ended.describe().replace("killed by signal ", "");
        return End::Died { signal, line: said };
    }
    let last = ended
        .output
        .lines()
        .find_map(|line| line.strip_prefix("end: "));
    match (last, said) {
        (Some("not applicable"), _) => End::NotApplicable,
        (Some("prevented"), _) => End::Prevented,
        (Some(_), Some(line)) => End::Reported(line),
        (Some("control"), None) => End::Control,
        (Some(_), None) => End::Unnoticed,
        (None, line) => End::Exited(line.unwrap_or_else(|| ended.describe())),
    }
}

/// A fresh folder for what is compiled.
pub(crate) fn scratch() -> Result<tempfile::TempDir> {
    let folder = tempfile::Builder::new()
        .prefix("ralloc-misuse-")
        .tempdir()?;
    process::remove_at_interrupt(folder.path());
    fs::create_dir_all(folder.path())?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> End {
        end(&process::run(Command::new("sh").args(["-c", script]), LIMIT).unwrap())
    }

    #[test]
    fn ends_are_told_apart() {
        assert!(sh("echo block 0x10; echo end: unnoticed") == End::Unnoticed);
        assert!(sh("echo block 0x10; echo end: prevented") == End::Prevented);
        assert!(sh("echo end: control") == End::Control);
        assert!(sh("echo end: not applicable") == End::NotApplicable);
        let line = "ralloc: double free: BLOCK".to_owned();
        let reported =
            sh("echo block 0x10; echo ralloc: double free: 0x10 >&2; echo end: unnoticed");
        assert!(reported == End::Reported(line.clone()));
        let died = sh("echo block 0x10; echo ralloc: double free: 0x10 >&2; kill -ABRT $$");
        let signal = "ABRT".to_owned();
        assert!(
            died == End::Died {
                signal,
                line: Some(line)
            }
        );
        let signal = "SEGV".to_owned();
        assert!(sh("echo block 0x10; kill -SEGV $$") == End::Died { signal, line: None });
        assert!(matches!(
            sh("echo x.c:3: failed: p: no memory; exit 1"),
            End::WentWrong(_)
        ));
        assert!(matches!(sh("exit 1"), End::Exited(_)));
    }
}
