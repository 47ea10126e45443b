//! What the tests did: a line for each as it ends, and a summary at the end.

use anyhow::Result;
use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

/// How many lines of a failed test's output are shown.
const TAIL: usize = 40;

/// How a test ended.
pub(crate) enum Outcome {
    Passed,
    /// Why, and what the test printed.
    Failed {
        reason: String,
        output: String,
    },
    /// What it lacked.
    Skipped {
        reason: String,
    },
}

impl Outcome {
    pub(crate) fn failed(reason: impl Into<String>, output: impl Into<String>) -> Self {
        Self::Failed {
            reason: reason.into(),
            output: output.into(),
        }
    }

    pub(crate) fn skipped(reason: impl Into<String>) -> Self {
        Self::Skipped {
            reason: reason.into(),
        }
    }
}

#[derive(Default)]
struct Counts {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Counts {
    /// The closing line.
    fn line(&self) -> String {
        let Self {
            passed,
            failed,
            skipped,
        } = self;
        match skipped {
            0 => format!("{passed} passed, {failed} failed"),
            _ => format!("{passed} passed, {failed} failed, {skipped} skipped"),
        }
    }
}

struct Section {
    name: &'static str,
    counts: Counts,
    took: Duration,
}

/// All outcomes so far.
pub(crate) struct Report {
    sections: Vec<Section>,
    /// Lines to repeat at the end, where a reader looks first.
    remembered: Vec<String>,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self {
            sections: Vec::new(),
            remembered: Vec::new(),
        }
    }

    /// Runs a tier, whose outcomes are counted together.
    pub(crate) fn tier(
        &mut self,
        name: &'static str,
        run: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        println!("== {name}");
        let start = Instant::now();
        self.sections.push(Section {
            name,
            counts: Counts::default(),
            took: Duration::ZERO,
        });
        if let Err(error) = run(self) {
            self.add("set-up", None, &Outcome::failed(format!("{error:#}"), ""));
        }
        self.section().took = start.elapsed();
        println!();
        Ok(())
    }

    fn section(&mut self) -> &mut Section {
        self.sections
            .last_mut()
            .expect("an outcome belongs to a tier")
    }

    /// Prints and counts how a test ended.
    pub(crate) fn add(&mut self, test: &str, took: Option<Duration>, outcome: &Outcome) {
        let name = format!("{} {test}", self.section().name);
        let time = took.map_or(String::new(), |took| {
            format!("  {:.1} s", took.as_secs_f32())
        });
        match outcome {
            Outcome::Passed => {
                println!("pass  {name}{time}");
                self.section().counts.passed += 1;
            }
            Outcome::Failed { reason, output } => {
                println!("FAIL  {name}{time}: {reason}");
                let lines: Vec<_> = output.lines().collect();
                for line in &lines[lines.len().saturating_sub(TAIL)..] {
                    println!("      | {line}");
                }
                self.remembered.push(format!("FAIL  {name}: {reason}"));
                self.section().counts.failed += 1;
            }
            Outcome::Skipped { reason } => {
                println!("skip  {name}: {reason}");
                self.remembered.push(format!("skip  {name}: {reason}"));
                self.section().counts.skipped += 1;
            }
        }
    }

    /// Prints the summary, whose last line is for machines: `N passed, N failed`.
    pub(crate) fn close(self) -> ExitCode {
        let mut all = Counts::default();
        println!(
            "{:14}{:>8}{:>8}{:>8}{:>8}",
            "tier", "passed", "failed", "skipped", "time"
        );
        for Section { name, counts, took } in &self.sections {
            let Counts {
                passed,
                failed,
                skipped,
            } = counts;
            println!(
                "{name:14}{passed:8}{failed:8}{skipped:8}{:>6.0} s",
                took.as_secs_f32()
            );
            all.passed += passed;
            all.failed += failed;
            all.skipped += skipped;
        }
        if !self.remembered.is_empty() {
            println!("\n{}", self.remembered.join("\n"));
        }
        println!("\n{}", all.line());
        ExitCode::from(u8::from(all.failed > 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_counted() {
        let mut report = Report::new();
        let run = |report: &mut Report| {
            report.add("good", None, &Outcome::Passed);
            report.add("bad", None, &Outcome::failed("exit status 1", ""));
            Ok(())
        };
        report.tier("one", run).unwrap();
        assert_eq!(report.section().counts.line(), "1 passed, 1 failed");
        report.section().counts.skipped = 2;
        assert_eq!(
            report.section().counts.line(),
            "1 passed, 1 failed, 2 skipped"
        );
    }

    #[test]
    fn a_tier_that_cannot_start_has_failed() {
        let mut report = Report::new();
        report
            .tier("one", |_| Err(anyhow::anyhow!("no compiler")))
            .unwrap();
        assert_eq!(report.section().counts.line(), "0 passed, 1 failed");
    }
}
