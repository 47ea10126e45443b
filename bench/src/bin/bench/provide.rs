//! Makes each allocator available as a preload library, and makes sure that it takes effect.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Error, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::peers::{FAMILY, Peer, Product, Recipe, Source};

/// An allocator that can be measured.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Allocator {
    pub(crate) name: String,
    pub(crate) version: String,
    /// What `LD_PRELOAD` has to say for it.
    #[serde(skip)]
    pub(crate) preload: Option<PathBuf>,
}

/// Where things are and where they are made.
pub(crate) struct Workshop {
    /// Cargo's target directory of this build.
    target: PathBuf,
    /// Where the programs `workload` and `hello` are.
    pub(crate) programs: PathBuf,
}

impl Workshop {
    /// Finds the target directory, and builds the programs unless they are somewhere already.
    pub(crate) fn open(programs: Option<PathBuf>) -> Result<Self> {
        let myself = std::env::current_exe()?;
        let beside = myself.parent().context("no directory")?.to_owned();
        let target = beside.parent().context("no target directory")?.to_owned();
        if let Some(programs) = programs {
            return Ok(Workshop { target, programs });
        }
        let mut build = cargo("build");
        build.args(["--package", "bench"]);
        build.args(["--bin", "workload", "--bin", "hello", "--bin", "program"]);
        build.arg("--manifest-path").arg(here("Cargo.toml"));
        build.arg("--target-dir").arg(&target);
        if beside.ends_with("release") {
            build.arg("--release");
        }
        run(&mut build)?;
        let workshop = Workshop {
            target,
            programs: beside,
        };
        for program in ["workload", "hello"] {
            settle(&workshop.programs.join(program))?;
        }
        Ok(workshop)
    }

    /// Builds the programs over well-known crates, on the system's allocator.
    pub(crate) fn rust_programs(&self) -> Result<PathBuf> {
        let target = self.target.join("rust-programs");
        let mut build = cargo("build");
        build.args(["--release", "--bin", "on-system", "--manifest-path"]);
        build.arg(here("../tests/rust-programs/Cargo.toml"));
        build.arg("--target-dir").arg(&target);
        run(&mut build)?;
        Ok(target.join("release/on-system"))
    }

    /// A scratch file in the target directory.
    pub(crate) fn scratch(&self, name: &str) -> PathBuf {
        self.target.join(name)
    }

    /// ralloc itself, which somebody else has built.
    pub(crate) fn ralloc(&self, name: &str, library: &Path) -> Result<Allocator> {
        let preload = library
            .canonicalize()
            .with_context(|| format!("{}", library.display()))?;
        let version = env!("CARGO_PKG_VERSION").to_owned();
        settle(&preload)?;
        self.checked(Allocator {
            name: name.to_owned(),
            version,
            preload: Some(preload),
        })
    }

    /// Builds or installs a peer.
    pub(crate) fn provide(&self, peer: &Peer) -> Result<Allocator> {
        let (preload, version) = match &peer.source {
            Source::System => {
                let version = output("getconf", &["GNU_LIBC_VERSION"])?;
                (None, version.trim_start_matches("glibc ").to_owned())
            }
            Source::Crate(recipe) => (
                Some(self.build(peer.name, recipe)?),
                recipe.version.to_owned(),
            ),
            Source::Debian { packages, library } => {
                let package = install_one_of(packages)?;
                let version = output("dpkg-query", &["-W", "-f", "${Version}", package])?;
                (
                    Some(library_of(package, library)?),
                    format!("{version} (Debian's {package})"),
                )
            }
        };
        self.checked(Allocator {
            name: peer.name.to_owned(),
            version,
            preload,
        })
    }

    /// Builds the crate under bench/peers, and links what it left.
    fn build(&self, name: &str, recipe: &Recipe) -> Result<PathBuf> {
        for tool in ["cc", "c++", "make"] {
            if output(tool, &["--version"]).is_err() {
                install_one_of(&["build-essential"])?;
            }
        }
        let target = self.target.join("peers");
        let mut build = cargo("build");
        build.args(["--release", "--locked", "--manifest-path"]);
        build.arg(here("peers").join(name).join("Cargo.toml"));
        build.env("CARGO_TARGET_DIR", &target);
        build
            .env("CFLAGS", recipe.c_flags)
            .env("CXXFLAGS", recipe.cxx_flags);
        run(&mut build)?;
        let product = |ending| {
            target
                .join("release")
                .join(format!("libpeer_{}.{ending}", name.replace('-', "_")))
        };
        let library = match recipe.product {
            Product::Library => product("so"),
            Product::Archive => link(&product("a"), &target, name, |function| {
                (function == "malloc").then(|| "-Wl,-u,malloc".to_owned())
            })?,
            Product::Prefixed(prefix) => link(&product("a"), &target, name, |function| {
                Some(format!("-Wl,--defsym={function}={prefix}{function}"))
            })?,
        };
        settle(&library)?;
        Ok(library.canonicalize()?)
    }

    /// Refuses an allocator whose `malloc` is not the one that a program gets.
    fn checked(&self, allocator: Allocator) -> Result<Allocator> {
        let mut which = Command::new(self.programs.join("workload"));
        which.arg("--which").env_clear();
        if let Some(preload) = &allocator.preload {
            which.env("LD_PRELOAD", preload);
        }
        let answer = which.output().context("workload does not start")?;
        let said = String::from_utf8_lossy(&answer.stderr).trim().to_owned();
        ensure!(
            answer.status.success(),
            Error::msg(said).context("workload does not run on it")
        );
        let file = Path::new(str::from_utf8(&answer.stdout)?.trim()).canonicalize()?;
        match &allocator.preload {
            Some(preload) => ensure!(file == preload.canonicalize()?, "malloc is another's"),
            None => ensure!(
                file.file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with("libc")),
                "malloc is not the C library's"
            ),
        }
        Ok(allocator)
    }
}

/// A real program, the package that it comes with, and what shows that it is there.
const PROGRAMS: [(&str, &str, &str); 4] = [
    ("redis", "redis-server", "redis-benchmark"),
    ("sqlite", "sqlite3", "sqlite3"),
    ("compiler", "g++", "g++"),
    ("python", "python3-minimal", "/usr/bin/python3"),
];

/// Makes sure that what a workload runs is installed.
pub(crate) fn install_program(workload: &str) -> Result<()> {
    for (name, package, program) in PROGRAMS {
        if name == workload && output(program, &["--version"]).is_err() {
            install_one_of(&[package])?;
        }
    }
    Ok(())
}

/// Links an archive into a shared library, with some flag for each function of the family.
fn link(
    archive: &Path,
    target: &Path,
    name: &str,
    flag: impl Fn(&str) -> Option<String>,
) -> Result<PathBuf> {
    let library = target.join(format!("lib{name}.so"));
    let mut link = Command::new("cc");
    link.args(["-shared", "-Wl,-z,now", "-Wl,--gc-sections", "-o"])
        .arg(&library);
    link.args(FAMILY.iter().filter_map(|function| flag(function)));
    link.arg(archive).args(["-lpthread", "-ldl"]);
    run(&mut link)?;
    Ok(library)
}

/// Writes a file to the disk. Until that is done, the kernel counts its pages, mapped by only one
/// process, as that process' private dirty memory.
fn settle(file: &Path) -> Result<()> {
    Ok(File::open(file).and_then(|file| file.sync_all())?)
}

/// A file of this package.
pub(crate) fn here(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

fn cargo(verb: &str) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args([verb, "--quiet"]);
    cargo
}

/// Makes sure that one of these packages is installed, and says which.
pub(crate) fn install_one_of(packages: &[&'static str]) -> Result<&'static str> {
    let there = |package: &str| {
        output("dpkg-query", &["-W", "-f", "${Status}", package])
            .is_ok_and(|status| status.ends_with("ok installed"))
    };
    if let Some(package) = packages.iter().find(|package| there(package)) {
        return Ok(package);
    }
    let root = output("id", &["-u"])? == "0";
    let apt = |arguments: &[&str]| {
        let mut command = if root {
            Command::new("apt-get")
        } else {
            Command::new("sudo")
        };
        if !root {
            command.args(["-n", "apt-get"]);
        }
        run(command
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive"))
    };
    for attempt in 0..2 {
        for package in packages {
            if apt(&["install", "-y", "-q", "--no-install-recommends", package]).is_ok() {
                return Ok(package);
            }
        }
        if attempt == 0 {
            apt(&["update", "-q"])?;
        }
    }
    bail!("cannot install {}", packages.join(" or "))
}

/// The file of a package that has this name.
fn library_of(package: &str, library: &str) -> Result<PathBuf> {
    let files = output("dpkg-query", &["-L", package])?;
    let found = files
        .lines()
        .find(|file| Path::new(file).ends_with(library));
    Ok(fs::canonicalize(
        found.with_context(|| format!("no {library} in {package}"))?,
    )?)
}

/// Runs a command; what it says is shown only if it fails.
fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let done = command
        .output()
        .with_context(|| format!("{program} does not start"))?;
    let said = String::from_utf8_lossy(&done.stderr);
    let said = Error::msg(said.trim().to_owned());
    ensure!(
        done.status.success(),
        said.context(format!("{program} failed"))
    );
    Ok(())
}

/// What a command prints, trimmed.
pub(crate) fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let done = Command::new(program).args(arguments).output();
    let done = done.with_context(|| format!("{program} does not start"))?;
    ensure!(done.status.success(), "{program} failed");
    Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
}
