//! ripgrep's engine: a parallel walk that obeys `.gitignore`, and regular expressions over every file.

use crate::{Sum, THREADS, sources};
use anyhow::{Result, ensure};
use grep_regex::RegexMatcherBuilder;
use grep_searcher::{SearcherBuilder, sinks::Lossy};
use ignore::WalkState;
use std::{
    path::Path,
    sync::{
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
};

/// Literals, classes, alternatives, repetitions, case folding, Unicode.
const PATTERNS: [&str; 8] = [
    "unsafe",
    r"\bfn\s+\w+\s*\(",
    r"(?i)alloc|page|heap",
    r"[A-Z]{2,}_[A-Z_]+",
    r"^\s*//[/!]?.*\bthe\b",
    r"\w{12,}",
    r"\d+\s*(KiB|MiB)",
    r"\p{Lu}\p{Ll}+::\w+",
];

/// A line that matches.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Hit {
    path: String,
    line: u64,
    text: String,
}

pub(crate) fn run(size: u32, tree: &Path) -> Result<String> {
    let mut sum = Sum::of(b"");
    let (mut files, mut matches) = (0, 0);
    for _ in 0..size {
        for pattern in PATTERNS {
            let (seen, hits) = search(pattern, tree)?;
            ensure!(!hits.is_empty(), "{pattern} is found nowhere");
            files += seen;
            matches += hits.len();
            for hit in &hits {
                sum = sum.and(hit.path.as_bytes()).and(&hit.line.to_le_bytes());
                sum = sum.and(hit.text.as_bytes());
            }
        }
    }
    Ok(format!(
        "{files} files, {matches} matches, sum {:016x}",
        sum.0
    ))
}

/// How many files were searched, and what was found, in order.
fn search(pattern: &str, tree: &Path) -> Result<(usize, Vec<Hit>)> {
    let matcher = RegexMatcherBuilder::new()
        .line_terminator(Some(b'\n'))
        .build(pattern)?;
    let (sender, receiver) = mpsc::channel();
    let files = AtomicUsize::new(0);
    // A failure is noted and ends the walk, so that the two runs cannot agree by finding nothing.
    let (failed, failures) = mpsc::channel();
    sources(tree).threads(THREADS).build_parallel().run(|| {
        let (matcher, files) = (matcher.clone(), &files);
        let (sender, failed) = (sender.clone(), failed.clone());
        let mut searcher = SearcherBuilder::new().line_number(true).build();
        Box::new(move |entry| {
            let entry = match entry {
                Ok(entry) if entry.file_type().is_some_and(|kind| kind.is_file()) => entry,
                Ok(_) => return WalkState::Continue,
                Err(error) => {
                    let _ = failed.send(error.to_string());
                    return WalkState::Quit;
                }
            };
            let path = entry.path().strip_prefix(tree).unwrap_or(entry.path());
            let path = path.to_string_lossy();
            let sink = Lossy(|line, text| {
                let (path, text) = (path.to_string(), text.to_owned());
                Ok(sender.send(Hit { path, line, text }).is_ok())
            });
            files.fetch_add(1, Relaxed);
            match searcher.search_path(&matcher, entry.path(), sink) {
                Ok(()) => WalkState::Continue,
                Err(error) => {
                    let _ = failed.send(format!("{path}: {error}"));
                    WalkState::Quit
                }
            }
        })
    });
    drop((sender, failed));
    let failures: Vec<_> = failures.iter().collect();
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    let mut hits: Vec<_> = receiver.iter().collect();
    hits.sort_unstable();
    Ok((files.into_inner(), hits))
}
