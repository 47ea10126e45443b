//! What will take the place of relibc's `platform::allocator`: the only code that knows relibc.
//!
//! Purpose: the seven names of the seam (`Allocator`, `NEWALLOCATOR`, `alloc`, `alloc_align`, `realloc`, `free`,
//! `alloc_usable_size`), the hooks for threads, `fork` and thread-local storage becoming real, and the C symbols that relibc
//! lacks. relibc calls the hooks; the glue asks relibc for nothing.
//!
//! There is no code here yet: ralloc's Redox platform module comes first, and this package with it.
#![no_std]
