//! Hooked mode: who watches the allocator while the program runs, and what they are told.
//!
//! Nothing of it is on a hit path. In hooked mode a thread has no heap: its free-list heads stay empty, the word for the
//! heap's address is 0 and equals no owner word, so that every operation falls into a slow path, as it does for a thread that has
//! gone. There [`hooked`](crate::hooked) serves it with a block that has a [record](crate::record) in front, and `HOOK` in the
//! owner word of the page or run says that its blocks may have one.
//!
//! The mode is chosen once, at the first slow path at which the [`Instance`](crate::Instance) knows
//! ([`Instance::watchers`](crate::Instance::watchers)), or by a call of [`watch`](crate::watch) later. It is not left again: blocks
//! that have a record are told apart from those that have none as long as they live.

use ralloc_platform::Platform;

use crate::primitive::{AtomicUsize, Ordering};

/// Who watches. Any number of them at once.
///
/// ```
/// use ralloc::Watchers;
///
/// let both = Watchers::LOG.and(Watchers::LEAKS);
/// assert!(both.has(Watchers::LOG) && !both.has(Watchers::DEBUGGER));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Watchers(usize);

impl Watchers {
    /// Nobody: the allocator runs at its full speed.
    pub const NONE: Self = Self(0);
    /// The debugger that the platform knows ([`Platform::mark_free`](crate::platform::Platform::mark_free) and its relatives): valgrind.
    /// What is freed is not handed out again for a while.
    pub const DEBUGGER: Self = Self(1 << 1);
    /// The [log](crate::log).
    pub const LOG: Self = Self(1 << 2);
    /// The call sites of all blocks are noted, for the [report of leaks](crate::leaks).
    pub const LEAKS: Self = Self(1 << 3);
    /// The instance itself: [`on_event`](crate::Instance::on_event) is called. For profilers and the like.
    pub const EVENTS: Self = Self(1 << 4);

    /// Who watches in every build of this kind: the log, with the feature `log`.
    pub const ALWAYS: Self = if cfg!(feature = "log") {
        Self::LOG
    } else {
        Self::NONE
    };

    /// Who watches unless somebody says otherwise.
    pub(crate) const fn by_default(debugger: bool) -> Self {
        match debugger {
            true => Self::DEBUGGER.and(Self::ALWAYS),
            false => Self::ALWAYS,
        }
    }

    /// These and those.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether nobody does.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether one of them wants to know where blocks are asked for.
    pub(crate) const fn note_sites(self) -> bool {
        self.0 & (Self::LOG.0 | Self::LEAKS.0) != 0
    }

    /// Whether all of those are among these.
    pub const fn has(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }
}

/// What watchers are told. Addresses and sizes are in bytes; sizes are those that were asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A block was handed out.
    Allocated {
        /// Its address.
        block: usize,
        /// Its size.
        size: usize,
        /// What its address is a multiple of.
        align: usize,
    },
    /// A block was given back.
    Freed {
        /// Its address.
        block: usize,
        /// Its size.
        size: usize,
    },
    /// A block has another size, where it stands.
    Resized {
        /// Its address.
        block: usize,
        /// Its size until now.
        old: usize,
        /// Its size.
        size: usize,
    },
    /// A request could not be served.
    Failed {
        /// What was asked for.
        size: usize,
    },
    /// A pointer was freed, or asked about, that leads to no block.
    Misused {
        /// The pointer.
        block: usize,
    },
}

/// Set once it is known who watches.
const DECIDED: usize = 1;

/// Who watches an allocator. All zero: that is not known yet, and as good as nobody.
pub(crate) struct Hooks {
    /// [`DECIDED`], and the [`Watchers`].
    state: AtomicUsize,
    /// Where the code of the allocator is, if that is known: from, and to.
    pub(crate) own_code: [AtomicUsize; 2],
    /// Operations that are under way and change what a report reads.
    under_way: AtomicUsize,
    /// Not 0 while a report is being written: then such operations wait.
    reports: AtomicUsize,
}

/// How often a report lets other threads run that have an operation under way: they may be stopped, or have been copied by a `fork`.
const PATIENCE: usize = 10_000;

/// As long as it exists, an operation is under way, and no report is.
pub(crate) struct UnderWay<'a>(&'a Hooks);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `hold`: what the operation has changed is seen.
        self.0.under_way.fetch_sub(1, Ordering::Release);
    }
}

/// As long as it exists, no operation is under way.
pub(crate) struct Held<'a>(&'a Hooks);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // Release: pairs with the load in `enter`.
        self.0.reports.store(0, Ordering::Release);
    }
}

impl Hooks {
    pub(crate) const fn new() -> Self {
        Self {
            state: AtomicUsize::new(0),
            own_code: [const { AtomicUsize::new(0) }; 2],
            under_way: AtomicUsize::new(0),
            reports: AtomicUsize::new(0),
        }
    }

    /// Begin an operation, when no report is being written.
    ///
    /// Pre: this thread has no operation under way, and is not writing a report.
    pub(crate) fn enter(&self, kernel: &impl Platform) -> UnderWay<'_> {
        loop {
            // SeqCst, here and in `hold`: of an operation and a report that begin at the same time one sees the other.
            self.under_way.fetch_add(1, Ordering::SeqCst);
            let entered = UnderWay(self);
            if self.reports.load(Ordering::SeqCst) == 0 {
                return entered;
            }
            drop(entered);
            kernel.yield_now();
        }
    }

    /// Have operations wait for a report, and wait for those that are under way.
    pub(crate) fn hold(&self, kernel: &impl Platform) -> Held<'_> {
        self.reports.store(1, Ordering::SeqCst);
        let held = Held(self);
        for _ in 0..PATIENCE {
            // SeqCst: as above; it is an Acquire as well, which pairs with the Release of those that have ended.
            if self.under_way.load(Ordering::SeqCst) == 0 {
                break;
            }
            kernel.yield_now();
        }
        held
    }

    /// In a child of `fork`: the threads that were at it are gone.
    pub(crate) fn after_fork(&self) {
        self.under_way.store(0, Ordering::Relaxed);
        self.reports.store(0, Ordering::Relaxed);
    }

    /// Whether it is known that nobody watches.
    #[inline(always)]
    pub(crate) fn is_off(&self) -> bool {
        // Relaxed, here and below: what a watcher needs to know of a block is in the block's record.
        self.state.load(Ordering::Relaxed) == DECIDED
    }

    /// Whether it is known who watches.
    #[inline]
    pub(crate) fn is_decided(&self) -> bool {
        self.state.load(Ordering::Relaxed) != 0
    }

    /// Who watches, as far as that is known.
    #[inline]
    pub(crate) fn watchers(&self) -> Watchers {
        Watchers(self.state.load(Ordering::Relaxed) & !DECIDED)
    }

    /// Whether the debugger is told.
    #[inline]
    pub(crate) fn has_debugger(&self) -> bool {
        self.watchers().has(Watchers::DEBUGGER)
    }

    /// Whether call sites are noted.
    #[inline]
    pub(crate) fn notes_sites(&self) -> bool {
        self.watchers().note_sites()
    }

    /// Have `watchers` watch, beside those who do already.
    pub(crate) fn add(&self, watchers: Watchers) {
        self.state.fetch_or(watchers.0 | DECIDED, Ordering::Relaxed);
    }
}

/// As long as it exists, the debugger does not look at what this thread does to memory: the allocator links free blocks by words
/// in them.
pub(crate) struct Quiet<'a, P: Platform>(Option<&'a P>);

impl<'a, P: Platform> Quiet<'a, P> {
    pub(crate) fn new(hooks: &Hooks, kernel: &'a P) -> Self {
        let kernel = hooks.has_debugger().then_some(kernel);
        if let Some(kernel) = kernel {
            kernel.debugger_looks(false);
        }
        Self(kernel)
    }
}

impl<P: Platform> Drop for Quiet<'_, P> {
    fn drop(&mut self) {
        if let Some(kernel) = self.0 {
            kernel.debugger_looks(true);
        }
    }
}
