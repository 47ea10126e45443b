//! Which slot an address lies in: a block of a page, a run, or a huge block; and the count of what is yet to be freed of it.

use core::ptr::NonNull;

use ralloc_platform::Platform;

use crate::{
    chunk::{Chunk, Owner},
    cold::{Cold, Count},
    config::SLICE,
    huge::Entry,
    memory::Memory,
    page::Page,
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

    /// Where it begins.
    pub(crate) fn start(self) -> NonNull<u8> {
        match self {
            Self::Block { page, index, .. } => page.block(index),
            Self::Run { page, .. } => page.start(),
            Self::Huge { base, .. } => base,
        }
    }

    /// Its bytes that may be used.
    pub(crate) fn size(self) -> usize {
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
