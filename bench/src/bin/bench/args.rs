//! The command line.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use bench::{Group, WORKLOADS, Workload};
use clap::Parser;

use crate::peers::{HARDENED, PEERS, Peer};

/// Runs the same work on ralloc and on its peers, interleaved, each measurement in a process of
/// its own, and compares time and memory.
#[derive(Parser)]
pub(crate) struct Args {
    /// The preload library of ralloc; without it, the peers are compared with glibc.
    #[arg(long, value_name = "PATH")]
    pub(crate) ralloc: Option<PathBuf>,
    /// How often each workload runs on each allocator.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Only these workloads.
    #[arg(long, value_name = "WORKLOAD", value_delimiter = ',')]
    only: Vec<String>,
    /// Only these peers.
    #[arg(long, value_name = "PEER", value_delimiter = ',')]
    peers: Vec<String>,
    /// One round at a twentieth of the work: does everything run?
    #[arg(long)]
    pub(crate) quick: bool,
    /// Threads of the workloads that have several; by default one per core, at least two.
    #[arg(long)]
    pub(crate) threads: Option<usize>,
    /// Begin no round that would not end within so many minutes; what is measured once comes on top, about three.
    #[arg(long, default_value_t = 26.0)]
    pub(crate) minutes: f64,
    /// Nobody gets large pages of the kernel: what is left is what the allocators do themselves. The figures stand in a section of
    /// their own in RESULTS.md, which is made again, and in small-pages.json.
    #[arg(long, conflicts_with_all = ["cost", "provide", "render"])]
    pub(crate) small_pages: bool,
    /// Write tables and plots again from the data of the last run, and measure nothing.
    #[arg(long, conflicts_with_all = ["quick", "cost", "provide", "only", "peers"])]
    pub(crate) render: bool,
    /// The data that --render reads, in place of bench/results.json.
    #[arg(long, value_name = "FILE", requires = "render")]
    pub(crate) data: Option<PathBuf>,
    /// The reasons, in place of bench/reasons.toml.
    #[arg(long, value_name = "FILE")]
    pub(crate) reasons: Option<PathBuf>,
    /// Where RESULTS.md, results.json and plots/ are written, in place of bench/.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Write RESULTS.md, results.json and plots/ even if this is not a complete run.
    #[arg(long, conflicts_with = "no_write")]
    write: bool,
    /// Do not write them.
    #[arg(long)]
    no_write: bool,
    /// Print only the targets and the figures reached.
    #[arg(long)]
    pub(crate) targets: bool,
    /// Print what security costs: this preload library against that of --ralloc, and peers that are built so against
    /// the same peers as they are.
    #[arg(long, value_name = "PATH", requires = "ralloc", conflicts_with_all = ["write", "targets"])]
    pub(crate) cost: Option<PathBuf>,
    /// Build or install these, and print NAME, version and path of each, between tabs; measure nothing.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) provide: Vec<String>,
    /// Where the programs `workload` and `hello` are; built when not given.
    #[arg(long, value_name = "DIR")]
    pub(crate) programs: Option<PathBuf>,
}

impl Args {
    pub(crate) fn rounds(&self) -> usize {
        if self.quick { 1 } else { self.rounds.max(1) }
    }

    pub(crate) fn scale(&self) -> f64 {
        if self.quick { 0.05 } else { 1.0 }
    }

    /// The workloads asked for, in the order of the catalogue.
    pub(crate) fn workloads(&self) -> Result<Vec<&'static Workload>> {
        let mut chosen = chosen(&self.only, WORKLOADS, |workload| workload.name)?;
        // What security costs is in the patterns; the rest is for who asks for it.
        if self.cost.is_some() && self.only.is_empty() {
            chosen.retain(|workload| workload.group == Group::Pattern);
        }
        Ok(chosen)
    }

    /// The peers asked for, in the order of the tables.
    pub(crate) fn peers(&self) -> Result<Vec<&'static Peer>> {
        chosen(&self.peers, PEERS, |peer| peer.name)
    }

    /// Whether RESULTS.md is to be written: by default after a complete run only.
    pub(crate) fn writes(&self) -> bool {
        let complete = self.ralloc.is_some()
            && !self.quick
            && self.cost.is_none()
            && self.only.is_empty()
            && self.peers.is_empty()
            && self.rounds >= 5;
        self.write || (complete && !self.no_write)
    }

    /// This command as a reader would repeat it, without paths of this machine.
    pub(crate) fn command(&self) -> String {
        let mut command = String::from("cargo xtask bench");
        let mut add = |word: &str| {
            command.push(' ');
            command.push_str(word);
        };
        if self.quick {
            add("--quick");
        } else {
            add(&format!("--rounds {}", self.rounds()));
        }
        if self.small_pages {
            add("--small-pages");
        }
        if !self.only.is_empty() {
            add(&format!("--only {}", self.only.join(",")));
        }
        if !self.peers.is_empty() {
            add(&format!("--peers {}", self.peers.join(",")));
        }
        if let Some(threads) = self.threads {
            add(&format!("--threads {threads}"));
        }
        command
    }
}

/// Those of `names` among all peers, whatever they are built for.
pub(crate) fn any_of(names: &[String]) -> Result<Vec<&'static Peer>> {
    let all = || PEERS.iter().chain(HARDENED);
    let find = |name: &String| {
        all()
            .find(|peer| peer.name == name)
            .with_context(|| format!("no `{name}`"))
    };
    names.iter().map(find).collect()
}

fn chosen<T>(
    names: &[String],
    all: &'static [T],
    name: impl Fn(&T) -> &'static str,
) -> Result<Vec<&'static T>> {
    if let Some(unknown) = names
        .iter()
        .find(|wanted| !all.iter().any(|one| name(one) == **wanted))
    {
        let known: Vec<_> = all.iter().map(&name).collect();
        bail!("no `{unknown}`; there are {}", known.join(", "));
    }
    let wanted = |one: &&T| names.is_empty() || names.iter().any(|wanted| wanted == name(one));
    Ok(all.iter().filter(wanted).collect())
}
