//! The data of a run, in a file: from it tables and plots are rendered again without measuring.

use std::{fs, path::Path};

use anyhow::{Context, Error, Result, ensure};
use bench::{Outcome, Workload};
use serde::{Deserialize, Serialize};

use crate::{
    measure::{Cell, HelloCalls, Sample, Timeline},
    provide::Allocator,
    report::Circumstances,
    stats::Results,
};

/// What the file holds, in this version of the format.
#[derive(Serialize, Deserialize)]
struct File {
    format: u32,
    circumstances: Circumstances,
    allocators: Vec<Allocator>,
    workloads: Vec<Row>,
    system_calls: Option<Vec<HelloCalls>>,
    timelines: Vec<Timeline>,
}

/// A workload, and its cells in the order of the allocators.
#[derive(Serialize, Deserialize)]
struct Row {
    name: String,
    cells: Vec<Cell>,
}

const FORMAT: u32 = 1;

/// Writes a run.
pub(crate) fn write(to: &Path, results: &Results, circumstances: &Circumstances) -> Result<()> {
    let row = |(workload, cells): (&&Workload, &Vec<Cell>)| Row {
        name: workload.name.to_owned(),
        cells: cells.clone(),
    };
    let file = File {
        format: FORMAT,
        circumstances: circumstances.clone(),
        allocators: results.allocators.clone(),
        workloads: results
            .workloads
            .iter()
            .zip(&results.cells)
            .map(row)
            .collect(),
        system_calls: results.system_calls.clone(),
        timelines: results.timelines.clone(),
    };
    let text = serde_json::to_string_pretty(&file)? + "\n";
    fs::write(to, text).with_context(|| to.display().to_string())
}

/// Reads what [`write`] has written.
pub(crate) fn read(from: &Path) -> Result<(Results, Circumstances)> {
    let name = || from.display().to_string();
    let text = fs::read_to_string(from).with_context(name)?;
    let file: File = serde_json::from_str(&text).with_context(name)?;
    ensure!(
        file.format == FORMAT,
        "{}: format {}, not {FORMAT}",
        name(),
        file.format
    );
    let count = file.allocators.len();
    let calls = file.system_calls.as_ref().map_or(count, Vec::len);
    ensure!(
        calls == count && file.workloads.iter().all(|row| row.cells.len() == count),
        "{}: not one cell for each of {count} allocators",
        name()
    );
    let mut workloads = Vec::new();
    let mut cells = Vec::new();
    for row in file.workloads {
        let workload = Workload::named(&row.name);
        workloads
            .push(workload.with_context(|| format!("{}: no workload `{}`", name(), row.name))?);
        cells.push(row.cells);
    }
    let results = Results {
        allocators: file.allocators,
        workloads,
        cells,
        system_calls: file.system_calls,
        timelines: file.timelines,
    };
    Ok((results, file.circumstances))
}

impl From<Sample> for String {
    fn from(sample: Sample) -> String {
        let Sample {
            round,
            seconds,
            cpu,
            outcome,
        } = sample;
        format!("round={round} wall={seconds:.6} all_cpu={cpu:.6} {outcome}")
    }
}

impl TryFrom<String> for Sample {
    type Error = Error;

    fn try_from(line: String) -> Result<Sample> {
        let find = |key: &str| {
            let mut pairs = line.split_whitespace();
            pairs
                .find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
                .with_context(|| format!("no `{key}` in `{line}`"))
        };
        Ok(Sample {
            round: find("round")?.parse()?,
            seconds: find("wall")?.parse()?,
            cpu: find("all_cpu")?.parse()?,
            outcome: line.parse::<Outcome>().map_err(Error::msg)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::example;

    #[test]
    fn a_run_is_read_back_as_written() {
        let (results, circumstances) = example();
        let folder = std::env::temp_dir();
        let file = folder.join(format!("ralloc-bench-data-{}.json", std::process::id()));
        write(&file, &results, &circumstances).unwrap();
        let before = fs::read_to_string(&file).unwrap();
        let (results, circumstances) = read(&file).unwrap();
        write(&file, &results, &circumstances).unwrap();
        assert_eq!(before, fs::read_to_string(&file).unwrap());
        fs::write(&file, before.replace("\"small\"", "\"unheard-of\"")).unwrap();
        assert!(read(&file).is_err_and(|error| error.to_string().contains("unheard-of")));
        fs::write(&file, before.replace("wall=", "well=")).unwrap();
        assert!(read(&file).is_err());
        fs::remove_file(&file).unwrap();
    }
}
