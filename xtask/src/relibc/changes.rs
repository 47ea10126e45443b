//! The places in relibc that change. `relibc-glue/README.md` says why each is there.

use crate::cargo;
use anyhow::{Context, Result};
use std::fs;

/// What happens to one file.
pub(super) struct Change {
    /// Where it is in relibc.
    pub(super) path: &'static str,
    pub(super) what: What,
}

pub(super) enum What {
    /// Lines that must be there once each, and what comes in their place; `{}` stands for the lines themselves.
    Lines(&'static [(&'static str, &'static str)]),
    /// The file is replaced by one of `relibc-glue/relibc`; these must occur in it, or it is not the file that we know.
    Replaced(&'static str, &'static [&'static str]),
    /// A file of `relibc-glue/relibc` that is added.
    Added(&'static str),
    /// The file goes, if these occur in it.
    Removed(&'static [&'static str]),
}

/// Stands for the folder of the glue, in the text of a change.
const GLUE: &str = "{glue}";

pub(super) const CHANGES: &[Change] = &[
    Change {
        path: "Cargo.toml",
        what: What::Lines(&[(
            "[dependencies.dlmalloc]\npath = \"dlmalloc-rs\"\ndefault-features = false\nfeatures = [\"c_api\"]",
            "[dependencies.relibc-glue]\npath = \"{glue}\"",
        )]),
    },
    Change {
        path: "src/platform/allocator/mod.rs",
        what: What::Replaced(
            "allocator.rs",
            &[
                "pub const NEWALLOCATOR: Allocator",
                "pub unsafe fn alloc_usable_size",
            ],
        ),
    },
    Change {
        path: "src/platform/allocator/sys.rs",
        what: What::Removed(&["use dlmalloc::Allocator;"]),
    },
    Change {
        path: "src/ld_so/tcb.rs",
        what: What::Lines(&[
            (
                "    pub dtv_len: usize,",
                "{}\n\n    /// What the allocator knows of this thread; all zero to begin with.\n    pub allocator: relibc_glue::Words,",
            ),
            (
                "                dtv_len: 0,",
                "{}\n                allocator: relibc_glue::Words::new(),",
            ),
        ]),
    },
    Change {
        path: "src/ld_so/linker.rs",
        what: What::Lines(&[(
            "                tcb.activate(",
            "\
                // The main thread's second TCB: what the allocator knows of the thread goes along. On Redox it is the page\n                \
                // of the first one.\n                \
                #[cfg(not(target_os = \"redox\"))]\n                \
                if let Some(old) = Tcb::current() {\n                    \
                    crate::platform::tls_moves(&raw mut old.allocator, &raw mut tcb.allocator);\n                \
                }\n{}",
        )]),
    },
    Change {
        path: "src/start.rs",
        what: What::Lines(&[(
            "    let is_dynamically_linked = if let Some(tcb) = unsafe { ld_so::tcb::Tcb::current() } {",
            "    platform::tls_is_real();\n\n{}",
        )]),
    },
    Change {
        path: "src/pthread/mod.rs",
        what: What::Lines(&[(
            "    unsafe { header::tls::run_all_destructors() };",
            "{}\n\n    // From here on the thread frees a few blocks at most, and after `waitval.post` none.\n    crate::platform::thread_exits();",
        )]),
    },
    Change {
        path: "src/header/unistd/mod.rs",
        what: What::Lines(&[
            (
                "    unsafe { Sys::fork() }.or_minus_one_errno()",
                "    platform::around_fork(|| unsafe { Sys::fork() }.or_minus_one_errno())",
            ),
            (
                "    let pid = unsafe { Sys::fork() }.or_minus_one_errno();",
                "    let pid = platform::around_fork(|| unsafe { Sys::fork() }.or_minus_one_errno());",
            ),
        ]),
    },
    Change {
        path: "src/header/unistd/brk.rs",
        what: What::Replaced("unistd_brk.rs", &["fn brk(", "fn sbrk("]),
    },
    Change {
        path: "src/header/stdlib/mod.rs",
        what: What::Lines(&[
            ("mod sort;", "mod sized;\n{}\n\npub use self::sized::*;"),
            (
                "            let ptr = unsafe { malloc(size) };",
                "            let ptr = unsafe { platform::alloc_zeroed(size) };",
            ),
            (
                "            if !ptr.is_null() {\n                unsafe { ptr.write_bytes(0, size) };",
                "            if ptr.is_null() {\n                platform::ERRNO.set(ENOMEM);",
            ),
        ]),
    },
    Change {
        path: "src/header/stdlib/sized.rs",
        what: What::Added("stdlib_sized.rs"),
    },
    Change {
        path: "src/header/malloc/mod.rs",
        what: What::Lines(&[(
            "use core::ptr;",
            "{}\n\npub use self::more::*;\n\nmod more;",
        )]),
    },
    Change {
        path: "src/header/malloc/cbindgen.toml",
        what: What::Lines(&[("style = \"Type\"", "style = \"Tag\"")]),
    },
    Change {
        path: "src/header/malloc/more.rs",
        what: What::Added("malloc_more.rs"),
    },
];

impl Change {
    /// What becomes of the file: `None` if it goes. All that is unexpected about it is added to `surprises`.
    pub(super) fn result(
        &self,
        original: Option<&str>,
        surprises: &mut Vec<String>,
    ) -> Result<Option<String>> {
        let mut surprise = |what: String| surprises.push(format!("{}: {what}", self.path));
        let Some(original) = original else {
            if let What::Added(ours) = &self.what {
                return ours_named(ours).map(Some);
            }
            surprise("is not there".to_owned());
            return Ok(None);
        };
        let lacks = |marks: &[&str]| {
            let lacking = marks.iter().filter(|mark| !original.contains(**mark));
            lacking
                .map(|mark| format!("has no `{mark}`"))
                .collect::<Vec<_>>()
        };
        match &self.what {
            What::Added(_) => {
                surprise("is there already, and not from us".to_owned());
                Ok(None)
            }
            What::Removed(marks) => {
                lacks(marks).into_iter().for_each(surprise);
                Ok(None)
            }
            What::Replaced(ours, marks) => {
                lacks(marks).into_iter().for_each(surprise);
                ours_named(ours).map(Some)
            }
            What::Lines(lines) => {
                let mut text = original.to_owned();
                for (old, new) in *lines {
                    match occurrences(original, old) {
                        1 => text = in_place_of(&text, old, new)?,
                        count => surprise(format!("has `{}` {count} times, not once", old.trim())),
                    }
                }
                Ok(Some(text))
            }
        }
    }
}

/// How often lines occur, whole.
fn occurrences(text: &str, lines: &str) -> usize {
    format!("\n{text}\n")
        .matches(&format!("\n{lines}\n"))
        .count()
}

fn in_place_of(text: &str, old: &str, new: &str) -> Result<String> {
    let new = new.replace("{}", old).replace(GLUE, &glue()?);
    let framed = format!("\n{text}").replacen(&format!("\n{old}\n"), &format!("\n{new}\n"), 1);
    Ok(framed[1..].to_owned())
}

/// The folder of the glue, as it stands in a string of TOML.
fn glue() -> Result<String> {
    let folder = cargo::root().join("relibc-glue").canonicalize()?;
    let folder = folder
        .to_str()
        .context("the path of the repository is not UTF-8")?;
    Ok(folder.replace('\\', "\\\\").replace('"', "\\\""))
}

fn ours_named(name: &str) -> Result<String> {
    let path = cargo::root().join("relibc-glue/relibc").join(name);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}
