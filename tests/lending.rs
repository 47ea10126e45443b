//! Which free block serves a request: of its own class, whatever its size; of another where classes lend; and of which page.

mod common;

use common::{Case, KIB, Kernel};
use ralloc::{Defaults, Tuning, account, c_abi};
use std::collections::HashSet;

/// A policy in which each class has pages of its own from the first block on.
struct Unlent;

impl Tuning for Unlent {
    const LENT_BYTES: usize = 0;
}

/// What is free of a class serves every size of the class: none has it for itself.
#[test]
fn all_sizes_of_a_class_share_what_is_free() {
    const SIZES: [usize; 3] = [577, 600, 620];
    for (name, kernel) in Kernel::all() {
        common::run_tuned::<Unlent, _>(kernel(), || {
            let blocks: Vec<_> = (0..64).map(|_| medium::<Unlent>(640)).collect();
            let stays = medium::<Unlent>(640);
            let mut free: HashSet<_> = blocks.iter().copied().collect();
            account::heads::<Case<Unlent>>(&mut |block| {
                free.insert(block);
            });
            give_back::<Unlent>(blocks);
            let sizes = (0..64).map(|number| SIZES[number % SIZES.len()]);
            let blocks: Vec<_> = sizes.map(medium::<Unlent>).collect();
            assert!(blocks.iter().all(|block| free.contains(block)), "{name}");
            give_back::<Unlent>(blocks.into_iter().chain([stays]));
        });
    }
}

/// Blocks are taken from a page that has a good share of its own free before one that has a single one.
#[test]
fn a_page_with_some_free_blocks_is_used_before_one_with_one() {
    for (name, kernel) in Kernel::all() {
        common::run_tuned::<Defaults, _>(kernel(), || {
            const EACH: usize = SLICE / (2 * KIB);
            let blocks: Vec<_> = (0..3 * EACH).map(|_| medium::<Defaults>(2 * KIB)).collect();
            let pages: Vec<_> = blocks.chunks(EACH).collect();
            for page in &pages {
                let slices: HashSet<_> = page.iter().map(|block| block / SLICE).collect();
                assert_eq!(slices.len(), 1, "a page is a slice, on {name}");
            }
            let (few, some) = (&pages[0][..1], &pages[1][..EACH / 4]);
            give_back::<Defaults>(few.iter().chain(some).copied());
            let again: Vec<_> = (some.iter()).map(|_| medium::<Defaults>(2 * KIB)).collect();
            assert!(again.iter().all(|block| some.contains(block)), "{name}");
            let last = medium::<Defaults>(2 * KIB);
            assert_eq!([last], few, "{name}");
            give_back::<Defaults>(blocks);
        });
    }
}

/// Bytes of a slice.
const SLICE: usize = if cfg!(target_pointer_width = "64") {
    64 * KIB
} else {
    16 * KIB
};

/// A policy that lends, when classes have had what they are lent first.
struct LendsLater;

impl Tuning for LendsLater {
    const LENDS: bool = true;
    const LENT_BYTES: usize = 0;
}

/// Blocks of 288 bytes that a refill brings.
const IN_A_HEAD: usize = 4096 / 288;

/// Of small blocks too: a free one of a class that is a little larger stands for one of a class that has none.
#[test]
fn a_small_block_that_lies_free_is_lent() {
    for (name, kernel) in Kernel::all() {
        common::run_tuned::<LendsLater, _>(kernel(), || {
            let [stays, free, far, stays_too] = [320, 320, 640, 640].map(medium::<LendsLater>);
            give_back::<LendsLater>([free, far]);
            let block = medium::<LendsLater>(288);
            assert_eq!(block, free, "{name}");
            give_back::<LendsLater>([stays, block, stays_too]);
        });
    }
}

/// What a class has touched itself it uses before it is lent something, even if nothing of it is on a list.
#[test]
fn a_class_with_an_empty_page_is_lent_nothing() {
    for (name, kernel) in Kernel::all() {
        common::run_tuned::<LendsLater, _>(kernel(), || {
            let first = medium::<LendsLater>(288);
            let others: Vec<_> = (1..IN_A_HEAD).map(|_| medium::<LendsLater>(288)).collect();
            let [stays, free] = [320, 320].map(medium::<LendsLater>);
            give_back::<LendsLater>(others.into_iter().chain([first, free]));
            let block = medium::<LendsLater>(288);
            assert_eq!(block, first, "{name}");
            give_back::<LendsLater>([stays, block]);
        });
    }
}

/// A policy that lends.
struct Lends;

impl Tuning for Lends {
    const LENDS: bool = true;
}

/// A block, as a number.
fn medium<T: Tuning>(size: usize) -> usize {
    let block = c_abi::malloc::<Case<T>>(size);
    assert!(!block.is_null(), "there is memory enough");
    block.expose_provenance()
}

/// Give blocks of [`medium`] back.
fn give_back<T: Tuning>(blocks: impl IntoIterator<Item = usize>) {
    for block in blocks {
        let block = std::ptr::with_exposed_provenance_mut(block);
        // SAFETY: the callers free each block once.
        unsafe { c_abi::free::<Case<T>>(block) };
    }
}

/// Where a block of 5,000 bytes is put when one of 16 KiB lies free in a page in use, one of 24 KiB too, and none of 5 KiB.
fn is_put_where_a_larger_one_was<T: Tuning>(kernel: Kernel) -> bool {
    common::run_tuned::<T, _>(kernel, || {
        let [stays, free, other, too_large] =
            [16 * KIB, 16 * KIB, 24 * KIB, 24 * KIB].map(medium::<T>);
        give_back::<T>([free, too_large]);
        let block = medium::<T>(5000);
        assert_ne!(block, too_large);
        give_back::<T>([stays, other, block]);
        block == free
    })
}

/// A free block of up to four times the size is used before memory that nobody has touched, where the policy says so.
#[test]
fn a_larger_block_that_lies_free_is_lent() {
    for (name, kernel) in Kernel::all() {
        assert!(is_put_where_a_larger_one_was::<Lends>(kernel()), "{name}");
        let not = is_put_where_a_larger_one_was::<ralloc::Defaults>(kernel());
        assert!(!not, "{name}");
    }
}

/// What is lent is as aligned, as large and as clear as what was asked for.
#[test]
fn what_is_lent_is_what_was_asked_for() {
    const ALIGNS: [usize; 6] = [32, 256, 512, KIB, 2 * KIB, 4 * KIB];
    type Lending = Case<Lends>;
    for (name, kernel) in Kernel::all() {
        common::run_tuned::<Lends, _>(kernel(), || {
            let sizes = || (KIB + 1..32 * KIB).step_by(97);
            let blocks: Vec<_> = sizes().map(|size| (size, medium::<Lends>(size))).collect();
            for &(size, block) in &blocks {
                let block = std::ptr::with_exposed_provenance_mut::<u8>(block);
                // SAFETY: the block has so many bytes.
                unsafe { block.write_bytes(0xA5, size) };
            }
            let (stay, go): (Vec<_>, Vec<_>) = blocks
                .into_iter()
                .enumerate()
                .partition(|(n, _)| n % 3 == 0);
            give_back::<Lends>(go.into_iter().map(|(_, (_, block))| block));
            let mut taken = Vec::new();
            for (number, size) in sizes().enumerate() {
                let align = ALIGNS[number % ALIGNS.len()];
                let aligned = c_abi::memalign::<Lending>(align, size);
                assert!(
                    aligned.addr().is_multiple_of(align),
                    "{size} at {align}, on {name}"
                );
                let cleared = c_abi::calloc::<Lending>(1, size);
                // SAFETY: the block has so many bytes, all of which have been written.
                let bytes = unsafe { std::slice::from_raw_parts(cleared, size) };
                assert!(bytes.iter().all(|&byte| byte == 0), "{size}, on {name}");
                for block in [aligned, cleared] {
                    // SAFETY: the block is live.
                    let usable = unsafe { c_abi::malloc_usable_size::<Lending>(block) };
                    assert!(usable >= size, "on {name}");
                    taken.push(block.expose_provenance());
                }
            }
            give_back::<Lends>(stay.into_iter().map(|(_, (_, block))| block));
            give_back::<Lends>(taken);
        });
    }
}
