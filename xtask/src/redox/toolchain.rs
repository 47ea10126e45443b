//! A compiler that builds for Redox, and for other systems for which rustup has no libraries.
//!
//! Few come with them, so they are built from source. That is an unstable option of cargo, which
//! `RUSTC_BOOTSTRAP` allows to a stable one; the sources come with rustup's component `rust-src`, or with Debian's packages,
//! which have a compiler of their own and do not disturb rustup.

use crate::{
    header::Header,
    needs::{self, Needs},
};
use anyhow::Result;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// What to say where there is none.
pub(crate) const MISSING: &str = "needs the sources of the standard library: `rustup component add rust-src`, or on Debian \
    `apt-get install rustc-web cargo-web rust-web-src`";

/// What Debian has.
const HEADER: &str = "# needs: /usr/bin/rustc /usr/bin/cargo\n\
    # check: test -e /usr/lib/rustlib/src/rust/library/core/Cargo.toml\n\
    # packages: rustc-web cargo-web rust-web-src\n";

const DEBIAN: &str = "/usr/bin";

/// A compiler and its cargo.
pub(crate) struct Toolchain {
    cargo: PathBuf,
    rustc: PathBuf,
}

impl Toolchain {
    /// The compiler that this one is, if it has the sources.
    fn with_sources(cargo: PathBuf, rustc: PathBuf) -> Option<Self> {
        let output = clean(&rustc).args(["--print", "sysroot"]).output().ok()?;
        let sysroot = String::from_utf8(output.stdout).ok()?;
        let sources =
            Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core/Cargo.toml");
        (output.status.success() && sources.is_file()).then_some(Self { cargo, rustc })
    }

    /// A command of cargo that builds the libraries from source too.
    pub(crate) fn cargo(&self, verb: &str) -> Command {
        let mut command = clean(&self.cargo);
        command
            .arg(verb)
            .args(["-Zbuild-std=core,alloc,compiler_builtins"])
            .args(["-Zbuild-std-features=compiler-builtins-mem"])
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTC", &self.rustc);
        command
    }
}

/// A program that is not told which cargo has started us.
fn clean(program: &Path) -> Command {
    let mut command = Command::new(program);
    for name in [
        "CARGO",
        "RUSTC",
        "RUSTUP_TOOLCHAIN",
        "RUSTFLAGS",
        "CARGO_TARGET_DIR",
    ] {
        command.env_remove(name);
    }
    command
}

/// The first of: the toolchain in use, any other of rustup's, Debian's, which is installed where that is allowed.
pub(crate) fn find() -> Result<Option<Toolchain>> {
    let ours = ["cargo", "rustc"].map(PathBuf::from);
    let [cargo, rustc] = ours;
    if let Some(found) = Toolchain::with_sources(cargo, rustc).or_else(of_rustup) {
        return Ok(Some(found));
    }
    let needs = Needs::of(&Header::parse(HEADER, "#"));
    needs::install([&needs])?;
    let [cargo, rustc] = ["cargo", "rustc"].map(|name| Path::new(DEBIAN).join(name));
    Ok(Toolchain::with_sources(cargo, rustc))
}

fn of_rustup() -> Option<Toolchain> {
    let output = Command::new("rustup")
        .args(["toolchain", "list", "--verbose"])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().find_map(|line| {
        let folder = Path::new(line.split_whitespace().last()?).join("bin");
        Toolchain::with_sources(folder.join("cargo"), folder.join("rustc"))
    })
}
