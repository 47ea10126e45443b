//! `ralloc PROGRAM [ARGS...]`: runs a program with ralloc in place of its libc's malloc.
//!
//! The launcher finds `libralloc.so` ([`library`]), makes sure that the loader will honour it for this
//! program ([`program`]), and replaces itself with the program: standard streams, signals and the exit
//! status are the program's own. What it cannot do it says in one line, with the exit status a shell
//! would give.

mod elf;
mod leaks;
mod library;
mod options;
mod program;
mod refusal;

use crate::{
    options::{Options, Request},
    refusal::{CANNOT_RUN, NOT_FOUND, Refusal, USAGE},
};
use std::{
    env,
    ffi::{OsStr, OsString},
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, ExitCode},
};

fn main() -> ExitCode {
    match options::parse(env::args_os()).and_then(answer) {
        Ok(status) => status,
        Err(refusal) => {
            eprintln!("ralloc: {refusal}");
            ExitCode::from(refusal.status)
        }
    }
}

fn answer(request: Request) -> Result<ExitCode, Refusal> {
    match request {
        Request::Help => println!("{}", options::HELP),
        Request::Version => println!("ralloc {}", env!("CARGO_PKG_VERSION")),
        Request::Usage => {
            eprintln!("{}", options::HELP);
            return Ok(ExitCode::from(USAGE));
        }
        Request::Library { secure } => println!("{}", library::find(secure)?.display()),
        Request::Run(options) if options.leaks => return run_for_leaks(&options),
        Request::Run(options) => return Err(run(&options)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Becomes the program. Returns only to say why it could not.
fn run(options: &Options) -> Refusal {
    prepare(options).map_or_else(
        |refusal| refusal,
        |mut command| failed(options, &command.exec()),
    )
}

/// Runs the program as a child, and explains what it has leaked.
fn run_for_leaks(options: &Options) -> Result<ExitCode, Refusal> {
    let report = leaks::file()?;
    let mut command = prepare(options)?;
    let given = env::var_os("RALLOC_OPTIONS").unwrap_or_default();
    let wanted = match options.stats {
        true => format!("stats,{}", leaks::option(&report)),
        false => leaks::option(&report),
    };
    command.env(
        "RALLOC_OPTIONS",
        match given.is_empty() {
            true => wanted.into(),
            false => joined(&given, Some(wanted.into()), ","),
        },
    );
    leaks::run(command, report).unwrap_or_else(|error| Err(failed(options, &error)))
}

fn prepare(options: &Options) -> Result<Command, Refusal> {
    let library = library::find(options.secure)?;
    let file = program::find(&options.program)?;
    program::check(&file, &elf::read(&library)?)?;
    let preload = library::without_separators(&library)?;

    let mut command = Command::new(&file);
    command.arg0(&options.program).args(&options.args);
    command.env(
        "LD_PRELOAD",
        joined(preload.as_os_str(), env::var_os("LD_PRELOAD"), ":"),
    );
    if options.stats {
        let value = match env::var_os("RALLOC_OPTIONS") {
            Some(given) if !given.is_empty() => joined(&given, Some("stats".into()), ","),
            _ => "stats".into(),
        };
        command.env("RALLOC_OPTIONS", value);
    }
    Ok(command)
}

/// `first`, and `rest` behind a separator if there is any.
fn joined(first: &OsStr, rest: Option<OsString>, separator: &str) -> OsString {
    let mut whole = first.to_owned();
    if let Some(rest) = rest.filter(|rest| !rest.is_empty()) {
        whole.push(separator);
        whole.push(rest);
    }
    whole
}

/// Why the kernel would not start the program, after all checks.
fn failed(options: &Options, error: &io::Error) -> Refusal {
    let status = if error.kind() == io::ErrorKind::NotFound {
        NOT_FOUND
    } else {
        CANNOT_RUN
    };
    Refusal::of(status, Path::new(&options.program), error)
}
