//! The chunk map: which windows of the address space are chunks of ours.
//!
//! Whoever is handed a pointer asks here before anything near the pointer is read: a pointer of another allocator, to the
//! stack, or to nothing at all is told from ours by two loads of our own memory. The answer is exact, and asking waits for
//! nobody, so that a signal handler may ask.
//!
//! Equation: a window is marked exactly from before its chunk is published in the chunk table until before the chunk is
//! given back to the kernel.

use core::ptr::NonNull;

use ralloc_platform::Platform;

use crate::{
    config::CHUNK,
    primitive::{AtomicPtr, AtomicUsize, Mark, Ordering},
};

/// Bits of an address that a kernel gives to a program that does not ask for more. Chunks beyond are refused.
const ADDRESS_BITS: u32 = if usize::BITS == 64 { 48 } else { 32 };
/// Windows of the size of a chunk in an address space.
const WINDOWS: usize = 1 << (ADDRESS_BITS - CHUNK.trailing_zeros());
/// Windows that a leaf describes, a byte each: 64 GiB of a 64-bit address space. A process that keeps together touches one OS
/// page of it for every 16 GiB.
const LEAF: usize = if WINDOWS < 1 << 14 { WINDOWS } else { 1 << 14 };
/// Leaves that there can be.
const LEAVES: usize = WINDOWS / LEAF;

/// A byte for each of [`LEAF`] windows, 1 where a chunk is.
struct Leaf([Mark; LEAF]);

/// A set of windows. All zero is the empty set.
#[repr(C)]
pub(crate) struct ChunkMap {
    /// The window at which `near` begins, or 0 if there is no chunk yet. Never changed after.
    origin: AtomicUsize,
    /// The windows around the first chunk: as a rule every chunk is there.
    near: Leaf,
    /// The windows that are not near. Published once, never changed.
    far: [AtomicPtr<Leaf>; LEAVES],
}

impl ChunkMap {
    pub(crate) const fn new() -> Self {
        Self {
            origin: AtomicUsize::new(0),
            near: Leaf([const { Mark::new(0) }; LEAF]),
            far: [const { AtomicPtr::new(core::ptr::null_mut()) }; LEAVES],
        }
    }

    /// Hand address and size of every part that is mapped to `visit`.
    pub(crate) fn tables(&self, kernel: &impl Platform, visit: &mut dyn FnMut(usize, usize)) {
        let size = size_of::<Leaf>().next_multiple_of(kernel.page_size());
        let far = self.far.iter().map(|leaf| leaf.load(Ordering::Acquire));
        far.filter(|leaf| !leaf.is_null())
            .for_each(|leaf| visit(leaf.addr(), size));
    }

    /// Whether `address` lies in a chunk.
    #[inline]
    pub(crate) fn contains(&self, address: usize) -> bool {
        // Relaxed, as everything here: whoever holds a block of the chunk was given it after the mark was set; whoever does not
        // holds nothing that the answer would say anything about.
        let window = address / CHUNK;
        match self.near(window) {
            Some(mark) => mark.load(Ordering::Relaxed) != 0,
            None => self.is_far(window),
        }
    }

    /// Add the chunk at `base`. False if there is no memory to note it down in.
    pub(crate) fn insert(&self, base: usize, kernel: &impl Platform) -> bool {
        let window = base / CHUNK;
        // Programs take addresses from the top downwards, or from the bottom upwards.
        let origin = window.saturating_sub(LEAF / 2).max(1);
        let _ = self
            .origin
            .compare_exchange(0, origin, Ordering::Relaxed, Ordering::Relaxed);
        let mark = match self.near(window) {
            Some(mark) => Some(mark),
            None => self.far_or_map(window, kernel),
        };
        if let Some(mark) = mark {
            mark.store(1, Ordering::Relaxed);
        }
        mark.is_some()
    }

    /// Take the chunk at `base` out.
    pub(crate) fn remove(&self, base: usize) {
        let window = base / CHUNK;
        if let Some(mark) = self.near(window).or_else(|| self.far(window)) {
            mark.store(0, Ordering::Relaxed);
        }
    }

    #[inline]
    fn near(&self, window: usize) -> Option<&Mark> {
        let origin = self.origin.load(Ordering::Relaxed);
        self.near.0.get(window.wrapping_sub(origin))
    }

    #[cold]
    fn is_far(&self, window: usize) -> bool {
        self.far(window)
            .is_some_and(|mark| mark.load(Ordering::Relaxed) != 0)
    }

    fn far(&self, window: usize) -> Option<&Mark> {
        // Acquire: pairs with the Release in `far_or_map`.
        let leaf = self.far.get(window / LEAF)?.load(Ordering::Acquire);
        // SAFETY: a leaf that is published stays.
        let leaf = unsafe { leaf.as_ref() }?;
        Some(&leaf.0[window % LEAF])
    }

    fn far_or_map(&self, window: usize, kernel: &impl Platform) -> Option<&Mark> {
        if let Some(mark) = self.far(window) {
            return Some(mark);
        }
        let slot = self.far.get(window / LEAF)?;
        let size = leaf_size(kernel);
        // Fresh memory reads zero, which is an empty leaf.
        let fresh = kernel.map(size, kernel.page_size())?;
        // Release: pairs with the Acquire in `far`.
        let published = slot.compare_exchange(
            core::ptr::null_mut(),
            fresh.as_ptr().cast(),
            Ordering::Release,
            Ordering::Relaxed,
        );
        if published.is_err() {
            // SAFETY: another thread was first; nobody has seen ours.
            unsafe { kernel.unmap(fresh, size) };
        }
        self.far(window)
    }

    /// Forget all chunks, and give the leaves back.
    ///
    /// Pre: no other thread is about.
    pub(crate) fn dissolve(&self, kernel: &impl Platform) {
        self.origin.store(0, Ordering::Relaxed);
        for mark in &self.near.0 {
            // Read first: what was never marked need not become memory.
            if mark.load(Ordering::Relaxed) != 0 {
                mark.store(0, Ordering::Relaxed);
            }
        }
        for leaf in &self.far {
            let leaf = leaf.swap(core::ptr::null_mut(), Ordering::Relaxed);
            if let Some(leaf) = NonNull::new(leaf) {
                // SAFETY: mapped in `far_or_map`, used by nobody.
                unsafe { kernel.unmap(leaf.cast(), leaf_size(kernel)) };
            }
        }
    }
}

/// Bytes that are mapped for a leaf.
fn leaf_size(kernel: &impl Platform) -> usize {
    size_of::<Leaf>().next_multiple_of(kernel.page_size())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use ralloc_platform::sim::{Rules, Sim};

    /// Somewhere in the upper half.
    const FIRST: usize = (WINDOWS - WINDOWS / 4) * CHUNK;

    #[test]
    fn exactly_what_was_inserted_is_contained() {
        let kernel = Sim::new(Rules::Linux);
        let map = ChunkMap::new();
        let away = LEAF / 2 * CHUNK;
        let bases = [
            FIRST,
            FIRST - CHUNK,
            FIRST - away,
            FIRST - away - CHUNK,
            FIRST + away - CHUNK,
            FIRST + away,
            CHUNK,
            (WINDOWS - 1) * CHUNK,
        ];
        for base in bases {
            assert!(!map.contains(base));
            assert!(map.insert(base, &kernel));
            assert!(map.contains(base) && map.contains(base + CHUNK - 1));
        }
        for address in bases.iter().flat_map(|base| [base - 1, base + CHUNK]) {
            assert_eq!(
                map.contains(address),
                bases.contains(&(address & !(CHUNK - 1)))
            );
        }
        for base in [CHUNK, FIRST] {
            map.remove(base);
            assert!(!map.contains(base) && map.contains(FIRST - CHUNK));
        }
        assert!(!map.contains(usize::MAX) && !map.contains(0));
        map.dissolve(&kernel);
        assert!(!bases.iter().any(|&base| map.contains(base)));
        assert_eq!(kernel.mapped(), 0);
    }

    #[test]
    fn what_cannot_be_noted_down_is_not_contained() {
        let kernel = Sim::new(Rules::Linux);
        let map = ChunkMap::new();
        assert!(!map.contains(FIRST));
        kernel.fail_from(0);
        assert!(map.insert(FIRST, &kernel), "what is near needs no memory");
        assert!(!map.insert(CHUNK, &kernel) && !map.contains(CHUNK));
        assert!(
            !map.insert(usize::MAX / CHUNK * CHUNK, &kernel),
            "no such address"
        );
    }
}
