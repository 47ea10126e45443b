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
    let free = |block, layout| {
        // SAFETY: there is no such promise; the allocator finds out.
        unsafe { GLOBAL.dealloc(block, layout) }
    };
    // SAFETY: the layout has a size.
    let block = unsafe { GLOBAL.alloc(LAYOUT) };
    match what {
        "double free" => free(block, LAYOUT),
        // SAFETY: as for `free`: this is the byte behind the block.
        "overflow" => unsafe { std::slice::from_raw_parts_mut(block, 41)[40] = 0 },
        _ => return free(block, Layout::new::<[u8; 41]>()),
    }
    free(block, LAYOUT);
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
    let layout = Layout::new::<[u8; 5000]>();
    // SAFETY: the layout has a size.
    let secret = unsafe { GLOBAL.alloc(layout) };
    // SAFETY: the block has so many bytes.
    unsafe { secret.write_bytes(0xAA, layout.size()) };
    // SAFETY: allocated with this layout.
    unsafe { GLOBAL.dealloc(secret, layout) };
    for _ in 0..1000 {
        // SAFETY: the layout has a size.
        let next = unsafe { GLOBAL.alloc(layout) };
        // SAFETY: memory is cleared before it is given out, so all bytes have a value.
        let bytes = unsafe { std::slice::from_raw_parts(next, layout.size()) };
        assert!(
            bytes.iter().all(|&byte| byte == 0),
            "nothing is left of the secret"
        );
        // SAFETY: allocated with this layout.
        unsafe { GLOBAL.dealloc(next, layout) };
    }
}
