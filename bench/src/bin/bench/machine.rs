//! What the figures depend on besides the allocators.

use std::{fs, thread};

use crate::provide::output;

/// Above this, other programs take part in the measurement.
pub(crate) const QUIET: f64 = 0.5;

/// The load average of the last minute.
pub(crate) fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace()
        .next()
        .and_then(|load| load.parse().ok())
        .unwrap_or(f64::NAN)
}

/// Machine and tools, one line each, without names of hosts or paths.
pub(crate) fn describe() -> Vec<String> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let memory = field("/proc/meminfo", "MemTotal");
    let kib: f64 = memory.trim_end_matches(" kB").parse().unwrap_or(f64::NAN);
    let pages = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    let pages = pages.unwrap_or_default();
    let pages = pages
        .split(['[', ']'])
        .nth(1)
        .unwrap_or("unknown")
        .to_owned();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let compiler = output("cc", &["--version"]).unwrap_or_default();
    vec![
        format!(
            "{}, {cores} cores, {:.0} GiB",
            field("/proc/cpuinfo", "model name"),
            kib / 1048576.0
        ),
        format!("Linux {}, transparent huge pages: {pages}", kernel.trim()),
        output("rustc", &["--version"]).unwrap_or_default(),
        compiler.lines().next().unwrap_or_default().to_owned(),
    ]
}

/// The value behind the first `key: value` line of a file.
fn field(file: &str, key: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text
        .lines()
        .find(|line| line.starts_with(key))
        .unwrap_or_default();
    line.split_once(':')
        .map_or("unknown", |(_, value)| value.trim())
        .to_owned()
}
