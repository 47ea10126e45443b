//! `bench`: the same work on ralloc and on its peers, in one run.
//!
//! It builds or installs the peers, runs each workload on each allocator in turn, prints the
//! report, and after a complete run writes it to bench/RESULTS.md.

mod args;
mod cost;
mod machine;
mod measure;
mod peers;
mod provide;
mod report;
mod stats;
mod targets;

use std::fs;

use anyhow::{Context, Result, ensure};
use args::Args;
use clap::Parser;
use measure::Plan;
use provide::{Allocator, Workshop};
use report::Circumstances;
use stats::Results;

fn main() -> Result<()> {
    let args = Args::parse();
    let workloads = args.workloads()?;
    let workshop = Workshop::open(args.programs.clone())?;
    if !args.provide.is_empty() {
        return provide(&args.provide, &workshop);
    }
    let (allocators, skipped) = allocators(&args, &workshop)?;
    let before = machine::load();
    if before > machine::QUIET {
        eprintln!("warning: the load average is {before:.2}; other programs take part");
    }
    let plan = Plan {
        workshop: &workshop,
        allocators: &allocators,
        workloads: &workloads,
        rounds: args.rounds(),
        scale: args.scale(),
        threads: args.threads,
    };
    let cells = plan.run();
    let counts_calls =
        args.cost.is_none() && workloads.iter().any(|workload| workload.name == "hello");
    let system_calls = counts_calls.then(|| plan.system_calls()).and_then(|calls| {
        calls
            .inspect_err(|error| eprintln!("system calls are not counted: {error:#}"))
            .ok()
    });
    let results = Results {
        allocators: &allocators,
        workloads: &workloads,
        cells,
        system_calls,
    };
    let circumstances = Circumstances {
        command: args.command(),
        date: time::OffsetDateTime::now_utc().date().to_string(),
        rounds: args.rounds(),
        quick: args.quick,
        load: (before, machine::load()),
        skipped,
    };
    if args.cost.is_some() {
        print!("{}", cost::table(&results, &circumstances));
        return Ok(());
    }
    let report = report::report(&results, &circumstances);
    print!(
        "{}",
        if args.targets {
            report::target_table(&results)
        } else {
            report.clone()
        }
    );
    if args.writes() {
        fs::write(provide::here("RESULTS.md"), report).context("bench/RESULTS.md")?;
    }
    Ok(())
}

/// ralloc if it is there, and the peers that can be had; what cannot is named with the reason.
fn allocators(args: &Args, workshop: &Workshop) -> Result<(Vec<Allocator>, Vec<String>)> {
    let mut allocators = Vec::new();
    let mut skipped = Vec::new();
    if let Some(library) = &args.ralloc {
        allocators.push(workshop.ralloc("ralloc", library).context("ralloc")?);
    }
    let peers = match &args.cost {
        None => args.peers()?,
        Some(library) => {
            allocators.push(
                workshop
                    .ralloc("ralloc-secure", library)
                    .context("ralloc-secure")?,
            );
            cost::peers(args)?
        }
    };
    for peer in peers {
        match workshop.provide(peer) {
            Ok(allocator) => allocators.push(allocator),
            Err(error) => {
                eprintln!("skipping {}: {error:#}", peer.name);
                skipped.push(format!("{}: {error}", peer.name));
            }
        }
    }
    ensure!(!allocators.is_empty(), "no allocator to measure");
    Ok((allocators, skipped))
}

/// Says where allocators are that another program wants to preload. What cannot be had is named on standard error.
fn provide(names: &[String], workshop: &Workshop) -> Result<()> {
    for peer in args::any_of(names)? {
        match workshop.provide(peer) {
            Ok(Allocator {
                name,
                version,
                preload,
            }) => {
                let preload = preload.map_or(String::new(), |path| path.display().to_string());
                println!("{name}\t{version}\t{preload}");
            }
            Err(error) => eprintln!("skipping {}: {error:#}", peer.name),
        }
    }
    Ok(())
}
