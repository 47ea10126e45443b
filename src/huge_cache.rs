//! Freed huge blocks that wait for the next huge request, so that short-lived ones do not reach the kernel.
//!
//! All sizes are multiples of the chunk size. Neighbours in memory are joined when they arrive and cut when they leave.
//! A slot is one word, emptied and filled by single atomic operations; no lock.

use core::ptr::NonNull;

use crate::{
    config::CHUNK,
    primitive::{AtomicUsize, Ordering, Tally},
};

/// Blocks that can wait at the same time.
const SLOTS: usize = 32;
/// A block that this many arrivals have passed by goes back to the kernel.
const MAX_AGE: usize = 256;

/// Addresses that belong to nobody but the holder of this value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    pub(crate) base: NonNull<u8>,
    /// Bytes, a multiple of the chunk size.
    pub(crate) size: usize,
}

impl Span {
    /// The address of the first byte.
    pub(crate) fn start(&self) -> usize {
        self.base.as_ptr().expose_provenance()
    }

    /// The address behind the last byte.
    pub(crate) fn end(&self) -> usize {
        self.start() + self.size
    }

    /// Cut in two, the first part of `size` bytes.
    ///
    /// Pre: `size < self.size`, a multiple of the chunk size.
    pub(crate) fn split(self, size: usize) -> (Self, Self) {
        debug_assert!(size < self.size && size.is_multiple_of(CHUNK));
        // SAFETY: `size` lies in the span.
        let tail = unsafe { self.base.add(size) };
        let rest = Self {
            base: tail,
            size: self.size - size,
        };
        (Self { size, ..self }, rest)
    }

    /// Address and size in one word: the address is a multiple of the chunk size, which leaves room for the size in chunks.
    pub(crate) fn pack(&self) -> Option<usize> {
        let chunks = self.size / CHUNK;
        (chunks < CHUNK).then(|| self.start() | chunks)
    }

    pub(crate) fn unpack(word: usize) -> Option<Self> {
        let base = core::ptr::with_exposed_provenance_mut(word & !(CHUNK - 1));
        Some(Self {
            base: NonNull::new(base)?,
            size: word % CHUNK * CHUNK,
        })
    }
}

/// One waiting block, packed, or 0.
struct Slot {
    word: AtomicUsize,
    /// The number of the arrival. A hint.
    born: Tally,
}

/// The waiting blocks.
///
/// Equation: `bytes` is the sum over the slots.
pub(crate) struct Cache {
    slots: [Slot; SLOTS],
    arrivals: Tally,
    /// Bytes in all slots.
    bytes: Tally,
}

impl Slot {
    const fn vacant() -> Self {
        Self {
            word: AtomicUsize::new(0),
            born: Tally::new(0),
        }
    }

    /// The block in the slot. A hint: it may leave at any time.
    fn peek(&self) -> Option<Span> {
        Span::unpack(self.word.load(Ordering::Relaxed))
    }
}

impl Cache {
    pub(crate) const fn new() -> Self {
        Self {
            slots: [const { Slot::vacant() }; SLOTS],
            arrivals: Tally::new(0),
            bytes: Tally::new(0),
        }
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Take `span` out of a slot, if it is still there.
    fn empty(&self, slot: &Slot, span: &Span) -> Option<Span> {
        let word = span.pack()?;
        // Acquire: pairs with the Release in `put`: the last user's writes come before.
        slot.word
            .compare_exchange(word, 0, Ordering::Acquire, Ordering::Relaxed)
            .ok()?;
        self.bytes.fetch_sub(span.size, Ordering::Relaxed);
        Some(*span)
    }

    /// The blocks that wait, with their slots. Hints.
    fn waiting(&self) -> impl Iterator<Item = (&Slot, Span)> {
        self.slots
            .iter()
            .filter_map(|slot| Some((slot, slot.peek()?)))
    }

    /// Take a block of at least `size` bytes at a multiple of `align`, the smallest there is.
    pub(crate) fn take(&self, size: usize, align: usize) -> Option<Span> {
        if self.bytes() < size {
            return None;
        }
        let fits = |span: &Span| span.size >= size && span.start().is_multiple_of(align);
        let candidates = self.waiting().filter(|(_, span)| fits(span));
        let (slot, span) = candidates.min_by_key(|(_, span)| span.size)?;
        self.empty(slot, &span)
    }

    /// Take the largest block of less than `size` bytes.
    pub(crate) fn take_below(&self, size: usize) -> Option<Span> {
        let candidates = self.waiting().filter(|(_, span)| span.size < size);
        let (slot, span) = candidates.max_by_key(|(_, span)| span.size)?;
        self.empty(slot, &span)
    }

    /// Take the block that begins at `start`, if it is here and has at least `size` bytes.
    pub(crate) fn take_at(&self, start: usize, size: usize) -> Option<Span> {
        let fits = |span: &Span| span.start() == start && span.size >= size;
        let (slot, span) = self.waiting().find(|(_, span)| fits(span))?;
        self.empty(slot, &span)
    }

    /// Let a block wait, joined with its neighbours. `Err` gives it back, with what was joined, if there is no slot.
    pub(crate) fn put(&self, span: Span) -> Result<(), Span> {
        let number = self.arrivals.fetch_add(1, Ordering::Relaxed);
        debug_assert!(span.size != 0 && span.size.is_multiple_of(CHUNK));
        debug_assert!(span.start().is_multiple_of(CHUNK));
        let span = self.join(span);
        let Some(word) = span.pack() else {
            return Err(span);
        };
        for slot in &self.slots {
            // Counted before it can be taken, so that the count never drops below 0.
            self.bytes.fetch_add(span.size, Ordering::Relaxed);
            // Release: pairs with the Acquire in `empty`.
            let vacant = slot.word.load(Ordering::Relaxed) == 0
                && slot
                    .word
                    .compare_exchange(0, word, Ordering::Release, Ordering::Relaxed)
                    .is_ok();
            if vacant {
                slot.born.store(number, Ordering::Relaxed);
                return Ok(());
            }
            self.bytes.fetch_sub(span.size, Ordering::Relaxed);
        }
        Err(span)
    }

    /// Join a block with those that begin behind it or end before it.
    fn join(&self, mut span: Span) -> Span {
        for (slot, other) in self.waiting() {
            let behind = other.start() == span.end();
            if !behind && other.end() != span.start() {
                continue;
            }
            if let Some(other) = self.empty(slot, &other) {
                let base = if behind { span.base } else { other.base };
                span = Span {
                    base,
                    size: span.size + other.size,
                };
            }
        }
        span
    }

    /// All that waits.
    pub(crate) fn spans(&self) -> impl Iterator<Item = Span> {
        self.waiting().map(|(_, span)| span)
    }

    /// Check the equation: `bytes` is the sum over the slots, and no two blocks overlap. Returns the blocks.
    ///
    /// Pre: no other thread is about.
    pub(crate) fn check(&self) -> impl Iterator<Item = Span> {
        let sum: usize = self.waiting().map(|(_, span)| span.size).sum();
        assert!(self.bytes() == sum, "waiting bytes are counted");
        for (slot, span) in self.waiting() {
            let others = self
                .waiting()
                .filter(|(other, _)| !core::ptr::eq(*other, slot));
            for (_, other) in others {
                assert!(
                    span.end() <= other.start() || other.end() <= span.start(),
                    "waiting blocks do not overlap"
                );
            }
        }
        self.waiting().map(|(_, span)| span)
    }

    /// Take the block that has waited longest.
    pub(crate) fn take_oldest(&self) -> Option<Span> {
        let born = |slot: &Slot| slot.born.load(Ordering::Relaxed);
        let (slot, span) = self.waiting().min_by_key(|(slot, _)| born(slot))?;
        self.empty(slot, &span)
    }

    /// Take a block that has waited too long.
    pub(crate) fn take_expired(&self) -> Option<Span> {
        if self.bytes() == 0 {
            return None;
        }
        let now = self.arrivals.load(Ordering::Relaxed);
        let age = |slot: &Slot| now.wrapping_sub(slot.born.load(Ordering::Relaxed));
        let (slot, span) = self
            .waiting()
            .find(|(slot, _)| (MAX_AGE..usize::MAX / 2).contains(&age(slot)))?;
        self.empty(slot, &span)
    }
}
