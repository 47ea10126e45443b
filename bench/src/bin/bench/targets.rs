//! The targets of the project, and what this run says about them.

use bench::{Heap, Kept, Kind};

use crate::{
    measure::Sample,
    stats::{Figure, Mean, PEAK, Results, TIME, is_pattern, median},
};

/// One line of the table.
pub(crate) struct Target {
    pub(crate) what: &'static str,
    pub(crate) wanted: String,
    pub(crate) reached: Option<Reached>,
}

/// A figure and whether it is good enough.
pub(crate) struct Reached {
    pub(crate) figure: String,
    pub(crate) met: bool,
}

/// Most instructions on a hit; a test counts them, not this run.
const INSTRUCTIONS: [(&str, &str); 3] = [
    ("`malloc` hit, static / preload", "10 / 12 instructions"),
    ("`free` hit, local", "19 instructions, 4 loads"),
    ("`alloc` of a constant layout, inlined", "5 instructions"),
];
/// Wall time relative to the best peer.
const TIME_TO_BEST: f64 = 0.90;
/// Peak memory of small heaps relative to glibc.
const SMALL_TO_GLIBC: f64 = 1.00;
/// Peak memory of large heaps relative to mimalloc 3.
const LARGE_TO_MIMALLOC: f64 = 0.80;
/// Time of the worst workload relative to the best peer on it, and its peak memory relative to glibc.
const WORST_TIME: f64 = 1.05;
const WORST_MEMORY: f64 = 1.10;
/// Time of `realloc-growth` relative to glibc.
const GROWTH: f64 = 1.00;
/// System calls about memory of `hello`.
const HELLO_CALLS: f64 = 5.0;
/// Private dirty memory of `hello`.
const HELLO_KIB: f64 = 140.0;
/// How many times faster than a locked dlmalloc, on one thread and on two.
const FASTER_ALONE: f64 = 3.0;
const FASTER_TOGETHER: f64 = 10.0;
/// Share of 1 GiB that stays after it has been freed in random order.
const KEPT_SHARE: f64 = 0.05;
/// What stays after the blocks of a thousand dead threads have been freed.
const KEPT_MIB: f64 = 16.0;

/// All of them.
pub(crate) fn targets(results: &Results) -> Vec<Target> {
    let instructions = INSTRUCTIONS.map(|(what, wanted)| Target {
        what,
        wanted: wanted.to_owned(),
        reached: None,
    });
    let mut all = Vec::from(instructions);
    all.extend(means(results));
    all.extend(worst(results));
    all.extend(figures(results));
    all
}

/// Those that compare geometric means.
fn means(results: &Results) -> Vec<Target> {
    let ralloc = results.allocator("ralloc");
    let to = |peer: Option<usize>| Some((ralloc?, peer?));
    let best = results.best_peer();
    let time = to(best).and_then(|pair| results.mean(pair, TIME, is_pattern));
    let peak = |peer, heap| {
        let pair = to(results.allocator(peer))?;
        results.mean(pair, PEAK, |workload| {
            is_pattern(workload) && workload.heap == heap
        })
    };
    let faster = |kind| {
        let (ralloc, dlmalloc) = to(results.allocator("dlmalloc"))?;
        results.mean((dlmalloc, ralloc), TIME, |workload| {
            is_pattern(workload) && workload.kind == kind
        })
    };
    let named = best.map_or("", |best| &results.allocators[best].name);
    vec![
        Target {
            what: "time, geometric mean, relative to the best peer's",
            wanted: format!("{TIME_TO_BEST:.2}"),
            reached: time.map(|mean| at_most(mean, TIME_TO_BEST, named)),
        },
        Target {
            what: "peak RSS of small heaps, geometric mean, relative to glibc's",
            wanted: format!("{SMALL_TO_GLIBC:.2}"),
            reached: peak("glibc", Heap::Small).map(|mean| at_most(mean, SMALL_TO_GLIBC, "glibc")),
        },
        Target {
            what: "peak RSS of large heaps, geometric mean, relative to mimalloc 3's",
            wanted: format!("{LARGE_TO_MIMALLOC:.2}"),
            reached: peak("mimalloc3", Heap::Large)
                .map(|mean| at_most(mean, LARGE_TO_MIMALLOC, "mimalloc3")),
        },
        Target {
            what: "small blocks on one thread, against dlmalloc and a mutex",
            wanted: format!("{FASTER_ALONE:.0} times faster"),
            reached: faster(Kind::Single).map(|mean| at_least(mean, FASTER_ALONE)),
        },
        Target {
            what: "small blocks on several threads, against dlmalloc and a mutex",
            wanted: format!("{FASTER_TOGETHER:.0} times faster"),
            reached: faster(Kind::Parallel).map(|mean| at_least(mean, FASTER_TOGETHER)),
        },
    ]
}

/// Those that no single workload may miss.
fn worst(results: &Results) -> [Target; 3] {
    let ralloc = results.allocator("ralloc");
    let all = || 0..results.workloads.len();
    let glibc = |workload, figure: Figure| {
        let pair = (ralloc?, results.allocator("glibc")?);
        results.ratio(workload, pair, figure)
    };
    let time = all()
        .filter(|&workload| results.workloads[workload].compares_time() && ralloc.is_some())
        .filter_map(|workload| Some((workload, results.against_best(workload, TIME)?)))
        .max_by(|one, other| one.1.1.total_cmp(&other.1.1));
    let memory = all()
        .filter_map(|workload| Some((workload, glibc(workload, PEAK)?)))
        .max_by(|one, other| one.1.total_cmp(&other.1));
    let growth = results
        .workload("realloc-growth")
        .and_then(|workload| glibc(workload, TIME));
    let name = |workload: usize| results.workloads[workload].name;
    [
        Target {
            what: "worst single workload, time, relative to the best peer on it",
            wanted: format!("{WORST_TIME:.2}"),
            reached: time.map(|(workload, (peer, ratio))| Reached {
                figure: format!(
                    "{ratio:.2} of {} ({})",
                    results.allocators[peer].name,
                    name(workload)
                ),
                met: ratio <= WORST_TIME,
            }),
        },
        Target {
            what: "worst single workload, peak RSS, relative to glibc's",
            wanted: format!("{WORST_MEMORY:.2}"),
            reached: memory.map(|(workload, ratio)| Reached {
                figure: format!("{ratio:.2} ({})", name(workload)),
                met: ratio <= WORST_MEMORY,
            }),
        },
        Target {
            what: "`realloc` that grows to 1 GiB, time, relative to glibc's",
            wanted: format!("{GROWTH:.2}"),
            reached: growth.map(|ratio| Reached {
                figure: format!("{ratio:.2}"),
                met: ratio <= GROWTH,
            }),
        },
    ]
}

/// Those about one figure of one workload.
fn figures(results: &Results) -> Vec<Target> {
    let of = |workload, figure: fn(&Sample) -> Option<f64>| {
        let cell = &results.cells[results.workload(workload)?][results.allocator("ralloc")?];
        median(cell.samples.iter().filter_map(figure))
    };
    let dirty = of("hello", |sample| {
        sample.outcome.private_dirty_kib.map(|kib| kib as f64)
    });
    let share = of("free-1gib", |sample| sample.outcome.kept.map(share));
    let stranded = of("dead-threads", |sample| {
        Some(sample.outcome.kept?.kept_kib as f64 / 1024.0)
    });
    let later = of("free-1gib", |sample| {
        Some(sample.outcome.kept?.later_kib? as f64 / sample.outcome.peak_kib as f64)
    });
    let calls = results.allocator("ralloc").and_then(|ralloc| {
        let calls = results.system_calls.as_ref()?;
        Some(calls[ralloc].memory as f64)
    });
    let figure = |figure: Option<f64>, most: f64, show: fn(f64) -> String| {
        figure.map(|figure| Reached {
            figure: show(figure),
            met: figure <= most,
        })
    };
    vec![
        Target {
            what: "private dirty memory of hello",
            wanted: format!("{HELLO_KIB} KiB"),
            reached: figure(dirty, HELLO_KIB, |kib| format!("{kib} KiB")),
        },
        Target {
            what: "system calls about memory of hello, after the loader's",
            wanted: format!("{HELLO_CALLS}"),
            reached: figure(calls, HELLO_CALLS, |calls| format!("{calls}")),
        },
        Target {
            what: "kept of 1 GiB of small blocks freed in random order",
            wanted: format!("{:.0} %", KEPT_SHARE * 100.0),
            reached: figure(share, KEPT_SHARE, |share| format!("{:.1} %", share * 100.0)),
        },
        Target {
            what: "the same after a second of ordinary activity, of peak RSS",
            wanted: format!("{:.0} %", KEPT_SHARE * 100.0),
            reached: figure(later, KEPT_SHARE, |share| format!("{:.1} %", share * 100.0)),
        },
        Target {
            what: "kept after 1,000 threads died and their 1 GiB was freed",
            wanted: format!("{KEPT_MIB} MiB"),
            reached: figure(stranded, KEPT_MIB, |mib| format!("{mib:.1} MiB")),
        },
    ]
}

/// What stayed, as a share of what had been asked for.
pub(crate) fn share(kept: Kept) -> f64 {
    kept.kept_kib as f64 / kept.asked_kib as f64
}

fn at_most(mean: Mean, most: f64, peer: &str) -> Reached {
    Reached {
        figure: format!("{:.2} of {peer} ({} workloads)", mean.value, mean.over),
        met: mean.value <= most,
    }
}

fn at_least(mean: Mean, least: f64) -> Reached {
    Reached {
        figure: format!("{:.1} times ({} workloads)", mean.value, mean.over),
        met: mean.value >= least,
    }
}
