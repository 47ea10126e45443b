//! Some of the programs of `tests/c` on the library under valgrind, which must not find an error; then those of [`memcheck`].
//!
//! Memcheck puts its own functions in the place of every `malloc` that it finds. It is told not to, so that the library runs
//! as it is. The library notices that it is watched, and tells memcheck of its blocks, unless it is told not to: the programs of
//! `tests/c` are here for what else memcheck sees, that nothing reads or writes where nothing is mapped, and that no branch depends
//! on what nobody has written.
//!
//! Not every program can run there. Memcheck has no room for the shadow of `territory.h`, programs that start themselves
//! again find valgrind in their place, and with 3.19 memory that `mremap` moves and lengthens at once is taken for
//! unmapped where it has become longer (`abi/calloc_zero`, `abi/locked`, `abi/realloc_chains`).

use crate::{
    c_program::Test,
    c_tests,
    header::Header,
    library::Library,
    machine::Machine,
    memcheck,
    needs::{self, Needs},
    process::{self, Ended},
    report::{Outcome, Report},
    tier::Request,
};
use anyhow::Result;
use std::{process::Command, time::Duration};

const LIMIT: Duration = Duration::from_secs(120);

/// No `malloc` is taken for that of the system.
pub(crate) const APART: &str = "--soname-synonyms=somalloc=nouserintercepts";

/// An error ends the program with this status.
///
/// What the programs do takes long enough without a request to memcheck for each block.
const VALGRIND: [&str; 7] = [
    "env",
    "RALLOC_OPTIONS=hooks=off",
    "valgrind",
    "--quiet",
    "--error-exitcode=99",
    "--fair-sched=try",
    APART,
];

/// The programs, in the order of `tests/c/README.md`.
const PROGRAMS: [&str; 16] = [
    "abi/alignment",
    "abi/bad_alignment",
    "abi/break_moves",
    "abi/errno_kept",
    "abi/names",
    "abi/sized_free",
    "abi/too_large",
    "abi/trim",
    "abi/zero_size",
    "first_operation/after_main",
    "first_operation/before_main",
    "first_operation/in_signal_handler",
    "first_operation/main_thread_exits",
    "first_operation/no_keys_left",
    "fork/child_returns_memory",
    "fork/freed_for_the_parent",
];

pub(crate) fn run(request: &Request, report: &mut Report) -> Result<()> {
    let header = "//needs: cc valgrind\n//packages: gcc libc6-dev valgrind libc6-dbg";
    let tools = Needs::of(&Header::parse(header, "//"));
    let mut tests = Test::all()?;
    tests.retain(|test| PROGRAMS.contains(&test.name.as_str()) && request.wants(&test.name));
    needs::install(tests.iter().map(|test| &test.needs).chain([&tools]))?;
    if let Some(reason) = tools.missing() {
        report.add("all", None, &Outcome::skipped(reason));
        return Ok(());
    }
    let library = Library::provide(request)?;
    if !serves(&library, report)? {
        return Ok(());
    }
    memcheck::run(request, &library, report)?;
    let machine = Machine::here(library).under_valgrind(&VALGRIND);
    c_tests::each(tests, &machine, "", report);
    Ok(())
}

/// Whether programs really run on the library, and not on what memcheck puts in its place.
fn serves(library: &Library, report: &mut Report) -> Result<bool> {
    let mut command = Command::new("valgrind");
    command.args([APART, "ls"]);
    command.env("LD_PRELOAD", &library.shared);
    command.env("RALLOC_OPTIONS", "hooks=off");
    let ended = process::run(&mut command, LIMIT)?;
    let outcome = unseen(&ended);
    report.add("the library serves", Some(ended.took), &outcome);
    Ok(matches!(outcome, Outcome::Passed))
}

/// Memcheck counts the calls of its own functions, and the blocks that it is told of: there is none.
fn unseen(ended: &Ended) -> Outcome {
    match ended.succeeded() && ended.output.contains("total heap usage: 0 allocs") {
        true => Outcome::Passed,
        false => Outcome::failed("memcheck has its own malloc in place", &ended.output),
    }
}
