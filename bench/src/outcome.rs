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
    /// Of the workloads that free everything and look back.
    pub kept: Option<Kept>,
    /// Private dirty memory of the workloads that look at it, in KiB.
    pub private_dirty_kib: Option<u64>,
}

impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seconds={:.6} operations={} checksum={} peak_kib={}",
            self.seconds, self.operations, self.checksum, self.peak_kib
        )?;
        if let Some(Kept {
            asked_kib,
            kept_kib,
        }) = self.kept
        {
            write!(f, " asked_kib={asked_kib} kept_kib={kept_kib}")?;
        }
        if let Some(kib) = self.private_dirty_kib {
            write!(f, " private_dirty_kib={kib}")?;
        }
        Ok(())
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
        Ok(Outcome {
            seconds: find("seconds")
                .and_then(|value| value.parse().ok())
                .ok_or_else(|| format!("no `seconds` in `{line}`"))?,
            operations: need("operations")?,
            checksum: need("checksum")?,
            peak_kib: need("peak_kib")?,
            kept: number("asked_kib")
                .zip(number("kept_kib"))
                .map(|(asked_kib, kept_kib)| Kept {
                    asked_kib,
                    kept_kib,
                }),
            private_dirty_kib: number("private_dirty_kib"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_back_as_written() {
        let outcome = Outcome {
            seconds: 1.25,
            operations: 3,
            checksum: u64::MAX,
            peak_kib: 7,
            kept: Some(Kept {
                asked_kib: 5,
                kept_kib: 4,
            }),
            private_dirty_kib: Some(9),
        };
        assert_eq!(outcome.to_string().parse(), Ok(outcome));
        let bare = Outcome {
            kept: None,
            private_dirty_kib: None,
            ..outcome
        };
        assert_eq!(bare.to_string().parse(), Ok(bare));
    }
}
