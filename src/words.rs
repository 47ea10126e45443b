//! Where the words of a thread are that belong to the allocator of the program.

#[cfg(not(feature = "std"))]
#[path = "words/hidden.rs"]
mod place;
#[cfg(feature = "std")]
#[path = "words/standard.rs"]
mod place;

pub(crate) use place::Words;
