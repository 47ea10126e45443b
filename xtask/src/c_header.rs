//! `libralloc/include/ralloc.h`, made from the Rust source of the functions by cbindgen.

use crate::cargo;
use anyhow::{Context, Result, ensure};
use std::{fs, path::PathBuf};

/// The sources, in the order of the header.
const SOURCES: [&str; 4] = ["c", "gnu", "bsd", "cxx"];

const PREAMBLE: &str = "\
/*
 * ralloc, a memory allocator: its functions under its own prefix, to be used beside another allocator.
 *
 * A program that links or preloads the library has them under the names of the standards as well (malloc, free and so on, and
 * C++'s operators new and delete); these are declared in <stdlib.h>, <malloc.h> and <new>. ralloc(3) says more.
 *
 * Made by `cargo xtask header` from libralloc/src; do not edit.
 */";

/// Where the header is in the repository.
pub(crate) fn path() -> PathBuf {
    cargo::root().join("libralloc/include/ralloc.h")
}

/// Writes the header.
pub(crate) fn write() -> Result<()> {
    let path = path();
    fs::create_dir_all(path.parent().context("the header has a folder")?)?;
    fs::write(&path, text()?)?;
    println!("wrote {}", path.display());
    Ok(())
}

/// Whether the header is what the sources make of it now.
pub(crate) fn is_fresh() -> Result<bool> {
    Ok(fs::read_to_string(path())? == text()?)
}

fn text() -> Result<String> {
    let config = cbindgen::Config {
        language: cbindgen::Language::C,
        header: Some(PREAMBLE.into()),
        include_guard: Some("RALLOC_H".into()),
        no_includes: true,
        sys_includes: vec!["stddef.h".into()],
        cpp_compat: true,
        usize_is_size_t: true,
        style: cbindgen::Style::Tag,
        documentation_style: cbindgen::DocumentationStyle::Doxy,
        tab_width: 4,
        line_length: 100,
        ..cbindgen::Config::default()
    };
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in SOURCES {
        builder = builder.with_src(cargo::root().join(format!("libralloc/src/{source}.rs")));
    }
    let mut text = Vec::new();
    builder.generate()?.write(&mut text);
    let text = String::from_utf8(text)?;
    ensure!(
        text.contains("ralloc_malloc("),
        "cbindgen found no functions"
    );
    // A heading for readers of Rust.
    Ok(text.replace(" * # Safety\n *\n", ""))
}

/// The functions that the header declares.
pub(crate) fn functions() -> Result<Vec<String>> {
    let text = fs::read_to_string(path())?;
    let declared = text.lines().filter(|line| {
        let is_comment = line.starts_with(" *") || line.starts_with("/*");
        !is_comment && line.contains('(') && line.contains("ralloc_")
    });
    let name = |line: &str| {
        let before = line.split('(').next().unwrap_or_default();
        before
            .rsplit([' ', '*'])
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    Ok(declared.map(name).collect())
}
