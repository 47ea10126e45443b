//! The figures that `mallinfo` and `malloc_info` of the GNU C library report, of this allocator.
//!
//! Before they are taken, what the calling thread holds in reserve goes home, and so does what has arrived for threads that
//! are gone: then a block counts as used exactly while the program has it. What other threads that run hold in reserve counts
//! as used: at most [`Tuning::REFILL_BYTES`](crate::Tuning::REFILL_BYTES) of each size class, and what they collect for
//! others.
//!
//! ```
//! use ralloc::{Global, info::{self, Info}};
//!
//! let block = ralloc::alloc(10 << 20, 8);
//! let figures: Info = info::info::<Global>();
//! assert_eq!(figures.arena, figures.used + figures.free);
//! assert!(figures.huge_count == 1 && figures.huge >= 10 << 20);
//!
//! let mut text = String::new();
//! info::write_xml::<Global>(&mut text).expect("a string takes all");
//! assert!(text.starts_with("<malloc version=\"1\">"));
//! # // SAFETY: allocated above with this size, freed once.
//! # unsafe { ralloc::free(block, 10 << 20) };
//! ```

use core::fmt::{self, Write};

use crate::{
    config::SLICE,
    process::Instance,
    stats::{Stats, stats},
    thread,
};

/// Figures in bytes, but for the numbers.
///
/// Equation: `arena == used + free`; the usable sizes of all blocks of the program add up to `used + huge`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Info {
    /// Mapped for blocks that are not huge.
    pub arena: usize,
    /// In blocks that are not huge.
    pub used: usize,
    /// Mapped, not huge, and not in a block: free blocks, free slices, and the allocator's own notes.
    pub free: usize,
    /// Free blocks and free slices, their number.
    pub free_count: usize,
    /// In huge blocks.
    pub huge: usize,
    /// Huge blocks, their number.
    pub huge_count: usize,
    /// The most that has ever been taken up, as [`Stats::peak`].
    pub peak: usize,
    /// What a trim gives back.
    pub retained: usize,
}

/// Take the figures.
pub fn info<I: Instance>() -> Info {
    settled::<I>().1
}

fn settled<I: Instance>() -> (Stats, Info) {
    thread::settle::<I>();
    let memory = &I::process().memory;
    let stats = stats::<I>();
    let (huge_count, huge) = memory.huge.usable_total();
    let chunks = memory.chunks.totals();
    let blocks = stats
        .classes
        .iter()
        .map(|class| class.used * class.block_size);
    let used = stats.runs + blocks.sum::<usize>();
    let free_blocks = stats
        .classes
        .iter()
        .map(|class| class.capacity - class.used);
    let info = Info {
        arena: chunks.mapped,
        used,
        free: chunks.mapped.saturating_sub(used),
        free_count: free_blocks.sum::<usize>()
            + chunks.mapped.saturating_sub(chunks.claimed) / SLICE,
        huge,
        huge_count,
        peak: stats.peak,
        retained: stats.retained,
    };
    (stats, info)
}

/// Write the figures as XML, with the elements of malloc_info(3): one heap, whose sizes are the size classes.
///
/// # Errors
///
/// Those of `out`.
pub fn write_xml<I: Instance>(out: &mut impl Write) -> fmt::Result {
    let (stats, info) = settled::<I>();
    writeln!(out, "<malloc version=\"1\">")?;
    writeln!(out, "<heap nr=\"0\">")?;
    writeln!(out, "<sizes>")?;
    let mut from = 1;
    for class in &stats.classes {
        let (to, count) = (class.block_size, class.capacity - class.used);
        if class.pages != 0 {
            writeln!(
                out,
                "  <size from=\"{from}\" to=\"{to}\" total=\"{}\" count=\"{count}\" used=\"{}\" pages=\"{}\"/>",
                count * to,
                class.used,
                class.pages
            )?;
        }
        from = to + 1;
    }
    writeln!(out, "</sizes>")?;
    write_totals(out, &info)?;
    writeln!(out, "</heap>")?;
    write_totals(out, &info)?;
    writeln!(
        out,
        "<total type=\"mmap\" count=\"{}\" size=\"{}\"/>",
        info.huge_count, info.huge
    )?;
    writeln!(out, "</malloc>")
}

/// What stands in the heap and once more behind all heaps.
fn write_totals(out: &mut impl Write, info: &Info) -> fmt::Result {
    writeln!(out, "<total type=\"fast\" count=\"0\" size=\"0\"/>")?;
    writeln!(
        out,
        "<total type=\"rest\" count=\"{}\" size=\"{}\"/>",
        info.free_count, info.free
    )?;
    for (kind, size) in [("current", info.arena), ("max", info.arena.max(info.peak))] {
        writeln!(out, "<system type=\"{kind}\" size=\"{size}\"/>")?;
    }
    for kind in ["total", "mprotect"] {
        writeln!(out, "<aspace type=\"{kind}\" size=\"{}\"/>", info.arena)?;
    }
    Ok(())
}
