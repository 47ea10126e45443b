//! A copy of the repository with all mutants in it, and the test programs that are built there.

use super::{
    list::Mutant,
    weave::{Woven, weave},
};
use crate::cargo;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// What the library is told besides the mutants.
const PRELUDE: &str = include_str!("prelude.rs");
const FEATURES: &str = "partial,thread_oom,allocator-api2,security";
/// What the borrow checker has to say of the way in which mutants are put in, and not of the mutants.
const ARTEFACTS: [&str; 9] = [
    "E0381", "E0382", "E0499", "E0502", "E0503", "E0505", "E0506", "E0507", "E0716",
];

/// What the mutants have become.
pub(super) struct Stage {
    tree: PathBuf,
    /// Those that are no program.
    pub(super) unbuildable: BTreeSet<usize>,
    /// Those that need a program of their own.
    pub(super) alone: BTreeSet<usize>,
    /// The test programs: name and path.
    pub(super) programs: Vec<(String, PathBuf)>,
}

impl Stage {
    /// Copies the repository, and builds `suites` with as many of the mutants as there can be.
    pub(super) fn build(mutants: &[Mutant], suites: &[&str]) -> Result<Self> {
        let mut stage = Self {
            tree: cargo::target()?.join("mutants.tree"),
            unbuildable: BTreeSet::new(),
            alone: BTreeSet::new(),
            programs: Vec::new(),
        };
        let woven = mutants.iter().map(|mutant| mutant.file.as_str());
        stage.copy(&woven.chain(["src/lib.rs"]).collect())?;
        let memory = cargo::target()?.join("mutants.out");
        stage.remember(&memory, mutants);
        for _ in 0..12 {
            stage.write(mutants)?;
            let checked = stage.cargo(&["check"], &[])?;
            if !checked.errors.is_empty() {
                stage.drop_those(&checked.errors)?;
                continue;
            }
            let built = stage.cargo(&["test", "--no-run"], suites)?;
            if built.errors.is_empty() {
                stage.programs = built.programs;
                stage.keep(&memory, mutants)?;
                return Ok(stage);
            }
            stage.drop_those(&built.errors)?;
        }
        bail!("the mutants do not become a program")
    }

    /// What was left out the last time, so that it need not be found out again.
    fn remember(&mut self, memory: &Path, mutants: &[Mutant]) {
        let text = fs::read_to_string(memory).unwrap_or_default();
        let out: BTreeMap<&str, &str> = text
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .collect();
        for mutant in mutants {
            match out.get(identity(mutant).as_str()) {
                Some(&"unbuildable") => _ = self.unbuildable.insert(mutant.number),
                Some(_) => _ = self.alone.insert(mutant.number),
                None => {}
            }
        }
    }

    fn keep(&self, memory: &Path, mutants: &[Mutant]) -> Result<()> {
        let mut text = String::new();
        for mutant in mutants {
            let out = if self.unbuildable.contains(&mutant.number) {
                "unbuildable"
            } else if self.alone.contains(&mutant.number) {
                "alone"
            } else {
                continue;
            };
            text += &format!("{}\t{out}\n", identity(mutant));
        }
        fs::write(memory, text)?;
        Ok(())
    }

    /// As [`build`](Self::build), with one mutant, in the place of what it replaces. Whether that is a program.
    pub(super) fn build_alone(&mut self, mutant: &Mutant, suites: &[&str]) -> Result<bool> {
        self.copy(&BTreeSet::new())?;
        let path = self.tree.join(&mutant.file);
        let source = fs::read_to_string(cargo::root().join(&mutant.file))?;
        let offset = |(line, column): (usize, usize)| {
            let before: usize = source
                .split_inclusive('\n')
                .take(line - 1)
                .map(str::len)
                .sum();
            let mut characters = source[before..].char_indices();
            before + characters.nth(column - 1).map_or(0, |(at, _)| at)
        };
        let (start, end) = (offset(mutant.start), offset(mutant.end));
        let text = format!(
            "{}{}{}",
            &source[..start],
            mutant.replacement,
            &source[end..]
        );
        write_if_new(&path, &text)?;
        let built = self.cargo(&["test", "--no-run"], suites)?;
        self.programs = built.programs;
        Ok(built.errors.is_empty())
    }

    pub(super) fn tree(&self) -> &Path {
        &self.tree
    }

    /// All that the repository has, as it is now.
    fn copy(&self, woven: &BTreeSet<&str>) -> Result<()> {
        let output = Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard"])
            .current_dir(cargo::root())
            .output()?;
        ensure!(output.status.success(), "git names no files");
        for file in String::from_utf8(output.stdout)?.lines() {
            let (from, to) = (cargo::root().join(file), self.tree.join(file));
            let Ok(text) = fs::read(&from) else { continue };
            if woven.contains(file) && to.exists() || fs::read(&to).is_ok_and(|there| there == text)
            {
                continue;
            }
            fs::create_dir_all(to.parent().context("a file is in a folder")?)?;
            fs::copy(&from, &to)?;
            let now = fs::File::options().write(true).open(&to);
            if let Ok(file) = now {
                file.set_modified(std::time::SystemTime::now())?;
            }
        }
        Ok(())
    }

    fn write(&mut self, mutants: &[Mutant]) -> Result<()> {
        let mut by_file: BTreeMap<&str, Vec<&Mutant>> = BTreeMap::new();
        for mutant in mutants {
            let of_file = by_file.entry(&mutant.file).or_default();
            if !self.unbuildable.contains(&mutant.number) && !self.alone.contains(&mutant.number) {
                of_file.push(mutant);
            }
        }
        by_file.entry("src/lib.rs").or_default();
        for (file, mutants) in by_file {
            let source = fs::read_to_string(cargo::root().join(file))?;
            let Woven { mut text, alone } =
                weave(&source, &mutants).with_context(|| file.to_owned())?;
            self.alone.extend(alone);
            if file == "src/lib.rs" {
                text += PRELUDE;
            }
            write_if_new(&self.tree.join(file), &text)?;
        }
        Ok(())
    }

    fn cargo(&self, words: &[&str], suites: &[&str]) -> Result<Said> {
        let mut command = cargo::command(words);
        command
            .args(["--package", "ralloc", "--features", FEATURES])
            .args(["--profile", "mutants", "--message-format", "json"])
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", cargo::target()?.join("mutants.build"))
            .env("RUSTFLAGS", "--cap-lints=allow")
            .stderr(Stdio::null());
        for suite in suites {
            match *suite {
                "lib" => command.arg("--lib"),
                suite => command.args(["--test", suite]),
            };
        }
        let output = command.output()?;
        let said = Said::read(&String::from_utf8_lossy(&output.stdout))?;
        ensure!(
            output.status.success() || !said.errors.is_empty(),
            "the tests cannot be built: see cargo {} in {}",
            words.join(" "),
            self.tree.display()
        );
        Ok(said)
    }

    /// What does not compile stays out.
    fn drop_those(&mut self, errors: &[Wrong]) -> Result<()> {
        for error in errors {
            let text = fs::read(self.tree.join(&error.file))?;
            let numbers = if error.code == "E0004" {
                arms(&text[error.at..(error.end + 2000).min(text.len())])
            } else {
                blamed(&text, error.at)
            };
            ensure!(
                !numbers.is_empty(),
                "without any mutant: {}: {}",
                error.file,
                error.text
            );
            let several = numbers.len() > 1 && error.code != "E0004";
            if several || ARTEFACTS.contains(&error.code.as_str()) {
                self.alone.extend(numbers);
            } else {
                self.unbuildable.extend(numbers);
            }
        }
        Ok(())
    }
}

/// A mutant and the text that it changes.
fn identity(mutant: &Mutant) -> String {
    format!("{:08x} {}", mutant.text, mutant.key())
}

/// The mutant whose question precedes this place in its line; else all of the line.
fn blamed(text: &[u8], at: usize) -> Vec<usize> {
    let start = text[..at]
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |end| end + 1);
    let end = text[at..]
        .iter()
        .position(|&byte| byte == b'\n')
        .map_or(text.len(), |end| at + end);
    let question = "crate::mutated(";
    match numbers(&text[start..at], question).pop() {
        Some(last) => vec![last],
        None => numbers(&text[at..end], question),
    }
}

/// The numbers behind this question.
fn numbers(text: &[u8], question: &str) -> Vec<usize> {
    let text = String::from_utf8_lossy(text);
    let parts = text.split(question).skip(1);
    parts
        .filter_map(|part| part.split(')').next()?.parse().ok())
        .collect()
}

/// The arms of this match without which it does not cover all.
fn arms(text: &[u8]) -> Vec<usize> {
    numbers(text, " if !crate::mutated(")
}

struct Wrong {
    file: String,
    at: usize,
    end: usize,
    code: String,
    text: String,
}

#[derive(Default)]
struct Said {
    errors: Vec<Wrong>,
    programs: Vec<(String, PathBuf)>,
}

impl Said {
    fn read(text: &str) -> Result<Self> {
        let mut said = Self::default();
        for line in text.lines().filter(|line| line.starts_with('{')) {
            let value: Value = serde_json::from_str(line)?;
            let message = &value["message"];
            if let Some(path) = value["executable"].as_str() {
                let name = value["target"]["name"].as_str().context("no name")?;
                let name = if name == "ralloc" { "lib" } else { name };
                said.programs.push((name.to_owned(), path.into()));
            }
            if message["level"] != "error" {
                continue;
            }
            let spans = message["spans"].as_array().into_iter().flatten();
            let Some(span) = spans.clone().find(|span| span["is_primary"] == true) else {
                continue;
            };
            let place = |name: &str| -> Result<usize> {
                Ok(usize::try_from(span[name].as_u64().context("no place")?)?)
            };
            let (at, end) = (place("byte_start")?, place("byte_end")?);
            said.errors.push(Wrong {
                file: span["file_name"].as_str().unwrap_or_default().to_owned(),
                at,
                end,
                code: message["code"]["code"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
                text: message["rendered"].as_str().unwrap_or_default().to_owned(),
            });
        }
        Ok(said)
    }
}

fn write_if_new(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    fs::write(path, text).with_context(|| path.display().to_string())
}
