//! In a block that is reached in assembler: in every kind of object, without the standard library.

pub(crate) use ralloc_platform::StaticBlock as Words;
