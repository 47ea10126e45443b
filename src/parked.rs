//! Freed large blocks whose addresses are kept from everybody, in the security build: who still uses one of them is ended at the access, as
//! long as it is here. Nobody can reach them. Runs may have their frames still, for the next user; those of huge blocks have moved elsewhere. Each that
//! comes takes the place of the one that has been here longest.
//!
//! Equation: a place is 0, or names addresses that belong to nobody but whoever empties it; `framed` is the sum over the runs with frames.

use core::ptr::NonNull;

use crate::{
    chunk_entry::Run,
    config::{CHUNK, SLICE, SLICES},
    huge_cache::Span,
    primitive::{AtomicUsize, Ordering, Tally},
};

/// Places for each kind.
const PLACES: usize = 8;

/// The largest span that is kept: they are only addresses, but those of a process may be few.
const SPAN_MAX: usize = 16 * CHUNK;

/// In a word for a run: it has its frames.
const FRAMED: usize = CHUNK / 2;

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

/// A run that leaves, and whether it has its frames: else it reads zero.
pub(crate) type Leaving = Option<(Run, bool)>;

/// See the [module](self).
pub(crate) struct Parked {
    spans: Ring,
    runs: Ring,
    /// Bytes of runs that have their frames.
    framed: Tally,
}

/// The address of a chunk leaves room for two numbers of slices.
fn pack(run: &Run) -> usize {
    run.base.as_ptr().expose_provenance() | (run.first * SLICES) | run.slices
}

/// A run whose dirty slices are not known.
fn unpack(word: usize) -> Option<Run> {
    let base = core::ptr::with_exposed_provenance_mut(word & !(CHUNK - 1));
    Some(Run {
        base: NonNull::new(base)?,
        first: word / SLICES % SLICES,
        slices: word % SLICES,
        dirty: 0,
    })
}

const _: () = assert!(
    SLICES * SLICES <= FRAMED,
    "two numbers of slices fit in front of the flag"
);

impl Parked {
    pub(crate) const fn new() -> Self {
        Self {
            spans: Ring::new(),
            runs: Ring::new(),
            framed: Tally::new(0),
        }
    }

    /// Bytes of runs that have their frames.
    pub(crate) fn framed(&self) -> usize {
        self.framed.load(Ordering::Relaxed)
    }

    /// The run that a place has named.
    fn leave_run(&self, word: usize) -> Leaving {
        let (run, framed) = (unpack(word & !FRAMED)?, word & FRAMED != 0);
        if framed {
            self.framed.fetch_sub(run.slices * SLICE, Ordering::Relaxed);
        }
        Some((run, framed))
    }

    /// Keep a span that nobody can reach, without frames. Returns one that goes back to the kernel.
    pub(crate) fn keep_span(&self, span: Span) -> Option<Span> {
        match span.pack().filter(|_| span.size <= SPAN_MAX) {
            Some(word) => self.spans.exchange(word).and_then(Span::unpack),
            None => Some(span),
        }
    }

    /// Keep a run that nobody can reach. Returns another that is free for others.
    pub(crate) fn keep_run(&self, run: &Run, framed: bool) -> Leaving {
        let mut word = pack(run);
        if framed {
            word |= FRAMED;
            self.framed.fetch_add(run.slices * SLICE, Ordering::Relaxed);
        }
        self.runs.exchange(word).and_then(|old| self.leave_run(old))
    }

    /// Take a span out.
    pub(crate) fn take_span(&self) -> Option<Span> {
        self.spans.take().and_then(Span::unpack)
    }

    /// Take a run out.
    pub(crate) fn take_run(&self) -> Leaving {
        self.leave_run(self.runs.take()?)
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
        while self.take_run().is_some() {}
    }
}
