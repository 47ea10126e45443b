//! The library under test, where every user of the machine can read it, and the proof that it serves.

use crate::{
    cargo,
    process::{self, Ended},
    report::{Outcome, Report},
    tier::Request,
};
use anyhow::{Context, Result, ensure};
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(60);

/// A copy of the library, in a fresh directory that others may enter.
pub(crate) struct Library {
    folder: TempDir,
    /// The preload library.
    pub(crate) shared: PathBuf,
    /// The same for linking, if there is one.
    pub(crate) archive: Option<PathBuf>,
}

impl Library {
    /// Builds the library, or takes the one that the user named.
    pub(crate) fn provide(request: &Request) -> Result<Self> {
        let built = match &request.library {
            Some(library) => library
                .canonicalize()
                .with_context(|| library.display().to_string())?,
            None => cargo::build_library()?,
        };
        let beside = built.with_extension("a");
        Self::at(&built, beside.is_file().then_some(beside))
    }

    /// The library as it lies here, and its archive.
    pub(crate) fn at(built: &Path, archive: Option<PathBuf>) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("ralloc-test-").tempdir()?;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        process::remove_at_interrupt(folder.path());
        let shared = folder.path().join("libralloc.so");
        // Where everything is linked statically there is none.
        if built.is_file() {
            fs::copy(built, &shared)?;
        }
        Ok(Self {
            folder,
            shared,
            archive,
        })
    }

    /// A fresh directory for one test's files.
    pub(crate) fn scratch(&self) -> Result<TempDir> {
        let scratch = tempfile::Builder::new().tempdir_in(self.folder.path())?;
        fs::set_permissions(scratch.path(), Permissions::from_mode(0o755))?;
        Ok(scratch)
    }

    /// Whether the whole malloc family of a preloaded program comes from the library.
    ///
    /// The loader goes on without a library that it cannot load: without this, all tests could pass
    /// on the system's malloc.
    pub(crate) fn serves(&self, report: &mut Report) -> Result<bool> {
        let outcome = self.probe()?;
        report.add("the library serves", None, &outcome);
        Ok(matches!(outcome, Outcome::Passed))
    }

    fn probe(&self) -> Result<Outcome> {
        let scratch = self.scratch()?;
        let source = scratch.path().join("probe.c");
        let program = scratch.path().join("probe");
        fs::write(&source, include_str!("probe.c"))?;
        let built = process::run(
            Command::new("cc").arg("-o").arg(&program).arg(&source),
            LIMIT,
        )?;
        ensure!(
            built.succeeded(),
            "cc: {}\n{}",
            built.describe(),
            built.output
        );
        let ended = process::run(
            Command::new(&program).env("LD_PRELOAD", &self.shared),
            LIMIT,
        )?;
        let home = self.shared.to_string_lossy().into_owned();
        Ok(
            match ended.output.lines().find(|line| !line.ends_with(&home)) {
                Some(stray) => {
                    Outcome::failed(format!("not served: {stray}"), ended.output.clone())
                }
                None if !ended.succeeded() => Outcome::failed(ended.describe(), ended.output),
                None => Outcome::Passed,
            },
        )
    }
}

/// The loader's complaint, if it ran a program without the library.
pub(crate) fn not_preloaded(ended: &Ended) -> Option<Outcome> {
    let complaint = ended
        .output
        .lines()
        .find(|line| line.contains("ERROR: ld.so: object"))?;
    Some(Outcome::failed("the library was not preloaded", complaint))
}
