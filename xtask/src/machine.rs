//! What a C program is built for and runs on: this machine, another C library, another processor.
//!
//! A machine has traits, by which programs say where they make no sense:
//!
//! | trait | |
//! |---|---|
//! | its name | `here`, or one of [`crate::cross`] |
//! | `valgrind` | the program runs under it |
//! | `qemu` | the processor is emulated, and so are the system calls |
//! | `32-bit` | as pointers are |
//! | `16k`, `64k` | the size of OS pages |
//! | `keyed` | there is no assembler for the words of a thread: a thread key leads to them |
//! | `foreign` | the programs of the host are of another processor, or use another C library |
//! | `musl` | the C library is musl, not glibc |
//! | `static` | the program is linked statically, with `libralloc.a` |

use crate::library::Library;
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

/// Where programs run, and the library built for there.
pub(crate) struct Machine {
    pub(crate) cc: OsString,
    pub(crate) cxx: OsString,
    pub(crate) link_flags: Vec<String>,
    /// What runs a program: nothing, or an emulator with its arguments.
    pub(crate) runner: Vec<String>,
    pub(crate) traits: Vec<&'static str>,
    /// Whether nobody waits for the outcome: then a program has time enough on a machine that is busy with something else.
    pub(crate) unhurried: bool,
    pub(crate) library: Library,
}

impl Machine {
    /// This machine, with its own compilers.
    pub(crate) fn here(library: Library) -> Self {
        Self {
            cc: "cc".into(),
            cxx: "c++".into(),
            link_flags: Vec::new(),
            runner: Vec::new(),
            traits: vec!["here"],
            unhurried: false,
            library,
        }
    }

    /// The same machine, with every program under valgrind, which is told so.
    pub(crate) fn under_valgrind(mut self, command: &[&str]) -> Self {
        self.runner = command.iter().map(|&word| word.to_owned()).collect();
        self.traits.push("valgrind");
        self
    }

    /// This machine, for tests of what does not need the library.
    #[cfg(test)]
    pub(crate) fn without_library() -> anyhow::Result<Self> {
        let nowhere = PathBuf::from("/dev/null");
        Ok(Self::here(Library::at(&nowhere, None)?))
    }

    /// Whether it has a trait.
    pub(crate) fn is(&self, word: &str) -> bool {
        self.traits.contains(&word)
    }

    /// Whether every program is linked with `libralloc.a`.
    pub(crate) fn links(&self) -> bool {
        self.is("static")
    }

    /// How many times as long as it says a program may take. A limit is there for what hangs: it is far from what any program takes.
    pub(crate) fn patience(&self) -> u32 {
        let slowness = match self.is("qemu") || self.is("valgrind") {
            true => 5,
            false => 1,
        };
        match self.unhurried {
            true => 6 * slowness,
            false => slowness,
        }
    }

    /// The command that runs a program, on the library if there is one to preload.
    pub(crate) fn command(&self, program: &Path, preload: Option<&Path>) -> Command {
        let mut command = match self.runner.split_first() {
            None => Command::new(program),
            Some((emulator, arguments)) => {
                let mut command = Command::new(emulator);
                command.args(arguments);
                if let Some(library) = preload.filter(|_| self.is("qemu")) {
                    // The emulator itself is a program of this machine and cannot load the library.
                    command.arg("-E").arg(preload_variable(library));
                }
                command.arg(program);
                command
            }
        };
        command.env_remove("LD_PRELOAD");
        if let Some(library) = preload.filter(|_| !self.is("qemu")) {
            command.env("LD_PRELOAD", library);
        }
        command
    }
}

fn preload_variable(library: &Path) -> OsString {
    let mut variable = OsString::from("LD_PRELOAD=");
    variable.push(PathBuf::from(library));
    variable
}
