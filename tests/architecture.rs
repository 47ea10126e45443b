//! What the layout of the sources promises: the list of modules is the order of dependence, operating systems are the
//! platform's business, files can be read in one go.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Lines of a file, at most.
const LINES: usize = 500;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below a directory, as (path from the root, text).
fn sources(directory: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut left = vec![root().join(directory)];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("a directory of the package");
            left.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source file");
            let name = path.strip_prefix(root()).expect("below the root");
            found.push((name.display().to_string(), text));
        }
    }
    found.sort();
    found
}

/// The modules that `src/lib.rs` declares, in this order.
fn modules() -> Vec<String> {
    let text = fs::read_to_string(root().join("src/lib.rs")).expect("src/lib.rs");
    let module = |line: &str| {
        let line = line
            .trim_start_matches("pub ")
            .trim_start_matches("pub(crate) ");
        Some(line.strip_prefix("mod ")?.strip_suffix(';')?.to_owned())
    };
    text.lines().filter_map(module).collect()
}

/// The text without comments and without what is for tests only.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or(text);
    let lines = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or(line));
    // In a macro, `$crate` is for the crates that use it.
    lines.collect::<Vec<_>>().join("\n").replace("$crate::", "")
}

/// The modules of the crate that a file names: behind `crate::`, singly or in braces.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for after in code.split("crate::").skip(1) {
        let Some(group) = after.strip_prefix('{') else {
            found.extend(first_word(after));
            continue;
        };
        // Only what stands directly inside of the braces is a module.
        let mut depth = 0;
        let mut item = String::new();
        for letter in group.chars() {
            match letter {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => found.extend(first_word(&std::mem::take(&mut item))),
                _ if depth == 0 => item.push(letter),
                _ => {}
            }
        }
        found.extend(first_word(&item));
    }
    found
}

fn first_word(text: &str) -> Option<String> {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    let word: String = text
        .trim_start()
        .chars()
        .take_while(|&letter| is_part(letter))
        .collect();
    (!word.is_empty()).then_some(word)
}

#[test]
fn imports_are_found() {
    let code = "use crate::{\n    alloc,\n    config::{CHUNK, page::X},\n    heap::Heap,\n};\nuse crate::page::Page;";
    assert_eq!(imports(code), ["alloc", "config", "heap", "page"]);
}

#[test]
fn modules_import_only_modules_declared_before_them() {
    let modules = modules();
    let position = |name: &str| modules.iter().position(|module| module == name);
    let mut offenders = Vec::new();
    for (path, text) in sources("src") {
        let name = path.trim_start_matches("src/").trim_end_matches(".rs");
        let name = name.split('/').next().unwrap_or(name);
        if name == "lib" {
            continue;
        }
        let here = position(name).unwrap_or_else(|| panic!("{path} is not declared in src/lib.rs"));
        let code = code(&text);
        for import in imports(&code) {
            match position(&import) {
                Some(there) if there <= here => {}
                Some(_) => offenders.push(format!("{name} imports {import}, which comes later")),
                // Items that `lib.rs` re-exports by their names.
                None => offenders.push(format!("{name} imports {import}, which is no module")),
            }
        }
    }
    assert!(offenders.is_empty(), "{}", offenders.join("\n"));
}

#[test]
fn operating_systems_are_the_platforms_business() {
    let asks = |text: &str| {
        let code: String = code(text).split_whitespace().collect();
        ["target_os", "target_family", "cfg(unix)", "cfg(windows)"]
            .iter()
            .any(|word| code.contains(word))
    };
    let offenders: Vec<_> = sources("src")
        .into_iter()
        .filter(|(_, text)| asks(text))
        .collect();
    let offenders: Vec<_> = offenders.into_iter().map(|(path, _)| path).collect();
    assert!(offenders.is_empty(), "{}", offenders.join("\n"));
}

#[test]
fn no_file_is_too_long_to_read() {
    let files = ["src", "platform/src", "tests"].map(sources);
    let long = files.iter().flatten().filter_map(|(path, text)| {
        let lines = text.lines().count();
        (lines > LINES).then(|| format!("{path}: {lines} lines, {LINES} at most"))
    });
    let offenders: Vec<_> = long.collect();
    assert!(offenders.is_empty(), "{}", offenders.join("\n"));
}

#[test]
fn sources_are_found() {
    let found = sources("src");
    assert!(
        found
            .iter()
            .any(|(path, _)| Path::new(path) == Path::new("src/lib.rs"))
    );
    assert!(found.len() > 20 && modules().len() > 15);
}
