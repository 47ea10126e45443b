//! Soak: all scenarios at random, in threads that come and go, with forks and with memory that runs out, for as long as
//! one likes. `cargo xtask soak` runs it.
//!
//! A round is a phase of each kind. After each phase the whole state is verified. After each round the allocator is asked
//! to give back what it can, and what is resident and what is mapped then must not grow: see [`Trend`].

mod common;

use common::{
    Draw, Held, Kernel, MIB,
    replay::Replay,
    scenario::{self, SCENARIOS, Subject, Surroundings},
};
use ralloc::c_abi;
use ralloc_platform::sim::Lock;
use std::{
    env, fs,
    hash::{BuildHasher, RandomState},
    process::ExitCode,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

/// Seconds that a round may take on a busy machine: then it hangs, and the alarm ends the process.
const PATIENCE: u32 = 900;
/// Rounds from which on a trend can be told.
const ROUNDS_MIN: usize = 6;

struct Arguments {
    seconds: u64,
    threads: usize,
    seed: u64,
}

fn arguments() -> Result<Arguments, String> {
    let mut found = Arguments {
        seconds: 30,
        threads: 64,
        seed: RandomState::new().hash_one(0) >> 32,
    };
    let mut words = env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or(format!("{word} wants a number"))?;
        let number = value
            .parse()
            .map_err(|_| format!("{word} wants a number, not {value}"))?;
        match word.as_str() {
            "--seconds" => found.seconds = number,
            "--threads" if number >= 1 => found.threads = number as usize,
            "--seed" => found.seed = number,
            _ => {
                return Err(format!(
                    "{word} {value}: want --seconds S, --threads N (1 or more), --seed S"
                ));
            }
        }
    }
    Ok(found)
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("soak: {message}");
            return ExitCode::from(2);
        }
    };
    let Arguments {
        seconds,
        threads,
        seed,
    } = arguments;
    println!("soak: {seconds} s, {threads} threads, --seed {seed}");
    let trends = common::run(Kernel::real(), || soak(&arguments));
    let mut steady = true;
    for trend in trends {
        println!("soak: {trend}");
        steady &= trend.is_steady();
    }
    ExitCode::from(u8::from(!steady))
}

fn soak(arguments: &Arguments) -> [Trend; 2] {
    let end = Instant::now() + Duration::from_secs(arguments.seconds);
    let mut draw = Draw::new(arguments.seed);
    let mut resident = Trend::new("resident");
    let mut mapped = Trend::new("mapped");
    let mut rounds = 0;
    while Instant::now() < end || rounds < ROUNDS_MIN {
        // SAFETY: no handler is installed: a hang ends the process.
        unsafe { libc::alarm(PATIENCE) };
        let start = Instant::now();
        common::in_thread(|| round(&mut draw, arguments.threads));
        c_abi::malloc_trim::<common::Case>();
        common::verify();
        rounds += 1;
        resident.values.push(resident_bytes() as f64);
        mapped.values.push(common::kernel().mapped() as f64);
        println!(
            "soak: round {rounds}: {:.1} s, {:.1} MiB resident, {:.1} MiB mapped, {} heaps, {} threads so far",
            start.elapsed().as_secs_f32(),
            resident_bytes() as f64 / MIB as f64,
            common::kernel().mapped() as f64 / MIB as f64,
            common::stats().heaps,
            common::stats().threads,
        );
    }
    [resident, mapped]
}

/// A phase of each kind, in any order.
fn round(draw: &mut Draw, threads: usize) {
    let mut phases: [fn(&mut Draw, usize); 4] = [company, forks, exhaustion, dynasty];
    for last in (1..phases.len()).rev() {
        phases.swap(last, draw.below(last + 1));
    }
    for phase in phases {
        phase(draw, threads);
        common::verify();
    }
}

/// Threads each do one thing among others and go; another comes for each that has gone.
fn company(draw: &mut Draw, threads: usize) {
    let (heirs, pool) = (Lock::new(Vec::new()), Lock::new(Vec::new()));
    let left = Mutex::new(threads + threads / 2);
    let next = || {
        let mut left = left.lock().expect("no panic while it is held");
        *left = left.checked_sub(1)?;
        Some(())
    };
    thread::scope(|scope| {
        for _ in 0..threads {
            let seed = draw.word() >> 8;
            let (heirs, pool, next) = (&heirs, &pool, &next);
            scope.spawn(move || {
                for turn in 0.. {
                    if next().is_none() {
                        break;
                    }
                    common::in_thread(|| once(seed + turn, heirs, pool));
                }
            });
        }
    });
    for rest in [heirs, pool] {
        let rest = rest.into_inner();
        rest.into_iter().for_each(Held::free);
    }
}

/// One scenario in one thread.
fn once(seed: u64, heirs: &Lock<Vec<Held>>, pool: &Lock<Vec<Held>>) {
    let mut draw = Draw::new(seed);
    let surroundings = match draw.below(3) {
        0 => Surroundings::Plain,
        1 => Surroundings::Acid(Vec::new(), pool),
        _ => Surroundings::Bequest(heirs),
    };
    let scenario = SCENARIOS[draw.below(SCENARIOS.len())];
    scenario(&mut Subject::new(seed, surroundings));
    // What others have left is freed by whoever comes by.
    let inherited: Vec<_> = {
        let mut heirs = heirs.lock();
        let keep = heirs.len() / 2;
        heirs.drain(keep..).collect()
    };
    inherited.into_iter().for_each(Held::free);
}

/// A child of `fork`, made while others are at it.
fn forks(draw: &mut Draw, _threads: usize) {
    scenario::in_forked_child(SCENARIOS[draw.below(SCENARIOS.len())]);
}

/// Generations of threads that leave blocks to the next.
fn dynasty(draw: &mut Draw, _threads: usize) {
    scenario::in_dying_threads(SCENARIOS[draw.below(SCENARIOS.len())]);
}

/// All threads want more than there is; then there is enough again.
fn exhaustion(draw: &mut Draw, threads: usize) {
    let kernel = common::kernel();
    kernel.limit(kernel.mapped() + (8 + draw.below(64)) * MIB);
    let tallies: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|_| {
                let seed = draw.word();
                scope.spawn(move || Replay::new(seed).greed())
            })
            .collect();
        threads.into_iter().map(common::join).collect()
    });
    kernel.relent();
    let refused: usize = tallies.iter().map(|tally| tally.refused).sum();
    let served: usize = tallies.iter().map(|tally| tally.served).sum();
    assert!(
        refused > 0 && served > refused / 100,
        "{served} served, {refused} refused"
    );
    common::verify();
    let tally = common::in_thread(|| Replay::new(draw.word()).epilogue());
    assert_eq!(tally.refused, 0, "still refused when there is memory again");
}

/// What one figure did from round to round.
///
/// The statistic: the Theil-Sen slope (the median of the slopes between all pairs of rounds) over the rounds after the
/// first third, times the number of these rounds: the growth. A single round with a peak does not move it. Steady is a
/// growth of at most 4 MiB (the test's own memory moves, too) or a tenth of the median, whichever is more.
struct Trend {
    name: &'static str,
    values: Vec<f64>,
}

impl Trend {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            values: Vec::new(),
        }
    }

    fn looked_at(&self) -> &[f64] {
        &self.values[self.values.len() / 3..]
    }

    fn growth(&self) -> f64 {
        let values = self.looked_at();
        let mut slopes = Vec::new();
        for (from, first) in values.iter().enumerate() {
            for (to, second) in values.iter().enumerate().skip(from + 1) {
                slopes.push((second - first) / (to - from) as f64);
            }
        }
        median(slopes) * values.len() as f64
    }

    fn bound(&self) -> f64 {
        (median(self.looked_at().to_vec()) / 10.0).max(4.0 * MIB as f64)
    }

    fn is_steady(&self) -> bool {
        self.growth() <= self.bound()
    }
}

impl std::fmt::Display for Trend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mib = |bytes: f64| bytes / MIB as f64;
        write!(
            f,
            "{}: {} rounds, median {:.1} MiB, growth {:+.2} MiB, {} {:.1} MiB",
            self.name,
            self.values.len(),
            mib(median(self.looked_at().to_vec())),
            mib(self.growth()),
            if self.is_steady() {
                "within"
            } else {
                "TRENDS UPWARDS, beyond"
            },
            mib(self.bound()),
        )
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Bytes of the process that are in memory.
fn resident_bytes() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1);
    pages.and_then(|pages| pages.parse().ok()).unwrap_or(0) * 4096_usize
}
