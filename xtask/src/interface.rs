//! What programs see of the library: its symbols, its header, and what `cargo xtask install` puts where.

use crate::{
    c_header, cargo, explain,
    header::Header,
    install,
    needs::{self, Needs},
    process,
    report::{Outcome, Report},
    symbols,
    tier::Request,
};
use anyhow::{Context, Result};
use std::{fs, path::Path, process::Command, time::Duration};

const LIMIT: Duration = Duration::from_secs(120);
const NEEDS: &str =
    "//needs: cc c++ nm objcopy pkg-config\n//packages: gcc g++ libc6-dev binutils pkg-config";

/// A program of `libralloc/examples`, and what it prints.
struct Example {
    name: &'static str,
    compiler: &'static str,
    /// Further arguments of the compiler, without a shell.
    flags: &'static [&'static str],
    says: &'static str,
}

const EXAMPLES: [Example; 2] = [
    Example {
        name: "hello.c",
        compiler: "cc",
        flags: &["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror"],
        says: "Hello, allocator\n4096 bytes of 4096\n",
    },
    Example {
        name: "hello.cpp",
        compiler: "c++",
        flags: &["-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"],
        says: "Hello: 1 huge block\nstd::bad_alloc\n",
    },
];

const SIDE_BY_SIDE: Example = Example {
    name: "side_by_side.c",
    compiler: "cc",
    flags: &["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror"],
    says: "ralloc: 10240 bytes, of which one block has 10240\n",
};

pub(crate) fn run(request: &Request, report: &mut Report) -> Result<()> {
    if request.library.is_some() {
        let reason = "looks at what is made of our sources only";
        report.add("all", None, &Outcome::skipped(reason));
        return Ok(());
    }
    let needs = Needs::of(&Header::parse(NEEDS, "//"));
    needs::install([&needs])?;
    if let Some(reason) = needs.missing() {
        report.add("all", None, &Outcome::skipped(reason));
        return Ok(());
    }
    let fresh = match c_header::is_fresh()? {
        true => Outcome::Passed,
        false => Outcome::failed("run `cargo xtask header`", ""),
    };
    report.add("the header is what the sources say", None, &fresh);
    report.add("the options are documented", None, &documented()?);
    explain::test(report)?;

    let folder = tempfile::Builder::new()
        .prefix("ralloc-install-")
        .tempdir()?;
    process::remove_at_interrupt(folder.path());
    let prefix = folder.path().join("all");
    install::files(&prefix, false)?;
    report.add(
        "the symbols are the documented ones",
        None,
        &exactly(&prefix, true)?,
    );
    for example in &EXAMPLES {
        let name = format!("example {}", example.name);
        report.add(&name, None, &judge(example, &prefix, &[])?);
    }
    report.add("the launcher finds the library", None, &launcher(&prefix)?);
    report.add(
        "an archive gives way",
        None,
        &archive(&prefix, folder.path())?,
    );

    let apart = folder.path().join("apart");
    install::files(&apart, true)?;
    report.add(
        "side by side: only names with the prefix",
        None,
        &exactly(&apart, false)?,
    );
    report.add(
        "example side_by_side.c",
        None,
        &judge(&SIDE_BY_SIDE, &apart, &[])?,
    );
    Ok(())
}

fn exactly(prefix: &Path, with_standard_names: bool) -> Result<Outcome> {
    let library = prefix.join("lib/libralloc.so");
    let differences = symbols::differences(&library, with_standard_names)?;
    Ok(match differences.is_empty() {
        true => Outcome::Passed,
        false => Outcome::failed(
            format!("{} names", differences.len()),
            differences.join("\n"),
        ),
    })
}

/// Each option of the library, and each function of the header, is in the manual; the options are in the launcher's help, too.
fn documented() -> Result<Outcome> {
    let root = cargo::root().join("libralloc");
    let manual = fs::read_to_string(root.join("man/ralloc.3"))?.replace("\\-", "-");
    // A value is set in another type than the name before it.
    let manual = manual.replace("= ", "=");
    let help = fs::read_to_string(root.join("launcher/src/options.rs"))?;
    let options = symbols::options()?;
    let mut missing = Vec::new();
    for option in &options {
        let has = |text: &str| text.contains(option.as_str());
        missing.extend((!has(&manual)).then(|| format!("ralloc(3) lacks {option}")));
        missing.extend((!has(&help)).then(|| format!("--help lacks {option}")));
    }
    for function in c_header::functions()? {
        let name = function.trim_start_matches("ralloc_");
        missing.extend((!manual.contains(name)).then(|| format!("ralloc(3) lacks {name}")));
    }
    Ok(match options.len() > 3 && missing.is_empty() {
        true => Outcome::Passed,
        false => Outcome::failed("not documented", missing.join("\n")),
    })
}

/// What pkg-config says of a library that was installed below `prefix`.
fn pkg_config(prefix: &Path) -> Result<Vec<String>> {
    let mut command = Command::new("pkg-config");
    command.args(["--cflags", "--libs", "ralloc"]);
    let output = command
        .env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"))
        .output()
        .context("pkg-config")?;
    let words = String::from_utf8_lossy(&output.stdout);
    Ok(words.split_whitespace().map(str::to_owned).collect())
}

/// Compiles an example as its first lines say, and compares what it prints.
fn judge(example: &Example, prefix: &Path, more: &[&str]) -> Result<Outcome> {
    let program = prefix.join(example.name).with_extension("program");
    let mut command = Command::new(example.compiler);
    command.args(example.flags).arg("-o").arg(&program);
    command.arg(cargo::root().join("libralloc/examples").join(example.name));
    command.args(pkg_config(prefix)?).args(more);
    let built = process::run(&mut command, LIMIT)?;
    if !built.succeeded() {
        return Ok(Outcome::failed(built.describe(), built.output));
    }
    let mut command = Command::new(&program);
    command.env("LD_LIBRARY_PATH", prefix.join("lib"));
    let ended = process::run(&mut command, LIMIT)?;
    Ok(match ended.succeeded() && ended.output == example.says {
        true => Outcome::Passed,
        false => Outcome::failed(ended.describe(), ended.output),
    })
}

fn launcher(prefix: &Path) -> Result<Outcome> {
    let mut command = Command::new(prefix.join("bin/ralloc"));
    // Under cargo the launcher would look where cargo builds.
    command.env_remove("CARGO_PKG_NAME").arg("--lib");
    let ended = process::run(&mut command, LIMIT)?;
    let library = prefix.join("lib/libralloc.so").canonicalize()?;
    Ok(match ended.output.trim() == library.display().to_string() {
        true => Outcome::Passed,
        false => Outcome::failed(ended.describe(), ended.output),
    })
}

/// A program that has its own `operator new` and `reallocf`, linked with the archive.
fn archive(prefix: &Path, folder: &Path) -> Result<Outcome> {
    let source = folder.join("own.cpp");
    fs::write(&source, include_str!("own.cpp"))?;
    let program = folder.join("own");
    let mut command = Command::new("c++");
    command.arg("-o").arg(&program).arg(&source);
    command.arg(prefix.join("lib/libralloc.a"));
    let built = process::run(&mut command, LIMIT)?;
    if !built.succeeded() {
        return Ok(Outcome::failed(built.describe(), built.output));
    }
    let ended = process::run(&mut Command::new(&program), LIMIT)?;
    Ok(match ended.succeeded() {
        true => Outcome::Passed,
        false => Outcome::failed(ended.describe(), ended.output),
    })
}
