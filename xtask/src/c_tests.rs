//! Small C and C++ programs under `tests/c`, each on the library and, as a control, on the system's malloc.
//!
//! A program passes if it ends as it says, by default with exit status 0. The comment at its top may hold:
//!
//! - `timeout: SECONDS` (120), `args: WORD...`, `env: NAME=VALUE`, `cflags: WORD...`;
//! - `exit: STATUS` or `signal: ABRT`: how it ends; `stderr: TEXT`: what it must have printed;
//! - `link: static`: linked with `libralloc.a`, nothing is preloaded;
//! - `control: skip`: nonsense on the system's malloc;
//! - `alone: yes`: nothing else runs meanwhile, because it measures;
//! - `needs:`, `check:`, `packages:`, as in [`Needs`].

use crate::{
    cargo,
    header::Header,
    library::{self, Library},
    needs::{self, Needs},
    pool,
    process::{self, Ended},
    report::{Outcome, Report},
    tier::Request,
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
const FLAGS: [&str; 4] = ["-O1", "-g", "-Wall", "-pthread"];

/// By the ending of a file: the compiler, the language, and what the machine needs for it.
const LANGUAGES: [(&str, &str, &str, &str); 2] = [
    (
        "c",
        "cc",
        "-std=gnu17",
        "//needs: cc\n//packages: gcc libc6-dev",
    ),
    (
        "cpp",
        "c++",
        "-std=gnu++20",
        "//needs: c++\n//packages: g++",
    ),
];

struct Test {
    name: String,
    source: PathBuf,
    header: Header,
    needs: Needs,
}

impl Test {
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

    fn is_static(&self) -> bool {
        self.header.get("link") == Some("static")
    }

    fn is_alone(&self) -> bool {
        self.header.get("alone").is_some()
    }
}

pub(crate) fn run(request: &Request, report: &mut Report) -> Result<()> {
    let folder = cargo::root().join("tests/c");
    let mut tests = Vec::new();
    let mut compilers = Vec::new();
    for (ending, _, _, needs) in LANGUAGES {
        let compiler = Needs::of(&Header::parse(needs, "//"));
        let before = tests.len();
        for source in cargo::files(&folder, ending)? {
            tests.push(Test::read(&folder, source)?);
        }
        tests.retain(|test: &Test| request.wants(&test.name));
        if tests.len() > before {
            compilers.push(compiler);
        }
    }
    needs::install(tests.iter().map(|test| &test.needs).chain(&compilers))?;
    if let Some(reason) = compilers.iter().find_map(Needs::missing) {
        report.add("all", None, &Outcome::skipped(reason));
        return Ok(());
    }

    let library = Library::provide(request)?;
    if !library.serves(report)? {
        return Ok(());
    }
    let (alone, together): (Vec<_>, Vec<_>) = tests.into_iter().partition(Test::is_alone);
    let work = |test: &Test| {
        let start = Instant::now();
        let outcome = judge(test, &library)
            .unwrap_or_else(|error| Outcome::failed(format!("{error:#}"), String::new()));
        (start.elapsed(), outcome)
    };
    pool::each(&together, work, |test, (took, outcome)| {
        report.add(&test.name, Some(took), &outcome);
    });
    for test in &alone {
        let (took, outcome) = work(test);
        report.add(&test.name, Some(took), &outcome);
    }
    Ok(())
}

/// Compiles a test and runs it, on the system's malloc first: a wrong test says nothing about ours.
fn judge(test: &Test, library: &Library) -> Result<Outcome> {
    if let Some(reason) = test.needs.missing() {
        return Ok(Outcome::skipped(reason));
    }
    let scratch = library.scratch()?;
    if test.header.get("control") != Some("skip") {
        let program = scratch.path().join("control");
        if let Some(failure) = compile(test, None, &program)? {
            return Ok(failure);
        }
        let ended = execute(test, &program, None)?;
        if let Some(wrong) = verdict(test, &ended) {
            let reason = format!("the test is wrong, for without the library: {wrong}");
            return Ok(Outcome::failed(reason, ended.output));
        }
    }
    let (archive, preload) = match (test.is_static(), &library.archive) {
        (false, _) => (None, Some(library.shared.as_path())),
        (true, Some(archive)) => (Some(archive.as_path()), None),
        (true, None) => return Ok(Outcome::skipped("there is no libralloc.a")),
    };
    let program = scratch.path().join("test");
    if let Some(failure) = compile(test, archive, &program)? {
        return Ok(failure);
    }
    let ended = execute(test, &program, preload)?;
    if let Some(failure) = library::not_preloaded(&ended) {
        return Ok(failure);
    }
    Ok(match verdict(test, &ended) {
        Some(reason) => Outcome::failed(reason, ended.output),
        None => Outcome::Passed,
    })
}

fn compile(test: &Test, archive: Option<&Path>, program: &Path) -> Result<Option<Outcome>> {
    let ending = test.source.extension();
    let language = LANGUAGES
        .iter()
        .find(|language| ending.is_some_and(|ending| ending == language.0));
    let (_, compiler, standard, _) = language.context("a language is known by its ending")?;
    let mut command = Command::new(compiler);
    command.arg(standard);
    command.args(FLAGS).args(test.header.words("cflags"));
    command
        .arg("-o")
        .arg(program)
        .arg(&test.source)
        .args(archive);
    let ended = process::run(&mut command, LIMIT)?;
    let failure = || {
        Outcome::failed(
            format!("does not compile: {}", ended.describe()),
            &ended.output,
        )
    };
    Ok((!ended.succeeded()).then(failure))
}

fn execute(test: &Test, program: &Path, preload: Option<&Path>) -> Result<Ended> {
    let folder = program.parent().context("a program has a directory")?;
    let mut command = Command::new(program);
    command
        .args(test.header.words("args"))
        .current_dir(folder)
        .env("TMPDIR", folder);
    command.env_remove("LD_PRELOAD");
    for (name, value) in test
        .header
        .all("env")
        .filter_map(|pair| pair.split_once('='))
    {
        command.env(name, value);
    }
    if let Some(library) = preload {
        command.env("LD_PRELOAD", library);
    }
    process::run(&mut command, test.header.limit(LIMIT))
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

    /// Compiles and runs a program on the system's malloc; what is wrong with its end.
    fn judged(source: &str) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("group/case.c");
        fs::create_dir(file.parent().unwrap()).unwrap();
        fs::write(&file, source).unwrap();
        let test = Test::read(folder.path(), file).unwrap();
        assert_eq!(test.name, "group/case");
        let program = folder.path().join("program");
        assert!(compile(&test, None, &program).unwrap().is_none());
        verdict(&test, &execute(&test, &program, None).unwrap())
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
}
