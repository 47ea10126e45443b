//! The programs on the allocator that Rust takes by itself: the C library's.

fn main() -> anyhow::Result<()> {
    rust_programs::main("system", || true)
}
