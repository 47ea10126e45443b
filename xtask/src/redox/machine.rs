//! The real kernel, under QEMU.
//!
//! `tests/redox/stub` is what QEMU starts; it puts the kernel and the program where Redox' own loader does. The program
//! says on the serial line how it went. Nothing of it needs a processor that can virtualise.

use super::{
    BUILD_LIMIT,
    programs::{self, Program},
};
use crate::{
    cargo,
    header::Header,
    needs::{self, Needs},
    process,
    report::{Outcome, Report},
};
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// What to say to somebody who has no kernel.
pub(super) const HOW_TO_GET: &str = "build one (`make` in a checkout of gitlab.redox-os.org/redox-os/kernel, \
    then build/x86_64/kernel) and name it: cargo xtask redox --kernel PATH";

const HEADER: &str = "# needs: qemu-system-x86_64 cc objcopy\n\
    # packages: qemu-system-x86 gcc binutils\n";

/// How often the serial line is looked at.
const TICK: Duration = Duration::from_millis(100);

/// Memory of the machine, in MiB.
const MEMORY: u32 = 2048;

/// What the processors' count of cycles counts, in the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clock {
    /// Time, which the emulator needs for itself too, and whatever else the machine has to do.
    Time,
    /// Instructions that were executed, one after the other whatever the number of processors: the same each time.
    Instructions,
}

/// Boots the kernel with each program, with one processor and with two.
pub(super) fn run(
    kernel: &Path,
    programs: &[Program],
    clock: Clock,
    limit: Duration,
    report: &mut Report,
) -> Result<()> {
    let needs = Needs::of(&Header::parse(HEADER, "#"));
    needs::install([&needs])?;
    if let Some(missing) = needs.missing() {
        report.add("real kernel", None, &Outcome::skipped(missing));
        return Ok(());
    }
    let folder = cargo::target()?.join("redox");
    fs::create_dir_all(&folder)?;
    let stub = build_stub(&folder)?;
    let kernel = strip(kernel, &folder)?;
    for program in programs {
        let image = folder.join(format!("{}.image", program.name));
        programs::image(program, &image)?;
        let most = if clock == Clock::Time { 2 } else { 1 };
        for processors in 1..=most {
            let begun = Instant::now();
            let serial = folder.join(format!("{}-{processors}.serial", program.name));
            let machine = machine(&stub, [&kernel, &image], processors, clock, &serial);
            let said = boot(machine, &serial, limit)?;
            let name = format!("{} on the kernel, {processors} processors", program.name);
            let (verdict, outcome) = judge(&said, limit);
            report.add(
                &format!("{name} ({verdict})"),
                Some(begun.elapsed()),
                &outcome,
            );
            println!("      all that was said: {}", serial.display());
        }
    }
    Ok(())
}

fn build_stub(folder: &Path) -> Result<PathBuf> {
    let sources = cargo::root().join("tests/redox/stub");
    let stub = folder.join("stub");
    let mut command = Command::new("cc");
    command
        .args([
            "-m32",
            "-std=c11",
            "-O2",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-ffreestanding",
        ])
        .args([
            "-fno-pic",
            "-fno-pie",
            "-fno-stack-protector",
            "-mgeneral-regs-only",
        ])
        .args([
            "-nostdlib",
            "-static",
            "-no-pie",
            "-Wl,--build-id=none",
            "-T",
        ])
        .args(["stub.ld", "start.S", "stub.c", "-o"])
        .arg(&stub)
        .current_dir(&sources);
    let ended = process::run(&mut command, BUILD_LIMIT)?;
    ensure!(
        ended.succeeded(),
        "the stub: {}\n{}",
        ended.describe(),
        ended.output
    );
    Ok(stub)
}

/// The kernel without what is for debuggers only: Redox installs it so, and it is a tenth of the size.
fn strip(kernel: &Path, folder: &Path) -> Result<PathBuf> {
    let stripped = folder.join("kernel");
    let mut command = Command::new("objcopy");
    command.arg("--strip-debug").arg(kernel).arg(&stripped);
    let ended = process::run(&mut command, BUILD_LIMIT)?;
    ensure!(
        ended.succeeded(),
        "{} is not a kernel, but {}",
        kernel.display(),
        ended.output.trim()
    );
    Ok(stripped)
}

/// The emulator, with the kernel and the program.
fn machine(
    stub: &Path,
    [kernel, program]: [&Path; 2],
    processors: u32,
    clock: Clock,
    serial: &Path,
) -> Command {
    let mut command = Command::new("qemu-system-x86_64");
    command
        .args([
            "-accel", "tcg", "-cpu", "max", "-display", "none", "-monitor", "none",
        ])
        .args(["-no-reboot", "-net", "none"])
        .args(["-m", &MEMORY.to_string(), "-smp", &processors.to_string()])
        .arg("-serial")
        .arg(format!("file:{}", serial.display()))
        .arg("-kernel")
        .arg(stub)
        .arg("-initrd")
        .arg(format!("{},{}", kernel.display(), program.display()))
        .stdin(Stdio::null());
    if clock == Clock::Instructions {
        command.args(["-icount", "shift=0,sleep=off"]);
    }
    command
}

/// Lets a program run until it has given its verdict. Returns what was said on the serial line.
fn boot(mut machine: Command, serial: &Path, limit: Duration) -> Result<String> {
    let _ = fs::remove_file(serial);
    let mut machine = machine.spawn().context("qemu-system-x86_64")?;
    let deadline = Instant::now() + limit;
    let said = || String::from_utf8_lossy(&fs::read(serial).unwrap_or_default()).into_owned();
    while verdict(&said()).is_none() && machine.try_wait()?.is_none() && Instant::now() < deadline {
        thread::sleep(TICK);
    }
    let _ = kill_process(Pid::from_child(&machine), Signal::KILL);
    machine.wait()?;
    Ok(said())
}

/// The verdict line, with how many failed. Only whole lines count.
fn verdict(said: &str) -> Option<(&str, u32)> {
    let whole = &said[..=said.rfind('\n')?];
    whole.lines().rev().find_map(|line| {
        let (passed, rest) = line.split_once(" passed, ")?;
        let failed = rest.split_once(" failed")?.0.parse().ok()?;
        passed
            .parse::<u32>()
            .is_ok()
            .then_some((line.trim(), failed))
    })
}

fn judge(said: &str, limit: Duration) -> (String, Outcome) {
    match verdict(said) {
        Some((line, 0)) => (line.to_owned(), Outcome::Passed),
        Some((line, _)) => {
            let failed: Vec<_> = said
                .lines()
                .filter(|line| line.contains("FAILED"))
                .collect();
            (line.to_owned(), Outcome::failed(failed.join("; "), said))
        }
        None => {
            let reason = format!(
                "nothing was said within {} s, or the machine stopped",
                limit.as_secs()
            );
            ("no verdict".to_owned(), Outcome::failed(reason, said))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_is_a_whole_line_of_its_own() {
        assert_eq!(
            verdict("boot\n29 passed, 0 failed\r\n"),
            Some(("29 passed, 0 failed", 0))
        );
        assert_eq!(
            verdict("1 passed, 12 failed\nbye\n"),
            Some(("1 passed, 12 failed", 12))
        );
        assert_eq!(verdict("29 passed, 0 failed"), None);
        assert_eq!(verdict("fork passed, 0 failed\n"), None);
    }
}
