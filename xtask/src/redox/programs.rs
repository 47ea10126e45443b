//! The programs that a Redox kernel starts by itself, and the runner that executes them on Linux.

use super::{BUILD_LIMIT, toolchain};
use crate::{
    cargo,
    process::{self, Ended},
    report::{Outcome, Report},
};
use anyhow::{Context, Result, ensure};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// For a program of the tier.
pub(super) const LIMIT: Duration = Duration::from_secs(300);

/// How long the runner may take beyond what it allows the program.
const GRACE: Duration = Duration::from_secs(30);

/// A program, as an ELF file.
pub(super) struct Program {
    pub(super) name: String,
    path: PathBuf,
}

impl Program {
    pub(super) fn given(path: &Path) -> Self {
        let name = path.file_stem().unwrap_or(path.as_os_str());
        Self {
            name: name.display().to_string(),
            path: path.to_owned(),
        }
    }
}

/// Builds all programs; what cannot be built is reported.
pub(super) fn build(report: &mut Report) -> Result<Vec<Program>> {
    let mut programs = Vec::new();
    let facts = cargo::target()?.join("redox").join("facts");
    let took = process::run(&mut compile_facts(&facts)?, BUILD_LIMIT)?;
    if accept("facts", &took, report) {
        programs.push(Program::given(&facts));
    }
    let toolchain = toolchain::find()?;
    for folder in packages()? {
        let name = folder
            .file_name()
            .context("a folder has a name")?
            .display()
            .to_string();
        let Some(toolchain) = &toolchain else {
            let skipped = Outcome::skipped(toolchain::MISSING);
            report.add(&format!("build {name}"), None, &skipped);
            continue;
        };
        let target = cargo::target()?.join("redox-payload");
        let mut command = toolchain.cargo("build");
        command
            .current_dir(&folder)
            .args(["--release", "--target-dir"])
            .arg(&target);
        let took = process::run(&mut command, BUILD_LIMIT)?;
        if accept(&name, &took, report) {
            let path = target.join("x86_64-unknown-redox/release").join(&name);
            programs.push(Program::given(&path));
        }
    }
    Ok(programs)
}

/// The packages that are programs for Redox: those with addresses of their own to be linked to.
fn packages() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(cargo::root().join("tests/redox"))? {
        let folder = entry?.path();
        if ["Cargo.toml", "link.ld"]
            .iter()
            .all(|file| folder.join(file).is_file())
        {
            found.push(folder);
        }
    }
    found.sort();
    Ok(found)
}

fn accept(name: &str, build: &Ended, report: &mut Report) -> bool {
    if !build.succeeded() {
        let outcome = Outcome::failed(build.describe(), &build.output);
        report.add(&format!("build {name}"), Some(build.took), &outcome);
    }
    build.succeeded()
}

/// The facts speak system calls only: the compiler for the host builds them, with the library that it has.
fn compile_facts(to: &Path) -> Result<Command> {
    let folder = cargo::root().join("tests/redox/facts");
    fs::create_dir_all(to.parent().context("a file has a folder")?)?;
    let mut command = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command
        .args([
            "--edition",
            "2024",
            "--crate-type",
            "bin",
            "--target",
            "x86_64-unknown-linux-gnu",
        ])
        .args([
            "-Dwarnings",
            "-Cpanic=abort",
            "-Copt-level=2",
            "-Crelocation-model=static",
        ])
        .args([
            "-Clink-arg=-nostdlib",
            "-Clink-arg=-static",
            "-Clink-arg=-no-pie",
        ])
        // The library was built for unwinding, which nobody does here.
        .arg("-Clink-arg=-Wl,-z,norelro,--build-id=none,--defsym=rust_eh_personality=0")
        .arg(format!(
            "-Clink-arg=-Wl,-T,{}",
            folder.join("link.ld").display()
        ))
        .arg("-o")
        .arg(to)
        .arg(folder.join("facts.rs"));
    Ok(command)
}

/// The runner, built.
fn runner() -> Result<PathBuf> {
    let words = ["build", "--release", "--package", "redox-runner"];
    let ended = process::run(&mut cargo::command(&words), BUILD_LIMIT)?;
    ensure!(
        ended.succeeded(),
        "the runner: {}\n{}",
        ended.describe(),
        ended.output
    );
    Ok(cargo::target()?.join("release/redox-runner"))
}

const README: &str = "tests/redox/README.md";
const BEGIN: &str = "<!-- figures: written by `cargo xtask redox --figures` -->\n";
const END: &str = "<!-- end of figures -->\n";

/// Runs the payload, and writes what its comparison asks of the kernel into the README.
pub(super) fn figures(programs: &[Program], limit: Duration) -> Result<()> {
    let payload = programs.iter().find(|program| program.name == "payload");
    let payload = payload.context("the payload is not built: is there a toolchain for Redox?")?;
    let mut command = Command::new(runner()?);
    command
        .arg("--limit")
        .arg(limit.as_secs().to_string())
        .arg(&payload.path);
    let ended = process::run(&mut command, limit + GRACE)?;
    ensure!(ended.succeeded(), "{}\n{}", ended.describe(), ended.output);
    let table = asked(&ended.output)?;
    print!("{table}");
    let path = cargo::root().join(README);
    let text = fs::read_to_string(&path)?;
    let (before, rest) = text.split_once(BEGIN).context("no place for figures")?;
    let (_, after) = rest.split_once(END).context("no end of the figures")?;
    fs::write(&path, format!("{before}{BEGIN}\n{table}\n{END}{after}"))?;
    Ok(())
}

/// The table of what the comparison asks of the kernel, from what the payload has said.
fn asked(output: &str) -> Result<String> {
    let rows = output
        .lines()
        .filter_map(|line| line.split_once("asked: |"));
    let rows: Vec<_> = rows
        .map(|(_, row)| format!("|{}\n", row.trim_end()))
        .collect();
    ensure!(!rows.is_empty(), "the payload says nothing of what it asks");
    Ok(format!(
        "| workload | allocator | calls about memory | calls of futex | pages granted | pages reserved in the end | pages walked |\n\
         |---|---|---|---|---|---|---|\n{}",
        rows.concat()
    ))
}

/// Executes programs on Linux.
pub(super) fn run(programs: &[Program], limit: Duration, report: &mut Report) -> Result<()> {
    let runner = runner()?;
    for program in programs {
        let mut command = Command::new(&runner);
        command
            .arg("--limit")
            .arg(limit.as_secs().to_string())
            .arg(&program.path);
        let ended = process::run(&mut command, limit + GRACE)?;
        let failed = ended.output.lines().filter(|line| line.contains("FAILED"));
        let failed: Vec<_> = failed.map(str::trim).collect();
        let outcome = match ended.succeeded() {
            true => Outcome::Passed,
            false if failed.is_empty() => Outcome::failed(ended.describe(), &ended.output),
            false => Outcome::failed(failed.join("; "), &ended.output),
        };
        let verdict = ended
            .output
            .lines()
            .rfind(|line| line.contains(" passed, "));
        let name = format!(
            "{} on the runner ({})",
            program.name,
            verdict.unwrap_or("no verdict")
        );
        report.add(&name, Some(ended.took), &outcome);
    }
    Ok(())
}

/// The image that a kernel copies into memory.
pub(super) fn image(program: &Program, to: &Path) -> Result<()> {
    let mut command = Command::new(runner()?);
    command.arg("--image").arg(to).arg(&program.path);
    let ended = process::run(&mut command, GRACE)?;
    ensure!(ended.succeeded(), "{}", ended.output.trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_becomes_a_table() {
        let said = "payload\nasked: | server | ralloc | 1 | 2 | 3 | 4 | 5 |\n9 passed, 0 failed\n";
        let table = asked(said).unwrap();
        assert!(
            table.ends_with("|---|\n| server | ralloc | 1 | 2 | 3 | 4 | 5 |\n"),
            "{table}"
        );
        assert!(asked("9 passed, 0 failed").is_err());
    }
}
