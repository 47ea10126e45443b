//! Programs over well-known crates, which do the same on every allocator.
//!
//! Each is a function of a size and of a tree of sources, and returns what it found: counts, and a checksum of every
//! byte it made. Neither depends on the allocator or on the order in which threads get their turns, so the lines
//! that the two binaries print can be compared.

mod echo;
mod highlight;
mod json;
mod search;

use anyhow::{Context, Result, bail, ensure};
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// More than the small machines have processors: blocks are to be freed by threads that did not allocate them.
const THREADS: usize = 4;

/// Runs what the command line says: a program, how often it is to do its work, and the tree that it works on.
///
/// # Errors
///
/// The command line makes no sense, the program found something wrong, or the allocator in use is not the one
/// that it should be.
pub fn main(allocator: &str, serves: impl Fn() -> bool) -> Result<()> {
    let words: Vec<_> = env::args().skip(1).collect();
    let [program, size, tree] = &words[..] else {
        bail!("usage: on-{allocator} search|echo|highlight|json SIZE TREE");
    };
    let size: u32 = size.parse().with_context(|| format!("size {size}"))?;
    let tree = Path::new(tree);
    ensure!(serves(), "the blocks are not those of {allocator}");
    let found = match program.as_str() {
        "search" => search::run(size, tree)?,
        "echo" => echo::run(size)?,
        "highlight" => highlight::run(size, tree)?,
        "json" => json::run(size)?,
        _ => bail!("no program is called {program}"),
    };
    ensure!(serves(), "the blocks are no longer those of {allocator}");
    println!("{program}: {found}");
    eprintln!("peak: {} KiB", peak()?);
    Ok(())
}

/// The most that has been resident, in KiB, as the kernel counts it since the start of the program.
fn peak() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let word = line.and_then(|line| line.split_whitespace().next());
    Ok(word.context("the kernel does not count VmHWM")?.parse()?)
}

/// The files of a tree with one of these endings, in order.
fn files(tree: &Path, endings: &[&str]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in sources(tree).build() {
        let path = entry?.into_path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        if ending.is_some_and(|ending| endings.contains(&ending)) {
            found.push(path);
        }
    }
    found.sort();
    ensure!(!found.is_empty(), "{}: no sources", tree.display());
    Ok(found)
}

/// A walk over what belongs to a tree: not what is built there.
fn sources(tree: &Path) -> ignore::WalkBuilder {
    let mut walk = ignore::WalkBuilder::new(tree);
    walk.require_git(false).parents(false).git_global(false);
    walk
}

/// A checksum (FNV-1a) of parts of which order and borders count.
#[derive(Clone, Copy)]
struct Sum(u64);

impl Sum {
    fn of(bytes: &[u8]) -> Self {
        Self(0xcbf2_9ce4_8422_2325).and(bytes)
    }

    fn and(self, bytes: &[u8]) -> Self {
        let step = |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        // No part ends as another begins: no byte of text is 255.
        let sum = bytes.iter().fold(self.0, |sum, &byte| step(sum, byte));
        Self(step(sum, 255))
    }
}

/// Numbers that look random and are the same in each run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Less than `end`.
    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 16) % end
    }
}
