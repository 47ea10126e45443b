//! Room: which chunks may have a run of a given length free, so that a search for slices looks at chunks that have them, and at one that
//! has not once only.
//!
//! One word for each length, with a bit for each of the 64 chunks of a segment. A bit is set when slices come free that make such a run,
//! and cleared when a search has found none: each look in vain is paid for by the claim that made the run shorter.
//!
//! Equation: if a run of `n` slices can be claimed in a chunk, the chunk's bit is set in word `n`, or whoever freed the run is about to set
//! it. The other way round it is a hint. A length is a run's that does not begin at slice 0, which has the header in front; length 0 is any
//! one slice.

use crate::{
    chunk_entry::{Entry, mask},
    config::SLICES,
    primitive::{AtomicU64, LENGTHS, Ordering, fence},
};

/// The rooms of 64 chunks.
pub(crate) struct Room {
    lengths: [AtomicU64; LENGTHS],
}

/// The lengths that can be claimed where the slices `free` are free: a bit for each.
fn lengths(free: u64) -> u64 {
    if free == 0 {
        return 0;
    }
    let mut longest = 0;
    let mut left = free & !1;
    while left != 0 && longest + 1 < LENGTHS {
        left &= left >> 1;
        longest += 1;
    }
    mask(longest + 1)
}

/// The bits of `set`, as numbers, lowest first.
pub(crate) fn ones(mut set: u64) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let bit = set.trailing_zeros() as usize;
        (bit < SLICES).then(|| {
            set &= set - 1;
            bit
        })
    })
}

impl Room {
    pub(crate) const fn none() -> Self {
        Self {
            lengths: [const { AtomicU64::new(0) }; LENGTHS],
        }
    }

    /// Chunks that may have a run of this length.
    pub(crate) fn of(&self, length: usize) -> u64 {
        // Relaxed: a hint.
        self.lengths[length.min(LENGTHS - 1)].load(Ordering::Relaxed)
    }

    /// Note that slices of chunk `number` have just been freed, and which were free then.
    pub(crate) fn opened(&self, number: usize, free: u64) {
        // SeqCst: pairs with the fence in `looked_in_vain`.
        fence(Ordering::SeqCst);
        self.open(1 << number, lengths(free));
    }

    fn open(&self, bit: u64, lengths: u64) {
        for length in ones(lengths) {
            let word = &self.lengths[length];
            // Relaxed, both: a hint. Read first, because the line is shared and the bit is mostly set.
            if word.load(Ordering::Relaxed) & bit == 0 {
                word.fetch_or(bit, Ordering::Relaxed);
            }
        }
    }

    /// A search has found no run of this length in chunk `number`: it is not led there again, nor are those for longer ones, until
    /// slices come free. Looked at again, in case they have meanwhile.
    pub(crate) fn looked_in_vain(&self, length: usize, number: usize, entry: &Entry) {
        let bit = 1 << number;
        let no_shorter = mask(LENGTHS) & !mask(length.min(LENGTHS - 1));
        let has = |free: u64| lengths(free) & no_shorter;
        let gone = no_shorter & !has(entry.free.load(Ordering::Relaxed));
        for length in ones(gone) {
            // Relaxed, both: ordered by the fence.
            if self.of(length) & bit != 0 {
                self.lengths[length].fetch_and(!bit, Ordering::Relaxed);
            }
        }
        // SeqCst: pairs with the fence in `opened`. Slices are freed before the bits are read there, the bits are cleared before the
        // slices are read here: one of the two sees the other.
        fence(Ordering::SeqCst);
        self.open(bit, has(entry.free.load(Ordering::Relaxed)));
    }

    /// Forget all chunks.
    ///
    /// Pre: no other thread is about.
    pub(crate) fn forget(&self) {
        for word in &self.lengths {
            // Read first: what was never written to need not become memory.
            if word.load(Ordering::Relaxed) != 0 {
                word.store(0, Ordering::Relaxed);
            }
        }
    }

    /// Check the equation for chunk `number`. Nobody claims or frees meanwhile.
    pub(crate) fn check(&self, number: usize, entry: &Entry) {
        for length in ones(lengths(entry.free.load(Ordering::Relaxed))) {
            assert!(
                self.of(length) >> number & 1 == 1,
                "a chunk with room is known to have some"
            );
        }
    }
}

/// Chunks that are looked at for a run at a multiple of more than a slice, before it is one that is sure to have it.
pub(crate) const LOOKS: usize = 16;

/// A run that is wanted.
pub(crate) struct Wanted {
    pub(crate) slices: usize,
    /// Where it may begin: at multiples of so many slices.
    stride: usize,
    /// The same, as slices.
    pub(crate) starts: u64,
}

impl Wanted {
    /// A run of `slices` slices that begins at a multiple of `stride`; at slice 0 only if it is for a page of `small` blocks.
    pub(crate) fn new(slices: usize, stride: usize, small: bool) -> Self {
        Self {
            slices,
            stride,
            starts: starts(stride, small),
        }
    }

    /// Whether any room for so many slices will do.
    pub(crate) fn is_anywhere(&self) -> bool {
        self.stride == 1
    }

    /// The length, as [`Room`] has it, without which there is none.
    pub(crate) fn length(&self) -> usize {
        if self.starts & 1 == 1 { 0 } else { self.slices }
    }

    /// The length, as [`Room`] has it, in which there is one, wherever that begins.
    pub(crate) fn surely(&self) -> usize {
        (self.slices + self.stride - 1).min(SLICES - 1)
    }
}

/// The slices at which a run may begin: multiples of `stride`; slice 0 has the header in front.
pub(crate) fn starts(stride: usize, small: bool) -> u64 {
    if stride == 1 {
        return if small { u64::MAX } else { !1 };
    }
    (stride..SLICES)
        .step_by(stride)
        .fold(0, |starts, slice| starts | 1 << slice)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_search_is_led_to_what_it_can_claim() {
        let free = [
            0,
            1,
            2,
            3,
            0b1110,
            0b1111,
            1 << 63,
            !1,
            u64::MAX,
            0b0110_1110_1011,
        ];
        for free in free {
            for length in 1..SLICES {
                let fits = (1..=SLICES - length).any(|first| {
                    let run = mask(length) << first;
                    free & run == run
                });
                assert_eq!(lengths(free) >> length & 1 == 1, fits, "{free:b} {length}");
            }
            assert_eq!(lengths(free) & 1 == 1, free != 0);
        }
    }

    #[test]
    fn one_look_in_vain_is_for_all_that_is_longer() {
        let (room, entry) = (Room::none(), Entry::vacant());
        entry.free.store(0b111_0110, Ordering::Relaxed);
        room.opened(5, entry.free.load(Ordering::Relaxed));
        room.check(5, &entry);
        assert_eq!([0, 1, 3, 4].map(|length| room.of(length)), [32, 32, 32, 0]);
        entry.free.store(0b101_0110, Ordering::Relaxed);
        room.looked_in_vain(3, 5, &entry);
        assert_eq!([0, 1, 2, 3].map(|length| room.of(length)), [32, 32, 32, 0]);
        // For a run that slices of several lengths stand in the way of, none that can be claimed is given up.
        room.looked_in_vain(2, 5, &entry);
        assert_eq!(room.of(2), 32);
        room.check(5, &entry);
        room.forget();
        assert_eq!(room.of(1), 0);
    }
    #[test]
    fn what_is_wanted_fits_where_its_lengths_say() {
        for stride in [1, 2, 4, 16] {
            for slices in 1..SLICES {
                let wanted = Wanted::new(slices, stride, false);
                assert_eq!(wanted.is_anywhere(), stride == 1);
                assert_eq!(wanted.length(), slices);
                let fits = |free: u64| {
                    let may = |first: &usize| wanted.starts >> first & 1 == 1;
                    (1..=SLICES - slices).filter(may).any(|first| {
                        let run = mask(slices) << first;
                        free & run == run
                    })
                };
                let everywhere =
                    |length: usize| (1..=SLICES - length).all(|first| fits(mask(length) << first));
                let surely = wanted.surely();
                assert!(surely < SLICES);
                if slices + stride <= SLICES {
                    assert!(everywhere(surely) && (stride == 1 || !everywhere(surely - 1)));
                }
            }
        }
        let first_slice = Wanted::new(1, 1, true);
        assert_eq!((first_slice.length(), first_slice.starts), (0, u64::MAX));
        assert_eq!(starts(1, false), !1);
        assert_eq!(starts(16, true), 1 << 16 | 1 << 32 | 1 << 48);
    }
}
