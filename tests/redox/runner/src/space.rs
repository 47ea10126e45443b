//! An address space as the Redox kernel keeps it: which memory is granted, which is a hole, and what a call walks.
//!
//! Every byte of `0..END` is in exactly one grant or in exactly one hole; no grant touches one that it could be merged
//! with. Nothing is executed here: [`crate::process`] makes a Linux process look like this.

use crate::abi::Errno;
use std::collections::BTreeMap;

/// The page of the kernel, and the only alignment that it promises.
pub(crate) const PAGE: usize = 4096;

/// The first address that a program cannot have.
pub(crate) const END: usize = 1 << 47;

/// What a program may do with memory beside reading it: that it always may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) write: bool,
    pub(crate) execute: bool,
}

/// A range of addresses, in bytes; both are multiples of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) size: usize,
}

impl Span {
    pub(crate) fn new(start: usize, size: usize) -> Self {
        Self { start, size }
    }

    /// What the kernel takes for a range that may be changed: aligned, not empty, below [`END`].
    pub(crate) fn checked(start: usize, size: usize) -> Result<Self, Errno> {
        let fits = start.saturating_add(size) <= END;
        let is_whole = start.is_multiple_of(PAGE) && size.is_multiple_of(PAGE);
        match is_whole && fits && size > 0 {
            true => Ok(Self::new(start, size)),
            false => Err(Errno::EINVAL),
        }
    }

    pub(crate) fn end(self) -> usize {
        self.start + self.size
    }

    pub(crate) fn pages(self) -> usize {
        self.size / PAGE
    }

    fn common(self, with: Self) -> Option<Self> {
        let start = self.start.max(with.start);
        let end = self.end().min(with.end());
        (start < end).then(|| Self::new(start, end - start))
    }
}

/// Where memory is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the smallest hole that is large enough, the lowest of equals. What the program would like is not looked at.
    Anywhere,
    /// Here, if this is a hole.
    Free(usize),
    /// Here, whatever there is.
    Replacing(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Grant {
    size: usize,
    access: Access,
    /// Shared with the copies that `fork` makes. Such grants are not merged.
    shared: bool,
}

/// Memory that has got another address.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) to: usize,
    /// What kept its contents: from where, and to where.
    pub(crate) parts: Vec<(Span, usize)>,
    /// What is granted no more, behind that.
    pub(crate) cut: Option<Span>,
    pub(crate) walked: usize,
}

/// All grants of an address space.
#[derive(Clone, Debug)]
pub(crate) struct Space {
    grants: BTreeMap<usize, Grant>,
    pages: usize,
    peak: usize,
    /// The lowest address that is chosen by itself.
    floor: usize,
}

impl Space {
    pub(crate) fn new() -> Self {
        Self {
            grants: BTreeMap::new(),
            pages: 0,
            peak: 0,
            floor: PAGE,
        }
    }

    /// All granted pages, touched or not: what `fork` and exit walk.
    pub(crate) fn pages(&self) -> usize {
        self.pages
    }

    /// The most there have been.
    pub(crate) fn peak(&self) -> usize {
        self.peak
    }

    pub(crate) fn floor(&self) -> usize {
        self.floor
    }

    pub(crate) fn set_floor(&mut self, floor: usize) {
        self.floor = floor;
    }

    /// All grants, by address.
    #[cfg(test)]
    pub(crate) fn grants(&self) -> impl Iterator<Item = (Span, Access, bool)> + '_ {
        let spans = self.grants.iter();
        spans.map(|(&start, grant)| (Span::new(start, grant.size), grant.access, grant.shared))
    }

    /// What may be done with the byte at `address`, if it is granted.
    pub(crate) fn access(&self, address: usize) -> Option<Access> {
        let (&start, grant) = self.grants.range(..=address).next_back()?;
        (address < start + grant.size).then_some(grant.access)
    }

    /// Grants `size` bytes. Returns their address, and how many pages were walked to make place.
    pub(crate) fn map(
        &mut self,
        size: usize,
        place: Place,
        access: Access,
        shared: bool,
    ) -> Result<(usize, usize), Errno> {
        let (start, walked) = self.make_place(size, place)?;
        self.insert(
            start,
            Grant {
                size,
                access,
                shared,
            },
        );
        Ok((start, walked))
    }

    /// Makes a hole. Returns how many pages were walked: those that were granted.
    pub(crate) fn unmap(&mut self, span: Span) -> usize {
        let mut walked = 0;
        for part in self.parts(span) {
            self.take(part);
            walked += part.pages();
        }
        walked
    }

    /// Changes what may be done. Returns the parts that were granted: each of their pages is walked.
    pub(crate) fn protect(&mut self, span: Span, access: Access) -> Result<Vec<Span>, Errno> {
        let parts = self.parts(span);
        for &part in &parts {
            let grant = self.take(part);
            let gains =
                (access.write && !grant.access.write) || (access.execute && !grant.access.execute);
            if grant.shared && gains {
                self.insert(part.start, grant);
                return Err(Errno::EACCES);
            }
            self.insert(part.start, Grant { access, ..grant });
        }
        Ok(parts)
    }

    /// Moves what is granted in `from` to another place of `size` bytes; what is new there, or was a hole, is fresh
    /// memory. A place that is to be replaced is a hole by now: the kernel makes it one before it looks at anything else.
    pub(crate) fn relocate(
        &mut self,
        from: Span,
        size: usize,
        place: Place,
        access: Access,
    ) -> Result<Moved, Errno> {
        let to = match place {
            Place::Anywhere => self.best_hole(size.max(from.size)).ok_or(Errno::ENOMEM)?,
            Place::Free(start) if !self.is_hole(Span::new(start, size)) => {
                return Err(Errno::EEXIST);
            }
            Place::Free(start) | Place::Replacing(start) => start,
        };
        if Span::new(to, size).common(from).is_some() {
            return Err(Errno::EBUSY);
        }
        let kept = Span::new(from.start, from.size.min(size));
        let mut moved = Moved {
            to,
            parts: Vec::new(),
            cut: None,
            walked: 0,
        };
        if size < from.size {
            let cut = Span::new(kept.end(), from.size - size);
            moved.walked += self.unmap(cut);
            moved.cut = Some(cut);
        }
        let mut end = to;
        for part in self.parts(kept) {
            let grant = self.take(part);
            let there = to + (part.start - from.start);
            self.insert_fresh(Span::new(end, there - end), access);
            self.insert(there, grant);
            moved.parts.push((part, there));
            moved.walked += part.pages();
            end = there + part.size;
        }
        self.insert_fresh(Span::new(end, to + size - end), access);
        Ok(moved)
    }

    fn insert_fresh(&mut self, span: Span, access: Access) {
        if span.size > 0 {
            let size = span.size;
            self.insert(
                span.start,
                Grant {
                    size,
                    access,
                    shared: false,
                },
            );
        }
    }

    fn make_place(&mut self, size: usize, place: Place) -> Result<(usize, usize), Errno> {
        match place {
            Place::Anywhere => Ok((self.best_hole(size).ok_or(Errno::ENOMEM)?, 0)),
            Place::Free(start) if !self.is_hole(Span::new(start, size)) => Err(Errno::EEXIST),
            Place::Free(start) => Ok((start, 0)),
            Place::Replacing(start) => Ok((start, self.unmap(Span::new(start, size)))),
        }
    }

    /// The start of the smallest hole that is large enough, the lowest of equals.
    fn best_hole(&self, size: usize) -> Option<usize> {
        let mut best: Option<(usize, usize)> = None;
        let mut end = 0;
        let after_last = (
            &END,
            &Grant {
                size: 0,
                access: Access {
                    write: false,
                    execute: false,
                },
                shared: false,
            },
        );
        for (&start, grant) in self.grants.iter().chain([after_last]) {
            let usable = end.max(self.floor);
            let hole = start - end;
            if usable.saturating_add(size) <= start && best.is_none_or(|(least, _)| hole < least) {
                best = Some((hole, usable));
            }
            end = start + grant.size;
        }
        best.map(|(_, start)| start)
    }

    pub(crate) fn is_hole(&self, span: Span) -> bool {
        self.parts(span).is_empty()
    }

    /// The granted parts of a span, by address.
    fn parts(&self, span: Span) -> Vec<Span> {
        let before = self.grants.range(..span.start).next_back();
        let inside = self.grants.range(span.start..span.end());
        let spans = before.into_iter().chain(inside);
        spans
            .filter_map(|(&start, grant)| Span::new(start, grant.size).common(span))
            .collect()
    }

    /// Cuts a part out of the grant that it lies in.
    fn take(&mut self, part: Span) -> Grant {
        let (&start, &grant) = self
            .grants
            .range(..=part.start)
            .next_back()
            .expect("a granted part");
        let whole = Span::new(start, grant.size);
        assert!(whole.common(part) == Some(part), "a part of one grant");
        self.grants.remove(&start);
        if start < part.start {
            self.grants.insert(
                start,
                Grant {
                    size: part.start - start,
                    ..grant
                },
            );
        }
        if part.end() < whole.end() {
            self.grants.insert(
                part.end(),
                Grant {
                    size: whole.end() - part.end(),
                    ..grant
                },
            );
        }
        self.pages -= part.pages();
        Grant {
            size: part.size,
            ..grant
        }
    }

    /// Enters a grant, merged with its neighbours where they are alike.
    fn insert(&mut self, start: usize, grant: Grant) {
        assert!(self.is_hole(Span::new(start, grant.size)), "granted twice");
        self.pages += grant.size / PAGE;
        self.peak = self.peak.max(self.pages);
        let alike = |other: &Grant| !grant.shared && !other.shared && other.access == grant.access;
        let (mut from, mut size) = (start, grant.size);
        if let Some((&before, other)) = self.grants.range(..start).next_back()
            && before + other.size == start
            && alike(other)
        {
            from = before;
            size += other.size;
        }
        if let Some(other) = self.grants.get(&(start + grant.size)).copied()
            && alike(&other)
        {
            self.grants.remove(&(start + grant.size));
            size += other.size;
        }
        self.grants.insert(from, Grant { size, ..grant });
    }
}

#[cfg(test)]
mod tests;
