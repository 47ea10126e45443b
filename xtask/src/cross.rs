//! The programs of `tests/c` elsewhere: on other processors, under an emulator, and with other C libraries.
//!
//! In short form, as a tier, a few programs for each machine; `cargo xtask cross` runs all of them.

use crate::{
    c_program::Test,
    c_tests, cargo,
    header::Header,
    library::Library,
    machine::Machine,
    needs::{self, Needs},
    process,
    report::{Outcome, Report},
};
use anyhow::Result;
use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(1800);

/// A machine that is not this one.
struct Elsewhere {
    name: &'static str,
    about: &'static str,
    /// What cargo builds for. Where it is `None`, for this machine.
    target: Option<&'static str>,
    cc: &'static str,
    cxx: &'static str,
    packages: &'static str,
    /// What the compiler for C++ comes with, if there is one.
    cxx_packages: &'static str,
    /// The directory of the C library, and the emulator.
    emulated: Option<(&'static str, &'static str)>,
    traits: &'static [&'static str],
}

const ELSEWHERE: [Elsewhere; 9] = [
    Elsewhere {
        name: "aarch64",
        about: "preloaded, glibc, under qemu",
        target: Some("aarch64-unknown-linux-gnu"),
        cc: "aarch64-linux-gnu-gcc",
        cxx: "aarch64-linux-gnu-g++",
        cxx_packages: "g++-aarch64-linux-gnu",
        packages: "gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user",
        emulated: Some(("/usr/aarch64-linux-gnu", "qemu-aarch64")),
        traits: &["aarch64", "foreign"],
    },
    Elsewhere {
        name: "aarch64-16k",
        about: "the same with OS pages of 16 KiB",
        target: Some("aarch64-unknown-linux-gnu"),
        cc: "aarch64-linux-gnu-gcc",
        cxx: "aarch64-linux-gnu-g++",
        cxx_packages: "g++-aarch64-linux-gnu",
        packages: "gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user",
        emulated: Some(("/usr/aarch64-linux-gnu", "qemu-aarch64 -p 16384")),
        traits: &["aarch64", "16k", "foreign"],
    },
    Elsewhere {
        name: "aarch64-64k",
        about: "the same with OS pages of 64 KiB",
        target: Some("aarch64-unknown-linux-gnu"),
        cc: "aarch64-linux-gnu-gcc",
        cxx: "aarch64-linux-gnu-g++",
        cxx_packages: "g++-aarch64-linux-gnu",
        packages: "gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user",
        emulated: Some(("/usr/aarch64-linux-gnu", "qemu-aarch64 -p 65536")),
        traits: &["aarch64", "64k", "foreign"],
    },
    Elsewhere {
        name: "riscv64",
        about: "preloaded, glibc, under qemu",
        target: Some("riscv64gc-unknown-linux-gnu"),
        cc: "riscv64-linux-gnu-gcc",
        cxx: "riscv64-linux-gnu-g++",
        cxx_packages: "g++-riscv64-linux-gnu",
        packages: "gcc-riscv64-linux-gnu libc6-dev-riscv64-cross qemu-user",
        emulated: Some(("/usr/riscv64-linux-gnu", "qemu-riscv64")),
        traits: &["riscv64", "foreign"],
    },
    Elsewhere {
        name: "s390x",
        about: "preloaded, glibc, under qemu: big-endian, and the words of a thread by way of a thread key",
        target: Some("s390x-unknown-linux-gnu"),
        cc: "s390x-linux-gnu-gcc",
        cxx: "s390x-linux-gnu-g++",
        cxx_packages: "g++-s390x-linux-gnu",
        packages: "gcc-s390x-linux-gnu libc6-dev-s390x-cross qemu-user",
        emulated: Some(("/usr/s390x-linux-gnu", "qemu-s390x")),
        traits: &["s390x", "keyed", "foreign"],
    },
    Elsewhere {
        name: "i686",
        about: "preloaded, glibc; on the processor itself where it is one, else under qemu",
        target: Some("i686-unknown-linux-gnu"),
        cc: "i686-linux-gnu-gcc",
        cxx: "i686-linux-gnu-g++",
        cxx_packages: "g++-i686-linux-gnu",
        packages: "gcc-i686-linux-gnu libc6-dev-i386-cross qemu-user",
        emulated: Some(("/usr/i686-linux-gnu", "qemu-i386")),
        traits: &["i686", "32-bit", "foreign"],
    },
    Elsewhere {
        name: "static",
        about: "`cc -static`, glibc",
        target: None,
        cc: "cc",
        cxx: "c++",
        cxx_packages: "g++",
        packages: "gcc libc6-dev",
        emulated: None,
        traits: &["static"],
    },
    Elsewhere {
        name: "musl-static",
        about: "`musl-gcc -static`",
        target: Some(MUSL),
        cc: "musl-gcc",
        cxx: "",
        cxx_packages: "",
        packages: "musl-tools",
        emulated: None,
        traits: &["musl-static", "musl", "static", "foreign"],
    },
    Elsewhere {
        name: "musl",
        about: "preloaded, musl",
        target: Some(MUSL),
        cc: "musl-gcc",
        cxx: "",
        cxx_packages: "",
        packages: "musl-tools",
        emulated: None,
        traits: &["musl", "musl-dynamic", "foreign"],
    },
];

#[cfg(target_arch = "aarch64")]
const MUSL: &str = "aarch64-unknown-linux-musl";
#[cfg(target_arch = "riscv64")]
const MUSL: &str = "riscv64gc-unknown-linux-musl";
#[cfg(not(any(target_arch = "aarch64", target_arch = "riscv64")))]
const MUSL: &str = "x86_64-unknown-linux-musl";

/// The programs of the short form: one for each kind of situation, none that needs its time.
const SHORT: [&str; 18] = [
    "abi/alignment",
    "abi/bad_alignment",
    "abi/errno_kept",
    "abi/libc_blocks",
    "abi/names",
    "abi/too_large",
    "abi/zero_size",
    "first_operation/before_main",
    "first_operation/no_keys_left",
    "fork/freed_for_the_parent",
    "conformance/reallocarray",
    "conformance/stacks",
    "conformance/types",
    "fork/both_go_on",
    "fork/while_threads_die",
    "conformance/files",
    "conformance/long_jumps",
    "threads/ping_pong",
];

/// What the user asked for.
#[derive(clap::Args)]
pub(crate) struct Cross {
    /// Only these machines (--list names them).
    machines: Vec<String>,
    /// Only programs whose name contains one of these.
    #[arg(long, value_name = "TEXT", value_delimiter = ',')]
    only: Vec<String>,
    /// The few programs that the tier runs.
    #[arg(long)]
    short: bool,
    /// Name the machines, and the programs that are skipped on some, and run nothing.
    #[arg(long)]
    list: bool,
}

impl Cross {
    /// What the tier runs.
    pub(crate) fn tier(filter: Option<&str>) -> Self {
        Self {
            machines: Vec::new(),
            only: filter.map(str::to_owned).into_iter().collect(),
            short: filter.is_none(),
            list: false,
        }
    }

    fn wants(&self, test: &Test) -> bool {
        (self.only.is_empty() || self.only.iter().any(|text| test.name.contains(text)))
            && (!self.short || SHORT.contains(&test.name.as_str()))
    }

    /// Machines that the user named and that do not exist.
    pub(crate) fn unknown(&self) -> Option<&str> {
        let known = |name: &&String| !ELSEWHERE.iter().any(|place| place.name == name.as_str());
        self.machines.iter().find(known).map(String::as_str)
    }

    /// If a list was asked for: prints it.
    pub(crate) fn lists(&self) -> Result<bool> {
        if self.list {
            for place in &ELSEWHERE {
                println!("{:13}{}", place.name, place.about);
            }
            println!("\nskipped:");
            for test in Test::all()? {
                for (traits, reason) in test.header.with_reasons("skip") {
                    println!("{:32} {traits:20} {reason}", test.name);
                }
            }
        }
        Ok(self.list)
    }
}

pub(crate) fn run(cross: &Cross, report: &mut Report) -> Result<()> {
    let wanted = |place: &&Elsewhere| {
        cross.machines.is_empty() || cross.machines.iter().any(|name| name == place.name)
    };
    let places: Vec<_> = ELSEWHERE.iter().filter(wanted).collect();
    let tests = || -> Result<Vec<Test>> {
        let mut tests = Test::all()?;
        tests.retain(|test| cross.wants(test));
        Ok(tests)
    };
    let own = tests()?;
    let cxx = own.iter().any(Test::is_cxx);
    let all: Vec<_> = places.iter().map(|place| place.needs(cxx)).collect();
    needs::install(all.iter().chain(own.iter().map(|test| &test.needs)))?;
    for (place, needs) in places.iter().zip(all) {
        let prefix = format!("{} ", place.name);
        let machine = match needs.missing() {
            Some(reason) => Err(Outcome::skipped(reason)),
            None => place.machine()?,
        };
        match machine {
            Err(outcome) => report.add(place.name, None, &outcome),
            Ok(mut machine) => {
                machine.unhurried = !cross.short;
                let mut tests = tests()?;
                if place.cxx.is_empty() {
                    tests.retain(|test| !test.is_cxx());
                }
                c_tests::each(tests, &machine, &prefix, report);
            }
        }
    }
    Ok(())
}

impl Elsewhere {
    /// The compilers and the emulator; the one for C++ where it is wanted and there is one.
    fn needs(&self, cxx: bool) -> Needs {
        let emulator = self.emulated.map_or("", |(_, emulator)| emulator);
        let emulator = emulator.split(' ').next().unwrap_or("");
        let (cxx, packages) = match cxx && !self.cxx_packages.is_empty() {
            true => (self.cxx, self.cxx_packages),
            false => ("", ""),
        };
        let header = format!(
            "//needs: {} {cxx} {emulator}\n//packages: {} {packages}",
            self.cc, self.packages
        );
        Needs::of(&Header::parse(&header, "//"))
    }

    /// Builds the library; or says why that cannot be.
    fn machine(&self) -> Result<Result<Machine, Outcome>> {
        let built = match self.target {
            None => cargo::build_library()?,
            Some(target) => match self.build(target)? {
                Ok(built) => built,
                Err(outcome) => return Ok(Err(outcome)),
            },
        };
        let archive = built.with_extension("a");
        let library = Library::at(&built, Some(archive))?;
        let mut machine = Machine::here(library);
        machine.cc = self.cc.into();
        machine.cxx = self.cxx.into();
        machine.traits = self.traits.to_vec();
        if machine.links() {
            machine.link_flags.push("-static".to_owned());
        }
        if let Some((root, emulator)) = self.emulated {
            match starts_here(root, self.cc)? {
                Some(flags) => machine.link_flags = flags,
                None => {
                    machine.traits.push("qemu");
                    let words = emulator.split(' ').chain(["-L", root]);
                    machine.runner = words.map(str::to_owned).collect();
                }
            }
        }
        Ok(Ok(machine))
    }

    /// Builds both libraries for a target, `core` from source where the toolchain has no other.
    fn build(&self, target: &str) -> Result<Result<PathBuf, Outcome>> {
        let from_source = match core_library(target)? {
            Core::Built => false,
            Core::Source => true,
            Core::None => {
                let reason = format!("needs the core library for {target}");
                return Ok(Err(Outcome::skipped(reason)));
            }
        };
        // The size of pages is found out when the library runs: one is for all of them.
        let folder = cargo::target()?.join(self.traits[0]);
        let words = ["build", "--release", "--package", "libralloc", "--lib"];
        let mut command = cargo::command(&words);
        command
            .args(["--target", target, "--target-dir"])
            .arg(&folder)
            .arg("--config")
            .arg(format!("target.{target}.linker = '{}'", self.cc));
        // By default programs for musl are static, and there is no shared library.
        let dynamic = self.traits.contains(&"musl") && !self.traits.contains(&"static");
        if dynamic {
            command.arg("--config").arg(format!(
                "target.{target}.rustflags = ['-C', 'target-feature=-crt-static']"
            ));
        }
        if from_source {
            command
                .args(["-Z", "build-std=core"])
                .env("RUSTC_BOOTSTRAP", "1");
        }
        let ended = process::run(&mut command, LIMIT)?;
        if !ended.succeeded() {
            let reason = format!("the library could not be built: {}", ended.describe());
            return Ok(Err(Outcome::failed(reason, ended.output)));
        }
        Ok(Ok(folder.join(target).join("release/libralloc.so")))
    }
}

/// Where the core library for a target comes from.
pub(crate) enum Core {
    Built,
    Source,
    None,
}

pub(crate) fn core_library(target: &str) -> Result<Core> {
    let printed = |words: &[&str]| -> Result<PathBuf> {
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let output = Command::new(rustc)
            .args(words)
            .current_dir(cargo::root())
            .output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().into())
    };
    let library = || printed(&["--print", "target-libdir", "--target", target]);
    if library()?.is_dir() {
        return Ok(Core::Built);
    }
    let mut rustup = Command::new("rustup");
    rustup
        .args(["target", "add", target])
        .current_dir(cargo::root());
    let added = process::run(&mut rustup, LIMIT).is_ok_and(|ended| ended.succeeded());
    if added && library()?.is_dir() {
        return Ok(Core::Built);
    }
    let source = printed(&["--print", "sysroot"])?.join("lib/rustlib/src/rust/library/core");
    Ok(match source.is_dir() {
        true => Core::Source,
        false => Core::None,
    })
}

/// How a program is linked so that this machine starts it without an emulator, if it can.
pub(crate) fn starts_here(root: &str, cc: &str) -> Result<Option<Vec<String>>> {
    Ok(match own_loader(root, cc) {
        Some(flags) if runs_here(cc, &flags)? => Some(flags),
        _ => None,
    })
}

/// How a program is linked so that this machine's kernel starts it with the C library below `root`, if the processor may
/// be the same: 32-bit programs on a 64-bit x86.
fn own_loader(root: &str, cc: &str) -> Option<Vec<String>> {
    if !cfg!(target_arch = "x86_64") || !cc.starts_with("i686") {
        return None;
    }
    let libraries = format!("{root}/lib");
    let loader = format!("{libraries}/ld-linux.so.2");
    Path::new(&loader).is_file().then(|| {
        vec![
            format!("-Wl,--dynamic-linker={loader}"),
            // Of the old kind, which also serves what libc itself loads later.
            format!("-Wl,--disable-new-dtags,-rpath,{libraries}"),
        ]
    })
}

/// Whether a program linked so starts.
fn runs_here(cc: &str, flags: &[String]) -> Result<bool> {
    let folder = tempfile::tempdir()?;
    let source = folder.path().join("nothing.c");
    let program = folder.path().join("nothing");
    std::fs::write(&source, "int main(void) { return 0; }\n")?;
    let mut compile = Command::new(cc);
    compile.arg("-o").arg(&program).arg(&source).args(flags);
    let built = process::run(&mut compile, LIMIT)?;
    Ok(built.succeeded()
        && process::run(&mut Command::new(&program), LIMIT).is_ok_and(|ended| ended.succeeded()))
}
