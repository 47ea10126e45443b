//! Records what a program asks of malloc, as a trace that the tests replay (`tests/traces/README.md`).

use crate::cargo;
use anyhow::{Context, Result, bail, ensure};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// What to record.
#[derive(clap::Args)]
pub(crate) struct Record {
    /// Where the trace goes.
    out: PathBuf,
    /// Operations to keep, from the first on.
    #[arg(long, default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(1..))]
    operations: u64,
    /// The program and its arguments. Its children are not recorded.
    #[arg(required = true, last = true)]
    program: Vec<String>,
}

/// Runs the program under the recorder, and writes the trace.
pub(crate) fn record(arguments: &Record) -> Result<ExitCode> {
    let built = cargo::command(&["build", "--quiet", "--release", "--package", "recorder"])
        .status()
        .context("cannot run cargo")?;
    ensure!(built.success(), "the recorder could not be built");
    let library = cargo::target()?.join("release/librecorder.so");
    let folder = tempfile::tempdir()?;
    let raw = folder.path().join("raw");
    let status = Command::new(&arguments.program[0])
        .args(&arguments.program[1..])
        .env("LD_PRELOAD", &library)
        .env("RALLOC_RECORD", &raw)
        .status()
        .with_context(|| format!("cannot run {}", arguments.program[0]))?;
    if !status.success() {
        bail!("{} ended with {status}", arguments.program[0]);
    }
    let records = fs::read(&raw).context(
        "the program recorded nothing: is it static, setuid or of another architecture?",
    )?;
    write(&records, arguments)?;
    Ok(ExitCode::SUCCESS)
}

fn write(records: &[u8], arguments: &Record) -> Result<()> {
    let mut trace = Trace::default();
    let most = usize::try_from(arguments.operations)?;
    for record in records.as_chunks::<40>().0 {
        trace.add(record)?;
        if trace.operations.len() >= most {
            break;
        }
    }
    let out: &Path = &arguments.out;
    let (text, threads) = (trace.encode(), trace.threads.len());
    let packed = miniz_oxide::deflate::compress_to_vec(&text, 10);
    fs::write(out, [b"ralloc-trace 1\n".as_slice(), &packed].concat())
        .with_context(|| out.display().to_string())?;
    println!(
        "{}: {} operations, {} blocks, {threads} threads, {} bytes packed into {}",
        out.display(),
        trace.operations.len(),
        trace.blocks,
        text.len(),
        packed.len() + 15
    );
    Ok(())
}

/// What one thread did, in terms of blocks by number: the n-th block that came into being has number n.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Verb {
    Malloc(u64),
    Calloc(u64),
    Aligned { shift: u32, size: u64 },
    Realloc { old: u64, size: u64 },
    Free(u64),
}

#[derive(Default)]
struct Trace {
    operations: Vec<(usize, Verb)>,
    /// The kernel's thread numbers, in the order of their first operation.
    threads: Vec<u64>,
    /// Numbers of the live blocks, by address.
    live: HashMap<u64, u64>,
    /// What each thread has given up for a block of another size: the number and the address.
    resizing: HashMap<u64, (u64, u64)>,
    blocks: u64,
}

impl Trace {
    fn thread(&mut self, number: u64) -> usize {
        match self.threads.iter().position(|&known| known == number) {
            Some(index) => index,
            None => {
                self.threads.push(number);
                self.threads.len() - 1
            }
        }
    }

    fn birth(&mut self, block: u64) {
        self.live.insert(block, self.blocks);
        self.blocks += 1;
    }

    /// Add a record of the recorder: five words. What it says of blocks from before is left out.
    fn add(&mut self, record: &[u8; 40]) -> Result<()> {
        let words = record.as_chunks::<8>().0;
        let word = |index: usize| u64::from_ne_bytes(words[index]);
        let (thread, size, align, block) = (word(1), word(2), word(3), word(4));
        let thread_index = self.thread(thread);
        let verb = match word(0) {
            0..=2 if block == 0 => return Ok(()),
            0 => Verb::Malloc(size),
            1 => Verb::Calloc(size),
            2 => Verb::Aligned {
                shift: align.next_power_of_two().trailing_zeros(),
                size,
            },
            3 => {
                if let Some(number) = self.live.remove(&block) {
                    self.resizing.insert(thread, (number, block));
                }
                return Ok(());
            }
            4 => match (self.resizing.remove(&thread), block) {
                (Some((old, _)), 0) if size == 0 => Verb::Free(old),
                (Some((old, address)), 0) => {
                    self.live.insert(address, old);
                    return Ok(());
                }
                (None, 0) => return Ok(()),
                (Some((old, _)), _) => Verb::Realloc { old, size },
                (None, _) => Verb::Malloc(size),
            },
            5 => match self.live.remove(&block) {
                Some(number) => Verb::Free(number),
                None => return Ok(()),
            },
            verb => bail!("a record with the verb {verb}"),
        };
        if !matches!(verb, Verb::Free(_)) {
            self.birth(block);
        }
        self.operations.push((thread_index, verb));
        Ok(())
    }

    /// The trace as `tests/traces/README.md` has it.
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        number(&mut out, self.operations.len() as u64);
        number(&mut out, self.threads.len() as u64);
        let mut last = vec![0; self.threads.len()];
        for (index, (thread, _)) in self.operations.iter().enumerate() {
            last[*thread] = index;
        }
        let (mut thread, mut blocks) = (0, 0);
        for (index, &(by, verb)) in self.operations.iter().enumerate() {
            let flags = u8::from(by != thread) << 4 | u8::from(last[by] == index) << 5;
            let (code, operands) = operands(verb, blocks);
            out.push(code | flags);
            if by != thread {
                number(&mut out, by as u64);
                thread = by;
            }
            operands
                .iter()
                .for_each(|&operand| number(&mut out, operand));
            blocks += u64::from(!matches!(verb, Verb::Free(_)));
        }
        out
    }
}

fn operands(verb: Verb, blocks: u64) -> (u8, Vec<u64>) {
    match verb {
        Verb::Malloc(size) => (0, vec![size]),
        Verb::Calloc(size) => (1, vec![size]),
        Verb::Aligned { shift, size } => (2, vec![u64::from(shift), size]),
        Verb::Realloc { old, size } => (3, vec![blocks - old, size]),
        Verb::Free(old) => (4, vec![blocks - old]),
    }
}

/// Seven bits at a time, the lowest first; the eighth says that more follow.
fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 128 {
        out.push(value as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(records: &[[u64; 5]]) -> Trace {
        let mut trace = Trace::default();
        for record in records {
            let bytes = record.map(u64::to_ne_bytes).concat();
            trace.add(bytes.as_slice().try_into().unwrap()).unwrap();
        }
        trace
    }

    #[test]
    fn a_realloc_that_others_come_between_is_one_operation() {
        let trace = trace(&[
            [0, 70, 24, 0, 0x1000],
            [3, 70, 48, 0, 0x1000],
            [1, 71, 24, 0, 0x1000],
            [4, 70, 48, 0, 0x2000],
            [5, 71, 0, 0, 0x1000],
        ]);
        let expected = [
            (0, Verb::Malloc(24)),
            (1, Verb::Calloc(24)),
            (0, Verb::Realloc { old: 0, size: 48 }),
            (1, Verb::Free(1)),
        ];
        assert_eq!(trace.operations, expected);
        // Thread 1 ends with its last operation, and so does thread 0.
        let bytes = [4, 2, 0, 24, 0x11, 1, 24, 0x33, 0, 2, 48, 0x34, 1, 2];
        assert_eq!(trace.encode(), bytes);
    }

    #[test]
    fn what_was_there_before_is_left_out() {
        let trace = trace(&[
            [5, 70, 0, 0, 0x1000],
            [3, 70, 300, 0, 0x1000],
            [4, 70, 300, 0, 0x3000],
            [2, 70, 10, 64, 0x4000],
        ]);
        let expected = [
            (0, Verb::Malloc(300)),
            (0, Verb::Aligned { shift: 6, size: 10 }),
        ];
        assert_eq!(trace.operations, expected);
        assert_eq!(trace.encode()[..5], [2, 1, 0, 0xAC, 2]);
    }
}
