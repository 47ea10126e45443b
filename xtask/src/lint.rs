//! Format, lints and documentation, without a warning.

use crate::{
    cargo, process,
    report::{Outcome, Report},
    surface,
};
use anyhow::{Result, ensure};
use std::{
    fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const LIMIT: Duration = Duration::from_secs(600);

struct Check {
    name: &'static str,
    /// What cargo is told.
    words: &'static str,
    /// A component of the toolchain, if it is one that may be missing.
    component: Option<&'static str>,
    /// A variable of the environment that turns warnings into errors.
    variable: Option<(&'static str, &'static str)>,
}

const CHECKS: [Check; 10] = [
    Check {
        name: "fmt",
        words: "fmt --all --check -- --color never",
        component: Some("fmt"),
        variable: None,
    },
    // Together with the tests of other packages, the platform would be built with `std`, whose panic
    // handler is not the library's: so the library is looked at by itself.
    Check {
        name: "clippy",
        words: "clippy --quiet --workspace --exclude libralloc --all-targets \
            --features ralloc/partial,ralloc/security,ralloc/thread_oom,ralloc/allocator-api2 -- --deny warnings",
        component: Some("clippy"),
        variable: None,
    },
    Check {
        name: "clippy libralloc",
        words: "clippy --quiet --package libralloc --all-targets -- --deny warnings",
        component: Some("clippy"),
        variable: None,
    },
    Check {
        name: "fmt fuzz",
        words: "fmt --manifest-path fuzz/Cargo.toml --check -- --color never",
        component: Some("fmt"),
        variable: None,
    },
    // Nothing is linked, so libFuzzer need not be compiled: any path will do.
    Check {
        name: "clippy fuzz",
        words: "clippy --quiet --manifest-path fuzz/Cargo.toml --target-dir target/fuzz \
            -- --deny warnings",
        component: Some("clippy"),
        variable: Some(("CUSTOM_LIBFUZZER_PATH", "/libnone.a")),
    },
    Check {
        name: "fmt redox-payload",
        words: "fmt --manifest-path tests/redox/payload/Cargo.toml --check -- --color never",
        component: Some("fmt"),
        variable: None,
    },
    Check {
        name: "fmt rust-programs",
        words: "fmt --manifest-path tests/rust-programs/Cargo.toml --all --check -- --color never",
        component: Some("fmt"),
        variable: None,
    },
    // As for a release, so that what runs in the compiler is built once for both.
    Check {
        name: "clippy rust-programs",
        words: "clippy --quiet --release --workspace --all-targets \
            --manifest-path tests/rust-programs/Cargo.toml --target-dir target/rust-programs \
            -- --deny warnings",
        component: Some("clippy"),
        variable: None,
    },
    Check {
        name: "doc without features",
        words: "doc --quiet --package ralloc --no-deps --no-default-features",
        component: None,
        variable: Some(("RUSTDOCFLAGS", "--deny warnings")),
    },
    // The last: the list of what is public is compared with these pages.
    DOC,
];

const DOC: Check = Check {
    name: "doc",
    words: "doc --quiet --workspace --no-deps \
        --features ralloc/partial,ralloc/security,ralloc/thread_oom,ralloc/allocator-api2",
    component: None,
    variable: Some(("RUSTDOCFLAGS", "--deny warnings")),
};

/// Makes every check.
pub(crate) fn run(report: &mut Report) -> Result<()> {
    for check in CHECKS {
        if let Some(component) = check.component
            && !cargo::command(&[component, "--version"])
                .output()?
                .status
                .success()
        {
            let lacking = Outcome::skipped(format!("needs cargo {component}"));
            report.add(check.name, None, &lacking);
            continue;
        }
        let words: Vec<_> = check.words.split_whitespace().collect();
        let ended = process::run(cargo::command(&words).envs(check.variable), LIMIT)?;
        let outcome = match ended.succeeded() {
            true => Outcome::Passed,
            false => Outcome::failed(ended.describe(), &ended.output),
        };
        report.add(check.name, Some(ended.took), &outcome);
    }
    surface(report)?;
    package(report)
}

/// What the pages of the documentation, just written, say is public.
fn surface(report: &mut Report) -> Result<()> {
    let outcome = match surface::check(&cargo::root(), &cargo::target()?.join("doc")) {
        Ok(()) => Outcome::Passed,
        Err(error) => Outcome::failed("is not as it should be", format!("{error:#}")),
    };
    report.add("public surface", None, &outcome);
    Ok(())
}

/// Writes the documentation, and compares the list of what is public with it or writes that anew.
pub(crate) fn document(only_check: bool) -> Result<()> {
    let words: Vec<_> = DOC.words.split_whitespace().collect();
    let status = cargo::command(&words).envs(DOC.variable).status()?;
    ensure!(status.success(), "cargo doc failed");
    let (root, doc) = (cargo::root(), cargo::target()?.join("doc"));
    match only_check {
        true => surface::check(&root, &doc),
        false => surface::write(&root, &doc),
    }
}

/// Packs the crates, both together, and builds them from what is packed: neither is on a registry for the other.
fn package(report: &mut Report) -> Result<()> {
    // Cargo keeps what it unpacks under the name of the registry that it makes for this, which lies in the folder for what is
    // built. In a folder that has been used before, crates of the same version would be those of then.
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    let folder = cargo::target()?.join(format!("package-{now}"));
    let words = [
        "package",
        "--quiet",
        "--package=ralloc-platform",
        "--package=ralloc",
        "--allow-dirty",
        "--target-dir",
    ];
    let ended = process::run(cargo::command(&words).arg(&folder), LIMIT)?;
    let outcome = match ended.succeeded() {
        true => Outcome::Passed,
        false => Outcome::failed(ended.describe(), &ended.output),
    };
    report.add("package", Some(ended.took), &outcome);
    // What is left there is of no use to the next run.
    let _ = fs::remove_dir_all(folder);
    Ok(())
}
