//! Blocks that are freed and not yet to be reused: a debugger knows a use after free by nobody having got the memory since.
//!
//! Equation: the list from `first` to `last` has the records of `bytes` bytes of slots, at most [`LIMIT`] while nobody holds the
//! lock. Whoever finds the lock held does without: nobody waits for a thread that may have lost the processor.

use core::ptr::NonNull;

use crate::{
    config::MIB,
    primitive::{AtomicUsize, Ordering},
    record::Record,
};

/// Bytes of slots that wait: what is freed is reused when so much has been freed after it.
const LIMIT: usize = 4 * MIB;

/// The blocks that wait, oldest first.
pub(crate) struct Waiting {
    lock: AtomicUsize,
    // Relaxed, all three: they are changed by the holder of the lock only.
    first: AtomicUsize,
    last: AtomicUsize,
    bytes: AtomicUsize,
}

impl Waiting {
    pub(crate) const fn new() -> Self {
        Self {
            lock: AtomicUsize::new(0),
            first: AtomicUsize::new(0),
            last: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
        }
    }

    /// Let a block wait, and hand to `release` those that have waited long enough, perhaps this one.
    ///
    /// Pre: the record's block is closed, and the caller's.
    pub(crate) fn add(&self, record: &Record, mut release: impl FnMut(&Record)) {
        // Acquire: pairs with the Release below; the list is seen as the last holder left it.
        let locked = self
            .lock
            .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed);
        if locked.is_err() {
            return release(record);
        }
        self.push(record);
        let mut out = 0;
        while load(&self.bytes) > LIMIT
            && let Some(oldest) = at(load(&self.first))
        {
            store(&self.bytes, load(&self.bytes) - oldest.span.get());
            store(&self.first, oldest.next.replace(out));
            out = address(oldest);
        }
        // Release: pairs with the Acquire above.
        self.lock.store(0, Ordering::Release);
        while let Some(record) = at(out) {
            out = record.next.get();
            release(record);
        }
    }

    fn push(&self, record: &Record) {
        record.next.set(0);
        let here = address(record);
        match at(load(&self.last)).filter(|_| load(&self.first) != 0) {
            Some(last) => last.next.set(here),
            None => store(&self.first, here),
        }
        store(&self.last, here);
        store(&self.bytes, load(&self.bytes) + record.span.get());
    }

    /// In a child of `fork`: another thread of the parent may have held the lock, in the middle of a change. What waits is lost.
    pub(crate) fn forget(&self) {
        store(&self.first, 0);
        store(&self.bytes, 0);
        self.lock.store(0, Ordering::Relaxed);
    }
}

fn load(word: &AtomicUsize) -> usize {
    word.load(Ordering::Relaxed)
}

fn store(word: &AtomicUsize, value: usize) {
    word.store(value, Ordering::Relaxed);
}

fn address(record: &Record) -> usize {
    core::ptr::from_ref(record).expose_provenance()
}

fn at<'a>(address: usize) -> Option<&'a Record> {
    let record = NonNull::new(core::ptr::with_exposed_provenance_mut(address))?;
    // SAFETY: the list has addresses of records, whose slots nobody gives back before they have left it.
    Some(unsafe { record.as_ref() })
}
