//! The security build: `Ralloc<Secure>` ends a program that misuses memory, with a line that says what it did, and clears what is
//! freed. This program starts itself three times, each time to do something wrong.

use ralloc::{Ralloc, Secure};
use std::{
    alloc::{GlobalAlloc, Layout},
    env,
    process::Command,
};

#[global_allocator]
static GLOBAL: Ralloc<Secure> = Ralloc::new();

const LAYOUT: Layout = Layout::new::<[u8; 40]>();

/// What is wrong here is what the example is about.
fn misuse(what: &str) {
    // SAFETY: there is no such promise; the allocator finds out.
    unsafe {
        let block = GLOBAL.alloc(LAYOUT);
        match what {
            "double free" => GLOBAL.dealloc(block, LAYOUT),
            "overflow" => block.add(40).write(0),
            _ => return GLOBAL.dealloc(block, Layout::new::<[u8; 41]>()),
        }
        GLOBAL.dealloc(block, LAYOUT);
    }
}

fn main() {
    if let Some(what) = env::args().nth(1) {
        return misuse(&what);
    }
    for what in ["double free", "overflow", "wrong size"] {
        let this = env::current_exe().expect("this program has a path");
        let ended = Command::new(this).arg(what).output().expect("it starts");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(said.starts_with(&format!("ralloc: {what}: 0x")), "{said}");
        assert!(!ended.status.success());
        print!("{said}");
    }
    let secret = vec![0xAA_u8; 5000];
    drop(secret);
    let mut next: Vec<u8> = Vec::with_capacity(5000);
    // SAFETY: freed memory is cleared before it is given out again.
    unsafe { next.set_len(5000) };
    assert!(
        next.iter().all(|&byte| byte == 0),
        "nothing is left of the secret"
    );
}
