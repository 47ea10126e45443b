//! The allocators that ralloc is compared with, and where each comes from.

/// One of them.
pub(crate) struct Peer {
    /// Its name on the command line and in the tables.
    pub(crate) name: &'static str,
    pub(crate) source: Source,
}

/// Where a peer comes from.
pub(crate) enum Source {
    /// The C library of this system: nothing is preloaded.
    System,
    /// The crate bench/peers/NAME, which pins the version.
    Crate(Recipe),
    /// A package of Debian and its kin, by one of these names, and the library in it.
    Debian {
        packages: &'static [&'static str],
        library: &'static str,
    },
}

/// How a crate under bench/peers becomes a preload library.
///
/// The compiler flags are those with which the peer builds its own preload library: the crates
/// that vendor them mean to link them statically.
pub(crate) struct Recipe {
    /// The version of the peer and of the crate that vendors it.
    pub(crate) version: &'static str,
    /// For the C compiler.
    pub(crate) c_flags: &'static str,
    /// For the C++ compiler.
    pub(crate) cxx_flags: &'static str,
    pub(crate) product: Product,
}

/// What Cargo leaves behind.
pub(crate) enum Product {
    /// A preload library, ready to use.
    Library,
    /// An archive that defines `malloc` and its family. Linked as it is, they stay the peer's own
    /// functions: a forwarding function per call would be a handicap.
    Archive,
    /// An archive that defines them behind a prefix; the link step gives the addresses their names.
    Prefixed(&'static str),
}

/// All of them, in the order of the tables.
pub(crate) const PEERS: &[Peer] = &[
    Peer {
        name: "glibc",
        source: Source::System,
    },
    Peer {
        name: "mimalloc3",
        source: Source::Crate(Recipe {
            version: "3.3.2 (libmimalloc-sys 0.1.49)",
            c_flags: "-fvisibility=hidden -DMI_SHARED_LIB -DMI_SHARED_LIB_EXPORT",
            cxx_flags: "",
            product: Product::Archive,
        }),
    },
    Peer {
        name: "mimalloc2",
        source: Source::Crate(Recipe {
            version: "2.3.2 (libmimalloc-sys 0.1.49)",
            c_flags: "-fvisibility=hidden -DMI_SHARED_LIB -DMI_SHARED_LIB_EXPORT",
            cxx_flags: "",
            product: Product::Archive,
        }),
    },
    Peer {
        name: "snmalloc",
        source: Source::Crate(Recipe {
            version: "0.7.6 (snmalloc-sys 0.7.6)",
            c_flags: "",
            cxx_flags: concat!(
                "-DNDEBUG -fvisibility=hidden -DSNMALLOC_USE_CXX11_THREAD_ATEXIT_DIRECT",
                r#" -DSNMALLOC_EXPORT=__attribute__((visibility("default")))"#
            ),
            product: Product::Prefixed("sn_"),
        }),
    },
    Peer {
        name: "rpmalloc",
        source: Source::Crate(Recipe {
            version: "1.4.4-pre b097fd0 (rpmalloc-sys 0.2.3, the newest there is)",
            c_flags: "-O3 -DNDEBUG -DENABLE_OVERRIDE=1 -fvisibility=hidden",
            cxx_flags: "",
            product: Product::Archive,
        }),
    },
    Peer {
        name: "jemalloc",
        source: Source::Crate(Recipe {
            version: "5.3.1 (tikv-jemalloc-sys 0.7.1)",
            c_flags: "",
            cxx_flags: "",
            product: Product::Archive,
        }),
    },
    Peer {
        name: "tcmalloc",
        source: Source::Debian {
            packages: &["libtcmalloc-minimal4", "libtcmalloc-minimal4t64"],
            library: "libtcmalloc_minimal.so.4",
        },
    },
    Peer {
        name: "dlmalloc",
        source: Source::Crate(Recipe {
            version: "0.2.14 (dlmalloc 0.2.14) behind one mutex",
            c_flags: "",
            cxx_flags: "",
            product: Product::Library,
        }),
    },
];

/// The same allocators as they are built, or set up, to notice misuse. `tests/misuse` compares what they notice, and
/// `bench --cost` what that costs.
pub(crate) const HARDENED: &[Peer] = &[
    Peer {
        name: "mimalloc3-secure",
        source: Source::Crate(Recipe {
            version: "3.3.2 (libmimalloc-sys 0.1.49), feature secure",
            c_flags: "-fvisibility=hidden -DMI_SHARED_LIB -DMI_SHARED_LIB_EXPORT",
            cxx_flags: "",
            product: Product::Archive,
        }),
    },
    Peer {
        name: "mimalloc2-secure",
        source: Source::Crate(Recipe {
            version: "2.3.2 (libmimalloc-sys 0.1.49), feature secure",
            c_flags: "-fvisibility=hidden -DMI_SHARED_LIB -DMI_SHARED_LIB_EXPORT",
            cxx_flags: "",
            product: Product::Archive,
        }),
    },
    Peer {
        name: "snmalloc-checks",
        source: Source::Crate(Recipe {
            version: "0.7.6 (snmalloc-sys 0.7.6), SNMALLOC_CHECK_CLIENT",
            c_flags: "",
            cxx_flags: concat!(
                "-DNDEBUG -DSNMALLOC_CHECK_CLIENT -fvisibility=hidden",
                " -DSNMALLOC_USE_CXX11_THREAD_ATEXIT_DIRECT",
                r#" -DSNMALLOC_EXPORT=__attribute__((visibility("default")))"#
            ),
            product: Product::Prefixed("sn_"),
        }),
    },
    Peer {
        name: "scudo",
        source: Source::Debian {
            packages: &[
                "libclang-rt-14-dev",
                "libclang-rt-16-dev",
                "libclang-rt-19-dev",
            ],
            library: "libclang_rt.scudo_standalone-x86_64.so",
        },
    },
    Peer {
        name: "glibc-check",
        source: Source::Debian {
            packages: &["libc6"],
            library: "libc_malloc_debug.so.0",
        },
    },
];

/// Which of [`HARDENED`] is what kind of which of [`PEERS`].
pub(crate) const PAIRS: &[(&str, &str)] = &[
    ("mimalloc3", "mimalloc3-secure"),
    ("mimalloc2", "mimalloc2-secure"),
    ("snmalloc", "snmalloc-checks"),
];

/// The functions that a prefixed archive is renamed to.
pub(crate) const FAMILY: &[&str] = &[
    "malloc",
    "free",
    "calloc",
    "realloc",
    "reallocarray",
    "aligned_alloc",
    "memalign",
    "posix_memalign",
    "valloc",
    "pvalloc",
    "malloc_usable_size",
];

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn the_tables_name_the_versions_that_are_pinned() {
        let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
        for Peer { name, source } in PEERS.iter().chain(HARDENED) {
            let Source::Crate(recipe) = source else {
                continue;
            };
            let manifest = fs::read_to_string(peers.join(name).join("Cargo.toml")).unwrap();
            let pinned = manifest
                .split("\"=")
                .nth(1)
                .unwrap()
                .split('"')
                .next()
                .unwrap();
            assert!(
                recipe.version.contains(&format!(" {pinned}")),
                "{name} {pinned}"
            );
        }
    }
}
