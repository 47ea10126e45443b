//! One C or C++ program of `tests/c`: what its header says, how it is compiled, run and judged.
//!
//! A program passes if it ends as it says, by default with exit status 0. The comment at its top may hold:
//!
//! - `timeout: SECONDS` (120), `args: WORD...`, `env: NAME=VALUE`, `cflags: WORD...`;
//! - `exit: STATUS` or `signal: ABRT`: how it ends; `stderr: TEXT`: what it must have printed;
//! - `link: static`: linked with `libralloc.a`, nothing is preloaded;
//! - `link: dlopen`: nothing is preloaded or linked, the program opens the library itself, whose path is in `RALLOC_LIB`;
//! - `control: skip [TRAIT...]`: nonsense on the system's malloc, everywhere or where the machine has such a trait;
//! - `skip: TRAIT...`: nonsense, with or without the library, where the machine has such a trait;
//! - `alone: yes`: nothing else runs meanwhile, because it measures;
//! - `clause: ...`: what it holds the library to, for the table in `libralloc/README.md`;
//! - `needs:`, `check:`, `packages:`, as in [`Needs`].
//!
//! The traits of a machine are listed in [`crate::machine`].

use crate::{
    cargo,
    header::Header,
    library,
    machine::Machine,
    needs::Needs,
    process::{self, Ended},
    report::Outcome,
};
use anyhow::{Context, Result};
use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

const LIMIT: Duration = Duration::from_secs(120);
/// A compiler ends by itself: this only keeps a machine that is short of memory from waiting for ever.
const COMPILER_LIMIT: Duration = Duration::from_secs(900);
const FLAGS: [&str; 4] = ["-O1", "-g", "-Wall", "-pthread"];

/// What `libralloc/README.md` tells those who link a static C++ program with the archive that cargo has built.
const STATIC_CXX: [&str; 2] = ["-Wl,-z,muldefs", "-Wl,-u,_ZSt17__throw_bad_allocv"];

/// A program and what it says about itself.
pub(crate) struct Test {
    /// Its path below the folder, without the ending.
    pub(crate) name: String,
    source: PathBuf,
    pub(crate) header: Header,
    pub(crate) needs: Needs,
}

impl Test {
    /// Every program of `tests/c`, in order.
    pub(crate) fn all() -> Result<Vec<Self>> {
        let folder = cargo::root().join("tests/c");
        let mut sources = cargo::files(&folder, "c")?;
        sources.extend(cargo::files(&folder, "cpp")?);
        let read = |source| Self::read(&folder, source);
        let mut tests = sources.into_iter().map(read).collect::<Result<Vec<_>>>()?;
        tests.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(tests)
    }

    fn read(folder: &Path, source: PathBuf) -> Result<Self> {
        let text = fs::read_to_string(&source)?;
        let name = source
            .strip_prefix(folder)?
            .with_extension("")
            .display()
            .to_string();
        let header = Header::parse(&text, "//");
        let needs = Needs::of(&header);
        Ok(Self {
            name,
            source,
            header,
            needs,
        })
    }

    pub(crate) fn is_cxx(&self) -> bool {
        self.source
            .extension()
            .is_some_and(|ending| ending == "cpp")
    }

    pub(crate) fn is_alone(&self) -> bool {
        self.header.get("alone").is_some()
    }

    fn is_static(&self) -> bool {
        self.header.get("link") == Some("static")
    }

    /// Why there is no sense in running it on this machine.
    pub(crate) fn skipped_on(&self, machine: &Machine) -> Option<String> {
        self.header
            .with_reasons("skip")
            .find(|(traits, _)| traits.split_whitespace().any(|word| machine.is(word)))
            .map(|(traits, reason)| format!("{traits}: {reason}"))
    }

    fn has_control(&self, machine: &Machine) -> bool {
        let skips = |value: &str| {
            let mut words = value.split_whitespace();
            words.next() == Some("skip")
                && (words.clone().next().is_none() || words.any(|word| machine.is(word)))
        };
        // Under valgrind the system's malloc is not what would run.
        !machine.is("valgrind") && !self.header.all("control").any(skips)
    }
}

/// Compiles a program and runs it, and says how long that took.
pub(crate) fn timed(test: &Test, machine: &Machine) -> (Duration, Outcome) {
    let start = Instant::now();
    let outcome = judge(test, machine)
        .unwrap_or_else(|error| Outcome::failed(format!("{error:#}"), String::new()));
    (start.elapsed(), outcome)
}

/// On the system's malloc first: a wrong test says nothing about ours.
fn judge(test: &Test, machine: &Machine) -> Result<Outcome> {
    if let Some(reason) = test.skipped_on(machine).or_else(|| test.needs.missing()) {
        return Ok(Outcome::skipped(reason));
    }
    let library = &machine.library;
    let scratch = library.scratch()?;
    if test.has_control(machine) {
        let program = scratch.path().join("control");
        if let Some(failure) = compile(test, machine, None, &program)? {
            return Ok(failure);
        }
        let ended = execute(test, machine, &program, None)?;
        if let Some(wrong) = verdict(test, &ended) {
            let reason = format!("the test is wrong, for without the library: {wrong}");
            return Ok(Outcome::failed(reason, ended.output));
        }
    }
    let opens = test.header.get("link") == Some("dlopen");
    let (archive, preload) = match (machine.links() || test.is_static(), &library.archive) {
        _ if opens => (None, None),
        (false, _) => (None, Some(library.shared.as_path())),
        (true, Some(archive)) => (Some(archive.as_path()), None),
        (true, None) => return Ok(Outcome::skipped("there is no libralloc.a")),
    };
    let program = scratch.path().join("test");
    if let Some(failure) = compile(test, machine, archive, &program)? {
        return Ok(failure);
    }
    let ended = execute(test, machine, &program, preload)?;
    if let Some(failure) = library::not_preloaded(&ended) {
        return Ok(failure);
    }
    Ok(match verdict(test, &ended) {
        Some(reason) => Outcome::failed(reason, ended.output),
        None => Outcome::Passed,
    })
}

fn compile(
    test: &Test,
    machine: &Machine,
    archive: Option<&Path>,
    program: &Path,
) -> Result<Option<Outcome>> {
    let mut command = match test.is_cxx() {
        false => Command::new(&machine.cc),
        true => Command::new(&machine.cxx),
    };
    command.arg(match test.is_cxx() {
        false => "-std=gnu17",
        true => "-std=gnu++20",
    });
    command.args(FLAGS).args(test.header.words("cflags"));
    command
        .arg("-o")
        .arg(program)
        .arg(&test.source)
        .args(archive)
        .args(&machine.link_flags);
    if test.is_cxx() && machine.links() {
        command.args(STATIC_CXX);
    }
    let ended = process::run(&mut command, COMPILER_LIMIT)?;
    let failure = || {
        Outcome::failed(
            format!("does not compile: {}", ended.describe()),
            &ended.output,
        )
    };
    Ok((!ended.succeeded()).then(failure))
}

fn execute(
    test: &Test,
    machine: &Machine,
    program: &Path,
    preload: Option<&Path>,
) -> Result<Ended> {
    let folder = program.parent().context("a program has a directory")?;
    let mut command = machine.command(program, preload);
    command
        .args(test.header.words("args"))
        .current_dir(folder)
        .env("TMPDIR", folder)
        .env("RALLOC_LIB", &machine.library.shared);
    if machine.is("qemu") {
        command.env("TEST_EMULATED", "1");
    }
    for (name, value) in test
        .header
        .all("env")
        .filter_map(|pair| pair.split_once('='))
    {
        command.env(name, value);
    }
    process::run(&mut command, test.header.limit(LIMIT) * machine.patience())
}

/// How the end of a run differs from what the test promises.
fn verdict(test: &Test, ended: &Ended) -> Option<String> {
    let status = match ended.status {
        None => return Some(ended.describe()),
        Some(status) => status,
    };
    let as_promised = match (test.header.get("signal"), test.header.get("exit")) {
        (Some(name), _) => match process::signal_number(name) {
            Ok(number) => status.signal() == Some(number),
            Err(error) => return Some(error.to_string()),
        },
        (None, Some(code)) => status.code().map(|code| code.to_string()).as_deref() == Some(code),
        (None, None) => status.success(),
    };
    if !as_promised {
        return Some(ended.describe());
    }
    let unsaid = test
        .header
        .all("stderr")
        .find(|text| !ended.output.contains(text))?;
    Some(format!("did not print: {unsaid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(folder: &Path, name: &str, source: &str) -> Test {
        let file = folder.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, source).unwrap();
        Test::read(folder, file).unwrap()
    }

    /// Compiles and runs a program on the system's malloc; what is wrong with its end.
    fn judged_as(name: &str, source: &str) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::without_library().unwrap();
        let test = written(folder.path(), name, source);
        assert_eq!(test.name, "group/case");
        let program = folder.path().join("program");
        assert!(compile(&test, &machine, None, &program).unwrap().is_none());
        verdict(&test, &execute(&test, &machine, &program, None).unwrap())
    }

    fn judged(source: &str) -> Option<String> {
        judged_as("group/case.c", source)
    }

    #[test]
    fn a_program_ends_as_it_says() {
        assert_eq!(judged("int main(void) { return 0; }"), None);
        assert_eq!(judged("// exit: 3\nint main(void) { return 3; }"), None);
        assert_eq!(
            judged("int main(void) { return 3; }").unwrap(),
            "exit status 3"
        );
        let abort = "#include <stdlib.h>\nint main(void) { abort(); }";
        assert_eq!(judged(&format!("// signal: ABRT\n{abort}")), None);
        assert_eq!(
            judged(&format!("// signal: SEGV\n{abort}")).unwrap(),
            "killed by signal ABRT"
        );
        assert_eq!(
            judged(&format!("// exit: 6\n{abort}")).unwrap(),
            "killed by signal ABRT"
        );
    }

    #[test]
    fn a_program_prints_what_it_says() {
        let source = "#include <stdio.h>\nint main(void) { fputs(\"a line\\n\", stderr); }";
        assert_eq!(judged(&format!("// stderr: a line\n{source}")), None);
        let wrong = judged(&format!("// stderr: another\n{source}")).unwrap();
        assert_eq!(wrong, "did not print: another");
    }

    #[test]
    fn arguments_environment_and_limit_reach_the_program() {
        let source = "// args: one two\n// env: NAME=a=b\n// cflags: -DWANTED=3\n\
            #include <stdlib.h>\n#include <string.h>\n\
            int main(int n, char **v) { return n != WANTED || strcmp(getenv(\"NAME\"), \"a=b\"); }";
        assert_eq!(judged(source), None);
        let slow = "// timeout: 1\n#include <unistd.h>\nint main(void) { sleep(60); }";
        assert_eq!(judged(slow).unwrap(), "still running after 1 s");
    }

    #[test]
    fn a_program_of_cxx_is_compiled_as_such() {
        let source = "int main() { return *new int(3) - 3; }";
        assert_eq!(judged_as("group/case.cpp", source), None);
    }

    #[test]
    fn a_trait_of_the_machine_skips() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::without_library().unwrap();
        let said = |header: &str| written(folder.path(), "group/case.c", header);
        let test = said("// skip: qemu -- slow\n// control: skip musl\n");
        assert_eq!(test.skipped_on(&machine), None);
        assert!(test.has_control(&machine));
        let test = said("// skip: qemu here -- why\n// control: skip here\n");
        assert_eq!(test.skipped_on(&machine).unwrap(), "qemu here: why");
        assert!(!test.has_control(&machine));
        assert!(!said("// control: skip -- why\n").has_control(&machine));
    }
}
