//! How many instructions the hit paths execute: a test of the package `libralloc`.

use crate::{
    cargo,
    header::Header,
    needs::{self, Needs},
    report::{Outcome, Report},
    tier::Request,
    unit,
};
use anyhow::Result;
use std::fs;

pub(crate) fn run(request: &Request, report: &mut Report) -> Result<()> {
    let source = cargo::root().join("libralloc/tests/instructions.rs");
    let Ok(source) = fs::read_to_string(source) else {
        report.add(
            "all",
            None,
            &Outcome::skipped("libralloc has no test named so yet"),
        );
        return Ok(());
    };
    if request.library.is_some() {
        report.add(
            "all",
            None,
            &Outcome::skipped("counts the instructions of our library only"),
        );
        return Ok(());
    }
    let needs = Needs::of(&Header::parse(&source, "//"));
    needs::install([&needs])?;
    if let Some(reason) = needs.missing() {
        report.add("all", None, &Outcome::skipped(reason));
        return Ok(());
    }
    cargo::build_library()?;
    let words = ["test", "--package", "libralloc", "--test", "instructions"];
    unit::suite("libralloc", &mut cargo::command(&words), report)
}
