//! On a tree that has nothing of relibc but the lines that the glue looks for.

use super::{
    Checkout,
    changes::{CHANGES, What},
    read,
};
use std::{collections::BTreeMap, fs, path::Path};
use tempfile::TempDir;

/// A checkout as far as the glue knows it.
fn tree() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for change in CHANGES {
        let text = match &change.what {
            What::Added(_) => continue,
            What::Lines(lines) => {
                let lines: Vec<_> = lines
                    .iter()
                    .map(|(old, _)| format!("before\n{old}\n"))
                    .collect();
                format!("name = \"relibc\"\n{}after", lines.concat())
            }
            What::Replaced(_, marks) | What::Removed(marks) => marks.join("\n"),
        };
        let path = folder.path().join(change.path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// Every file below a folder, with its text.
fn picture(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![folder.to_owned()];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(
                fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else {
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            found.insert(name, fs::read_to_string(path).unwrap());
        }
    }
    found
}

fn put(folder: &TempDir) -> anyhow::Result<&'static str> {
    Checkout::open(folder.path())?.put()
}

fn undo(folder: &TempDir) -> anyhow::Result<&'static str> {
    Checkout::open(folder.path())?.undo()
}

#[test]
fn every_place_is_changed_and_what_stands_around_stays() {
    let tree = tree();
    put(&tree).unwrap();
    let after = picture(tree.path());
    let allocator = &after["src/platform/allocator/mod.rs"];
    assert!(allocator.contains("relibc_glue::seam!"));
    assert!(!after.contains_key("src/platform/allocator/sys.rs"));
    assert!(after["src/header/malloc/more.rs"].contains("fn malloc_trim"));
    let manifest = &after["Cargo.toml"];
    assert!(manifest.contains("[dependencies.relibc-glue]") && !manifest.contains("dlmalloc"));
    assert!(manifest.starts_with("name = \"relibc\"\nbefore\n") && manifest.ends_with("\nafter"));
    assert!(!manifest.contains("{glue}"));
    let tcb = &after["src/ld_so/tcb.rs"];
    assert!(
        tcb.contains("    pub dtv_len: usize,\n")
            && tcb.contains("pub allocator: relibc_glue::Words")
    );
    for change in CHANGES {
        if let What::Lines(lines) = &change.what {
            for (_, new) in *lines {
                let end = new.rsplit("{}").next().unwrap().replace("{glue}", "");
                assert!(after[change.path].contains(end.split('"').next().unwrap()));
            }
        }
    }
}

#[test]
fn twice_is_once() {
    let tree = tree();
    put(&tree).unwrap();
    let once = picture(tree.path());
    assert_eq!(put(&tree).unwrap(), "the glue is in place already");
    assert_eq!(picture(tree.path()), once);
}

#[test]
fn undo_restores_every_byte() {
    let tree = tree();
    let before = picture(tree.path());
    assert_eq!(undo(&tree).unwrap(), "the glue is not there");
    put(&tree).unwrap();
    undo(&tree).unwrap();
    assert_eq!(picture(tree.path()), before);
}

#[test]
fn a_tree_that_differs_is_refused_and_left_alone() {
    let tree = tree();
    let linker = tree.path().join("src/ld_so/linker.rs");
    let text = read(&linker).unwrap().unwrap();
    fs::write(&linker, format!("{text}\n                tcb.activate(\n")).unwrap();
    fs::write(tree.path().join("src/start.rs"), "something else").unwrap();
    fs::remove_file(tree.path().join("src/header/unistd/brk.rs")).unwrap();
    fs::write(tree.path().join("src/header/malloc/more.rs"), "theirs").unwrap();
    let before = picture(tree.path());
    let refusal = put(&tree).unwrap_err().to_string();
    for what in [
        "src/ld_so/linker.rs: has `tcb.activate(` 2 times, not once",
        "src/start.rs: has `let is_dynamically_linked",
        "0 times, not once",
        "src/header/unistd/brk.rs: is not there",
        "src/header/malloc/more.rs: is there already, and not from us",
    ] {
        assert!(refusal.contains(what), "{what} is not in\n{refusal}");
    }
    assert_eq!(picture(tree.path()), before);
}

#[test]
fn an_allocator_that_is_not_the_known_one_is_refused() {
    let tree = tree();
    fs::write(
        tree.path().join("src/platform/allocator/mod.rs"),
        "another one",
    )
    .unwrap();
    let refusal = put(&tree).unwrap_err().to_string();
    assert!(refusal.contains("src/platform/allocator/mod.rs: has no `pub const NEWALLOCATOR"));
}

#[test]
fn what_was_changed_since_is_not_lost() {
    let tree = tree();
    put(&tree).unwrap();
    let start = tree.path().join("src/start.rs");
    fs::write(&start, "changed by hand").unwrap();
    let before = picture(tree.path());
    for refused in [put(&tree), undo(&tree)] {
        let refusal = refused.unwrap_err().to_string();
        assert!(
            refusal.contains("src/start.rs") && !refusal.contains("linker"),
            "{refusal}"
        );
    }
    assert_eq!(picture(tree.path()), before);
}

#[test]
fn an_older_glue_is_brought_up_to_date() {
    let tree = tree();
    let before = picture(tree.path());
    put(&tree).unwrap();
    let now = picture(tree.path());
    for folder in ["", ".ralloc/ours/"] {
        let path = tree
            .path()
            .join(format!("{folder}src/header/stdlib/sized.rs"));
        fs::write(path, "an older one").unwrap();
    }
    assert_eq!(
        put(&tree).unwrap(),
        "the glue was there, and is up to date now"
    );
    assert_eq!(picture(tree.path()), now);
    undo(&tree).unwrap();
    assert_eq!(picture(tree.path()), before);
}

#[test]
fn what_is_not_relibc_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(put(&folder).is_err());
    fs::write(
        folder.path().join("Cargo.toml"),
        "[package]\nname = \"other\"\n",
    )
    .unwrap();
    assert!(
        put(&folder)
            .unwrap_err()
            .to_string()
            .contains("is no checkout of relibc")
    );
    assert_eq!(picture(folder.path()).len(), 1);
}

/// relibc makes its headers with cbindgen: these files must be such that it understands them.
#[test]
fn the_added_symbols_make_a_header() {
    let sources = ["malloc_more.rs", "stdlib_sized.rs", "unistd_brk.rs"];
    let mut builder = cbindgen::Builder::new().with_config(cbindgen::Config {
        language: cbindgen::Language::C,
        usize_is_size_t: true,
        // As in relibc once the glue is there: the name is that of a structure and of a function.
        style: cbindgen::Style::Tag,
        ..cbindgen::Config::default()
    });
    for source in sources {
        builder = builder.with_src(crate::cargo::root().join("relibc-glue/relibc").join(source));
    }
    let mut header = Vec::new();
    builder.generate().unwrap().write(&mut header);
    let header = String::from_utf8(header).unwrap();
    for declaration in [
        "struct mallinfo2 mallinfo2(void);",
        "int malloc_trim(size_t",
        "void free_sized(void *ptr,",
        "void free_aligned_sized(void *ptr,",
        "int brk(void *addr);",
        "void *sbrk(",
    ] {
        assert!(
            header.contains(declaration),
            "{declaration} is not in\n{header}"
        );
    }
}
