//! `cargo xtask explain`: what each resident byte is for when there are most of them.
//!
//! The library of `bench/account` is preloaded twice: it says how much was resident at most, and then, when there is nearly as much
//! again, stops the threads and adds up. What it says is read here, and must add up to what the kernel says.

use crate::{
    cargo,
    report::{Outcome, Report},
};
use anyhow::{Context, Result, bail, ensure};
use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

/// What to explain.
#[derive(clap::Args)]
pub(crate) struct Explain {
    /// A workload of the bench; or, behind `--`, a program and its arguments.
    #[arg(
        required = true,
        value_name = "WORKLOAD | -- PROGRAM ARGUMENTS",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    words: Vec<String>,
    /// Factor on the amount of work of a workload.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Threads of a workload that has several.
    #[arg(long)]
    threads: Option<usize>,
}

/// The second run stops here, of what was most in the first.
const NEAR: [f64; 4] = [0.985, 0.95, 0.85, 0.7];
/// The account and the kernel may be so far apart.
const TOLERANCE: f64 = 0.02;

/// What the library has written.
#[derive(Debug, Default)]
struct Account {
    figures: BTreeMap<String, u64>,
    /// Kind, block size, pieces, mapped, resident.
    rows: Vec<Row>,
}

#[derive(Debug, PartialEq)]
struct Row {
    kind: String,
    size: u64,
    pieces: u64,
    mapped: u64,
    resident: u64,
}

/// The kinds that a class has, in the order of the columns, and what they are.
const OF_BLOCKS: [(&str, &str); 9] = [
    ("asked", "live, as asked"),
    ("rounding", "internal waste of live blocks"),
    ("heads", "free, in threads' heads"),
    ("rings", "freed by others, in their rings"),
    ("inboxes", "freed by others, delivered"),
    (
        "underway",
        "used, with nobody: being taken or given back at that moment",
    ),
    ("free", "free, in partly free pages"),
    ("fresh", "never used, rest of pages"),
    ("tail", "ends of pages where no block fits"),
];
const OTHERS: [(&str, &str); 6] = [
    ("run-rest", "runs with nobody"),
    ("empty", "empty slices that are kept"),
    ("waiting", "huge blocks kept for reuse"),
    ("header", "chunk headers"),
    ("heaps", "heap records"),
    ("table", "tables and state of the process"),
];

/// The command.
pub(crate) fn command(explain: &Explain) -> Result<ExitCode> {
    let (account, peak) = account(explain)?;
    print!("{}", account.report(peak)?);
    Ok(match account.agrees()? {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// A short workload, whose account must add up.
pub(crate) fn test(report: &mut Report) -> Result<()> {
    let start = Instant::now();
    let explain = Explain {
        words: vec!["server".to_owned()],
        scale: 0.1,
        threads: None,
    };
    let outcome = match account(&explain) {
        Err(error) => Outcome::failed(format!("{error:#}"), ""),
        Ok((account, _)) if account.agrees()? => Outcome::Passed,
        Ok((account, peak)) => {
            Outcome::failed("the account does not add up", account.report(peak)?)
        }
    };
    report.add("explain server", Some(start.elapsed()), &outcome);
    Ok(())
}

/// What is explained, and the most that was resident.
fn account(explain: &Explain) -> Result<(Account, u64)> {
    ensure!(
        cfg!(target_os = "linux"),
        "asks the kernel of Linux what is resident"
    );
    let library = build()?;
    let scratch = tempfile::tempdir()?;
    let (peak, out) = (scratch.path().join("peak"), scratch.path().join("account"));
    run(
        explain,
        &library,
        &[("RALLOC_EXPLAIN_PEAK", &peak.display().to_string())],
    )?;
    let text = fs::read_to_string(&peak)
        .context("the library was not loaded: a static program, or one of another kind?")?;
    let peak: u64 = text.trim().parse().context("no peak")?;
    let mut account = Account::default();
    for near in NEAR {
        let at = (peak as f64 * near) as u64;
        let at = [
            ("RALLOC_EXPLAIN_AT", at.to_string()),
            ("RALLOC_EXPLAIN_OUT", out.display().to_string()),
        ];
        run(
            explain,
            &library,
            &at.each_ref().map(|(name, value)| (*name, value.as_str())),
        )?;
        account = Account::parse(&fs::read_to_string(&out).context("no account was written")?)?;
        if account.figure("at-exit")? == 0 {
            break;
        }
    }
    Ok((account, peak))
}

/// Builds the library and the programs of the bench.
fn build() -> Result<std::path::PathBuf> {
    for words in [
        &["account"][..],
        &["bench", "--bin", "workload", "--bin", "hello"],
    ] {
        let mut build = cargo::command(&["build", "--release", "--quiet", "--package"]);
        ensure!(
            build.args(words).status()?.success(),
            "{} cannot be built",
            words[0]
        );
    }
    Ok(cargo::target()?.join("release/libralloc_account.so"))
}

/// Runs what is to be explained, and leaves its own output alone.
fn run(explain: &Explain, library: &Path, variables: &[(&str, &str)]) -> Result<()> {
    let [first, rest @ ..] = &explain.words[..] else {
        bail!("nothing to explain")
    };
    let programs = cargo::target()?.join("release");
    let is_program = std::env::args().any(|word| word == "--");
    let mut command = match first.as_str() {
        program if is_program => Command::new(program),
        "hello" => Command::new(programs.join("hello")),
        name => {
            let mut command = Command::new(programs.join("workload"));
            command
                .arg(name)
                .arg("--scale")
                .arg(explain.scale.to_string());
            if let Some(threads) = explain.threads {
                command.arg("--threads").arg(threads.to_string());
            }
            command.stdout(Stdio::null());
            command
        }
    };
    command
        .args(rest)
        .env("LD_PRELOAD", library)
        .envs(variables.iter().copied());
    let status = command
        .status()
        .with_context(|| format!("{first} does not start"))?;
    ensure!(status.success(), "{first}: {status}");
    Ok(())
}

impl Account {
    fn parse(text: &str) -> Result<Account> {
        let mut account = Account::default();
        for line in text.lines() {
            let words: Vec<_> = line.split(' ').collect();
            match words[..] {
                ["row", kind, size, pieces, mapped, resident] => account.rows.push(Row {
                    kind: kind.to_owned(),
                    size: size.parse()?,
                    pieces: pieces.parse()?,
                    mapped: mapped.parse()?,
                    resident: resident.parse()?,
                }),
                [name, value] => {
                    account.figures.insert(name.to_owned(), value.parse()?);
                }
                _ => bail!("the library says {line:?}"),
            }
        }
        Ok(account)
    }

    fn figure(&self, name: &str) -> Result<u64> {
        self.figures
            .get(name)
            .copied()
            .with_context(|| format!("the library says no {name}"))
    }

    /// Pieces, mapped and resident bytes of a kind, of one class or of all.
    fn of(&self, kind: &str, size: Option<u64>) -> (u64, u64, u64) {
        let rows = self.rows.iter().filter(|row| row.kind == kind);
        let rows = rows.filter(|row| size.is_none_or(|size| row.size == size));
        rows.fold((0, 0, 0), |sum, row| {
            (sum.0 + row.pieces, sum.1 + row.mapped, sum.2 + row.resident)
        })
    }

    fn sum(&self) -> u64 {
        self.rows.iter().map(|row| row.resident).sum()
    }

    /// Whether the account is what the kernel says, and what the program asked for is what it was seen to ask for.
    fn agrees(&self) -> Result<bool> {
        let near = |one: u64, other: u64| {
            (one as f64 - other as f64).abs() <= TOLERANCE * one.max(other) as f64
        };
        // Of what was asked for, also what was never touched.
        let (_, asked, _) = self.of("asked", None);
        Ok(near(self.sum(), self.figure("allocator-rss")?)
            && near(asked, self.figure("asked-by-doors")?)
            && self.figure("stopped")? >= self.figure("threads")?)
    }

    fn report(&self, peak: u64) -> Result<String> {
        let kib = |bytes: u64| bytes.div_ceil(1024);
        let (process, allocator) = (self.figure("process-rss")?, self.figure("allocator-rss")?);
        let (files, notes) = (self.figure("file-rss")?, self.figure("notes-rss")?);
        let mut text = String::new();
        let when = match self.figure("at-exit")? {
            0 => format!(
                "at {:.1} % of the peak",
                process as f64 / 10.24 / peak.max(1) as f64
            ),
            _ => "at the end: it did not come near the peak again".to_owned(),
        };
        writeln!(
            text,
            "resident in the process, {when}: {} KiB",
            kib(process)
        )?;
        writeln!(text, "  {:>10} KiB  the allocator", kib(allocator))?;
        writeln!(
            text,
            "  {:>10} KiB  text and data of program and libraries",
            kib(files)
        )?;
        writeln!(
            text,
            "  {:>10} KiB  notes of this command, for want of which there would be less",
            kib(notes)
        )?;
        let rest = process.saturating_sub(allocator + files + notes);
        writeln!(
            text,
            "  {:>10} KiB  the program's own: stacks, mappings, data it has written\n",
            kib(rest)
        )?;
        writeln!(
            text,
            "{:<62}{:>10}{:>12}{:>12}",
            "the allocator", "pieces", "mapped KiB", "resident"
        )?;
        for (kind, what) in OF_BLOCKS.iter().chain(&OTHERS) {
            let (pieces, mapped, resident) = self.of(kind, None);
            let what = format!("{kind}: {what}");
            writeln!(
                text,
                "{what:<62}{pieces:>10}{:>12}{:>12}",
                kib(mapped),
                kib(resident)
            )?;
        }
        let sum = self.sum();
        let apart = (sum as f64 / allocator.max(1) as f64 - 1.0) * 100.0;
        writeln!(text, "{:<62}{:>10}{:>12}{:>12}", "sum", "", "", kib(sum))?;
        writeln!(
            text,
            "{:<62}{:>10}{:>12}{:>12}",
            "resident, as the kernel says",
            "",
            "",
            kib(allocator)
        )?;
        let (_, asked, _) = self.of("asked", None);
        writeln!(
            text,
            "apart: {apart:+.2} %; asked for: {} KiB, as the calls were counted {} KiB; threads stopped: {} of {}",
            kib(asked),
            kib(self.figure("asked-by-doors")?),
            self.figure("stopped")?,
            self.figure("threads")?
        )?;
        self.classes(&mut text)?;
        if !self.agrees()? {
            writeln!(
                text,
                "\nTHE ACCOUNT IS NOT WHAT THE KERNEL AND THE CALLS SAY"
            )?;
        }
        Ok(text)
    }

    /// A line for each class, resident KiB.
    fn classes(&self, text: &mut String) -> Result<()> {
        let mut sizes: Vec<u64> = self.rows.iter().map(|row| row.size).collect();
        sizes.sort_unstable();
        sizes.dedup();
        write!(text, "\n{:>8}", "resident")?;
        for (kind, _) in OF_BLOCKS {
            write!(text, "{kind:>10}")?;
        }
        writeln!(text)?;
        // Runs and huge blocks behind the classes.
        sizes.sort_by_key(|&size| if size <= 2 { u64::MAX - 2 + size } else { size });
        for size in sizes.into_iter().filter(|&size| size != u64::MAX) {
            let name = match size {
                1 => "runs".to_owned(),
                2 => "huge".to_owned(),
                size => size.to_string(),
            };
            write!(text, "{name:>8}")?;
            for (kind, _) in OF_BLOCKS {
                write!(text, "{:>10}", self.of(kind, Some(size)).2.div_ceil(1024))?;
            }
            writeln!(text)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "at-exit 0\nthreads 1\nstopped 1\nprocess-rss 100000\nfile-rss 1000\nnotes-rss 1000\n\
        allocator-rss 8192\nasked-by-doors 4000\nrow asked 32 10 4000 4000\nrow free 32 3 96 96\nrow table 18446744073709551615 1 4096 4096\n";

    #[test]
    fn an_account_that_adds_up_is_believed() {
        let account = Account::parse(TEXT).unwrap();
        assert_eq!(account.sum(), 8192);
        assert!(account.agrees().unwrap());
        let report = account.report(100).unwrap();
        assert!(
            report.contains("apart: +0.00 %") && !report.contains("THE ACCOUNT"),
            "{report}"
        );
    }

    #[test]
    fn one_that_does_not_is_not() {
        for (from, to) in [
            ("allocator-rss 8192", "allocator-rss 8500"),
            ("asked-by-doors 4000", "asked-by-doors 4500"),
            ("stopped 1", "stopped 0"),
        ] {
            let account = Account::parse(&TEXT.replace(from, to)).unwrap();
            assert!(!account.agrees().unwrap(), "{to}");
            assert!(account.report(100).unwrap().contains("THE ACCOUNT IS NOT"));
        }
        assert!(Account::parse("row asked 1").is_err());
        assert!(Account::parse("at-exit 0").unwrap().report(1).is_err());
    }
}
