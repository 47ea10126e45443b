//! The numbers, each with its reason, asserted against each other.
//!
//! Sizes are in bytes unless the name says otherwise.

/// 1024 bytes.
pub(crate) const KIB: usize = 1024;
/// 1024 KiB.
pub(crate) const MIB: usize = 1024 * KIB;

/// Slices in a chunk: the state of a whole chunk is one `u64` per bitmap, and a claim is one CAS.
pub(crate) const SLICES: usize = 64;

/// The unit in which a chunk is cut into pages and runs.
#[cfg(target_pointer_width = "64")]
pub(crate) const SLICE: usize = 64 * KIB;
/// A 32-bit address space wants smaller windows.
#[cfg(target_pointer_width = "32")]
pub(crate) const SLICE: usize = 16 * KIB;

/// The aligned window that metadata is found by masking with.
pub(crate) const CHUNK: usize = SLICE * SLICES;

/// The granularity of small requests, and the alignment of every block.
pub(crate) const GRANULE: usize = 16;

/// The largest small block.
pub(crate) const SMALL_MAX: usize = KIB;

/// Free-list heads of a thread: one for each small class. With one for each granule, of which above 256 bytes several belong to a class,
/// they divided what the class had free, and 14 to 25 of 100 requests of mixed sizes found theirs empty (8 to 1,000 bytes, random
/// replacement of 1,000 blocks: 10.8 ns a pair; now 6.4, mimalloc 2 6.9).
pub(crate) const HEADS: usize = 32;

/// The largest medium block: served from pages of one to [`MEDIUM_SLICES_MAX`] slices.
pub(crate) const MEDIUM_MAX: usize = SLICE / 2;

/// A medium page has at least this many blocks, so that one long-lived block does not hold much memory.
pub(crate) const MEDIUM_BLOCKS_MIN: usize = 8;

/// The largest run of slices; what is larger becomes a mapping of its own ("huge").
pub(crate) const LARGE_MAX: usize = CHUNK / 2;

/// The smallest OS page of any system: free lists are extended to such a boundary at a time, so that memory
/// is touched no sooner than it is needed.
pub(crate) const EXTENSION: usize = 4 * KIB;

/// Offset of the page records in a chunk. The owner words before them are read by every thread that frees; the
/// records are written by their owner: they share no cache line and, with 4 KiB OS pages, no OS page.
pub(crate) const RECORDS_OFFSET: usize = 4 * KIB;

/// Offset of the cold records in a chunk, one for each slice. They are used when blocks are freed in parts; until then
/// they cost addresses, not memory.
pub(crate) const COLD_OFFSET: usize = 8 * KIB;

/// Offset of the first block of the ordinary page in slice 0: behind the records.
pub(crate) const FIRST_BLOCK_OFFSET: usize = 12 * KIB;

/// Bytes of a chunk that one byte of state stands for, in the security build: no block there is smaller.
pub(crate) const STATE_GRANULE: usize = 32;

/// Where the header of a chunk and the states of its blocks end, in the security build. What is left of the last slice of them is a guard
/// between them and the blocks.
pub(crate) const STATES_END: usize = FIRST_BLOCK_OFFSET + CHUNK / STATE_GRANULE;

/// Slices at the start of a chunk that hold the header and the states of blocks, in the security build.
pub(crate) const STATE_SLICES: usize = STATES_END.div_ceil(SLICE);

/// The slices of a chunk that the security build has no blocks in: the first ones, and the last, which is a guard in front of the
/// next chunk's header.
pub(crate) const RESERVED_SLICES: u64 = ((1 << STATE_SLICES) - 1) | (1 << (SLICES - 1));

/// Slices of the first chunk that are mapped to begin with, at least: the header's, and one more.
pub(crate) const FIRST_SLICES_MIN: usize = 2;

/// Bytes of a heap record, and its alignment: the low bits of an owner word are flags.
#[cfg(target_pointer_width = "64")]
pub(crate) const HEAP_SIZE: usize = 2 * KIB;
/// Half the pointers, half the record.
#[cfg(target_pointer_width = "32")]
pub(crate) const HEAP_SIZE: usize = KIB;

/// Slices of a slab behind the heap records, in the security build: what threads have in stock.
pub(crate) const STOCK_SLICES: usize = 3;

/// Bytes for the stock of a heap.
pub(crate) const STOCK_SIZE: usize = STOCK_SLICES * HEAP_SIZE;

/// A large page, as most processors have them.
pub(crate) const LARGE_PAGE: usize = if CHUNK < 4 * MIB { CHUNK / 2 } else { 2 * MIB };

/// Heap records in a slab, which is one slice.
pub(crate) const HEAPS_PER_SLAB: usize = SLICE / HEAP_SIZE;

/// Slabs of heap records that a process can have: 65,536 threads at the same time. Threads beyond that are served by
/// the process heap.
pub(crate) const HEAP_SLABS: usize = 2048;

/// Sets and ways of the remote ring (after BatchIt, ISMM 2024). One thread that frees what another allocates, of all sizes up to 1 KiB, has
/// blocks of more than 16 pages in hand: with 8 sets twice as many batches are on their way, and both together take 1.15 times the instructions.
#[cfg(target_pointer_width = "64")]
pub(crate) const RING_SETS: usize = 16;
/// Half the record has room for half the ring.
#[cfg(target_pointer_width = "32")]
pub(crate) const RING_SETS: usize = 8;
/// See [`RING_SETS`].
pub(crate) const RING_WAYS: usize = 2;

const _: () = {
    assert!(CHUNK.is_power_of_two() && SLICE.is_power_of_two());
    assert!(SLICES == 64, "chunk state is one u64 per bitmap");
    assert!(
        HEADS + 6 <= ralloc_platform::THREAD_WORDS,
        "heads, heap, state, counts and handler fit the block"
    );
    assert!(
        SLICE / GRANULE <= u16::MAX as usize,
        "block counts of a page are u16"
    );
    assert!(
        RECORDS_OFFSET + SLICES * 64 <= 2 * RECORDS_OFFSET,
        "records fit between owners and cold records"
    );
    assert!(COLD_OFFSET == 2 * RECORDS_OFFSET && COLD_OFFSET + SLICES * 64 <= FIRST_BLOCK_OFFSET);
    assert!(
        FIRST_BLOCK_OFFSET + MEDIUM_BLOCKS_MIN * SMALL_MAX <= SLICE
            || cfg!(target_pointer_width = "32")
    );
    assert!(
        STATE_SLICES < 8,
        "the first mapping of the security build has room for blocks"
    );
    assert!(HEAPS_PER_SLAB <= 32, "the orphans of a slab are one u32");
    assert!(LARGE_MAX >= 2 * MEDIUM_MAX && LARGE_MAX.is_multiple_of(SLICE));
};

/// Policy that may differ between two allocators in one program.
///
/// Every constant has a default, chosen by measurement where it says so; implement the trait for a type of your
/// own and override what should differ.
///
/// ```
/// use ralloc::{Ralloc, Tuning};
///
/// /// Keeps little that is free, and hands memory out in small portions.
/// pub struct Thrifty;
///
/// impl Tuning for Thrifty {
///     const IDLE_FLOOR: usize = 1 << 20;
///     const REFILL_BYTES: usize = 512;
/// }
///
/// ralloc::instance! {
///     /// The allocator of this program.
///     pub struct Mine: Thrifty;
/// }
///
/// #[global_allocator]
/// static GLOBAL: Ralloc<Mine> = Ralloc::new();
///
/// assert_eq!(vec![7; 1000].len(), 1000);
/// ```
pub trait Tuning: 'static {
    /// Bytes that are mapped of the first chunk to begin with: small processes stay small, and on Redox `fork` and exit walk
    /// every reserved page. Doubled until the chunk is whole (4 MiB); later chunks are mapped whole.
    const FIRST_MAPPING: usize = 4 * SLICE;
    /// Most blocks that a refill moves to a free-list head, of memory that has never been used. Blocks that have come home move as
    /// many as there are in a page.
    const REFILL_BLOCKS: usize = 64;
    /// The same in bytes (at least one block moves).
    const REFILL_BYTES: usize = 4 * KIB;
    /// Whether a request is served by a block of a larger class, if one lies free, before memory is touched that has not been: above 1 KiB
    /// of a class of up to four times the size, above 256 bytes of one of the next four. Each class has its most blocks at a moment of its
    /// own, and what the others have free then would be idle. Off by default; on Redox it is on: there a server of 4,000 objects takes 0.78
    /// of the memory, one of 40,000 0.96, one thread that allocates for another as much as without. Up to 256 bytes it would be another
    /// 0.97 for 4,000 objects, but a class that lives on loans of a few blocks takes up to 1.4 times the instructions.
    const LENDS: bool = false;
    /// Bytes of blocks of a larger class, up to four times as large, that serve the first requests for small blocks of a class in a heap,
    /// before it has a page of its own; 0: it has one at once.
    const LENT_BYTES: usize = 2 * KIB;
    /// Pages after the current one at which a refill looks for free blocks before it extends the current one.
    const LOOK_AHEAD: usize = 4;
    /// Whether a huge request that is larger than all that waits gets the pages of the largest waiting block, moved. Not on Redox: on its kernel
    /// 663e6641 such a block held other contents from its second page on (the payload's `oracle random_traces`).
    const MOVES_WAITING: bool = ralloc_platform::MOVED_PAGES_HOLD;
    /// Blocks that a thread may hold back in its remote ring before it delivers them all.
    const RING_BLOCKS: usize = 256;
    /// Bytes that a thread may hold back in its remote ring before it delivers them all.
    const RING_BYTES: usize = 32 * KIB;
    /// Refills between two rounds of housekeeping of a heap (empty pages given back, sparse pages donated).
    const TICK: u32 = 64;
    /// Idle memory (free, but resident) that may be kept whatever the program does.
    const IDLE_FLOOR: usize = 8 * MIB;
    /// Idle memory that may be kept as a share of live memory: one part in `IDLE_SHARE`, which is not 0.
    const IDLE_SHARE: usize = 8;
    /// Idle memory is worth keeping if the program soon wants it again. What it has claimed again while it gave back the last
    /// `CHURN_WINDOW` bytes tells; so much may be kept, but not so much that there is a new peak of memory. In rounds of housekeeping it is
    /// forgotten, 64 KiB in each, and what nobody has taken meanwhile at once. With 64 MiB, and no heed of the peak, large blocks in turn
    /// (large-pairs) took 5.5 times as long and 1.03 times the memory, blocks of zeros (calloc-large) 1.9 and 1.08 times.
    const CHURN_WINDOW: usize = 256 * MIB;
    /// A heap that has more pages of a class with free blocks than this, more than half free together, donates the
    /// sparsest to the process.
    const DONATE_ABOVE: usize = 4;
    /// Memory in pages and runs from which on further chunks are backed by large pages, where the kernel has them, as long as three quarters
    /// of it are in pages of blocks of up to 8 KiB that are used from end to end: what a program does not touch would become resident with
    /// what it does. Off by default. CPU time with 16 MiB here, relative to without, and peak RSS, while the host has the memory at hand:
    /// 1 GiB freed in random order 0.57 and 1.003, a thousand dying threads 0.68 and 1.007, random replacement in several threads 0.83 and
    /// 1.024, linear falloff 0.80 and 1.037. But in a virtual machine whose host has taken free memory back, which it does by large
    /// pages, each costs milliseconds: 1 GiB took 0.5 to 3.4 s instead of 0.9, sqlite 1.2 times as long. Huge blocks get none: 6,000 of which
    /// two pages each are used took 12,012 MiB instead of 94.
    const LARGE_PAGES_ABOVE: usize = usize::MAX;
    /// Heaps from which on a process is a crowd: a thread that comes then shares pages with others at first, because a page
    /// of its own for every class it touches is too much for a thread that may want little.
    const CROWD: u32 = 16;
    /// Refills after which a thread of a crowd is worth pages of its own.
    const NEWCOMER_REFILLS: u32 = 128;
    /// Bytes that a thread of a crowd gets at a time.
    const SHARED_BYTES: usize = 256;
    /// Whether blocks may be freed in parts through [`GlobalAlloc`](core::alloc::GlobalAlloc): `Vec::from_raw_parts` on a half of a
    /// vector. Costs two bytes for each block of a page, and a look at them when a block is freed.
    const PARTIAL: bool = false;
    /// Whether misuse is looked for with every operation, and what is freed is cleared: see [`Hardened`].
    const SECURITY: bool = false;
    /// Whether a block stays where it is when its user wants `size` of its `usable` bytes: if not, it moves to a smaller
    /// one. Runs and huge blocks are not asked about: they give back what they no longer need where they stand.
    ///
    /// By default at most half of a block is wasted, unless it is too small to matter.
    fn stays(usable: usize, size: usize) -> bool {
        size >= usable / 2 || usable <= 4 * GRANULE
    }
    /// What is logged, if the log is watching (see [`Watchers::LOG`](crate::Watchers::LOG)): what matters so much, or more. Where it goes
    /// is the business of the platform ([`write_log`](crate::platform::Platform::write_log)).
    const LOG_LEVEL: Level = Level::Blocks;
    /// Orphans at which a refill looks for a page of its class before it takes a fresh one.
    const ORPHANS_LOOKED_AT: usize = 32;
}

/// How much a line of the [log](crate::log) matters.
///
/// ```
/// use ralloc::{Level, Tuning};
///
/// /// Says what went wrong, not what went on.
/// pub struct Terse;
/// impl Tuning for Terse {
///     const LOG_LEVEL: Level = Level::Trouble;
/// }
/// assert!(Level::Blocks < Terse::LOG_LEVEL && Terse::LOG_LEVEL < Level::Nothing);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// What happens to blocks.
    Blocks,
    /// Requests that fail, and pointers that lead to no block.
    Trouble,
    /// Nothing matters so much.
    Nothing,
}

/// How much idle memory (free, but resident) an allocator keeps. Chosen while the program runs; asked for on slow paths
/// only.
///
/// ```
/// use ralloc::{Global, Instance, Purge};
///
/// Global::process().set_purge(Purge::Above(1 << 20)); // At most a mebibyte.
/// Global::process().set_purge(Purge::Normal);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purge {
    /// As the [`Tuning`] says.
    Normal,
    /// At most so many bytes; 0 gives everything back at once.
    Above(usize),
    /// All of it, until the program asks for a trim or memory runs out.
    Never,
}

/// The defaults of [`Tuning`].
///
/// ```
/// ralloc::instance! {
///     /// One more allocator of the ordinary kind.
///     pub struct Another: ralloc::Defaults;
/// }
/// let block = ralloc::Block::<Another>::new(100, 8);
/// assert_eq!(block.len(), 100);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Defaults;

impl Tuning for Defaults {}

/// The policy of the security build: the defaults, and [`Tuning::SECURITY`].
///
/// Freed blocks are cleared, and are reused in an order that nobody can foresee. A block that is freed twice, from the wrong
/// address or with the wrong size, that was written to beyond its end or after it was freed, ends the process with a fatal
/// line; see SECURITY.md for what is found when. Each operation takes longer, and a block of `n` bytes takes up `n + 1`.
///
/// ```
/// ralloc::instance! {
///     /// For what comes from outside, beside the allocator of the program.
///     pub struct Guarded: ralloc::Hardened;
/// }
/// let block = ralloc::Block::<Guarded>::new(100, 8);
/// assert_eq!(block.len(), 100);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Hardened;

impl Tuning for Hardened {
    const SECURITY: bool = true;
    /// A chunk with guards in it is mapped whole.
    const FIRST_MAPPING: usize = CHUNK;
}
