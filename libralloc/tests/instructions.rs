// packages: binutils gcc libc6-dev
//! How many instructions the hit paths of the built library execute, counted by single-stepping a program that has
//! the library preloaded. The bounds are those of the design; they do not depend on how busy the machine is.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// `malloc` under preload: 12 instructions, `ret` included.
const MALLOC: usize = 12;
/// `free` of a block of the thread's own: at most 19.
const FREE: usize = 19;
/// `free` of a block of another thread's, of a page of which such a block was freed just before; what is bad about a pointer
/// is found out within, and that slices without words or hooks are not concerned. With slots of four words, of which there is room for half as
/// many, it is 109, but twice as many batches are sent, for about 60 more each.
const REMOTE_FREE: usize = 117;
/// `operator new`, from the address that programs call.
const OPERATOR_NEW: usize = 16;
/// An instruction with this first byte is locked.
const LOCK: u8 = 0xF0;

/// Samples are taken: the fewest instructions are those of a hit.
const PROGRAM: &str = r#"
#include <stdlib.h>
#define MARK __asm__ volatile("int3" ::: "memory")
int main(void) {
    /* Kept, so that its page never becomes empty. The first few are of a class that serves several. */
    void *volatile kept;
    for (int i = 0; i < 100; i++) kept = malloc(32);
    /* The first calls go through the linker. */
    void *volatile p = malloc(32);
    free(p);
    for (int i = 0; i < 8; i++) {
        MARK;
        p = malloc(32);
        MARK;
        free(p);
        MARK;
    }
    return kept == NULL;
}
"#;

/// As `PROGRAM`, but the second of each pair frees a block that another thread has allocated.
const REMOTE: &str = r#"
#include <pthread.h>
#include <stdlib.h>
#define MARK __asm__ volatile("int3" ::: "memory")
static void *volatile theirs[8];
static void *take(void *unused) {
    for (int i = 0; i < 8; i++) theirs[i] = malloc(32);
    return unused;
}
int main(void) {
    void *volatile kept;
    for (int i = 0; i < 100; i++) kept = malloc(32);
    pthread_t thread;
    pthread_create(&thread, NULL, take, NULL);
    pthread_join(thread, NULL);
    free(malloc(32));
    for (int i = 0; i < 8; i++) {
        MARK;
        void *volatile p = malloc(64);
        MARK;
        free(theirs[i]);
        MARK;
        free(p);
    }
    return kept == NULL;
}
"#;

/// As `PROGRAM`, by the operators of C++, without a C++ runtime.
const OPERATORS: &str = r#"
#include <stdlib.h>
#define MARK __asm__ volatile("int3" ::: "memory")
extern void *operator_new(size_t) __asm__("_Znwm");
extern void operator_delete(void *, size_t) __asm__("_ZdlPvm");
__attribute__((weak)) void *operator_new(size_t);
__attribute__((weak)) void operator_delete(void *, size_t);
int main(void) {
    void *volatile kept;
    for (int i = 0; i < 100; i++) kept = operator_new(32);
    void *volatile p = operator_new(32);
    operator_delete(p, 32);
    for (int i = 0; i < 8; i++) {
        MARK;
        p = operator_new(32);
        MARK;
        operator_delete(p, 32);
        MARK;
    }
    return kept == NULL;
}
"#;

/// What was executed inside the library between two marks.
#[derive(Clone, Copy, Debug)]
struct Sample {
    instructions: usize,
    locked: usize,
}

fn library() -> PathBuf {
    let exe = std::env::current_exe().expect("the test has a path");
    let target = exe
        .ancestors()
        .nth(3)
        .expect("target/debug/deps/test")
        .to_owned();
    let library = target.join("release/libralloc.so");
    assert!(
        library.exists(),
        "build it first: cargo build --release -p libralloc --lib"
    );
    library
}

fn program(directory: &Path, source_text: &str) -> PathBuf {
    let source = directory.join("hit_paths.c");
    let program = directory.join("hit_paths");
    fs::write(&source, source_text).expect("a file in the temporary directory");
    let status = Command::new("cc")
        .args(["-O1", "-pthread", "-Wl,-z,now", "-o"])
        .args([&program, &source])
        .status();
    assert!(status.expect("a C compiler").success());
    program
}

/// Wait for the next stop. False if the process has ended.
fn stopped(pid: i32) -> bool {
    let mut status = 0;
    // SAFETY: waits for our own child.
    let waited = unsafe { libc::waitpid(pid, &mut status, 0) };
    assert_eq!(waited, pid);
    if libc::WIFEXITED(status) {
        assert_eq!(libc::WEXITSTATUS(status), 0, "the program ended well");
        return false;
    }
    assert_eq!(
        libc::WSTOPSIG(status),
        libc::SIGTRAP,
        "nothing but our marks stops it"
    );
    true
}

fn ask(request: libc::c_uint, pid: i32, data: *mut libc::c_void) -> i64 {
    let nothing = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: the child is stopped, and `data` is what the request wants.
    unsafe { libc::ptrace(request, pid, nothing, data) }
}

fn instruction_pointer(pid: i32) -> u64 {
    let mut registers = std::mem::MaybeUninit::<libc::user_regs_struct>::zeroed();
    assert_eq!(
        ask(libc::PTRACE_GETREGS, pid, registers.as_mut_ptr().cast()),
        0
    );
    // SAFETY: the kernel has filled it; zero would do as well.
    unsafe { registers.assume_init() }.rip
}

fn byte_at(pid: i32, address: u64) -> u8 {
    let nothing = std::ptr::null_mut::<libc::c_void>();
    let address = std::ptr::without_provenance_mut::<libc::c_void>(address as usize);
    // SAFETY: reads a word of the child, where it is about to execute.
    let word = unsafe { libc::ptrace(libc::PTRACE_PEEKTEXT, pid, address, nothing) };
    word.to_le_bytes()[0]
}

/// The addresses at which the library's code is mapped.
fn code_of(pid: i32, library: &Path) -> std::ops::Range<u64> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("the child's map");
    let name = library
        .file_name()
        .and_then(|name| name.to_str())
        .expect("a name");
    let line = maps
        .lines()
        .find(|line| line.contains("r-xp") && line.ends_with(name));
    let range = line
        .expect("the library is preloaded")
        .split(' ')
        .next()
        .unwrap_or_default();
    let (start, end) = range.split_once('-').expect("a range");
    let number = |text: &str| u64::from_str_radix(text, 16).expect("a hexadecimal number");
    number(start)..number(end)
}

/// From one mark to the next.
fn step_to_mark(pid: i32, code: &std::ops::Range<u64>) -> Sample {
    const MARK: u8 = 0xCC;
    let mut sample = Sample {
        instructions: 0,
        locked: 0,
    };
    loop {
        let at = instruction_pointer(pid);
        let byte = byte_at(pid, at);
        if byte == MARK {
            return sample;
        }
        if code.contains(&at) {
            sample.instructions += 1;
            sample.locked += usize::from(byte == LOCK);
        }
        assert_eq!(ask(libc::PTRACE_SINGLESTEP, pid, std::ptr::null_mut()), 0);
        assert!(stopped(pid), "the program goes on to the next mark");
    }
}

/// Samples of `malloc` and of `free`, in turn, by the program with this name and source.
fn samples(name: &str, source: &str) -> Vec<[Sample; 2]> {
    let directory =
        std::env::temp_dir().join(format!("ralloc-instructions-{name}-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a temporary directory");
    let library = library();
    let mut command = Command::new(program(&directory, source));
    command.env("LD_PRELOAD", &library).stdin(Stdio::null());
    let trace_me = || {
        ask(libc::PTRACE_TRACEME, 0, std::ptr::null_mut());
        Ok(())
    };
    // SAFETY: one system call, between fork and exec.
    unsafe { command.pre_exec(trace_me) };
    // `stopped` waits for it by hand.
    let pid = command.spawn().expect("the program starts").id() as i32;
    assert!(stopped(pid), "stops at exec");
    let mut samples = Vec::new();
    let go = |request| assert_eq!(ask(request, pid, std::ptr::null_mut()), 0);
    loop {
        // Runs through the mark that opens a pair; the trap leaves the instruction pointer behind it.
        go(libc::PTRACE_CONT);
        if !stopped(pid) {
            break;
        }
        let code = code_of(pid, &library);
        let malloc = step_to_mark(pid, &code);
        go(libc::PTRACE_CONT);
        assert!(stopped(pid), "stops at the mark in the middle");
        let free = step_to_mark(pid, &code);
        go(libc::PTRACE_CONT);
        assert!(stopped(pid), "stops at the mark at the end");
        samples.push([malloc, free]);
    }
    fs::remove_dir_all(&directory).expect("nobody else has the directory");
    samples
}

/// The fewest instructions of the first and of the second of each pair.
fn fewest(name: &str, source: &str) -> (Sample, Sample) {
    let samples = samples(name, source);
    assert_eq!(samples.len(), 8);
    let fewest = |verb: usize| {
        let of_verb = samples.iter().map(|pair| pair[verb]);
        of_verb
            .min_by_key(|sample| sample.instructions)
            .expect("eight samples")
    };
    (fewest(0), fewest(1))
}

#[test]
fn remote_frees_stay_short() {
    let (_, free) = fewest("remote", REMOTE);
    println!("remote free {} instructions", free.instructions);
    assert!((1..=REMOTE_FREE).contains(&free.instructions), "{free:?}");
    assert_eq!(free.locked, 0, "no locked instruction");
}

#[test]
fn operators_stay_short() {
    let (new, delete) = fewest("operators", OPERATORS);
    println!(
        "new {}, delete {} instructions",
        new.instructions, delete.instructions
    );
    assert!((1..=OPERATOR_NEW).contains(&new.instructions), "{new:?}");
    // `delete` with a size goes through the linker's table to `delete` without one.
    assert!((1..=FREE + 4).contains(&delete.instructions), "{delete:?}");
    assert_eq!(new.locked + delete.locked, 0, "no locked instruction");
}

#[test]
fn hit_paths_stay_short() {
    let (malloc, free) = fewest("hits", PROGRAM);
    println!(
        "malloc {} instructions, free {}",
        malloc.instructions, free.instructions
    );
    assert!(
        (1..=MALLOC).contains(&malloc.instructions),
        "malloc: {malloc:?}"
    );
    assert!((1..=FREE).contains(&free.instructions), "free: {free:?}");
    assert_eq!(malloc.locked + free.locked, 0, "no locked instruction");
}

/// Instructions of a function of the Rust program `tests/hits/program.rs`, `ret` not included, if nothing on the way is missing; and
/// how many of them fetch a line ahead.
fn instructions_of(program: &Path, function: &str) -> (usize, usize) {
    let output = Command::new("objdump")
        .args([
            "--no-show-raw-insn",
            &format!("--disassemble={function}"),
            "-d",
        ])
        .arg(program)
        .output()
        .expect("objdump");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let body = text.split_once(&format!("<{function}>:\n"));
    let (_, body) = body.unwrap_or_else(|| panic!("no {function} in {text}"));
    let is_return = |line: &&str| !line.trim_end().ends_with("ret");
    let body: Vec<_> = body.lines().take_while(is_return).collect();
    let calls = body.iter().filter(|line| line.contains("call")).count();
    assert_eq!(calls, 0, "{function} is inlined: {body:#?}");
    let ahead = body.iter().filter(|line| line.contains("prefetch"));
    (body.len(), ahead.count())
}

/// The hit path is the one that falls through: jumps on it lead away.
#[test]
fn constant_layouts_stay_short() {
    // Load the head, test it, load its link, store that: five, and one that fetches the line of the next block. The assembler's way to the
    // thread's words takes the index in a register, twice, and without `local-exec` the distance of the block as well.
    for (features, alloc, dealloc) in [("global", 8, 18), ("local-exec", 7, 17), ("std", 5, 16)] {
        let built = Command::new(env!("CARGO"))
            .args([
                "build",
                "--quiet",
                "--release",
                "--package",
                "ralloc",
                "--example",
                "hits",
            ])
            .args(["--features", features])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .status();
        assert!(built.expect("cargo").success());
        let program = library().with_file_name("examples").join("hits");
        let [ours, standard, free] = ["hit_alloc", "hit_std_alloc", "hit_dealloc"]
            .map(|name| instructions_of(&program, name));
        println!(
            "{features}: alloc {ours:?}, of std {standard:?}, dealloc {free:?} instructions, of them fetches"
        );
        for (count, ahead) in [ours, standard] {
            assert_eq!(ahead, 1, "{features}: the next block is fetched ahead");
            assert!((1..=alloc + ahead).contains(&count), "{features}: {count}");
        }
        assert!(
            (1..=dealloc).contains(&free.0),
            "{features}: dealloc {free:?}"
        );
    }
}
