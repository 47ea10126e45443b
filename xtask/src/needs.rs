//! What a test needs from the machine, and how it comes by it.

use crate::{header::Header, process};
use anyhow::Result;
use std::{
    process::{Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

/// How long the package manager may take.
const LIMIT: Duration = Duration::from_secs(600);

/// What a test needs, from these lines of its header:
///
/// - `needs: COMMAND...`: these commands are in PATH;
/// - `check: SHELL COMMAND`: this command succeeds;
/// - `packages: NAME...`: the Debian packages to install where they are not so (expanded by the shell).
#[derive(Default, Clone)]
pub(crate) struct Needs {
    commands: Vec<String>,
    checks: Vec<String>,
    packages: String,
}

impl Needs {
    pub(crate) fn of(header: &Header) -> Self {
        Self {
            commands: header.words("needs").map(str::to_owned).collect(),
            checks: header.all("check").map(str::to_owned).collect(),
            packages: header.all("packages").collect::<Vec<_>>().join(" "),
        }
    }

    /// The first thing that is missing, in words.
    pub(crate) fn missing(&self) -> Option<String> {
        let command = self
            .commands
            .iter()
            .find(|name| !shell(&format!("command -v {name}")));
        if let Some(name) = command {
            return Some(format!("needs {name}"));
        }
        let check = self.checks.iter().find(|check| !shell(check))?;
        Some(format!("needs `{check}` to succeed"))
    }
}

/// Installs what is missing, in one go, where that is allowed; what cannot be had stays missing.
pub(crate) fn install<'a>(all: impl IntoIterator<Item = &'a Needs>) -> Result<()> {
    let mut packages = Vec::new();
    for needs in all.into_iter().filter(|needs| needs.missing().is_some()) {
        let mut expand = Command::new("bash");
        expand.arg("-c").arg(format!("echo {}", needs.packages));
        packages.extend(words(&mut expand)?);
    }
    packages.sort();
    packages.dedup();
    if packages.is_empty() || !may_install() {
        return Ok(());
    }
    println!("installing {}", packages.join(" "));
    update();
    if apt(&["install", "--yes", "--no-install-recommends"], &packages)? {
        return Ok(());
    }
    // One package that is not to be had must not keep the others away.
    for package in &packages {
        apt(
            &["install", "--yes", "--no-install-recommends"],
            std::slice::from_ref(package),
        )?;
    }
    Ok(())
}

fn words(command: &mut Command) -> Result<Vec<String>> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()?;
    Ok(String::from_utf8_lossy(&output.stdout)
        .split_whitespace()
        .map(str::to_owned)
        .collect())
}

fn shell(script: &str) -> bool {
    let mut command = Command::new("bash");
    command.arg("-c").arg(script);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// On Debian and its like, as root or with a `sudo` that asks nothing.
fn may_install() -> bool {
    static MAY: OnceLock<bool> = OnceLock::new();
    *MAY.get_or_init(|| shell("command -v apt-get") && (is_root() || shell("sudo -n true")))
}

/// Package lists are fetched once, and old lists are better than none.
fn update() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        let _ = apt(&["update", "--quiet"], &[]);
    });
}

fn apt(words: &[&str], packages: &[String]) -> Result<bool> {
    // In run level 1 the packages of servers do not start them.
    let environment = [
        "DEBIAN_FRONTEND=noninteractive",
        "RUNLEVEL=1",
        "NEEDRESTART_SUSPEND=1",
    ];
    let mut command = Command::new(if is_root() { "env" } else { "sudo" });
    command
        .args(environment)
        .arg("apt-get")
        .args(words)
        .args(packages);
    let ended = process::run(&mut command, LIMIT)?;
    if !ended.succeeded() {
        println!("apt-get {}: {}", words[0], ended.describe());
    }
    Ok(ended.succeeded())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(header: &str) -> Option<String> {
        Needs::of(&Header::parse(header, "#")).missing()
    }

    #[test]
    fn what_is_there_is_not_missing() {
        assert_eq!(missing(""), None);
        assert_eq!(missing("# needs: sh bash\n# check: test -d /"), None);
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(
            missing("# needs: sh no-such-command").unwrap(),
            "needs no-such-command"
        );
        assert_eq!(
            missing("# check: false").unwrap(),
            "needs `false` to succeed"
        );
    }
}
