//! What the runner counts, and the program may read.

/// One number that is counted. Their order is what the program relies on: new ones go to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Count {
    Fmap,
    Funmap,
    Mprotect,
    Mremap,
    FutexWait,
    FutexWake,
    Yield,
    Clock,
    /// Calls on descriptors, and all others.
    Other,
    /// Pages that `fmap` has granted, all in all.
    PagesMapped,
    /// Granted now, and at most, in the address space of the reader.
    PagesReserved,
    PagesPeak,
    /// Pages that the kernel had to look at one by one.
    WalkedByFunmap,
    WalkedByFixed,
    WalkedByMprotect,
    WalkedByMremap,
    WalkedByFork,
    WalkedByExit,
    /// Pages with a frame behind them now, in the address space of the reader.
    Frames,
    /// Contexts that have been started.
    Contexts,
}

/// How many there are.
pub(crate) const COUNTS: usize = Count::Contexts as usize + 1;

const NAMES: [&str; COUNTS] = [
    "calls of fmap",
    "calls of funmap",
    "calls of mprotect",
    "calls of mremap",
    "calls of futex to wait",
    "calls of futex to wake",
    "calls of yield",
    "calls of clock_gettime",
    "other calls",
    "pages mapped",
    "pages reserved",
    "pages reserved at most",
    "pages walked by funmap",
    "pages walked by a fixed fmap",
    "pages walked by mprotect",
    "pages walked by mremap",
    "pages walked by fork",
    "pages walked by exit",
    "frames",
    "contexts started",
];

/// All numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters {
    values: [u64; COUNTS],
}

impl Counters {
    pub(crate) fn add(&mut self, count: Count, amount: usize) {
        self.values[count as usize] += amount as u64;
    }

    pub(crate) fn set(&mut self, count: Count, value: usize) {
        self.values[count as usize] = value as u64;
    }

    /// As the program reads them: words in the order of [`Count`].
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    }

    /// A line for each.
    pub(crate) fn lines(&self) -> String {
        let lines = NAMES.iter().zip(self.values);
        lines
            .map(|(name, value)| format!("{name:30}{value:>14}\n"))
            .collect()
    }
}
