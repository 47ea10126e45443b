//! The facts on which the allocator relies on Redox, asked of a kernel: of the real one, or of the runner.
//!
//! A program that the kernel starts by itself: no standard library, no stack to begin with, nobody else on the machine.
//! It speaks system calls only, so the compiler for the host builds it (`cargo xtask redox` does).
#![no_std]
#![no_main]

mod bytes;
mod console;
mod kernel;
mod memory;
mod threads;

use console::{Console, print};
use core::arch::naked_asm;

#[repr(align(16))]
#[expect(dead_code, reason = "nobody reads a stack by its name")]
struct Stack([u8; 64 << 10]);

static mut STACK: Stack = Stack([0; 64 << 10]);

/// Where the kernel begins: without a stack.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    naked_asm!(
        "lea rsp, [rip + {stack} + {size}]",
        "xor ebp, ebp",
        "call {main}",
        "ud2",
        stack = sym STACK,
        size = const size_of::<Stack>(),
        main = sym main,
    )
}

/// A fact, and whether it holds.
type Fact = (&'static str, fn() -> bool);

extern "C" fn main() -> ! {
    Console::open();
    let (mut passed, mut failed) = (0, 0);
    for (name, holds) in memory::FACTS.iter().chain(threads::FACTS) {
        match holds() {
            true => passed += 1,
            false => {
                failed += 1;
                print!("FAILED {name}\n");
            }
        }
    }
    print!("{passed} passed, {failed} failed\n");
    threads::exit()
}

#[panic_handler]
fn panic(information: &core::panic::PanicInfo) -> ! {
    print!("{information}\n0 passed, 1 failed\n");
    threads::exit()
}
