//! Several threads, of which one moves at a time, as the input says. Any thread frees what any other has allocated.

use crate::{
    common,
    replay::Replay,
    step::{Step, Steps, THREADS},
};
use ralloc_platform::sim::Lock;
use std::{
    cell::RefCell,
    panic::resume_unwind,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};

/// What all threads work on, one at a time.
type Shared = Arc<Lock<Replay>>;

/// Steps that a thread makes when its exit hook has run, when it is destroyed.
struct LastWill(Shared, Vec<Step>);

thread_local! {
    static LAST_WILL: RefCell<Option<LastWill>> = const { RefCell::new(None) };
}

impl Drop for LastWill {
    fn drop(&mut self) {
        make(&self.0, &self.1);
    }
}

fn make(shared: &Shared, steps: &[Step]) {
    let mut replay = shared.lock();
    steps.iter().for_each(|step| replay.make(step));
}

/// A thread that makes a step when it is told to.
struct Worker {
    steps: mpsc::SyncSender<Order>,
    done: mpsc::Receiver<()>,
    thread: JoinHandle<()>,
}

enum Order {
    Make(Step),
    Exit(Vec<Step>),
}

impl Worker {
    fn start(shared: &Shared) -> Self {
        let (steps, orders) = mpsc::sync_channel(0);
        let (say, done) = mpsc::sync_channel(1);
        let shared = shared.clone();
        let thread = thread::spawn(move || {
            // What is registered first is destroyed last: after the hook that the allocator arms.
            LAST_WILL.set(None);
            for order in orders {
                match order {
                    Order::Make(step) => make(&shared, &[step]),
                    Order::Exit(late) => LAST_WILL.set(Some(LastWill(shared.clone(), late))),
                }
                let _ = say.send(());
            }
        });
        Self {
            steps,
            done,
            thread,
        }
    }

    fn order(&self, order: Order) {
        let told = self.steps.send(order);
        told.and_then(|()| self.done.recv().map_err(|_| unreachable!()))
            .expect("a panic ends the run");
    }

    /// Until its exit hooks have run.
    fn exit(self, late: Vec<Step>) {
        self.order(Order::Exit(late));
        drop(self.steps);
        self.thread
            .join()
            .unwrap_or_else(|payload| resume_unwind(payload));
    }
}

/// Thread 0 is the one that lives as long as the allocator.
pub(crate) fn run(mut steps: Steps) {
    let shared = Arc::new(Lock::new(Replay::new(0)));
    let mut workers: [Option<Worker>; THREADS - 1] = [const { None }; THREADS - 1];
    let mut current = 0;
    while let Some(step) = steps.next() {
        let worker = match current {
            0 => None,
            number => Some(&mut workers[number - 1]),
        };
        match (step, worker) {
            (Step::Switch(to), _) => current = to,
            (Step::Exit { late }, Some(worker)) => {
                let late = steps.by_ref().take(late).collect();
                worker
                    .take()
                    .unwrap_or_else(|| Worker::start(&shared))
                    .exit(late);
            }
            (step, Some(worker)) => worker
                .get_or_insert_with(|| Worker::start(&shared))
                .order(Order::Make(step)),
            (step, None) => make(&shared, &[step]),
        }
    }
    common::kernel().relent();
    workers
        .into_iter()
        .flatten()
        .for_each(|worker| worker.exit(Vec::new()));
    let shared = Arc::into_inner(shared).expect("no thread has it any more");
    shared.into_inner().finish();
}
