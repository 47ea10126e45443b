//! What stands behind the bytes that were asked for, in the security build, so that writing there is noticed.
//!
//! No byte of the pattern is 0, 255 or an ASCII character: what overflows by mistake is noticed whatever the key is. The rest of the
//! pattern is drawn from the kernel's entropy.

use core::ptr::NonNull;

use crate::config::{EXTENSION, GRANULE};

/// Bytes of a word of the pattern.
const WORD: usize = size_of::<u64>();

/// Words of the window, and the window.
const WORDS: usize = 4;
type Window = [u64; WORDS];

/// What lies behind the request is marked whole if it fits into so many bytes at the end of the block.
pub(crate) const WINDOW: usize = size_of::<Window>();

/// Bytes behind the request that are marked where there are more. What comes behind them reads zero.
pub(crate) const CANARY: usize = WORD;

/// Bytes behind a large or huge block that are watched: the canary, and zeros. Behind them is the guard, where OS pages are no larger.
pub(crate) const WATCHED: usize = EXTENSION;

/// Each byte of a word between 0x80 and 0xbf.
const HIGH: u64 = 0x8080_8080_8080_8080;
const FREE_BITS: u64 = 0x3f3f_3f3f_3f3f_3f3f;

/// The last `n` bytes of the window, as masks.
const LAST: [Window; WINDOW + 1] = {
    let mut masks: [Window; WINDOW + 1] = [[0; WORDS]; WINDOW + 1];
    let mut count = 0;
    while count <= WINDOW {
        let mut at = WINDOW - count;
        while at < WINDOW {
            let mut bytes = masks[count][at / WORD].to_ne_bytes();
            bytes[at % WORD] = u8::MAX;
            masks[count][at / WORD] = u64::from_ne_bytes(bytes);
            at += 1;
        }
        count += 1;
    }
    masks
};

#[inline(always)]
fn pattern(start: NonNull<u8>, key: usize) -> u64 {
    // The two halves of a product, folded: each bit depends on all bits of the key.
    let product = u128::from((start.as_ptr().addr() ^ key) as u64) * 0x9E37_79B9_7F4A_7C15;
    (product as u64 ^ (product >> 64) as u64) & FREE_BITS | HIGH
}

/// The window of a block of `size` bytes, and which of its bits are marked if `slack` bytes are.
///
/// # Safety
///
/// The block has so many bytes; `size >= WINDOW >= slack`.
#[inline(always)]
unsafe fn window(start: NonNull<u8>, slack: usize, size: usize) -> (NonNull<Window>, Window) {
    debug_assert!(slack <= WINDOW);
    // SAFETY: the caller's promise.
    let words = unsafe { start.add(size - WINDOW) };
    // SAFETY: there are so many masks.
    (words.cast(), unsafe { *LAST.get_unchecked(slack) })
}

/// Mark the last `slack` bytes of a block of a page that reads zero.
///
/// # Safety
///
/// The block is the caller's, of `size` bytes; `slack <= WINDOW`.
#[inline(always)]
pub(crate) unsafe fn mark_fresh(start: NonNull<u8>, slack: usize, size: usize, key: usize) {
    let pattern = pattern(start, key);
    // SAFETY: the caller's promise.
    let (words, mask) = unsafe { window(start, slack, size) };
    // SAFETY: the words lie in the block, and are aligned as it is.
    unsafe { words.write(mask.map(|mask| pattern & mask)) };
}

/// Whether the last `slack` bytes of a block are marked.
///
/// # Safety
///
/// As for [`mark_fresh`].
#[inline(always)]
pub(crate) unsafe fn is_marked(start: NonNull<u8>, slack: usize, size: usize, key: usize) -> bool {
    let pattern = pattern(start, key);
    // SAFETY: the caller's promise.
    let (words, mask) = unsafe { window(start, slack, size) };
    // SAFETY: the words lie in the block.
    let words = unsafe { words.read_unaligned() };
    let wrong = |word: usize| (words[word] ^ pattern) & mask[word];
    (0..WORDS).fold(0, |bits, word| bits | wrong(word)) == 0
}

/// Write the canary of a block of `size` bytes, of which `asked` were asked for.
///
/// # Safety
///
/// The block is the caller's, and longer than a window; `asked < size`.
pub(crate) unsafe fn write(start: NonNull<u8>, asked: usize, size: usize, key: usize) {
    let pattern = pattern(start, key);
    let slack = size - asked;
    if slack <= WINDOW {
        // SAFETY: the caller's promise.
        let (words, mask) = unsafe { window(start, slack, size) };
        // SAFETY: the words lie in the block.
        let old = unsafe { words.read_unaligned() };
        let new = core::array::from_fn(|word| old[word] & !mask[word] | pattern & mask[word]);
        // SAFETY: as above.
        unsafe { words.write_unaligned(new) };
    } else {
        // SAFETY: there is room for a word.
        let word = unsafe { start.add(asked) };
        // SAFETY: as above.
        unsafe { word.cast::<u64>().write_unaligned(pattern) };
    }
}

/// Whether the canary is as it was written.
///
/// # Safety
///
/// As for [`write`].
pub(crate) unsafe fn is_whole(start: NonNull<u8>, asked: usize, size: usize, key: usize) -> bool {
    let slack = size - asked;
    if slack <= WINDOW {
        // SAFETY: the caller's promise.
        unsafe { is_marked(start, slack, size, key) }
    } else {
        // SAFETY: there is room for a word.
        let word = unsafe { start.add(asked) };
        // SAFETY: as above.
        let word = unsafe { word.cast::<u64>().read_unaligned() };
        word == pattern(start, key)
    }
}

/// The most bytes of a block that are cleared and looked at without a loop.
pub(crate) const SHORT: usize = 128;

/// Words of a block, aligned as its granules are: processors read and combine them in one instruction then.
#[repr(C, align(16))]
#[derive(Clone, Copy)]
struct Words<const N: usize>([u64; N]);

impl<const N: usize> Words<N> {
    /// # Safety
    ///
    /// So many words at `start`, a multiple of the granule, are the caller's.
    #[inline(always)]
    unsafe fn at(start: NonNull<u8>) -> Self {
        // SAFETY: the caller's promise.
        unsafe { start.cast().read() }
    }

    /// The bits of both.
    #[inline(always)]
    fn or(self, other: Self) -> Self {
        Self(core::array::from_fn(|word| self.0[word] | other.0[word]))
    }

    /// Whether all are 0. Combined two by two, which is how vectors are.
    #[inline(always)]
    fn is_zero(self) -> bool {
        let mut pair = [0; 2];
        for (word, bits) in self.0.iter().enumerate() {
            pair[word % 2] |= bits;
        }
        pair[0] | pair[1] == 0
    }
}

const _: () = assert!(align_of::<Words<2>>() == GRANULE);

/// Whether a block of at most [`SHORT`] bytes reads zero.
///
/// # Safety
///
/// The block is the caller's; its size is a multiple of 16, and 32 at least.
#[inline(always)]
pub(crate) unsafe fn is_short_zero(start: NonNull<u8>, size: usize) -> bool {
    if size <= 64 {
        // SAFETY: the last half, which may overlap the first.
        let last = unsafe { start.add(size - 32) };
        // SAFETY: both lie in the block.
        unsafe { are_zero::<4>(start, last) }
    } else {
        // SAFETY: as above.
        let last = unsafe { start.add(size - 64) };
        // SAFETY: as above.
        unsafe { are_zero::<8>(start, last) }
    }
}

/// Whether the `N` words at each of two places are 0.
///
/// # Safety
///
/// As for [`Words::at`].
#[inline(always)]
unsafe fn are_zero<const N: usize>(one: NonNull<u8>, other: NonNull<u8>) -> bool {
    // SAFETY: the caller's promise.
    let one = unsafe { Words::<N>::at(one) };
    // SAFETY: as above.
    one.or(unsafe { Words::at(other) }).is_zero()
}

/// Clear the first `size` bytes of a block, at most [`SHORT`].
///
/// # Safety
///
/// As for [`is_short_zero`].
#[inline(always)]
pub(crate) unsafe fn clear_short(start: NonNull<u8>, size: usize) {
    if size <= 64 {
        // SAFETY: as in `is_short_zero`.
        let last = unsafe { start.add(size - 32) };
        // SAFETY: as above.
        unsafe { start.cast().write([0_u64; 4]) };
        // SAFETY: as above.
        unsafe { last.cast().write([0_u64; 4]) };
    } else {
        // SAFETY: as in `is_short_zero`.
        let last = unsafe { start.add(size - 64) };
        // SAFETY: as above.
        unsafe { start.cast().write([0_u64; 8]) };
        // SAFETY: as above.
        unsafe { last.cast().write([0_u64; 8]) };
    }
}

/// Whether a block reads zero.
///
/// # Safety
///
/// The block is the caller's; its size is a multiple of 16, and 32 at least.
pub(crate) unsafe fn is_zero(start: NonNull<u8>, size: usize) -> bool {
    const STEP: usize = SHORT / 2;
    if size <= SHORT {
        // SAFETY: the caller's promise.
        return unsafe { is_short_zero(start, size) };
    }
    // Without a branch for each step: blocks are mostly few steps, or all zero. The last step may overlap the one before.
    // SAFETY: the last step lies in the block.
    let last = unsafe { start.add(size - STEP) };
    // SAFETY: as above.
    let mut bits = unsafe { Words::<{ STEP / WORD }>::at(last) };
    let mut at = start;
    while at < last {
        // SAFETY: a step that begins before the last lies in the block.
        bits = bits.or(unsafe { Words::at(at) });
        // SAFETY: as above.
        at = unsafe { at.add(STEP) };
    }
    bits.is_zero()
}

/// Whether the last `bytes` bytes in front of `end` read zero, those of a block that is longer than a word.
///
/// # Safety
///
/// They are the caller's.
pub(crate) unsafe fn is_tail_zero(end: NonNull<u8>, bytes: usize) -> bool {
    let mut left = bytes;
    let mut at = end;
    let mut found = 0;
    while left >= WORD {
        // SAFETY: the caller's promise.
        at = unsafe { at.sub(WORD) };
        // SAFETY: as above.
        found |= unsafe { at.cast::<u64>().read_unaligned() };
        left -= WORD;
    }
    if left != 0 {
        // SAFETY: the block is longer than a word, and so is what lies in front of the tail.
        at = unsafe { at.sub(WORD) };
        // SAFETY: as above.
        let word = unsafe { at.cast::<u64>().read_unaligned() };
        // The last bytes in memory.
        let shift = 8 * (WORD - left) as u32;
        found |= if cfg!(target_endian = "little") {
            word >> shift
        } else {
            word << shift
        };
    }
    found == 0
}
