//! Small C and C++ programs under `tests/c`, each on the library and, as a control, on the system's malloc.

use crate::{
    c_program::{self, Test},
    clauses,
    header::Header,
    library::Library,
    machine::Machine,
    needs::{self, Needs},
    pool,
    report::{Outcome, Report},
    tier::Request,
};
use anyhow::Result;

pub(crate) fn run(request: &Request, report: &mut Report) -> Result<()> {
    let mut tests = Test::all()?;
    if request.filter.is_none() {
        clauses::check(&tests, report)?;
    }
    tests.retain(|test| request.wants(&test.name));
    let c = compiler("cc", "gcc libc6-dev");
    let cxx = compiler("c++", "g++");
    needs::install(tests.iter().map(|test| &test.needs).chain([&c, &cxx]))?;
    if let Some(reason) = c.missing() {
        report.add("all", None, &Outcome::skipped(reason));
        return Ok(());
    }

    let library = Library::provide(request)?;
    if !library.serves(report)? {
        return Ok(());
    }
    let machine = Machine::here(library);
    if let Some(reason) = cxx.missing() {
        let (without, rest) = tests.into_iter().partition(Test::is_cxx);
        tests = rest;
        let without: Vec<Test> = without;
        for test in without {
            report.add(&test.name, None, &Outcome::skipped(&reason));
        }
    }
    each(tests, &machine, "", report);
    Ok(())
}

fn compiler(name: &str, packages: &str) -> Needs {
    let header = format!("//needs: {name}\n//packages: {packages}");
    Needs::of(&Header::parse(&header, "//"))
}

/// Runs programs on a machine, first those that bear company. Their names are reported with a prefix.
pub(crate) fn each(tests: Vec<Test>, machine: &Machine, prefix: &str, report: &mut Report) {
    let (alone, together): (Vec<_>, Vec<_>) = tests.into_iter().partition(Test::is_alone);
    let work = |test: &Test| c_program::timed(test, machine);
    pool::each(&together, work, |test, (took, outcome)| {
        report.add(&format!("{prefix}{}", test.name), Some(took), &outcome);
    });
    for test in &alone {
        let (took, outcome) = work(test);
        report.add(&format!("{prefix}{}", test.name), Some(took), &outcome);
    }
}
