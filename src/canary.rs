//! What stands behind the bytes that were asked for, in the security build, so that writing there is noticed.
//!
//! No byte of the pattern is 0, 255 or an ASCII character: what overflows by mistake is noticed whatever the key is. The rest of the
//! pattern is drawn from the kernel's entropy.

use core::ptr::NonNull;

/// Bytes behind the request that carry the pattern, at most. What comes behind them reads zero.
pub(crate) const CANARY: usize = 32;

/// Bytes of a word of the pattern.
const WORD: usize = size_of::<u64>();

/// Each byte of a word between 0x80 and 0xbf.
const HIGH: u64 = 0x8080_8080_8080_8080;
const FREE_BITS: u64 = 0x3f3f_3f3f_3f3f_3f3f;

fn pattern(start: NonNull<u8>, key: usize) -> u64 {
    let place = (start.as_ptr().addr() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (key as u64 ^ place).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    mixed & FREE_BITS | HIGH
}

/// Each word that the canary of a block of `size` bytes lies in, of which `asked` were asked for: where it is, and which of its bits are
/// the canary's.
fn words(start: NonNull<u8>, asked: usize, size: usize) -> impl Iterator<Item = (*mut u64, u64)> {
    let end = size.min(asked + CANARY);
    let length = end - asked;
    (0..length.div_ceil(WORD)).map(move |number| {
        let offset = end - (number + 1) * WORD;
        let bytes = (length - number * WORD).min(WORD);
        // The last bytes in memory.
        let mask = if cfg!(target_endian = "little") {
            u64::MAX << (8 * (WORD - bytes))
        } else {
            u64::MAX >> (8 * (WORD - bytes))
        };
        // SAFETY: a block has more bytes than a canary, so the words lie in it.
        (unsafe { start.add(offset) }.as_ptr().cast::<u64>(), mask)
    })
}

/// Write the canary of a block of `size` bytes, of which `asked` were asked for.
///
/// # Safety
///
/// The block is the caller's; `size` is at least [`CANARY`] and more than `asked`.
pub(crate) unsafe fn write(start: NonNull<u8>, asked: usize, size: usize, key: usize) {
    let pattern = pattern(start, key);
    for (word, mask) in words(start, asked, size) {
        // SAFETY: the word lies in the block.
        let old = unsafe { word.read_unaligned() };
        // SAFETY: as above.
        unsafe { word.write_unaligned(old & !mask | pattern & mask) };
    }
}

/// Whether the canary is as it was written.
///
/// # Safety
///
/// As for [`write`].
pub(crate) unsafe fn is_whole(start: NonNull<u8>, asked: usize, size: usize, key: usize) -> bool {
    let pattern = pattern(start, key);
    words(start, asked, size).all(|(word, mask)| {
        // SAFETY: the word lies in the block.
        unsafe { word.read_unaligned() & mask == pattern & mask }
    })
}

/// Whether `bytes` bytes from `start` on read zero.
///
/// # Safety
///
/// They are the caller's; `start` and `bytes` are multiples of 8.
pub(crate) unsafe fn is_zero(start: NonNull<u8>, bytes: usize) -> bool {
    let words: NonNull<[u64]> = NonNull::slice_from_raw_parts(start.cast(), bytes / WORD);
    // SAFETY: the caller's promise; any bytes are words.
    let words = unsafe { words.as_ref() };
    // Without a branch for each word: these are mostly few, or all zero.
    words.iter().fold(0, |bits, word| bits | word) == 0
}
