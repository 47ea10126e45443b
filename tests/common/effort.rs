//! How much a test does that could go on for as long as one likes.

/// How many traces a test makes that by itself makes `all`: `RALLOC_TRACES` says otherwise.
pub fn traces(all: u32) -> u32 {
    match std::env::var("RALLOC_TRACES") {
        Ok(text) => text.parse().expect("RALLOC_TRACES is a number"),
        Err(_) => all,
    }
}

/// Where a test refuses every call of the kernel, one run for each: of how many calls it refuses one. `RALLOC_STRIDE` says so.
pub fn stride() -> usize {
    match std::env::var("RALLOC_STRIDE") {
        Ok(text) => match text.parse() {
            Ok(calls) if calls > 0 => calls,
            _ => panic!("RALLOC_STRIDE={text}: a number of calls, 1 or more"),
        },
        Err(_) => 1,
    }
}

/// How often a failing trace is made shorter, at most: not at all where `RALLOC_TRACES` says that time is short.
pub fn shrinks() -> u32 {
    if std::env::var_os("RALLOC_TRACES").is_some() {
        0
    } else {
        100_000
    }
}
