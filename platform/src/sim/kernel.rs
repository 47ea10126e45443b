//! The kernel's side of the simulation: regions and holes, the calls, the refusals, and the ledger.
//!
//! `mapped == sum of the sizes of our regions <= peak`; regions are disjoint and lie in the space; what is in no
//! region is a hole, and faults.

use super::{Call, Rules, space::Space};
use std::{collections::BTreeMap, vec::Vec};

/// Somebody has mapped this much from the region's base on.
#[derive(Clone, Copy)]
struct Region {
    size: usize,
    /// Mapped by "somebody else": it is in the way, and is in no account of ours.
    foreign: bool,
}

/// When to refuse.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    /// Refuse the call with this number.
    pub(super) at: Option<usize>,
    /// Refuse this call and all that follow.
    pub(super) from: Option<usize>,
    /// Refuse to have more bytes mapped than this.
    pub(super) limit: Option<usize>,
}

/// What can be asked about the past.
#[derive(Clone, Copy)]
pub(super) struct Ledger {
    pub(super) calls: [usize; Call::COUNT],
    pub(super) mapped: usize,
    pub(super) peak: usize,
    pub(super) walked_pages: usize,
    pub(super) expected: usize,
    pub(super) refused: bool,
}

/// A simulated kernel.
pub(super) struct Kernel {
    rules: Rules,
    space_size: usize,
    space: Option<Space>,
    regions: BTreeMap<usize, Region>,
    pub(super) plan: Plan,
    pub(super) ledger: Ledger,
    /// The program break, as a distance from the start of its area.
    break_offset: usize,
}

/// The size of the OS page, in bytes.
pub(super) const PAGE: usize = 4096;
/// How far the program break can go.
const BREAK_AREA: usize = 64 << 20;

impl Kernel {
    pub(super) const fn new(rules: Rules, space_size: usize) -> Self {
        Self {
            rules,
            space_size,
            space: None,
            regions: BTreeMap::new(),
            plan: Plan {
                at: None,
                from: None,
                limit: None,
            },
            ledger: Ledger {
                calls: [0; Call::COUNT],
                mapped: 0,
                peak: 0,
                walked_pages: 0,
                expected: 0,
                refused: false,
            },
            break_offset: 0,
        }
    }

    pub(super) fn space(&mut self) -> &Space {
        let size = self.space_size;
        self.space.get_or_insert_with(|| Space::reserve(size))
    }

    /// The addresses that mappings may have. The first and last page stay closed, which also spoils any
    /// alignment that the real kernel happened to give the reservation.
    pub(super) fn window(&mut self) -> (usize, usize) {
        let space = self.space();
        (space.start() + BREAK_AREA + PAGE, space.end() - PAGE)
    }

    pub(super) fn calls(&self) -> usize {
        self.ledger.calls.iter().sum()
    }

    /// Count a call, and say whether it is granted. `more`: by how many bytes it would grow what is mapped.
    pub(super) fn admit(&mut self, call: Call, more: usize) -> bool {
        let number = self.calls();
        self.ledger.calls[call as usize] += 1;
        let refused = self.plan.at == Some(number)
            || self.plan.from.is_some_and(|from| number >= from)
            || more > 0
                && self
                    .plan
                    .limit
                    .is_some_and(|limit| self.ledger.mapped + more > limit);
        self.ledger.refused |= refused;
        !refused
    }

    /// Map wherever the rules say.
    pub(super) fn map_anywhere(&mut self, size: usize) -> Option<usize> {
        if !self.admit(Call::Map, size) {
            return None;
        }
        let base = self.choose(size)?;
        self.insert(base, size, false);
        Some(base)
    }

    /// Map here, or, if something is in the way, not at all.
    pub(super) fn map_exactly(&mut self, base: usize, size: usize) -> bool {
        if !self.admit(Call::Map, size) || !self.is_hole(base, size) {
            return false;
        }
        self.insert(base, size, false);
        true
    }

    /// Let "somebody else" map here.
    pub(super) fn occupy(&mut self, base: usize, size: usize) -> bool {
        let free = self.is_hole(base, size);
        if free {
            self.insert(base, size, true);
        }
        free
    }

    /// Make the region that ends at `end` longer, or do nothing.
    pub(super) fn extend(&mut self, end: usize, additional: usize) -> bool {
        self.check_ours("extend", end - PAGE, PAGE);
        let Some(base) = self.region_ending_at(end) else {
            return false;
        };
        if !self.map_exactly(end, additional) {
            return false;
        }
        self.regions.remove(&end);
        self.region_mut(base).size += additional;
        true
    }

    /// Make a hole, unless refused.
    pub(super) fn unmap(&mut self, base: usize, size: usize) -> bool {
        self.check_ours("unmap", base, size);
        let granted = self.admit(Call::Unmap, 0);
        if granted {
            self.remove(base, size);
        }
        granted
    }

    /// Take back what has just been mapped and given to nobody. A kernel never refuses that.
    pub(super) fn undo(&mut self, base: usize, size: usize) {
        self.ledger.calls[Call::Unmap as usize] += 1;
        self.remove(base, size);
    }

    /// Forget contents, unless refused.
    pub(super) fn purge(&mut self, base: usize, size: usize) -> bool {
        self.check_ours("purge", base, size);
        let granted = self.admit(Call::Purge, 0);
        if granted {
            self.ledger.walked_pages += size / PAGE;
            self.space().discard(base, size);
        }
        granted
    }

    /// Move pages onto a fresh mapping that nobody knows, and leave a hole behind, unless refused.
    pub(super) fn move_pages(&mut self, old: (usize, usize), new: (usize, usize)) -> bool {
        let granted = self.admit(Call::Move, 0);
        if granted {
            self.space().copy(old.0, new.0, old.1.min(new.1), PAGE);
            self.remove(old.0, old.1);
        }
        granted
    }

    /// Move the program break, unless refused, and tell where it is.
    pub(super) fn set_break(&mut self, to: Option<usize>) -> usize {
        let old = self.break_offset;
        let start = self.space().start();
        let wanted = to.and_then(|address| address.checked_sub(start));
        if let Some(new) = wanted.filter(|&new| new <= BREAK_AREA)
            && self.admit(Call::Break, 0)
        {
            let (old_end, new_end) = (old.next_multiple_of(PAGE), new.next_multiple_of(PAGE));
            self.space()
                .open(start + old_end, new_end.saturating_sub(old_end));
            self.space()
                .close(start + new_end, old_end.saturating_sub(new_end));
            self.break_offset = new;
        }
        start + self.break_offset
    }

    pub(super) fn mappings(&self) -> Vec<(usize, usize)> {
        let ours = self.regions.iter().filter(|(_, region)| !region.foreign);
        ours.map(|(&base, region)| (base, region.size)).collect()
    }

    /// Where the rules put a new mapping: Linux at the top of the highest hole that is large enough, Redox at the
    /// bottom of the smallest, the lowest of equals.
    fn choose(&mut self, size: usize) -> Option<usize> {
        let mut fits = self.holes().into_iter().filter(|&(_, hole)| hole >= size);
        match self.rules {
            Rules::Linux => fits.next_back().map(|(base, hole)| base + hole - size),
            Rules::Redox => fits
                .min_by_key(|&(base, hole)| (hole, base))
                .map(|(base, _)| base),
        }
    }

    /// All holes as (base, size), from the lowest.
    fn holes(&mut self) -> Vec<(usize, usize)> {
        let (mut free, end) = self.window();
        let mut holes = Vec::new();
        for (&base, region) in &self.regions {
            holes.push((free, base - free));
            free = base + region.size;
        }
        holes.push((free, end - free));
        holes
    }

    fn is_hole(&mut self, base: usize, size: usize) -> bool {
        let (start, end) = self.window();
        let Some(after) = base
            .checked_add(size)
            .filter(|&after| base >= start && after <= end)
        else {
            return false;
        };
        self.regions
            .range(..after)
            .next_back()
            .is_none_or(|(&before, region)| before + region.size <= base)
    }

    fn insert(&mut self, base: usize, size: usize, foreign: bool) {
        self.space().open(base, size);
        self.regions.insert(base, Region { size, foreign });
        if !foreign {
            self.ledger.mapped += size;
            self.ledger.peak = self.ledger.peak.max(self.ledger.mapped);
        }
    }

    /// Cut a range that is ours out of the regions.
    fn remove(&mut self, base: usize, size: usize) {
        let end = base + size;
        let touched: Vec<_> = self
            .regions
            .range(..end)
            .map(|(&at, &region)| (at, region))
            .collect();
        for (at, region) in touched
            .into_iter()
            .rev()
            .take_while(|(at, r)| at + r.size > base)
        {
            self.regions.remove(&at);
            if at < base {
                self.regions.insert(
                    at,
                    Region {
                        size: base - at,
                        ..region
                    },
                );
            }
            if at + region.size > end {
                self.regions.insert(
                    end,
                    Region {
                        size: at + region.size - end,
                        ..region
                    },
                );
            }
        }
        self.ledger.mapped -= size;
        self.ledger.walked_pages += size / PAGE;
        self.space().close(base, size);
    }

    fn region_mut(&mut self, base: usize) -> &mut Region {
        self.regions.get_mut(&base).expect("looked up a moment ago")
    }

    /// Panic unless every byte of the range is in a region of ours.
    fn check_ours(&self, verb: &str, base: usize, size: usize) {
        check_pages(verb, base, size);
        let mut end = base + size;
        while end > base {
            let below = self.regions.range(..end).next_back();
            match below.filter(|(at, region)| **at + region.size >= end && !region.foreign) {
                Some((&at, _)) => end = at,
                None => panic!(
                    "contract: {verb} of {base:#x}+{size:#x}, but below {end:#x} nothing is mapped"
                ),
            }
        }
    }

    /// Whether the range is a region of ours, or the end of one. Panic unless it is ours at all.
    pub(super) fn is_tail(&self, verb: &str, base: usize, size: usize) -> bool {
        self.check_ours(verb, base, size);
        self.region_ending_at(base + size)
            .is_some_and(|at| at <= base)
    }

    fn region_ending_at(&self, end: usize) -> Option<usize> {
        let (&at, region) = self.regions.range(..end).next_back()?;
        (at + region.size == end && !region.foreign).then_some(at)
    }
}

impl Drop for Kernel {
    /// Close what is open: the space may serve another kernel.
    fn drop(&mut self) {
        let Some(space) = &self.space else { return };
        for (&base, region) in &self.regions {
            space.close(base, region.size);
        }
        space.close(space.start(), self.break_offset.next_multiple_of(PAGE));
    }
}

/// Panic unless the range is whole OS pages, and at least one.
pub(super) fn check_pages(verb: &str, base: usize, size: usize) {
    assert!(size != 0, "contract: {verb} of nothing at {base:#x}");
    assert!(
        base.is_multiple_of(PAGE) && size.is_multiple_of(PAGE),
        "contract: {verb} of {base:#x}+{size:#x}, which is not whole OS pages"
    );
}
