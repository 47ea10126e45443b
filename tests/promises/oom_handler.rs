//! What a handler may do: free and retry, give up, fail itself, unwind, not return.

use super::{
    child,
    common::{self, Case, Kernel, MIB},
};
use ralloc::{OutOfMemory, Ralloc, Recovery, native, oom};
use ralloc_platform::sim::Rules;
use std::{
    alloc::{GlobalAlloc, Layout},
    panic::catch_unwind,
    ptr::NonNull,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

/// Blocks that are all of one size, by address.
#[derive(Default)]
struct Reserve(Vec<usize>);

impl Reserve {
    const BYTES: usize = 100_000;

    /// All that the kernel has.
    fn all() -> Self {
        let next = || native::try_alloc::<Case>(Self::BYTES, 16).ok();
        Self(
            std::iter::from_fn(next)
                .map(|block| block.expose_provenance().get())
                .collect(),
        )
    }

    fn free_one(&mut self) -> bool {
        let Some(address) = self.0.pop() else {
            return false;
        };
        let block = NonNull::new(std::ptr::with_exposed_provenance_mut(address)).expect("a block");
        // SAFETY: allocated with this size, freed once.
        unsafe { native::free::<Case>(block, Self::BYTES) };
        true
    }
}

/// An allocator on a kernel that has 16 MiB, all of them taken.
fn when_all_is_taken(reserve: &Mutex<Reserve>, work: impl FnOnce() + Send) {
    common::run(Kernel::sim(Rules::Linux), || {
        common::kernel().limit(16 * MIB);
        *reserve.lock().expect("no panic") = Reserve::all();
        work();
        while reserve.lock().expect("no panic").free_one() {}
    });
}

#[test]
fn it_frees_and_the_request_is_tried_again_until_it_is_served() {
    static RESERVE: Mutex<Reserve> = Mutex::new(Reserve(Vec::new()));
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    fn free_one(_: OutOfMemory) -> Recovery {
        CALLS.fetch_add(1, SeqCst);
        match RESERVE.lock().expect("no panic").free_one() {
            true => Recovery::Retry,
            false => Recovery::GiveUp,
        }
    }
    when_all_is_taken(&RESERVE, || {
        oom::set_oom_handler::<Case>(Some(free_one));
        // Large enough that one block of the reserve is not enough, small enough that some are.
        for size in [1, 500, 20_000, MIB] {
            let block = native::alloc::<Case>(size, 16);
            // SAFETY: the block has so many bytes, and is freed once.
            unsafe {
                block.write_bytes(7, size);
                native::free::<Case>(block, size);
            }
        }
        assert!(CALLS.load(SeqCst) > 4, "{CALLS:?} calls for 1 MiB");
    });
}

#[test]
fn it_gives_up_and_the_request_fails() {
    static RESERVE: Mutex<Reserve> = Mutex::new(Reserve(Vec::new()));
    static ASKED: Mutex<Vec<OutOfMemory>> = Mutex::new(Vec::new());
    fn give_up(request: OutOfMemory) -> Recovery {
        ASKED.lock().expect("no panic").push(request);
        Recovery::GiveUp
    }
    when_all_is_taken(&RESERVE, || {
        assert!(oom::set_oom_handler::<Case>(Some(give_up)).is_none());
        let ralloc = Ralloc::<Case>::new();
        let layout = Layout::from_size_align(MIB, 4096).expect("a layout");
        // SAFETY: the layout has a size.
        assert!(unsafe { ralloc.alloc(layout) }.is_null());
        // SAFETY: as above.
        assert!(unsafe { ralloc.alloc_zeroed(layout) }.is_null());
        let small = Layout::from_size_align(Reserve::BYTES, 16).expect("a layout");
        let first = RESERVE.lock().expect("no panic").0[0];
        let first = std::ptr::with_exposed_provenance_mut(first);
        // SAFETY: a block of this layout, which stays as it is.
        assert!(unsafe { ralloc.realloc(first, small, MIB) }.is_null());
        let request = |align| OutOfMemory { size: MIB, align };
        let asked = std::mem::take(&mut *ASKED.lock().expect("no panic"));
        assert_eq!(asked, [request(4096), request(4096), request(16)]);
        assert_eq!(
            oom::set_oom_handler::<Case>(None).map(|old| old as usize),
            Some(give_up as fn(_) -> _ as usize)
        );
        // SAFETY: the layout has a size.
        assert!(unsafe { ralloc.alloc(layout) }.is_null());
        assert!(
            ASKED.lock().expect("no panic").is_empty(),
            "nobody is asked any more"
        );
    });
}

#[test]
fn it_allocates_itself_and_fails() {
    static RESERVE: Mutex<Reserve> = Mutex::new(Reserve(Vec::new()));
    static DEPTH: AtomicUsize = AtomicUsize::new(0);
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    fn greedy(_: OutOfMemory) -> Recovery {
        assert_eq!(
            DEPTH.fetch_add(1, SeqCst),
            0,
            "not called from within itself"
        );
        let layout = Layout::from_size_align(MIB, 16).expect("a layout");
        // SAFETY: the layout has a size.
        assert!(unsafe { Ralloc::<Case>::new().alloc(layout) }.is_null());
        assert!(native::try_alloc::<Case>(MIB, 16).is_err());
        DEPTH.fetch_sub(1, SeqCst);
        if CALLS.fetch_add(1, SeqCst) < 3 {
            Recovery::Retry
        } else {
            Recovery::GiveUp
        }
    }
    when_all_is_taken(&RESERVE, || {
        oom::set_oom_handler::<Case>(Some(greedy));
        let layout = Layout::from_size_align(2 * MIB, 16).expect("a layout");
        // SAFETY: the layout has a size.
        assert!(unsafe { Ralloc::<Case>::new().alloc(layout) }.is_null());
        assert_eq!(CALLS.load(SeqCst), 4);
    });
}

#[test]
fn it_unwinds_and_can_be_called_again() {
    static RESERVE: Mutex<Reserve> = Mutex::new(Reserve(Vec::new()));
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    fn unwind(request: OutOfMemory) -> Recovery {
        CALLS.fetch_add(1, SeqCst);
        std::panic::resume_unwind(Box::new(request.size));
    }
    when_all_is_taken(&RESERVE, || {
        oom::set_oom_handler::<Case>(Some(unwind));
        for round in 1..=3 {
            let size = MIB + round;
            let payload = catch_unwind(|| _ = native::alloc::<Case>(size, 16));
            let payload = payload.expect_err("the handler unwinds");
            assert_eq!(payload.downcast_ref(), Some(&size));
            assert_eq!(CALLS.load(SeqCst), round);
        }
        // What failed has left nothing behind, and what can be served is.
        common::verify();
        assert!(RESERVE.lock().expect("no panic").free_one());
        let block = native::alloc::<Case>(Reserve::BYTES, 16);
        RESERVE
            .lock()
            .expect("no panic")
            .0
            .push(block.expose_provenance().get());
    });
}

const TOO_MUCH: usize = 1 << 60;

#[test]
#[ignore = "a part of a_handler_that_unwinds_from_global_alloc_ends_the_program"]
fn part_unwinds_from_global_alloc() {
    ralloc::set_oom_handler(Some(|_| panic!("as planned")));
    let _ = catch_unwind(|| Vec::<u8>::with_capacity(TOO_MUCH));
}

#[test]
fn a_handler_that_unwinds_from_global_alloc_ends_the_program() {
    child::dies(
        "oom_handler::part_unwinds_from_global_alloc",
        "ralloc: an out-of-memory handler unwinds from GlobalAlloc",
    );
}

#[test]
#[ignore = "a part of without_a_handler_the_program_ends"]
fn part_nobody_is_asked() {
    ralloc::alloc(TOO_MUCH, 8);
}

#[test]
fn without_a_handler_the_program_ends() {
    child::dies(
        "oom_handler::part_nobody_is_asked",
        "ralloc: out of memory: 0x1000000000000000",
    );
}

#[test]
#[ignore = "a part of it_need_not_return"]
fn part_does_not_return() {
    ralloc::set_oom_handler(Some(|_| std::process::exit(33)));
    ralloc::alloc(TOO_MUCH, 8);
}

#[test]
fn it_need_not_return() {
    let ended = child::run("oom_handler::part_does_not_return");
    assert_eq!(ended.status.code(), Some(33), "{}", ended.said);
}

/// The real kernel refuses: small blocks until nothing is left, then the handler gives up what it had kept.
#[test]
#[ignore = "a part of the_last_reserve_on_the_real_kernel"]
fn part_real_kernel() {
    static KEPT: Mutex<Vec<u8>> = Mutex::new(Vec::new());
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    fn drop_it(_: OutOfMemory) -> Recovery {
        CALLS.fetch_add(1, SeqCst);
        match KEPT
            .lock()
            .map(|mut kept| std::mem::take(&mut *kept).capacity())
        {
            Ok(1..) => Recovery::Retry,
            _ => Recovery::GiveUp,
        }
    }
    *KEPT.lock().expect("no panic") = Vec::with_capacity(64 * MIB);
    child::limit_addresses(512 * MIB);
    ralloc::set_oom_handler(Some(drop_it));
    // A list, so that nothing but blocks of 1000 bytes is needed.
    let layout = Layout::from_size_align(1000, 8).expect("a layout");
    let mut newest = std::ptr::null_mut::<*mut u8>();
    let mut count = 0;
    let mut served_after = None;
    loop {
        // SAFETY: the layout has a size.
        let block = unsafe { super::GLOBAL.alloc(layout) }.cast::<*mut u8>();
        if block.is_null() {
            break;
        }
        // SAFETY: the block is large enough for a pointer.
        unsafe { block.write(newest.cast()) };
        newest = block;
        count += 1;
        if CALLS.load(SeqCst) == 1 && served_after.is_none() {
            served_after = Some(count);
        }
    }
    while !newest.is_null() {
        // SAFETY: written above.
        let next = unsafe { newest.read() };
        // SAFETY: allocated above with this layout.
        unsafe { super::GLOBAL.dealloc(newest.cast(), layout) };
        newest = next.cast();
    }
    assert_eq!(CALLS.load(SeqCst), 2, "once to free, once to give up");
    let after = count - served_after.expect("the first call helped");
    assert!(
        after * 1000 > 48 * MIB,
        "{after} of {count} blocks from the reserve"
    );
    // SAFETY: no other thread is at work.
    unsafe { ralloc::verify() };
}

#[test]
fn the_last_reserve_on_the_real_kernel() {
    child::passes("oom_handler::part_real_kernel");
}
