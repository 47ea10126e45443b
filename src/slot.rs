//! Which slot an address lies in: a block of a page, a run, or a huge block; and the count of what is yet to be freed of it.

use core::ptr::NonNull;

use ralloc_platform::Platform;

use crate::{
    chunk::{Chunk, Owner},
    cold::{Cold, Count},
    config::{CHUNK, FIRST_BLOCK_OFFSET, SLICE},
    huge::Entry,
    memory::Memory,
    page::Page,
    record::Record,
};

/// What the allocator gives out and takes back as one.
#[derive(Clone, Copy)]
pub(crate) enum Slot<'a> {
    /// A block of a page.
    Block {
        page: &'a Page,
        cold: &'a Cold,
        index: usize,
    },
    /// A run of slices.
    Run { page: &'a Page, cold: &'a Cold },
    /// A huge block.
    Huge { base: NonNull<u8>, entry: &'a Entry },
}

impl<'a> Slot<'a> {
    /// The slot that `address` lies in; `None` if there is none, which is found out for most addresses that are not ours, not
    /// for all.
    ///
    /// # Safety
    ///
    /// `address` lies in a live block of `memory`, of which the caller holds a part.
    pub(crate) unsafe fn of<P: Platform, T>(
        memory: &'a Memory<P, T>,
        address: NonNull<u8>,
    ) -> Option<Self> {
        if !memory.chunks.map.contains(address.as_ptr().addr()) {
            let (base, entry) = memory.huge.containing(address)?;
            return Some(Self::Huge { base, entry });
        }
        // SAFETY: the block is live, so its chunk is mapped.
        let chunk = unsafe { Chunk::of(address) };
        let slice = Chunk::slice_of(address);
        let owner = chunk.owner(slice);
        if owner.has(Owner::UNOWNED) {
            return None;
        }
        let head = chunk.head_of(slice, owner);
        let (page, cold) = (chunk.page(head), chunk.cold(head));
        Some(if owner.has(Owner::RUN) {
            Self::Run { page, cold }
        } else {
            let index = page.index_of(address);
            Self::Block { page, cold, index }
        })
    }

    /// The slot that any `address` lies in, and the record there if there is one, of a block that is live or was.
    pub(crate) fn recorded<P: Platform, T>(
        memory: &'a Memory<P, T>,
        address: NonNull<u8>,
    ) -> Option<(Self, &'a Record)> {
        let place = address.as_ptr().addr();
        if memory.chunks.map.contains(place) && place % CHUNK < FIRST_BLOCK_OFFSET {
            return None;
        }
        // SAFETY: the address lies in no header. In a slot that nobody has, records are read and found not to be any.
        let slot = unsafe { Self::of(memory, address) }?;
        let record = slot.record()?;
        (record.is_live() || record.is_freed()).then_some((slot, record))
    }

    /// Where the record of the block in this slot is, if it may have one.
    fn record(self) -> Option<&'a Record> {
        let may_have = match self {
            Self::Block { page, index, .. } => is_hooked(page) && index < page.whole_capacity(),
            Self::Run { page, .. } => is_hooked(page),
            Self::Huge { entry, .. } => entry.odd_start().is_some(),
        };
        // SAFETY: pages and runs in which a block may have a record have slots that are large enough, and so are huge ones.
        may_have.then(|| unsafe { Record::of(self.whole_start()) })
    }

    /// Where what the program has of it begins.
    pub(crate) fn start(self) -> NonNull<u8> {
        match self.record().filter(|record| record.is_live()) {
            Some(record) => record.block(),
            None => self.whole_start(),
        }
    }

    /// The bytes of it that the program may use.
    pub(crate) fn size(self) -> usize {
        match self.record().filter(|record| record.is_live()) {
            Some(record) => record.size(),
            None => self.whole_size(),
        }
    }

    /// Where it begins.
    pub(crate) fn whole_start(self) -> NonNull<u8> {
        match self {
            Self::Block { page, index, .. } => page.block(index),
            Self::Run { page, .. } => page.start(),
            Self::Huge { base, .. } => base,
        }
    }

    /// Its bytes that may be used.
    pub(crate) fn whole_size(self) -> usize {
        match self {
            Self::Block { page, .. } => page.block_size.get() as usize,
            Self::Run { page, .. } => page.slices() * SLICE,
            Self::Huge { entry, .. } => entry.usable(),
        }
    }

    /// The count; `None` if the page has no counts: then nothing has been noted.
    pub(crate) fn count(self) -> Option<Count<'a>> {
        match self {
            // SAFETY: the index is that of a block of the page, of which the caller of `of` holds a part.
            Self::Block { cold, index, .. } => unsafe { cold.count(index) }.map(Count::Block),
            Self::Run { cold, .. } => Some(Count::Large(&cold.run)),
            Self::Huge { entry, .. } => Some(Count::Large(&entry.count)),
        }
    }

    /// Whether memory inside of it can be given back before the whole is free.
    pub(crate) fn is_purged_in_parts(self) -> bool {
        !matches!(self, Self::Block { .. })
    }
}

/// Whether blocks of a page or run may have records.
fn is_hooked(page: &Page) -> bool {
    // SAFETY: the record of the page lies in its chunk.
    let chunk = unsafe { Chunk::of(page.chunk()) };
    chunk.owner(page.slice()).has(Owner::HOOK)
}
