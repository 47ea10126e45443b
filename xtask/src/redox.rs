//! `cargo xtask redox`: builds for Redox, and programs that a Redox kernel starts by itself, on Linux and on the kernel.
//!
//! - `toolchain`: a compiler that builds for Redox, of those that the machine has;
//! - `programs`: the programs, and the runner that executes them on Linux (`tests/redox/runner`);
//! - `machine`: the real kernel under QEMU, started by `tests/redox/stub`;
//! - `redoxer`: Rust tests on a whole Redox.

mod machine;
mod programs;
mod redoxer;
pub(crate) mod toolchain;

use self::toolchain::Toolchain;
use crate::{
    cargo,
    process::{self, Ended},
    report::{Outcome, Report},
};
use anyhow::{Result, ensure};
use std::{path::PathBuf, process::ExitCode, time::Duration};

/// For a build of `core` and the packages on a busy machine.
const BUILD_LIMIT: Duration = Duration::from_secs(900);

/// The targets that the packages are built for.
const TARGETS: [&str; 4] = [
    "x86_64-unknown-redox",
    "aarch64-unknown-redox",
    "riscv64gc-unknown-redox",
    "i586-unknown-redox",
];

/// What to do. Without options what the tier `redox` does.
#[derive(clap::Args)]
pub(crate) struct Redox {
    /// Only build the packages for all Redox targets.
    #[arg(long)]
    build: bool,
    /// Run the programs on this Redox kernel, under QEMU, with one processor and with two.
    #[arg(long, value_name = "PATH")]
    kernel: Option<PathBuf>,
    /// Compare what ralloc and dlmalloc ask of the kernel, on the runner, and write the table to `tests/redox/README.md`.
    #[arg(long, conflicts_with_all = ["build", "kernel", "redoxer", "program"])]
    figures: bool,
    /// With `--kernel`: the program's clock counts instructions, on one processor, so that its figures are the same each time.
    #[arg(long, requires = "kernel")]
    instructions: bool,
    /// Run the Rust tests that need the standard library on a whole Redox, by redoxer.
    #[arg(long)]
    redoxer: bool,
    /// Run this program (ELF, static, see `tests/redox/README.md`) in place of the project's own.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["build", "redoxer"])]
    program: Option<PathBuf>,
    /// Seconds that a program may run.
    #[arg(long, value_name = "N", default_value_t = 600)]
    limit: u64,
}

/// The command.
pub(crate) fn command(redox: &Redox) -> Result<ExitCode> {
    if let Some(kernel) = &redox.kernel {
        ensure!(
            kernel.is_file(),
            "{}: no such file; {}",
            kernel.display(),
            machine::HOW_TO_GET
        );
    }
    process::begin()?;
    let limit = Duration::from_secs(redox.limit);
    let mut report = Report::new();
    report.tier("redox", |report| {
        if redox.figures {
            return programs::figures(&programs::build(report)?, limit);
        }
        if redox.build || redox.redoxer {
            if redox.build {
                build(report)?;
            }
            if redox.redoxer {
                redoxer::run(report)?;
            }
            return Ok(());
        }
        if redox.program.is_none() && redox.kernel.is_none() {
            build(report)?;
        }
        let programs = match &redox.program {
            Some(path) => vec![programs::Program::given(path)],
            None => programs::build(report)?,
        };
        match &redox.kernel {
            Some(kernel) => {
                let clock = match redox.instructions {
                    true => machine::Clock::Instructions,
                    false => machine::Clock::Time,
                };
                machine::run(kernel, &programs, clock, limit, report)
            }
            None => programs::run(&programs, limit, report),
        }
    })?;
    Ok(report.close())
}

/// The tier: all targets build, the programs pass on the runner. The real kernel is for who has one.
pub(crate) fn run(report: &mut Report) -> Result<()> {
    build(report)?;
    let programs = programs::build(report)?;
    programs::run(&programs, programs::LIMIT, report)?;
    let reason = format!("needs a Redox kernel: {}", machine::HOW_TO_GET);
    report.add("real kernel", None, &Outcome::skipped(reason));
    Ok(())
}

/// The packages for all targets: `core` is built from source. Nothing is optimised, which would take most of the time and
/// find nothing; all at once, because `core` is one crate on one processor; one by one where something is wrong.
fn build(report: &mut Report) -> Result<()> {
    let Some(toolchain) = toolchain::find()? else {
        report.add("build", None, &Outcome::skipped(toolchain::MISSING));
        return Ok(());
    };
    let all = build_for(&toolchain, &TARGETS)?;
    for target in TARGETS {
        let name = format!("build {target}");
        if all.succeeded() {
            report.add(&name, None, &Outcome::Passed);
            continue;
        }
        let alone = build_for(&toolchain, &[target])?;
        let outcome = match alone.succeeded() {
            true => Outcome::Passed,
            false => Outcome::failed(alone.describe(), &alone.output),
        };
        report.add(&name, Some(alone.took), &outcome);
    }
    Ok(())
}

fn build_for(toolchain: &Toolchain, targets: &[&str]) -> Result<Ended> {
    let mut command = toolchain.cargo("build");
    command
        .current_dir(cargo::root())
        .args(["--lib", "--package", "ralloc", "--package", "relibc-glue"])
        .arg("--target-dir")
        .arg(cargo::target()?.join("redox"));
    for target in targets {
        command.args(["--target", target]);
    }
    process::run(&mut command, BUILD_LIMIT)
}
