//! What other processes have taken: the only unsafe code of this program.

use std::mem::MaybeUninit;

/// User and system time of all children that have been waited for, and of theirs, in seconds; and the most that one of
/// them ever had resident, in KiB.
///
/// That begins at what this process has resident itself, which is less than any of them needs.
pub(crate) fn of_children() -> (f64, u64) {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: there is room for the answer.
    unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr()) };
    // SAFETY: zeroed is valid, and the call has filled it in.
    let usage = unsafe { usage.assume_init() };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    (
        seconds(usage.ru_utime) + seconds(usage.ru_stime),
        usage.ru_maxrss as u64,
    )
}

/// User and system time of a process so far, in seconds.
pub(crate) fn of_process(process: u32) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in parentheses, may contain anything.
    let fields: Vec<_> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: f64 = [11, 12]
        .iter()
        .filter_map(|&field| fields.get(field)?.parse::<f64>().ok())
        .sum();
    // SAFETY: always allowed.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    Some(ticks / per_second as f64)
}

/// The most that a process ever had resident, in KiB.
pub(crate) fn peak_of_process(process: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
