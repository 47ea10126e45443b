//! The one line that a finished workload prints: `key=value` pairs, separated by blanks.

use std::{
    fmt::{self, Display, Formatter},
    str::FromStr,
};

/// What stayed resident after everything had been freed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kept {
    /// What the program had asked for, in KiB.
    pub asked_kib: u64,
    /// What it still occupied in the end, in KiB.
    pub kept_kib: u64,
    /// The same after a second of ordinary activity, of workloads that wait for it.
    pub later_kib: Option<u64>,
}

/// How long single calls took, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Calls {
    /// Half of the calls took at most so long.
    pub median: u64,
    /// 99 of 100.
    pub p99: u64,
    /// 999 of 1,000.
    pub p999: u64,
    /// The longest of all.
    pub worst: u64,
}

/// What a workload that times each call found. The clock's own time is in each figure.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Latency {
    /// Of `malloc`.
    pub malloc: Calls,
    /// Of `free`.
    pub free: Calls,
    /// What looking at the clock twice takes, at the median, in nanoseconds.
    pub clock: u64,
}

/// What a workload says about itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Wall time of the measured part.
    pub seconds: f64,
    /// Blocks freed and blocks resized.
    pub operations: u64,
    /// Sum over the contents of all blocks: the same on every allocator.
    pub checksum: u64,
    /// Most memory ever resident, in KiB.
    ///
    /// From the process itself, because the kernel's `ru_maxrss` starts at what the *parent*
    /// occupied when it forked.
    pub peak_kib: u64,
    /// User and system time, of workloads that consist of several processes.
    pub cpu: Option<f64>,
    /// Of the workloads that free everything and look back.
    pub kept: Option<Kept>,
    /// Private dirty memory of the workloads that look at it, in KiB.
    pub private_dirty_kib: Option<u64>,
    /// Of the workloads that time each call.
    pub latency: Option<Latency>,
}

impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seconds={:.6} operations={} checksum={} peak_kib={}",
            self.seconds, self.operations, self.checksum, self.peak_kib
        )?;
        if let Some(cpu) = self.cpu {
            write!(f, " cpu={cpu:.6}")?;
        }
        if let Some(kept) = self.kept {
            write!(
                f,
                " asked_kib={} kept_kib={}",
                kept.asked_kib, kept.kept_kib
            )?;
            if let Some(later) = kept.later_kib {
                write!(f, " later_kib={later}")?;
            }
        }
        if let Some(kib) = self.private_dirty_kib {
            write!(f, " private_dirty_kib={kib}")?;
        }
        if let Some(latency) = self.latency {
            write!(f, " malloc_ns={}", latency.malloc)?;
            write!(f, " free_ns={} clock_ns={}", latency.free, latency.clock)?;
        }
        Ok(())
    }
}

impl Display for Calls {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{},{},{},{}",
            self.median, self.p99, self.p999, self.worst
        )
    }
}

impl FromStr for Calls {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Result<Vec<u64>, _> = text.split(',').map(str::parse).collect();
        match numbers.as_deref() {
            Ok(&[median, p99, p999, worst]) => Ok(Calls {
                median,
                p99,
                p999,
                worst,
            }),
            _ => Err(format!("not four times: `{text}`")),
        }
    }
}

impl FromStr for Outcome {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let find = |key: &str| {
            line.split_whitespace()
                .find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
        };
        let number = |key: &str| find(key).and_then(|value| value.parse::<u64>().ok());
        let need = |key: &str| number(key).ok_or_else(|| format!("no `{key}` in `{line}`"));
        let calls = |key: &str| find(key).map(str::parse::<Calls>).transpose();
        Ok(Outcome {
            seconds: find("seconds")
                .and_then(|value| value.parse().ok())
                .ok_or_else(|| format!("no `seconds` in `{line}`"))?,
            operations: need("operations")?,
            checksum: need("checksum")?,
            peak_kib: need("peak_kib")?,
            cpu: find("cpu").and_then(|value| value.parse().ok()),
            kept: number("asked_kib")
                .zip(number("kept_kib"))
                .map(|(asked_kib, kept_kib)| Kept {
                    asked_kib,
                    kept_kib,
                    later_kib: number("later_kib"),
                }),
            private_dirty_kib: number("private_dirty_kib"),
            latency: calls("malloc_ns")?
                .zip(calls("free_ns")?)
                .map(|(malloc, free)| Latency {
                    malloc,
                    free,
                    clock: number("clock_ns").unwrap_or_default(),
                }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_back_as_written() {
        let calls = |worst| Calls {
            median: 20,
            p99: 100,
            p999: 2000,
            worst,
        };
        let outcome = Outcome {
            seconds: 1.25,
            operations: 3,
            checksum: u64::MAX,
            peak_kib: 7,
            cpu: Some(2.5),
            kept: Some(Kept {
                asked_kib: 5,
                kept_kib: 4,
                later_kib: Some(3),
            }),
            private_dirty_kib: Some(9),
            latency: Some(Latency {
                malloc: calls(3000),
                free: calls(4000),
                clock: 15,
            }),
        };
        assert_eq!(outcome.to_string().parse(), Ok(outcome));
        let bare = Outcome {
            cpu: None,
            kept: None,
            private_dirty_kib: None,
            latency: None,
            ..outcome
        };
        assert_eq!(bare.to_string().parse(), Ok(bare));
        let times = "seconds=1 operations=1 checksum=1 peak_kib=1 malloc_ns=1,2 free_ns=1,2,3,4";
        assert!(times.parse::<Outcome>().is_err());
    }
}
