//! `cargo xtask install`: the library and its security build, the header and manual page, the pkg-config file and the launcher, below a prefix.

use crate::{c_header, cargo, process, symbols};
use anyhow::{Context, Result, bail, ensure};
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(600);

/// Where to.
#[derive(clap::Args)]
pub(crate) struct Install {
    /// The folder that gets `lib`, `include`, `share/man` and `bin`.
    #[arg(long, value_name = "FOLDER", default_value = "/usr/local")]
    prefix: PathBuf,
    /// Only the names with the prefix `ralloc_`, to be used beside another allocator.
    #[arg(long)]
    side_by_side: bool,
}

/// Installs, and says what.
pub(crate) fn run(install: &Install) -> Result<()> {
    for file in files(&install.prefix, install.side_by_side)? {
        println!("{}", file.display());
    }
    Ok(())
}

/// Installs everything below `prefix`; returns the files.
pub(crate) fn files(prefix: &Path, side_by_side: bool) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(prefix).with_context(|| prefix.display().to_string())?;
    let prefix = prefix.canonicalize()?;
    let (built, launcher) = build(side_by_side)?;
    let repository = cargo::root().join("libralloc");
    let mut installed = Vec::new();
    let mut put = |to: &str, mode: u32, from: &Path| -> Result<PathBuf> {
        let to = prefix.join(to);
        fs::create_dir_all(to.parent().context("a file has a folder")?)?;
        // Not overwritten in place: programs may be running on it.
        let fresh = to.with_extension("new");
        fs::copy(from, &fresh).with_context(|| from.display().to_string())?;
        fs::set_permissions(&fresh, Permissions::from_mode(mode))?;
        fs::rename(&fresh, &to)?;
        installed.push(to.clone());
        Ok(to)
    };
    put("lib/libralloc.so", 0o755, &built.join("libralloc.so"))?;
    let archive = put("lib/libralloc.a", 0o644, &built.join("libralloc.a"))?;
    if !side_by_side {
        give_way(&archive)?;
        let secure = cargo::build_secure_library()?;
        put("lib/libralloc-secure.so", 0o755, &secure)?;
        let archive = put("lib/libralloc-secure.a", 0o644, &secure.with_extension("a"))?;
        give_way(&archive)?;
    }
    put("include/ralloc.h", 0o644, &c_header::path())?;
    put(
        "share/man/man3/ralloc.3",
        0o644,
        &repository.join("man/ralloc.3"),
    )?;
    put("bin/ralloc", 0o755, &launcher.join("ralloc"))?;
    let template = fs::read_to_string(repository.join("ralloc.pc.in"))?;
    let text = template
        .replace("@PREFIX@", &prefix.display().to_string())
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"));
    let description = prefix.join("lib/pkgconfig/ralloc.pc");
    fs::create_dir_all(description.parent().context("a file has a folder")?)?;
    fs::write(&description, text)?;
    installed.push(description);
    Ok(installed)
}

/// Builds the library and the launcher; returns their folders.
fn build(side_by_side: bool) -> Result<(PathBuf, PathBuf)> {
    let target = cargo::target()?;
    let mut library = cargo::command(&["build", "--release", "--package", "libralloc", "--lib"]);
    let mut target_of_library = target.clone();
    if side_by_side {
        // The other library is not to be mistaken for this one.
        target_of_library.push("side-by-side");
        library.arg("--no-default-features");
    }
    let mut launcher = cargo::command(&["build", "--release", "--package", "launcher"]);
    library.env("CARGO_TARGET_DIR", &target_of_library);
    launcher.env("CARGO_TARGET_DIR", &target);
    for command in [&mut library, &mut launcher] {
        let ended = process::run(command, LIMIT)?;
        ensure!(
            ended.succeeded(),
            "the build: {}\n{}",
            ended.describe(),
            ended.output
        );
    }
    Ok((target_of_library.join("release"), target.join("release")))
}

/// Lets a program that is linked with the archive define for itself what is not of the C or POSIX standard.
fn give_way(archive: &Path) -> Result<()> {
    let mut command = Command::new("objcopy");
    for name in symbols::weak() {
        command.arg(format!("--weaken-symbol={name}"));
    }
    let ended = process::run(command.arg(archive), LIMIT).context("objcopy, of GNU binutils")?;
    if !ended.succeeded() {
        bail!("objcopy: {}\n{}", ended.describe(), ended.output);
    }
    Ok(())
}
