//! Where `libralloc.so` is, and a name for it that LD_PRELOAD can hold.

use crate::refusal::{BROKEN, Refusal};
use rustix::process;
use std::{
    env,
    ffi::OsString,
    fs::{self, DirBuilder},
    hash::{DefaultHasher, Hash, Hasher},
    io,
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, MetadataExt, symlink},
    },
    path::{Path, PathBuf},
    process::Command,
};

const NAME: &str = "libralloc.so";

/// The security build, where it is installed.
const SECURE: &str = "libralloc-secure.so";

/// The absolute path of the library, or of its security build: beside the launcher, or in `../lib`. Under `cargo run` it is built
/// first.
pub(crate) fn find(secure: bool) -> Result<PathBuf, Refusal> {
    let launcher = env::current_exe()
        .map_err(|error| Refusal::new(BROKEN, format!("cannot find the launcher: {error}")))?;
    let folder = launcher.parent().unwrap_or(Path::new("/"));
    let places = match cargo() {
        Some(cargo) => {
            // The library is always a release build, the launcher need not be.
            let target = folder.join(if secure { "../secure" } else { ".." });
            build(&cargo, secure.then_some(target.as_path()))?;
            vec![target.join("release")]
        }
        None => vec![folder.to_owned(), folder.join("../lib")],
    };
    // Where cargo builds it, a folder of its own tells the security build from the other.
    let name = if secure && cargo().is_none() {
        SECURE
    } else {
        NAME
    };
    for place in &places {
        if let Ok(library) = place.join(name).canonicalize() {
            return Ok(library);
        }
    }
    let places: Vec<_> = places
        .iter()
        .map(|place| place.display().to_string())
        .collect();
    Err(Refusal::new(
        BROKEN,
        format!("no {name} in {}", places.join(" or ")),
    ))
}

/// The cargo that runs us, if it runs this very package and not something that calls us.
fn cargo() -> Option<OsString> {
    let ours = env::var_os("CARGO_PKG_NAME")? == env!("CARGO_PKG_NAME");
    env::var_os("CARGO_MANIFEST_DIR")
        .filter(|_| ours)
        .and_then(|_| env::var_os("CARGO"))
}

/// Brings the library up to date, or its security build in the folder named, silently unless that fails.
fn build(cargo: &OsString, secure: Option<&Path>) -> Result<(), Refusal> {
    let manifest = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let mut command = Command::new(cargo);
    if let Some(target) = secure {
        command.env("CARGO_TARGET_DIR", target);
    }
    let built = command
        .args([
            "build",
            "--release",
            "--package",
            "libralloc",
            "--lib",
            "--quiet",
        ])
        .args(secure.map_or(&[][..], |_| &["--features", "security"]))
        .current_dir(manifest)
        .output()
        .map_err(|error| Refusal::of(BROKEN, Path::new(cargo), error))?;
    if built.status.success() {
        return Ok(());
    }
    eprint!("{}", String::from_utf8_lossy(&built.stdout));
    eprint!("{}", String::from_utf8_lossy(&built.stderr));
    Err(Refusal::new(BROKEN, "the library could not be built"))
}

/// A path to the library without the characters that mean something inside LD_PRELOAD.
///
/// The variable has no quoting, so a link in a private directory stands in for an awkward path. The
/// launcher is gone by the time the program ends; the link stays, and the next run uses it again.
pub(crate) fn without_separators(library: &Path) -> Result<PathBuf, Refusal> {
    if is_plain(library) {
        return Ok(library.to_owned());
    }
    let failed = |error: io::Error| {
        Refusal::of(
            BROKEN,
            library,
            format!("cannot stand in LD_PRELOAD, nor be linked to: {error}"),
        )
    };
    let mut hasher = DefaultHasher::new();
    library.hash(&mut hasher);
    let link = private_folder()
        .map_err(failed)?
        .join(format!("{:016x}-{NAME}", hasher.finish()));
    if fs::read_link(&link).is_ok_and(|target| target == library) {
        return Ok(link);
    }
    // Renamed into place, for another launcher may be doing the same.
    let fresh = link.with_extension(format!("{}", std::process::id()));
    symlink(library, &fresh)
        .and_then(|()| fs::rename(&fresh, &link))
        .map_err(failed)?;
    Ok(link)
}

/// A directory that only this user can enter.
fn private_folder() -> io::Result<PathBuf> {
    let user = process::geteuid().as_raw();
    let base = [
        env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from),
        Some(env::temp_dir()),
    ]
    .into_iter()
    .flatten()
    .find(|folder| folder.is_dir() && folder.is_absolute() && is_plain(folder))
    .unwrap_or_else(|| "/tmp".into());
    let folder = base.join(format!("ralloc-{user}"));
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let meta = folder.symlink_metadata()?;
    if meta.is_dir() && meta.uid() == user && meta.mode() & 0o077 == 0 {
        return Ok(folder);
    }
    Err(io::Error::other(format!(
        "{} is not private",
        folder.display()
    )))
}

/// LD_PRELOAD splits at colons and white space, and expands `$ORIGIN` and its like.
fn is_plain(path: &Path) -> bool {
    !path
        .as_os_str()
        .as_bytes()
        .iter()
        .any(|&byte| b": \t\n$".contains(&byte))
}
