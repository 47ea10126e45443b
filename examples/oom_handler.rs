//! A handler for the whole program that is asked when there is no memory: the kernel has refused, and all that could be
//! given back has been. It may free something and have the request tried again, give up, or not return.

use ralloc::{OutOfMemory, Recovery};
use std::{
    hint::black_box,
    sync::{Mutex, PoisonError},
};

#[global_allocator]
static GLOBAL: ralloc::Ralloc = ralloc::Ralloc::new();

const MIB: usize = 1 << 20;

/// What the program can do without.
static CACHE: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Allocating is allowed here: a request of the handler that fails does not call it again.
fn drop_the_cache(request: OutOfMemory) -> Recovery {
    let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    if cache.capacity() == 0 {
        return Recovery::GiveUp;
    }
    println!("{request}: dropping {} MiB", cache.capacity() / MIB);
    *cache = Vec::new();
    Recovery::Retry
}

fn main() {
    let limit = libc::rlimit {
        rlim_cur: 2048 * MIB as libc::rlim_t,
        rlim_max: 2048 * MIB as libc::rlim_t,
    };
    // SAFETY: a system call that reads one structure.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
    *CACHE.lock().expect("no panic") = Vec::with_capacity(1024 * MIB);
    assert!(ralloc::set_oom_handler(Some(drop_the_cache)).is_none());

    // Not both fit: the cache has to go.
    let large = black_box(Vec::<u8>::with_capacity(1280 * MIB));
    assert!(large.capacity() >= 1280 * MIB);
    assert_eq!(CACHE.lock().expect("no panic").capacity(), 0);
    println!("1280 MiB of 2048 allocated");

    // Nothing is left to be dropped: the handler gives up, and the request fails.
    assert!(Vec::<u8>::new().try_reserve_exact(1280 * MIB).is_err());
}
