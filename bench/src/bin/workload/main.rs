//! `workload NAME [--threads N] [--scale X]`: one workload in one process.
//!
//! The allocator is the C library's `malloc`, so that `LD_PRELOAD` decides which one it is. The
//! program itself allocates next to nothing. It prints one line, see `bench::Outcome`.
//! `workload --which` prints the file that `malloc` comes from.

mod churn;
mod exchange;
mod growth;
mod job;
mod kept;
mod latency;
mod memory;
mod scale;
mod sharing;
mod sizes;
mod small;
mod threads;

use std::{error::Error, thread};

use bench::Outcome;
use job::{Finding, Job};

/// Longer than the slowest allocator needs for the slowest workload.
const MOST_SECONDS: u32 = 300;

fn run(name: &str, job: &Job) -> Option<Finding> {
    Some(match name {
        "small" => small::small(job),
        "pareto" => churn::pareto(job),
        "pareto-threads" => churn::pareto_threads(job),
        "server" => threads::server(job),
        "producer-consumer" => exchange::producer_consumer(job),
        "bulk-lifo" => exchange::bulk(job, exchange::Order::LastFirst),
        "bulk-fifo" => exchange::bulk(job, exchange::Order::FirstFirst),
        "survivors" => threads::survivors(job),
        "linear-falloff" => churn::linear_falloff(job),
        "false-sharing-active" => sharing::active(job),
        "false-sharing-passive" => sharing::passive(job),
        "large-pairs" => growth::large_pairs(job),
        "realloc-growth" => growth::realloc_growth(job),
        "calloc-large" => growth::calloc_large(job),
        "idle-threads" => threads::idle(job),
        "free-1gib" => kept::free_1gib(job),
        "dead-threads" => kept::dead_threads(job),
        "fork" => scale::fork(job),
        "busy-threads" => scale::busy_threads(job),
        "sparse-20gib" => scale::sparse(job),
        "latency" => latency::latency(job, job.threads),
        "latency-crowd" => latency::latency(job, 4 * job.threads),
        _ => return None,
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    use lexopt::{Arg, ValueExt};
    let mut name = String::new();
    let cores = thread::available_parallelism().map_or(2, usize::from);
    let mut job = Job {
        threads: cores.max(2),
        scale: 1.0,
    };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("threads") => job.threads = arguments.value()?.parse::<usize>()?.max(1),
            Arg::Long("scale") => job.scale = arguments.value()?.parse()?,
            Arg::Long("which") => {
                println!(
                    "{}",
                    memory::provider().ok_or("malloc and free come from two places")?
                );
                return Ok(());
            }
            Arg::Value(value) if name.is_empty() => name = value.string()?,
            other => return Err(other.unexpected().into()),
        }
    }
    memory::limit_time(MOST_SECONDS);
    let Finding {
        tally,
        time,
        kept,
        latency,
    } = run(&name, &job).ok_or_else(|| format!("no workload `{name}`"))?;
    let outcome = Outcome {
        seconds: time.as_secs_f64(),
        operations: tally.operations,
        checksum: tally.checksum,
        peak_kib: job::peak_kib(),
        cpu: None,
        kept,
        private_dirty_kib: None,
        latency,
    };
    println!("{outcome}");
    Ok(())
}
