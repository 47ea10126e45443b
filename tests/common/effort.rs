//! How much a test of random traces does.

/// How many traces a test makes that by itself makes `all`: `RALLOC_TRACES` says otherwise.
pub fn traces(all: u32) -> u32 {
    match std::env::var("RALLOC_TRACES") {
        Ok(text) => text.parse().expect("RALLOC_TRACES is a number"),
        Err(_) => all,
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
