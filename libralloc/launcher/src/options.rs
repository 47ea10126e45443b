//! The command line: options before PROGRAM are the launcher's, all that follows is the program's.

use crate::refusal::{Refusal, USAGE};
use std::ffi::OsString;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Usage: ralloc [OPTIONS] [--] PROGRAM [ARGS...]

Runs PROGRAM with ralloc in place of its libc's malloc.

Options:
  --secure   run PROGRAM on the security build: misuse ends it with a line on standard error
  --stats    print a table of what was allocated on standard error when PROGRAM exits
  --leaks    print what PROGRAM has not freed when it exits, and from where it was asked for, on standard error; not with --secure
  --lib      print the path of the library, for LD_PRELOAD, and exit
  --help     print this text and exit
  --version  print the version and exit

The environment variable RALLOC_OPTIONS has options of the library, separated by commas; programs that run with more rights
than their user do not read it:
  stats            as --stats
  leaks            as --leaks, with files and offsets in place of functions and lines
  leaks-to=FD      the same, written to an open file
  log              print a line for each block that is allocated or freed, with the state of the pools to the left
  hooks=on         watch every block: what is freed twice, or where no block begins, ends PROGRAM at once
  hooks=off        do not, under valgrind either: without this, memcheck is told of every block
  verbose          print the options at the start, on standard error
  purge=normal     give memory back when more than 8 MiB, or an eighth of what is used, lies idle
  purge=eager      give memory back as soon as it is free
  purge=never      keep what is free until malloc_trim is called
  foreign=abort    end PROGRAM when it frees or reallocates what ralloc has not allocated
  foreign=forward  leave that to the allocator that comes next, as a rule libc's
Where two contradict each other, the later one holds.

Exit status: PROGRAM's own; 127 if there is no such program, 126 if it cannot run on the library,
125 if the launcher fails, 2 if the options make no sense.";

/// What the user wants.
#[derive(Debug, PartialEq)]
pub(crate) enum Request {
    Help,
    Version,
    /// Nothing was asked for.
    Usage,
    /// The path of the library, or of its security build.
    Library {
        secure: bool,
    },
    Run(Options),
}

/// How to run which program.
#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) stats: bool,
    pub(crate) leaks: bool,
    pub(crate) secure: bool,
    pub(crate) program: OsString,
    pub(crate) args: Vec<OsString>,
}

/// Reads a command line, whose first word is the launcher's own name.
pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Request, Refusal> {
    use lexopt::Arg::{Long, Short, Value};

    let mut parser = lexopt::Parser::from_iter(words);
    let (mut stats, mut leaks) = (false, false);
    let mut secure = false;
    while let Some(argument) = parser.next().map_err(senseless)? {
        match argument {
            Long("help") | Short('h') => return Ok(Request::Help),
            Long("version") | Short('V') => return Ok(Request::Version),
            Long("lib") => return Ok(Request::Library { secure }),
            Long("stats") => stats = true,
            Long("leaks") => leaks = true,
            Long("secure") => secure = true,
            Value(program) => {
                if leaks && secure {
                    return Err(Refusal::new(
                        USAGE,
                        "--leaks and --secure exclude each other: the security build does not note where blocks are asked for; try --help",
                    ));
                }
                let args = parser.raw_args().map_err(senseless)?.collect();
                return Ok(Request::Run(Options {
                    stats,
                    leaks,
                    secure,
                    program,
                    args,
                }));
            }
            unknown => return Err(senseless(unknown.unexpected())),
        }
    }
    Ok(Request::Usage)
}

fn senseless(error: lexopt::Error) -> Refusal {
    Refusal::new(USAGE, format!("{error}; try --help"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &[&str]) -> Result<Request, Refusal> {
        parse(["ralloc"].iter().chain(line).map(OsString::from))
    }

    fn run(stats: bool, program: &str, args: &[&str]) -> Request {
        let args = args.iter().map(OsString::from).collect();
        Request::Run(Options {
            stats,
            leaks: false,
            secure: false,
            program: program.into(),
            args,
        })
    }

    #[test]
    fn options_behind_the_program_are_its_own() {
        assert_eq!(
            parsed(&["ls", "--stats", "--"]).unwrap(),
            run(false, "ls", &["--stats", "--"])
        );
    }

    #[test]
    fn two_dashes_end_the_options() {
        assert_eq!(
            parsed(&["--stats", "--", "--lib", "x"]).unwrap(),
            run(true, "--lib", &["x"])
        );
    }

    #[test]
    fn the_security_build_is_asked_for() {
        let library = Request::Library { secure: true };
        assert_eq!(parsed(&["--secure", "--lib"]).unwrap(), library);
        let Request::Run(options) = parsed(&["--secure", "ls", "--stats"]).unwrap() else {
            panic!("a program is named");
        };
        assert!(options.secure && !options.stats);
    }

    #[test]
    fn the_security_build_has_no_report_of_leaks() {
        for line in [["--leaks", "--secure", "ls"], ["--secure", "--leaks", "ls"]] {
            assert_eq!(parsed(&line).unwrap_err().status, USAGE);
        }
    }

    #[test]
    fn nothing_is_a_question() {
        assert_eq!(parsed(&[]).unwrap(), Request::Usage);
        assert_eq!(parsed(&["--stats"]).unwrap(), Request::Usage);
    }

    #[test]
    fn an_unknown_option_is_refused() {
        assert_eq!(parsed(&["--statistics", "ls"]).unwrap_err().status, USAGE);
        assert_eq!(parsed(&["--stats=no", "ls"]).unwrap_err().status, USAGE);
    }
}
