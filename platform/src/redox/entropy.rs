//! What is random before any file is open. The kernel has no call for it.
//!
//! The processor's own generator where it has one that programs may ask (x86); what the C library has been given by
//! whoever started the program ([`add_entropy`]); the places where things are; and a count, so that no two words are equal.

use crate::entropy::stir;
use core::{
    ptr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

static ADDED: AtomicUsize = AtomicUsize::new(0);

/// Stir in a word that an attacker does not know, as the start-up vector has them.
pub fn add_entropy(word: usize) {
    ADDED.fetch_xor(stir(word), Relaxed);
}

/// The next word.
pub(super) fn word() -> usize {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let call = CALLS.fetch_add(1, Relaxed);
    let place = stir(ptr::from_ref(&call).addr() ^ stir(ptr::from_ref(&CALLS).addr()));
    let word = place ^ ADDED.load(Relaxed) ^ processor::word();
    stir(word.wrapping_add(call))
}

#[cfg(target_arch = "x86_64")]
mod processor {
    use core::arch::x86_64::{__cpuid, _rdrand64_step, _rdtsc};

    /// Bit 30 of `ecx` of leaf 1 of `cpuid`.
    const HAS_RDRAND: u32 = 1 << 30;

    /// The generator's next word; the time since the machine was started, if there is none.
    pub(super) fn word() -> usize {
        // SAFETY: every processor of this kind counts its cycles, and programs may ask.
        let mut word = unsafe { _rdtsc() };
        if __cpuid(1).ecx & HAS_RDRAND != 0 {
            // SAFETY: the processor has the instruction, as it just said.
            unsafe { draw(&mut word) };
        }
        word as usize
    }

    /// # Safety
    ///
    /// The processor has the instruction.
    #[target_feature(enable = "rdrand")]
    fn draw(word: &mut u64) {
        let mut drawn = 0;
        // What it leaves when it has nothing to give is 0, and does no harm.
        let _ = _rdrand64_step(&mut drawn);
        *word ^= drawn;
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod processor {
    /// Nothing that programs may ask for on every processor of this kind.
    pub(super) fn word() -> usize {
        0
    }
}
