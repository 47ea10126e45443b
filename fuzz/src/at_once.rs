//! Two threads that really run at the same time. Each has blocks of its own, and a place where they hand blocks over.

use crate::{
    common::{self, Held},
    replay::Replay,
    step::{Step, Steps},
};
use ralloc_platform::sim::Lock;
use std::thread;

/// The threads that there are at the same time.
const AT_ONCE: usize = 2;

/// Blocks that a thread has handed over, for the other.
type Shelf = Lock<Vec<Held>>;

/// What a thread is to do, until it ends; its successor does the next.
type Life = Vec<Step>;

/// Hand out the steps of an input.
fn lives(steps: Steps) -> [Vec<Life>; AT_ONCE] {
    let mut all = [const { Vec::new() }; AT_ONCE];
    all.iter_mut().for_each(|lives| lives.push(Life::new()));
    let mut current = 0;
    for step in steps {
        match step {
            Step::Switch(to) => current = to % AT_ONCE,
            Step::Exit { .. } => all[current].push(Life::new()),
            // Other threads use the allocator meanwhile; and who relents makes the other's null look wrong.
            Step::Verify | Step::Relent => {}
            step => all[current].last_mut().expect("not empty").push(step),
        }
    }
    all
}

/// Make the steps of a life.
fn live(life: &Life, replay: &mut Replay, from: &Shelf, to: &Shelf) {
    for step in life {
        match *step {
            Step::Give(pick) => {
                let held = replay.reference.remove(pick);
                to.lock().extend(held);
            }
            Step::Take(pick) => {
                let mut shelf = from.lock();
                let held = pick
                    .checked_rem(shelf.len())
                    .map(|index| shelf.swap_remove(index));
                drop(shelf);
                match held {
                    // Now and then it lives on with its new owner.
                    Some(held) if pick % 4 == 0 => replay.reference.insert(Some(held)),
                    held => held.into_iter().for_each(Held::free),
                }
            }
            ref step => replay.make(step),
        }
    }
}

pub(crate) fn run(steps: Steps) {
    let lives = lives(steps);
    let shelves: [Shelf; AT_ONCE] = Default::default();
    let left: Vec<_> = thread::scope(|scope| {
        let slots = lives.iter().enumerate().map(|(slot, lives)| {
            let (from, to) = (&shelves[slot], &shelves[(slot + 1) % AT_ONCE]);
            scope.spawn(move || {
                let mut replay = Replay::new(slot as u64);
                for life in lives {
                    common::in_thread(|| live(life, &mut replay, from, to));
                }
                replay
            })
        });
        let slots: Vec<_> = slots.collect();
        slots.into_iter().map(common::join).collect()
    });
    common::kernel().relent();
    common::verify();
    left.into_iter().for_each(Replay::finish);
    for shelf in shelves {
        let held = shelf.into_inner();
        held.into_iter().for_each(Held::free);
    }
}
