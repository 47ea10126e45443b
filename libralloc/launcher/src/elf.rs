//! The little of an ELF header that decides whether the loader can preload into a program.

use crate::refusal::{BROKEN, Refusal};
use object::{
    Endianness, FileKind,
    elf::{self, FileHeader32, FileHeader64},
    read::{
        ReadCache,
        elf::{FileHeader, ProgramHeader},
    },
};
use std::{ffi::OsString, fmt, fs::File, os::unix::ffi::OsStringExt, path::Path};

/// What an ELF file is for, and who loads it.
#[derive(Debug, PartialEq)]
pub(crate) struct Image {
    pub(crate) machine: Machine,
    /// The dynamic loader that the file names; none in a static program, nor in a shared object.
    pub(crate) loader: Option<OsString>,
}

/// A processor, as far as two files must agree on it to share a process.
#[derive(Debug, PartialEq, Clone, Copy)]
pub(crate) struct Machine {
    wide: bool,
    big_endian: bool,
    number: elf::Machine,
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-bit ", if self.wide { 64 } else { 32 })?;
        match self.number {
            elf::EM_386 => f.write_str("i386"),
            elf::EM_X86_64 => f.write_str("x86-64"),
            elf::EM_ARM => f.write_str("ARM"),
            elf::EM_AARCH64 => f.write_str("AArch64"),
            elf::EM_RISCV => f.write_str("RISC-V"),
            other => write!(f, "ELF machine {}", other.0),
        }
    }
}

/// Reads the header of the library.
pub(crate) fn read(library: &Path) -> Result<Image, Refusal> {
    let broken = |reason: &dyn fmt::Display| Refusal::of(BROKEN, library, reason);
    let file = File::open(library).map_err(|error| broken(&error))?;
    parse(file)
        .map_err(|error| broken(&error))?
        .ok_or_else(|| broken(&"not an ELF file"))
}

/// Reads the header of a file; `None` if it is something else than ELF.
pub(crate) fn parse(file: File) -> object::read::Result<Option<Image>> {
    let data = ReadCache::new(file);
    match FileKind::parse(&data) {
        Ok(FileKind::Elf32) => image::<FileHeader32<Endianness>>(&data).map(Some),
        Ok(FileKind::Elf64) => image::<FileHeader64<Endianness>>(&data).map(Some),
        Ok(_) | Err(_) => Ok(None),
    }
}

fn image<H: FileHeader<Endian = Endianness>>(
    data: &ReadCache<File>,
) -> object::read::Result<Image> {
    let header = H::parse(data)?;
    let endian = header.endian()?;
    let mut loader = None;
    for segment in header.program_headers(endian, data)? {
        if let Some(name) = segment.interpreter(endian, data)? {
            loader = Some(OsString::from_vec(name.to_vec()));
        }
    }
    let machine = Machine {
        wide: header.is_class_64(),
        big_endian: header.is_big_endian(),
        number: header.e_machine(endian),
    };
    Ok(Image { machine, loader })
}
