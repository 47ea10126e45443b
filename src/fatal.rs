//! What the allocator says before it ends a process that has misused it. Each line is a constant, listed in the README.

use ralloc_platform::Platform;

/// A pointer was freed, or asked about, where no block is: the block has been freed, or there never was one.
pub(crate) const INVALID_FREE: &str = "ralloc: invalid free: ";
/// A pointer was freed, or asked about, that leads into the middle of a block.
pub(crate) const INTERIOR_POINTER: &str = "ralloc: interior pointer: ";
/// A pointer was freed, or asked about, that lies in no memory of the allocator.
pub(crate) const FOREIGN_POINTER: &str = "ralloc: foreign pointer: ";

/// More bytes of a block were freed than it has: parts overlap, or one was freed twice.
pub(crate) const PARTS_OVERLAP: &str = "ralloc: parts overlap: ";

/// A block was freed that has been freed before, or is being freed by another thread. Security build.
pub(crate) const DOUBLE_FREE: &str = "ralloc: double free: ";
/// A block was resized, or its size asked for, after it had been freed. Security build.
pub(crate) const FREED_BLOCK: &str = "ralloc: freed block: ";
/// A block was freed with another size than it has. Security build.
pub(crate) const WRONG_SIZE: &str = "ralloc: wrong size: ";
/// What lies behind the bytes that were asked for has been written to; followed by where the block begins. Security build.
pub(crate) const OVERFLOW: &str = "ralloc: overflow: ";
/// A block has been written to since it was freed. Security build.
pub(crate) const WRITE_AFTER_FREE: &str = "ralloc: write after free: ";
/// The link in a free block leads to no free block of its page. Security build.
pub(crate) const CORRUPTED_LIST: &str = "ralloc: corrupted free list: ";

/// A request that promises an answer could not be served; followed by its size in bytes.
pub(crate) const OUT_OF_MEMORY: &str = "ralloc: out of memory: ";

/// Write `line` and the address to standard error, and abort.
#[cold]
pub(crate) fn fatal(kernel: &impl Platform, line: &str, address: usize) -> ! {
    let mut text = [0; 64];
    let digits = 2 * size_of::<usize>();
    let mut length = 0;
    let mut put = |byte: u8| {
        if let Some(place) = text.get_mut(length) {
            *place = byte;
            length += 1;
        }
    };
    line.bytes().for_each(&mut put);
    b"0x".iter().copied().for_each(&mut put);
    let significant = (usize::BITS - (address | 1).leading_zeros()).div_ceil(4) as usize;
    for digit in (digits - significant)..digits {
        let nibble = address >> (4 * (digits - 1 - digit)) & 15;
        put(b"0123456789abcdef"[nibble]);
    }
    put(b'\n');
    kernel.write_stderr(&text[..length]);
    kernel.abort()
}
