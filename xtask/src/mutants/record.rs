//! What has become of each mutant, in a file that later runs go on with, and in a table for a reader.

use super::list::Mutant;
use anyhow::{Context, Result};
use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

/// An outcome, as it is written down.
pub(super) const KILLED: &str = "killed";
/// It was still running when the test had long been over without it.
pub(super) const CIRCLES: &str = "circles";
/// It is no program.
pub(super) const UNBUILDABLE: &str = "unbuildable";
/// All tests that reach it pass.
pub(super) const SURVIVES: &str = "survives";
/// No test reaches it.
pub(super) const UNREACHED: &str = "unreached";
/// It has survived so much time of tests, and there are more.
pub(super) const WAITS: &str = "waits";

/// The verdicts so far.
pub(super) struct Record {
    /// Where each goes as it comes.
    journal: PathBuf,
    /// Where all are kept, in the repository.
    kept: PathBuf,
    /// By mutant: the text of its function then, and the outcome.
    known: HashMap<String, (u32, String)>,
}

impl Record {
    /// What earlier runs have left: what is kept, and what has not been written there yet.
    pub(super) fn open(journal: PathBuf, kept: PathBuf) -> Self {
        let mut known = HashMap::new();
        let mut file = "";
        let text = fs::read_to_string(&kept).unwrap_or_default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.splitn(3, ' ');
            match (words.next(), words.next().map(hash), words.next()) {
                (Some(name), None, None) => file = name,
                (Some(outcome), Some(Some(hash)), Some(what)) => {
                    known.insert(format!("{file}: {what}"), (hash, outcome.to_owned()));
                }
                _ => {}
            }
        }
        for line in fs::read_to_string(&journal).unwrap_or_default().lines() {
            let mut fields = line.split('\t');
            let mut next = || fields.next().unwrap_or_default();
            let (key, hash, outcome) = (next(), hash(next()), next());
            if let Some(hash) = hash {
                known.insert(key.to_owned(), (hash, outcome.to_owned()));
            }
        }
        Self {
            journal,
            kept,
            known,
        }
    }

    /// The verdict on a mutant whose function has not changed since.
    pub(super) fn outcome(&self, mutant: &Mutant) -> Option<&str> {
        let (text, outcome) = self.known.get(&mutant.key())?;
        (*text == mutant.text).then_some(outcome)
    }

    pub(super) fn note(&mut self, mutant: &Mutant, outcome: &str, by: &str) -> Result<()> {
        let mut file = fs::File::options()
            .create(true)
            .append(true)
            .open(&self.journal)?;
        let (key, text) = (mutant.key(), mutant.text);
        writeln!(file, "{key}\t{text:08x}\t{outcome}\t{by}")?;
        self.known.insert(key, (text, outcome.to_owned()));
        Ok(())
    }

    /// Writes down where they are kept which verdicts hold, of all mutants that there are.
    pub(super) fn keep(&self, all: &[Mutant]) -> Result<()> {
        let mut text = String::from(
            "# What has become of each mutant, and the sum of the text of its function. Written and read by `cargo xtask mutants`.\n",
        );
        let mut file = "";
        for mutant in all {
            let Some(outcome) = self.outcome(mutant) else {
                continue;
            };
            if mutant.file != file {
                file = &mutant.file;
                _ = writeln!(text, "{file}");
            }
            _ = writeln!(text, "{outcome} {:08x} {}", mutant.text, mutant.what);
        }
        let fresh = self.kept.with_extension("new");
        fs::write(&fresh, text)?;
        fs::rename(fresh, &self.kept)?;
        Ok(())
    }

    /// The run is over and all is kept.
    pub(super) fn close(&self) {
        // There is none if nothing was tested.
        _ = fs::remove_file(&self.journal);
    }

    /// A row for each file; and the names of what lives.
    pub(super) fn table(&self, mutants: &[Mutant], equivalents: &Equivalents) -> (String, String) {
        const COLUMNS: [&str; 4] = [KILLED, CIRCLES, UNBUILDABLE, "survive"];
        let mut rows: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
        let mut alive = String::new();
        for mutant in mutants {
            let row = rows.entry(&mutant.file).or_default();
            let outcome = match self.outcome(mutant) {
                _ if equivalents.reason(mutant).is_some() => "equivalent",
                Some(KILLED) => KILLED,
                Some(CIRCLES) => CIRCLES,
                Some(UNBUILDABLE) => UNBUILDABLE,
                Some(outcome @ (SURVIVES | UNREACHED)) => {
                    _ = writeln!(alive, "{outcome}: {}", mutant.name());
                    "survive"
                }
                _ => "open",
            };
            *row.entry(outcome).or_default() += 1;
            *row.entry("all").or_default() += 1;
        }
        let mut text = String::from(
            "| file | mutants | killed | circles | unbuildable | survive | equivalent | open |\n|---|---|---|---|---|---|---|---|\n",
        );
        let mut sum: BTreeMap<&str, usize> = BTreeMap::new();
        let columns = ["all"]
            .into_iter()
            .chain(COLUMNS)
            .chain(["equivalent", "open"]);
        for (file, row) in &rows {
            let of = |column| row.get(column).copied().unwrap_or(0);
            _ = write!(text, "| `{}` |", file.trim_start_matches("src/"));
            for column in columns.clone() {
                _ = write!(text, " {} |", of(column));
                *sum.entry(column).or_default() += of(column);
            }
            text.push('\n');
        }
        text += "| all |";
        for column in columns {
            _ = write!(text, " {} |", sum.get(column).copied().unwrap_or(0));
        }
        text.push('\n');
        (text, alive)
    }
}

/// Puts the table in the place of the one that is in a page.
pub(super) fn publish(page: &Path, table: &str) -> Result<()> {
    let text = fs::read_to_string(page)?;
    let head = table.lines().next().unwrap_or_default();
    let (before, rest) = text
        .split_once(&format!("{head}\n"))
        .with_context(|| format!("no table in {}", page.display()))?;
    let behind = rest
        .split_inclusive('\n')
        .skip_while(|line| line.starts_with('|'));
    let behind: String = behind.collect();
    fs::write(page, format!("{before}{table}{behind}"))?;
    Ok(())
}

fn hash(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 16).ok()
}

/// Mutants that are no other allocator, each with the reason why.
pub(super) struct Equivalents(HashMap<String, String>);

impl Equivalents {
    /// Reads the lines `| file | what | why |` of the section on equivalents, the first two as code.
    pub(super) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        let row = |line: &str| {
            let mut cells = line.strip_prefix("| `")?.split(" | ");
            let file = cells.next()?.trim_end_matches('`').to_owned();
            let what = cells.next()?.trim_matches('`').replace("\\|", "|");
            let why = cells.next()?.trim_end_matches('|').trim().to_owned();
            Some((format!("src/{file}: {what}"), why))
        };
        let section = text.split("## Equivalent").nth(1).unwrap_or_default();
        Self(section.lines().filter_map(row).collect())
    }

    pub(super) fn reason(&self, mutant: &Mutant) -> Option<&str> {
        self.0.get(&mutant.key()).map(String::as_str)
    }

    /// What is listed and is no mutant any more.
    pub(super) fn stale(&self, mutants: &[Mutant]) -> Vec<&str> {
        let all: Vec<String> = mutants.iter().map(Mutant::key).collect();
        let stale = self.0.keys().filter(|key| !all.contains(key));
        stale.map(String::as_str).collect()
    }
}
