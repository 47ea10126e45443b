//! Adds up what each resident byte is for, and writes it down.

use crate::{
    Libc,
    kernel::{self, File, PAGE},
    notes::{self, HEAD, INBOX, LIVE, RING},
    sampler::number,
};
use ralloc::account::{self, Piece, Way, What};
use std::{
    fmt::{self, Write},
    ops::Range,
    sync::atomic::Ordering::Relaxed,
};

/// What bytes can be for. The names are read by `xtask`.
const KINDS: [&str; 15] = [
    "asked", "rounding", "heads", "rings", "inboxes", "underway", "free", "fresh", "tail",
    "header", "heaps", "table", "empty", "waiting", "run-rest",
];
const ASKED: usize = 0;
const ROUNDING: usize = 1;
const HEADS: usize = 2;
const RINGS: usize = 3;
const INBOXES: usize = 4;
const UNDERWAY: usize = 5;
const FREE: usize = 6;
const FRESH: usize = 7;
const TAIL: usize = 8;
const HEADER: usize = 9;
const HEAPS: usize = 10;
const TABLE: usize = 11;
const EMPTY: usize = 12;
const WAITING: usize = 13;
const RUN_REST: usize = 14;

/// Bytes of one kind.
#[derive(Clone, Copy, Default)]
struct Bytes {
    pieces: usize,
    mapped: usize,
    resident: usize,
}

const CLASSES: usize = 96;

/// Runs and huge blocks stand in classes of their own.
const RUN: usize = 1;
const HUGE: usize = 2;

/// For each class its block size, and the bytes of each kind.
struct Sums {
    sizes: [usize; CLASSES],
    bytes: [[Bytes; KINDS.len()]; CLASSES],
    pages: Pages,
}

/// Which pages of a window are resident.
struct Pages {
    file: Option<File>,
    window: usize,
    entries: [u64; WINDOW / PAGE],
}

const WINDOW: usize = 4 << 20;

impl Pages {
    /// How many of these bytes are resident.
    fn resident(&mut self, range: Range<usize>) -> usize {
        let mut sum = 0;
        let mut at = range.start;
        while at < range.end {
            let page_end = (at / PAGE + 1) * PAGE;
            let end = page_end.min(range.end);
            if self.is_resident(at) {
                sum += end - at;
            }
            at = end;
        }
        sum
    }

    fn is_resident(&mut self, address: usize) -> bool {
        let window = address / WINDOW;
        if self.window != window {
            self.window = window;
            self.entries.fill(0);
            let mut bytes = [0; 4096];
            for (part, entries) in self.entries.chunks_mut(512).enumerate() {
                let offset = (window * (WINDOW / PAGE) + part * 512) * 8;
                let read = self
                    .file
                    .as_ref()
                    .map_or(0, |file| file.read_at(&mut bytes, offset as u64));
                for (entry, bytes) in entries.iter_mut().zip(bytes[..read].chunks_exact(8)) {
                    *entry = u64::from_ne_bytes(bytes.try_into().unwrap_or_default());
                }
            }
        }
        kernel::is_own(self.entries[address % WINDOW / PAGE])
    }
}

impl Sums {
    fn class(&mut self, size: usize) -> usize {
        let found = self
            .sizes
            .iter()
            .position(|&known| known == size || known == 0);
        let class = found.unwrap_or(CLASSES - 1);
        self.sizes[class] = size;
        class
    }

    fn add(&mut self, class: usize, kind: usize, range: Range<usize>, pieces: usize) {
        if range.is_empty() {
            return;
        }
        let resident = self.pages.resident(range.clone());
        let bytes = &mut self.bytes[class][kind];
        bytes.pieces += pieces;
        bytes.mapped += range.len();
        bytes.resident += resident;
    }

    fn piece(&mut self, piece: Piece) {
        let Piece {
            what,
            block_size,
            start,
            size,
        } = piece;
        let end = start + size;
        let kind = match what {
            What::Used => return self.used(block_size, start, end, UNDERWAY),
            What::Run => return self.used(RUN, start, end, RUN_REST),
            What::Huge => return self.used(HUGE, start, end, UNDERWAY),
            What::Free => FREE,
            What::Fresh => FRESH,
            What::Tail => TAIL,
            What::Waiting => WAITING,
            What::FreeSlices => EMPTY,
            What::Header => HEADER,
            What::Heaps => HEAPS,
            What::Table => TABLE,
        };
        let class = self.class(if block_size == 0 {
            usize::MAX
        } else {
            block_size
        });
        self.add(class, kind, start..end, 1);
    }

    /// A block, run or huge block that is used: by the program from some address in it on, or on its way.
    fn used(&mut self, size: usize, start: usize, end: usize, else_kind: usize) {
        let class = self.class(size);
        let Some(leaf) = notes::leaf(start) else {
            return self.add(class, else_kind, start..end, 1);
        };
        let way = notes::marked(leaf, start).map(|mark| match mark {
            HEAD => HEADS,
            RING => RINGS,
            _ => INBOXES,
        });
        if let Some(kind) = way {
            return self.add(class, kind, start..end, 1);
        }
        // Blocks of odd alignment begin inside; those of a window's length or more, in its first.
        let window_end = (start / WINDOW + 1) * WINDOW;
        let mut places = (start.next_multiple_of(16)..end.min(window_end)).step_by(16);
        let found = places.find_map(|place| Some((place, notes::asked(leaf, place)?)));
        let Some((place, asked)) = found else {
            return self.add(class, else_kind, start..end, 1);
        };
        let asked_end = (place + asked).min(end);
        self.add(class, ASKED, place..asked_end, 1);
        self.add(class, ROUNDING, start..place, 0);
        self.add(class, ROUNDING, asked_end..end, 1);
    }
}

/// The sampler's stack is small, and only one thread adds up.
struct Static(std::cell::UnsafeCell<Sums>);
// SAFETY: used by one thread, once.
unsafe impl Sync for Static {}

static SUMS: Static = Static(std::cell::UnsafeCell::new(Sums {
    sizes: [0; CLASSES],
    bytes: [[Bytes {
        pieces: 0,
        mapped: 0,
        resident: 0,
    }; KINDS.len()]; CLASSES],
    pages: Pages {
        file: None,
        window: 0,
        entries: [0; WINDOW / PAGE],
    },
}));

/// Write everything, one figure on a line.
pub(crate) fn write(mut out: &File, is_exit: bool, others: usize, stopped: usize) -> fmt::Result {
    // Before anything else is touched.
    let (process, files) = (smaps("Rss:"), mapped_files());
    // SAFETY: only one thread comes here, once.
    let sums = unsafe { &mut *SUMS.0.get() };
    sums.pages.file = File::open(c"/proc/self/pagemap");
    // SAFETY: the other threads stand still.
    unsafe {
        account::travelling::<Libc>(&mut |way, block| {
            notes::mark(block, if way == Way::Ring { RING } else { INBOX });
        })
    };
    // SAFETY: as above.
    unsafe { account::pieces::<Libc>(&mut |piece| sums.piece(piece)) };
    let mut notes_bytes = 0;
    notes::mappings(&mut |start, size| notes_bytes += sums.pages.resident(start..start + size));
    writeln!(out, "at-exit {}", usize::from(is_exit))?;
    writeln!(out, "threads {others}")?;
    writeln!(out, "stopped {stopped}")?;
    writeln!(out, "process-rss {}", process * 1024)?;
    writeln!(out, "file-rss {}", files * 1024)?;
    writeln!(out, "notes-rss {notes_bytes}")?;
    writeln!(
        out,
        "allocator-rss {}",
        mapped_by_allocator(&mut sums.pages)
    )?;
    writeln!(out, "asked-by-doors {}", LIVE.load(Relaxed))?;
    for (&size, kinds) in sums.sizes.iter().zip(&sums.bytes) {
        for (name, bytes) in KINDS
            .iter()
            .zip(kinds)
            .filter(|(_, bytes)| bytes.pieces != 0)
        {
            let Bytes {
                pieces,
                mapped,
                resident,
            } = bytes;
            writeln!(out, "row {name} {size} {pieces} {mapped} {resident}")?;
        }
    }
    Ok(())
}

/// What is resident of the chunks, huge blocks and tables, whatever they are used for: by the extents that were mapped, not by the pieces.
fn mapped_by_allocator(pages: &mut Pages) -> usize {
    let mut sum = 0;
    // SAFETY: the other threads stand still.
    unsafe {
        account::extents::<Libc>(&mut |start, size| sum += pages.resident(start..start + size))
    };
    sum
}

/// The sum of a figure in /proc/self/smaps_rollup, in KiB.
fn smaps(key: &str) -> usize {
    let mut text = [0; 4096];
    let Some(file) = File::open(c"/proc/self/smaps_rollup") else {
        return 0;
    };
    let read = file.read_at(&mut text, 0);
    let mut lines = text[..read].split(|&byte| byte == b'\n');
    let value = lines.find_map(|line| line.strip_prefix(key.as_bytes()));
    value.map_or(0, |value| number(value.trim_ascii_start()))
}

/// What is resident of mapped files, in KiB: text and data of programs and libraries, as long as nobody has written to it.
fn mapped_files() -> usize {
    let mut text = [0; 4096];
    let Some(file) = File::open(c"/proc/self/status") else {
        return 0;
    };
    let read = file.read_at(&mut text, 0);
    let mut lines = text[..read].split(|&byte| byte == b'\n');
    let value = lines.find_map(|line| line.strip_prefix(b"RssFile:"));
    value.map_or(0, |value| number(value.trim_ascii_start()))
}
