//! Debug output.

use crate::kernel::{self, DEBUG};
use core::fmt;

/// The descriptor for debug output.
const OUTPUT: usize = 3;

pub struct Console;

impl Console {
    pub fn open() {
        let opened = kernel::openat(kernel::root(DEBUG), "", OUTPUT);
        // Nobody can be told.
        let _ = opened;
    }
}

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        kernel::write(OUTPUT, text.as_bytes())
            .map(drop)
            .map_err(|_| fmt::Error)
    }
}

/// Formats to a small buffer first: lines come out whole.
pub struct Line {
    bytes: [u8; 256],
    length: usize,
}

impl Line {
    pub const fn new() -> Self {
        Self {
            bytes: [0; 256],
            length: 0,
        }
    }

    pub fn send(&self) {
        let _ = kernel::write(OUTPUT, &self.bytes[..self.length]);
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            if let Some(place) = self.bytes.get_mut(self.length) {
                *place = byte;
                self.length += 1;
            }
        }
        Ok(())
    }
}

macro_rules! print {
    ($($word:tt)*) => {{
        let mut line = $crate::console::Line::new();
        let _ = core::fmt::Write::write_fmt(&mut line, format_args!($($word)*));
        line.send();
    }};
}
pub(crate) use print;
