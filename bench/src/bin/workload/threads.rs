//! `server`, `survivors`, `idle-threads`: threads that come and go.

use std::{
    ops::Add,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread::{self, Builder, Scope, ScopedJoinHandle},
};

use fastrand::Rng;

use crate::{
    job::{Finding, Job, Tally, on_threads, timed},
    memory::{Block, Chain, Mailbox, Table},
    sizes::Sizes,
};

/// Blocks that a line of servers keeps.
const SESSIONS: usize = 5000;
/// Blocks that one server replaces before it hands over.
const REQUESTS: usize = 20_000;

/// One server and all of its successors.
struct Line {
    sessions: Table<Option<Block>>,
    rng: Rng,
    left: usize,
    tally: Tally,
}

/// Each server replaces random blocks of 10 to 500 bytes for a while, starts its successor, leaves
/// it the blocks, and dies.
pub(crate) fn server(job: &Job) -> Finding {
    let total = Mutex::new(Tally::default());
    timed(|| {
        thread::scope(|scope| {
            for number in 0..job.threads {
                let line = Line {
                    sessions: Table::new(SESSIONS),
                    rng: Rng::with_seed(number as u64),
                    left: job.scaled(400),
                    tally: Tally::default(),
                };
                let total = &total;
                scope.spawn(move || serve(scope, line, total));
            }
        });
        *total.lock().expect("no server panicked")
    })
}

fn serve<'scope>(scope: &'scope Scope<'scope, '_>, mut line: Line, total: &'scope Mutex<Tally>) {
    for _ in 0..REQUESTS {
        let slot = &mut line.sessions[line.rng.usize(..SESSIONS)];
        line.tally.clear(slot);
        *slot = Some(Block::new(line.rng.usize(10..500), line.rng.u32(..)));
    }
    line.left -= 1;
    if line.left > 0 {
        scope.spawn(move || serve(scope, line, total));
        return;
    }
    let Line {
        sessions, tally, ..
    } = &mut line;
    sessions.iter_mut().for_each(|slot| tally.clear(slot));
    let mut total = total.lock().expect("no server panicked");
    *total = total.add(line.tally);
}

/// Blocks that one thread of `survivors` has at once, at most.
const RETAINED: usize = 32 << 10;
/// Places in which blocks survive.
const REFUGES: usize = 64 << 10;

/// Rounds of short-lived threads, several times as many as cores. Each allocates powers of two,
/// frees some at once and the others at its end; every eighth block takes the place of one in
/// the common refuge, which is half cleared every few rounds.
pub(crate) fn survivors(job: &Job) -> Finding {
    let sizes = Sizes::powers(32, 9);
    let refuge: Table<Mailbox> = Table::new(REFUGES);
    timed(|| {
        let mut tally = Tally::default();
        for round in 0..job.scaled(10) {
            let seed = |me| (round * 1000 + me) as u64;
            let threads = on_threads(4 * job.threads, |me| retain(&sizes, &refuge, seed(me)));
            tally = tally + threads;
            if round % 4 == 3 {
                for place in refuge.iter().step_by(2) {
                    tally.free_chain(place.swap(Chain::default()));
                }
            }
        }
        for place in refuge.iter() {
            tally.free_chain(place.swap(Chain::default()));
        }
        tally
    })
}

fn retain(sizes: &Sizes, refuge: &[Mailbox], seed: u64) -> Tally {
    let mut retained: Table<Option<Block>> = Table::new(RETAINED);
    let mut rng = Rng::with_seed(seed);
    let mut tally = Tally::default();
    for step in 0..2 * RETAINED {
        // One in a hundred is a buffer of 4 KiB to 64 KiB.
        let factor = if rng.u32(..100) == 0 { 128 } else { 1 };
        let block = Block::new((sizes.pick(&mut rng) * factor).min(64 << 10), rng.u32(..));
        if step % 8 == 0 {
            let mut chain = Chain::default();
            chain.push(block);
            tally.free_chain(refuge[rng.usize(..REFUGES)].swap(chain));
        } else {
            let slot = &mut retained[rng.usize(..RETAINED)];
            tally.clear(slot);
            *slot = Some(block);
        }
    }
    retained.iter_mut().for_each(|slot| tally.clear(slot));
    tally
}

/// Threads of `idle-threads`.
const IDLE: usize = 1000;
/// Blocks that each of them keeps.
const KEPT: usize = 16;
const STACK: usize = 64 << 10;

/// A thousand threads allocate twice as many blocks as they keep, 16 bytes to 1 KiB, and wait.
/// When all of them have come that far, they free the rest and end one by one: idle threads do
/// not all wake at once. Three times over.
pub(crate) fn idle(job: &Job) -> Finding {
    let sizes = Sizes::pareto(16, 1024);
    let threads = job.scaled(IDLE);
    timed(|| {
        (0..3)
            .map(|_| wait_together(&sizes, threads))
            .fold(Tally::default(), Tally::add)
    })
}

fn wait_together(sizes: &Sizes, threads: usize) -> Tally {
    let main = thread::current();
    let arrived = AtomicUsize::new(0);
    let released = AtomicUsize::new(0);
    let idler = |me: usize| {
        let mut rng = Rng::with_seed(me as u64);
        let mut tally = Tally::default();
        let blocks: [Block; KEPT] = std::array::from_fn(|_| {
            tally.free(Block::new(sizes.pick(&mut rng), rng.u32(..)));
            Block::new(sizes.pick(&mut rng), rng.u32(..))
        });
        // Relaxed, here and below: the counts carry no data.
        if arrived.fetch_add(1, Relaxed) + 1 == threads {
            main.unpark();
        }
        while released.load(Relaxed) <= me {
            thread::park();
        }
        blocks.into_iter().for_each(|block| tally.free(block));
        tally
    };
    thread::scope(|scope| {
        let idler = &idler;
        let spawn = |me| {
            let spawned = Builder::new()
                .stack_size(STACK)
                .spawn_scoped(scope, move || idler(me));
            spawned.expect("the system has room for a thousand threads")
        };
        let idlers: Vec<_> = (0..threads).map(spawn).collect();
        while arrived.load(Relaxed) < threads {
            thread::park();
        }
        let end = |idler: ScopedJoinHandle<'_, Tally>| {
            released.fetch_add(1, Relaxed);
            idler.thread().unpark();
            idler.join().expect("no idler panicked")
        };
        idlers
            .into_iter()
            .map(end)
            .fold(Tally::default(), Tally::add)
    })
}
