//! Executes a Redox program on Linux, natively, and answers its system calls as the Redox kernel would.
//!
//! The program is a static one that the kernel could start by itself: see `tests/redox/README.md`. What it may rely on:
//!
//! - [`space`]: which addresses are whose, by the rules of the kernel;
//! - `process`: a Linux process that is made to look so;
//! - `kernel`, `memory`, `waiting`, `files`: contexts, and the calls they make;
//! - [`counters`]: what it has cost.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod abi;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod console;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod counters;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod space;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod image;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod process;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod kernel;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod memory;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod waiting;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod files;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod command;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn main() -> std::process::ExitCode {
    command::main()
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn main() -> std::process::ExitCode {
    eprintln!("redox-runner: executes programs for x86-64, and only on Linux");
    std::process::ExitCode::from(2)
}
