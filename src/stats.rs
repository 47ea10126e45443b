//! What the allocator holds, counted by walking it: no counter is kept on a hit path.
//!
//! ```
//! use ralloc::{Global, stats};
//!
//! let block = ralloc::alloc(100, 8);
//! let picture = stats::stats::<Global>();
//! let class: &stats::ClassUse = picture.classes.iter().find(|class| class.block_size >= 100 && class.used != 0).expect("a class");
//! assert!(class.pages >= 1 && class.capacity >= class.used);
//! stats::print_stats::<Global>(None); // To standard error.
//! # // SAFETY: allocated above with this size, freed once.
//! # unsafe { ralloc::free(block, 100) };
//! ```

use core::fmt::{self, Write};

use ralloc_platform::Platform;

use crate::{
    chunk::{Chunk, Owner},
    config::{KIB, SLICE, SLICES},
    primitive::Ordering,
    process::{Instance, Process},
    size_class::{CLASSES, SizeClass},
};

/// Blocks and pages of one size class.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct ClassUse {
    /// Bytes of a block.
    pub block_size: usize,
    /// Pages.
    pub pages: usize,
    /// Blocks that are in use: live, in a thread's free-list heads, or on their way home.
    pub used: usize,
    /// Blocks that the pages have room for.
    pub capacity: usize,
}

/// A picture of an allocator, in bytes unless it says otherwise. Exact while no other thread uses the
/// allocator; otherwise each figure is one that was true at some moment.
///
/// ```
/// let block = ralloc::alloc(10 << 20, 16);
/// let stats = ralloc::stats();
/// assert!(stats.huge >= 10 << 20 && stats.live >= stats.huge && stats.mapped >= stats.live);
/// assert!(stats.to_string().starts_with("ralloc: statistics"));
/// # // SAFETY: allocated above with this size, freed once.
/// # unsafe { ralloc::free(block, 10 << 20) };
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// In blocks that are in use, see [`ClassUse::used`], runs and huge blocks.
    pub live: usize,
    /// The most that pages, runs and huge blocks have ever taken up together, whole slices counted; an estimate while threads are at
    /// work.
    pub peak: usize,
    /// Mapped from the kernel: chunks, huge blocks, and huge blocks kept for reuse.
    pub mapped: usize,
    /// Free but not given back: slices that have been used, and huge blocks kept for reuse.
    pub retained: usize,
    /// In runs of slices.
    pub runs: usize,
    /// In huge blocks.
    pub huge: usize,
    /// Runs of slices, their number.
    pub run_count: usize,
    /// Times that memory was given back.
    pub purges: usize,
    /// Bytes of slices whose frames were given back.
    pub purged: usize,
    /// Chunks whose addresses were given back, their number.
    pub unmapped_chunks: usize,
    /// Batches of remote frees that were delivered, their number.
    pub batches: usize,
    /// Threads that have had a heap.
    pub threads: usize,
    /// Heaps that there are, those without a thread included.
    pub heaps: usize,
    /// By size class, smallest first.
    pub classes: [ClassUse; CLASSES],
}

/// Take a picture of the allocator.
pub fn stats<I: Instance>() -> Stats {
    I::process().stats()
}

impl<I: Instance> Process<I> {
    fn stats(&self) -> Stats {
        let chunks = self.memory.chunks.totals();
        let (huge, cached) = (self.memory.huge.live(), self.memory.huge.cache.bytes());
        let load = |counter: &crate::primitive::Tally| counter.load(Ordering::Relaxed);
        let mut stats = Stats {
            live: huge,
            peak: load(&self.memory.peak),
            mapped: chunks.mapped + huge + cached,
            retained: chunks.dirty + cached,
            runs: 0,
            huge,
            run_count: 0,
            purges: load(&self.memory.purges),
            purged: load(&self.memory.purged_slices) * SLICE,
            unmapped_chunks: load(&self.memory.unmapped_chunks),
            batches: self.heaps.heaps().map(|heap| load(&heap.sent)).sum(),
            threads: load(&self.threads),
            heaps: self.heaps.count().saturating_sub(1),
            classes: core::array::from_fn(|index| ClassUse {
                block_size: SizeClass::from_index(index).size(),
                ..ClassUse::default()
            }),
        };
        // No chunk is unmapped while we look into them.
        let _guard = self.memory.lock();
        for chunk in self.memory.chunks.chunks() {
            count_chunk(chunk, &mut stats);
        }
        let blocks = stats
            .classes
            .iter()
            .map(|class| class.used * class.block_size);
        stats.live += stats.runs + blocks.sum::<usize>();
        stats
    }
}

/// Add the pages and runs of a chunk. Counters of pages may change under us: they are read as they are.
fn count_chunk(chunk: &Chunk, stats: &mut Stats) {
    for slice in 0..SLICES {
        let owner = chunk.owner_acquire(slice);
        let page = chunk.page(slice);
        if owner.has(Owner::NOT_HEAD | Owner::UNOWNED) {
            continue;
        }
        if owner.has(Owner::RUN) {
            stats.runs += page.slices() * SLICE;
            stats.run_count += 1;
            continue;
        }
        let class = &mut stats.classes[page.class().index()];
        class.pages += 1;
        class.used += page.used_count() as usize;
        class.capacity += usize::from(page.capacity.get());
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, name: &str, bytes: usize| {
            writeln!(f, "  {name:<28} {:>12} KiB", bytes.div_ceil(KIB))
        };
        writeln!(f, "ralloc: statistics")?;
        line(f, "live", self.live)?;
        line(f, "peak", self.peak)?;
        line(f, "mapped", self.mapped)?;
        line(f, "retained", self.retained)?;
        line(f, "runs", self.runs)?;
        line(f, "huge", self.huge)?;
        line(f, "purged", self.purged)?;
        let count = |f: &mut fmt::Formatter<'_>, name: &str, number: usize| {
            writeln!(f, "  {name:<28} {number:>12}")
        };
        count(f, "purges", self.purges)?;
        count(f, "chunks unmapped", self.unmapped_chunks)?;
        count(f, "remote batches", self.batches)?;
        count(f, "threads seen", self.threads)?;
        count(f, "heaps", self.heaps)?;
        writeln!(
            f,
            "  {:>10} {:>8} {:>12} {:>12}",
            "block size", "pages", "used", "capacity"
        )?;
        for class in self.classes.iter().filter(|class| class.pages != 0) {
            writeln!(
                f,
                "  {:>10} {:>8} {:>12} {:>12}",
                class.block_size, class.pages, class.used, class.capacity
            )?;
        }
        Ok(())
    }
}

/// Print the statistics to standard error, and how much of the process is resident if that is known. Allocates nothing.
pub fn print_stats<I: Instance>(resident: Option<usize>) {
    let stats = stats::<I>();
    let mut error = StandardError(&I::process().memory.kernel);
    // The formatter never fails, so there is nothing to report.
    let _ = write!(error, "{stats}");
    if let Some(resident) = resident {
        let _ = writeln!(
            error,
            "  {:<28} {:>12} KiB",
            "resident, whole process",
            resident / KIB
        );
    }
}

struct StandardError<'a, P>(&'a P);

impl<P: Platform> Write for StandardError<'_, P> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write_stderr(text.as_bytes());
        Ok(())
    }
}
