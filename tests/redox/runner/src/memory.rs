//! The memory calls: the model decides, and the process follows.

use crate::{
    abi::{Answer, Errno, map, remap},
    counters::Count,
    kernel::{AddressSpace, Kernel},
    space::{Access, PAGE, Place, Span},
};
use anyhow::Result;

/// What `fmap` is told: offset, size, flags, address.
const MAP_SIZE: usize = 32;

impl Kernel {
    pub(crate) fn fmap(
        &mut self,
        id: usize,
        file: usize,
        at: usize,
        size: usize,
    ) -> Result<Answer> {
        let mut bytes = [0; MAP_SIZE];
        if size < MAP_SIZE {
            return Ok(Err(Errno::EINVAL));
        }
        let space = self.space(id);
        let space = &mut *space.borrow_mut();
        if space.process.read(at, &mut bytes).is_none() {
            return Ok(Err(Errno::EFAULT));
        }
        if file != usize::MAX && !self.is_memory(id, file) {
            return Ok(Err(Errno::EBADF));
        }
        let [_, size, flags, address] = words(&bytes);
        self.map_anonymous(space, Span::checked(address, size), flags)
    }

    fn map_anonymous(
        &mut self,
        space: &mut AddressSpace,
        span: Result<Span, Errno>,
        flags: usize,
    ) -> Result<Answer> {
        let span = match span {
            Ok(span) => span,
            Err(error) => return Ok(Err(error)),
        };
        let place = match flags {
            _ if flags & map::FIXED_NOREPLACE == map::FIXED_NOREPLACE => Place::Free(span.start),
            _ if flags & map::FIXED != 0 => Place::Replacing(span.start),
            _ => Place::Anywhere,
        };
        let shared = flags & map::SHARED != 0;
        match space.model.map(span.size, place, access(flags), shared) {
            Err(error) => Ok(Err(error)),
            Ok((start, walked)) => {
                let span = Span::new(start, span.size);
                space.process.map(span, access(flags), shared)?;
                self.counters.add(Count::PagesMapped, span.pages());
                self.counters.add(Count::WalkedByFixed, walked);
                Ok(Ok(start))
            }
        }
    }

    pub(crate) fn funmap(&mut self, id: usize, at: usize, size: usize) -> Result<Answer> {
        // The one call that takes part of a page for the whole.
        match Span::checked(
            at,
            size.checked_next_multiple_of(PAGE).unwrap_or(usize::MAX),
        ) {
            Err(error) => Ok(Err(error)),
            Ok(span) => {
                let space = self.space(id);
                let space = &mut *space.borrow_mut();
                let walked = space.model.unmap(span);
                if walked > 0 {
                    space.process.unmap(span)?;
                }
                self.counters.add(Count::WalkedByFunmap, walked);
                Ok(Ok(0))
            }
        }
    }

    pub(crate) fn mprotect(
        &mut self,
        id: usize,
        at: usize,
        size: usize,
        flags: usize,
    ) -> Result<Answer> {
        let space = self.space(id);
        let space = &mut *space.borrow_mut();
        let parts =
            Span::checked(at, size).and_then(|span| space.model.protect(span, access(flags)));
        match parts {
            Err(error) => Ok(Err(error)),
            Ok(parts) => {
                for part in parts {
                    space.process.protect(part, access(flags))?;
                    self.counters.add(Count::WalkedByMprotect, part.pages());
                }
                Ok(Ok(0))
            }
        }
    }

    pub(crate) fn mremap(
        &mut self,
        id: usize,
        [from, from_size, to, size]: [usize; 4],
        flags: usize,
    ) -> Result<Answer> {
        let is_whole = [from, from_size, to, size]
            .iter()
            .all(|word| word.is_multiple_of(PAGE));
        if !is_whole || from_size == 0 || size == 0 {
            return Ok(Err(Errno::EINVAL));
        }
        let (Ok(from), Ok(target)) = (Span::checked(from, from_size), Span::checked(to, size))
        else {
            return Ok(Err(Errno::EINVAL));
        };
        let place = match flags {
            _ if flags & remap::FIXED_REPLACE == remap::FIXED_REPLACE => Place::Replacing(to),
            _ if flags & remap::FIXED != 0 => Place::Free(to),
            _ => Place::Anywhere,
        };
        let space = self.space(id);
        let space = &mut *space.borrow_mut();
        if flags & remap::KEEP_OLD != 0 {
            return keep_old(space, from, target, place, access(flags));
        }
        if let Place::Replacing(_) = place {
            let walked = space.model.unmap(target);
            self.counters.add(Count::WalkedByMremap, walked);
            space.process.unmap(target)?;
        }
        match space.model.relocate(from, size, place, access(flags)) {
            Err(error) => Ok(Err(error)),
            Ok(moved) => {
                self.counters.add(Count::WalkedByMremap, moved.walked);
                space
                    .process
                    .map(Span::new(moved.to, size), access(flags), false)?;
                for (part, to) in moved.parts {
                    space.process.relocate(part, to)?;
                }
                if let Some(cut) = moved.cut {
                    space.process.unmap(cut)?;
                }
                Ok(Ok(moved.to))
            }
        }
    }
}

/// One page is shown at a second address.
fn keep_old(
    space: &mut AddressSpace,
    from: Span,
    target: Span,
    place: Place,
    access: Access,
) -> Result<Answer> {
    if target.pages() != 1 {
        return Ok(Err(Errno::EOPNOTSUPP));
    }
    match space.model.access(from.start) {
        None => return Ok(Err(Errno::EINVAL)),
        Some(access) if !access.write => return Ok(Err(Errno::ENOMEM)),
        Some(_) => {}
    }
    match space.model.map(PAGE, place, access, false) {
        Err(error) => Ok(Err(error)),
        Ok((start, _)) => {
            space.process.alias(from.start, start, access)?;
            Ok(Ok(start))
        }
    }
}

fn access(flags: usize) -> Access {
    Access {
        write: flags & map::WRITE != 0,
        execute: flags & map::EXECUTE != 0,
    }
}

/// The words in some bytes.
pub(crate) fn words<const COUNT: usize>(bytes: &[u8]) -> [usize; COUNT] {
    let mut chunks = bytes.chunks_exact(8);
    std::array::from_fn(|_| {
        let chunk = chunks.next().and_then(|chunk| chunk.try_into().ok());
        chunk.map_or(0, usize::from_le_bytes)
    })
}
