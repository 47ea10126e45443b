//! The three kernels that tests run on, behind one type.

use ralloc_platform::{
    Hooks, Platform, System,
    sim::{Lock, Rules, Sim},
};
use std::{
    ptr::NonNull,
    sync::{
        RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

/// A simulated kernel, or the real one with a ledger.
///
/// Threads end by the hooks of the simulation on all of them: the hooks of the real kernel can be had once only.
pub struct Kernel {
    sim: Sim,
    /// On the real kernel: whether to go there for memory.
    real: bool,
    /// On the real kernel: bytes mapped.
    mapped: AtomicUsize,
    /// Whether the exit hook of a thread was refused: its heap stays without a thread.
    lost_threads: AtomicBool,
    /// How often a thread has let others run.
    yields: AtomicUsize,
    /// Ranges that the kernel would not take back, and that nobody has tried to give back again.
    refused: Lock<Vec<(usize, usize)>>,
    /// Read while a call is under way: a fork in the middle of one would copy the locks above as held.
    calls: RwLock<()>,
    /// On the real kernel: bytes that may be mapped.
    limit: AtomicUsize,
    /// On the real kernel: one guard in so many is neither made nor taken away; 0 is none.
    refuse_guards: usize,
    guards: AtomicUsize,
    /// On the simulated kernels: whether there are guards, which the real kernel makes.
    has_guards: bool,
}

/// A name, and how to make such a kernel.
pub type Named = (&'static str, fn() -> Kernel);

impl Kernel {
    /// A simulated kernel.
    pub fn sim(rules: Rules) -> Self {
        Self {
            sim: Sim::new(rules),
            real: false,
            mapped: AtomicUsize::new(0),
            lost_threads: AtomicBool::new(false),
            yields: AtomicUsize::new(0),
            refused: Lock::new(Vec::new()),
            calls: RwLock::new(()),
            limit: AtomicUsize::new(usize::MAX),
            refuse_guards: 0,
            guards: AtomicUsize::new(0),
            has_guards: false,
        }
    }

    /// A simulated kernel with so many bytes of addresses.
    pub fn with_space(rules: Rules, bytes: usize) -> Self {
        Self {
            sim: Sim::with_space(rules, bytes),
            ..Self::sim(rules)
        }
    }

    /// A simulated kernel that makes guards, one in `every` excepted; with 0 all.
    pub fn guarding(rules: Rules, every: usize) -> Self {
        Self {
            refuse_guards: every,
            has_guards: true,
            ..Self::sim(rules)
        }
    }

    /// The kernel that the tests run on.
    pub fn real() -> Self {
        Self {
            real: true,
            has_guards: true,
            ..Self::sim(Rules::Linux)
        }
    }

    /// As [`real`](Self::real), but one guard in `every` is neither made nor taken away.
    pub fn short_of_guards(every: usize) -> Self {
        Self {
            refuse_guards: every,
            ..Self::real()
        }
    }

    /// Whether guards are made, and this one too.
    fn makes_guard(&self) -> bool {
        let is_refused =
            || (self.guards.fetch_add(1, Relaxed) + 1).is_multiple_of(self.refuse_guards);
        self.has_guards && (self.refuse_guards == 0 || !is_refused())
    }

    /// All kernels, by name.
    pub fn all() -> [Named; 3] {
        [
            ("sim-linux", || Self::sim(Rules::Linux)),
            ("sim-redox", || Self::sim(Rules::Redox)),
            ("real", Self::real),
        ]
    }

    /// The simulation, which can be told to refuse.
    pub fn as_sim(&self) -> &Sim {
        &self.sim
    }

    /// Whether any call has been refused so far.
    pub fn was_asked_to_fail(&self) -> bool {
        self.sim.was_asked_to_fail()
    }

    /// Refuse nothing from now on.
    pub fn relent(&self) {
        self.sim.relent();
        self.limit.store(usize::MAX, Relaxed);
    }

    /// Refuse calls after which more than about `bytes` would be mapped.
    pub fn limit(&self, bytes: usize) {
        self.sim.limit(bytes);
        self.limit.store(bytes, Relaxed);
    }

    /// Whether `more` bytes may be mapped. On the real kernel: two threads that ask together may both be told yes.
    fn admits(&self, more: usize) -> bool {
        self.mapped.load(Relaxed).saturating_add(more) <= self.limit.load(Relaxed)
    }

    /// No call is under way while the guard lives.
    pub fn no_calls(&self) -> impl Drop {
        self.calls.write().expect("no panic while it is held")
    }

    /// Whether no call is under way. For signal handlers too.
    pub fn is_quiet(&self) -> bool {
        self.calls.try_write().is_ok()
    }

    fn call(&self) -> impl Drop {
        self.calls.read().expect("no panic while it is held")
    }

    /// Whether a thread could not be told of its exit.
    pub fn lost_threads(&self) -> bool {
        self.lost_threads.load(Relaxed)
    }

    /// How often a thread has let others run so far.
    pub fn yields(&self) -> usize {
        self.yields.load(Relaxed)
    }

    /// Bytes mapped now.
    pub fn mapped(&self) -> usize {
        if self.real {
            self.mapped.load(Relaxed)
        } else {
            self.sim.mapped()
        }
    }

    /// Bytes mapped that the allocator could have given back: what the kernel refused to take does not count.
    pub fn leaked(&self) -> usize {
        let refused = self.refused.lock();
        if self.real || refused.is_empty() {
            return self.mapped();
        }
        let overlap = |&(base, size): &(usize, usize)| -> usize {
            let of = |&(at, bytes): &(usize, usize)| {
                let end = (base + size).min(at + bytes);
                end.saturating_sub(base.max(at))
            };
            self.sim.mappings().iter().map(of).sum()
        };
        self.mapped() - refused.iter().map(overlap).sum::<usize>()
    }

    fn count(&self, done: bool, more: usize, less: usize) {
        if done && self.real {
            self.mapped.fetch_add(more, Relaxed);
            self.mapped.fetch_sub(less, Relaxed);
        }
    }
}

// SAFETY: as the two kernels.
unsafe impl Platform for Kernel {
    fn page_size(&self) -> usize {
        System.page_size()
    }

    fn map(&self, size: usize, align: usize) -> Option<NonNull<u8>> {
        let _call = self.call();
        if !self.real {
            return self.sim.map(size, align);
        }
        let base = self.admits(size).then(|| System.map(size, align)).flatten();
        self.count(base.is_some(), size, 0);
        base
    }

    fn extend(&self, end: NonNull<u8>, additional: usize) -> bool {
        let _call = self.call();
        if !self.real {
            return self.sim.extend(end, additional);
        }
        let done = self.admits(additional) && System.extend(end, additional);
        self.count(done, additional, 0);
        done
    }

    unsafe fn unmap(&self, base: NonNull<u8>, size: usize) -> bool {
        let _call = self.call();
        if self.real {
            // SAFETY: the caller's promise.
            let done = unsafe { System.unmap(base, size) };
            self.count(done, 0, size);
            return done;
        }
        let range = (base.addr().get(), size);
        let mut refused = self.refused.lock();
        let others = refused.iter().flat_map(|&known| without(known, range));
        *refused = others.filter(|&(_, size)| size != 0).collect();
        // SAFETY: the caller's promise.
        let done = unsafe { self.sim.unmap(base, size) };
        if !done {
            refused.push(range);
        }
        done
    }

    unsafe fn expect_use(&self, base: NonNull<u8>, size: usize) {
        let _call = self.call();
        if self.real {
            // SAFETY: the caller's promise.
            unsafe { System.expect_use(base, size) }
        } else {
            // SAFETY: the caller's promise.
            unsafe { self.sim.expect_use(base, size) }
        }
    }

    unsafe fn purge(&self, base: NonNull<u8>, size: usize) -> bool {
        let _call = self.call();
        if self.real {
            // SAFETY: the caller's promise.
            unsafe { System.purge(base, size) }
        } else {
            // SAFETY: the caller's promise.
            unsafe { self.sim.purge(base, size) }
        }
    }

    unsafe fn guard(&self, base: NonNull<u8>, size: usize) -> bool {
        let _call = self.call();
        // SAFETY: the caller's promise.
        self.makes_guard() && unsafe { System.guard(base, size) }
    }

    unsafe fn hide(&self, base: NonNull<u8>, size: usize) -> bool {
        let _call = self.call();
        // SAFETY: the caller's promise.
        self.makes_guard() && unsafe { System.hide(base, size) }
    }

    fn reserve(&self, base: NonNull<u8>, size: usize) -> bool {
        let _call = self.call();
        let done = self.makes_guard() && System.reserve(base, size);
        self.count(done, size, 0);
        done
    }

    unsafe fn unguard(&self, base: NonNull<u8>, size: usize) -> bool {
        let _call = self.call();
        // SAFETY: the caller's promise.
        self.makes_guard() && unsafe { System.unguard(base, size) }
    }

    unsafe fn relocate(
        &self,
        old: NonNull<u8>,
        old_size: usize,
        new_size: usize,
        align: usize,
    ) -> Option<NonNull<u8>> {
        let _call = self.call();
        if !self.real {
            // SAFETY: the caller's promise.
            return unsafe { self.sim.relocate(old, old_size, new_size, align) };
        }
        if !self.admits(new_size - old_size) {
            return None;
        }
        // SAFETY: the caller's promise.
        let moved = unsafe { System.relocate(old, old_size, new_size, align) };
        self.count(moved.is_some(), new_size, old_size);
        moved
    }

    unsafe fn program_break(&self, to: Option<usize>) -> usize {
        // SAFETY: the caller's promise.
        unsafe { self.sim.program_break(to) }
    }

    fn arm_thread_exit(&self) -> bool {
        let _call = self.call();
        let armed = self.sim.arm_thread_exit();
        self.lost_threads.fetch_or(!armed, Relaxed);
        armed
    }

    fn install(&self, hooks: Hooks) {
        self.sim.install(hooks);
    }

    fn entropy(&self) -> usize {
        if self.real {
            return System.entropy();
        }
        self.sim.entropy()
    }

    fn write_stderr(&self, text: &[u8]) {
        self.sim.write_stderr(text);
    }

    fn yield_now(&self) {
        self.yields.fetch_add(1, Relaxed);
        System.yield_now();
    }

    fn abort(&self) -> ! {
        self.sim.abort()
    }
}

/// What is left of one range (address and bytes) when another is taken out.
fn without((at, bytes): (usize, usize), (base, size): (usize, usize)) -> [(usize, usize); 2] {
    let (end, other_end) = (at + bytes, base + size);
    let before = base.clamp(at, end);
    let behind = other_end.clamp(before, end);
    [(at, before - at), (behind, end - behind)]
}
