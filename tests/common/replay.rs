//! A trace for kernels that refuse: always the same requests, whatever becomes of them. A request is served or gets
//! null; blocks keep their contents.

use super::{Case, Draw, Held, KIB, MIB};
use ralloc::c_abi;
use std::{
    cell::RefCell,
    sync::{Arc, Mutex, mpsc},
    thread,
};

/// Live blocks in the trace.
const LIVE: usize = 400;

/// What a replay has come to.
#[derive(Default)]
pub struct Tally {
    /// Requests that got a block.
    pub served: usize,
    /// Requests that got null.
    pub refused: usize,
    /// Calls of the allocator.
    pub operations: usize,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.served += other.served;
        self.refused += other.refused;
        self.operations += other.operations;
    }
}

/// A replay of the trace.
pub struct Replay {
    draw: Draw,
    live: Vec<Option<Held>>,
    tally: Tally,
}

impl Replay {
    /// The same seed makes the same requests.
    pub fn new(seed: u64) -> Self {
        Self {
            draw: Draw::new(seed),
            live: (0..LIVE).map(|_| None).collect(),
            tally: Tally::default(),
        }
    }

    fn count(&mut self, held: Option<Held>) -> Option<Held> {
        self.tally.operations += 1;
        match held {
            Some(_) => self.tally.served += 1,
            None => self.tally.refused += 1,
        }
        held
    }

    fn free(&mut self, held: Held) {
        self.tally.operations += 1;
        held.free();
    }

    /// A request of each kind, for `size` bytes.
    fn request(&mut self, size: usize) -> Option<Held> {
        let (kind, seed) = (self.draw.below(8), self.draw.word());
        let shift = self.draw.below(if size < 64 * KIB { 15 } else { 23 });
        let align = 1 << shift;
        let held = match kind {
            0 | 1 => Held::new_zeroed(c_abi::calloc::<Case>(1, size), size, 16, seed),
            2 => Held::new(c_abi::aligned_alloc::<Case>(align, size), size, align, seed),
            _ => Held::new(c_abi::malloc::<Case>(size), size, 16, seed),
        };
        self.count(held)
    }

    fn malloc(&mut self, size: usize) -> Option<Held> {
        let seed = self.draw.word();
        self.count(Held::new(c_abi::malloc::<Case>(size), size, 16, seed))
    }

    fn place(&mut self, held: Option<Held>) {
        let slot = self.draw.below(LIVE);
        if let Some(old) = std::mem::replace(&mut self.live[slot], held) {
            self.free(old);
        }
    }

    fn resized(&mut self, old: Held, size: usize) -> Option<Held> {
        let seed = self.draw.word();
        match old.resize(None, size, seed) {
            Ok(new) => self.count(new),
            Err(old) => {
                self.count(None);
                Some(old)
            }
        }
    }

    fn resize(&mut self, size: usize) {
        let slot = self.draw.below(LIVE);
        if let Some(old) = self.live[slot].take() {
            self.live[slot] = self.resized(old, size);
        }
    }

    /// `steps` requests for sizes from `low` to `high`; some blocks change their size.
    pub fn churn(&mut self, steps: usize, low: usize, high: usize) {
        for _ in 0..steps {
            let size = self.draw.skewed(low, high);
            if self.draw.below(5) == 0 {
                self.resize(size);
            } else {
                let held = self.request(size);
                self.place(held);
            }
        }
    }

    /// One block grows and shrinks through runs and huge sizes, in place and elsewhere.
    fn growth(&mut self) {
        let mut vector = self.request(MIB);
        let obstacle = self.request(3 * MIB);
        for size in [
            1500, 2100, 3000, 5000, 9000, 4100, 9000, 3000, 1800, 700, 40,
        ] {
            let Some(held) = vector.take() else { break };
            vector = self.resized(held, size * KIB);
        }
        for held in [vector, obstacle].into_iter().flatten() {
            self.free(held);
        }
    }

    /// Huge blocks that come and go: some wait for reuse, are joined and cut, and one waits too long.
    fn tides(&mut self) {
        for size in [9, 3, 13, 5] {
            let both = [self.malloc(size * MIB), self.malloc(size * MIB)];
            both.into_iter().flatten().for_each(|held| self.free(held));
        }
        for _ in 0..300 {
            let held = self.malloc(3 * MIB);
            held.into_iter().for_each(|held| self.free(held));
        }
    }

    /// Another thread frees what is this one's, leaves blocks behind, and goes.
    fn visit(&mut self) {
        let mut theirs: Vec<_> = self
            .live
            .iter_mut()
            .step_by(3)
            .filter_map(Option::take)
            .collect();
        let seed = self.draw.word();
        let visitor = super::in_thread(move || {
            let mut visitor = Self::new(seed);
            visitor.churn(60, 1, 2 * KIB);
            theirs.drain(..).for_each(|held| visitor.free(held));
            visitor.churn(60, 1, 40 * KIB);
            visitor
        });
        self.bury(visitor);
    }

    /// Take what another thread has left.
    fn bury(&mut self, mut other: Self) {
        self.tally.add(&other.tally);
        for held in other.live.drain(..).flatten() {
            self.free(held);
        }
    }

    /// More threads at the same time than a slab has heaps: they come one after the other, share pages, and go one after
    /// the other.
    fn crowd(&mut self) {
        let mut visitors = Vec::new();
        thread::scope(|scope| {
            let mut waiting = Vec::new();
            for number in 0..36 {
                let (is_here, came) = mpsc::channel();
                let (go, may_go) = mpsc::channel::<()>();
                let thread = scope.spawn(move || {
                    let mut visitor = Self::new(number);
                    visitor.churn(12, 1, 600);
                    _ = is_here.send(());
                    _ = may_go.recv();
                    visitor
                });
                _ = came.recv();
                waiting.push((go, thread));
            }
            for (go, thread) in waiting {
                drop(go);
                visitors.push(super::join(thread));
            }
        });
        visitors.into_iter().for_each(|visitor| self.bury(visitor));
    }

    /// A thread allocates and frees when its heap has gone already.
    fn late(&mut self) {
        let tally = Arc::new(Mutex::new(Tally::default()));
        let (given, own) = (tally.clone(), self.request(500));
        let visitor = super::in_thread(move || {
            // On either side of the allocator's own exit hook, whichever order the system has.
            BEFORE.with_borrow_mut(|late| *late = Some(Late(given.clone(), own)));
            let mut visitor = Self::new(1);
            visitor.churn(10, 1, 500);
            AFTER.with_borrow_mut(|late| *late = Some(Late(given, None)));
            visitor
        });
        self.bury(visitor);
        self.tally.add(&tally.lock().expect("no panic"));
    }

    /// Ask for more than there may be, and give it back.
    pub fn greed(mut self) -> Tally {
        self.churn(300, 1, KIB);
        self.churn(100, KIB, 32 * KIB);
        self.churn(60, 32 * KIB, 900 * KIB);
        self.growth();
        self.churn(10, 2 * MIB, 9 * MIB);
        for held in std::mem::take(&mut self.live).into_iter().flatten() {
            self.free(held);
        }
        self.tally
    }

    /// A part of the trace, to see whether all is well again.
    pub fn epilogue(mut self) -> Tally {
        self.churn(500, 1, KIB);
        self.visit();
        self.churn(100, KIB, 32 * KIB);
        self.growth();
        self.churn(6, 2 * MIB, 5 * MIB);
        for held in std::mem::take(&mut self.live).into_iter().flatten() {
            self.free(held);
        }
        self.tally
    }

    /// The whole trace: more than 10,000 operations, in a thread that comes and goes.
    pub fn trace(mut self) -> Tally {
        self.churn(2500, 1, KIB);
        self.visit();
        self.churn(600, KIB, 32 * KIB);
        self.churn(60, 32 * KIB, 900 * KIB);
        self.growth();
        c_abi::malloc_trim::<Case>();
        self.visit();
        self.crowd();
        self.late();
        self.sparse();
        self.tides();
        self.churn(6, 2 * MIB, 5 * MIB);
        self.churn(1000, 1, 3 * KIB);
        c_abi::malloc_trim::<Case>();
        for held in std::mem::take(&mut self.live).into_iter().flatten() {
            self.free(held);
        }
        self.tally
    }

    /// Many blocks of one class, of which most go: pages that are worth giving to others.
    fn sparse(&mut self) {
        let blocks: Vec<_> = (0..1000).map(|_| self.request(700)).collect();
        let mut stay = Vec::new();
        for (index, held) in blocks.into_iter().enumerate() {
            match held {
                Some(held) if index % 16 == 0 => stay.push(held),
                Some(held) => self.free(held),
                None => {}
            }
        }
        for _ in 0..70 {
            let some: Vec<_> = (0..6).map(|_| self.request(700)).collect();
            some.into_iter().flatten().for_each(|held| self.free(held));
        }
        stay.into_iter().for_each(|held| self.free(held));
    }
}

thread_local! {
    static BEFORE: RefCell<Option<Late>> = const { RefCell::new(None) };
    static AFTER: RefCell<Option<Late>> = const { RefCell::new(None) };
}

/// Something that uses the allocator when it is destroyed.
struct Late(Arc<Mutex<Tally>>, Option<Held>);

impl Drop for Late {
    fn drop(&mut self) {
        let mut late = Replay::new(2);
        late.live[0] = self.1.take();
        late.churn(40, 1, 700);
        late.churn(10, 2 * KIB, 30 * KIB);
        for held in std::mem::take(&mut late.live).into_iter().flatten() {
            late.free(held);
        }
        self.0.lock().expect("no panic").add(&late.tally);
    }
}
