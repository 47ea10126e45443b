//! The names that the library gives to programs, and which of them other allocators have.

use crate::{c_header, cargo, process};
use anyhow::{Result, ensure};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(60);

/// Every name without the library's own prefix, by where it comes from.
pub(crate) const NAMES: [(&str, &[&str]); 6] = [
    (
        "ISO C",
        &[
            "malloc",
            "calloc",
            "realloc",
            "free",
            "aligned_alloc",
            "free_sized",
            "free_aligned_sized",
        ],
    ),
    ("POSIX", &["posix_memalign", "reallocarray", "sbrk", "brk"]),
    (
        "GNU",
        &[
            "memalign",
            "valloc",
            "pvalloc",
            "cfree",
            "malloc_usable_size",
            "malloc_trim",
            "mallinfo",
            "mallinfo2",
            "mallopt",
            "malloc_stats",
            "malloc_info",
        ],
    ),
    (
        "GNU, inside",
        &[
            "__libc_malloc",
            "__libc_calloc",
            "__libc_realloc",
            "__libc_reallocarray",
            "__libc_free",
            "__libc_cfree",
            "__libc_memalign",
            "__libc_valloc",
            "__libc_pvalloc",
            "__libc_mallinfo",
            "__libc_mallopt",
            "__posix_memalign",
        ],
    ),
    (
        "BSD",
        &[
            "reallocf",
            "recallocarray",
            "freezero",
            "malloc_size",
            "malloc_good_size",
        ],
    ),
    ("C++", &OPERATORS),
];

/// Operators `new` and `delete`, as the Itanium ABI spells them with 64-bit sizes.
pub(crate) const OPERATORS: [&str; 20] = [
    "_Znwm",
    "_Znam",
    "_ZnwmRKSt9nothrow_t",
    "_ZnamRKSt9nothrow_t",
    "_ZnwmSt11align_val_t",
    "_ZnamSt11align_val_t",
    "_ZnwmSt11align_val_tRKSt9nothrow_t",
    "_ZnamSt11align_val_tRKSt9nothrow_t",
    "_ZdlPv",
    "_ZdaPv",
    "_ZdlPvm",
    "_ZdaPvm",
    "_ZdlPvRKSt9nothrow_t",
    "_ZdaPvRKSt9nothrow_t",
    "_ZdlPvSt11align_val_t",
    "_ZdaPvSt11align_val_t",
    "_ZdlPvmSt11align_val_t",
    "_ZdaPvmSt11align_val_t",
    "_ZdlPvSt11align_val_tRKSt9nothrow_t",
    "_ZdaPvSt11align_val_tRKSt9nothrow_t",
];

/// Names that programs often define for themselves: in an archive they give way.
pub(crate) fn weak() -> impl Iterator<Item = &'static str> {
    let groups = NAMES
        .iter()
        .filter(|(group, _)| matches!(*group, "BSD" | "C++"));
    groups.flat_map(|(_, names)| names.iter().copied())
}

/// The other allocators, and the files that they may be in.
const PEERS: [(&str, &[&str]); 5] = [
    ("glibc", &["libc.so.6"]),
    (
        "mimalloc",
        &[
            "libmimalloc.so.3",
            "libmimalloc.so.2",
            "libmimalloc.so.2.0",
            "mimalloc3.so",
        ],
    ),
    ("jemalloc", &["libjemalloc.so.2"]),
    ("snmalloc", &["libsnmallocshim.so", "libsnmalloc.so"]),
    (
        "tcmalloc",
        &["libtcmalloc.so.4", "libtcmalloc_minimal.so.4"],
    ),
];

/// Where Debian and others keep libraries.
const FOLDERS: [&str; 5] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/local/lib",
];

/// Prints the table of names against allocators. `others` are `NAME=PATH`, for peers that are elsewhere.
pub(crate) fn print(others: &[String]) -> Result<()> {
    let mut columns = vec![("ralloc".to_owned(), defined(&cargo::build_library()?)?)];
    for (name, files) in PEERS {
        let given = others
            .iter()
            .find_map(|other| other.strip_prefix(name)?.strip_prefix('='));
        let library = given.map(PathBuf::from).or_else(|| find(files));
        match library {
            Some(library) => {
                println!(
                    "{name}: {}",
                    library.file_name().unwrap_or_default().display()
                );
                columns.push((name.to_owned(), defined(&library)?));
            }
            None => println!("{name}: not here (`cargo xtask symbols {name}=PATH` says where)"),
        }
    }
    let titles: Vec<_> = columns.iter().map(|(name, _)| name.as_str()).collect();
    println!(
        "\n| | {} |\n|---|{}",
        titles.join(" | "),
        "---|".repeat(titles.len())
    );
    for (group, names) in NAMES {
        for name in names {
            let has = columns
                .iter()
                .map(|(_, table)| if table.contains(*name) { "yes" } else { "" });
            println!(
                "| {group}: `{name}` | {} |",
                has.collect::<Vec<_>>().join(" | ")
            );
        }
    }
    Ok(())
}

fn find(files: &[&str]) -> Option<PathBuf> {
    let built = cargo::target().ok().map(|target| target.join("peers"));
    let folders = FOLDERS.iter().map(PathBuf::from).chain(built);
    let folders: Vec<_> = folders.collect();
    let mut places = files
        .iter()
        .flat_map(|file| folders.iter().map(move |folder| folder.join(file)));
    places.find(|place| place.is_file())
}

/// The names in the dynamic symbol table of a library that others can use, without versions.
pub(crate) fn defined(library: &Path) -> Result<BTreeSet<String>> {
    let mut command = Command::new("nm");
    command
        .args([
            "--dynamic",
            "--defined-only",
            "--extern-only",
            "--format=posix",
        ])
        .arg(library);
    let ended = process::run(&mut command, LIMIT)?;
    ensure!(
        ended.succeeded(),
        "nm: {}\n{}",
        ended.describe(),
        ended.output
    );
    let names = ended
        .output
        .lines()
        .filter_map(|line| line.split([' ', '@']).next());
    Ok(names.map(str::to_owned).collect())
}

/// The names in a library that should not be there, and those that are missing.
pub(crate) fn differences(library: &Path, with_standard_names: bool) -> Result<Vec<String>> {
    let mut expected: BTreeSet<String> = c_header::functions()?.into_iter().collect();
    if with_standard_names {
        let names = NAMES.iter().flat_map(|(_, names)| names.iter());
        expected.extend(names.map(|name| (*name).to_owned()));
    }
    let defined = defined(library)?;
    let leaked = defined
        .difference(&expected)
        .map(|name| format!("leaks {name}"));
    let missing = expected
        .difference(&defined)
        .map(|name| format!("lacks {name}"));
    Ok(leaked.chain(missing).collect())
}

/// The options of `RALLOC_OPTIONS`, as the library lists them.
pub(crate) fn options() -> Result<Vec<String>> {
    let source = fs::read_to_string(cargo::root().join("libralloc/src/options.rs"))?;
    let list = source
        .split("const KNOWN")
        .nth(1)
        .and_then(|text| text.split('"').nth(1));
    Ok(list
        .unwrap_or_default()
        .split(", ")
        .map(str::to_owned)
        .collect())
}
