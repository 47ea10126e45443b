//! The awkward moments of relibc, in a program that starts, threads and forks as relibc does: `tests/relibc`.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

/// Build the program, once. It has a target directory of its own: nothing that is built for other tests is for a program without a C
/// library.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stand-in");
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .args(["build", "--quiet", "--package", "relibc-stand-in"])
            .arg("--target-dir")
            .arg(&folder)
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
            // Of the build that runs us: flags that the program cannot be built with, a coverage tool's, say.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        let built = cargo.output().expect("cargo runs");
        let said = String::from_utf8_lossy(&built.stderr);
        assert!(
            built.status.success(),
            "the stand-in does not build\n{said}"
        );
        folder.join("debug/stand-in")
    })
}

fn run(situation: &str) -> Output {
    Command::new("timeout")
        .arg("60")
        .arg(program())
        .arg(situation)
        .output()
        .expect("the stand-in runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The situation goes well, and says nothing.
fn passes(situation: &str) {
    let output = run(situation);
    let said = said(&output);
    assert!(
        output.status.success() && said.is_empty(),
        "{}\n{said}",
        output.status
    );
}

/// The situation goes well, and its children say one of these lines each, `count` in all.
fn passes_with_lines(situation: &str, count: usize, lines: &[&str]) {
    let output = run(situation);
    let said = said(&output);
    assert!(output.status.success(), "{}\n{said}", output.status);
    assert_eq!(said.lines().count(), count, "{said}");
    for line in said.lines() {
        let is_known = lines.iter().any(|start| line.starts_with(start));
        assert!(is_known, "{line}");
    }
}

macro_rules! situations_that_say_nothing {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            passes(stringify!($name));
        }
    )*};
}

situations_that_say_nothing! {
    allocates_before_the_thread_pointer_is_real
    frees_before_the_thread_pointer_is_real
    large_blocks_before_the_thread_pointer_is_real
    moves_to_a_second_control_block
    control_block_replaced_without_a_word
    threads_start_with_a_shim
    frees_after_the_exit_hook
    allocates_after_the_exit_hook
    memory_of_a_dead_thread_is_used_again
    forks_while_threads_allocate
    child_allocates_before_its_hook
    child_frees_what_another_thread_had
    allocates_between_deactivation_and_exec
    two_copies_work_side_by_side
    functions_of_the_seam
    break_moves
}

/// A huge block begins at a multiple of the chunk size, where a foreign one cannot be told from one that was freed before.
const FOREIGN: [&str; 2] = ["ralloc: foreign pointer: 0x", "ralloc: invalid free: 0x"];

#[test]
fn two_copies_free_each_others_blocks() {
    passes_with_lines("two_copies_free_each_others_blocks", 12, &FOREIGN);
}

#[test]
fn two_copies_ask_about_each_others_blocks() {
    passes_with_lines("two_copies_ask_about_each_others_blocks", 12, &FOREIGN);
}

#[test]
fn two_copies_hand_over_what_is_older_than_the_thread_pointer() {
    let situation = "two_copies_hand_over_what_is_older_than_the_thread_pointer";
    passes_with_lines(situation, 24, &FOREIGN);
}

#[test]
fn second_copy_on_the_same_words() {
    let line = "ralloc: the words of this thread are those of another copy of the allocator";
    passes_with_lines("second_copy_on_the_same_words", 1, &[line]);
}

#[test]
fn a_situation_that_does_not_exist_fails() {
    let output = run("nothing_at_all");
    assert!(!output.status.success());
    assert_eq!(said(&output), "no situation is called nothing_at_all\n");
}
