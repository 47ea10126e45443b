//! A program that cannot run on the library is refused in one line, with a shell's exit status.

#[allow(dead_code, unreachable_pub)]
mod stage;

use stage::{Stage, compile, text};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
};

/// A program without a libc: it needs no static library on the machine.
const STATIC: &str = "void _start(void) { for (;;) {} }";

#[track_caller]
fn refused(stage: &Stage, line: &[&str], status: i32, reason: &str) {
    let output = stage.output(line);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{said}");
    assert!(
        said.starts_with("ralloc: ") && said.contains(reason),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    assert_eq!(text(&output.stdout), "");
}

fn write(file: &Path, bytes: &[u8], mode: u32) {
    fs::write(file, bytes).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
}

fn static_program(stage: &Stage) -> PathBuf {
    let file = stage.path("static");
    compile(STATIC, &["-static", "-nostdlib", "-ffreestanding"], &file);
    file
}

#[test]
fn an_unknown_program() {
    let stage = Stage::new();
    refused(
        &stage,
        &["no-such-program"],
        127,
        "no-such-program: no such program",
    );
    refused(
        &stage,
        &["./no/such/program"],
        127,
        "./no/such/program: no such program",
    );
    refused(&stage, &[""], 127, "no such program");
}

#[test]
fn a_directory() {
    let stage = Stage::new();
    refused(&stage, &["/"], 126, "/: is a directory");
}

#[test]
fn a_file_that_is_not_executable() {
    let stage = Stage::new();
    let file = stage.path("plain");
    write(&file, b"#!/bin/sh\n", 0o644);
    refused(
        &stage,
        &[file.to_str().unwrap()],
        126,
        "plain: is not executable",
    );
}

#[test]
fn a_name_that_path_finds_only_without_execution() {
    let stage = Stage::new();
    write(&stage.path("plain"), b"#!/bin/sh\n", 0o644);
    let output = stage
        .ralloc(&["plain"])
        .env("PATH", stage.path(""))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(126));
}

#[test]
fn a_static_program() {
    let stage = Stage::new();
    let file = static_program(&stage);
    refused(
        &stage,
        &[file.to_str().unwrap()],
        126,
        "static: is statically linked",
    );
}

#[test]
fn a_script_of_a_static_interpreter() {
    let stage = Stage::new();
    let inner = format!("#!{}\n", static_program(&stage).display());
    write(&stage.path("inner"), inner.as_bytes(), 0o755);
    let outer = format!("#! {} -x\n", stage.path("inner").display());
    write(&stage.path("outer"), outer.as_bytes(), 0o755);
    let outer = stage.path("outer");
    refused(
        &stage,
        &[outer.to_str().unwrap()],
        126,
        "static: is statically linked",
    );
}

#[test]
fn a_script_without_its_interpreter() {
    let stage = Stage::new();
    let file = stage.path("script");
    write(&file, b"#!/no/such/interpreter\n", 0o755);
    refused(
        &stage,
        &[file.to_str().unwrap()],
        126,
        "is a script for /no/such/interpreter",
    );
}

#[test]
fn scripts_that_run_one_another() {
    let stage = Stage::new();
    let file = stage.path("ouroboros");
    write(&file, format!("#!{}\n", file.display()).as_bytes(), 0o755);
    refused(&stage, &[file.to_str().unwrap()], 126, "too deep");
}

#[test]
fn a_program_of_another_machine() {
    let stage = Stage::new();
    let file = stage.path("foreign");
    let mut bytes = fs::read("/bin/sh").unwrap();
    // The field `e_machine`; nobody builds programs for the AT&T WE 32100 any more.
    bytes[18..20].copy_from_slice(&1_u16.to_ne_bytes());
    write(&file, &bytes, 0o755);
    refused(
        &stage,
        &[file.to_str().unwrap()],
        126,
        "64-bit ELF machine 1 program",
    );
}

#[test]
fn a_32_bit_program() {
    let stage = Stage::new();
    let file = stage.path("narrow");
    // The smallest header: ident, type, machine, version, and no segments.
    let mut bytes = vec![0_u8; 52];
    bytes[..7].copy_from_slice(b"\x7fELF\x01\x01\x01");
    bytes[16..24].copy_from_slice(&[2, 0, 3, 0, 1, 0, 0, 0]);
    bytes[40..42].copy_from_slice(&[52, 0]);
    write(&file, &bytes, 0o755);
    refused(
        &stage,
        &[file.to_str().unwrap()],
        126,
        "is a 32-bit i386 program",
    );
}

#[test]
fn a_file_that_is_neither_program_nor_script() {
    let stage = Stage::new();
    let file = stage.path("noise");
    write(&file, b"MZ\0\x01\x02", 0o755);
    refused(
        &stage,
        &[file.to_str().unwrap()],
        126,
        "neither an ELF program nor a script",
    );
}

/// A setuid program of somebody else: one of our own making for root, the system's for others.
fn foreign_setuid(stage: &Stage) -> Option<PathBuf> {
    const NOBODY: u32 = 65534;
    let file = stage.path("setuid");
    fs::copy("/bin/sh", &file).unwrap();
    if chown(&file, Some(NOBODY), None).is_ok() {
        fs::set_permissions(&file, fs::Permissions::from_mode(0o4755)).unwrap();
        return Some(file);
    }
    let is_setuid = |file: &PathBuf| {
        file.metadata()
            .is_ok_and(|meta| meta.mode() & 0o4000 != 0 && meta.uid() == 0)
    };
    ["/bin/su", "/usr/bin/passwd"]
        .into_iter()
        .map(PathBuf::from)
        .find(is_setuid)
}

#[test]
fn a_setuid_program_of_somebody_else() {
    let stage = Stage::new();
    if let Some(file) = foreign_setuid(&stage) {
        refused(
            &stage,
            &[file.to_str().unwrap()],
            126,
            "is setuid, and the loader ignores",
        );
    }
}

#[test]
fn a_setuid_program_of_our_own_runs() {
    let stage = Stage::new();
    let file = stage.path("own");
    fs::copy("/bin/sh", &file).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o4755)).unwrap();
    let output = stage.output(&[file.to_str().unwrap(), "-c", "cat /proc/self/maps; :"]);
    assert!(
        text(&output.stdout).contains(stage.library.to_str().unwrap()),
        "{output:?}"
    );
}

#[test]
fn no_library() {
    let stage = Stage::new();
    fs::remove_file(&stage.library).unwrap();
    refused(&stage, &["true"], 125, "no libralloc.so in");
}

#[test]
fn no_program() {
    let stage = Stage::new();
    let output = stage.output(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).starts_with("Usage: ralloc"));
}

#[test]
fn an_unknown_option() {
    let stage = Stage::new();
    refused(&stage, &["--frobnicate", "true"], 2, "--frobnicate");
}

#[test]
fn help_and_version_go_to_standard_output() {
    let stage = Stage::new();
    assert!(text(&stage.output(&["--help"]).stdout).starts_with("Usage: ralloc"));
    let version = format!("ralloc {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(text(&stage.output(&["--version"]).stdout), version);
}
