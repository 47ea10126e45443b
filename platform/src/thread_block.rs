//! The machine words of a thread, in static thread-local storage.
//!
//! A thread-local of stable Rust is either a lazily made object with a destructor or a call of
//! `__tls_get_addr`; an allocator can afford neither. So the block is defined in assembler, in `.tbss`, and
//! reached in assembler, by the *initial-exec* model: the block has a constant distance from the thread
//! pointer, which the dynamic linker has put into one word of the global offset table. An executable that is
//! linked statically has the distance as a constant instead: the linker sees to it.
//!
//! ```text
//!   get(i) = [thread pointer + GOT[block] + i * word]        2 loads and no call, on x86-64
//! ```
//!
//! With the feature `local-exec` the table is not asked at all; that links into executables only.
//!
//! # Why the assembler is sound
//!
//! Three kinds of blocks, three sets of options:
//!
//! - *distance*: `pure, nomem`. The word of the table is written before any code of this object runs and never
//!   again, and it is the same for all threads. The compiler may merge, hoist and drop it freely.
//! - *load*: `pure, readonly`. Its result depends on its inputs and on memory. Two loads of one word may become
//!   one when nothing in between can write memory; a *store* below can, a call of an unknown function can, so
//!   a `get` after a `set` sees the stored value. The thread pointer is read inside the load, never kept: code
//!   that a context switch moves to another thread finds the block of that thread.
//! - *store*: no option about memory. It counts as a write to all memory: the compiler keeps it, keeps the
//!   order of two of them, and moves no other access to memory across it.
//!
//! This file and `here` are the only places where the project asks for which processor it is built; a leaf file says
//! how its processor does the three. On processors without a leaf, and on systems whose linker has no such storage
//! (OpenBSD, macOS), `elsewhere` takes the place of `here`, and a thread key of the C library that of the assembler: correct, with the costs and limits that
//! `keyed` names.

#[cfg_attr(
    any(
        target_os = "openbsd",
        target_vendor = "apple",
        not(any(
            all(target_arch = "x86_64", target_pointer_width = "64"),
            all(target_arch = "aarch64", target_pointer_width = "64"),
            target_arch = "riscv64",
            target_arch = "x86",
        ))
    ),
    path = "thread_block/elsewhere.rs"
)]
mod here;
pub use here::*;
