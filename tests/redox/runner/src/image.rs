//! What the kernel copies to [`BASE`] and starts: a flat image, made from a static ELF file.

use crate::space::PAGE;
use anyhow::{Context, Result, bail, ensure};
use std::ops::Range;

/// Where the kernel puts the image.
pub(crate) const BASE: usize = PAGE;

/// The address of the first instruction stands here in the image.
const ENTRY: Range<usize> = 0x1a..0x22;

/// No program is as large as this.
const LARGEST: usize = 1 << 30;

/// The memory of a program from [`BASE`] on, in whole pages, with the word that says where it begins.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) bytes: Vec<u8>,
}

impl Image {
    /// From an ELF file, or from an image.
    pub(crate) fn of(file: &[u8]) -> Result<Self> {
        let mut bytes = match file.starts_with(b"\x7fELF") {
            true => flatten(file)?,
            false => file.to_vec(),
        };
        bytes.resize(bytes.len().next_multiple_of(PAGE), 0);
        let image = Self { bytes };
        let inside = BASE..BASE + image.bytes.len();
        ensure!(
            image.bytes.len() >= PAGE && inside.contains(&image.entry()),
            "no ELF file, and no image either: the word at 0x1a does not lead into it"
        );
        Ok(image)
    }

    /// The address of the first instruction.
    pub(crate) fn entry(&self) -> usize {
        let word = self
            .bytes
            .get(ENTRY)
            .and_then(|bytes| bytes.try_into().ok());
        word.map_or(0, usize::from_le_bytes)
    }
}

/// The loaded parts of an ELF file, each at its address.
fn flatten(file: &[u8]) -> Result<Vec<u8>> {
    let kind = (
        byte(file, 4)?,
        byte(file, 5)?,
        half(file, 16)?,
        half(file, 18)?,
    );
    ensure!(
        kind == (2, 1, 2, 62),
        "not a static program for x86-64, linked to fixed addresses"
    );
    let entry = word(file, 24)?;
    let (table, size, count) = (word(file, 32)?, half(file, 54)?, half(file, 56)?);
    let mut image = vec![0; ENTRY.end];
    for index in 0..count {
        let at = table + index * size;
        if half(file, at)? | half(file, at + 2)? << 16 != 1 {
            continue;
        }
        let (offset, start) = (word(file, at + 8)?, word(file, at + 16)?);
        let (filled, all) = (word(file, at + 32)?, word(file, at + 40)?);
        let Some(from) = start.checked_sub(BASE + ENTRY.end) else {
            bail!("a part is linked to {start:#x}, where the kernel keeps the start of the image");
        };
        let from = from + ENTRY.end;
        let to = from.saturating_add(all);
        ensure!(
            filled <= all && to <= LARGEST,
            "a part of {all} bytes at {start:#x}"
        );
        image.resize(image.len().max(to), 0);
        let bytes = file
            .get(offset..offset.saturating_add(filled))
            .context("the file ends early")?;
        image[from..from + filled].copy_from_slice(bytes);
    }
    image[ENTRY].copy_from_slice(&entry.to_le_bytes());
    Ok(image)
}

fn byte(file: &[u8], at: usize) -> Result<u8> {
    file.get(at).copied().context("the file ends early")
}

fn half(file: &[u8], at: usize) -> Result<usize> {
    Ok(usize::from(u16::from_le_bytes([
        byte(file, at)?,
        byte(file, at + 1)?,
    ])))
}

fn word(file: &[u8], at: usize) -> Result<usize> {
    let bytes = file.get(at..at + 8).context("the file ends early")?;
    Ok(usize::from_le_bytes(bytes.try_into()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file of one part: `text`, at this address, `all` bytes of memory.
    fn elf(start: usize, text: &[u8], all: usize) -> Vec<u8> {
        let mut file = vec![0; 120];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[16] = 2;
        file[18] = 62;
        let words = [
            (24, start),
            (32, 64),
            (64, 1),
            (72, 120),
            (80, start),
            (96, text.len()),
            (104, all),
        ];
        for (at, value) in words {
            file[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        file[54] = 56;
        file[56] = 1;
        file.extend(text);
        file
    }

    #[test]
    fn parts_are_at_their_addresses_and_what_the_file_lacks_is_zero() {
        let image = Image::of(&elf(0x11000, b"text", 0x1800)).unwrap();
        assert_eq!(image.entry(), 0x11000);
        assert_eq!(image.bytes.len(), 0x12000);
        assert_eq!(&image.bytes[0x10000..0x10005], b"text\0");
    }

    #[test]
    fn an_image_is_taken_as_it_is() {
        let image = Image::of(&elf(0x2000, b"text", 4)).unwrap();
        assert_eq!(Image::of(&image.bytes).unwrap().bytes, image.bytes);
    }

    #[test]
    fn other_files_are_refused() {
        let says = |file: &[u8]| Image::of(file).unwrap_err().to_string();
        assert!(says(b"#!/bin/sh").starts_with("no ELF file"));
        assert!(says(&elf(0x2000, b"text", 4)[..100]).contains("ends early"));
        assert!(says(&elf(0x1000, b"text", 4)).contains("linked to 0x1000"));
        let mut shared = elf(0x2000, b"text", 4);
        shared[16] = 3;
        assert!(says(&shared).starts_with("not a static program"));
    }
}
