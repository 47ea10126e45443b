//! Words that are hard to guess, where no file is open and no kernel is asked.

/// A bijection that spreads each bit over all (the finaliser of SplitMix64).
pub(crate) fn stir(word: usize) -> usize {
    let mut bits = (word as u64).wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    (bits ^ bits >> 31) as usize
}
