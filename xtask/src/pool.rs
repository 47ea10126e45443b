//! Runs tests side by side, as far as the machine has processors.

use std::{
    sync::{Mutex, mpsc},
    thread,
};

/// More at once would disturb one another's time limits.
const MOST: usize = 4;

/// Calls `work` on every item, some at a time, and `done` with each result as it comes.
pub(crate) fn each<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> R + Sync,
    mut done: impl FnMut(&T, R),
) {
    let workers = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(MOST);
    let queue = Mutex::new(items.iter());
    let next = || {
        queue
            .lock()
            .expect("no worker panics with the queue")
            .next()
    };
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..workers {
            let sender = sender.clone();
            scope.spawn(|| {
                let sender = sender;
                while let Some(item) = next() {
                    if sender.send((item, work(item))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        receiver
            .iter()
            .for_each(|(item, result)| done(item, result));
    });
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_item_is_worked_on_once() {
        let items: Vec<_> = (0..100).collect();
        let mut results = Vec::new();
        super::each(
            &items,
            |item| item * 2,
            |item, result| results.push((*item, result)),
        );
        results.sort_unstable();
        assert!(
            results
                .iter()
                .enumerate()
                .all(|(i, pair)| *pair == (i, i * 2))
        );
        assert_eq!(results.len(), items.len());
    }
}
