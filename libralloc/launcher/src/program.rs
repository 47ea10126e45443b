//! Finds a program as a shell does, and tells whether the loader will preload a library into it.

use crate::{
    elf::{self, Image},
    refusal::{CANNOT_RUN, NOT_FOUND, Refusal},
};
use rustix::{
    fs::{Access, StatVfsMountFlags},
    process, thread,
};
use std::{
    env,
    ffi::{OsStr, OsString},
    fs::{File, Metadata},
    io::{self, Read},
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::MetadataExt,
    },
    path::{Path, PathBuf},
};

/// How many scripts may run one another, as in the kernel.
const NESTING: usize = 5;
/// How much of a script's first line the kernel reads.
const FIRST_LINE: u64 = 256;
/// Where `execvp` looks without a PATH.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// The file that `program` names: with a slash in it a path, else a name to look up in PATH.
pub(crate) fn find(program: &OsStr) -> Result<PathBuf, Refusal> {
    let not_found = || Refusal::of(NOT_FOUND, Path::new(program), "no such program");
    if program.is_empty() {
        return Err(not_found());
    }
    if program.as_bytes().contains(&b'/') {
        return runnable(Path::new(program));
    }
    let path = env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    let mut best = not_found();
    for folder in env::split_paths(&path) {
        // An empty entry means the current directory.
        match runnable(&Path::new(".").join(folder).join(program)) {
            Ok(file) => return Ok(file),
            Err(refusal) if refusal.status == CANNOT_RUN => best = refusal,
            Err(_) => {}
        }
    }
    Err(best)
}

fn runnable(file: &Path) -> Result<PathBuf, Refusal> {
    let meta = file.metadata().map_err(|error| {
        let missing = matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        );
        match missing {
            true => Refusal::of(NOT_FOUND, file, "no such program"),
            false => Refusal::of(CANNOT_RUN, file, error),
        }
    })?;
    if meta.is_dir() {
        return Err(Refusal::of(CANNOT_RUN, file, "is a directory"));
    }
    match rustix::fs::access(file, Access::EXEC_OK) {
        Ok(()) => Ok(file.to_owned()),
        Err(_) => Err(Refusal::of(CANNOT_RUN, file, "is not executable")),
    }
}

/// Refuses a program into which the loader would not preload `library`, and says why.
pub(crate) fn check(program: &Path, library: &Image) -> Result<(), Refusal> {
    let mut file = program.to_owned();
    for _ in 0..NESTING {
        let refuse = |reason: String| match file == program {
            true => Refusal::of(CANNOT_RUN, program, reason),
            false => Refusal::of(
                CANNOT_RUN,
                program,
                format!("is run by {}: {reason}", file.display()),
            ),
        };
        // A program may be executable and not readable: then nothing is known against it.
        let Ok(opened) = File::open(&file) else {
            return Ok(());
        };
        let meta = opened
            .metadata()
            .map_err(|error| refuse(error.to_string()))?;
        let head = opened
            .try_clone()
            .map_err(|error| refuse(error.to_string()))?;
        match elf::parse(opened) {
            Ok(Some(image)) => {
                return judge(&image, library)
                    .and_then(|()| privilege(&file, &meta, &Caller::current()))
                    .map_err(refuse);
            }
            Ok(None) => file = interpreter(head).map_err(refuse)?,
            Err(error) => return Err(refuse(format!("damaged ELF file ({error})"))),
        }
    }
    Err(Refusal::of(
        CANNOT_RUN,
        program,
        "scripts run one another too deep",
    ))
}

/// Who runs a file that is not ELF: what follows `#!`, else the shell, as `execvp` decides it.
fn interpreter(file: File) -> Result<PathBuf, String> {
    let mut head = Vec::new();
    rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0)).map_err(|error| error.to_string())?;
    file.take(FIRST_LINE)
        .read_to_end(&mut head)
        .map_err(|error| error.to_string())?;
    let line = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let Some(line) = line.strip_prefix(b"#!") else {
        return match head.contains(&0) {
            true => Err("neither an ELF program nor a script".into()),
            false => Ok("/bin/sh".into()),
        };
    };
    let name = line
        .trim_ascii()
        .split(u8::is_ascii_whitespace)
        .next()
        .unwrap_or_default();
    let name = PathBuf::from(OsString::from_vec(name.to_vec()));
    match runnable(&name) {
        Ok(file) => Ok(file),
        Err(_) => Err(format!(
            "is a script for {}, which cannot be run",
            name.display()
        )),
    }
}

fn judge(image: &Image, library: &Image) -> Result<(), String> {
    if image.machine != library.machine {
        return Err(format!(
            "is a {} program, the library is {}",
            image.machine, library.machine
        ));
    }
    match &image.loader {
        None => Err(
            "is statically linked, which leaves nobody to preload a library; \
                     link it with libralloc.a"
                .into(),
        ),
        Some(loader) if !Path::new(loader).exists() => Err(format!(
            "needs the loader {}, which does not exist",
            loader.display()
        )),
        Some(_) => Ok(()),
    }
}

/// Who starts the program.
struct Caller {
    user: u32,
    group: u32,
    /// The kernel gives no privilege by exec.
    never_more: bool,
}

impl Caller {
    fn current() -> Self {
        Self {
            user: process::getuid().as_raw(),
            group: process::getgid().as_raw(),
            never_more: thread::no_new_privs().unwrap_or(false),
        }
    }
}

/// A program that gains privilege by being run is loaded in secure mode, where LD_PRELOAD is ignored.
fn privilege(file: &Path, meta: &Metadata, caller: &Caller) -> Result<(), String> {
    let ignored = |mount: rustix::fs::StatVfs| mount.f_flag.contains(StatVfsMountFlags::NOSUID);
    if caller.never_more || rustix::fs::statvfs(file).is_ok_and(ignored) {
        return Ok(());
    }
    let capable = rustix::fs::getxattr(file, "security.capability", &mut [0_u8; 0]).is_ok();
    match gain(meta.mode(), (meta.uid(), meta.gid()), capable, caller) {
        None => Ok(()),
        Some(gain) => Err(format!(
            "{gain}, and the loader ignores LD_PRELOAD in a program that gains privilege"
        )),
    }
}

fn gain(mode: u32, owner: (u32, u32), capable: bool, caller: &Caller) -> Option<&'static str> {
    const SETUID: u32 = 0o4000;
    /// Without the right of the group to execute, the bit means something else.
    const SETGID: u32 = 0o2010;
    if mode & SETUID == SETUID && owner.0 != caller.user {
        Some("is setuid")
    } else if mode & SETGID == SETGID && owner.1 != caller.group {
        Some("is setgid")
    } else if capable && caller.user != 0 {
        Some("has file capabilities")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: Caller = Caller {
        user: 1000,
        group: 1000,
        never_more: false,
    };
    const ROOT: Caller = Caller {
        user: 0,
        group: 0,
        never_more: false,
    };

    #[test]
    fn only_a_change_of_user_or_group_is_a_gain() {
        assert_eq!(gain(0o4755, (0, 0), false, &USER), Some("is setuid"));
        assert_eq!(gain(0o4755, (0, 0), false, &ROOT), None);
        assert_eq!(gain(0o4755, (1000, 0), false, &USER), None);
        assert_eq!(gain(0o2755, (0, 0), false, &USER), Some("is setgid"));
        assert_eq!(gain(0o2755, (0, 1000), false, &USER), None);
    }

    #[test]
    fn setgid_without_group_execution_is_a_lock() {
        assert_eq!(gain(0o2745, (0, 0), false, &USER), None);
    }

    #[test]
    fn root_gains_nothing_by_file_capabilities() {
        assert_eq!(
            gain(0o755, (0, 0), true, &USER),
            Some("has file capabilities")
        );
        assert_eq!(gain(0o755, (0, 0), true, &ROOT), None);
    }
}
