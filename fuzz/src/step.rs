//! An input, read as a sequence of steps.

use crate::common::{KIB, MIB, Op, boundaries};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use std::sync::LazyLock;

/// What a sequence is made of.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// The same operation so many times. What it picks moves on by one each time.
    Times(usize, Op),
    /// Free so many blocks; each pick is this much further than the one before.
    Sweep {
        from: usize,
        stride: usize,
        count: usize,
    },
    /// What the kernel is to refuse from now on.
    Refuse(Refusal),
    /// Refuse nothing any more.
    Relent,
    /// Check every equation and all contents.
    Verify,
    /// What happens around `fork`, in the parent.
    Fork,
    /// The steps that follow are the business of this thread.
    Switch(usize),
    /// The thread ends. So many steps that follow are made after its exit hook has run.
    Exit { late: usize },
    /// Hand a block to the other thread.
    Give(usize),
    /// Take what the other thread has handed over.
    Take(usize),
}

/// Which of its calls a kernel refuses.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refusal {
    /// One, after so many.
    At(usize),
    /// All, after so many.
    From(usize),
    /// Those after which more than so many bytes are mapped.
    Limit(usize),
}

/// Threads that steps can switch between.
pub(crate) const THREADS: usize = 3;

/// Bytes of all operations of an input together, as a bound on the time it takes.
const WORK_MAX: usize = 48 * MIB;
/// What an operation costs beside its bytes, in bytes.
const WORK_OF_CALL: usize = 2 * KIB;

/// The steps of an input.
pub(crate) struct Steps<'a> {
    input: Unstructured<'a>,
    work: usize,
}

impl<'a> Steps<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        let input = Unstructured::new(input);
        Self { input, work: 0 }
    }
}

impl Iterator for Steps<'_> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if self.input.is_empty() || self.work > WORK_MAX {
            return None;
        }
        // Where bytes are missing they are 0: the last step is as good as any.
        let step = step(&mut self.input).ok()?;
        self.work += work(&step);
        Some(step)
    }
}

fn work(step: &Step) -> usize {
    match step {
        Step::Times(count, op) => count * (WORK_OF_CALL + size_of_op(op)),
        Step::Sweep { count, .. } => count * WORK_OF_CALL,
        Step::Verify => MIB,
        // A thread comes and goes.
        Step::Exit { .. } => MIB / 2,
        _ => WORK_OF_CALL,
    }
}

/// The bytes that an operation asks for.
fn size_of_op(op: &Op) -> usize {
    match *op {
        Op::Calloc(count, size) | Op::ReallocArray(_, count, size) => count * size,
        Op::Malloc(size)
        | Op::Realloc(_, size)
        | Op::AlignedAlloc(_, size)
        | Op::Memalign(_, size)
        | Op::PosixMemalign(_, size)
        | Op::Valloc(size)
        | Op::Pvalloc(size)
        | Op::AlignedZeroed(_, size)
        | Op::ReallocAligned(_, size) => size,
        Op::Free(_) | Op::Check(_) | Op::Nonsense | Op::Trim | Op::Sbrk(_) => 0,
    }
}

fn step(input: &mut Unstructured) -> Result<Step> {
    Ok(match input.arbitrary::<u8>()? {
        0..120 => Step::Times(1, op(input)?),
        120..160 => {
            let op = op(input)?;
            Step::Times(count(input, size_of_op(&op))?, op)
        }
        160..190 => Step::Sweep {
            from: pick(input)?,
            stride: usize::from(input.arbitrary::<u8>()?),
            count: count(input, 0)?,
        },
        190..196 => Step::Refuse(refusal(input)?),
        196..204 => Step::Relent,
        204..206 => Step::Verify,
        206..208 => Step::Fork,
        208..224 => Step::Switch(usize::from(input.arbitrary::<u8>()?) % THREADS),
        224..232 => Step::Exit {
            late: usize::from(input.arbitrary::<u8>()? % 8),
        },
        232..244 => Step::Give(pick(input)?),
        244..=255 => Step::Take(pick(input)?),
    })
}

fn op(input: &mut Unstructured) -> Result<Op> {
    Ok(match input.arbitrary::<u8>()? % 64 {
        0..20 => Op::Malloc(size(input)?),
        20..26 => {
            let count = 1 + usize::from(input.arbitrary::<u8>()? % 4);
            Op::Calloc(count, size(input)?.div_ceil(count))
        }
        26..34 => Op::Realloc(pick(input)?, size(input)?),
        34..36 => {
            let (pick, count) = (pick(input)?, usize::from(input.arbitrary::<u8>()? % 4));
            Op::ReallocArray(pick, count, size(input)?.div_ceil(count.max(1)))
        }
        36..39 => Op::AlignedAlloc(shift(input, 0)?, size(input)?),
        39 => Op::Memalign(input.arbitrary::<u32>()? as usize % 100_000, size(input)?),
        40..42 => Op::PosixMemalign(shift(input, 3)?, size(input)?),
        42 => Op::Valloc(size(input)?),
        43 => Op::Pvalloc(size(input)?),
        44..47 => Op::AlignedZeroed(shift(input, 0)?, size(input)?),
        47..50 => Op::ReallocAligned(pick(input)?, size(input)?),
        50..60 => Op::Free(pick(input)?),
        60 => Op::Check(pick(input)?),
        61 => Op::Nonsense,
        62 => Op::Trim,
        _ => Op::Sbrk(input.arbitrary::<u16>()?.into()),
    })
}

fn pick(input: &mut Unstructured) -> Result<usize> {
    Ok(input.arbitrary::<u16>()?.into())
}

/// An exponent of an alignment, from `least` to that of 4 MiB.
fn shift(input: &mut Unstructured, least: u32) -> Result<u32> {
    Ok(least + u32::from(input.arbitrary::<u8>()?) % (23 - least))
}

/// How many times: seldom many, and few where each takes long.
fn count(input: &mut Unstructured, size: usize) -> Result<usize> {
    let bounds = [(KIB, 1024), (32 * KIB, 128), (512 * KIB, 16)];
    let bound = bounds.iter().find(|&&(below, _)| size <= below);
    let most = bound.map_or(3, |&(_, most)| most);
    let (exponent, more) = input.arbitrary::<(u8, u8)>()?;
    let base = 1_usize << (exponent % 11);
    Ok((base + base * usize::from(more) / 256).min(most))
}

/// A size, mostly small, mostly near one at which something changes.
fn size(input: &mut Unstructured) -> Result<usize> {
    static BOUNDARIES: LazyLock<Vec<usize>> = LazyLock::new(boundaries);
    let below = match input.arbitrary::<u8>()? % 32 {
        0..12 => KIB,
        12..18 => return Ok(usize::from(input.arbitrary::<u16>()?) % (KIB + 1)),
        18..26 => 32 * KIB,
        26..30 => 2 * MIB,
        _ => 12 * MIB,
    };
    let known = BOUNDARIES.partition_point(|&at| at <= below);
    let choice = usize::from(input.arbitrary::<u16>()?);
    let at = BOUNDARIES[choice / 3 % known];
    Ok((at + choice % 3).saturating_sub(1))
}

fn refusal(input: &mut Unstructured) -> Result<Refusal> {
    let (kind, much) = input.arbitrary::<(u8, u8)>()?;
    Ok(match kind % 4 {
        0 | 1 => Refusal::At(usize::from(much % 32)),
        2 => Refusal::From(usize::from(much % 32)),
        _ => Refusal::Limit(usize::from(much) * 256 * KIB),
    })
}
