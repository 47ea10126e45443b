//! Freed large blocks whose addresses are kept from everybody, in the security build: who still uses one of them is ended at the access, as
//! long as it is here. They have a guard and no frames. Each that comes takes the place of the one that has been here longest.
//!
//! Equation: a place is 0, or names addresses that belong to nobody but whoever empties it.

use core::ptr::NonNull;

use crate::{
    chunk_entry::Run,
    config::{CHUNK, SLICES},
    huge_cache::Span,
    primitive::{AtomicUsize, Ordering, Tally},
};

/// Places for each kind.
const PLACES: usize = 8;

/// The largest span that is kept: they are only addresses, but those of a process may be few.
const SPAN_MAX: usize = 16 * CHUNK;

/// Places that are filled one after the other.
struct Ring {
    places: [AtomicUsize; PLACES],
    next: Tally,
}

impl Ring {
    const fn new() -> Self {
        Self {
            places: [const { AtomicUsize::new(0) }; PLACES],
            next: Tally::new(0),
        }
    }

    /// Fill a place with what is not 0. Returns what was there.
    fn exchange(&self, word: usize) -> Option<usize> {
        let place = self.next.fetch_add(1, Ordering::Relaxed) % PLACES;
        // Acquire, Release: each pairs with the other, in whoever empties the place.
        let old = self.places[place].swap(word, Ordering::AcqRel);
        (old != 0).then_some(old)
    }

    fn take(&self) -> Option<usize> {
        let mut old = self.places.iter();
        old.find_map(|place| {
            // Acquire: pairs with the Release in `exchange`.
            let word = place.swap(0, Ordering::Acquire);
            (word != 0).then_some(word)
        })
    }
}

/// See the [module](self).
pub(crate) struct Parked {
    spans: Ring,
    runs: Ring,
}

/// The address of a chunk leaves room for two numbers of slices.
fn pack(run: &Run) -> usize {
    run.base.as_ptr().expose_provenance() | (run.first * SLICES) | run.slices
}

/// The base of the chunk, the first slice, and how many there are.
fn unpack(word: usize) -> Option<(NonNull<u8>, usize, usize)> {
    let base = core::ptr::with_exposed_provenance_mut(word & !(CHUNK - 1));
    Some((NonNull::new(base)?, word / SLICES % SLICES, word % SLICES))
}

impl Parked {
    pub(crate) const fn new() -> Self {
        Self {
            spans: Ring::new(),
            runs: Ring::new(),
        }
    }

    /// Keep a guarded span. Returns one that goes back to the kernel.
    pub(crate) fn keep_span(&self, span: Span) -> Option<Span> {
        match span.pack().filter(|_| span.size <= SPAN_MAX) {
            Some(word) => self.spans.exchange(word).and_then(Span::unpack),
            None => Some(span),
        }
    }

    /// Keep a guarded run. Returns another that is free for others: its chunk, its first slice, and its slices.
    pub(crate) fn keep_run(&self, run: &Run) -> Option<(NonNull<u8>, usize, usize)> {
        self.runs.exchange(pack(run)).and_then(unpack)
    }

    /// Take a span out.
    pub(crate) fn take_span(&self) -> Option<Span> {
        self.spans.take().and_then(Span::unpack)
    }

    /// Take a run out.
    pub(crate) fn take_run(&self) -> Option<(NonNull<u8>, usize, usize)> {
        self.runs.take().and_then(unpack)
    }

    /// Slices of all runs.
    pub(crate) fn slices(&self) -> usize {
        let words = self
            .runs
            .places
            .iter()
            .map(|place| place.load(Ordering::Relaxed));
        words.map(|word| word % SLICES).sum()
    }

    /// Forget all runs: their chunks are gone.
    pub(crate) fn forget_runs(&self) {
        while self.runs.take().is_some() {}
    }
}
