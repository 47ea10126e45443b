//! Where the program's debug output goes, and the verdict in it.

use std::io::Write;

/// What the last line of a test program says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
}

impl Verdict {
    /// From a line `N passed, N failed`, perhaps with more behind it.
    pub(crate) fn of(line: &str) -> Option<Self> {
        let (passed, rest) = line.trim().split_once(" passed, ")?;
        let (failed, _) = rest.split_once(" failed")?;
        Some(Self {
            passed: passed.parse().ok()?,
            failed: failed.parse().ok()?,
        })
    }
}

/// Hands output on, and remembers the last verdict.
pub(crate) struct Console {
    output: Box<dyn Write>,
    line: Vec<u8>,
    pub(crate) verdict: Option<Verdict>,
}

impl Console {
    pub(crate) fn new(output: impl Write + 'static) -> Self {
        let output = Box::new(output);
        Self {
            output,
            line: Vec::new(),
            verdict: None,
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        // Nobody may be listening.
        let _ = self
            .output
            .write_all(bytes)
            .and_then(|()| self.output.flush());
        for &byte in bytes {
            match byte {
                b'\n' => {
                    let line = std::mem::take(&mut self.line);
                    self.verdict = Verdict::of(&String::from_utf8_lossy(&line)).or(self.verdict);
                }
                _ => self.line.push(byte),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_is_found() {
        let verdict = |passed, failed| Some(Verdict { passed, failed });
        assert_eq!(Verdict::of("12 passed, 3 failed"), verdict(12, 3));
        assert_eq!(
            Verdict::of("12 passed, 0 failed, 2 skipped\r"),
            verdict(12, 0)
        );
        assert_eq!(Verdict::of("all passed, 0 failed"), None);
        assert_eq!(Verdict::of("fork passed"), None);
    }

    #[test]
    fn a_line_may_come_in_pieces() {
        let mut console = Console::new(std::io::sink());
        console.write(b"1 pas");
        console.write(b"sed, 0 failed");
        assert_eq!(console.verdict, None);
        console.write(b"\nbye\n");
        assert_eq!(
            console.verdict,
            Some(Verdict {
                passed: 1,
                failed: 0
            })
        );
    }
}
