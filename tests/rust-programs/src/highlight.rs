//! syntect, which colours for bat: every file of the tree becomes HTML.

use crate::{Sum, THREADS, files};
use anyhow::{Context, Result, ensure};
use rayon::prelude::*;
use std::{fs, path::Path};
use syntect::{
    easy::HighlightLines,
    highlighting::{Theme, ThemeSet},
    html::{IncludeBackground, styled_line_to_highlighted_html},
    parsing::SyntaxSet,
    util::LinesWithEndings,
};

/// Every how manieth file is coloured: all of them take long.
const EVERY: usize = 12;

pub(crate) fn run(size: u32, tree: &Path) -> Result<String> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(THREADS)
        .build()?;
    let paths = files(tree, &["rs", "c", "toml", "md"])?;
    let paths: Vec<_> = paths.iter().step_by(EVERY).collect();
    let mut total = (0, 0, 0);
    for _ in 0..size {
        // Hundreds of thousands of small blocks, all gone at the end of the round.
        let syntaxes = SyntaxSet::load_defaults_newlines();
        let mut themes = ThemeSet::load_defaults().themes;
        let theme = themes.remove("Solarized (dark)").context("no such theme")?;
        let found: Vec<_> = pool.install(|| {
            let pages = paths.par_iter();
            pages
                .map(|path| html(path, &syntaxes, &theme))
                .collect::<Result<_>>()
        })?;
        for (lines, page) in found {
            total.0 += lines;
            total.1 += page.len();
            total.2 = Sum(total.2).and(page.as_bytes()).0;
        }
    }
    let (lines, bytes, sum) = total;
    ensure!(bytes > lines, "nothing was coloured");
    Ok(format!(
        "{} files, {lines} lines, {bytes} bytes, sum {sum:016x}",
        paths.len()
    ))
}

/// How many lines a file has, and what becomes of it.
fn html(path: &Path, syntaxes: &SyntaxSet, theme: &Theme) -> Result<(usize, String)> {
    let text = fs::read_to_string(path)?;
    let syntax = syntaxes
        .find_syntax_for_file(path)?
        .unwrap_or_else(|| syntaxes.find_syntax_plain_text());
    let mut highlighter = HighlightLines::new(syntax, theme);
    let mut page = String::new();
    let mut lines = 0;
    for line in LinesWithEndings::from(&text) {
        let styled = highlighter.highlight_line(line, syntaxes)?;
        page += &styled_line_to_highlighted_html(&styled, IncludeBackground::No)?;
        lines += 1;
    }
    Ok((lines, page))
}
