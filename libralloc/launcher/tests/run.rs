//! A program that can run on the library does, as if nobody stood between it and its caller.

#[allow(dead_code, unreachable_pub)]
mod stage;

use stage::{Stage, text};
use std::{
    fs,
    io::Write,
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    process::{Command, Stdio},
};

#[test]
fn the_library_is_loaded() {
    let stage = Stage::new();
    let maps = text(&stage.output(&["cat", "/proc/self/maps"]).stdout);
    assert!(maps.contains(stage.library.to_str().unwrap()), "{maps}");
}

#[test]
fn the_library_is_found_beside_bin() {
    let stage = Stage::with_library_in("lib");
    let printed = text(&stage.output(&["--lib"]).stdout);
    assert_eq!(printed.trim_end(), stage.library.to_str().unwrap());
}

#[test]
fn children_inherit_the_library() {
    let stage = Stage::new();
    let maps = text(&stage.output(&["sh", "-c", "cat /proc/self/maps; :"]).stdout);
    assert!(maps.contains(stage.library.to_str().unwrap()), "{maps}");
}

#[test]
fn an_earlier_preload_is_kept_behind_the_library() {
    let stage = Stage::new();
    let mut command = stage.ralloc(&["sh", "-c", "echo $LD_PRELOAD"]);
    // A directory cannot be loaded; the loader says so and goes on.
    let output = command
        .env("LD_PRELOAD", stage.path("other.so"))
        .output()
        .unwrap();
    let expected = format!(
        "{}:{}\n",
        stage.library.display(),
        stage.path("other.so").display()
    );
    assert_eq!(text(&output.stdout), expected);
}

#[test]
fn arguments_reach_the_program_unchanged() {
    let stage = Stage::new();
    let output = stage.output(&["--", "printf", "%s|", "--stats", "", "a b", "--", "*"]);
    assert_eq!(text(&output.stdout), "--stats||a b|--|*|");
}

#[test]
fn the_program_is_called_what_the_user_called_it() {
    let stage = Stage::new();
    let output = stage.output(&["sh", "-c", "tr '\\0' '\\n' </proc/$$/cmdline | head -n 1"]);
    assert_eq!(text(&output.stdout), "sh\n");
}

#[test]
fn streams_are_the_programs_own() {
    let stage = Stage::new();
    let mut command = stage.ralloc(&["sh", "-c", "cat; echo error >&2"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"through").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (text(&output.stdout), text(&output.stderr)),
        ("through".into(), "error\n".into())
    );
}

#[test]
fn exit_status_and_signal_are_the_programs_own() {
    let stage = Stage::new();
    assert_eq!(
        stage.output(&["sh", "-c", "exit 42"]).status.code(),
        Some(42)
    );
    assert_eq!(
        stage.output(&["sh", "-c", "kill -TERM $$"]).status.signal(),
        Some(15)
    );
}

#[test]
fn the_program_takes_the_launchers_place() {
    let stage = Stage::new();
    let child = stage
        .ralloc(&["sh", "-c", "echo $$"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let launched = child.id().to_string();
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output.stdout).trim_end(), launched);
}

#[test]
fn stats_is_an_option_of_the_library() {
    let stage = Stage::new();
    let line = ["--stats", "sh", "-c", "echo $RALLOC_OPTIONS"];
    assert_eq!(text(&stage.output(&line).stdout), "stats\n");
    let output = stage
        .ralloc(&line)
        .env("RALLOC_OPTIONS", "zero")
        .output()
        .unwrap();
    assert_eq!(text(&output.stdout), "zero,stats\n");
}

#[test]
fn a_script_runs_on_its_interpreter() {
    let stage = Stage::new();
    for (name, source) in [
        ("hash-bang", "#! /bin/sh -e\necho ran\n"),
        ("bare", "echo ran\n"),
    ] {
        let script = stage.path(name);
        fs::write(&script, source).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(
            text(&stage.output(&[script.to_str().unwrap()]).stdout),
            "ran\n",
            "{name}"
        );
    }
}

#[test]
fn a_path_that_the_loader_would_split_is_linked_to() {
    for folder in ["with space", "with:colon", "with$dollar"] {
        let stage = Stage::new();
        let bin = stage.path(folder);
        fs::rename(stage.path("bin"), &bin).unwrap();
        let links = stage.path("links");
        fs::create_dir(&links).unwrap();
        for _ in 0..2 {
            let mut command = Command::new(bin.join("ralloc"));
            command
                .args(["cat", "/proc/self/maps"])
                .env("XDG_RUNTIME_DIR", &links);
            for name in ["CARGO", "CARGO_MANIFEST_DIR", "LD_PRELOAD"] {
                command.env_remove(name);
            }
            let output = command.output().unwrap();
            let library = bin.join("libralloc.so");
            assert!(
                text(&output.stdout).contains(library.to_str().unwrap()),
                "{output:?}"
            );
        }
        let folder = fs::read_dir(&links).unwrap().next().unwrap().unwrap();
        assert_eq!(
            folder.metadata().unwrap().permissions().mode() & 0o777,
            0o700
        );
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "the second run makes no more"
        );
    }
}

#[test]
fn under_cargo_the_library_is_built_first() {
    let stage = Stage::with_library_in("release");
    let cargo = stage.path("cargo");
    let note = stage.path("note");
    fs::write(
        &cargo,
        format!("#!/bin/sh\necho noise\necho \"$@\" >{}\n", note.display()),
    )
    .unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    let output = under(&stage, &cargo, "launcher");
    assert_eq!(text(&output.stdout), "ran\n", "{output:?}");
    let asked = fs::read_to_string(&note).unwrap();
    assert_eq!(asked, "build --release --package libralloc --lib --quiet\n");
}

#[test]
fn a_failed_build_is_shown() {
    let stage = Stage::with_library_in("release");
    let cargo = stage.path("cargo");
    fs::write(&cargo, "#!/bin/sh\necho 'error: no luck' >&2\nexit 101\n").unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    let output = under(&stage, &cargo, "launcher");
    assert_eq!(output.status.code(), Some(125));
    assert_eq!(text(&output.stdout), "");
    let said = text(&output.stderr);
    assert_eq!(
        said,
        "error: no luck\nralloc: the library could not be built\n"
    );
}

#[test]
fn under_the_cargo_of_another_package_nothing_is_built() {
    let stage = Stage::new();
    let output = under(&stage, &stage.path("no-cargo"), "another");
    assert_eq!(text(&output.stdout), "ran\n", "{output:?}");
}

/// Runs `echo ran` as if `cargo run` of that package had started the launcher.
fn under(stage: &Stage, cargo: &std::path::Path, package: &str) -> std::process::Output {
    let mut command = stage.ralloc(&["echo", "ran"]);
    command.env("CARGO", cargo).env("CARGO_PKG_NAME", package);
    command.env("CARGO_MANIFEST_DIR", stage.path("."));
    command.output().unwrap()
}
