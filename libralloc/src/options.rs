//! `RALLOC_OPTIONS`: what can be chosen without building the library anew.
//!
//! Read once: when the library is loaded, or before if the answer is needed before. A program that runs with more rights
//! than its user has takes no options from him.

use core::{
    ffi::CStr,
    sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering::Relaxed},
};

use core_ralloc::{Instance, Purge, Tuning, Watchers};
use ralloc_platform::{Platform, System, environment, keep_stderr};

use crate::{Libc, elsewhere};

/// Options, separated by commas.
const VARIABLE: &CStr = c"RALLOC_OPTIONS";

const KNOWN: &[u8] =
    b"stats, verbose, purge=normal, purge=eager, purge=never, foreign=abort, foreign=forward, hooks=on, hooks=off, leaks, leaks-to=FD, log";

// Relaxed, all of them: they are set while the program has one thread, and nothing becomes visible with them.
static READ: AtomicBool = AtomicBool::new(false);
static STATS: AtomicBool = AtomicBool::new(false);
static FORWARD: AtomicBool = AtomicBool::new(false);
/// Foreign pointers are expected: the program's user has said what is to become of them.
static EXPECTED: AtomicBool = AtomicBool::new(false);
/// The library has been loaded: before that there is no environment to be read.
static LOADED: AtomicBool = AtomicBool::new(false);
static HOOKS: AtomicUsize = AtomicUsize::new(0);

/// What `HOOKS` says beside the watchers that were asked for.
const HOOKS_OFF: usize = 1;
const HOOKS_ON: usize = 2;
const HOOKS_LEAKS: usize = 4;
const HOOKS_LOG: usize = 8;

/// Where the report of leaks goes: a number of an open file, or -1 for standard error.
static LEAKS_TO: AtomicI32 = AtomicI32::new(-1);

/// Where to write a report of leaks when the process exits, if that is to be done.
pub(crate) fn leaks() -> Option<i32> {
    (HOOKS.load(Relaxed) & HOOKS_LEAKS != 0).then(|| LEAKS_TO.load(Relaxed))
}

/// Whether to print statistics when the process exits.
pub(crate) fn stats() -> bool {
    STATS.load(Relaxed)
}

/// Whether to hand foreign pointers to the next allocator.
pub(crate) fn forward() -> bool {
    read();
    FORWARD.load(Relaxed)
}

/// Note that the library has been loaded, and do what the options say.
pub(crate) fn loaded() {
    read();
    LOADED.store(true, Relaxed);
    if EXPECTED.load(Relaxed) {
        elsewhere::expect();
    }
    // At once: what this thread holds in reserve would not be watched.
    core_ralloc::watch_if_asked::<Libc>();
}

/// Who watches: those that were asked for, and a debugger that is there; nobody if that is forbidden.
pub(crate) fn watchers(debugger: bool) -> Option<Watchers> {
    if !LOADED.load(Relaxed) {
        return None;
    }
    let hooks = HOOKS.load(Relaxed);
    if hooks & HOOKS_OFF != 0 {
        return Some(Watchers::NONE);
    }
    let mut watchers = Watchers::NONE;
    if debugger {
        watchers = watchers.and(Watchers::DEBUGGER);
    }
    if hooks & HOOKS_ON != 0 {
        watchers = watchers.and(Watchers::EVENTS);
    }
    if hooks & HOOKS_LOG != 0 {
        watchers = watchers.and(Watchers::LOG);
    }
    if hooks & HOOKS_LEAKS != 0 {
        watchers = watchers.and(Watchers::LEAKS);
    }
    Some(watchers)
}

/// Read the options, unless that has been done.
pub(crate) fn read() {
    if READ.swap(true, Relaxed) {
        return;
    }
    let Some(options) = environment(VARIABLE) else {
        return;
    };
    let names = || options.to_bytes().split(|&byte| byte == b',');
    let mut verbose = false;
    let mut warning = Line::new(b"ralloc: unknown option: ");
    for name in names().filter(|name| !name.is_empty()) {
        verbose |= name == b"verbose";
        if !set(name) {
            warning.item(name);
        }
    }
    if warning.has_items {
        warning.put(b" (there are ");
        warning.put(KNOWN);
        warning.put(b")");
        warning.write();
    }
    if secure::<Libc>() && HOOKS.load(Relaxed) & !HOOKS_OFF != 0 {
        HOOKS.store(HOOKS_OFF, Relaxed);
        let mut line = Line::new(b"ralloc: the security build watches by itself: ");
        line.put(b"leaks, log and hooks=on do nothing");
        line.write();
    }
    if verbose {
        let mut line = Line::new(b"ralloc ");
        line.put(env!("CARGO_PKG_VERSION").as_bytes());
        line.put(b": options ");
        for name in names().filter(|name| !name.is_empty()) {
            line.item(name);
        }
        line.write();
    }
}

/// Whether this is the security build.
const fn secure<I: Instance>() -> bool {
    I::Tuning::SECURITY
}

/// Obey an option. Whether there is such an option.
fn set(name: &[u8]) -> bool {
    let process = Libc::process();
    match name {
        b"stats" => {
            STATS.store(true, Relaxed);
            keep_stderr();
        }
        b"verbose" => {}
        b"purge=normal" => process.set_purge(Purge::Normal),
        b"purge=eager" => process.set_purge(Purge::Above(0)),
        b"purge=never" => process.set_purge(Purge::Never),
        b"hooks=on" => HOOKS.store(HOOKS.load(Relaxed) & !HOOKS_OFF | HOOKS_ON, Relaxed),
        b"hooks=off" => HOOKS.store(HOOKS_OFF, Relaxed),
        b"log" => {
            HOOKS.store(HOOKS.load(Relaxed) & !HOOKS_OFF | HOOKS_LOG, Relaxed);
            keep_stderr();
        }
        b"leaks" => {
            HOOKS.store(HOOKS.load(Relaxed) & !HOOKS_OFF | HOOKS_LEAKS, Relaxed);
            keep_stderr();
        }
        b"foreign=abort" | b"foreign=forward" => {
            FORWARD.store(name == b"foreign=forward", Relaxed);
            EXPECTED.store(true, Relaxed);
        }
        _ => match name.strip_prefix(b"leaks-to=").and_then(number) {
            Some(descriptor) => {
                LEAKS_TO.store(descriptor, Relaxed);
                return set(b"leaks");
            }
            None => return false,
        },
    }
    true
}

fn number(digits: &[u8]) -> Option<i32> {
    let number: i32 = core::str::from_utf8(digits).ok()?.parse().ok()?;
    (number >= 0).then_some(number)
}

/// A line for standard error, cut where it is too long.
struct Line {
    text: [u8; 512],
    length: usize,
    has_items: bool,
}

impl Line {
    fn new(beginning: &[u8]) -> Self {
        let mut line = Self {
            text: [0; 512],
            length: 0,
            has_items: false,
        };
        line.put(beginning);
        line
    }

    fn put(&mut self, text: &[u8]) {
        // The last place is that of the end of the line.
        let room = &mut self.text[self.length..511];
        let fits = text.len().min(room.len());
        room[..fits].copy_from_slice(&text[..fits]);
        self.length += fits;
    }

    fn item(&mut self, name: &[u8]) {
        if self.has_items {
            self.put(b", ");
        }
        self.put(name);
        self.has_items = true;
    }

    fn write(&mut self) {
        self.text[self.length] = b'\n';
        System.write_stderr(&self.text[..=self.length]);
    }
}
