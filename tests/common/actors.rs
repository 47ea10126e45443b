//! Threads that act one at a time, in an order that is the same each time: who does what is part of a trace.

use std::{
    sync::mpsc::{Receiver, Sender, channel},
    thread::{Scope, ScopedJoinHandle},
};

/// Something to do.
type Job<'work> = Box<dyn FnOnce() + Send + 'work>;

struct Actor<'scope, 'work> {
    jobs: Sender<Job<'work>>,
    done: Receiver<()>,
    thread: ScopedJoinHandle<'scope, ()>,
}

/// Threads by number, each started when it first has something to do.
pub struct Actors<'scope, 'env, 'work> {
    scope: &'scope Scope<'scope, 'env>,
    actors: Vec<Option<Actor<'scope, 'work>>>,
}

impl<'scope, 'env, 'work: 'scope> Actors<'scope, 'env, 'work> {
    /// At most `count` threads at the same time.
    pub fn new(scope: &'scope Scope<'scope, 'env>, count: usize) -> Self {
        let actors = (0..count).map(|_| None).collect();
        Self { scope, actors }
    }

    /// Have one of them do something, and wait until it is done. A panic goes on in the caller.
    pub fn act(&mut self, number: usize, job: impl FnOnce() + Send + 'work) {
        let scope = self.scope;
        let actor = self.actors[number].get_or_insert_with(|| start(scope));
        let given = actor.jobs.send(Box::new(job)).is_ok();
        if !given || actor.done.recv().is_err() {
            self.end(number);
        }
    }

    /// Have one of them exit, and wait until it is gone. Another takes its number, if it is asked to act again.
    pub fn end(&mut self, number: usize) {
        if let Some(Actor { jobs, thread, .. }) = self.actors[number].take() {
            drop(jobs);
            super::join(thread);
        }
    }

    /// Have all of them exit.
    pub fn end_all(mut self) {
        (0..self.actors.len()).for_each(|number| self.end(number));
    }
}

fn start<'scope, 'work: 'scope>(scope: &'scope Scope<'scope, '_>) -> Actor<'scope, 'work> {
    let (jobs, to_do) = channel::<Job<'work>>();
    let (is_done, done) = channel();
    let thread = scope.spawn(move || {
        for job in to_do {
            job();
            if is_done.send(()).is_err() {
                break;
            }
        }
    });
    Actor { jobs, done, thread }
}
