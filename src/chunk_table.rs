//! The chunk table: which slices of every chunk are free, dirty and committed.
//!
//! Three words per chunk, each changed by single atomic operations, so that claiming and giving back need no lock and
//! a `fork` at any moment finds them whole. Entries are never unmapped: a thread may look at one while another
//! gives the chunk itself back to the kernel.
//!
//! Equation, per entry: `free & !committed == 0`; a slice is free, or claimed by exactly one page, run, slab or purge.
//! A free slice that is not dirty reads zero.

use core::ptr::NonNull;

use ralloc_platform::Platform;

use crate::{
    chunk::Chunk,
    chunk_entry::{Entry, Run, mask},
    chunk_map::ChunkMap,
    config::{SLICE, SLICES},
    donated::Donated,
    primitive::{AtomicPtr, AtomicU64, AtomicUsize, Ordering, Tally},
    room::{LOOKS, Room, Wanted, ones},
};

/// 64 entries and a summary of them. What small processes use comes first.
#[repr(C)]
pub(crate) struct Segment {
    /// The entries whose chunks the program has given us: the kernel gets nothing of them.
    pub(crate) kept: AtomicU64,
    /// Which of the entries to look at for what.
    room: Room,
    pub(crate) entries: [Entry; SLICES],
}

/// How the table gets more memory.
#[derive(Clone, Copy)]
pub(crate) struct Growth {
    /// Slices that are mapped of the first chunk to begin with.
    pub(crate) first: usize,
    /// Whether large pages are to back whole chunks.
    pub(crate) large_pages: bool,
    /// How far from its neighbours a chunk is to be, in bytes.
    pub(crate) apart: usize,
}

/// Segments that a process can have: with 4 MiB chunks they describe 1 TiB of small blocks and runs.
const SEGMENTS: usize = 4096;

impl Segment {
    const fn new() -> Self {
        Self {
            entries: [const { Entry::vacant() }; SLICES],
            room: Room::none(),
            kept: AtomicU64::new(0),
        }
    }
}

/// The first chunk will not be extended any more.
pub(crate) const GIVEN_UP: usize = 2;

/// The table, and the totals over it. What small processes use comes first, so that it is little memory.
#[repr(C)]
pub(crate) struct ChunkTable {
    /// Entries in use or vacant again: all below this have been used.
    pub(crate) entries: AtomicUsize,
    /// Entries below `entries` that are vacant, or more: who numbers a fresh entry may come upon one that was vacated that
    /// moment, and does not count it.
    pub(crate) vacant: Tally,
    /// 1 while a thread extends the first chunk, [`GIVEN_UP`] when that has failed for good.
    pub(crate) extending: AtomicUsize,
    /// Slices that are mapped.
    pub(crate) committed: Tally,
    /// Slices that are claimed.
    claimed: Tally,
    /// Slices that are free and dirty: resident, and of no use to anybody.
    pub(crate) dirty: Tally,
    /// The slices of every chunk that are never free, and are not claimed either.
    pub(crate) reserved: u64,
    /// Memory for tables that the program has given us.
    pub(crate) donated: Donated,
    pub(crate) first: Segment,
    /// Where chunks are.
    pub(crate) map: ChunkMap,
    /// Segments after the first. Published once, never changed.
    more: [AtomicPtr<Segment>; SEGMENTS - 1],
}

impl ChunkTable {
    /// A table without chunks, whose `reserved` slices nobody will be given.
    pub(crate) const fn new(reserved: u64) -> Self {
        Self {
            reserved,
            first: Segment::new(),
            map: ChunkMap::new(),
            more: [const { AtomicPtr::new(core::ptr::null_mut()) }; SEGMENTS - 1],
            entries: AtomicUsize::new(0),
            vacant: Tally::new(0),
            extending: AtomicUsize::new(0),
            committed: Tally::new(0),
            claimed: Tally::new(0),
            dirty: Tally::new(0),
            donated: Donated::new(),
        }
    }

    pub(crate) fn segment(&self, number: usize) -> Option<&Segment> {
        if number == 0 {
            return Some(&self.first);
        }
        // Acquire: pairs with the Release in `segment_or_map`.
        let segment = self.more.get(number - 1)?.load(Ordering::Acquire);
        // SAFETY: a segment that is published stays.
        unsafe { segment.as_ref() }
    }

    pub(crate) fn segment_or_map(&self, number: usize, kernel: &impl Platform) -> Option<&Segment> {
        if let Some(segment) = self.segment(number) {
            return Some(segment);
        }
        let slot = self.more.get(number - 1)?;
        let os_page = kernel.page_size();
        let size = size_of::<Segment>().next_multiple_of(os_page);
        let given = self.donated.take(size);
        let fresh = given.or_else(|| kernel.map(size, os_page))?;
        let fresh = fresh.cast::<Segment>();
        // SAFETY: the mapping is large enough, aligned and ours.
        unsafe { fresh.write(Segment::new()) };
        // Release: pairs with the Acquire in `segment`: the entries are seen as written here.
        let null = core::ptr::null_mut();
        if slot
            .compare_exchange(null, fresh.as_ptr(), Ordering::Release, Ordering::Relaxed)
            .is_err()
        {
            self.unmap_table(fresh.cast(), size, kernel);
        }
        self.segment(number)
    }

    /// Give a table back that nobody uses, unless it was the program's gift.
    pub(crate) fn unmap_table(&self, table: NonNull<u8>, size: usize, kernel: &impl Platform) {
        if !self.donated.has(table) {
            // SAFETY: nobody uses it.
            unsafe { kernel.unmap(table, size) };
        }
    }

    /// Whether the kernel gets nothing of the chunk with number `index`.
    pub(crate) fn is_kept(&self, index: usize) -> bool {
        self.segment(index / SLICES).is_some_and(|segment| {
            segment.kept.load(Ordering::Relaxed) >> (index % SLICES) & 1 == 1
        })
    }

    pub(crate) fn entry(&self, index: usize) -> &Entry {
        let segment = self.segment(index / SLICES);
        // SAFETY: an index is given out only after its segment is published.
        &unsafe { segment.unwrap_unchecked() }.entries[index % SLICES]
    }

    /// Whether a slice of a chunk is mapped: the first chunk is not whole, and what lies behind it may be somebody else's.
    pub(crate) fn is_mapped(&self, chunk: &Chunk, slice: usize) -> bool {
        // Acquire: pairs with the Release in `extend_first_from`, as for everybody who asks what is mapped.
        self.entry(chunk.index()).committed.load(Ordering::Acquire) >> slice & 1 == 1
    }

    /// Note that slices of an entry have just been freed, and which are free now.
    pub(crate) fn opened(&self, index: usize, free: u64) {
        if let Some(segment) = self.segment(index / SLICES) {
            segment.room.opened(index % SLICES, free);
        }
    }

    /// Claim what is wanted in one of the first `most` chunks that may have a run of this length, as [`Room`] has it.
    fn search(&self, wanted: &Wanted, length: usize, most: usize) -> Option<Run> {
        // Relaxed: a chunk that is missed was added a moment ago; the caller then adds one of its own.
        let segments = self.entries.load(Ordering::Relaxed).div_ceil(SLICES);
        (0..segments)
            .filter_map(|number| self.segment(number))
            .flat_map(|segment| ones(segment.room.of(length)).map(move |bit| (segment, bit)))
            .take(most)
            .find_map(|(segment, number)| {
                let entry = &segment.entries[number];
                let run = entry.claim(wanted.slices, wanted.starts);
                if run.is_none() {
                    segment.room.looked_in_vain(length, number, entry);
                }
                run
            })
    }

    /// Claim what is wanted. Maps more memory if there is none, as `growth` says.
    pub(crate) fn claim(
        &self,
        wanted: &Wanted,
        growth: Growth,
        kernel: &impl Platform,
    ) -> Option<Run> {
        // Each turn of the loop follows progress: ours, or that of another thread that took what we mapped.
        loop {
            if let Some(run) = self.claim_mapped(wanted) {
                return Some(run);
            }
            if !self.grow(growth, kernel) {
                return None;
            }
        }
    }

    /// Claim what is wanted of what is mapped.
    pub(crate) fn claim_mapped(&self, wanted: &Wanted) -> Option<Run> {
        let run = if wanted.is_anywhere() {
            self.search(wanted, wanted.length(), usize::MAX)
        } else {
            // Where it stands decides as well: a chunk may have the room and not serve.
            self.search(wanted, wanted.length(), LOOKS)
                .or_else(|| self.search(wanted, wanted.surely(), usize::MAX))
        };
        run.inspect(|run| self.count_claim(run))
    }

    fn count_claim(&self, run: &Run) {
        // Relaxed, both: totals.
        self.claimed.fetch_add(run.slices, Ordering::Relaxed);
        if !run.is_clean() {
            self.dirty
                .fetch_sub(run.dirty.count_ones() as usize, Ordering::Relaxed);
        }
    }

    /// Claim the `slices` slices of the chunk with number `index` that begin at `first`, if they are free.
    pub(crate) fn claim_at(&self, index: usize, first: usize, slices: usize) -> Option<Run> {
        if first + slices > SLICES {
            return None;
        }
        self.claim_in(index, slices, 1 << first)
    }

    /// Claim `slices` slices of the chunk with number `index`, beginning at one of `starts`.
    pub(crate) fn claim_in(&self, index: usize, slices: usize, starts: u64) -> Option<Run> {
        let run = self.entry(index).claim(slices, starts)?;
        self.count_claim(&run);
        Some(run)
    }

    /// The run of `slices` slices at `first` in `chunk`, which the caller holds.
    pub(crate) fn held(&self, chunk: NonNull<u8>, first: usize, slices: usize) -> Run {
        Run {
            base: chunk,
            first,
            slices,
            dirty: mask(slices) << first,
        }
    }

    /// The slices in `set` of a run that the caller holds read zero.
    pub(crate) fn cleaned(&self, run: &Run, set: u64) {
        // SAFETY: the caller holds a slice of the chunk.
        let index = unsafe { Chunk::of(run.base) }.index();
        // Relaxed: published when the run is given back.
        self.entry(index).dirty.fetch_and(!set, Ordering::Relaxed);
    }

    /// Give a run back, of which the first `touched` slices may have been written to.
    ///
    /// Returns whether nobody uses the chunk any more. A hint.
    ///
    /// Pre: the caller holds the run, its owner words are nobody's.
    pub(crate) fn release(&self, run: &Run, touched: usize) -> bool {
        // SAFETY: the caller holds a slice of the chunk.
        let index = unsafe { Chunk::of(run.base) }.index();
        // Relaxed, both: totals. The dirty count goes up before the slices can be claimed, so that it never drops below 0.
        self.dirty.fetch_add(run.slices, Ordering::Relaxed);
        self.claimed.fetch_sub(run.slices, Ordering::Relaxed);
        let (dirty, free) = self.entry(index).release(run, touched);
        if dirty < run.slices {
            self.dirty.fetch_sub(run.slices - dirty, Ordering::Relaxed);
        }
        self.opened(index, free);
        free == !self.reserved
    }

    /// How many entries have ever been used: every chunk's number is below.
    pub(crate) fn entries(&self) -> usize {
        self.entries.load(Ordering::Acquire)
    }

    /// Forget all chunks and give the segments back.
    ///
    /// Pre: the chunks are unmapped, and no other thread is about.
    pub(crate) fn dissolve(&self, kernel: &impl Platform) {
        for index in 0..self.entries() {
            let entry = self.entry(index);
            entry.base.store(0, Ordering::Relaxed);
            entry.free.store(0, Ordering::Relaxed);
            entry.dirty.store(0, Ordering::Relaxed);
            entry.committed.store(0, Ordering::Relaxed);
        }
        self.first.room.forget();
        self.map.dissolve(kernel);
        self.first.kept.store(0, Ordering::Relaxed);
        let size = size_of::<Segment>().next_multiple_of(kernel.page_size());
        for segment in &self.more {
            let segment = segment.swap(core::ptr::null_mut(), Ordering::Relaxed);
            if let Some(segment) = NonNull::new(segment) {
                self.unmap_table(segment.cast(), size, kernel);
            }
        }
        for word in [&self.entries, &self.extending] {
            word.store(0, Ordering::Relaxed);
        }
        for total in [&self.vacant, &self.committed, &self.claimed, &self.dirty] {
            total.store(0, Ordering::Relaxed);
        }
    }

    /// The headers of all chunks.
    ///
    /// Pre: the caller holds the purge lock, so that no chunk is unmapped.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = &Chunk> {
        (0..self.entries()).filter_map(|index| {
            let entry = self.entry(index);
            // Acquire: pairs with the Release in `publish`, for the header.
            (entry.committed.load(Ordering::Acquire) != 0).then_some(())?;
            let base = entry.base.load(Ordering::Acquire);
            let base = NonNull::new(core::ptr::with_exposed_provenance_mut(base))?;
            // SAFETY: the chunk is mapped, and stays so.
            Some(unsafe { Chunk::of(base) })
        })
    }

    /// Check the equation of every entry, that the totals are the sums over the entries, and that whoever looks for room
    /// is led to it.
    ///
    /// Pre: no other thread is about.
    pub(crate) fn check(&self) {
        let (mut claimed, mut dirty, mut committed, mut vacant) = (0, 0, 0, 0);
        for index in 0..self.entries() {
            let entry = self.entry(index);
            entry.check();
            let free = entry.free.load(Ordering::Relaxed);
            let mapped = entry.committed.load(Ordering::Relaxed);
            claimed += (mapped & !free & !self.reserved).count_ones() as usize;
            dirty += (free & entry.dirty.load(Ordering::Relaxed)).count_ones() as usize;
            committed += mapped.count_ones() as usize;
            vacant += usize::from(mapped == 0);
            if let Some(segment) = self.segment(index / SLICES) {
                segment.room.check(index % SLICES, entry);
            }
        }
        let is = |total: &Tally, sum: usize| total.load(Ordering::Relaxed) == sum;
        assert!(is(&self.claimed, claimed), "claimed slices are counted");
        assert!(is(&self.dirty, dirty), "dirty slices are counted");
        assert!(is(&self.committed, committed), "mapped slices are counted");
        assert!(
            self.vacant.load(Ordering::Relaxed) >= vacant,
            "no vacant entry is forgotten"
        );
    }

    /// Hand address and size of every part of the table that is mapped to `visit`.
    pub(crate) fn tables(&self, kernel: &impl Platform, visit: &mut dyn FnMut(usize, usize)) {
        let size = size_of::<Segment>().next_multiple_of(kernel.page_size());
        for segment in (1..SEGMENTS).filter_map(|number| self.segment(number)) {
            visit(core::ptr::from_ref(segment).addr(), size);
        }
        self.map.tables(kernel, visit);
    }

    /// Bytes that are mapped, claimed, and free but dirty.
    pub(crate) fn totals(&self) -> Totals {
        let bytes = |slices: &Tally| slices.load(Ordering::Relaxed) * SLICE;
        Totals {
            mapped: bytes(&self.committed),
            claimed: bytes(&self.claimed),
            dirty: bytes(&self.dirty),
        }
    }
}

/// Sums over the table, in bytes.
pub(crate) struct Totals {
    pub(crate) mapped: usize,
    pub(crate) claimed: usize,
    pub(crate) dirty: usize,
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use ralloc_platform::sim::{Rules, Sim};

    const GROWTH: Growth = Growth {
        first: SLICES,
        large_pages: false,
        apart: 0,
    };

    fn claim(table: &ChunkTable, kernel: &Sim, slices: usize, stride: usize) -> Run {
        let wanted = Wanted::new(slices, stride, false);
        table.claim(&wanted, GROWTH, kernel).expect("memory")
    }

    /// Chunks that a search for so many slices would look at.
    fn open(table: &ChunkTable, length: usize) -> u32 {
        let segments = (0..SEGMENTS).map_while(|number| table.segment(number));
        segments
            .map(|segment| segment.room.of(length).count_ones())
            .sum()
    }

    /// A table of chunks in which every other slice is free.
    fn riddled(kernel: &Sim, chunks: usize) -> ChunkTable {
        let table = ChunkTable::new(0);
        let single = |_| claim(&table, kernel, 1, 1);
        let runs: Vec<_> = (0..chunks * (SLICES - 1)).map(single).collect();
        for run in runs
            .iter()
            .filter(|run| run.first % 2 == 1 || run.first == 10)
        {
            table.release(run, 1);
        }
        // Who searches for two or three slices does not know of that.
        for index in 0..chunks {
            assert!(table.claim_at(index, 10, 1).is_some());
        }
        table
    }

    #[test]
    fn a_run_at_a_rare_multiple_is_found_where_it_surely_is() {
        let kernel = Sim::new(Rules::Linux);
        let table = riddled(&kernel, LOOKS + 4);
        let index = LOOKS + 3;
        let base = table.entry(index).base.load(Ordering::Relaxed);
        let base = NonNull::new(core::ptr::with_exposed_provenance_mut(base)).expect("a chunk");
        for slice in (4..12).step_by(2) {
            table.release(&table.held(base, slice, 1), 1);
        }
        // The others have room for one slice, none of it at a multiple of four.
        let run = claim(&table, &kernel, 1, 4);
        assert_eq!((run.base, run.first), (base, 4));
        assert_eq!(open(&table, 1), LOOKS as u32 + 4, "nor are they given up");
        table.check();
        table.dissolve(&kernel);
    }

    #[test]
    fn a_chunk_without_room_is_looked_at_once() {
        let kernel = Sim::new(Rules::Linux);
        let table = riddled(&kernel, 100);
        assert_eq!(
            [1, 2, 3, 4].map(|length| open(&table, length)),
            [100, 100, 100, 1]
        );
        let run = claim(&table, &kernel, 2, 1);
        assert_eq!(
            (open(&table, 1), open(&table, 2)),
            (101, 1),
            "the one that was added"
        );
        let hole = table.held(run.base, run.first, 1);
        table.release(&hole, 1);
        table.check();
        // What lies between two holes comes free in the last of those that were given up.
        let index = 99;
        let base = table.entry(index).base.load(Ordering::Relaxed);
        let base = NonNull::new(core::ptr::with_exposed_provenance_mut(base)).expect("a chunk");
        table.release(&table.held(base, 10, 1), 1);
        assert_eq!((open(&table, 3), open(&table, 4)), (2, 1));
        let run = claim(&table, &kernel, 3, 1);
        assert_eq!(
            (run.base, run.first),
            (base, 9),
            "the lowest address that serves"
        );
        table.check();
        table.dissolve(&kernel);
    }
}
