//! The command line, and the exit status.

use crate::{
    abi::Status,
    image::Image,
    kernel::{End, FIRST, Kernel},
};
use anyhow::{Context as _, Result, bail};
use std::{env, fs, path::PathBuf, process::ExitCode, thread, time::Duration};

const USAGE: &str = "usage: redox-runner [--counters] [--limit SECONDS] PROGRAM
       redox-runner --image FILE PROGRAM

Executes a static Redox program and prints its debug output. PROGRAM is an ELF file linked to fixed addresses from
0x2000 on (better from 0x10000: below that only root may have memory), or an image as the kernel copies it to 0x1000.

  --counters  print what was counted, on standard error
  --limit     end after so many seconds (600)
  --image     write the image to FILE, and execute nothing

Exit status: 0 the last line `N passed, N failed` says that none failed, and the first context ended by itself;
1 not so; 2 the runner could not do its work; 3 time is over.";

/// How long a program may run.
const LIMIT: u64 = 600;

const TIME_IS_OVER: i32 = 3;

struct Arguments {
    counters: bool,
    limit: Duration,
    image: Option<PathBuf>,
    program: PathBuf,
}

fn arguments() -> Result<Arguments> {
    let mut counters = false;
    let mut limit = LIMIT;
    let mut image = None;
    let mut program = None;
    let mut words = env::args_os().skip(1);
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("--counters") => counters = true,
            Some("--limit") => {
                let word = words.next().context("--limit needs a number of seconds")?;
                let seconds = word.to_str().and_then(|word| word.parse().ok());
                limit = seconds.context("--limit needs a number of seconds")?;
            }
            Some("--image") => image = Some(words.next().context("--image needs a file")?.into()),
            Some("--help") => {
                println!("{USAGE}");
                std::process::exit(0);
            }
            Some(option) if option.starts_with('-') => bail!("unknown option {option}"),
            _ if program.is_some() => bail!("one program at a time"),
            _ => program = Some(word.into()),
        }
    }
    let program = program.context("no program is named")?;
    Ok(Arguments {
        counters,
        limit: Duration::from_secs(limit),
        image,
        program,
    })
}

pub(crate) fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("redox-runner: {error:#}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match execute(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("redox-runner: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// `true` if the program says that all is well, and ended as it should.
fn execute(arguments: &Arguments) -> Result<bool> {
    let name = arguments.program.display();
    let file = fs::read(&arguments.program).with_context(|| name.to_string())?;
    let image = Image::of(&file).with_context(|| name.to_string())?;
    if let Some(path) = &arguments.image {
        fs::write(path, &image.bytes).with_context(|| path.display().to_string())?;
        return Ok(true);
    }
    let mut kernel = Kernel::boot(&image)?;
    let limit = arguments.limit;
    // The threads of the program end with the one that traces them.
    thread::spawn(move || {
        thread::sleep(limit);
        eprintln!("redox-runner: still running after {} s", limit.as_secs());
        std::process::exit(TIME_IS_OVER);
    });
    let end = kernel.run()?;
    if let End::Stuck(left) = end {
        eprintln!("redox-runner: {left} contexts wait for ever");
    }
    if arguments.counters {
        let left = kernel
            .contexts
            .values()
            .find_map(|context| context.space.clone());
        eprint!("{}", kernel.numbers(left.as_ref()).lines());
    }
    let ended = kernel.context(FIRST).status;
    match kernel.console.verdict {
        _ if ended != Status::Dead => {
            eprintln!("redox-runner: the first context ended as {ended:?}")
        }
        None => eprintln!("redox-runner: the program gave no verdict"),
        Some(verdict) => return Ok(verdict.failed == 0),
    }
    Ok(false)
}
