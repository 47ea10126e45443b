//! The log: a line for each thing that happens to a block, with the state of the pools to the left.
//!
//! ```text
//! ralloc: |_____x|____x____| alloc   0x7f4a5f003090[24] at 0x5581b7a4d2b1
//! ```
//!
//! A *pool* is a size class. From the smallest to the largest, `x` is one that has a page with room among those that everybody shares
//! in hooked mode, and `_` one that has none; `?` is all of them while another thread is at work there. The cursor `|` is in front of
//! the pool that the line is about, if it is about one; there is a bar at both ends. Then the event, the block as
//! `address[size]`, and the return address of the innermost call from outside of the allocator, if that is known.
//!
//! Each line is one write, so that the lines of several threads do not mix. Nothing is allocated. Which lines there are is the
//! business of [`Tuning::LOG_LEVEL`], where they go that of the platform.

use core::fmt::{self, Write};

use ralloc_platform::Platform;

use crate::{
    config::{Level, MEDIUM_MAX, Tuning},
    hooks::Event,
    process::Instance,
    record::Record,
    size_class::{CLASSES, SizeClass},
};

/// The longest line; what does not fit is left out.
const LINE: usize = 256;

struct Line {
    text: [u8; LINE],
    length: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // The last place is that of the end of the line.
        let room = &mut self.text[self.length..LINE - 1];
        let fits = text.len().min(room.len());
        room[..fits].copy_from_slice(&text.as_bytes()[..fits]);
        self.length += fits;
        Ok(())
    }
}

/// Log `event`, which has come from `site` if that is known, unless the instance does not want to know.
pub(crate) fn log<I: Instance>(event: Event, site: usize) {
    if level(event) < I::Tuning::LOG_LEVEL {
        return;
    }
    let mut line = Line {
        text: [0; LINE],
        length: 0,
    };
    // It never fails: what does not fit is left out.
    let _ = write_line::<I>(&mut line, event, site);
    line.text[line.length] = b'\n';
    let kernel = &I::process().memory.kernel;
    kernel.write_log(&line.text[..=line.length]);
}

/// How much an event matters.
fn level(event: Event) -> Level {
    match event {
        Event::Allocated { .. } | Event::Freed { .. } | Event::Resized { .. } => Level::Blocks,
        Event::Failed { .. } | Event::Misused { .. } => Level::Trouble,
    }
}

fn write_line<I: Instance>(line: &mut Line, event: Event, site: usize) -> fmt::Result {
    let (size, block) = match event {
        Event::Allocated { block, size, .. }
        | Event::Freed { block, size }
        | Event::Resized { block, size, .. } => (Some(size), block),
        Event::Failed { size } => (Some(size), 0),
        Event::Misused { block } => (None, block),
    };
    line.write_str("ralloc: |")?;
    write_pools::<I>(line, size)?;
    line.write_str("| ")?;
    match event {
        Event::Allocated { size, align, .. } => {
            write!(line, "alloc   {block:#x}[{size}]")?;
            if align > 16 {
                write!(line, " aligned to {align}")?;
            }
        }
        Event::Freed { size, .. } => write!(line, "free    {block:#x}[{size}]")?,
        Event::Resized { old, size, .. } => {
            write!(line, "resize  {block:#x}[{old}] to {block:#x}[{size}]")?;
        }
        Event::Failed { size } => write!(line, "FAILED  [{size}]")?,
        Event::Misused { .. } => write!(line, "MISUSED {block:#x}, where no block begins")?,
    }
    if site != 0 {
        write!(line, " at {site:#x}")?;
    }
    Ok(())
}

fn write_pools<I: Instance>(line: &mut Line, size: Option<usize>) -> fmt::Result {
    let room = I::process().commons_room();
    let slot = size.and_then(|size| size.checked_add(Record::EXTRA));
    let slot = slot.filter(|&slot| slot <= MEDIUM_MAX);
    let cursor = slot.map(|slot| SizeClass::of(slot).index());
    for index in 0..CLASSES {
        if cursor == Some(index) && index != 0 {
            line.write_str("|")?;
        }
        let bit = SizeClass::from_index(index).bit();
        line.write_str(match room {
            None => "?",
            Some(room) if room & bit != 0 => "x",
            Some(_) => "_",
        })?;
    }
    Ok(())
}
