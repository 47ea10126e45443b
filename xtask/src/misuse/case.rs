//! What the programs of `tests/misuse` say about themselves: which cases there are, and how each is to end.
//!
//! ```text
//! // case: VARIANT... | SIZE... | THREAD... | END ON THE SECURITY BUILD | END ON THE DEFAULT BUILD
//! ```
//!
//! Each variant with each size and each thread is a case. An end is the text of a fatal line, `SEGV`, `prevented` or `unnoticed`;
//! several, between ` / `, where each will do; and for the default build `-` where nothing is promised and anything may come of it. A fatal line must name the
//! block that the program announces, unless `: *` follows.

use super::run::End;
use crate::{cargo, header::Header};
use anyhow::{Context, Result, bail, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A program of `tests/misuse`.
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) source: PathBuf,
    /// The sentence that opens its file.
    pub(crate) about: String,
    pub(crate) libraries: Vec<String>,
    pub(crate) cases: Vec<Case>,
}

/// One bug, in a block of one size, made by one thread or another.
pub(crate) struct Case {
    pub(crate) variant: String,
    pub(crate) size: String,
    pub(crate) thread: String,
    pub(crate) secure: Wanted,
    pub(crate) default: Wanted,
    /// One of the few that every test run takes: the first of its variant and size.
    pub(crate) is_representative: bool,
}

/// How a case is to end.
pub(crate) struct Wanted(Vec<String>);

impl Wanted {
    fn parse(text: &str) -> Result<Self> {
        let ends: Vec<_> = text.split(" / ").map(|end| end.trim().to_owned()).collect();
        ensure!(!ends.iter().any(String::is_empty), "an end is missing");
        Ok(Self(ends))
    }

    /// Whether something is promised at all.
    pub(crate) fn is_promised(&self) -> bool {
        self.0 != ["-"]
    }

    /// For a reader.
    pub(crate) fn text(&self) -> String {
        self.0.join(" or ")
    }

    /// Whether a program has ended so.
    pub(crate) fn is(&self, end: &End) -> bool {
        self.0.iter().any(|wanted| match end {
            End::Unnoticed => wanted == "unnoticed",
            End::Prevented => wanted == "prevented",
            End::Died { signal, line: None } => wanted == signal,
            End::Died {
                signal,
                line: Some(line),
            } => {
                let anywhere = wanted.strip_suffix(": *");
                let text = anywhere.unwrap_or(wanted);
                let address = line.strip_prefix(&format!("ralloc: {text}: "));
                signal == "ABRT" && address.is_some_and(|at| at == "BLOCK" || anywhere.is_some())
            }
            _ => false,
        })
    }
}

impl Case {
    /// For commands and reports.
    pub(crate) fn name(&self) -> String {
        format!("{} {} {}", self.variant, self.size, self.thread)
    }
}

impl Program {
    /// Every program, in order.
    pub(crate) fn all() -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for source in cargo::files(&folder(), "c")? {
            let text = fs::read_to_string(&source)?;
            let program = Self::read(&source, &text);
            let program = program.with_context(|| source.display().to_string())?;
            // The malloc that notices nothing has none.
            if !program.cases.is_empty() {
                all.push(program);
            }
        }
        ensure!(!all.is_empty(), "no programs in {}", folder().display());
        Ok(all)
    }

    fn read(source: &Path, text: &str) -> Result<Self> {
        let header = Header::parse(text, "//");
        let about = text.lines().next().unwrap_or_default();
        let name = source.file_stem().context("a file has a name")?;
        let mut cases: Vec<Case> = Vec::new();
        for line in header.all("case") {
            for case in cases_of(line).with_context(|| format!("case: {line}"))? {
                if cases.iter().any(|other| other.name() == case.name()) {
                    bail!("{} is there twice", case.name());
                }
                cases.push(case);
            }
        }
        for number in 0..cases.len() {
            let (before, rest) = cases.split_at_mut(number);
            let case = &mut rest[0];
            case.is_representative = !before
                .iter()
                .any(|other| (&other.variant, &other.size) == (&case.variant, &case.size));
        }
        Ok(Self {
            name: name.to_string_lossy().into_owned(),
            source: source.to_owned(),
            about: about.trim_start_matches("//").trim().to_owned(),
            libraries: header.words("libraries").map(str::to_owned).collect(),
            cases,
        })
    }
}

/// Where the programs are.
pub(crate) fn folder() -> PathBuf {
    cargo::root().join("tests/misuse")
}

fn cases_of(line: &str) -> Result<Vec<Case>> {
    let fields: Vec<_> = line.split(" | ").collect();
    let [variants, sizes, threads, secure, default] = fields[..] else {
        bail!("there are five fields, between ` | `");
    };
    let mut cases = Vec::new();
    for variant in variants.split_whitespace() {
        for size in sizes.split_whitespace() {
            for thread in threads.split_whitespace() {
                cases.push(Case {
                    variant: variant.to_owned(),
                    size: size.to_owned(),
                    thread: thread.to_owned(),
                    secure: Wanted::parse(secure)?,
                    default: Wanted::parse(default)?,
                    is_representative: false,
                });
            }
        }
    }
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn died(signal: &str, line: Option<&str>) -> End {
        End::Died {
            signal: signal.to_owned(),
            line: line.map(str::to_owned),
        }
    }

    #[test]
    fn a_line_makes_a_case_of_each_combination() {
        let text = "// Does harm.\n// case: a b | small huge | same other | double free | -\n";
        let program = Program::read(Path::new("x/harm.c"), text).unwrap();
        assert_eq!(
            (program.name.as_str(), program.about.as_str()),
            ("harm", "Does harm.")
        );
        assert_eq!(program.cases.len(), 8);
        let few = program.cases.iter().filter(|case| case.is_representative);
        assert_eq!(few.map(Case::name).collect::<Vec<_>>().len(), 4);
        assert!(Program::read(Path::new("x"), "// case: a | b | c | d\n").is_err());
        let twice = "// case: a | b | c | d | e\n// case: a | b | c | d | e\n";
        assert!(Program::read(Path::new("x"), twice).is_err());
    }

    #[test]
    fn a_fatal_line_names_the_block_and_the_signal_is_abort() {
        let wanted = Wanted::parse("double free / SEGV").unwrap();
        assert!(wanted.is(&died("ABRT", Some("ralloc: double free: BLOCK"))));
        assert!(!wanted.is(&died("ABRT", Some("ralloc: double free: 0x10"))));
        assert!(!wanted.is(&died("ABRT", Some("ralloc: double free: BLOCK and more"))));
        assert!(!wanted.is(&died("ABRT", Some("free(): double free: BLOCK"))));
        assert!(!wanted.is(&died("SEGV", Some("ralloc: double free: BLOCK"))));
        assert!(wanted.is(&died("SEGV", None)));
        assert!(!wanted.is(&died("ABRT", None)));
        assert!(!wanted.is(&End::Unnoticed));
        let anywhere = Wanted::parse("overflow: *").unwrap();
        assert!(anywhere.is(&died("ABRT", Some("ralloc: overflow: 0x10"))));
    }

    #[test]
    fn there_are_at_least_sixty_cases() {
        let cases = Program::all()
            .unwrap()
            .iter()
            .map(|program| program.cases.len())
            .sum::<usize>();
        assert!(cases >= 60, "{cases}");
    }
}
