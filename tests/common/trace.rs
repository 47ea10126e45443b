//! Recorded traces (`tests/traces/README.md`): how they are read.

use std::vec::Vec;

/// What one thread did. Blocks have numbers: the n-th that came into being has number n.
#[derive(Clone, Copy, Debug)]
pub enum Verb {
    Malloc { size: usize },
    Calloc { size: usize },
    Aligned { shift: u32, size: usize },
    Realloc { old: usize, size: usize },
    Free { old: usize },
}

/// A verb, who did it, and whether that thread ended then.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub thread: usize,
    pub verb: Verb,
    pub is_last: bool,
}

/// A whole trace.
pub struct Trace {
    pub threads: usize,
    pub steps: Vec<Step>,
}

const TITLE: &[u8] = b"ralloc-trace 1\n";

impl Trace {
    /// Read a file's contents.
    ///
    /// # Panics
    ///
    /// If it is no trace.
    pub fn read(file: &[u8]) -> Self {
        let packed = file.strip_prefix(TITLE).expect("a trace of version 1");
        let bytes = miniz_oxide::inflate::decompress_to_vec(packed).expect("a whole trace");
        let mut bytes = bytes.as_slice();
        let (count, threads) = (number(&mut bytes), number(&mut bytes));
        let (mut thread, mut blocks) = (0, 0);
        let steps = (0..count)
            .map(|_| {
                let code = byte(&mut bytes);
                if code & 0x10 != 0 {
                    thread = number(&mut bytes);
                    assert!(thread < threads);
                }
                let verb = verb(code & 15, &mut bytes, blocks);
                blocks += usize::from(!matches!(verb, Verb::Free { .. }));
                Step {
                    thread,
                    verb,
                    is_last: code & 0x20 != 0,
                }
            })
            .collect();
        assert!(bytes.is_empty(), "nothing is left over");
        Self { threads, steps }
    }
}

fn verb(code: u8, bytes: &mut &[u8], blocks: usize) -> Verb {
    match code {
        0 => Verb::Malloc {
            size: number(bytes),
        },
        1 => Verb::Calloc {
            size: number(bytes),
        },
        2 => Verb::Aligned {
            shift: byte(bytes).into(),
            size: number(bytes),
        },
        3 => Verb::Realloc {
            old: blocks - number(bytes),
            size: number(bytes),
        },
        4 => Verb::Free {
            old: blocks - number(bytes),
        },
        _ => panic!("no verb has the number {code}"),
    }
}

fn byte(bytes: &mut &[u8]) -> u8 {
    let (first, rest) = bytes.split_first().expect("a whole trace");
    *bytes = rest;
    *first
}

fn number(bytes: &mut &[u8]) -> usize {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = byte(bytes);
        value |= usize::from(byte & 127) << shift;
        shift += 7;
        if byte & 128 == 0 {
            return value;
        }
    }
}
