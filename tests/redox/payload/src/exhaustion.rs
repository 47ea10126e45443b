//! No memory: a kernel that refuses from the n-th call on, and requests that no kernel can serve.

use crate::{
    Tests, case,
    common::{Case, Draw, Held, KIB, MIB},
    kernel::Counters,
};
use ralloc::c_abi;
use std::vec::Vec;

pub const TESTS: Tests = &[
    (
        "requests_beyond_the_address_space_get_null",
        requests_beyond_the_address_space_get_null,
    ),
    ("addresses_run_out", addresses_run_out),
    (
        "a_kernel_that_refuses_from_the_nth_call_on",
        a_kernel_that_refuses_from_the_nth_call_on,
    ),
];

fn requests_beyond_the_address_space_get_null() {
    case::run(|| {
        for size in [1 << 46, 1 << 47, 1 << 48, usize::MAX / 2, usize::MAX] {
            if size < 1 << 47 && walks_for_hours() {
                continue;
            }
            let block = c_abi::malloc::<Case>(size);
            // More than the kernel can name; half of it might go.
            assert!(block.is_null() || size < 1 << 47, "{size:#x}");
            // SAFETY: a block of nobody else, or null.
            unsafe { c_abi::free::<Case>(block) };
        }
        c_abi::malloc_trim::<Case>();
        let held = Held::new(c_abi::malloc::<Case>(100), 100, 16, 1);
        held.expect("there is memory enough").free();
    });
}

/// The real kernel looks at every page that is unmapped, touched or not: at 64 TiB for half an hour and more.
fn walks_for_hours() -> bool {
    Counters::now().is_none()
}

/// Huge blocks until no hole is large enough: then null, and everything else goes on.
fn addresses_run_out() {
    const HUGE: usize = 8 << 40;
    if walks_for_hours() {
        return;
    }
    case::run(|| {
        let mut blocks = Vec::new();
        loop {
            let block = c_abi::malloc::<Case>(HUGE);
            if block.is_null() {
                break;
            }
            blocks.push(block);
            assert!(blocks.len() < 32, "there are only so many addresses");
        }
        assert!(!blocks.is_empty());
        let held = Held::new(c_abi::malloc::<Case>(MIB), MIB, 16, 1);
        held.expect("small blocks find room").free();
        // SAFETY: blocks of nobody else.
        blocks
            .into_iter()
            .for_each(|block| unsafe { c_abi::free::<Case>(block) });
        c_abi::malloc_trim::<Case>();
    });
}

fn a_kernel_that_refuses_from_the_nth_call_on() {
    for n in 0..24 {
        case::run(|| {
            case::kernel().fail_from(n);
            let mut draw = Draw::new(n as u64 + 1);
            let mut live: Vec<Held> = Vec::new();
            let mut refused = 0;
            for _ in 0..600 {
                let high = if draw.below(20) == 0 {
                    6 * MIB
                } else {
                    40 * KIB
                };
                let (size, seed) = (draw.skewed(1, high), draw.word());
                match Held::new(c_abi::malloc::<Case>(size), size, 16, seed) {
                    Some(held) => live.push(held),
                    None => refused += 1,
                }
                if live.len() > 60 {
                    let old = live.swap_remove(draw.below(60));
                    match old.resize(None, draw.skewed(1, high), draw.word()) {
                        Ok(new) => live.extend(new),
                        Err(old) => old.free(),
                    }
                }
            }
            assert!(refused == 0 || case::kernel().was_asked_to_fail());
            assert!(n > 0 || refused == 600, "nothing was there to serve from");
            live.iter().for_each(Held::check);
            case::kernel().relent();
            live.extend(Held::new(c_abi::malloc::<Case>(MIB), MIB, 16, 1));
            live.into_iter().for_each(Held::free);
        });
    }
}
