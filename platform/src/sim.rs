//! A kernel in ordinary memory, for tests: it refuses on demand, keeps a ledger, and does not tolerate misuse.
//!
//! ```text
//! for n in 0.. {                              // refuse the n-th kernel call, for every n
//!     let kernel = Sim::new(Rules::Linux);
//!     kernel.fail_at(n);
//!     run(&kernel);                           // an error or success; never a panic
//!     assert_eq!(kernel.leaked(), 0, "call {n}");
//!     if !kernel.was_asked_to_fail() { break; }
//! }
//! ```
//!
//! The address space is one real reservation. Mapped parts are real memory; holes fault, so a use after `unmap`
//! is a crash and not a guess; `purge` really forgets. Every breach of the contract of [`Platform`] is a panic
//! that begins with `contract:`.
//!
//! - `pages`: the real memory, as the system has it to give; `space`: the same, as addresses of the simulation.
//! - `kernel`: regions, holes, calls, refusals, ledger; this is what can be refused.
//! - this file: what a platform module makes of such a kernel ([`Platform`]), and the questions to the ledger.
//! - `lock`: [`Lock`], for tests that a race detector looks at.
//! - `thread`: exit hooks of real threads, and [`TestBlock`].
//!
//! It uses the standard library's collections and locks: a test program whose *global* allocator stands on it is
//! not supported.

mod kernel;
mod lock;
#[cfg_attr(windows, path = "sim/pages_windows.rs")]
mod pages;
mod space;
mod thread;

/// The block of processors for which there is no assembler.
#[cfg(not(windows))]
pub use crate::thread_block::keyed::KeyBlock;
pub use lock::{Guard, Lock};
pub use thread::TestBlock;

use crate::{Hooks, Platform};
use core::ptr::NonNull;
use kernel::{Kernel, PAGE};
use std::{string::String, vec::Vec};

/// Whose habits the kernel has. Neither promises any alignment above the OS page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// New mappings at the top of the highest hole that is large enough; there is a program break.
    Linux,
    /// New mappings in the smallest hole that is large enough, the lowest of equals; no program break. On such a
    /// kernel unmapping, purging and exit cost time for every reserved page, see [`Sim::pages_walked`].
    Redox,
}

/// The calls that the kernel counts, and can refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Map fresh memory, anywhere or exactly here.
    Map,
    /// Make a hole.
    Unmap,
    /// Forget contents.
    Purge,
    /// Move pages.
    Move,
    /// Set the program break.
    Break,
    /// Arm the exit hook of a thread.
    Arm,
}

impl Call {
    const COUNT: usize = Call::Arm as usize + 1;
}

/// A simulated kernel with its platform module. Each has an address space of its own.
pub struct Sim {
    rules: Rules,
    state: Lock<State>,
}

struct State {
    kernel: Kernel,
    /// Linux: the lowest packed mapping, 0 at first. Redox: the end of the highest one, 0 at first.
    cursor: usize,
    hooks: Option<Hooks>,
    stderr: Vec<u8>,
    words_drawn: u64,
}

impl Sim {
    /// A kernel with 16 GiB of addresses (1 GiB on a 32-bit machine), which are reserved at the first use.
    pub const fn new(rules: Rules) -> Self {
        Self::with_space(rules, space::USUAL)
    }

    /// A kernel with `bytes` of addresses, a multiple of the OS page, more than 64 MiB: that much the area of the
    /// program break takes.
    pub const fn with_space(rules: Rules, bytes: usize) -> Self {
        let kernel = Kernel::new(rules, bytes);
        let state = State {
            kernel,
            cursor: 0,
            hooks: None,
            stderr: Vec::new(),
            words_drawn: 0,
        };
        Self {
            rules,
            state: Lock::new(state),
        }
    }

    /// Whose habits this kernel has.
    pub fn rules(&self) -> Rules {
        self.rules
    }

    /// Refuse one call: the `n`-th from now, 0 being the next.
    pub fn fail_at(&self, n: usize) {
        let mut state = self.lock();
        state.kernel.plan.at = Some(state.kernel.calls() + n);
    }

    /// Refuse the `n`-th call from now, 0 being the next, and all after it.
    pub fn fail_from(&self, n: usize) {
        let mut state = self.lock();
        state.kernel.plan.from = Some(state.kernel.calls() + n);
    }

    /// Refuse calls after which more than `bytes` would be mapped.
    pub fn limit(&self, bytes: usize) {
        self.lock().kernel.plan.limit = Some(bytes);
    }

    /// Refuse nothing from now on, and forget that anything was refused.
    pub fn relent(&self) {
        let kernel = &mut self.lock().kernel;
        kernel.plan = kernel::Plan {
            at: None,
            from: None,
            limit: None,
        };
        kernel.ledger.refused = false;
    }

    /// Whether any call has been refused so far.
    pub fn was_asked_to_fail(&self) -> bool {
        self.lock().kernel.ledger.refused
    }

    /// The number of kernel calls so far, refused ones included.
    pub fn calls(&self) -> usize {
        self.lock().kernel.calls()
    }

    /// The number of kernel calls of one kind so far, refused ones included.
    pub fn calls_of(&self, call: Call) -> usize {
        self.lock().kernel.ledger.calls[call as usize]
    }

    /// Bytes mapped now.
    pub fn mapped(&self) -> usize {
        self.lock().kernel.ledger.mapped
    }

    /// The most bytes that were mapped at any moment.
    pub fn peak(&self) -> usize {
        self.lock().kernel.ledger.peak
    }

    /// Bytes still mapped: what is left over when all has been given back.
    pub fn leaked(&self) -> usize {
        self.mapped()
    }

    /// The mappings of now, as (address, bytes), from the lowest. Neighbours that were mapped by two calls are two.
    pub fn mappings(&self) -> Vec<(usize, usize)> {
        self.lock().kernel.mappings()
    }

    /// OS pages that the kernel has walked over in `unmap`, `purge` and `relocate`, touched or not: what these
    /// calls cost on a kernel that keeps a list of pages.
    pub fn pages_walked(&self) -> usize {
        self.lock().kernel.ledger.walked_pages
    }

    /// Bytes of which was said that they will be used.
    pub fn expected(&self) -> usize {
        self.lock().kernel.ledger.expected
    }

    /// OS pages that such a kernel would walk over if the process exited, or forked, now.
    pub fn pages_walked_by_exit(&self) -> usize {
        self.mapped() / PAGE
    }

    /// Let "somebody else" in the process map `size` bytes at `base`. `false`: something is there already.
    pub fn occupy(&self, base: NonNull<u8>, size: usize) -> bool {
        self.lock().kernel.occupy(base.addr().get(), size)
    }

    /// What has been written to standard error.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.lock().stderr).into_owned()
    }

    /// Call the hook that runs before `fork`. A simulated kernel cannot fork: the test plays it.
    pub fn fork_prepare(&self) {
        (self.hooks("fork_prepare").fork_prepare)();
    }

    /// Call the hook that runs in the parent after `fork`.
    pub fn fork_parent(&self) {
        (self.hooks("fork_parent").fork_parent)();
    }

    /// Call the hook that runs in the child after `fork`.
    pub fn fork_child(&self) {
        (self.hooks("fork_child").fork_child)();
    }

    /// The hooks, by value: the lock is not held while one runs.
    fn hooks(&self, verb: &str) -> Hooks {
        let hooks = self.lock().hooks;
        hooks.unwrap_or_else(|| panic!("contract: {verb} before install"))
    }

    /// The state, also after a test has provoked a panic within.
    fn lock(&self) -> Guard<'_, State> {
        self.state.lock()
    }
}

// SAFETY: the kernel hands out holes only, opened and reading zero, and panics when asked to do otherwise.
unsafe impl Platform for Sim {
    fn page_size(&self) -> usize {
        PAGE
    }

    fn map(&self, size: usize, align: usize) -> Option<NonNull<u8>> {
        check_align(align);
        kernel::check_pages("map", 0, size);
        let mut state = self.lock();
        let base = state.place(self.rules, size, align)?;
        Some(state.kernel.space().pointer(base))
    }

    fn extend(&self, end: NonNull<u8>, additional: usize) -> bool {
        kernel::check_pages("extend", end.addr().get(), additional);
        self.lock().kernel.extend(end.addr().get(), additional)
    }

    unsafe fn unmap(&self, base: NonNull<u8>, size: usize) -> bool {
        let mut state = self.lock();
        let done = state.kernel.unmap(base.addr().get(), size);
        if done {
            state.retreat(self.rules, base.addr().get(), size);
        }
        done
    }

    unsafe fn purge(&self, base: NonNull<u8>, size: usize) -> bool {
        self.lock().kernel.purge(base.addr().get(), size)
    }

    unsafe fn expect_use(&self, base: NonNull<u8>, size: usize) {
        kernel::check_pages("expect use of", base.addr().get(), size);
        self.lock().kernel.ledger.expected += size;
    }

    unsafe fn relocate(
        &self,
        old: NonNull<u8>,
        old_size: usize,
        new_size: usize,
        align: usize,
    ) -> Option<NonNull<u8>> {
        check_align(align);
        kernel::check_pages("relocate to", 0, new_size);
        let mut state = self.lock();
        if !state.kernel.is_tail("relocate", old.addr().get(), old_size) {
            return None;
        }
        // Hold the place, then move onto it, as the real modules do.
        let place = state.place(self.rules, new_size, align)?;
        let moved = state
            .kernel
            .move_pages((old.addr().get(), old_size), (place, new_size));
        if moved {
            state.retreat(self.rules, old.addr().get(), old_size);
        } else {
            state.kernel.undo(place, new_size);
            state.retreat(self.rules, place, new_size);
        }
        moved.then(|| state.kernel.space().pointer(place))
    }

    unsafe fn program_break(&self, to: Option<usize>) -> usize {
        match self.rules {
            Rules::Linux => self.lock().kernel.set_break(to),
            Rules::Redox => 0,
        }
    }

    fn arm_thread_exit(&self) -> bool {
        let hook = self.hooks("arm_thread_exit").thread_exit;
        self.lock().kernel.admit(Call::Arm, 0) && thread::arm(hook)
    }

    fn install(&self, hooks: Hooks) {
        let before = self.lock().hooks.replace(hooks);
        assert!(before.is_none(), "contract: install twice");
    }

    /// Words that repeat from run to run, so that a failure does too.
    fn entropy(&self) -> usize {
        let mut state = self.lock();
        state.words_drawn += 1;
        state
            .words_drawn
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .swap_bytes() as usize
    }

    fn write_stderr(&self, text: &[u8]) {
        self.lock().stderr.extend_from_slice(text);
    }

    fn yield_now(&self) {
        std::thread::yield_now();
    }

    fn abort(&self) -> ! {
        panic!("aborted, having said: {}", self.stderr());
    }
}

impl State {
    /// Map at an aligned address: packed along the cursor if that goes at once, else by mapping too much.
    fn place(&mut self, rules: Rules, size: usize, align: usize) -> Option<usize> {
        if align <= PAGE {
            return self.kernel.map_anywhere(size);
        }
        let base = match self.next_to_cursor(rules, size, align) {
            Some(base) if self.kernel.map_exactly(base, size) => base,
            _ => self.map_and_trim(size, align)?,
        };
        self.cursor = match rules {
            Rules::Linux => base,
            Rules::Redox => base + size,
        };
        Some(base)
    }

    /// Linux packs downwards from the first place that the kernel chose; Redox packs upwards through the upper
    /// half of the addresses, which is the module's private window.
    fn next_to_cursor(&mut self, rules: Rules, size: usize, align: usize) -> Option<usize> {
        match rules {
            Rules::Linux => Some(self.cursor.checked_sub(size)? & !(align - 1)),
            Rules::Redox if self.cursor == 0 => {
                let (start, end) = self.kernel.window();
                (start + (end - start) / 2).checked_next_multiple_of(align)
            }
            Rules::Redox => self.cursor.checked_next_multiple_of(align),
        }
    }

    fn map_and_trim(&mut self, size: usize, align: usize) -> Option<usize> {
        let total = size.checked_add(align - PAGE)?;
        let whole = self.kernel.map_anywhere(total)?;
        let base = whole.next_multiple_of(align);
        let (head, tail) = (base - whole, whole + total - (base + size));
        if head > 0 && !self.kernel.unmap(whole, head) {
            self.kernel.undo(whole, total);
            return None;
        }
        if tail > 0 && !self.kernel.unmap(base + size, tail) {
            self.kernel.undo(base, size + tail);
            return None;
        }
        Some(base)
    }

    /// A hole has come into being: if it is the last of the packed places, the next mapping goes there.
    fn retreat(&mut self, rules: Rules, base: usize, size: usize) {
        match rules {
            Rules::Linux if self.cursor == base => self.cursor = base + size,
            Rules::Redox if self.cursor == base + size => self.cursor = base,
            _ => {}
        }
    }
}

fn check_align(align: usize) {
    assert!(
        align.is_power_of_two() && align >= PAGE,
        "contract: an alignment of {align:#x}, which is no power of two from the OS page on"
    );
}
