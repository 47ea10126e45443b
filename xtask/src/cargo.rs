//! The cargo that runs us, and where it puts what it builds.

use anyhow::{Context, Result, ensure};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// The top of the repository: above the package that cargo runs, else where we stand.
pub(crate) fn root() -> PathBuf {
    let package = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let above = package
        .as_deref()
        .and_then(Path::parent)
        .map(Path::to_owned);
    above
        .or_else(|| env::current_dir().ok())
        .unwrap_or_else(|| ".".into())
}

/// Every file below a directory with this ending, sorted.
pub(crate) fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == ending)
            {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Where cargo builds: two levels above this program.
pub(crate) fn target() -> Result<PathBuf> {
    let program = env::current_exe()?;
    let target = program.ancestors().nth(2).context("not run by cargo")?;
    Ok(target.to_owned())
}

/// The triple of the machine that this runs on. Cargo builds for it what must be compiled in another way than build scripts.
pub(crate) fn host() -> Result<String> {
    let output = Command::new("rustc")
        .args(["--print", "host-tuple"])
        .output()?;
    ensure!(output.status.success(), "rustc does not name its host");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// A cargo command, at the top of the repository.
pub(crate) fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(words).current_dir(root());
    // What cargo tells the programs it runs must not reach the next cargo's.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// Builds `libralloc.so` and `libralloc.a`, and returns the path of the first.
pub(crate) fn build_library() -> Result<PathBuf> {
    let output = command(&["build", "--release", "--package", "libralloc", "--lib"]).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "the library could not be built\n{said}"
    );
    let library = target()?.join("release/libralloc.so");
    ensure!(library.is_file(), "cargo built no {}", library.display());
    Ok(library)
}

/// Builds the security build, `libralloc-secure.so` and `libralloc-secure.a`, and returns the path of the first.
pub(crate) fn build_secure_library() -> Result<PathBuf> {
    // The other library is not to be mistaken for this one.
    let target = target()?.join("secure");
    let mut build = command(&["build", "--release", "--package", "libralloc", "--lib"]);
    build
        .args(["--features", "security"])
        .env("CARGO_TARGET_DIR", &target);
    let output = build.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "the security build of the library could not be built\n{said}"
    );
    let built = target.join("release");
    for ending in ["so", "a"] {
        let from = built.join(format!("libralloc.{ending}"));
        let to = built.join(format!("libralloc-secure.{ending}"));
        fs::copy(&from, &to).with_context(|| from.display().to_string())?;
    }
    Ok(built.join("libralloc-secure.so"))
}

/// Runs the bench program against the library.
pub(crate) fn bench(args: &[String]) -> Result<ExitCode> {
    let library = build_library()?;
    let mut bench = command(&[
        "run",
        "--release",
        "--package",
        "bench",
        "--bin",
        "bench",
        "--",
    ]);
    let status = bench.arg("--ralloc").arg(library).args(args).status()?;
    Ok(ExitCode::from(
        u8::try_from(status.code().unwrap_or(1)).unwrap_or(1),
    ))
}
