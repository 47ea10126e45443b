//! Every line of the log is whole, says what happened, and is there once, whoever else writes.

use super::child;
use ralloc::{Block, Defaults, Level, Tuning, Watchers, watch};
use std::{collections::HashMap, thread};

ralloc::instance! {
    /// Logged.
    struct Logged: Defaults;
}

/// The lines of the log, without what stands in front of the event.
fn events(said: &str) -> Vec<&str> {
    let lines = said
        .lines()
        .filter_map(|line| line.strip_prefix("ralloc: |"));
    lines
        .map(|line| {
            let (pools, event) = line.rsplit_once("| ").expect("pools, and an event");
            assert!(
                pools.chars().all(|pool| "_x|?".contains(pool)),
                "{line}: pools are empty, not empty, or unknown"
            );
            event
        })
        .collect()
}

#[test]
fn a_line_for_each_event() {
    let ended = child::run("log::a_part_that_is_logged");
    let events = events(&ended.said);
    let [alloc, resize, free] = events[..] else {
        panic!("three lines: {}", ended.said);
    };
    assert!(alloc.starts_with("alloc   0x") && alloc.contains("[100] aligned to 64"));
    let block = alloc.split_whitespace().nth(1).expect("a block");
    let address = block.split('[').next().expect("an address");
    assert!(
        resize.starts_with(&format!("resize  {block} to {address}[70]")),
        "{resize}"
    );
    assert!(
        free.starts_with(&format!("free    {address}[70]")),
        "{free}"
    );
}

#[test]
#[ignore = "writes to standard error"]
fn a_part_that_is_logged() {
    watch::<Logged>(Watchers::LOG);
    let mut block = Block::<Logged>::new(100, 64);
    block.realloc_inplace(70).expect("smaller");
}

#[test]
fn lines_of_eight_threads_do_not_mix() {
    let ended = child::run("log::a_part_with_eight_threads");
    assert!(ended.status.success(), "{}", ended.said);
    let mut blocks: HashMap<String, usize> = HashMap::new();
    let events = events(&ended.said);
    assert_eq!(events.len(), 2 * 8 * 300);
    for event in events {
        let words: Vec<_> = event.split_whitespace().collect();
        let (address, size) = words[1].split_once('[').expect("address[size]");
        let size: usize = size.trim_end_matches(']').parse().expect("a size");
        match words[0] {
            "alloc" => assert!(blocks.insert(address.into(), size).is_none(), "{event}"),
            "free" => assert_eq!(blocks.remove(address), Some(size), "{event}"),
            _ => panic!("{event}"),
        }
    }
    assert!(blocks.is_empty());
}

#[test]
#[ignore = "writes to standard error"]
fn a_part_with_eight_threads() {
    watch::<Logged>(Watchers::LOG);
    let work = |thread: usize| {
        // Kept, so that no address is freed and handed out again between two lines.
        let blocks: Vec<_> = (0..300)
            .map(|number| Block::<Logged>::new(thread * 1000 + number + 1, 8))
            .collect();
        blocks
    };
    let threads: Vec<_> = (0..8)
        .map(|thread| thread::spawn(move || work(thread)))
        .collect();
    let blocks: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
    let free = |blocks| thread::spawn(move || drop(blocks));
    let threads: Vec<_> = blocks.into_iter().map(free).collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().expect("no panic"));
}

/// Wants to know of trouble only.
struct Trouble;

impl Tuning for Trouble {
    const LOG_LEVEL: Level = Level::Trouble;
}

ralloc::instance! {
    /// Logged if something goes wrong.
    struct Quiet: Trouble;
}

#[test]
fn the_level_leaves_out_what_matters_less() {
    let ended = child::run("log::a_part_with_trouble");
    let events = events(&ended.said);
    let [failed] = events[..] else {
        panic!("one line: {}", ended.said);
    };
    assert!(failed.starts_with("FAILED  ["), "{failed}");
}

#[test]
#[ignore = "writes to standard error"]
fn a_part_with_trouble() {
    watch::<Quiet>(Watchers::LOG);
    drop(Block::<Quiet>::new(100, 8));
    Block::<Quiet>::try_new(isize::MAX as usize - 5000, 8).expect_err("too much");
}
