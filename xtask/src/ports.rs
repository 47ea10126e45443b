//! The other systems: everything is built, what can run runs, and a table says which is which.
//!
//! Linux on other processors and C libraries is the business of [`crate::cross`]; here are Windows under wine, the module for the
//! BSDs and macOS in the place of Linux' own, the Rust tests on other processors, and the static libraries of the rest.
//! In short form, as a tier, what takes its time is left out: the table names the command for it.

mod emulated;
mod windows;

use crate::{
    cargo,
    cross::{self, Core},
    header::Header,
    needs::{self, Needs},
    process,
    redox::toolchain,
    report::{Outcome, Report},
    unit,
};
use anyhow::{Result, bail};
use emulated::EMULATED;
use std::{path::PathBuf, process::ExitCode, time::Duration};

const LIMIT: Duration = Duration::from_secs(1800);
/// For the tests of one package where nobody waits for them: it only ends what hangs.
const UNHURRIED_LIMIT: Duration = Duration::from_secs(4 * 3600);

/// What the user asked for.
#[derive(clap::Args)]
pub(crate) struct Ports {
    /// Only these rows: their names (--list prints them), or parts of what is said of them.
    rows: Vec<String>,
    /// What the tier runs.
    #[arg(long)]
    short: bool,
    /// Name the rows, and run nothing.
    #[arg(long)]
    list: bool,
}

impl Ports {
    /// What the tier runs.
    pub(crate) fn tier() -> Self {
        Self {
            rows: Vec::new(),
            short: true,
            list: false,
        }
    }

    fn wants(&self, name: Name) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|word| name.is_meant_by(word))
    }

    /// A word that means no row.
    fn unknown(&self) -> Option<&String> {
        let known = |word: &str| names().any(|name| name.is_meant_by(word));
        self.rows.iter().find(|word| !known(word))
    }
}

/// What a row is called on the command line, and what it says of itself.
#[derive(Clone, Copy)]
struct Name {
    key: &'static str,
    about: &'static str,
}

impl Name {
    /// A word that is the name of rows means these only; any other, rows that say it of themselves.
    fn is_meant_by(self, word: &str) -> bool {
        let word = word.to_lowercase();
        match names().any(|name| name.key == word) {
            true => self.key == word,
            false => self.about.to_lowercase().contains(&word),
        }
    }
}

/// A row of the table.
struct Row {
    name: Name,
    built: String,
    run: String,
}

const UNIX: Name = Name {
    key: "unix",
    about: "the module for the BSDs and macOS, natively on Linux",
};

/// A system for which only the static library is built here: what it runs on is not.
const BUILT: [(Name, &str); 7] = [
    (
        Name {
            key: "freebsd",
            about: "FreeBSD x86_64, static library",
        },
        "x86_64-unknown-freebsd",
    ),
    (
        Name {
            key: "netbsd",
            about: "NetBSD x86_64, static library",
        },
        "x86_64-unknown-netbsd",
    ),
    (
        Name {
            key: "openbsd",
            about: "OpenBSD x86_64, static library",
        },
        "x86_64-unknown-openbsd",
    ),
    (
        Name {
            key: "dragonfly",
            about: "DragonFly BSD x86_64, static library",
        },
        "x86_64-unknown-dragonfly",
    ),
    (
        Name {
            key: "macos-x86_64",
            about: "macOS x86_64, static library",
        },
        "x86_64-apple-darwin",
    ),
    (
        Name {
            key: "macos-aarch64",
            about: "macOS aarch64, static library",
        },
        "aarch64-apple-darwin",
    ),
    (
        Name {
            key: "msvc",
            about: "Windows msvc, static library",
        },
        "x86_64-pc-windows-msvc",
    ),
];

/// Every row, in the order of the table.
fn names() -> impl Iterator<Item = Name> {
    [UNIX, windows::PROGRAMS]
        .into_iter()
        .chain(BUILT.iter().map(|(name, _)| *name))
        .chain(EMULATED.iter().map(|row| row.name))
}

/// The command: everything, and the table.
pub(crate) fn command(ports: &Ports) -> Result<ExitCode> {
    if let Some(word) = ports.unknown() {
        bail!(
            "no row is called {word}, and none says so of itself; `cargo xtask ports --list` names them"
        );
    }
    if ports.list {
        for Name { key, about } in names().filter(|name| ports.wants(*name)) {
            println!("{key:15}{about}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    process::begin()?;
    let mut report = Report::new();
    let mut rows = Vec::new();
    report.tier("ports", |report| all(ports, report, &mut rows))?;
    println!("| row | built | run |\n|---|---|---|");
    for Row { name, built, run } in rows {
        println!("| {} | {built} | {run} |", name.about);
    }
    println!("\nC programs on other processors and with other C libraries: `cargo xtask cross`.\n");
    Ok(report.close())
}

/// The tier.
pub(crate) fn run(report: &mut Report) -> Result<()> {
    all(&Ports::tier(), report, &mut Vec::new())
}

fn all(ports: &Ports, report: &mut Report, rows: &mut Vec<Row>) -> Result<()> {
    if ports.wants(UNIX) {
        rows.push(unix_module(ports.short, report)?);
    }
    if ports.wants(windows::PROGRAMS) {
        rows.push(windows::programs(report)?);
    }
    for &(name, target) in BUILT.iter().filter(|(name, _)| ports.wants(*name)) {
        let built = static_library(target)?;
        report.add(name.about, None, &built);
        rows.push(Row {
            name,
            built: word(&built),
            run: "-".to_owned(),
        });
    }
    if ports.short {
        return Ok(());
    }
    for row in EMULATED.iter().filter(|row| ports.wants(row.name)) {
        rows.push(row.tests(report)?);
    }
    Ok(())
}

fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Passed => "yes".to_owned(),
        Outcome::Failed { reason, .. } => format!("FAILED: {reason}"),
        Outcome::Skipped { reason } => format!("skipped: {reason}"),
    }
}

/// What is built in a folder of its own: other features and targets would have everything built anew.
fn folder() -> Result<PathBuf> {
    Ok(cargo::target()?.join("ports"))
}

/// The tests of the platform on the module for the BSDs and macOS; in full those of the allocator too.
fn unix_module(short: bool, report: &mut Report) -> Result<Row> {
    let suites: [(&str, &str); 2] = [
        ("ralloc-platform", "sim,unix"),
        (
            "ralloc",
            "partial,thread_oom,allocator-api2,ralloc-platform/unix",
        ),
    ];
    let (limit, suites) = match short {
        true => (LIMIT, &suites[..1]),
        false => (UNHURRIED_LIMIT, &suites[..]),
    };
    let mut counts = Vec::new();
    for (package, features) in suites {
        let mut command = cargo::command(&["test", "--no-fail-fast", "--package", package]);
        command.args(["--features", features, "--target-dir"]);
        command.arg(folder()?);
        let name = format!("unix, {package}");
        let counted = unit::counted_within(limit, &name, &mut command, report)?;
        counts.push(format!("{package}: {counted}"));
    }
    Ok(Row {
        name: UNIX,
        built: "yes".to_owned(),
        run: counts.join("; "),
    })
}

/// Whether a target can be built for, and the commands are there.
fn ready(target: &str, commands: &str, packages: &str) -> Result<Result<(), Outcome>> {
    let header = format!("//needs: {commands}\n//packages: {packages}");
    let needs = Needs::of(&Header::parse(&header, "//"));
    needs::install([&needs])?;
    if let Some(reason) = needs.missing() {
        return Ok(Err(Outcome::skipped(reason)));
    }
    Ok(match cross::core_library(target)? {
        Core::Built => Ok(()),
        _ => Err(no_core(target)),
    })
}

fn no_core(target: &str) -> Outcome {
    Outcome::skipped(format!(
        "needs the core library for {target} (rustup target add)"
    ))
}

/// `libralloc.a` for a target whose linker is not needed for that. Where rustup has no core library, it is built from source.
fn static_library(target: &str) -> Result<Outcome> {
    let mut command = match cross::core_library(target)? {
        Core::Built => cargo::command(&["rustc"]),
        _ => match toolchain::find()? {
            Some(toolchain) => toolchain.cargo("rustc"),
            None => return Ok(Outcome::skipped(toolchain::MISSING)),
        },
    };
    command
        .args(["--release", "--package", "libralloc", "--lib"])
        .args(["--no-default-features", "--crate-type", "staticlib"])
        // Whole-program optimisation is not what is tested here.
        .args(["--config", "profile.release.lto=false"])
        .args(["--target", target, "--target-dir"])
        .arg(folder()?)
        .current_dir(cargo::root());
    let ended = process::run(&mut command, LIMIT)?;
    let folder = folder()?.join(target).join("release");
    let library = ["libralloc.a", "ralloc.lib"].map(|name| folder.join(name));
    Ok(
        match ended.succeeded() && library.iter().any(|file| file.is_file()) {
            true => Outcome::Passed,
            false => Outcome::failed(ended.describe(), ended.output),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant_by(word: &str) -> Vec<&'static str> {
        let meant = names().filter(|name| name.is_meant_by(word));
        meant.map(|name| name.key).collect()
    }

    #[test]
    fn the_name_of_a_row_means_no_other() {
        assert_eq!(meant_by("aarch64"), ["aarch64"]);
        assert_eq!(meant_by("Windows"), ["windows", "windows"]);
    }

    #[test]
    fn any_other_word_means_the_rows_that_say_it() {
        assert_eq!(meant_by("macOS"), ["unix", "macos-x86_64", "macos-aarch64"]);
        assert_eq!(meant_by("64 KiB"), ["aarch64-64k"]);
    }

    #[test]
    fn a_word_that_nobody_says_is_told() {
        let rows = ["i686", "beos"].map(str::to_owned).to_vec();
        let ports = Ports {
            rows,
            ..Ports::tier()
        };
        assert_eq!(ports.unknown().unwrap(), "beos");
    }
}
