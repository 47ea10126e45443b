//! A chunk: an aligned window cut into 64 slices, with its header in the first.
//!
//! From a pointer to its metadata: `chunk = p & -CHUNK`, `slice = (p / SLICE) % 64`. A pointer that is a multiple of the
//! chunk size is NULL or a huge block.
//!
//! The header has three parts that share no cache line: the owner words, read by every thread that frees and
//! written only when a page is made, moves or goes; the page records, written by the pages' owners; and the cold
//! records, touched when a block is freed in parts. Which slices
//! are free, dirty and committed stands in the chunk table ([`chunk_table`](crate::chunk_table)), outside the
//! chunk: a thread may look there for room while another gives the chunk back to the kernel.

use core::ptr::NonNull;

use crate::{
    cold::Cold,
    config::{CHUNK, COLD_OFFSET, HEAP_SIZE, RECORDS_OFFSET, SLICE, SLICES},
    page::Page,
    primitive::{AtomicU64, AtomicUsize, Cell, Ordering},
};

/// Who owns a slice, and what is special about it.
///
/// The address of the owning heap, whose low bits are flags. A local free compares the whole word with the
/// address of the thread's heap, so that any flag sends it to the slow path: one compare covers every special case.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner(usize);

impl Owner {
    /// Not the first slice of a page or run: the record of the first is `head_distance` records before.
    pub(crate) const NOT_HEAD: usize = 1 << 0;
    /// A run of slices, which any thread gives back.
    pub(crate) const RUN: usize = 1 << 1;
    /// Nobody's: free, or the allocator's own. Never 0, so that a thread without a heap matches no word.
    pub(crate) const UNOWNED: usize = 1 << 2;
    /// Blocks of the page or run may have been given out from an address inside of them on. Stays as long as the page.
    pub(crate) const INTERIOR: usize = 1 << 3;
    /// Blocks of the page or run may have a [record](crate::record) in front, see [`hooks`](crate::hooks). Never without
    /// `INTERIOR`, and stays as long.
    pub(crate) const HOOK: usize = 1 << 4;
    const FLAGS: usize = HEAP_SIZE - 1;
    /// What a page keeps when it changes hands.
    const KEPT: usize = Self::INTERIOR | Self::HOOK;

    /// The word of a page that the heap at `heap` owns.
    pub(crate) const fn heap(heap: usize, flags: usize) -> Self {
        Self(heap | flags)
    }

    /// A word without an owner.
    pub(crate) const fn nobody(flags: usize) -> Self {
        Self(flags)
    }

    /// The word as a number, to compare with the address of a heap.
    #[inline(always)]
    pub(crate) fn word(self) -> usize {
        self.0
    }

    /// Whether `flag` is set.
    #[inline(always)]
    pub(crate) fn has(self, flag: usize) -> bool {
        self.0 & flag != 0
    }

    /// The address of the owning heap, 0 if there is none.
    #[inline(always)]
    pub(crate) fn heap_address(self) -> usize {
        self.0 & !Self::FLAGS
    }

    /// The word of the same page in the hands of another owner.
    pub(crate) fn moved_to(self, heap: usize) -> Self {
        Self(heap | self.0 & Self::KEPT)
    }

    /// The word with `flags` set.
    pub(crate) fn with(self, flags: usize) -> Self {
        Self(self.0 | flags)
    }

    /// The word with `flags` clear.
    pub(crate) fn without(self, flags: usize) -> Self {
        Self(self.0 & !flags)
    }
}

/// The header of a chunk.
#[repr(C)]
pub(crate) struct Chunk {
    owners: [AtomicUsize; SLICES],
    /// The chunk's number in the chunk table. Constant.
    index: Cell<usize>,
    /// In the security build: slices that cannot be touched, see [`guard`](crate::guard).
    pub(crate) guards: AtomicU64,
}

const _: () = assert!(size_of::<Chunk>() <= RECORDS_OFFSET);

impl Chunk {
    /// The chunk that `address` lies in.
    ///
    /// # Safety
    ///
    /// `address` lies in a chunk that stays mapped for `'a`: a slice of it is in use.
    #[inline(always)]
    pub(crate) unsafe fn of<'a>(address: NonNull<u8>) -> &'a Self {
        let base = address.as_ptr().map_addr(|address| address & !(CHUNK - 1));
        let base: *const Self = base.cast();
        // SAFETY: chunks begin at multiples of their size, with the header.
        unsafe { &*base }
    }

    /// Turn the zeroed memory at `base` into the header of a chunk without owners.
    ///
    /// # Safety
    ///
    /// At `base`, a multiple of the chunk size, memory for the header is mapped, reads zero and is the caller's.
    pub(crate) unsafe fn create(base: NonNull<u8>, index: usize) {
        // SAFETY: the memory is mapped, aligned, and zero is a valid value of every field.
        let chunk: &Self = unsafe { base.cast().as_ref() };
        chunk.index.set(index);
        for owner in &chunk.owners {
            // Relaxed: the chunk is published later, by a Release store in the chunk table.
            owner.store(Owner::UNOWNED, Ordering::Relaxed);
        }
    }

    /// The slice of a chunk that `address` lies in.
    #[inline(always)]
    pub(crate) fn slice_of(address: NonNull<u8>) -> usize {
        (address.as_ptr().addr() / SLICE) % SLICES
    }

    /// For the hit path of `free`: the owner word of the slice that `address` lies in, and the record of that slice.
    ///
    /// One scaled offset serves both arrays: words of 8 bytes, records of 64.
    ///
    /// # Safety
    ///
    /// As for [`of`](Self::of).
    #[inline(always)]
    pub(crate) unsafe fn locate<'a>(address: NonNull<u8>) -> (Owner, &'a Page) {
        const WORD: usize = size_of::<usize>();
        let base = address.as_ptr().map_addr(|address| address & !(CHUNK - 1));
        let offset = (address.as_ptr().addr() / (SLICE / WORD)) & ((SLICES - 1) * WORD);
        // SAFETY: the owner words are at the start of the chunk, one per slice.
        let owner = unsafe { base.add(offset) };
        // SAFETY: the records come behind, one per slice, each `RECORD / WORD` times as large as a word.
        let records = unsafe { base.add(RECORDS_OFFSET) };
        // SAFETY: as above.
        let page = unsafe { records.add(offset * (size_of::<Page>() / WORD)) };
        let owner: *const AtomicUsize = owner.cast();
        // SAFETY: aligned, and an initialised word.
        let owner = unsafe { &*owner };
        let page: *const Page = page.cast();
        // SAFETY: aligned, and zero is a valid value of every field.
        let page = unsafe { &*page };
        // Relaxed: as in `owner`.
        (Owner(owner.load(Ordering::Relaxed)), page)
    }

    /// The chunk's number in the chunk table.
    pub(crate) fn index(&self) -> usize {
        self.index.get()
    }

    /// Who owns `slice`.
    ///
    /// Pre: `slice < SLICES`.
    #[inline(always)]
    pub(crate) fn owner(&self, slice: usize) -> Owner {
        // Relaxed: the thread holds a block of the page, and whoever gave it the block also made the word visible. A page
        // may move meanwhile; then either owner is right, because batches are forwarded.
        Owner(self.owners[slice % SLICES].load(Ordering::Relaxed))
    }

    /// Say who owns `slice`.
    pub(crate) fn set_owner(&self, slice: usize, owner: Owner) {
        // Release: pairs with the Acquire in `owner_acquire`, where a batch is forwarded to a new owner; the record must be
        // seen as the last owner left it.
        self.owners[slice].store(owner.0, Ordering::Release);
    }

    /// Who owns `slice`, for a thread that may touch the record if it is the owner.
    pub(crate) fn owner_acquire(&self, slice: usize) -> Owner {
        // Acquire: pairs with the Release in `set_owner`.
        Owner(self.owners[slice].load(Ordering::Acquire))
    }

    /// Change the word of `slice`, the head of a page, as `change` says. The page's owner may do so, and any thread that holds a
    /// block of the page, at the same time: no change is lost.
    pub(crate) fn change_owner(&self, slice: usize, change: impl Fn(Owner) -> Owner) {
        // Release: as in `set_owner`. Relaxed for the load: the word decides about itself only.
        let _ = self.owners[slice].fetch_update(Ordering::Release, Ordering::Relaxed, |word| {
            Some(change(Owner(word)).0)
        });
    }

    /// Hand the `slices` slices of a page, of which `first` is the head, to the heap at `heap`.
    pub(crate) fn move_owners(&self, first: usize, slices: usize, heap: usize) {
        for slice in first + 1..first + slices {
            self.set_owner(slice, Owner(heap | Owner::NOT_HEAD));
        }
        self.change_owner(first, |owner| owner.moved_to(heap));
    }

    /// Give `slices` slices from `first` on to a page or run of which `first` is the head.
    pub(crate) fn set_owners(&self, first: usize, slices: usize, owner: Owner) {
        for slice in first + 1..first + slices {
            let (distance, known) = ((slice - first) as u8, &self.page(slice).head_distance);
            // A page that changes hands has the right one, which threads that hold a block of it may be reading.
            if known.get() != distance {
                known.set(distance);
            }
            self.set_owner(slice, Owner(owner.0 | Owner::NOT_HEAD));
        }
        self.set_owner(first, owner);
    }

    /// Check the owner words of a page or run that begins at `first`: the later slices say that they are later ones, lead to
    /// the first, and have its owner.
    pub(crate) fn check_owners(&self, first: usize, slices: usize) {
        let owner = self.owner(first);
        assert!(
            !owner.has(Owner::NOT_HEAD | Owner::UNOWNED),
            "a page or run begins with its head"
        );
        for later in first + 1..first + slices {
            let word = self.owner(later);
            assert!(word.has(Owner::NOT_HEAD), "a later slice says so");
            assert!(self.head_of(later, word) == first, "and finds its head");
            assert!(word.heap_address() == owner.heap_address());
        }
    }

    /// Make `slices` slices from `first` on nobody's.
    pub(crate) fn disown(&self, first: usize, slices: usize) {
        for slice in first..first + slices {
            self.set_owner(slice, Owner::nobody(Owner::UNOWNED));
        }
    }

    /// The record of the page or run that begins at `slice`.
    ///
    /// Pre: `slice < SLICES`.
    #[inline(always)]
    pub(crate) fn page(&self, slice: usize) -> &Page {
        let base = core::ptr::from_ref(self).expose_provenance();
        let record = base + RECORDS_OFFSET + (slice % SLICES) * size_of::<Page>();
        let record: *const Page = core::ptr::with_exposed_provenance(record);
        // SAFETY: the header has a record for every slice; zero is a valid value of every field.
        unsafe { &*record }
    }

    /// The cold record of the page or run that begins at `slice`.
    ///
    /// Pre: `slice < SLICES`.
    pub(crate) fn cold(&self, slice: usize) -> &Cold {
        let base = core::ptr::from_ref(self).expose_provenance();
        let record = base + COLD_OFFSET + (slice % SLICES) * size_of::<Cold>();
        let record: *const Cold = core::ptr::with_exposed_provenance(record);
        // SAFETY: the header has a cold record for every slice; zero is a valid value of every field.
        unsafe { &*record }
    }

    /// The position of the first slice of the page or run that `slice` belongs to, given the word of `slice`.
    #[inline]
    pub(crate) fn head_of(&self, slice: usize, owner: Owner) -> usize {
        if owner.has(Owner::NOT_HEAD) {
            slice - self.page(slice).head_distance.get() as usize
        } else {
            slice
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::{config::FIRST_BLOCK_OFFSET, free_list, size_class::SizeClass};
    use ralloc_platform::{
        Platform,
        sim::{Rules, Sim},
    };

    /// What would be the address of a heap.
    const HEAP: usize = 16 * HEAP_SIZE;

    fn with_chunk(work: impl FnOnce(&Chunk)) {
        let kernel = Sim::new(Rules::Linux);
        let base = kernel.map(CHUNK, CHUNK).expect("there is memory");
        // SAFETY: mapped above.
        unsafe { Chunk::create(base, 7) };
        // SAFETY: as above.
        work(unsafe { Chunk::of(base) });
        // SAFETY: as above, and nobody has it any more.
        assert!(unsafe { kernel.unmap(base, CHUNK) });
    }

    #[test]
    fn a_flag_that_is_set_stays_when_others_come() {
        let word = Owner::heap(HEAP, Owner::INTERIOR).with(Owner::INTERIOR | Owner::HOOK);
        assert!(word.has(Owner::INTERIOR) && word.has(Owner::HOOK));
        assert_eq!(word.without(Owner::HOOK).word(), HEAP | Owner::INTERIOR);
    }

    #[test]
    fn a_page_that_changes_hands_stays_what_it_is() {
        with_chunk(|chunk| {
            assert_eq!(chunk.index(), 7);
            chunk.set_owners(3, 4, Owner::heap(HEAP, Owner::INTERIOR));
            chunk.check_owners(3, 4);
            chunk.move_owners(3, 4, 2 * HEAP);
            chunk.check_owners(3, 4);
            assert_eq!(chunk.owner(3).word(), (2 * HEAP) | Owner::INTERIOR);
            assert!(chunk.owner(2).has(Owner::UNOWNED) && chunk.owner(7).has(Owner::UNOWNED));
            chunk.disown(3, 4);
            assert!((0..SLICES).all(|slice| chunk.owner(slice).word() == Owner::UNOWNED));
        });
    }

    /// Every class, in a page in the middle of the chunk, and behind the header if it may be there.
    #[test]
    fn the_blocks_of_a_page_fill_it_one_os_page_after_the_other() {
        with_chunk(|chunk| {
            for class in SizeClass::all() {
                let firsts: &[usize] = if class.page_slices() == 1 {
                    &[0, 5]
                } else {
                    &[5]
                };
                for &first in firsts {
                    fills(chunk.page(first), class);
                }
            }
        });
    }

    fn fills(page: &Page, class: SizeClass) {
        let slices = class.page_slices();
        let from = if page.slice() == 0 {
            FIRST_BLOCK_OFFSET
        } else {
            0
        };
        page.open(class, true, 1);
        let capacity = usize::from(page.capacity.get());
        assert_eq!(capacity, (slices * SLICE - from) / class.size());
        assert_eq!(page.whole_capacity(), capacity);
        assert_eq!(page.touched_slices(), from.div_ceil(SLICE));
        let start = page.start().as_ptr().addr();
        let mut made = 0;
        while page.extendable() {
            let extension = page.extend(usize::MAX);
            assert!(extension.zeroed);
            // SAFETY: the blocks are ours.
            let blocks = unsafe { free_list::drain(extension.first.address()) };
            let mut os_pages = Vec::new();
            for block in blocks {
                assert_eq!(block.address(), start + made * class.size());
                assert_eq!(page.number_of(block), made);
                assert!(page.holds(block) && page.begins_block(block.start()));
                os_pages.push(block.address() / 4096);
                made += 1;
            }
            os_pages.dedup();
            assert_eq!(os_pages.len(), 1, "no more memory than must be");
            let end = from + made * class.size();
            assert_eq!(page.touched_slices(), end.div_ceil(SLICE));
        }
        assert_eq!((made, page.used_count() as usize), (capacity, capacity));
        page.check_near();
    }
}
