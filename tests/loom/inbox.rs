//! Batches that two threads push while the owner takes them out.

use super::{
    scribble,
    world::{self, Kernel, Model},
};
use crate::{
    block::Block,
    config::{CHUNK, GRANULE},
    free_list,
    remote::{Batch, Inbox},
};
use ralloc_platform::Platform;
use std::ptr::NonNull;

/// Block `index` of a chunk that is all blocks.
fn block(chunk: NonNull<u8>, index: usize) -> NonNull<u8> {
    // SAFETY: the chunk is large enough.
    unsafe { chunk.add(index * GRANULE) }
}

/// A batch of blocks that the program has just written to.
fn batch(chunk: NonNull<u8>, from: usize, count: usize) -> Batch {
    for index in from..from + count {
        scribble(block(chunk, index));
    }
    // SAFETY: the block is in our hands.
    let first = unsafe { Block::from_ptr(block(chunk, from)) };
    if count == 1 {
        return Batch::single(first);
    }
    // SAFETY: the blocks are neighbours, and ours.
    unsafe { free_list::lay(first, GRANULE, count) };
    // SAFETY: as above.
    let last = unsafe { Block::from_ptr(block(chunk, from + count - 1)) };
    Batch { first, last, count }
}

/// Takes everything home, uses the blocks, and says which they were.
fn take_home(inbox: &Inbox, chunk: NonNull<u8>) -> u64 {
    let mut seen = 0;
    for batch in inbox.take_all() {
        let mut count = 0;
        // SAFETY: the batch is ours.
        for block in unsafe { free_list::drain(batch.first.address()) } {
            let index = (block.address() - chunk.addr().get()) / GRANULE;
            assert!(seen >> index & 1 == 0, "block {index} comes home once");
            seen |= 1 << index;
            count += 1;
            scribble(block.start());
        }
        assert_eq!(count, batch.count);
    }
    seen
}

#[test]
fn batches_arrive_whole_and_once() {
    let model = Model {
        name: "inbox",
        bound: 3,
    };
    // SAFETY: all zero is an empty inbox.
    model.run(
        || unsafe { std::mem::zeroed::<Inbox>() },
        |inbox| {
            let chunk = Kernel.map(CHUNK, CHUNK).expect("memory");
            let one = world::spawn(move || {
                inbox.push(batch(chunk, 0, 1));
                inbox.push(batch(chunk, 1, 3));
            });
            let two = world::spawn(move || inbox.push(batch(chunk, 4, 2)));
            let early = take_home(inbox, chunk);
            inbox.set_aside();
            let aside = take_home(inbox, chunk);
            one.join();
            two.join();
            assert!(inbox.is_empty() == (early | aside == 0b11_1111));
            let late = take_home(inbox, chunk);
            assert_eq!(early | aside | late, 0b11_1111);
            assert_eq!((early & aside) | (early & late) | (aside & late), 0);
        },
    );
}
