//! A test of this program in a process of its own.

use std::{
    os::unix::process::ExitStatusExt,
    process::{Command, ExitStatus, Stdio},
};

/// How a part ended, and what it said.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) said: String,
}

/// Run the test of this name, which is ignored otherwise, and nothing else.
pub(crate) fn run(name: &str) -> Ended {
    let this = std::env::current_exe().expect("the test has a path");
    let output = Command::new(this)
        .args([
            name,
            "--exact",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .output()
        .expect("the test runs");
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said += &String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("running 1 test"), "no test {name}: {said}");
    Ended {
        status: output.status,
        said,
    }
}

/// The part passes.
pub(crate) fn passes(name: &str) {
    let ended = run(name);
    assert!(ended.status.success(), "{}: {}", ended.status, ended.said);
}

/// The part ends its process with this message.
pub(crate) fn dies(name: &str, message: &str) {
    let ended = run(name);
    let signal = ended.status.signal();
    assert_eq!(
        signal,
        Some(libc::SIGABRT),
        "{}: {}",
        ended.status,
        ended.said
    );
    assert!(ended.said.contains(message), "{}", ended.said);
}

/// No more addresses than this for the whole process, from now on.
pub(crate) fn limit_addresses(bytes: usize) {
    let limit = libc::rlimit {
        rlim_cur: bytes as libc::rlim_t,
        rlim_max: bytes as libc::rlim_t,
    };
    // SAFETY: a system call that reads one structure.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
}
