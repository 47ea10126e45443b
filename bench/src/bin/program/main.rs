//! `program NAME [--preload LIBRARY] [--rust PROGRAM] [--scale X]`: one real program on an allocator.
//!
//! The program itself runs on the C library's `malloc`; what it starts gets the library. It prints
//! one line, see `bench::Outcome`: wall time and processor time of what was started, and the most
//! that any process of it ever had resident.

mod redis;
mod usage;

use std::{
    error::Error,
    ffi::OsString,
    fs,
    hash::{DefaultHasher, Hasher},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use bench::Outcome;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Rows, objects and rounds are made for this; the SQL and the script are told the number.
const SQL: &str = include_str!("work.sql");
const SCRIPT: &str = include_str!("work.py");
const SOURCE: &str = include_str!("work.cc");

/// How a program is started, and how much it is to do.
pub(crate) struct Setting {
    preload: Option<OsString>,
    /// The programs of `tests/rust-programs` on the system's allocator.
    rust: Option<PathBuf>,
    scale: f64,
    /// A directory that goes when this program ends.
    pub(crate) folder: PathBuf,
}

impl Setting {
    /// A program on the allocator, in an environment that says nothing else.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            .env("LC_ALL", "C")
            .current_dir(&self.folder);
        if let Some(preload) = &self.preload {
            command.env("LD_PRELOAD", preload);
        }
        command
    }

    pub(crate) fn scaled(&self, amount: u32) -> u32 {
        ((f64::from(amount) * self.scale) as u32).max(1)
    }

    /// Runs a command to its end; the sum is over what it prints.
    fn measure(&self, mut command: Command, input: &str) -> Result<Outcome> {
        let start = Instant::now();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
        child
            .stdin
            .take()
            .ok_or("no pipe")?
            .write_all(input.as_bytes())?;
        let done = child.wait_with_output()?;
        let time = start.elapsed();
        if !done.status.success() {
            return Err(String::from_utf8_lossy(&done.stderr)
                .trim()
                .to_owned()
                .into());
        }
        let mut hasher = DefaultHasher::new();
        hasher.write(&done.stdout);
        let (cpu, peak_kib) = usage::of_children();
        Ok(outcome(time.as_secs_f64(), cpu, peak_kib, hasher.finish()))
    }

    /// A program over well-known crates, `times` times over.
    fn rust(&self, name: &str, times: u32) -> Result<Outcome> {
        let program = self.rust.as_ref().ok_or("no --rust PROGRAM")?;
        let mut command = self.command(program);
        let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        command
            .arg(name)
            .arg(self.scaled(times).to_string())
            .arg(tree);
        self.measure(command, "")
    }
}

pub(crate) fn outcome(seconds: f64, cpu: f64, peak_kib: u64, checksum: u64) -> Outcome {
    Outcome {
        seconds,
        operations: 1,
        checksum,
        peak_kib,
        cpu: Some(cpu),
        kept: None,
        private_dirty_kib: None,
        latency: None,
    }
}

fn run(name: &str, setting: &Setting) -> Result<Outcome> {
    match name {
        "redis" => redis::run(setting),
        "sqlite" => {
            let rows = setting.scaled(100_000).to_string();
            let mut command = setting.command("sqlite3");
            command.args(["-batch", ":memory:"]);
            setting.measure(command, &SQL.replace("ROWS", &rows))
        }
        "compiler" => {
            let mut command = setting.command("g++");
            command.args(["-std=c++17", "-O1", "-S", "-x", "c++", "-o", "-", "-"]);
            setting.measure(command, SOURCE)
        }
        "python" => {
            let mut command = setting.command("/usr/bin/python3");
            command
                .env("PYTHONMALLOC", "malloc")
                .env("PYTHONHASHSEED", "0")
                .args(["-s", "-c", SCRIPT])
                .arg(setting.scaled(80_000).to_string());
            setting.measure(command, "")
        }
        "rust-echo" => setting.rust("echo", 500),
        "rust-json" => setting.rust("json", 30),
        "rust-search" => setting.rust("search", 10),
        "rust-highlight" => setting.rust("highlight", 2),
        _ => Err(format!("no program `{name}`").into()),
    }
}

fn main() -> Result<()> {
    use lexopt::{Arg, ValueExt};
    let mut name = String::new();
    let folder = std::env::temp_dir().join(format!("ralloc-bench-{}", std::process::id()));
    let mut setting = Setting {
        preload: None,
        rust: None,
        scale: 1.0,
        folder,
    };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            // The loader goes on without a library that it does not find.
            Arg::Long("preload") => {
                setting.preload = Some(PathBuf::from(arguments.value()?).canonicalize()?.into());
            }
            Arg::Long("rust") => setting.rust = Some(arguments.value()?.into()),
            Arg::Long("scale") => setting.scale = arguments.value()?.parse()?,
            Arg::Value(value) if name.is_empty() => name = value.string()?,
            other => return Err(other.unexpected().into()),
        }
    }
    fs::create_dir_all(&setting.folder)?;
    let outcome = run(&name, &setting);
    fs::remove_dir_all(&setting.folder)?;
    println!("{}", outcome?);
    Ok(())
}
