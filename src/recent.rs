//! Slices that a heap has given back a moment ago: warm in its processor's cache, and of no other thread's.
//!
//! A hint, no claim: the slices are free, and whoever else wants them may have them. A heap that looks here first gets its own slices
//! back, where several threads would otherwise take one another's, line by line across the machine: bulks of blocks took 0.88 of the
//! time (bulk-lifo, bulk-fifo).
//!
//! Equation: a bit is set for a slice that this heap gave back after it claimed it last.

use crate::{
    chunk_entry::{Run, mask},
    chunk_table::ChunkTable,
    primitive::Cell,
    room::starts,
};

/// Chunks whose slices are remembered.
const CHUNKS: usize = 4;

/// Slices of one chunk. All zero remembers none.
struct Spot {
    /// The chunk's number in the table.
    chunk: Cell<u32>,
    slices: Cell<u64>,
}

/// The slices that one heap remembers. All zero is none.
pub(crate) struct Recent {
    spots: [Spot; CHUNKS],
}

impl Recent {
    /// Remember that the run of `slices` slices at `first` of a chunk has been given back.
    pub(crate) fn note(&self, chunk: usize, first: usize, slices: usize) {
        let known = |spot: &&Spot| spot.chunk.get() as usize == chunk && spot.slices.get() != 0;
        let vacant = |spot: &&Spot| spot.slices.get() == 0;
        // Else any: who needs so many chunks at a time has little use for a memory of slices.
        let spot = (self.spots.iter().find(known))
            .or_else(|| self.spots.iter().find(vacant))
            .unwrap_or(&self.spots[chunk % CHUNKS]);
        let before = if known(&spot) { spot.slices.get() } else { 0 };
        spot.chunk.set(chunk as u32);
        spot.slices.set(before | mask(slices) << first);
    }

    /// Claim a run of `slices` slices that begins at one that is remembered; slice 0 only for pages of small blocks.
    pub(crate) fn claim(&self, chunks: &ChunkTable, slices: usize, small: bool) -> Option<Run> {
        self.spots.iter().find_map(|spot| {
            let starts = spot.slices.get() & starts(1, small);
            if starts == 0 {
                return None;
            }
            let run = chunks.claim_in(spot.chunk.get() as usize, slices, starts);
            let gone = match run {
                Some(run) => run.mask(),
                // Others have them.
                None if slices == 1 => starts,
                None => 0,
            };
            spot.slices.set(spot.slices.get() & !gone);
            run
        })
    }
}
