//! How the chunk table gets more memory: from the kernel, or as a gift of the program.

use core::ptr::NonNull;

use ralloc_platform::Platform;

use crate::{
    chunk::Chunk,
    chunk_entry::{Entry, mask},
    chunk_table::{ChunkTable, GIVEN_UP, Growth},
    config::{CHUNK, FIRST_BLOCK_OFFSET, SLICE, SLICES, STATES_END},
    primitive::Ordering,
};

/// Map memory that others find `apart` bytes, whole OS pages, away from what is mapped around it; if the kernel will not have that, anywhere.
pub(crate) fn map_apart(
    size: usize,
    align: usize,
    apart: usize,
    kernel: &impl Platform,
) -> Option<NonNull<u8>> {
    let with_gap = size.checked_add(apart).filter(|_| apart != 0);
    let Some(base) = with_gap.and_then(|size| kernel.map(size, align)) else {
        return kernel.map(size, align);
    };
    // What is mapped next comes below, or into a gap where it fits: so the gap is cut off at the end.
    // SAFETY: the gap lies in what has just been mapped.
    let gap = unsafe { base.add(size) };
    // SAFETY: nobody knows it.
    if unsafe { kernel.unmap(gap, apart) } {
        return Some(base);
    }
    // The kernel has no room to split a mapping.
    // SAFETY: as above.
    unsafe { kernel.unmap(base, size + apart) };
    kernel.map(size, align)
}

impl ChunkTable {
    /// Make more slices claimable: extend a chunk that is not whole, else map one.
    pub(crate) fn grow(&self, growth: Growth, kernel: &impl Platform) -> bool {
        self.extend_first(kernel) || self.add(growth, kernel)
    }

    /// Double what is mapped of the first chunk, where it stands. One thread at a time: the kernel is told the end of a
    /// mapping, and that moves.
    fn extend_first(&self, kernel: &impl Platform) -> bool {
        let entry = &self.first.entries[0];
        // Acquire: pairs with the Release in `extend_first_from`.
        let committed = entry.committed.load(Ordering::Acquire);
        if matches!(committed, 0 | u64::MAX) {
            return false;
        }
        // Acquire: pairs with the Release below.
        let (acquire, relaxed) = (Ordering::Acquire, Ordering::Relaxed);
        match self.extending.compare_exchange(0, 1, acquire, relaxed) {
            Ok(_) => {}
            Err(GIVEN_UP) => return false,
            Err(_) => {
                // Another thread is at it, or was when the process forked: then the first chunk stays as it is.
                kernel.yield_now();
                return entry.committed.load(Ordering::Acquire) != committed;
            }
        }
        // Relaxed: nobody else changes the word now, and the last who did released `extending`.
        let now = entry.committed.load(Ordering::Relaxed);
        let more = now != committed || self.extend_first_from(entry, committed, kernel);
        // Something is in the way, and rarely goes: not tried again, each time would cost a system call.
        let next = if more { 0 } else { GIVEN_UP };
        // Release: pairs with the Acquire above.
        self.extending.store(next, Ordering::Release);
        more
    }

    /// Pre: the caller alone extends the first chunk, of which the slices in `committed` are mapped.
    fn extend_first_from(&self, entry: &Entry, committed: u64, kernel: &impl Platform) -> bool {
        let slices = committed.count_ones() as usize;
        let base = entry.base.load(Ordering::Relaxed);
        let end = core::ptr::with_exposed_provenance_mut::<u8>(base + slices * SLICE);
        let Some(end) = NonNull::new(end) else {
            return false;
        };
        if !kernel.extend(end, slices * SLICE) {
            return false;
        }
        let fresh = mask(2 * slices) & !mask(slices);
        self.committed.fetch_add(slices, Ordering::Relaxed);
        // Release: pairs with the Acquire loads in `extend_first`.
        entry.committed.fetch_or(fresh, Ordering::Release);
        // Release: pairs with the Acquire in `Entry::claim`.
        let fresh = fresh & !self.reserved;
        let free = entry.free.fetch_or(fresh, Ordering::Release) | fresh;
        self.opened(0, free);
        true
    }

    /// Map a chunk: the first one in part, later ones whole.
    fn add(&self, growth: Growth, kernel: &impl Platform) -> bool {
        let Some(index) = self.vacant_entry(kernel) else {
            return false;
        };
        let slices = if index == 0 { growth.first } else { SLICES };
        let Some(base) = map_apart(slices * SLICE, CHUNK, growth.apart, kernel) else {
            self.abandon(index);
            return false;
        };
        if growth.large_pages && slices == SLICES {
            // SAFETY: mapped by the line above.
            unsafe { kernel.expect_use(base, CHUNK) };
        }
        if !self.map.insert(base.as_ptr().addr(), kernel) {
            // SAFETY: mapped above, known to nobody.
            unsafe { kernel.unmap(base, slices * SLICE) };
            self.abandon(index);
            return false;
        }
        // SAFETY: the memory is fresh and ours, and a slice is larger than the header.
        unsafe { Chunk::create(base, index) };
        self.guard_records(base, slices, kernel);
        self.publish(index, base, slices, 0);
        true
    }

    /// In the security build, see to it that no run of writes leads from the blocks of a chunk to its records, nor to those of a chunk behind it. As
    /// far as the kernel does that: what is guarded is nobody's in any case.
    fn guard_records(&self, base: NonNull<u8>, slices: usize, kernel: &impl Platform) {
        let front = self.reserved.trailing_ones() as usize * SLICE;
        let behind = (self.reserved >> (SLICES - 1)) as usize * SLICE;
        let guard = |from: usize, to: usize| {
            if from < to && to <= slices * SLICE {
                // SAFETY: the offset lies in the chunk.
                let start = unsafe { base.add(from) };
                // SAFETY: it has no records in it, and is never given out.
                unsafe { kernel.guard(start, to - from) };
            }
        };
        guard(STATES_END.next_multiple_of(kernel.page_size()), front);
        guard(CHUNK - behind, CHUNK);
    }

    /// Make an entry vacant again that was reserved.
    fn abandon(&self, index: usize) {
        // Release: pairs with the Acquire in `vacant_entry`.
        self.entry(index).base.store(0, Ordering::Release);
        self.vacant.fetch_add(1, Ordering::Relaxed);
    }

    /// Reserve an entry that no chunk has.
    fn vacant_entry(&self, kernel: &impl Platform) -> Option<usize> {
        if self.vacant.load(Ordering::Relaxed) != 0 {
            for index in 0..self.entries.load(Ordering::Acquire) {
                // Acquire: pairs with the Release of the one who vacated the entry.
                let base = &self.entry(index).base;
                if base
                    .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
                {
                    self.vacant.fetch_sub(1, Ordering::Relaxed);
                    return Some(index);
                }
            }
        }
        // Two threads may number the same fresh segment; `segment_or_map` lets one of them publish it.
        let mut index = self.entries.load(Ordering::Acquire);
        loop {
            let segment = self.segment_or_map(index / SLICES, kernel)?;
            let base = &segment.entries[index % SLICES].base;
            let mine = base
                .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed)
                .is_ok();
            // Release: pairs with the Acquire loads of `entries`: the segment is published.
            self.entries.fetch_max(index + 1, Ordering::Release);
            if mine {
                return Some(index);
            }
            index += 1;
        }
    }

    fn publish(&self, index: usize, base: NonNull<u8>, slices: usize, dirty: u64) {
        let entry = self.entry(index);
        self.committed.fetch_add(slices, Ordering::Relaxed);
        // Relaxed: nobody reads these before the entry has a free slice.
        entry.dirty.store(dirty, Ordering::Relaxed);
        entry
            .base
            .store(base.as_ptr().expose_provenance(), Ordering::Release);
        // Release: pairs with the Acquire in `chunks`, for the address and the header.
        entry.committed.store(mask(slices), Ordering::Release);
        // Release: pairs with the Acquire in `Entry::claim`: the header and the words above are visible. Added, not stored: who
        // has seen `committed` may have extended the first chunk already, and what that brought is free.
        let fresh = mask(slices) & !self.reserved;
        let free = entry.free.fetch_or(fresh, Ordering::Release) | fresh;
        self.opened(index, free);
    }

    /// Make a chunk of `slices` slices at `base` that the program has given us. False if there is no memory for an entry.
    ///
    /// Pre: `base` is a multiple of the chunk size; the first chunk of the table has been mapped, so that this one is not taken for
    /// it.
    ///
    /// # Safety
    ///
    /// The memory may be used for the rest of the process, and by nobody else.
    pub(crate) unsafe fn adopt(
        &self,
        base: NonNull<u8>,
        slices: usize,
        kernel: &impl Platform,
    ) -> bool {
        let Some(index) = self.vacant_entry(kernel) else {
            return false;
        };
        if !self.map.insert(base.as_ptr().addr(), kernel) {
            self.abandon(index);
            return false;
        }
        if let Some(segment) = self.segment(index / SLICES) {
            // Relaxed: published with the chunk.
            segment
                .kept
                .fetch_or(1 << (index % SLICES), Ordering::Relaxed);
        }
        let free = mask(slices) & !self.reserved;
        let header = (self.reserved.trailing_ones() as usize * SLICE).max(FIRST_BLOCK_OFFSET);
        // SAFETY: the memory is ours, and larger than the header.
        unsafe { base.write_bytes(0, header.min(slices * SLICE)) };
        // SAFETY: as above.
        unsafe { Chunk::create(base, index) };
        self.guard_records(base, slices, kernel);
        self.dirty
            .fetch_add(free.count_ones() as usize, Ordering::Relaxed);
        self.publish(index, base, slices, free);
        true
    }
}
