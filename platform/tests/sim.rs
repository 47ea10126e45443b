//! The simulated kernel itself: its rules, its refusals, its ledger, and what it does not tolerate.

mod common;

use common::{End, at, bytes, holds, in_child, in_own_process, map, read_faults, unmap};
use core::ptr::NonNull;
use ralloc_platform::{
    Hooks, Platform,
    sim::{Call, Rules, Sim},
};
use std::panic::{AssertUnwindSafe, catch_unwind};

const PAGE: usize = 4096;
const MIB: usize = 1 << 20;
const BOTH: [Rules; 2] = [Rules::Linux, Rules::Redox];

/// A little of everything. Gives back whatever it was given, and tells how many steps succeeded.
fn trace(kernel: &Sim) -> usize {
    let mut steps = 0;
    let mut mapped = Vec::new();
    for (size, align) in [
        (4 * MIB, 4 * MIB),
        (3 * PAGE, PAGE),
        (MIB, 4 * MIB),
        (MIB, 64 << 10),
    ] {
        mapped.extend(kernel.map(size, align).map(|base| (base, size)));
    }
    steps += mapped.len();
    if let Some((base, size)) = mapped.last_mut() {
        if kernel.extend(at(*base, *size), MIB) {
            *size += MIB;
            steps += 1;
        }
        // SAFETY: a whole mapping, used by nobody.
        if let Some(new) = unsafe { kernel.relocate(*base, *size, 8 * MIB, 4 * MIB) } {
            (*base, *size) = (new, 8 * MIB);
            steps += 1;
        }
        // SAFETY: ours, and empty.
        steps += usize::from(unsafe { kernel.purge(*base, PAGE) });
    }
    for (base, size) in mapped {
        // SAFETY: ours, and used by nobody.
        let done = unsafe { kernel.unmap(base, size) };
        steps += usize::from(done);
        // Refused: once more. Only one call was to fail.
        // SAFETY: as above, as nothing has changed.
        assert!(done || unsafe { kernel.unmap(base, size) });
    }
    steps
}

#[test]
fn whichever_call_is_refused_nothing_leaks() {
    for rules in BOTH {
        let all = trace(&Sim::new(rules));
        let mut refused_calls = 0;
        for n in 0.. {
            let kernel = Sim::new(rules);
            kernel.fail_at(n);
            let steps = trace(&kernel);
            assert_eq!(kernel.leaked(), 0, "{rules:?}, call {n}");
            assert_eq!(kernel.mappings(), []);
            if !kernel.was_asked_to_fail() {
                assert_eq!(steps, all);
                break;
            }
            refused_calls += 1;
        }
        assert!(refused_calls > 10);
    }
}

#[test]
fn a_refused_call_changes_nothing() {
    for rules in BOTH {
        let kernel = Sim::new(rules);
        let base = map(&kernel, 4 * PAGE, PAGE);
        // SAFETY: just mapped.
        unsafe { bytes(base, 4 * PAGE) }.fill(7);
        let before = (kernel.mappings(), kernel.mapped());
        kernel.fail_from(0);
        assert_eq!(kernel.map(PAGE, PAGE), None);
        assert_eq!(kernel.map(PAGE, MIB), None);
        assert!(!kernel.extend(at(base, 4 * PAGE), PAGE));
        // SAFETY: ours, and refused.
        assert!(!unsafe { kernel.unmap(base, 4 * PAGE) });
        // SAFETY: ours, and refused.
        assert!(!unsafe { kernel.purge(base, 4 * PAGE) });
        // SAFETY: ours, and refused.
        assert!(unsafe { kernel.relocate(base, 4 * PAGE, MIB, PAGE) }.is_none());
        assert!(kernel.was_asked_to_fail());
        assert_eq!((kernel.mappings(), kernel.mapped()), before);
        // SAFETY: still mapped.
        assert!(unsafe { holds(base, 4 * PAGE, 7) });
        kernel.relent();
        assert!(!kernel.was_asked_to_fail());
        // SAFETY: ours, and used by nobody.
        unsafe { unmap(&kernel, base, 4 * PAGE) };
    }
}

/// The place is held already when the move is refused.
#[test]
fn a_refused_move_gives_the_place_back() {
    for rules in BOTH {
        let kernel = Sim::new(rules);
        let base = map(&kernel, 4 * PAGE, PAGE);
        kernel.fail_at(1);
        // SAFETY: ours, and refused.
        assert!(unsafe { kernel.relocate(base, 4 * PAGE, MIB, PAGE) }.is_none());
        assert_eq!(kernel.calls_of(Call::Move), 1);
        assert_eq!(kernel.mappings(), [(base.addr().get(), 4 * PAGE)]);
    }
}

#[test]
fn calls_are_refused_by_number() {
    let kernel = Sim::new(Rules::Linux);
    kernel.fail_at(1);
    let granted: Vec<_> = (0..4).map(|_| kernel.map(PAGE, PAGE).is_some()).collect();
    assert_eq!(granted, [true, false, true, true]);
    kernel.fail_from(2);
    let granted: Vec<_> = (0..5).map(|_| kernel.map(PAGE, PAGE).is_some()).collect();
    assert_eq!(granted, [true, true, false, false, false]);
    assert_eq!(kernel.calls(), 9);
    assert_eq!(kernel.calls_of(Call::Map), 9);
    assert_eq!(kernel.calls_of(Call::Unmap), 0);
}

#[test]
fn bytes_beyond_the_limit_are_refused() {
    let kernel = Sim::new(Rules::Redox);
    kernel.limit(10 * PAGE);
    let base = map(&kernel, 8 * PAGE, PAGE);
    assert_eq!(kernel.map(3 * PAGE, PAGE), None);
    assert!(!kernel.extend(at(base, 8 * PAGE), 3 * PAGE));
    assert!(kernel.was_asked_to_fail());
    assert!(kernel.extend(at(base, 8 * PAGE), 2 * PAGE));
    // SAFETY: ours, and used by nobody.
    unsafe { unmap(&kernel, base, 10 * PAGE) };
    map(&kernel, 10 * PAGE, PAGE);
}

#[test]
fn the_ledger_adds_up() {
    let kernel = Sim::new(Rules::Redox);
    let base = map(&kernel, 16 * PAGE, PAGE);
    assert_eq!(
        (kernel.mapped(), kernel.peak(), kernel.pages_walked()),
        (16 * PAGE, 16 * PAGE, 0)
    );
    assert_eq!(kernel.pages_walked_by_exit(), 16);
    // SAFETY: ours, and used by nobody.
    unsafe { unmap(&kernel, at(base, 4 * PAGE), 4 * PAGE) };
    // SAFETY: ours, and used by nobody.
    assert!(unsafe { kernel.purge(base, 2 * PAGE) });
    assert_eq!(
        (kernel.mapped(), kernel.peak(), kernel.pages_walked()),
        (12 * PAGE, 16 * PAGE, 6)
    );
    let start = base.addr().get();
    assert_eq!(
        kernel.mappings(),
        [(start, 4 * PAGE), (start + 8 * PAGE, 8 * PAGE)]
    );
    assert_eq!(kernel.leaked(), 12 * PAGE);
    // Neighbours can be unmapped by one call.
    assert!(kernel.extend(at(base, 4 * PAGE), 4 * PAGE));
    // SAFETY: ours, and used by nobody.
    unsafe { unmap(&kernel, base, 16 * PAGE) };
    assert_eq!((kernel.leaked(), kernel.mappings()), (0, vec![]));
}

/// The smallest hole that is large enough; of equals the lowest.
#[test]
fn redox_fits_best() {
    let kernel = Sim::new(Rules::Redox);
    let base = map(&kernel, 40 * PAGE, PAGE);
    for (first, pages) in [(2, 5), (10, 3), (20, 3), (30, 2)] {
        // SAFETY: ours, and used by nobody.
        unsafe { unmap(&kernel, at(base, first * PAGE), pages * PAGE) };
    }
    assert_eq!(map(&kernel, 3 * PAGE, PAGE), at(base, 10 * PAGE));
    assert_eq!(map(&kernel, 3 * PAGE, PAGE), at(base, 20 * PAGE));
    assert_eq!(map(&kernel, 3 * PAGE, PAGE), at(base, 2 * PAGE));
    assert_eq!(map(&kernel, 2 * PAGE, PAGE), at(base, 5 * PAGE));
    assert_eq!(map(&kernel, 2 * PAGE, PAGE), at(base, 30 * PAGE));
    assert_eq!(map(&kernel, PAGE, PAGE), at(base, 40 * PAGE));
}

/// The highest hole that is large enough, from its top.
#[test]
fn linux_fits_from_the_top() {
    let kernel = Sim::new(Rules::Linux);
    let base = map(&kernel, 40 * PAGE, PAGE);
    for (first, pages) in [(2, 5), (10, 3)] {
        // SAFETY: ours, and used by nobody.
        unsafe { unmap(&kernel, at(base, first * PAGE), pages * PAGE) };
    }
    assert_eq!(map(&kernel, PAGE, PAGE), at(base, 12 * PAGE));
    assert_eq!(map(&kernel, 4 * PAGE, PAGE), at(base, 3 * PAGE));
    assert_eq!(at(map(&kernel, 3 * PAGE, PAGE), 3 * PAGE), base);
}

/// Nobody may rely on an alignment that was not asked for.
#[test]
fn no_alignment_comes_by_itself() {
    for rules in BOTH {
        let kernel = Sim::new(rules);
        let base = map(&kernel, 4 * MIB, PAGE);
        assert!(!base.addr().get().is_multiple_of(64 << 10));
    }
}

#[test]
fn aligned_mappings_are_neighbours() {
    for rules in BOTH {
        let kernel = Sim::new(rules);
        let bases: Vec<_> = (0..4).map(|_| map(&kernel, 4 * MIB, 4 * MIB)).collect();
        for pair in bases.windows(2) {
            assert_eq!(pair[0].addr().get().abs_diff(pair[1].addr().get()), 4 * MIB);
        }
        let calls = kernel.calls();
        let last = map(&kernel, 4 * MIB, 4 * MIB);
        assert_eq!(kernel.calls(), calls + 1, "{rules:?}");
        // SAFETY: ours, and used by nobody.
        unsafe { unmap(&kernel, last, 4 * MIB) };
        assert_eq!(map(&kernel, 4 * MIB, 4 * MIB), last);
    }
}

#[test]
fn others_are_in_the_way_and_in_no_account() {
    for rules in BOTH {
        let kernel = Sim::new(rules);
        let base = map(&kernel, 256 << 10, 4 * MIB);
        let end = at(base, 256 << 10);
        assert!(kernel.occupy(at(end, PAGE), PAGE));
        assert!(!kernel.occupy(at(end, PAGE), PAGE));
        assert!(!kernel.extend(end, 2 * PAGE));
        assert!(kernel.extend(end, PAGE));
        assert_eq!(kernel.mapped(), (256 << 10) + PAGE);
        assert_eq!(kernel.mappings(), [(base.addr().get(), (256 << 10) + PAGE)]);
    }
}

#[test]
fn an_obstacle_where_the_cursor_points_costs_calls_only() {
    for rules in BOTH {
        let kernel = Sim::new(rules);
        let first = map(&kernel, 4 * MIB, 4 * MIB).addr().get();
        for next in [first - PAGE, first + 4 * MIB] {
            kernel.occupy(NonNull::without_provenance(next.try_into().unwrap()), PAGE);
        }
        let second = map(&kernel, 4 * MIB, 4 * MIB).addr().get();
        assert!(second.is_multiple_of(4 * MIB) && second.abs_diff(first) >= 4 * MIB);
        assert_eq!(kernel.mapped(), 8 * MIB);
    }
}

#[test]
fn addresses_run_out() {
    for rules in BOTH {
        let kernel = Sim::with_space(rules, 96 * MIB);
        let bases: Vec<_> = (0..9).map_while(|_| kernel.map(4 * MIB, 4 * MIB)).collect();
        assert!((4..8).contains(&bases.len()), "{}", bases.len());
        assert!(!kernel.was_asked_to_fail());
        for base in bases {
            // SAFETY: ours, and used by nobody.
            unsafe { unmap(&kernel, base, 4 * MIB) };
        }
        map(&kernel, 4 * MIB, 4 * MIB);
    }
}

#[test]
fn the_break_moves_on_linux_only() {
    let kernel = Sim::new(Rules::Linux);
    // SAFETY: asks only.
    let start = unsafe { kernel.program_break(None) };
    // SAFETY: grows.
    let grown = unsafe { kernel.program_break(Some(start + 5000)) };
    assert_eq!(grown, start + 5000);
    let base = NonNull::new(start as *mut u8).expect("not null");
    // SAFETY: the pages up to the break are ours.
    unsafe { bytes(base, 5000) }.fill(7);
    for refused in [1, start - 1, start + (1 << 30)] {
        // SAFETY: refused without effect.
        assert_eq!(unsafe { kernel.program_break(Some(refused)) }, start + 5000);
    }
    kernel.fail_at(0);
    // SAFETY: refused without effect.
    assert_eq!(unsafe { kernel.program_break(Some(start)) }, start + 5000);
    // SAFETY: what lies above is not needed.
    assert_eq!(unsafe { kernel.program_break(Some(start + 1)) }, start + 1);
    // SAFETY: the first page is still ours.
    assert!(unsafe { holds(base, PAGE, 7) });
    let end = in_child(|| {
        // SAFETY: none. The access ends the child.
        let _ = unsafe { at(base, PAGE).as_ptr().read_volatile() };
    });
    assert_eq!(end, End::Signal(libc::SIGSEGV));
    // SAFETY: asks only.
    let none = unsafe { Sim::new(Rules::Redox).program_break(Some(start)) };
    assert_eq!(none, 0);
}

/// Its addresses wait for the next kernel, which finds nothing of what was there before.
#[test]
#[cfg(unix)]
fn a_kernel_that_is_gone_leaves_nothing_open() {
    let end = in_own_process("the_next_kernel_has_the_same_addresses");
    assert_eq!(end, End::Exit(0));
}

/// In a process of its own: the kernel of another test could take the addresses meanwhile.
#[test]
#[cfg(unix)]
#[ignore = "a part of a_kernel_that_is_gone_leaves_nothing_open"]
fn the_next_kernel_has_the_same_addresses() {
    let places = || {
        let kernel = Sim::new(Rules::Linux);
        let base = map(&kernel, 4 * PAGE, PAGE);
        // SAFETY: asks only.
        let start = unsafe { kernel.program_break(None) };
        // SAFETY: grows.
        assert_eq!(unsafe { kernel.program_break(Some(start + 1)) }, start + 1);
        let foreign = at(map(&kernel, PAGE, MIB), PAGE);
        kernel.occupy(foreign, PAGE);
        let places = [base, NonNull::new(start as *mut u8).unwrap(), foreign];
        for place in places {
            // SAFETY: open, and used by nobody.
            let page = unsafe { bytes(place, PAGE) };
            assert!(page.iter().all(|&byte| byte == 0));
            page.fill(7);
        }
        places
    };
    let first = places();
    for place in first {
        assert!(read_faults(|| place), "{place:?} is open");
    }
    assert_eq!(places(), first);
}

#[test]
fn arming_can_be_refused() {
    let kernel = Sim::new(Rules::Linux);
    kernel.install(no_hooks());
    kernel.fail_at(0);
    assert!(!kernel.arm_thread_exit());
    assert!(kernel.arm_thread_exit());
    assert_eq!(kernel.calls_of(Call::Arm), 2);
}

#[test]
fn what_is_written_can_be_read() {
    let kernel = Sim::new(Rules::Linux);
    kernel.write_stderr(b"one ");
    kernel.write_stderr(b"two");
    assert_eq!(kernel.stderr(), "one two");
    let said = panic_of(|| kernel.abort());
    assert_eq!(said, "aborted, having said: one two");
}

fn no_hooks() -> Hooks {
    Hooks {
        thread_exit: |_| {},
        fork_prepare: || {},
        fork_parent: || {},
        fork_child: || {},
    }
}

/// The message of the panic that `act` ends in.
fn panic_of<R>(act: impl FnOnce() -> R) -> String {
    match catch_unwind(AssertUnwindSafe(act)) {
        Ok(_) => String::from("no panic"),
        Err(payload) => match payload.downcast_ref::<&str>() {
            Some(said) => String::from(*said),
            None => payload.downcast_ref().cloned().unwrap_or_default(),
        },
    }
}

/// One breach per line. The kernel stays usable, so that a test can look at it afterwards.
#[test]
fn breaches_of_the_contract_are_named() {
    for rules in BOTH {
        let kernel = Sim::new(rules);
        let base = map(&kernel, 8 * PAGE, PAGE);
        let hole = at(base, 2 * PAGE);
        // SAFETY: ours, and used by nobody.
        unsafe { unmap(&kernel, hole, PAGE) };
        let other = map(&kernel, 8 * PAGE, 4 * MIB);
        assert!(kernel.extend(at(other, 8 * PAGE), PAGE));
        // Not the end of a mapping, and not all of one: refused, because real kernels refuse them.
        assert!(!kernel.extend(at(base, 7 * PAGE), PAGE));
        // SAFETY: ours; nothing happens to it.
        assert!(unsafe { kernel.relocate(base, PAGE, MIB, PAGE) }.is_none());
        // SAFETY (all of them): the calls panic before they have an effect.
        #[rustfmt::skip]
        #[expect(clippy::undocumented_unsafe_blocks, reason = "said once, above")]
        let breaches: [(&str, &dyn Fn()); 14] = [
            ("map of nothing", &|| { kernel.map(0, PAGE); }),
            ("not whole OS pages", &|| { kernel.map(PAGE + 1, PAGE); }),
            ("an alignment of 0x800", &|| { kernel.map(PAGE, 2048); }),
            ("an alignment of 0x3000", &|| { kernel.map(PAGE, 3 * PAGE); }),
            ("extend of", &|| { kernel.extend(hole.map_addr(|a| a.checked_add(PAGE).unwrap()), PAGE); }),
            ("extend of nothing", &|| { kernel.extend(hole, 0); }),
            ("unmap of", &|| { unsafe { kernel.unmap(hole, PAGE) }; }),
            ("unmap of", &|| { unsafe { kernel.unmap(base, 8 * PAGE) }; }),
            ("not whole OS pages", &|| { unsafe { kernel.unmap(at(base, 1), PAGE) }; }),
            ("not whole OS pages", &|| { unsafe { kernel.unmap(base, 100) }; }),
            ("purge of", &|| { unsafe { kernel.purge(at(base, PAGE), 2 * PAGE) }; }),
            ("purge of nothing", &|| { unsafe { kernel.purge(base, 0) }; }),
            ("relocate of", &|| { unsafe { kernel.relocate(base, 8 * PAGE, MIB, PAGE) }; }),
            ("before install", &|| { kernel.arm_thread_exit(); }),
        ];
        for (expected, breach) in breaches {
            let said = panic_of(breach);
            assert!(
                said.starts_with("contract: ") && said.contains(expected),
                "{expected}: {said}"
            );
        }
        kernel.install(no_hooks());
        assert_eq!(
            panic_of(|| kernel.install(no_hooks())),
            "contract: install twice"
        );
        assert_eq!(kernel.mapped(), 16 * PAGE);
    }
}

#[test]
fn what_belongs_to_others_is_not_ours_to_unmap() {
    let kernel = Sim::new(Rules::Linux);
    let base = map(&kernel, PAGE, 4 * MIB);
    assert!(kernel.occupy(at(base, PAGE), PAGE));
    // SAFETY: panics before it has an effect.
    let said = panic_of(|| unsafe { kernel.unmap(base, 2 * PAGE) });
    assert!(said.starts_with("contract: unmap of"), "{said}");
}
