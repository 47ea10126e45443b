//! The mutants that `cargo-mutants` names.

use crate::cargo;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::PathBuf,
};

/// What is changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Genre {
    Body,
    Binary,
    Unary,
    Guard,
    Arm,
    Field,
}

/// One change.
pub(super) struct Mutant {
    /// Its place in the list, from 1.
    pub(super) number: usize,
    pub(super) file: String,
    /// The line, for a reader.
    pub(super) line: usize,
    /// What is done, without the place: `replace + with - in Page::extend`. Where a function has several such, `#2` and so on follow.
    pub(super) what: String,
    pub(super) genre: Genre,
    pub(super) replacement: String,
    /// Line and column, from 1.
    pub(super) start: (usize, usize),
    pub(super) end: (usize, usize),
    /// Stands for the text of the function: a verdict holds as long as that is the same.
    pub(super) text: u32,
}

impl Mutant {
    /// What stays the same when lines move.
    pub(super) fn key(&self) -> String {
        format!("{}: {}", self.file, self.what)
    }

    pub(super) fn name(&self) -> String {
        format!("{}:{}: {}", self.file, self.line, self.what)
    }
}

/// All mutants of these files, or of all.
pub(super) fn list(files: &[PathBuf]) -> Result<Vec<Mutant>> {
    let mut command = cargo::command(&["mutants", "--package", "ralloc", "--list", "--json"]);
    for file in files {
        command.arg("--file").arg(file);
    }
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "cargo-mutants lists nothing\n{said}"
    );
    let all: Vec<Value> = serde_json::from_slice(&output.stdout).context("not a list")?;
    let mut sources = HashMap::new();
    let mut same = BTreeMap::new();
    let mut mutants = Vec::new();
    for value in &all {
        let file = value["file"].as_str().context("no file")?.to_owned();
        if file.contains("..") {
            continue;
        }
        if !sources.contains_key(&file) {
            let text = fs::read_to_string(cargo::root().join(&file))?;
            sources.insert(file.clone(), text);
        }
        let mut mutant = read(value, file, mutants.len() + 1)?;
        mutant.text = text_of(value, &sources[&mutant.file], mutant.start.0);
        let times: &mut usize = same.entry(mutant.key()).or_default();
        *times += 1;
        if *times > 1 {
            mutant.what = format!("{} #{times}", mutant.what);
        }
        mutants.push(mutant);
    }
    Ok(mutants)
}

fn read(value: &Value, file: String, number: usize) -> Result<Mutant> {
    let place = |end: &str| -> Option<(usize, usize)> {
        let at = &value["span"][end];
        let word = |name: &str| usize::try_from(at[name].as_u64()?).ok();
        Some((word("line")?, word("column")?))
    };
    let name = value["name"].as_str().context("no name")?;
    let start = place("start").context("no start")?;
    Ok(Mutant {
        number,
        file,
        line: start.0,
        what: name
            .split_once(": ")
            .map_or(name, |(_, what)| what)
            .to_owned(),
        genre: match value["genre"].as_str().context("no genre")? {
            "FnValue" => Genre::Body,
            "BinaryOperator" => Genre::Binary,
            "UnaryOperator" => Genre::Unary,
            "MatchArmGuard" => Genre::Guard,
            "MatchArm" => Genre::Arm,
            _ => Genre::Field,
        },
        replacement: value["replacement"]
            .as_str()
            .context("no replacement")?
            .to_owned(),
        start,
        end: place("end").context("no end")?,
        text: 0,
    })
}

/// The function's text, or the line's. Always the same number for the same text: it is kept with the verdicts.
fn text_of(value: &Value, source: &str, line: usize) -> u32 {
    let bound = |end: &str| {
        let at = value["function"]["span"][end]["line"].as_u64();
        at.and_then(|line| usize::try_from(line).ok())
            .unwrap_or(line)
    };
    let (first, last) = (bound("start"), bound("end"));
    let lines = source.lines().skip(first - 1).take(last + 1 - first);
    let bytes = lines.flat_map(|line| line.trim().bytes().chain([b'\n']));
    // FNV-1a.
    bytes.fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}
