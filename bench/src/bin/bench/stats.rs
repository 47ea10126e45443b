//! Medians, ratios and means over what has been measured.

use bench::{Group, Workload};

use crate::{
    measure::{Cell, HelloCalls, Sample, Timeline},
    provide::Allocator,
};

/// A figure of a measurement.
pub(crate) type Figure = fn(&Sample) -> f64;

/// Wall time in seconds.
pub(crate) const TIME: Figure = |sample| sample.seconds;
/// User and system time in seconds.
pub(crate) const CPU: Figure = |sample| sample.cpu;
/// Peak resident memory in MiB.
pub(crate) const PEAK: Figure = |sample| sample.outcome.peak_kib as f64 / 1024.0;

/// The middle one, or the mean of the two in the middle.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().checked_sub(1)? / 2, values.len() / 2);
    Some((values[low] + values[high]) / 2.0)
}

/// The geometric mean.
pub(crate) fn geometric_mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| {
        (sum + value.ln(), count + 1)
    });
    (count > 0).then(|| (sum / f64::from(count)).exp())
}

/// All that has been measured.
pub(crate) struct Results {
    pub(crate) allocators: Vec<Allocator>,
    pub(crate) workloads: Vec<&'static Workload>,
    /// By workload, then by allocator.
    pub(crate) cells: Vec<Vec<Cell>>,
    /// System calls of `hello` by allocator, if they could be counted.
    pub(crate) system_calls: Option<Vec<HelloCalls>>,
    /// What was resident in the course of some workloads.
    pub(crate) timelines: Vec<Timeline>,
}

impl Results {
    /// The number of an allocator.
    pub(crate) fn allocator(&self, name: &str) -> Option<usize> {
        self.allocators
            .iter()
            .position(|allocator| allocator.name == name)
    }

    /// The number of a workload.
    pub(crate) fn workload(&self, name: &str) -> Option<usize> {
        self.workloads
            .iter()
            .position(|workload| workload.name == name)
    }

    /// The allocator whose ratios are shown: ralloc, or else the first one.
    pub(crate) fn subject(&self) -> usize {
        self.allocator("ralloc").unwrap_or(0)
    }

    /// The others.
    pub(crate) fn peers(&self) -> impl Iterator<Item = usize> {
        let subject = self.subject();
        (0..self.allocators.len()).filter(move |&which| which != subject)
    }

    /// The median over the rounds.
    pub(crate) fn median(&self, workload: usize, which: usize, figure: Figure) -> Option<f64> {
        let cell = &self.cells[workload][which];
        if cell.failure.is_some() {
            return None;
        }
        median(cell.samples.iter().map(figure))
    }

    /// The median over the rounds of the quotient of two allocators in the same round.
    pub(crate) fn ratio(
        &self,
        workload: usize,
        (above, below): (usize, usize),
        figure: Figure,
    ) -> Option<f64> {
        let (above, below) = (&self.cells[workload][above], &self.cells[workload][below]);
        if above.failure.is_some() || below.failure.is_some() {
            return None;
        }
        let pairs = above.samples.iter().filter_map(|above| {
            let same = |below: &&Sample| below.round == above.round;
            Some(figure(above) / figure(below.samples.iter().find(same)?))
        });
        median(pairs)
    }

    /// The geometric mean of the ratios over the workloads that pass, and how many they are.
    pub(crate) fn mean(
        &self,
        pair: (usize, usize),
        figure: Figure,
        pass: impl Fn(&Workload) -> bool,
    ) -> Option<Mean> {
        let of = (0..self.workloads.len()).filter(|&workload| pass(self.workloads[workload]));
        let ratios: Vec<f64> = of
            .filter_map(|workload| self.ratio(workload, pair, figure))
            .collect();
        let value = geometric_mean(ratios.iter().copied())?;
        Some(Mean {
            value,
            over: ratios.len(),
        })
    }

    /// How far apart the fastest and the slowest round are, relative to the median: the median over
    /// all that has been measured.
    pub(crate) fn spread(&self) -> Option<f64> {
        let spread = |cell: &Cell| {
            let all = || cell.samples.iter().map(TIME);
            let (least, most) = (all().reduce(f64::min)?, all().reduce(f64::max)?);
            Some((most - least) / median(all())?)
        };
        median(self.cells.iter().flatten().filter_map(spread))
    }

    /// The peer to which ralloc's ratio is highest, and the ratio: the one that is best at this.
    pub(crate) fn against_best(&self, workload: usize, figure: Figure) -> Option<(usize, f64)> {
        let subject = self.subject();
        self.peers()
            .filter_map(|peer| Some((peer, self.ratio(workload, (subject, peer), figure)?)))
            .max_by(|one, other| one.1.total_cmp(&other.1))
    }

    /// The peer with the least geometric mean of wall time.
    pub(crate) fn best_peer(&self) -> Option<usize> {
        let slowness = |which: usize| {
            // Any common denominator orders the peers.
            let pair = (which, self.peers().next()?);
            Some(self.mean(pair, TIME, is_pattern)?.value)
        };
        self.peers()
            .filter_map(|which| Some((which, slowness(which)?)))
            .min_by(|one, other| one.1.total_cmp(&other.1))
            .map(|(which, _)| which)
    }

    /// Workloads whose result is not the same on every allocator, each with those that differ from
    /// the first.
    pub(crate) fn disagreements(&self) -> Vec<String> {
        let sum = |cell: &Cell| cell.samples.first().map(|s| s.outcome.checksum);
        let rows = self.workloads.iter().zip(&self.cells);
        rows.flat_map(|(workload, row)| {
            let expected = row.iter().find_map(sum);
            let wrong = move |cell: &Cell| {
                cell.samples
                    .iter()
                    .any(|sample| Some(sample.outcome.checksum) != expected)
            };
            let differ = row
                .iter()
                .zip(&self.allocators)
                .filter(move |(cell, _)| wrong(cell));
            differ.map(|(_, allocator)| format!("{} on {}", workload.name, allocator.name))
        })
        .collect()
    }
}

/// Whether a workload enters the means over all of them.
pub(crate) fn is_pattern(workload: &Workload) -> bool {
    workload.group == Group::Pattern
}

/// A geometric mean and the number of values in it.
#[derive(Clone, Copy)]
pub(crate) struct Mean {
    pub(crate) value: f64,
    pub(crate) over: usize,
}

/// Two workloads on two allocators: ralloc takes twice the time and half the memory.
#[cfg(test)]
pub(crate) fn example() -> (Results, crate::report::Circumstances) {
    let sample = |round, seconds: f64, peak_kib| Sample {
        round,
        seconds,
        cpu: seconds,
        outcome: bench::Outcome {
            seconds,
            operations: 1,
            checksum: 1,
            peak_kib,
            cpu: None,
            kept: None,
            private_dirty_kib: None,
            latency: Some(bench::Latency::default()),
        },
    };
    let cell = |seconds, peak| Cell {
        samples: vec![sample(0, seconds, peak), sample(1, seconds * 1.5, peak)],
        failure: None,
    };
    let row = || vec![cell(2.0, 1000), cell(1.0, 2000)];
    let allocator = |name: &str| Allocator {
        name: name.to_owned(),
        version: "1".to_owned(),
        preload: None,
    };
    let workloads = ["small", "latency"].map(|name| Workload::named(name).expect("it is there"));
    let results = Results {
        allocators: ["ralloc", "glibc"].map(allocator).into(),
        workloads: workloads.into(),
        cells: vec![row(), row()],
        system_calls: None,
        timelines: vec![Timeline {
            workload: "small".to_owned(),
            allocator: "ralloc".to_owned(),
            points: vec![(0, 500), (10, 1000)],
        }],
    };
    let circumstances = crate::report::Circumstances {
        command: "cargo xtask bench".to_owned(),
        date: "2026-01-01".to_owned(),
        rounds: 2,
        quick: false,
        load: (0.1, 0.2),
        skipped: Vec::new(),
        machine: vec!["a machine".to_owned()],
    };
    (results, circumstances)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_those_of_the_same_round() {
        let (mut results, _) = example();
        results.cells[0][0].samples.remove(0);
        assert_eq!(results.ratio(0, (0, 1), TIME), Some(2.0));
        results.cells[0][1].samples.remove(1);
        assert_eq!(results.ratio(0, (0, 1), TIME), None);
    }

    #[test]
    fn medians_and_means() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
        assert_eq!(median([].into_iter()), None);
        let mean = geometric_mean([0.5, 2.0, 8.0].into_iter()).unwrap();
        assert!((mean - 2.0).abs() < 1e-12);
        assert_eq!(geometric_mean([].into_iter()), None);
    }
}
