//! Threads do not wait for each other, and nothing is lost between them.

use super::child;
use std::{
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

const THREADS: usize = 6;
const ROUNDS: usize = 3000;

/// A thread that passes on what it gets, or frees it and passes on something new; what it gets must be what was sent.
fn link(number: usize, input: &Receiver<Vec<u8>>, output: &Sender<Vec<u8>>) {
    for round in 0..ROUNDS {
        let size = (round * 7919 + number * 104_729) % if round % 50 == 0 { 200_000 } else { 900 };
        let _ = output.send(vec![size as u8; size]);
        let Ok(block) = input.recv() else { return };
        let fill = block.len() as u8;
        assert!(
            block.iter().all(|&byte| byte == fill),
            "{} bytes",
            block.len()
        );
        if round % 3 == 0 {
            // A relay: freed two threads away from where it was allocated.
            let _ = output.send(block);
            let Ok(other) = input.recv() else { return };
            drop(other);
        }
    }
}

#[test]
#[ignore = "a part of blocks_go_round_a_ring_of_threads"]
fn part_ring() {
    let before = ralloc::stats().live;
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| channel()).unzip();
    let mut outputs = senders.into_iter().cycle().skip(1);
    let threads: Vec<_> = receivers
        .into_iter()
        .enumerate()
        .map(|(number, input)| {
            let output = outputs.next().expect("a ring");
            thread::spawn(move || link(number, &input, &output))
        })
        .collect();
    drop(outputs);
    threads
        .into_iter()
        .for_each(|thread| thread.join().expect("no panic"));
    // SAFETY: no other thread is at work.
    unsafe { ralloc::verify() };
    ralloc::trim();
    ralloc::trim();
    // SAFETY: as above.
    unsafe { ralloc::verify() };
    let stats = ralloc::stats();
    assert!(
        stats.live < before + (1 << 18),
        "the blocks are all free: {stats}"
    );
    assert!(stats.batches > 0);
}

#[test]
fn blocks_go_round_a_ring_of_threads() {
    child::passes("thread_pools::part_ring");
}
