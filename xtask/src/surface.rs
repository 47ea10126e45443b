//! The public surface of the crates: every item is listed in a file, so that what is added or lost shows in review, and every item of
//! `ralloc` is in an example of its documentation.
//!
//! Both are read from the pages that `cargo doc` has written: items with their methods, constants, variants and fields, without what
//! they have of traits.

use anyhow::{Context, Result, bail};
use std::{collections::BTreeSet, fmt::Write, fs, path::Path};

/// The list, from the root.
pub(crate) const LIST: &str = "tests/surface.txt";

/// Crates, and whether each of their items must be in an example.
const CRATES: [(&str, bool); 2] = [("ralloc", true), ("ralloc_platform", false)];

/// What a page calls that which belongs to an item.
const MEMBERS: [&str; 6] = [
    "method",
    "tymethod",
    "associatedconstant",
    "associatedtype",
    "variant",
    "structfield",
];

/// Where on a page begins what an item has of traits, or of others.
const OF_OTHERS: [&str; 4] = [
    "id=\"trait-implementations\"",
    "id=\"synthetic-implementations\"",
    "id=\"blanket-implementations\"",
    "id=\"implementors\"",
];

/// What is written on the pages below `doc`, one item a line, and which items lack an example.
fn read(doc: &Path) -> Result<(String, Vec<String>)> {
    let mut list = String::new();
    let mut lacking = Vec::new();
    for (name, with_examples) in CRATES {
        let folder = doc.join(name);
        let index = fs::read_to_string(folder.join("all.html"))
            .with_context(|| format!("no documentation of {name}"))?;
        let links = index.split("<li><a href=\"").skip(1);
        let links = links.filter_map(|link| link.split('"').next());
        // The others lead to places on the page itself.
        let pages: BTreeSet<_> = links.filter(|link| link.ends_with(".html")).collect();
        let mut shown = fs::read_to_string(folder.join("index.html"))?;
        let mut items = Vec::new();
        for page in pages {
            let text = fs::read_to_string(folder.join(page))?;
            let own = OF_OTHERS
                .iter()
                .filter_map(|mark| text.find(mark))
                .min()
                .map_or(&*text, |end| &text[..end]);
            let (module, kind, item) = parts(page).with_context(|| format!("{name}/{page}"))?;
            let path: String = [name]
                .into_iter()
                .chain(module)
                .collect::<Vec<_>>()
                .join("::");
            writeln!(list, "{path}::{item} ({kind})")?;
            for member in members(own) {
                writeln!(list, "{path}::{item}::{member}")?;
            }
            items.push((module, kind, item, has_example(own)));
            shown += own;
            if let Some(module) = module {
                shown += &fs::read_to_string(folder.join(module).join("index.html"))?;
            }
        }
        let examples = examples(&shown);
        // Types have names of their own; functions of several modules may share one.
        let is_shown = |module: Option<&str>, kind: &str, item: &str| match module {
            Some(module) if kind == "fn" => examples.contains(&format!("{module}::{item}")),
            _ => has_word(&examples, item),
        };
        for (module, kind, item, own) in items {
            if with_examples && !own && !is_shown(module, kind, item) {
                lacking.push(format!("{}::{item}", module.unwrap_or(name)));
            }
        }
    }
    Ok((list, lacking))
}

/// The module, the kind and the name in `module/kind.Name.html`.
fn parts(page: &str) -> Option<(Option<&str>, &str, &str)> {
    let (module, file) = match page.rsplit_once('/') {
        Some((module, file)) => (Some(module), file),
        None => (None, page),
    };
    let (kind, name) = file.strip_suffix(".html")?.split_once('.')?;
    Some((module, kind, name))
}

/// The kinds and names behind `id="kind.name"`, in the order of the page, each once.
fn members(page: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for id in page.split("id=\"").skip(1) {
        let id = id.split('"').next().unwrap_or_default();
        let is_one = id
            .split_once('.')
            .is_some_and(|(kind, name)| MEMBERS.contains(&kind) && !name.contains('.'));
        if is_one && !found.contains(&id) {
            found.push(id);
        }
    }
    found
}

const EXAMPLE: &str = "rust rust-example-rendered";

fn has_example(page: &str) -> bool {
    page.contains(EXAMPLE)
}

/// The text of all examples, without the marks for colours.
fn examples(pages: &str) -> String {
    let mut text = String::new();
    for example in pages.split(EXAMPLE).skip(1) {
        let example = example.split("</pre>").next().unwrap_or_default();
        let mut is_mark = true;
        for letter in example.chars() {
            match letter {
                '<' => is_mark = true,
                '>' => is_mark = false,
                _ if !is_mark => text.push(letter),
                _ => {}
            }
        }
        text.push('\n');
    }
    text
}

fn has_word(text: &str, word: &str) -> bool {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    text.split(|letter| !is_part(letter))
        .any(|found| found == word)
}

/// Compares the pages below `doc` with the list at `root`. An error says what differs.
pub(crate) fn check(root: &Path, doc: &Path) -> Result<()> {
    let (list, lacking) = read(doc)?;
    if !lacking.is_empty() {
        bail!(
            "public, and in no example of the documentation: {}",
            lacking.join(", ")
        );
    }
    let listed = fs::read_to_string(root.join(LIST)).unwrap_or_default();
    let (old, new): (BTreeSet<_>, BTreeSet<_>) = (listed.lines().collect(), list.lines().collect());
    if old == new {
        return Ok(());
    }
    let mut text = format!(
        "the public surface is not what {LIST} lists; `cargo xtask surface` writes it anew\n"
    );
    for line in old.difference(&new) {
        writeln!(text, "- {line}")?;
    }
    for line in new.difference(&old) {
        writeln!(text, "+ {line}")?;
    }
    bail!(text)
}

/// Writes the list at `root` from the pages below `doc`.
pub(crate) fn write(root: &Path, doc: &Path) -> Result<()> {
    fs::write(root.join(LIST), read(doc)?.0)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read() {
        assert_eq!(
            parts("stats/struct.Stats.html"),
            Some((Some("stats"), "struct", "Stats"))
        );
        assert_eq!(parts("fn.alloc.html"), Some((None, "fn", "alloc")));
        let page = "<h4 id=\"method.split\"></h4><h4 id=\"method.split\"></h4><a id=\"title\">";
        assert_eq!(members(page), ["method.split"]);
        let page = format!(
            "<pre class=\"{EXAMPLE}\"><code><span>alloc</span>::free()</code></pre>free_all"
        );
        assert!(has_example(&page));
        let text = examples(&page);
        assert!(text.contains("alloc::free") && has_word(&text, "free"));
        assert!(!has_word(&text, "free_all"));
    }
}
