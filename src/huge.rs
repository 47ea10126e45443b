//! Huge blocks: mappings of their own, aligned to the chunk size, without a header.
//!
//! What they measure stands in a table keyed by address. Each entry is changed by single atomic operations: no lock, and
//! a `fork` at any moment finds it whole. The table is a list of segments, each twice the size of the one before; an
//! address may stand in one of [`WINDOW`] neighbouring entries of each segment, so that nothing is ever moved and
//! removing leaves no trace.
//!
//! Freed blocks wait in a small cache for the next huge request, so that short-lived ones do not reach the kernel.

use core::ptr::NonNull;

use ralloc_platform::Platform;

use crate::{
    config::CHUNK,
    primitive::{AtomicPtr, AtomicUsize, Ordering},
};

/// Entries of a segment in which an address may stand.
const WINDOW: usize = 16;
/// Entries of the first segment: one OS page.
const FIRST_SEGMENT: usize = 4096 / size_of::<Entry>();
/// Segments; the last alone would describe more blocks than an address space holds.
const SEGMENTS: usize = 24;
/// Freed blocks that wait for reuse.
const CACHED: usize = 16;
/// Entries of last resort, so that moving pages never fails halfway.
const SPILLED: usize = 16;
/// The address in a spill entry that is reserved: no block has it.
const SPILL_RESERVED: usize = 1;
/// A cached block may be this much larger than the request, as a share of the request.
const CACHE_SLACK_SHARE: usize = 4;
/// A cached block that this many huge frees have passed by goes back to the kernel.
const CACHE_AGE: usize = 64;

/// One huge block.
struct Entry {
    /// Its address; 0 while the entry is free.
    base: AtomicUsize,
    /// Its bytes, a multiple of the OS page.
    size: AtomicUsize,
}

/// One freed block. The state is 0 (vacant), 1 (somebody is at it), or the block's address.
struct Cached {
    state: AtomicUsize,
    size: AtomicUsize,
    /// The number of the huge free that put it here.
    born: AtomicUsize,
}

const BUSY: usize = 1;

impl Entry {
    /// Make a free entry that of `address`. Whether it was free.
    fn reserve(&self, address: usize) -> bool {
        // Acquire: pairs with the Release of whoever freed the entry.
        self.base.load(Ordering::Relaxed) == 0
            && self
                .base
                .compare_exchange(0, address, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
    }
}

/// All huge blocks of a process.
pub(crate) struct Huge {
    segments: [AtomicPtr<Entry>; SEGMENTS],
    spill: [Entry; SPILLED],
    cache: [Cached; CACHED],
    frees: AtomicUsize,
    /// Bytes in blocks, their peak, and bytes in the cache.
    live: AtomicUsize,
    peak: AtomicUsize,
    cached: AtomicUsize,
}

/// A huge block, as its holder knows it.
#[derive(Clone, Copy)]
pub(crate) struct HugeBlock {
    pub(crate) base: NonNull<u8>,
    /// Bytes, a multiple of the OS page.
    pub(crate) size: usize,
    /// Whether all of it reads zero.
    pub(crate) zeroed: bool,
}

impl Huge {
    pub(crate) const fn new() -> Self {
        Self {
            segments: [const { AtomicPtr::new(core::ptr::null_mut()) }; SEGMENTS],
            spill: [const {
                Entry {
                    base: AtomicUsize::new(0),
                    size: AtomicUsize::new(0),
                }
            }; SPILLED],
            cache: [const {
                Cached {
                    state: AtomicUsize::new(0),
                    size: AtomicUsize::new(0),
                    born: AtomicUsize::new(0),
                }
            }; CACHED],
            frees: AtomicUsize::new(0),
            live: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            cached: AtomicUsize::new(0),
        }
    }

    /// A block of at least `size` bytes at a multiple of `align`.
    ///
    /// Pre: `size` is a non-zero multiple of the OS page; `align` is a power of two, at least the chunk size.
    pub(crate) fn allocate(
        &self,
        size: usize,
        align: usize,
        kernel: &impl Platform,
    ) -> Option<HugeBlock> {
        let block = self.take_cached(size, align).or_else(|| {
            Some(HugeBlock {
                base: kernel.map(size, align)?,
                size,
                zeroed: true,
            })
        })?;
        if !self.insert(&block, kernel) {
            // SAFETY: the mapping is ours and nobody has seen it. If the kernel refuses, its addresses are lost.
            unsafe { kernel.unmap(block.base, block.size) };
            return None;
        }
        Some(block)
    }

    /// The block at `base`, if there is one.
    pub(crate) fn find(&self, base: NonNull<u8>) -> Option<HugeBlock> {
        let entry = self.entry_of(base)?;
        // Relaxed: whoever asks holds the block, and was given it after the entry was written.
        Some(HugeBlock {
            base,
            size: entry.size.load(Ordering::Relaxed),
            zeroed: false,
        })
    }

    /// Take the block at `base` out of the table. Of several that try, one succeeds.
    fn remove(&self, base: NonNull<u8>) -> Option<HugeBlock> {
        let entry = self.entry_of(base)?;
        let size = entry.size.load(Ordering::Relaxed);
        // Release: pairs with the Acquire in `insert`: the size is read before the entry is reused.
        entry
            .base
            .compare_exchange(
                base.as_ptr().addr(),
                0,
                Ordering::Release,
                Ordering::Relaxed,
            )
            .ok()?;
        self.live.fetch_sub(size, Ordering::Relaxed);
        Some(HugeBlock {
            base,
            size,
            zeroed: false,
        })
    }

    /// Give a block back; `keep` bytes of freed blocks may wait for reuse. Returns whether there was such a block.
    pub(crate) fn free(&self, base: NonNull<u8>, keep: usize, kernel: &impl Platform) -> bool {
        let Some(block) = self.remove(base) else {
            return false;
        };
        let number = self.frees.fetch_add(1, Ordering::Relaxed);
        self.expire(number, kernel);
        if !self.to_cache(&block, number, keep) {
            discard(&block, kernel);
        }
        true
    }

    /// Change the size of the block at `base` without moving its start. Returns its size afterwards, which is less than
    /// `size` if it could not grow.
    ///
    /// Pre: the caller holds the block; `size` is a non-zero multiple of the OS page.
    pub(crate) fn resize(
        &self,
        base: NonNull<u8>,
        size: usize,
        kernel: &impl Platform,
    ) -> Option<usize> {
        let entry = self.entry_of(base)?;
        let old = entry.size.load(Ordering::Relaxed);
        if size > old {
            // SAFETY: the end of a mapping is not 0 and stays within the address space.
            let end = unsafe { base.add(old) };
            if !kernel.extend(end, size - old) {
                return Some(old);
            }
            self.count_live(size - old);
        } else if size < old {
            // SAFETY: `size` lies in the block.
            let tail = unsafe { base.add(size) };
            // SAFETY: the caller gives the tail up.
            if !unsafe { kernel.unmap(tail, old - size) } {
                return Some(old);
            }
            self.live.fetch_sub(old - size, Ordering::Relaxed);
        }
        // Relaxed: only the holder of the block reads it.
        entry.size.store(size, Ordering::Relaxed);
        Some(size)
    }

    /// A block of `size` bytes with the contents of the block at `base`, made by moving pages, not bytes. The old block
    /// is gone then; otherwise nothing has changed.
    ///
    /// Pre: as for [`resize`](Self::resize); `size` is at least the size of the block.
    pub(crate) fn relocate(
        &self,
        base: NonNull<u8>,
        size: usize,
        kernel: &impl Platform,
    ) -> Option<NonNull<u8>> {
        let old = self.find(base)?.size;
        // Once the pages have moved there must be an entry for them, whatever the kernel says then.
        let spill = self
            .spill
            .iter()
            .find(|entry| entry.reserve(SPILL_RESERVED))?;
        // SAFETY: the block is a whole mapping, held by the caller.
        let moved = unsafe { kernel.relocate(base, old, size, CHUNK) };
        let block = moved.map(|base| HugeBlock {
            base,
            size,
            zeroed: false,
        });
        if block.is_some() {
            self.remove(base);
        }
        match block.filter(|block| !self.insert(block, kernel)) {
            Some(block) => {
                self.count_live(size);
                spill.size.store(size, Ordering::Relaxed);
                // Relaxed: only the holder of the block looks for it.
                spill
                    .base
                    .store(block.base.as_ptr().expose_provenance(), Ordering::Relaxed);
            }
            // Release: pairs with the Acquire in `reserve`.
            None => spill.base.store(0, Ordering::Release),
        }
        moved
    }

    fn segment(&self, number: usize) -> Option<&[Entry]> {
        // Acquire: pairs with the Release in `segment_or_map`.
        let entries = NonNull::new(self.segments.get(number)?.load(Ordering::Acquire))?;
        // SAFETY: a published segment has so many entries and stays.
        Some(unsafe { NonNull::slice_from_raw_parts(entries, FIRST_SEGMENT << number).as_ref() })
    }

    fn segment_or_map(&self, number: usize, kernel: &impl Platform) -> Option<&[Entry]> {
        if let Some(segment) = self.segment(number) {
            return Some(segment);
        }
        let size = segment_size(number, kernel);
        // Fresh memory reads zero, which is an empty segment.
        let fresh = kernel.map(size, kernel.page_size())?;
        // Release: pairs with the Acquire in `segment`.
        let published = self.segments[number].compare_exchange(
            core::ptr::null_mut(),
            fresh.as_ptr().cast(),
            Ordering::Release,
            Ordering::Relaxed,
        );
        if published.is_err() {
            // SAFETY: another thread was first; nobody has seen ours.
            unsafe { kernel.unmap(fresh, size) };
        }
        self.segment(number)
    }

    /// The entries of a segment in which `base` may stand.
    fn window(segment: &[Entry], base: NonNull<u8>) -> &[Entry] {
        let hash = (base.as_ptr().addr() / CHUNK).wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as usize);
        let windows = segment.len() / WINDOW;
        let start = (hash >> (usize::BITS / 2)) % windows * WINDOW;
        &segment[start..start + WINDOW]
    }

    fn entry_of(&self, base: NonNull<u8>) -> Option<&Entry> {
        let address = base.as_ptr().addr();
        let segments = (0..SEGMENTS).map_while(|number| self.segment(number));
        let windows = segments.map(|segment| Self::window(segment, base));
        // Relaxed: the caller holds the block; see `find`.
        let mut entries = windows.flatten().chain(&self.spill);
        entries.find(|entry| entry.base.load(Ordering::Relaxed) == address)
    }

    fn insert(&self, block: &HugeBlock, kernel: &impl Platform) -> bool {
        let address = block.base.as_ptr().expose_provenance();
        for number in 0..SEGMENTS {
            let Some(segment) = self.segment_or_map(number, kernel) else {
                return false;
            };
            for entry in Self::window(segment, block.base) {
                if entry.reserve(address) {
                    // Relaxed: only the holder of the block reads it, and is given the block after this.
                    entry.size.store(block.size, Ordering::Relaxed);
                    self.count_live(block.size);
                    return true;
                }
            }
        }
        false
    }

    fn count_live(&self, bytes: usize) {
        let live = self.live.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if live > self.peak.load(Ordering::Relaxed) {
            self.peak.fetch_max(live, Ordering::Relaxed);
        }
    }

    /// The smallest cached block that serves.
    fn take_cached(&self, size: usize, align: usize) -> Option<HugeBlock> {
        if self.cached.load(Ordering::Relaxed) < size {
            return None;
        }
        let most = size + size / CACHE_SLACK_SHARE;
        let fits = |slot: &&Cached| {
            let state = slot.state.load(Ordering::Relaxed);
            let bytes = slot.size.load(Ordering::Relaxed);
            state > BUSY && state.is_multiple_of(align) && (size..=most).contains(&bytes)
        };
        let slot = self
            .cache
            .iter()
            .filter(fits)
            .min_by_key(|slot| slot.size.load(Ordering::Relaxed))?;
        let block = self.take(slot)?;
        if (size..=most).contains(&block.size) && block.base.as_ptr().addr() % align == 0 {
            return Some(block);
        }
        // Another block stands there by now. It goes back as if just freed, or is lost to the cache until then.
        let number = self.frees.load(Ordering::Relaxed);
        self.put(slot, &block, number);
        None
    }

    /// Empty a slot of the cache.
    fn take(&self, slot: &Cached) -> Option<HugeBlock> {
        let address = slot.state.load(Ordering::Relaxed);
        if address <= BUSY {
            return None;
        }
        // Acquire: pairs with the Release in `put`: the size, and the last user's writes, come before.
        slot.state
            .compare_exchange(address, BUSY, Ordering::Acquire, Ordering::Relaxed)
            .ok()?;
        let size = slot.size.load(Ordering::Relaxed);
        // Release: pairs with the Acquire in `to_cache`.
        slot.state.store(0, Ordering::Release);
        self.cached.fetch_sub(size, Ordering::Relaxed);
        let base = NonNull::new(core::ptr::with_exposed_provenance_mut(address))?;
        Some(HugeBlock {
            base,
            size,
            zeroed: false,
        })
    }

    fn put(&self, slot: &Cached, block: &HugeBlock, number: usize) -> bool {
        // Acquire: pairs with the Release in `take`.
        if slot
            .state
            .compare_exchange(0, BUSY, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            return false;
        }
        slot.size.store(block.size, Ordering::Relaxed);
        slot.born.store(number, Ordering::Relaxed);
        self.cached.fetch_add(block.size, Ordering::Relaxed);
        // Release: pairs with the Acquire in `take`.
        slot.state
            .store(block.base.as_ptr().expose_provenance(), Ordering::Release);
        true
    }

    fn to_cache(&self, block: &HugeBlock, number: usize, keep: usize) -> bool {
        let fits = block.size <= keep.saturating_sub(self.cached.load(Ordering::Relaxed));
        fits && self.cache.iter().any(|slot| self.put(slot, block, number))
    }

    /// Give back cached blocks that have waited too long.
    fn expire(&self, number: usize, kernel: &impl Platform) {
        if self.cached.load(Ordering::Relaxed) == 0 {
            return;
        }
        for slot in &self.cache {
            let age = number.wrapping_sub(slot.born.load(Ordering::Relaxed));
            if age > CACHE_AGE
                && age < usize::MAX / 2
                && let Some(block) = self.take(slot)
            {
                discard(&block, kernel);
            }
        }
    }

    /// Give every cached block back. Returns the bytes.
    pub(crate) fn empty_cache(&self, kernel: &impl Platform) -> usize {
        let blocks = self.cache.iter().filter_map(|slot| self.take(slot));
        blocks.map(|block| discard(&block, kernel)).sum()
    }

    /// Give everything back: blocks, cache and table.
    ///
    /// Pre: nobody uses a block any more, and no other thread is about.
    pub(crate) fn dissolve(&self, kernel: &impl Platform) {
        self.empty_cache(kernel);
        let segments = (0..SEGMENTS).map_while(|number| self.segment(number));
        for entry in segments.flatten().chain(&self.spill) {
            let base = entry.base.swap(0, Ordering::Relaxed);
            if let Some(base) = NonNull::new(core::ptr::with_exposed_provenance_mut(base)) {
                let size = entry.size.load(Ordering::Relaxed);
                discard(
                    &HugeBlock {
                        base,
                        size,
                        zeroed: false,
                    },
                    kernel,
                );
            }
        }
        for (number, segment) in self.segments.iter().enumerate() {
            let segment = segment.swap(core::ptr::null_mut(), Ordering::Relaxed);
            if let Some(segment) = NonNull::new(segment) {
                let size = segment_size(number, kernel);
                // SAFETY: mapped in `segment_or_map`, used by nobody.
                unsafe { kernel.unmap(segment.cast(), size) };
            }
        }
        self.live.store(0, Ordering::Relaxed);
    }

    /// Bytes in blocks, at most ever in blocks, and in the cache.
    pub(crate) fn totals(&self) -> (usize, usize, usize) {
        let load = |bytes: &AtomicUsize| bytes.load(Ordering::Relaxed);
        (load(&self.live), load(&self.peak), load(&self.cached))
    }
}

/// Bytes of a segment of the table.
fn segment_size(number: usize, kernel: &impl Platform) -> usize {
    ((size_of::<Entry>() * FIRST_SEGMENT) << number).next_multiple_of(kernel.page_size())
}

/// Give a block that is in no table back to the kernel; if it will not have the addresses, at least the frames.
fn discard(block: &HugeBlock, kernel: &impl Platform) -> usize {
    // SAFETY: the block was taken out of the table or the cache by us alone.
    if !unsafe { kernel.unmap(block.base, block.size) } {
        // SAFETY: as above.
        unsafe { kernel.purge(block.base, block.size) };
    }
    block.size
}
