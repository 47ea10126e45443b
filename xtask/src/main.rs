//! `cargo xtask`: the project's tests and benches, as one command each.
//!
//! A *tier* ([`tier`]) is a kind of test; it looks for its tests, says what it needs from the machine
//! ([`needs`]), runs them under a time limit ([`process`]) and hands every outcome to the [`report`].

mod c_header;
mod c_program;
mod c_tests;
mod cargo;
mod clauses;
mod cross;
mod coverage;
mod examples;
mod explain;
mod fuzz;
mod header;
mod install;
mod instructions;
mod interface;
mod library;
mod lint;
mod loom;
mod misuse;
mod mutants;
mod machine;
mod memcheck;
mod needs;
mod pool;
mod ports;
mod process;
mod programs;
mod record;
mod redox;
mod relibc;
mod report;
mod rust_programs;
mod sanitizers;
mod soak;
mod surface;
mod symbols;
mod tier;
mod unit;
mod valgrind;

use crate::{cross::Cross, report::Report, tier::Tier};
use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use std::{path::PathBuf, process::ExitCode};

/// Tests and benches of ralloc.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the tests; without options every tier, in order.
    Test(Test),
    /// Compare speed and memory with other allocators; arguments go to the bench program.
    Bench {
        /// What the bench program is told; try `-- --help`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Print what each resident byte of a workload, or of a program, is for when there are most of them.
    Explain(explain::Explain),
    /// Explore the models of the concurrent protocols, further than the tests do, and print what it took.
    Loom(loom::Exploration),
    /// Run the C programs on other processors and with other C libraries.
    Cross(Cross),
    /// Build for every other system, run what can run, and print the table.
    Ports(ports::Ports),
    /// Build for Redox, and run tests as programs that a Redox kernel starts: on Linux, or on the real kernel.
    Redox(redox::Redox),
    /// Run the test suites of C and C++ libraries, on the system's malloc and on the library.
    Suites {
        /// Only these (the names of the scripts in `tests/suites`).
        names: Vec<String>,
    },
    /// Compare what programs over well-known crates take on ralloc as global allocator and on the system's.
    RustPrograms(rust_programs::Comparison),
    /// Write the table of clauses in `libralloc/README.md` from what the C programs say.
    Clauses,
    /// Record what a program asks of malloc, as a trace for the tests to replay.
    Record(record::Record),
    /// Run all scenarios at random, in threads that come and go, with forks and without memory, and watch what stays.
    Soak(soak::Soak),
    /// Fuzz: look for sequences of operations on which the allocator fails.
    Fuzz(fuzz::Fuzzing),
    /// Run programs that are wrong in one way each on the security build, the default build and other allocators, measure what
    /// security costs, and print who notices what.
    Misuse(misuse::Comparison),
    /// Break the allocator in many small ways, and see whether the tests notice each.
    Mutants(mutants::Mutants),
    /// Build the security build, `libralloc-secure.so`, and print where it is; `install` installs it beside the other.
    Secure,
    /// Build the library and install it: library, header, manual page, pkg-config file, launcher.
    Install(install::Install),
    /// Put the glue into a checkout of relibc, or take it out again.
    Relibc(relibc::Relibc),
    /// Write `libralloc/include/ralloc.h` from the sources of the functions.
    Header,
    /// Write `tests/surface.txt`, the list of all that is public, from the documentation.
    Surface {
        /// Only compare with the list, and look whether all of `ralloc` is in an example.
        #[arg(long)]
        check: bool,
    },
    /// Print which allocator has which function, read from the libraries that are here.
    Symbols {
        /// Where a library is that is not found: NAME=PATH.
        others: Vec<String>,
    },
    /// Check format, lints and documentation: short for `test --tier lint`.
    Lint,
}

/// Which tests to run.
#[derive(clap::Args)]
struct Test {
    /// Only these tiers.
    #[arg(long = "tier", value_name = "NAME", value_delimiter = ',')]
    tiers: Vec<Tier>,
    /// Name the tiers and what they do, and run nothing.
    #[arg(long)]
    list: bool,
    /// In the tiers `c`, `programs` and `rust-programs`: only tests whose name contains this.
    filter: Option<String>,
    /// Test this preload library instead of ours.
    #[arg(long, hide = true, value_name = "PATH")]
    lib: Option<PathBuf>,
}

fn main() -> ExitCode {
    match obey() {
        Ok(code) => code,
        // What went wrong and why, in one line, whatever RUST_BACKTRACE says.
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn obey() -> Result<ExitCode> {
    match Arguments::parse().command {
        Command::Test(Test { list: true, .. }) => {
            for &tier in Tier::ALL {
                println!("{:14}{}", tier.name(), tier.about());
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Test(test) => run(&test),
        Command::Record(arguments) => record::record(&arguments),
        Command::Soak(soak) => soak::soak(&soak),
        Command::Lint => run(&Test {
            tiers: vec![Tier::Lint],
            list: false,
            filter: None,
            lib: None,
        }),
        Command::Loom(exploration) => loom::explore(&exploration),
        Command::Cross(cross) => run_cross(&cross),
        Command::Ports(ports) => ports::command(&ports),
        Command::Redox(redox) => redox::command(&redox),
        Command::Suites { names } => programs::suites(&names),
        Command::Install(install) => install::run(&install).map(|()| ExitCode::SUCCESS),
        Command::Secure => {
            println!("{}", cargo::build_secure_library()?.display());
            Ok(ExitCode::SUCCESS)
        }
        Command::Relibc(arguments) => relibc::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Header => c_header::write().map(|()| ExitCode::SUCCESS),
        Command::Surface { check } => lint::document(check).map(|()| ExitCode::SUCCESS),
        Command::Symbols { others } => symbols::print(&others).map(|()| ExitCode::SUCCESS),
        Command::RustPrograms(comparison) => rust_programs::compare(&comparison),
        Command::Clauses => clauses::write(),
        Command::Fuzz(fuzzing) => fuzz::command(&fuzzing),
        Command::Misuse(comparison) => misuse::compare(&comparison),
        Command::Mutants(mutants) => mutants::run(&mutants),
        Command::Bench { args } => cargo::bench(&args),
        Command::Explain(explain) => explain::command(&explain),
    }
}

fn run(test: &Test) -> Result<ExitCode> {
    process::begin()?;
    let request = tier::Request {
        filter: test.filter.clone(),
        library: test.lib.clone(),
        is_whole: !test.tiers.is_empty(),
    };
    let mut report = Report::new();
    for &tier in Tier::ALL {
        if test.tiers.is_empty() || test.tiers.contains(&tier) {
            report.tier(tier.name(), |report| tier.run(&request, report))?;
        }
    }
    Ok(report.close())
}

fn run_cross(cross: &Cross) -> Result<ExitCode> {
    if let Some(name) = cross.unknown() {
        bail!("no machine is called {name}; `cargo xtask cross --list` names them");
    }
    if cross.lists()? {
        return Ok(ExitCode::SUCCESS);
    }
    process::begin()?;
    let mut report = Report::new();
    report.tier("cross", |report| cross::run(cross, report))?;
    Ok(report.close())
}
