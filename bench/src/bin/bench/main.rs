//! `bench`: the same work on ralloc and on its peers, in one run.
//!
//! It builds or installs the peers, runs each workload on each allocator in turn, prints the
//! report, and after a complete run writes it to bench/RESULTS.md, with the data in
//! bench/results.json (or bench/small-pages.json) and the plots in bench/plots.

mod args;
mod cost;
mod data;
mod extras;
mod machine;
mod measure;
mod peers;
mod plots;
mod provide;
mod reasons;
mod report;
mod stats;
mod targets;

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use args::Args;
use bench::Workload;
use clap::Parser;
use measure::Plan;
use provide::{Allocator, Workshop};
use reasons::Reasons;
use report::Circumstances;
use stats::Results;

/// The data of the last complete run.
const RUN: &str = "results.json";
/// The same of a run in which nobody had large pages, if there was one.
const SMALL_PAGES: &str = "small-pages.json";

fn main() -> Result<()> {
    let args = Args::parse();
    let out = args.out.clone().unwrap_or_else(|| provide::here(""));
    let reasons = args.reasons.clone();
    let reasons = Reasons::read(&reasons.unwrap_or_else(|| provide::here("reasons.toml")))?;
    if args.render {
        let data = args.data.clone();
        return write(&out, &data.unwrap_or_else(|| out.join(RUN)), &reasons);
    }
    let workloads = args.workloads()?;
    let workshop = Workshop::open(args.programs.clone())?;
    if !args.provide.is_empty() {
        return provide(&args.provide, &workshop);
    }
    let (allocators, skipped) = allocators(&args, &workshop)?;
    if args.small_pages {
        // What is started from now on inherits it: prctl(2), PR_SET_THP_DISABLE.
        rustix::thread::disable_transparent_huge_pages(true).context("--small-pages")?;
    }
    let (results, circumstances) = measure(&args, &workshop, workloads, allocators, skipped)?;
    if args.cost.is_some() {
        print!("{}", cost::table(&results, &circumstances));
        return Ok(());
    }
    // The report is made from the file, so that it is the same when it is made again.
    let last = workshop.scratch("bench-results.json");
    data::write(&last, &results, &circumstances)?;
    let (results, circumstances) = data::read(&last)?;
    if args.targets {
        print!("{}", report::target_table(&results));
    } else {
        let text = report::report(&results, &circumstances, None, &reasons);
        print!("{text}");
    }
    if args.writes() {
        fs::create_dir_all(&out)?;
        let run = if args.small_pages { SMALL_PAGES } else { RUN };
        fs::copy(&last, out.join(run))?;
        write(&out, &out.join(RUN), &reasons)?;
    }
    Ok(())
}

/// Runs everything.
fn measure(
    args: &Args,
    workshop: &Workshop,
    workloads: Vec<&'static Workload>,
    allocators: Vec<Allocator>,
    skipped: Vec<String>,
) -> Result<(Results, Circumstances)> {
    for workload in &workloads {
        if let Err(error) = provide::install_program(workload.name) {
            eprintln!("{}: {error:#}", workload.name);
        }
    }
    let rust = workloads
        .iter()
        .any(|workload| workload.name.starts_with("rust-"));
    let rust = rust.then(|| workshop.rust_programs()).transpose()?;
    let before = machine::load();
    if before > machine::QUIET {
        eprintln!("warning: the load average is {before:.2}; other programs take part");
    }
    let plan = Plan {
        workshop,
        allocators: &allocators,
        workloads: &workloads,
        rounds: args.rounds(),
        scale: args.scale(),
        threads: args.threads,
        minutes: args.minutes,
        rust,
    };
    let (cells, rounds) = plan.run();
    let counts_calls =
        args.cost.is_none() && workloads.iter().any(|workload| workload.name == "hello");
    let system_calls = counts_calls.then(|| plan.system_calls()).and_then(|calls| {
        calls
            .inspect_err(|error| eprintln!("system calls are not counted: {error:#}"))
            .ok()
    });
    let timelines = match args.cost {
        None => plan.timelines(),
        Some(_) => Vec::new(),
    };
    let results = Results {
        allocators,
        workloads,
        cells,
        system_calls,
        timelines,
    };
    let circumstances = Circumstances {
        command: args.command(),
        date: time::OffsetDateTime::now_utc().date().to_string(),
        rounds,
        quick: args.quick,
        load: (before, machine::load()),
        skipped,
        machine: machine::describe(),
    };
    Ok((results, circumstances))
}

/// Writes tables and plots of the run in `data`, and says what is missing in them.
fn write(out: &Path, data: &Path, reasons: &Reasons) -> Result<()> {
    let (results, circumstances) = data::read(data)?;
    let results = &results;
    let small_pages = out.join(SMALL_PAGES);
    let small_pages = small_pages
        .exists()
        .then(|| data::read(&small_pages))
        .transpose()?;
    fs::create_dir_all(out.join("plots"))?;
    plots::write(&out.join("plots"), results)?;
    let text = report::report(results, &circumstances, small_pages.as_ref(), reasons);
    fs::write(out.join("RESULTS.md"), text).context("RESULTS.md")?;
    let missing = reasons.behind(results);
    let missing = missing.iter().filter(|behind| behind.reason.is_none());
    for behind in missing {
        eprintln!(
            "no reason in reasons.toml: {}, {}: {:.2} of {}",
            behind.workload, behind.what, behind.ratio, behind.peer
        );
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
