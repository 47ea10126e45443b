//! `--leaks`: runs the program to its end, and prints what the library reports of the blocks that it has not freed, with functions and
//! source lines where the library knows files and offsets.
//!
//! The library writes its report to a file in memory that the program inherits. The program's own output is not touched.

use crate::refusal::{BROKEN, Refusal};
use addr2line::Loader;
use object::{Object, ObjectSegment};
use rustix::fs::MemfdFlags;
use signal_hook::consts::{SIGINT, SIGQUIT};
use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read, Seek},
    os::{fd::AsRawFd, unix::process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::{Arc, atomic::AtomicBool},
};

/// What the library writes in front of each line.
const PREFIX: &str = "ralloc: ";

/// The file for the report, which the program that is started inherits.
pub(crate) fn file() -> Result<File, Refusal> {
    let file = rustix::fs::memfd_create("ralloc-leaks", MemfdFlags::empty())
        .map_err(|error| broken(error.into()))?;
    Ok(file.into())
}

/// The option that has the library write there.
pub(crate) fn option(file: &File) -> String {
    format!("leaks-to={}", file.as_raw_fd())
}

/// Runs the program, prints its report, and ends as the program did; after death by a signal with 128 and its number, as a shell.
///
/// `Err` of an I/O error if the program does not start.
pub(crate) fn run(mut command: Command, mut report: File) -> io::Result<Result<ExitCode, Refusal>> {
    // From the terminal they reach the program as well, and it decides.
    for signal in [SIGINT, SIGQUIT] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    let status = command.spawn()?.wait()?;
    let mut text = Vec::new();
    let read = report.rewind().and_then(|()| report.read_to_end(&mut text));
    if let Err(error) = read {
        return Ok(Err(broken(error)));
    }
    if text.is_empty() {
        eprintln!("ralloc: the program has left no report: it did not exit by itself");
    }
    let mut symbols = Symbols::default();
    for line in String::from_utf8_lossy(&text).lines() {
        symbols.explain(line);
    }
    let code = status.code().unwrap_or(128 + status.signal().unwrap_or(0));
    Ok(Ok(ExitCode::from(u8::try_from(code).unwrap_or(BROKEN))))
}

fn broken(error: io::Error) -> Refusal {
    Refusal::new(BROKEN, format!("the report of leaks: {error}"))
}

/// The files whose symbols have been read.
#[derive(Default)]
struct Symbols {
    files: HashMap<PathBuf, Option<Symbol>>,
    /// Whether the call sites so far were the allocator's own, in a program that it is linked into.
    inside: bool,
}

struct Symbol {
    loader: Loader,
    /// Offset in the file, size, and address of each segment.
    segments: Vec<(u64, u64, u64)>,
}

impl Symbol {
    fn read(file: &Path) -> Option<Self> {
        let data = fs::read(file).ok()?;
        let object = object::File::parse(&*data).ok()?;
        let segments = object.segments().map(|segment| {
            let (offset, size) = segment.file_range();
            (offset, size, segment.address())
        });
        Some(Self {
            segments: segments.collect(),
            loader: Loader::new(file).ok()?,
        })
    }

    /// The functions that the call before the return address at `offset` is in, innermost first, with their lines.
    fn functions(&self, offset: u64) -> Vec<String> {
        let segment =
            |&&(start, size, _): &&(u64, u64, u64)| (start..start + size).contains(&offset);
        let Some((start, _, address)) = self.segments.iter().find(segment) else {
            return Vec::new();
        };
        let call = (offset - start + address).saturating_sub(1);
        let mut found = Vec::new();
        if let Ok(mut frames) = self.loader.find_frames(call) {
            while let Ok(Some(frame)) = frames.next() {
                let Some(name) = &frame.function else {
                    continue;
                };
                let name = name.demangle().unwrap_or_default().into_owned();
                let place = frame
                    .location
                    .and_then(|place| Some((place.file?, place.line?)));
                found.push(match place {
                    Some((file, line)) => format!("{name} ({file}:{line})"),
                    None => name,
                });
            }
        }
        if found.is_empty() {
            found.extend(self.loader.find_symbol(call).map(demangled));
        }
        found
    }
}

fn demangled(name: &str) -> String {
    addr2line::demangle_auto(name.into(), None).into_owned()
}

impl Symbols {
    /// Prints a line of the report; in place of a file and an offset, what is there.
    fn explain(&mut self, line: &str) {
        let Some((word, file, offset)) = call_site(line) else {
            self.inside = true;
            return eprintln!("{line}");
        };
        let file = Path::new(file);
        let read = || Symbol::read(file);
        let symbol = self.files.entry(file.to_owned()).or_insert_with(read);
        let functions = symbol.as_ref().map(|symbol| symbol.functions(offset));
        let mut functions = functions.unwrap_or_default();
        if functions.is_empty() {
            functions.push(format!("{}+{offset:#x}", file.display()));
        }
        for function in functions {
            if self.inside && is_allocator(&function) {
                continue;
            }
            let word = if self.inside { "at" } else { word };
            let word = if word == "at" && !self.inside {
                "by"
            } else {
                word
            };
            self.inside = false;
            eprintln!("{PREFIX}          {word} {function}");
        }
    }
}

/// In a program that the allocator is linked into, the first call sites are its own.
fn is_allocator(function: &str) -> bool {
    let name = function.trim_start_matches('<');
    [
        "ralloc::",
        "ralloc_platform::",
        "__rust_alloc",
        "__rustc::",
        "backtrace",
    ]
    .iter()
    .any(|start| name.starts_with(start))
}

/// `ralloc:    at FILE+0xOFFSET`.
fn call_site(line: &str) -> Option<(&str, &str, u64)> {
    let (word, place) = line.strip_prefix(PREFIX)?.trim_start().split_once(' ')?;
    let (file, offset) = place.rsplit_once("+0x")?;
    let offset = u64::from_str_radix(offset, 16).ok()?;
    ["at", "by"].contains(&word).then_some((word, file, offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_sites_are_told_from_the_table() {
        assert_eq!(
            call_site("ralloc:           by /a/file of+0x1/b+0x1f"),
            Some(("by", "/a/file of+0x1/b", 31))
        );
        assert_eq!(call_site("ralloc: lost: 10 bytes in 1 blocks"), None);
        assert_eq!(call_site("ralloc:      lost           10"), None);
    }
}
