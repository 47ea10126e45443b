//! Huge blocks: mappings of their own, aligned to the chunk size and whole chunks long, without a header.
//!
//! What they measure stands in a table keyed by address. Each entry is changed by single atomic operations: no lock, and
//! a `fork` at any moment finds it whole. The table is a list of segments, each twice the size of the one before; an
//! address may stand in one of [`WINDOW`] neighbouring entries of each segment, so that nothing is ever moved and
//! removing leaves no trace.
//!
//! Only what the program touches is resident; the addresses up to the next multiple of the chunk size are taken so that
//! freed blocks can be joined, and small growth asks nobody.

use core::ptr::NonNull;

use ralloc_platform::Platform;

use crate::{
    chunk_table::ChunkTable,
    config::{CHUNK, EXTENSION},
    huge_cache::{Cache, Span},
    primitive::{AtomicPtr, AtomicUsize, Ordering, Tally},
};

/// Entries of a segment in which an address may stand.
const WINDOW: usize = 16;
/// Entries of the first segment: one OS page.
const FIRST_SEGMENT: usize = 4096 / size_of::<Entry>();
/// Segments; the last alone would describe more blocks than an address space holds.
const SEGMENTS: usize = 24;
/// Entries of last resort, so that moving pages never fails halfway.
const SPILLED: usize = 16;
/// The address in an entry that is reserved: no block has it.
const RESERVED: usize = 1;

/// One huge block.
pub(crate) struct Entry {
    /// Its address; 0 while the entry is free.
    base: AtomicUsize,
    /// Its bytes, a multiple of the chunk size, and in the low bits how many of them were not asked for: first so many whole
    /// [`EXTENSION`]s, then so many bytes; and [`SPARE`].
    extent: AtomicUsize,
    /// How many bytes of it are yet to be freed, see [`cold`](crate::cold).
    pub(crate) count: AtomicUsize,
    /// Where in it a block of odd alignment begins, 0 if it is no such block. The complement of the address: who looks for
    /// pointers to blocks, to find out which have been forgotten, does not find one here.
    odd: AtomicUsize,
}

/// In an extent: a whole chunk more was not asked for. The security build wants a guard behind blocks that end with a chunk.
const SPARE: usize = 1 << (usize::BITS - 1);
/// What else was not asked for is less than a chunk: so many [`EXTENSION`]s at most.
const EXTENSIONS: usize = CHUNK / EXTENSION;
const _: () = assert!(EXTENSIONS.is_power_of_two() && EXTENSION.is_power_of_two());

impl Entry {
    /// Where a block of odd alignment begins in it, if it is one.
    pub(crate) fn odd_start(&self) -> Option<usize> {
        // Relaxed, here and below: whoever frees the block was given it after it was noted.
        let word = self.odd.load(Ordering::Relaxed);
        (word != 0).then_some(!word)
    }

    /// Note that a block of odd alignment begins at `start`.
    pub(crate) fn set_odd_start(&self, start: NonNull<u8>) {
        self.odd
            .store(!start.as_ptr().expose_provenance(), Ordering::Relaxed);
    }

    const fn free() -> Self {
        Self {
            base: AtomicUsize::new(0),
            extent: AtomicUsize::new(0),
            count: AtomicUsize::new(0),
            odd: AtomicUsize::new(0),
        }
    }

    /// Make a free entry that of `address`. Whether it was free.
    fn reserve(&self, address: usize) -> bool {
        // Acquire: pairs with the Release in `set_free`.
        self.base.load(Ordering::Relaxed) == 0
            && self
                .base
                .compare_exchange(0, address, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
    }

    /// Let another block have the entry.
    fn set_free(&self) {
        // Release: pairs with the Acquire in `reserve`: the extent is read before it is overwritten.
        self.base.store(0, Ordering::Release);
    }

    /// Note how large the block is, and how much of it was asked for.
    fn set_extent(&self, size: usize, asked: usize) {
        let unasked = size - asked;
        let (spare, unasked) = if unasked < CHUNK {
            (0, unasked)
        } else {
            (SPARE, unasked - CHUNK)
        };
        let parts = (unasked % EXTENSION * EXTENSIONS) | (unasked / EXTENSION);
        // Relaxed: only the holder of the block reads it, and is given the block after this.
        self.extent.store(spare | size | parts, Ordering::Relaxed);
    }

    fn size(&self) -> usize {
        self.extent.load(Ordering::Relaxed) & !SPARE & !(CHUNK - 1)
    }

    /// Check the equation of an entry in use: a multiple of the chunk size, at a multiple of it, the last chunk in part.
    fn check(&self) {
        let base = self.base.load(Ordering::Relaxed);
        assert!(base.is_multiple_of(CHUNK), "a huge block is aligned");
        assert!(self.size() != 0 && self.usable() <= self.size());
    }

    pub(crate) fn usable(&self) -> usize {
        let extent = self.extent.load(Ordering::Relaxed);
        let spare = if extent & SPARE == 0 { 0 } else { CHUNK };
        self.size() - spare - (extent % EXTENSIONS) * EXTENSION
    }

    /// How many bytes were asked for.
    pub(crate) fn asked(&self) -> usize {
        self.usable() - self.extent.load(Ordering::Relaxed) % CHUNK / EXTENSIONS
    }
}

/// All huge blocks of a process.
pub(crate) struct Huge {
    segments: [AtomicPtr<Entry>; SEGMENTS],
    spill: [Entry; SPILLED],
    pub(crate) cache: Cache,
    /// Bytes in blocks.
    live: Tally,
}

/// The size of the mapping for a request.
pub(crate) fn span_size(asked: usize) -> Option<usize> {
    asked.max(1).checked_next_multiple_of(CHUNK)
}

impl Huge {
    pub(crate) const fn new() -> Self {
        Self {
            segments: [const { AtomicPtr::new(core::ptr::null_mut()) }; SEGMENTS],
            spill: [const { Entry::free() }; SPILLED],
            cache: Cache::new(),
            live: Tally::new(0),
        }
    }

    /// Make a block of a span, of which `asked` bytes were asked for. False if the kernel has no memory for the table;
    /// then the span is still the caller's.
    pub(crate) fn insert(
        &self,
        span: &Span,
        asked: usize,
        tables: &ChunkTable,
        kernel: &impl Platform,
    ) -> bool {
        for number in 0..SEGMENTS {
            let Some(segment) = self.segment_or_map(number, tables, kernel) else {
                return false;
            };
            let mut window = Self::window(segment, span.base).iter();
            if let Some(entry) = window.find(|entry| entry.reserve(span.start())) {
                entry.set_extent(span.size, asked);
                // Relaxed: as the extent.
                entry.count.store(0, Ordering::Relaxed);
                entry.odd.store(0, Ordering::Relaxed);
                if cfg!(debug_assertions) {
                    entry.check();
                }
                self.live.fetch_add(span.size, Ordering::Relaxed);
                return true;
            }
        }
        false
    }

    /// The block that `address` lies in, and where it begins.
    pub(crate) fn containing(&self, address: NonNull<u8>) -> Option<(NonNull<u8>, &Entry)> {
        let mut base = address.as_ptr().map_addr(|address| address & !(CHUNK - 1));
        // No block is larger than all of them.
        for _ in 0..=self.live.load(Ordering::Relaxed) / CHUNK {
            let start = NonNull::new(base)?;
            if let Some(entry) = self.entry_of(start) {
                let offset = address.as_ptr().addr() - base.addr();
                return (offset < entry.size()).then_some((start, entry));
            }
            base = base.wrapping_sub(CHUNK);
        }
        None
    }

    /// The bytes of the block at `base` that may be used, if there is such a block.
    pub(crate) fn usable(&self, base: NonNull<u8>) -> Option<usize> {
        self.entry_of(base).map(Entry::usable)
    }

    /// Where blocks begin that do not begin where their mappings do: the mappings.
    pub(crate) fn odd(&self) -> impl Iterator<Item = NonNull<u8>> {
        let segments = (0..SEGMENTS).map_while(|number| self.segment(number));
        let entries = segments.flatten().chain(&self.spill);
        let odd = entries.filter(|entry| entry.odd_start().is_some());
        let bases = odd.map(|entry| entry.base.load(Ordering::Relaxed));
        bases
            .filter(|&base| base > RESERVED)
            .filter_map(|base| NonNull::new(core::ptr::with_exposed_provenance_mut(base)))
    }

    /// Addresses between which all blocks lie.
    pub(crate) fn bounds(&self) -> (usize, usize) {
        let segments = (0..SEGMENTS).map_while(|number| self.segment(number));
        let entries = segments.flatten().chain(&self.spill);
        let in_use = entries.filter(|entry| entry.base.load(Ordering::Relaxed) > RESERVED);
        in_use.fold((usize::MAX, 0), |(low, high), entry| {
            let base = entry.base.load(Ordering::Relaxed);
            (low.min(base), high.max(base + entry.size()))
        })
    }

    /// Hand address and size of every block to `visit`.
    pub(crate) fn extents(&self, mut visit: impl FnMut(usize, usize)) {
        let segments = (0..SEGMENTS).map_while(|number| self.segment(number));
        for entry in segments.flatten().chain(&self.spill) {
            let base = entry.base.load(Ordering::Relaxed);
            if base > RESERVED {
                visit(base, entry.size());
            }
        }
    }

    /// Hand address and size of every part of the table that is mapped to `visit`.
    pub(crate) fn tables(&self, kernel: &impl Platform, visit: &mut dyn FnMut(usize, usize)) {
        let segments = (0..SEGMENTS).map_while(|number| self.segment(number));
        for (number, segment) in segments.enumerate() {
            visit(segment.as_ptr().addr(), segment_size(number, kernel));
        }
    }

    /// How many blocks there are, and how many bytes of them may be used.
    pub(crate) fn usable_total(&self) -> (usize, usize) {
        let segments = (0..SEGMENTS).map_while(|number| self.segment(number));
        let entries = segments.flatten().chain(&self.spill);
        let in_use = entries.filter(|entry| entry.base.load(Ordering::Relaxed) > RESERVED);
        in_use.fold((0, 0), |(count, bytes), entry| {
            (count + 1, bytes + entry.usable())
        })
    }

    /// The bytes of the block at `base`, used and unused.
    pub(crate) fn size(&self, base: NonNull<u8>) -> Option<usize> {
        self.entry_of(base).map(Entry::size)
    }

    /// Unmake the block at `base`: its span is the caller's. Of several that try, one succeeds.
    pub(crate) fn remove(&self, base: NonNull<u8>) -> Option<Span> {
        let entry = self.entry_of(base)?;
        let size = entry.size();
        // Release: as in `set_free`.
        let address = base.as_ptr().addr();
        entry
            .base
            .compare_exchange(address, 0, Ordering::Release, Ordering::Relaxed)
            .ok()?;
        self.live.fetch_sub(size, Ordering::Relaxed);
        Some(Span { base, size })
    }

    /// Note that the block at `base` has `size` bytes now, of which `asked` were asked for.
    ///
    /// Pre: the caller holds the block, and the addresses if it has grown.
    pub(crate) fn set_size(&self, base: NonNull<u8>, size: usize, asked: usize) {
        if let Some(entry) = self.entry_of(base) {
            let old = entry.size();
            entry.set_extent(size, asked);
            if cfg!(debug_assertions) {
                entry.check();
            }
            if size >= old {
                self.live.fetch_add(size - old, Ordering::Relaxed);
            } else {
                self.live.fetch_sub(old - size, Ordering::Relaxed);
            }
        }
    }

    /// A block of `size` bytes of which `asked` bytes are asked for with the contents of the block at `base`, whose pages `move_pages` moves.
    /// The old block is gone then; otherwise nothing has changed.
    ///
    /// Pre: the caller holds the block; `size` is that of a span, `asked` more than the block's size.
    pub(crate) fn relocate<P: Platform>(
        &self,
        base: NonNull<u8>,
        (size, asked): (usize, usize),
        tables: &ChunkTable,
        kernel: &P,
        move_pages: impl FnOnce() -> Option<NonNull<u8>>,
    ) -> Option<NonNull<u8>> {
        let entry = self.entry_of(base)?;
        let old = entry.size();
        // Once the pages have moved there must be an entry for them, whatever the kernel says then.
        let spill = self.spill.iter().find(|entry| entry.reserve(RESERVED))?;
        // Once they have moved, another block may stand at the old address.
        entry.base.store(RESERVED, Ordering::Relaxed);
        let Some(moved) = move_pages() else {
            entry.base.store(base.as_ptr().addr(), Ordering::Relaxed);
            spill.set_free();
            return None;
        };
        self.live.fetch_sub(old, Ordering::Relaxed);
        entry.set_free();
        let span = Span { base: moved, size };
        if self.insert(&span, asked, tables, kernel) {
            spill.set_free();
        } else {
            self.live.fetch_add(size, Ordering::Relaxed);
            spill.set_extent(size, asked);
            // Relaxed: as the extent.
            spill.count.store(0, Ordering::Relaxed);
            spill.odd.store(0, Ordering::Relaxed);
            // Relaxed: only the holder of the block looks for it.
            spill.base.store(span.start(), Ordering::Relaxed);
        }
        Some(moved)
    }

    fn segment(&self, number: usize) -> Option<&[Entry]> {
        // Acquire: pairs with the Release in `segment_or_map`.
        let entries = NonNull::new(self.segments.get(number)?.load(Ordering::Acquire))?;
        let segment = NonNull::slice_from_raw_parts(entries, FIRST_SEGMENT << number);
        // SAFETY: a published segment has so many entries and stays.
        Some(unsafe { segment.as_ref() })
    }

    fn segment_or_map(
        &self,
        number: usize,
        tables: &ChunkTable,
        kernel: &impl Platform,
    ) -> Option<&[Entry]> {
        if let Some(segment) = self.segment(number) {
            return Some(segment);
        }
        let size = segment_size(number, kernel);
        // It reads zero, which is an empty segment.
        let given = tables.donated.take(size);
        let fresh = given.or_else(|| kernel.map(size, kernel.page_size()))?;
        // Release: pairs with the Acquire in `segment`.
        let published = self.segments[number].compare_exchange(
            core::ptr::null_mut(),
            fresh.as_ptr().cast(),
            Ordering::Release,
            Ordering::Relaxed,
        );
        if published.is_err() {
            tables.unmap_table(fresh, size, kernel);
        }
        self.segment(number)
    }

    /// The entries of a segment in which `base` may stand.
    fn window(segment: &[Entry], base: NonNull<u8>) -> &[Entry] {
        let start = Self::window_of(base, segment.len() / WINDOW) * WINDOW;
        &segment[start..start + WINDOW]
    }

    /// Which of so many windows is that of `base`.
    pub(crate) fn window_of(base: NonNull<u8>, windows: usize) -> usize {
        let hash = (base.as_ptr().addr() / CHUNK).wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as usize);
        (hash >> (usize::BITS / 2)) % windows
    }

    fn entry_of(&self, base: NonNull<u8>) -> Option<&Entry> {
        let address = base.as_ptr().addr();
        let segments = (0..SEGMENTS).map_while(|number| self.segment(number));
        let windows = segments.map(|segment| Self::window(segment, base));
        // Relaxed: whoever asks holds the block, and was given it after the entry was written.
        let mut entries = windows.flatten().chain(&self.spill);
        entries.find(|entry| entry.base.load(Ordering::Relaxed) == address)
    }

    /// Check the equation: `live` is the sum over the entries; no block has two entries, lies in another, or waits for
    /// reuse.
    ///
    /// Pre: no other thread is about.
    pub(crate) fn check(&self) {
        let mut live = 0;
        let segments = (0..SEGMENTS).map_while(|number| self.segment(number));
        for entry in segments.flatten().chain(&self.spill) {
            let base = entry.base.load(Ordering::Relaxed);
            let base = NonNull::new(core::ptr::with_exposed_provenance_mut(base));
            if let Some(base) = base {
                entry.check();
                let size = entry.size();
                assert!(
                    self.entry_of(base)
                        .is_some_and(|found| core::ptr::eq(found, entry)),
                    "a block has one entry"
                );
                self.check_vacant(&Span { base, size }, CHUNK);
                live += size;
            }
        }
        assert!(
            self.live.load(Ordering::Relaxed) == live,
            "huge blocks are counted"
        );
        for span in self.cache.check() {
            self.check_vacant(&span, 0);
        }
    }

    /// No block begins in a span from the offset `from` on.
    fn check_vacant(&self, span: &Span, from: usize) {
        for offset in (from..span.size).step_by(CHUNK) {
            // SAFETY: the offset lies in the span.
            let inside = unsafe { span.base.add(offset) };
            assert!(
                self.entry_of(inside).is_none(),
                "huge blocks do not overlap"
            );
        }
    }

    /// Give everything back: blocks, cache and table.
    ///
    /// Pre: nobody uses a block any more, and no other thread is about.
    pub(crate) fn dissolve(&self, tables: &ChunkTable, kernel: &impl Platform) {
        while let Some(span) = self.cache.take_oldest() {
            discard(&span, kernel);
        }
        let segments = (0..SEGMENTS).map_while(|number| self.segment(number));
        for entry in segments.flatten().chain(&self.spill) {
            let base = entry.base.swap(0, Ordering::Relaxed);
            if let Some(base) = NonNull::new(core::ptr::with_exposed_provenance_mut(base)) {
                discard(
                    &Span {
                        base,
                        size: entry.size(),
                    },
                    kernel,
                );
            }
        }
        for (number, segment) in self.segments.iter().enumerate() {
            let segment = segment.swap(core::ptr::null_mut(), Ordering::Relaxed);
            if let Some(segment) = NonNull::new(segment) {
                tables.unmap_table(segment.cast(), segment_size(number, kernel), kernel);
            }
        }
        self.live.store(0, Ordering::Relaxed);
    }

    /// Bytes in blocks.
    pub(crate) fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }
}

/// Bytes of a segment of the table.
fn segment_size(number: usize, kernel: &impl Platform) -> usize {
    ((size_of::<Entry>() * FIRST_SEGMENT) << number).next_multiple_of(kernel.page_size())
}

/// Give a span back to the kernel; if it will not have the addresses, at least the frames. Returns the bytes.
pub(crate) fn discard(span: &Span, kernel: &impl Platform) -> usize {
    // SAFETY: the span is the caller's alone.
    if !unsafe { kernel.unmap(span.base, span.size) } {
        // SAFETY: as above.
        unsafe { kernel.purge(span.base, span.size) };
    }
    span.size
}
