//! The programs on ralloc.

#[global_allocator]
static GLOBAL: ralloc::Ralloc = ralloc::Ralloc::new();

/// Above what is cut from chunks.
const HUGE: usize = 16 << 20;

fn main() -> anyhow::Result<()> {
    rust_programs::main("ralloc", serves)
}

/// Whether a vector is a block of ralloc's.
fn serves() -> bool {
    let vector: Vec<u8> = Vec::with_capacity(HUGE);
    ralloc::stats().huge >= vector.capacity()
}
