//! The kinds of test there are, in the order in which they run: what fails fastest comes first.

use crate::{
    c_tests,
    cross::{self, Cross},
    fuzz, instructions, interface, lint, loom, misuse, ports, programs, redox,
    report::Report,
    rust_programs, sanitizers, soak, unit, valgrind,
};
use anyhow::Result;
use clap::ValueEnum;
use std::path::PathBuf;

/// A kind of test.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub(crate) enum Tier {
    Lint,
    Unit,
    Loom,
    Interface,
    C,
    Misuse,
    Instructions,
    Fuzz,
    Sanitizers,
    Valgrind,
    Programs,
    RustPrograms,
    Cross,
    Ports,
    Redox,
    Soak,
}

/// What the user asked of the tiers that preload the library.
pub(crate) struct Request {
    /// Only tests whose name contains this.
    pub(crate) filter: Option<String>,
    /// Another library in place of ours.
    pub(crate) library: Option<PathBuf>,
    /// All of a tier that has a short form for the run of every tier.
    pub(crate) is_whole: bool,
}

impl Request {
    /// Whether a test of this name is to run.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.filter
            .as_ref()
            .is_none_or(|filter| name.contains(filter.as_str()))
    }
}

impl Tier {
    pub(crate) const ALL: &[Self] = &[
        Self::Lint,
        Self::Unit,
        Self::Loom,
        Self::Interface,
        Self::C,
        Self::Misuse,
        Self::Instructions,
        Self::Fuzz,
        Self::Sanitizers,
        Self::Valgrind,
        Self::Programs,
        Self::RustPrograms,
        Self::Cross,
        Self::Ports,
        Self::Redox,
        Self::Soak,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lint => "lint",
            Self::Unit => "unit",
            Self::Loom => "loom",
            Self::Interface => "interface",
            Self::C => "c",
            Self::Misuse => "misuse",
            Self::Instructions => "instructions",
            Self::Fuzz => "fuzz",
            Self::Sanitizers => "sanitizers",
            Self::Valgrind => "valgrind",
            Self::Programs => "programs",
            Self::RustPrograms => "rust-programs",
            Self::Soak => "soak",
            Self::Cross => "cross",
            Self::Ports => "ports",
            Self::Redox => "redox",
        }
    }

    pub(crate) fn about(self) -> &'static str {
        match self {
            Self::Lint => "format, clippy and documentation, without a warning",
            Self::Unit => "the tests of each package",
            Self::Loom => {
                "models of the concurrent protocols, every order of events within a bound"
            }
            Self::Interface => {
                "symbols, header, manual and examples, as they are installed; what is resident is explained"
            }
            Self::C => "small C programs, each on the library and on the system's malloc",
            Self::Misuse => {
                "programs that are wrong in one way each, and the line that ends each; named alone: all of them"
            }
            Self::Instructions => "how many instructions the hit paths execute",
            Self::Fuzz => "the inputs that fuzzing has found so far, and a minute of fuzzing",
            Self::Sanitizers => {
                "the Rust suites of one thread under AddressSanitizer, of several under ThreadSanitizer"
            }
            Self::Valgrind => {
                "what memcheck finds out of C programs on the library, with faults and without"
            }
            Self::Programs => "real programs on the library, whose results are checked",
            Self::RustPrograms => {
                "programs over well-known crates, on ralloc as global allocator and on the system's"
            }
            Self::Soak => "all scenarios at random, with many threads, for half a minute",
            Self::Cross => "some of the C programs on other processors and C libraries",
            Self::Ports => {
                "Windows under wine, the module for the BSDs and macOS on Linux, libraries for the rest"
            }
            Self::Redox => {
                "builds for Redox, and tests as Redox programs, whose system calls are answered on Linux"
            }
        }
    }

    pub(crate) fn run(self, request: &Request, report: &mut Report) -> Result<()> {
        match self {
            Self::Lint => lint::run(report),
            Self::Unit => unit::run(report),
            Self::Loom => loom::run(report),
            Self::Interface => interface::run(request, report),
            Self::C => c_tests::run(request, report),
            Self::Misuse => misuse::run(request, report),
            Self::Instructions => instructions::run(request, report),
            Self::Fuzz => fuzz::run(report),
            Self::Sanitizers => sanitizers::run(report),
            Self::Valgrind => valgrind::run(request, report),
            Self::Programs => programs::run(request, report),
            Self::RustPrograms => rust_programs::run(request, report),
            Self::Soak => soak::run(report),
            Self::Redox => redox::run(report),
            Self::Cross => cross::run(&Cross::tier(request.filter.as_deref()), report),
            Self::Ports => ports::run(report),
        }
    }
}
