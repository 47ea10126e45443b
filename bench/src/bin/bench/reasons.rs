//! Why ralloc is not the best where it is not: written by hand in bench/reasons.toml, so that a new run does not lose it.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, ensure};
use bench::Workload;
use serde::Deserialize;

use crate::stats::{Figure, PEAK, Results, TIME};

/// For one workload.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    time: Option<String>,
    memory: Option<String>,
}

/// All of them, by workload.
#[derive(Default)]
pub(crate) struct Reasons(BTreeMap<String, Reason>);

/// A peer is as good as ralloc up to this: two digits of a ratio are shown.
const AS_GOOD: f64 = 1.005;

/// A figure in which a peer is better than ralloc.
pub(crate) struct Behind {
    pub(crate) workload: &'static str,
    pub(crate) what: &'static str,
    /// ralloc's relative to the best peer's.
    pub(crate) ratio: f64,
    pub(crate) peer: String,
    pub(crate) reason: Option<String>,
}

impl Reasons {
    /// Reads the file, and refuses workloads that there are not.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let name = || file.display().to_string();
        let text = fs::read_to_string(file).with_context(name)?;
        Self::parse(&text).with_context(name)
    }

    pub(crate) fn parse(text: &str) -> Result<Self> {
        let reasons: BTreeMap<String, Reason> = toml::from_str(text)?;
        for name in reasons.keys() {
            ensure!(Workload::named(name).is_some(), "no workload `{name}`");
        }
        Ok(Reasons(reasons))
    }

    /// Where ralloc is not the best, in the order of the workloads: time first.
    pub(crate) fn behind(&self, results: &Results) -> Vec<Behind> {
        let figures: [(&str, Figure); 2] = [("time", TIME), ("memory", PEAK)];
        let mut all = Vec::new();
        for (what, figure) in figures {
            for (number, workload) in results.workloads.iter().enumerate() {
                if what == "time" && !workload.compares_time() {
                    continue;
                }
                let Some((peer, ratio)) = results.against_best(number, figure) else {
                    continue;
                };
                if ratio < AS_GOOD {
                    continue;
                }
                let reason = self.0.get(workload.name);
                let reason = reason.and_then(|reason| match what {
                    "time" => reason.time.clone(),
                    _ => reason.memory.clone(),
                });
                all.push(Behind {
                    workload: workload.name,
                    what,
                    ratio,
                    peer: results.allocators[peer].name.clone(),
                    reason: reason.filter(|reason| !reason.trim().is_empty()),
                });
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::example;

    #[test]
    fn a_reason_is_found_and_a_missing_one_is_missed() {
        let (results, _) = example();
        let reasons = Reasons::parse("[small]\ntime = \"it rests\"\n").unwrap();
        let behind = reasons.behind(&results);
        // In the example ralloc takes twice the time and half the memory of its peer.
        assert_eq!(behind.len(), 1);
        assert_eq!((behind[0].workload, behind[0].what), ("small", "time"));
        assert!((behind[0].ratio - 2.0).abs() < 1e-9);
        assert_eq!(behind[0].reason.as_deref(), Some("it rests"));
        for empty in [
            "",
            "[small]\nmemory = \"it hoards\"",
            "[small]\ntime = \" \"",
        ] {
            let behind = Reasons::parse(empty).unwrap().behind(&results);
            assert!(behind[0].reason.is_none(), "{empty}");
        }
    }

    #[test]
    fn a_file_with_mistakes_is_refused() {
        assert!(Reasons::parse("[nothing]\ntime = \"\"").is_err());
        assert!(Reasons::parse("[small]\ntimes = \"\"").is_err());
    }

    #[test]
    fn the_file_is_well_formed() {
        Reasons::read(&crate::provide::here("reasons.toml")).unwrap();
    }
}
