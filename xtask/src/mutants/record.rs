//! What has become of each mutant, in a file that later runs go on with, and in a table for a reader.

use super::list::Mutant;
use anyhow::Result;
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
    path: PathBuf,
    known: HashMap<String, (u64, String, String)>,
}

impl Record {
    /// What earlier runs have left, if that is to count.
    pub(super) fn open(path: PathBuf, resume: bool) -> Result<Self> {
        if !resume && path.exists() {
            fs::remove_file(&path)?;
        }
        let mut known = HashMap::new();
        for line in fs::read_to_string(&path).unwrap_or_default().lines() {
            let mut fields = line.split('\t');
            let mut next = || fields.next().unwrap_or_default().to_owned();
            let (key, text, outcome, by) = (next(), next(), next(), next());
            if let Ok(text) = text.parse() {
                known.insert(key, (text, outcome, by));
            }
        }
        Ok(Self { path, known })
    }

    /// The verdict on a mutant whose function has not changed since.
    pub(super) fn outcome(&self, mutant: &Mutant) -> Option<&str> {
        let (text, outcome, _) = self.known.get(&mutant.key())?;
        (*text == mutant.text).then_some(outcome)
    }

    pub(super) fn note(&mut self, mutant: &Mutant, outcome: &str, by: &str) -> Result<()> {
        let mut file = fs::File::options()
            .create(true)
            .append(true)
            .open(&self.path)?;
        let (key, text) = (mutant.key(), mutant.text);
        writeln!(file, "{key}\t{text}\t{outcome}\t{by}")?;
        self.known
            .insert(key, (text, outcome.to_owned(), by.to_owned()));
        Ok(())
    }

    /// A row for each file, and the names of what lives.
    pub(super) fn table(&self, mutants: &[Mutant], equivalents: &Equivalents) -> String {
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
        text + "\n\n" + &alive
    }
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
