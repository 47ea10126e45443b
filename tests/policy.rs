//! What would be a slow leak, and nothing worse, if it were left out.

mod common;

use common::{Case, Held, KIB, Kernel, MIB};
use ralloc::{Instance, Purge, Tuning, c_abi};
use ralloc_platform::sim::{Call, Rules};
use std::{
    collections::HashSet,
    sync::{Barrier, mpsc},
    thread,
};

fn allocate(size: usize) -> Held {
    Held::new(c_abi::malloc::<Case>(size), size, 16, size as u64).expect("there is memory enough")
}

/// Frees that have arrived for a page before the page is given away reach whoever has it then: no block is lost.
#[test]
fn frees_that_arrive_for_a_page_that_moves_are_forwarded() {
    for (_, kernel) in Kernel::all() {
        common::run(kernel(), || {
            let sparse = |(index, held): (usize, Held)| match index % 16 {
                0 => Some(held),
                _ => {
                    held.free();
                    None
                }
            };
            let blocks: Vec<_> = (0..4096).map(|_| allocate(512)).collect();
            let survivors: Vec<_> = blocks.into_iter().enumerate().filter_map(sparse).collect();
            thread::scope(|scope| {
                let (has_freed, owner_goes_on) = mpsc::channel();
                let (is_done, other_goes) = mpsc::channel::<()>();
                let other = scope.spawn(move || {
                    survivors.into_iter().for_each(Held::free);
                    c_abi::malloc_trim::<Case>();
                    has_freed.send(()).expect("the owner is there");
                    other_goes.recv().expect("the owner is there");
                });
                owner_goes_on.recv().expect("the other thread is there");
                // Work that finds what it needs on the current page, so that the inbox is not looked into; now and then
                // the owner gives a sparse page away.
                for _ in 0..64 * 20 {
                    let some: Vec<_> = (0..8).map(|_| allocate(512)).collect();
                    some.into_iter().for_each(Held::free);
                }
                is_done.send(()).expect("the other thread is there");
                common::join(other);
            });
            // What is not forwarded, or left where it was forwarded to, is still in use when the case ends.
        });
    }
}

/// A huge block that waits for a request of its size does not wait for ever while others come and go.
#[test]
fn a_huge_block_that_nobody_wants_goes_back_while_others_come_and_go() {
    for (name, kernel) in Kernel::all() {
        common::run(kernel(), || {
            let come_and_go = |times: usize| (0..times).for_each(|_| allocate(6 * MIB).free());
            let (unwanted, between) = (allocate(3 * MIB), allocate(3 * MIB));
            come_and_go(20);
            unwanted.free();
            let before = common::kernel().mapped();
            come_and_go(200);
            assert_eq!(common::kernel().mapped(), before, "it waits, on {name}");
            come_and_go(100);
            let after = common::kernel().mapped();
            assert_eq!(after, before - 4 * MIB, "it has gone back, on {name}");
            between.free();
        });
    }
}

/// A page whose last block has been freed is kept for the next request, but not for ever while its thread does other things.
#[test]
fn an_empty_page_goes_back_while_its_thread_does_other_things() {
    for (name, kernel) in Kernel::all() {
        common::run(kernel(), || {
            let size = 8 * KIB;
            let pages = || -> usize {
                let classes = common::stats().classes;
                let of_size = classes.iter().filter(|class| class.block_size == size);
                of_size.map(|class| class.pages).sum()
            };
            allocate(size).free();
            assert_eq!(pages(), 1, "it is kept, on {name}");
            // A refill brings 64 blocks at most. Every 64 refills a thread gives back what was empty the last time too.
            let others: Vec<_> = (0..3 * 64 * 64).map(|_| allocate(16)).collect();
            assert_eq!(pages(), 0, "it has gone back, on {name}");
            others.into_iter().for_each(Held::free);
        });
    }
}

/// Huge blocks of several sizes, each in the place of an earlier one. `look` is asked after each step.
fn come_and_go(steps: usize, mut look: impl FnMut()) {
    let mut live: [Option<Held>; 6] = Default::default();
    for step in 0..steps {
        let place = &mut live[step * 5 % 7 % 6];
        if let Some(held) = place.take() {
            held.free();
        }
        *place = Some(allocate((3 + step * 7 % 13) * MIB));
        look();
    }
    live.into_iter().flatten().for_each(Held::free);
}

/// A request that is larger than all that waits gets the pages of the largest, moved, and reads zero if it is to.
#[test]
fn a_waiting_block_that_is_too_small_is_moved_to_where_there_is_room() {
    for (name, kernel) in Kernel::all()
        .into_iter()
        .filter(|(name, _)| name.starts_with("sim"))
    {
        common::run(kernel(), || {
            let sim = common::kernel().as_sim();
            let moves = || sim.calls_of(Call::Move);
            // Other mappings in front and behind: it cannot grow where it is.
            let around = allocate(6 * MIB);
            let small = allocate(6 * MIB);
            let behind = allocate(6 * MIB);
            small.free();
            let before = moves();
            let size = 21 * MIB + 5;
            let block = c_abi::calloc::<Case>(1, size);
            let large = Held::new_zeroed(block, size, 16, 1).expect("there is memory enough");
            assert_eq!(moves(), before + 1, "on {name}");
            assert_eq!(sim.mapped() / MIB, (8 + 24 + 8), "nothing waits, on {name}");
            [around, behind, large].into_iter().for_each(Held::free);
        });
    }
}

/// Memory is kept for huge blocks that come and go, as long as all of it has been in use at the same time before.
#[test]
fn what_is_kept_adds_nothing_at_the_peak() {
    for (name, kernel) in Kernel::all() {
        common::run(kernel(), || {
            let mut kept = 0;
            come_and_go(200, || {
                let stats = common::stats();
                assert!(stats.huge + stats.retained <= stats.peak, "on {name}");
                kept = kept.max(stats.retained);
            });
            assert!(kept > 16 * MIB, "{kept} bytes, on {name}");
        });
    }
}

/// What small blocks need again and again does not go back in between, although the program keeps house all the while.
#[test]
fn what_small_blocks_come_and_go_in_is_kept() {
    for (name, kernel) in Kernel::all() {
        common::run(kernel(), || {
            let tide = || {
                let blocks: Vec<_> = (0..24 * MIB / 64).map(|_| allocate(64)).collect();
                blocks.into_iter().for_each(Held::free);
            };
            (0..20).for_each(|_| tide());
            let before = common::stats().purged;
            (0..20).for_each(|_| tide());
            let purged = common::stats().purged - before;
            assert!(purged < 60 * MIB, "{purged} bytes, on {name}");
        });
    }
}

/// What is kept because it was wanted again and again does not stay when the program goes on with other things.
#[test]
fn what_is_kept_goes_back_while_the_program_does_other_things() {
    for (name, kernel) in Kernel::all() {
        common::run(kernel(), || {
            come_and_go(100, || ());
            let before = common::stats().retained;
            assert!(before > 16 * MIB, "{before} bytes, on {name}");
            for _ in 0..500 {
                // A refill brings 64 blocks at most, and every 64 refills a thread keeps house.
                let others: Vec<_> = (0..64 * 64).map(|_| allocate(1024)).collect();
                others.into_iter().for_each(Held::free);
            }
            let after = common::stats().retained;
            assert!(after <= 8 * MIB, "{after} bytes, on {name}");
        });
    }
}

/// Classes that are used once do not have a page each; one that is used often has, and its blocks are no larger than they must be.
#[test]
fn classes_that_are_rarely_used_share_pages() {
    let usable = |held: &Held| {
        let block = std::ptr::with_exposed_provenance_mut(held.address());
        // SAFETY: the block is live.
        unsafe { c_abi::malloc_usable_size::<Case>(block) }
    };
    for (name, kernel) in Kernel::all() {
        common::run(kernel(), || {
            let pages = || {
                common::stats()
                    .classes
                    .iter()
                    .map(|class| class.pages)
                    .sum::<usize>()
            };
            // One of each class.
            let steps = [(16, 16, 256), (288, 32, 512), (576, 64, KIB)];
            let sizes = steps
                .into_iter()
                .flat_map(|(from, step, to)| (from..=to).step_by(step));
            let mut held: Vec<_> = sizes.map(allocate).collect();
            // Of 64, 256, 512 and 1024 bytes.
            assert!(pages() <= 4, "{} pages, on {name}", pages());
            for align in [64, 128, 256, 512, 1024] {
                let block = c_abi::memalign::<Case>(align, align);
                held.push(Held::new(block, align, align, 7).expect("there is memory enough"));
            }
            assert_eq!(usable(&held[4]), 256, "on {name}");
            let many: Vec<_> = (0..64).map(|_| allocate(80)).collect();
            let exact = many.iter().filter(|held| usable(held) == 80).count();
            assert!(exact >= 64 - 8, "{exact} blocks, on {name}");
            held.into_iter().chain(many).for_each(Held::free);
        });
    }
}

/// Pages that were of a heap go back to it, though there is room below them.
#[test]
fn a_heap_takes_its_own_slices_first() {
    for (name, kernel) in Kernel::all() {
        common::run(kernel(), || {
            let slice = |held: &Held| held.address() / (64 * KIB);
            let below = allocate(256 * KIB);
            let own = allocate(8 * KIB);
            let before = slice(&own);
            assert!(slice(&below) < before, "on {name}");
            below.free();
            own.free();
            c_abi::malloc_trim::<Case>();
            let again = allocate(8 * KIB);
            assert_eq!(slice(&again), before, "on {name}");
            again.free();
        });
    }
}

/// What another thread has freed in any order is used in the order of addresses, page by page; and no block is lost.
#[test]
fn what_another_thread_freed_is_used_in_the_order_of_addresses() {
    const BLOCKS: usize = 10_000;
    for (size, (name, kernel)) in [16, 32, 240]
        .into_iter()
        .flat_map(|size| Kernel::all().map(|kernel| (size, kernel)))
    {
        common::run(kernel(), || {
            let mut blocks: Vec<_> = (0..BLOCKS).map(|_| Some(allocate(size))).collect();
            // A page that is empty begins anew: none of them is.
            let kept: Vec<_> = (blocks
                .iter_mut()
                .step_by(BLOCKS / 100)
                .filter_map(Option::take))
            .collect();
            let scattered: Vec<_> = (0..BLOCKS)
                .filter_map(|index| blocks[index * 7919 % BLOCKS].take())
                .collect();
            assert_eq!(
                kept.len() + scattered.len(),
                BLOCKS,
                "every block has been drawn"
            );
            let freed: HashSet<_> = scattered.iter().map(Held::address).collect();
            common::in_thread(|| scattered.into_iter().for_each(Held::free));

            let again: Vec<_> = (0..freed.len()).map(|_| allocate(size)).collect();
            let addresses: Vec<_> = again.iter().map(Held::address).collect();
            let neighbours = addresses.windows(2).filter(|two| two[1] == two[0] + size);
            let share = neighbours.count() * 100 / freed.len();
            assert!(
                share > 95,
                "{share} % of {size} bytes are neighbours, on {name}"
            );
            // Beside what has come home the owner has what its head had, and what was never used of its last page.
            let others = 64 + 64 * KIB / size - BLOCKS % (64 * KIB / size);
            let used = addresses.iter().filter(|address| freed.contains(address));
            let used = used.count();
            assert!(
                used + others >= freed.len(),
                "{used} blocks of {size} bytes, on {name}"
            );
            common::verify();
            again.into_iter().chain(kept).for_each(Held::free);
        });
    }
}

/// A policy with large pages.
struct LargePages;

impl Tuning for LargePages {
    const LARGE_PAGES_ABOVE: usize = 16 * MIB;
}

/// A chunk is backed by large pages when most of what the program has is in pages that are used from end to end.
#[test]
fn large_pages_back_what_is_used_from_end_to_end() {
    type Large = Case<LargePages>;
    fn one(size: usize) -> usize {
        let block = c_abi::malloc::<Large>(size);
        assert!(!block.is_null(), "there is memory enough");
        block.expose_provenance()
    }
    fn many(size: usize) -> Vec<usize> {
        (0..48 * MIB / size).map(|_| one(size)).collect()
    }
    /// A block of each size, in as many threads as do not share their pages.
    fn few_of_each() -> Vec<usize> {
        const THREADS: usize = 15;
        let are_there = Barrier::new(THREADS);
        thread::scope(|scope| {
            let one_of_each = || {
                let blocks: Vec<_> = (1..512).map(|units| one(16 * units)).collect();
                are_there.wait();
                blocks
            };
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(one_of_each)).collect();
            threads.into_iter().flat_map(common::join).collect()
        })
    }
    type Shape = (&'static str, fn() -> Vec<usize>, bool);
    const SHAPES: [Shape; 4] = [
        ("small blocks", || many(1000), true),
        ("buffers", || many(16 * KIB), false),
        ("runs", || many(MIB), false),
        ("a few of each size in each thread", few_of_each, false),
    ];
    for (shape, allocate, wanted) in SHAPES {
        common::run_tuned::<LargePages, _>(Kernel::sim(Rules::Linux), || {
            let blocks = allocate();
            let kernel = Large::process().kernel();
            assert!(kernel.as_sim().mapped() > 36 * MIB, "{shape}");
            assert_eq!(kernel.as_sim().expected() != 0, wanted, "{shape}");
            for block in blocks {
                let block = std::ptr::with_exposed_provenance_mut(block);
                // SAFETY: allocated above, and freed once.
                unsafe { c_abi::free::<Large>(block) };
            }
        });
    }
}

/// Free memory stays up to what was chosen, and goes back beyond.
#[test]
fn what_stays_is_what_was_chosen() {
    let stays = |purge| {
        common::run(Kernel::real(), || {
            <Case>::process().set_purge(purge);
            let blocks: Vec<_> = (0..1200).map(|_| allocate(20 * KIB)).collect();
            blocks.into_iter().for_each(Held::free);
            let stats = common::stats();
            (stats.retained, stats.purges)
        })
    };
    let (kept, purges) = stays(Purge::Never);
    assert!(kept > 20 * MIB && purges == 0, "never: {kept}, {purges}");
    let (kept, purges) = stays(Purge::Above(0));
    assert!(kept < MIB && purges != 0, "eager: {kept}, {purges}");
    let (kept, purges) = stays(Purge::Above(4 * MIB));
    let near = MIB..=6 * MIB;
    assert!(
        near.contains(&kept) && purges != 0,
        "4 MiB: {kept}, {purges}"
    );
}
