//! An installed launcher in a directory of its own, beside a library that does nothing.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};
use tempfile::TempDir;

/// One stage at a time: a file that is still being written when another test forks cannot be executed.
static STAGE: Mutex<()> = Mutex::new(());

/// A directory with `bin/ralloc` and a `libralloc.so` in the folder asked for.
pub struct Stage {
    root: TempDir,
    _alone: MutexGuard<'static, ()>,
    pub library: PathBuf,
}

impl Stage {
    pub fn new() -> Self {
        Self::with_library_in("bin")
    }

    /// Every name under the stage's own directory may hold any character.
    pub fn with_library_in(folder: &str) -> Self {
        let alone = STAGE.lock().unwrap_or_else(PoisonError::into_inner);
        let root = tempfile::Builder::new()
            .prefix("ralloc-launcher-")
            .tempdir()
            .unwrap();
        let real = root.path().canonicalize().unwrap();
        fs::create_dir_all(real.join("bin")).unwrap();
        fs::create_dir_all(real.join(folder)).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_ralloc"), real.join("bin/ralloc")).unwrap();
        let library = real.join(folder).join("libralloc.so");
        compile("int ralloc_stand_in;", &["-shared", "-fPIC"], &library);
        Self {
            root,
            _alone: alone,
            library,
        }
    }

    /// Where a test may leave files.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().canonicalize().unwrap().join(name)
    }

    /// The launcher as a user starts it: without what cargo tells its children.
    pub fn ralloc(&self, line: &[&str]) -> Command {
        let mut command = Command::new(self.path("bin/ralloc"));
        command.args(line).stdin(Stdio::null());
        for name in [
            "CARGO",
            "CARGO_MANIFEST_DIR",
            "CARGO_PKG_NAME",
            "LD_PRELOAD",
            "RALLOC_OPTIONS",
        ] {
            command.env_remove(name);
        }
        command
    }

    /// Runs the launcher to its end.
    pub fn output(&self, line: &[&str]) -> Output {
        self.ralloc(line).output().unwrap()
    }
}

/// Compiles one file of C with the machine's compiler, which Rust needs for linking anyway.
pub fn compile(source: &str, flags: &[&str], output: &Path) {
    let input = output.with_extension("c");
    fs::write(&input, source).unwrap();
    let status = Command::new("cc")
        .args(flags)
        .arg("-o")
        .arg(output)
        .arg(&input)
        .status()
        .unwrap();
    assert!(status.success(), "cc {flags:?} {}", input.display());
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
