//! The account of what every byte is for, which `cargo xtask explain` prints: its pieces are all that is mapped, and each block is in
//! the piece that says where it is.

mod common;

use common::{Case, Held, KIB, Kernel, MIB, actors::Actors};
use ralloc::{
    Process,
    account::{self, Piece, Way, What},
    alloc, c_abi,
};
use std::{collections::BTreeSet, sync::Mutex, thread};

/// A size of each kind that a page can be of, of runs, and of huge blocks.
const SIZES: [usize; 12] = [
    1,
    24,
    100,
    512,
    KIB,
    5 * KIB,
    30 * KIB,
    60 * KIB,
    300 * KIB,
    MIB,
    3 * MIB,
    9 * MIB,
];

fn allocate(size: usize) -> Held {
    Held::new(c_abi::malloc::<Case>(size), size, 16, size as u64).expect("there is memory enough")
}

/// All pieces that are not empty, from the lowest address. No other thread uses the allocator.
fn pieces() -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut visit = |piece: Piece| pieces.extend((piece.size != 0).then_some(piece));
    // SAFETY: the callers see to it.
    unsafe { account::pieces::<Case>(&mut visit) };
    pieces.sort_by_key(|piece| piece.start);
    pieces
}

/// Neighbours become one.
fn joined(ranges: impl Iterator<Item = (usize, usize)>) -> Vec<(usize, usize)> {
    let mut joined: Vec<(usize, usize)> = Vec::new();
    for (start, size) in ranges {
        match joined.last_mut() {
            Some((first, whole)) if *first + *whole == start => *whole += size,
            _ => joined.push((start, size)),
        }
    }
    joined
}

/// The pieces are the extents, and the extents what the kernel has been asked for. Returns the pieces.
fn adds_up(name: &str) -> Vec<Piece> {
    let pieces = pieces();
    for both in pieces.windows(2) {
        let end = both[0].start + both[0].size;
        assert!(end <= both[1].start, "on {name} {both:x?} overlap");
    }
    let mut extents = Vec::new();
    // SAFETY: no other thread uses the allocator.
    unsafe { account::extents::<Case>(&mut |start, size| extents.push((start, size))) };
    extents.sort_unstable();
    let all = joined(pieces.iter().map(|piece| (piece.start, piece.size)));
    assert_eq!(all, joined(extents.iter().copied()), "on {name}");
    let bytes: usize = extents.iter().map(|(_, size)| size).sum();
    let mapped = common::kernel().mapped() + size_of::<Process<Case>>();
    assert_eq!(bytes, mapped, "the kernel's own sum, on {name}");
    pieces
}

/// The piece that has this address.
fn find(pieces: &[Piece], address: usize) -> Option<&Piece> {
    let mut of = pieces.iter();
    of.rfind(|piece| piece.start <= address && address < piece.start + piece.size)
}

/// The piece that a block is in.
fn piece_at(pieces: &[Piece], block: usize) -> &Piece {
    find(pieces, block).expect("every block is in a piece")
}

/// The blocks that the heads of this thread hold.
fn heads() -> Vec<usize> {
    let mut heads = Vec::new();
    account::heads::<Case>(&mut |block| heads.push(block));
    heads
}

/// The blocks that are on their way, of one kind. No other thread uses the allocator.
fn travelling(wanted: Way) -> BTreeSet<usize> {
    let mut blocks = BTreeSet::new();
    let mut visit = |way, block| {
        if way == wanted {
            assert!(blocks.insert(block), "{block:x} travels twice");
        }
    };
    // SAFETY: the callers see to it.
    unsafe { account::travelling::<Case>(&mut visit) };
    blocks
}

#[test]
fn every_mapped_byte_is_in_one_piece() {
    for (name, kernel) in Kernel::all() {
        common::run(kernel(), || {
            adds_up(name);
            let mut blocks = Vec::new();
            for size in SIZES {
                blocks.extend((0..9).map(|_| allocate(size)));
                adds_up(name);
            }
            // Every third goes, then all of them: holes, empty pages, blocks that wait.
            let mut number = 0;
            let (go, stay): (Vec<_>, Vec<_>) = blocks.into_iter().partition(|_| {
                number += 1;
                number % 3 == 0
            });
            go.into_iter().for_each(Held::free);
            adds_up(name);
            stay.into_iter().for_each(Held::free);
            adds_up(name);
            c_abi::malloc_trim::<Case>();
            adds_up(name);
        });
    }
}

#[test]
fn every_block_is_in_a_piece_of_its_kind() {
    for (name, kernel) in Kernel::all() {
        common::run(kernel(), || {
            for size in SIZES {
                // The page stays when the block goes.
                let neighbour = allocate(size);
                let held = allocate(size);
                let pieces = pieces();
                let piece = *piece_at(&pieces, held.address());
                assert_eq!(
                    piece.start,
                    held.address(),
                    "{size} bytes, on {name}: {piece:x?}"
                );
                let kind = match size {
                    0..=32_768 => What::Used,
                    32_769..=2_097_152 => What::Run,
                    _ => What::Huge,
                };
                assert_eq!(piece.what, kind, "{size} bytes, on {name}: {piece:x?}");
                let block_size = if kind == What::Used { piece.size } else { 0 };
                assert_eq!(piece.block_size, block_size, "on {name}: {piece:x?}");
                assert!(piece.size >= held.usable(), "on {name}: {piece:x?}");
                let address = held.address();
                held.free();
                let freed = find(&self::pieces(), address).map(|piece| piece.what);
                // Freed by its owner it is on its page's list, or in a run or mapping that nobody has, or the kernel has it.
                let expected = match kind {
                    What::Used => Some(What::Free),
                    What::Run => Some(What::FreeSlices),
                    _ if size > 8 * MIB => None,
                    _ => Some(What::Waiting),
                };
                assert_eq!(freed, expected, "{size} bytes, on {name}");
                neighbour.free();
            }
        });
    }
}

/// Also where the list of free blocks ends with the first one of the page.
#[test]
fn the_first_block_of_a_page_may_be_the_free_one() {
    for (name, kernel) in Kernel::all() {
        common::run(kernel(), || {
            for size in SIZES.into_iter().filter(|&size| size <= 32 * KIB) {
                let held: Vec<_> = (0..3).map(|_| allocate(size)).collect();
                let address = held[0].address();
                let mut held = held.into_iter();
                held.next().expect("three").free();
                let freed = find(&pieces(), address).map(|piece| piece.what);
                assert_eq!(freed, Some(What::Free), "{size} bytes, on {name}");
                held.for_each(Held::free);
            }
        });
    }
}

#[test]
fn runs_count_with_all_their_slices() {
    for (name, kernel) in Kernel::all() {
        common::run(kernel(), || {
            let held = [100 * KIB, 700 * KIB].map(allocate);
            let piece = held.each_ref().map(|held| {
                let pieces = pieces();
                piece_at(&pieces, held.address()).size
            });
            let stats = common::stats();
            assert_eq!(stats.runs, piece.iter().sum(), "on {name}");
            assert_eq!(stats.run_count, 2, "on {name}");
            held.into_iter().for_each(Held::free);
        });
    }
}

#[test]
fn blocks_of_a_class_are_as_many_as_the_statistics_say() {
    common::run(Kernel::real(), || {
        let blocks: Vec<_> = (0..700).map(|index| allocate(1 + index * 7)).collect();
        let stats = common::stats();
        let pieces = pieces();
        for class in &stats.classes {
            let of = |what| {
                let of = move |piece: &&Piece| {
                    piece.what == what && piece.block_size == class.block_size
                };
                pieces.iter().filter(of)
            };
            assert_eq!(of(What::Used).count(), class.used, "{class:?}");
            let made = of(What::Used).count() + of(What::Free).count();
            let fresh: usize = of(What::Fresh).map(|piece| piece.size).sum();
            let capacity = made + fresh / class.block_size.max(1);
            assert_eq!(capacity, class.capacity, "{class:?}");
            let ends = of(What::Tail).all(|piece| piece.size < class.block_size);
            assert!(ends, "a block fits behind the last: {class:?}");
        }
        let bytes = |what| -> usize {
            let of = pieces.iter().filter(|piece| piece.what == what);
            of.map(|piece| piece.size).sum()
        };
        assert_eq!(bytes(What::Run), stats.runs);
        assert_eq!(bytes(What::Huge), stats.huge);
        blocks.into_iter().for_each(Held::free);
    });
}

#[test]
fn the_heads_hold_what_the_next_requests_get() {
    common::run(Kernel::real(), || {
        // The first few are lent by a larger class.
        let lent: Vec<_> = (0..40).map(|_| allocate(600)).collect();
        let heads = |pieces: &[Piece]| -> BTreeSet<usize> {
            let of_class = |&block: &usize| piece_at(pieces, block).block_size == 640;
            heads().into_iter().filter(of_class).collect()
        };
        let mut more = Vec::new();
        let mut next = BTreeSet::new();
        while next.is_empty() {
            more.push(allocate(600));
            next = heads(&pieces());
        }
        let used = pieces();
        assert!(
            next.iter()
                .all(|&block| piece_at(&used, block).what == What::Used)
        );
        while !next.is_empty() {
            let held = allocate(600);
            assert!(next.remove(&held.address()), "{held:?} was in no head");
            more.push(held);
        }
        assert!(heads(&pieces()).is_empty());
        more.into_iter().chain(lent).for_each(Held::free);
    });
}

/// Blocks that one thread frees and another owns: first in a ring, then in an inbox, at home in the end.
#[test]
fn blocks_on_their_way_are_in_a_ring_and_then_in_an_inbox() {
    for (_, kernel) in Kernel::all() {
        common::run(kernel(), || {
            let blocks: Vec<_> = (0..40)
                .map(|index| allocate(100 + index % 3 * 400))
                .collect();
            let going: BTreeSet<_> = blocks.iter().map(Held::address).collect();
            thread::scope(|scope| {
                let mut others = Actors::new(scope, 1);
                others.act(0, || blocks.into_iter().for_each(Held::free));
                // A ring has room for so many pages; what had to make room is delivered already.
                let (ring, inbox) = (travelling(Way::Ring), travelling(Way::Inbox));
                assert!(!ring.is_empty() && ring.is_disjoint(&inbox));
                assert_eq!(&ring | &inbox, going);
                others.end_all();
            });
            assert!(travelling(Way::Ring).is_empty());
            assert_eq!(travelling(Way::Inbox), going);
            // Before a fork what has arrived is set aside. It is still there.
            common::kernel().as_sim().fork_prepare();
            common::kernel().as_sim().fork_parent();
            assert_eq!(travelling(Way::Inbox), going);
            alloc::trim::<Case>();
            assert!(travelling(Way::Inbox).is_empty());
        });
    }
}

/// What is delivered after something has been set aside is in the account as well as that.
#[test]
fn what_is_set_aside_and_what_came_later_are_both_there() {
    common::run(Kernel::real(), || {
        let early: Vec<_> = (0..10).map(|_| allocate(700)).collect();
        let late: Vec<_> = (0..10).map(|_| allocate(300)).collect();
        let both = early.iter().chain(&late).map(Held::address);
        let both: BTreeSet<_> = both.collect();
        let elsewhere = |blocks: Vec<Held>| {
            common::in_thread(|| blocks.into_iter().for_each(Held::free));
        };
        elsewhere(early);
        common::kernel().as_sim().fork_prepare();
        common::kernel().as_sim().fork_parent();
        elsewhere(late);
        assert_eq!(travelling(Way::Inbox), both);
        alloc::trim::<Case>();
    });
}

/// What a thread has left behind is in the account of the one that asks, and heap records have a piece.
#[test]
fn what_other_threads_have_counts_as_well() {
    common::run(Kernel::real(), || {
        let left = Mutex::new(Vec::new());
        thread::scope(|scope| {
            let mut others = Actors::new(scope, 3);
            for number in 0..3 {
                let left = &left;
                others.act(number, move || {
                    let blocks = SIZES.iter().map(|&size| allocate(size));
                    left.lock().expect("no panic").extend(blocks);
                });
            }
            let pieces = adds_up("real");
            assert!(pieces.iter().any(|piece| piece.what == What::Heaps));
            others.end_all();
        });
        let pieces = adds_up("real");
        let left = left.into_inner().expect("no panic");
        for held in left {
            let piece = piece_at(&pieces, held.address());
            let is_live = matches!(piece.what, What::Used | What::Run | What::Huge);
            assert!(is_live && piece.start == held.address(), "{piece:x?}");
            held.free();
        }
    });
}
