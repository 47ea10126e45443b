//! Distributions of sizes. All of them are drawn beforehand or cost a few instructions, so that
//! the generator does not drown the allocator.

use fastrand::Rng;

use crate::memory::Table;

/// Sizes drawn once and used over and over.
pub(crate) struct Sizes(Table<u16>);

impl Sizes {
    const LEN: usize = 4096;

    /// Pareto with the "80 to 20" exponent: most of them `least`, a few up to `most`.
    pub(crate) fn pareto(least: u16, most: u16) -> Self {
        let exponent = -1.0 / 1.16;
        Self::drawn(|rng| (f64::from(least) * rng.f64().powf(exponent)).min(f64::from(most)) as u16)
    }

    /// Powers of two times `unit`, each half as frequent as the one before.
    pub(crate) fn powers(unit: u16, doublings: u32) -> Self {
        Self::drawn(|rng| unit << rng.u32(1..).trailing_zeros().min(doublings))
    }

    fn drawn(draw: impl Fn(&mut Rng) -> u16) -> Self {
        let mut rng = Rng::with_seed(7);
        let mut table = Table::new(Self::LEN);
        table.fill_with(|| draw(&mut rng));
        Sizes(table)
    }

    /// One of them.
    #[inline]
    pub(crate) fn pick(&self, rng: &mut Rng) -> usize {
        usize::from(self.0[rng.usize(..Self::LEN)])
    }
}

/// Between `least` and `most`, falling linearly to nothing at `most`.
#[inline]
pub(crate) fn linear_falloff(rng: &mut Rng, least: usize, most: usize) -> usize {
    rng.usize(least..most).min(rng.usize(least..most))
}

/// `least << 0..=doublings`, each octave as frequent as the next, even inside.
#[inline]
pub(crate) fn logarithmic(rng: &mut Rng, least: usize, doublings: u32) -> usize {
    let base = least << rng.u32(..doublings);
    rng.usize(base..base * 2)
}
