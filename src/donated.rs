//! Memory that the program has given us for good, which is too small for a chunk: it serves for tables.
//!
//! Equation: a region is its header, `used` bytes that tables have, and the rest, which is free. Regions and tables stay.

use core::{mem::align_of, ptr::NonNull};

use crate::primitive::{AtomicPtr, AtomicUsize, Ordering};

/// What stands at the start of a region.
struct Region {
    /// Bytes, this header included.
    size: usize,
    /// Bytes that are taken, this header included.
    used: AtomicUsize,
    /// The region that came before this one. Constant.
    next: *const Region,
}

/// Regions, and the alignment of what is taken from them: that of a cache line.
const ALIGN: usize = 64;

const _: () = assert!(size_of::<Region>() <= ALIGN && align_of::<Region>() <= ALIGN);

/// All regions of an allocator.
pub(crate) struct Donated {
    newest: AtomicPtr<Region>,
}

impl Donated {
    pub(crate) const fn new() -> Self {
        Self {
            newest: AtomicPtr::new(core::ptr::null_mut()),
        }
    }

    /// Take in `size` bytes at `start`. Returns how many of them can be used.
    ///
    /// # Safety
    ///
    /// The memory may be used for the rest of the process, and by nobody else.
    pub(crate) unsafe fn add(&self, start: NonNull<u8>, size: usize) -> usize {
        let skipped = start.as_ptr().addr().next_multiple_of(ALIGN) - start.as_ptr().addr();
        let size = size.saturating_sub(skipped) & !(ALIGN - 1);
        if size <= ALIGN {
            return 0;
        }
        // SAFETY: the region begins within the memory.
        let region = unsafe { start.add(skipped) }.cast::<Region>();
        let mut next = self.newest.load(Ordering::Relaxed);
        loop {
            let used = AtomicUsize::new(ALIGN);
            // SAFETY: the memory is ours, aligned and large enough for a header.
            unsafe { region.write(Region { size, used, next }) };
            // Release: pairs with the Acquire in `regions`, for the header.
            match self.newest.compare_exchange(
                next,
                region.as_ptr(),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return size - ALIGN,
                Err(newer) => next = newer,
            }
        }
    }

    /// All regions, with their memory.
    fn regions(&self) -> impl Iterator<Item = (NonNull<Region>, &Region)> {
        // Acquire: pairs with the Release in `add`; each header was written before the next region was added.
        let mut region = NonNull::new(self.newest.load(Ordering::Acquire));
        core::iter::from_fn(move || {
            let start = region?;
            // SAFETY: regions stay.
            let this = unsafe { start.as_ref() };
            region = NonNull::new(this.next.cast_mut());
            Some((start, this))
        })
    }

    /// `size` bytes that read zero, if there are so many.
    pub(crate) fn take(&self, size: usize) -> Option<NonNull<u8>> {
        let size = size.checked_next_multiple_of(ALIGN)?;
        self.regions().find_map(|(start, region)| {
            let bump = |used: usize| (size <= region.size - used).then(|| used + size);
            // Relaxed, both: nothing but the number is shared.
            let offset = region
                .used
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, bump)
                .ok()?;
            // SAFETY: so many bytes behind the start of the region are nobody's but ours now.
            let taken = unsafe { start.cast::<u8>().add(offset) };
            // SAFETY: as above.
            unsafe { taken.write_bytes(0, size) };
            Some(taken)
        })
    }

    /// Whether `address` lies in a region.
    pub(crate) fn has(&self, address: NonNull<u8>) -> bool {
        self.regions().any(|(start, region)| {
            let start = start.addr().get();
            (start..start + region.size).contains(&address.as_ptr().addr())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::MaybeUninit;

    #[test]
    fn all_of_a_region_is_taken_and_no_more() {
        let mut memory = [const { MaybeUninit::new(0xFF_u8) }; 4096 + 20];
        let start = NonNull::from(&mut memory).cast::<u8>();
        let donated = Donated::new();
        // SAFETY: the memory outlives what is taken of it.
        let room = unsafe { donated.add(start, memory.len()) };
        assert!((4096 - 2 * ALIGN..4096).contains(&room) && room.is_multiple_of(ALIGN));
        assert!(donated.take(room + 1).is_none());
        let mut end = None;
        let mut taken = 0;
        for size in [1, 64, 65, 200, 1].into_iter().cycle() {
            let Some(table) = donated.take(size) else {
                break;
            };
            let rounded = size.next_multiple_of(ALIGN);
            let from = table.as_ptr().addr();
            assert!(donated.has(table) && from.is_multiple_of(ALIGN));
            assert!(end.is_none_or(|end| from == end), "one behind the other");
            // SAFETY: it has so many bytes.
            let bytes = unsafe { NonNull::slice_from_raw_parts(table, rounded).as_ref() };
            assert!(bytes.iter().all(|&byte| byte == 0));
            end = Some(from + rounded);
            taken += rounded;
        }
        while donated.take(1).is_some() {
            taken += ALIGN;
        }
        assert_eq!(taken, room);
    }
}
