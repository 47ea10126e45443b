//! The report: the same text for the terminal and for RESULTS.md.

use std::fmt::Write;

use bench::{Group, Heap, Workload};
use comfy_table::{CellAlignment::Right, Table, presets::ASCII_MARKDOWN};
use serde::{Deserialize, Serialize};

use crate::{
    extras, machine,
    reasons::{Behind, Reasons},
    stats::{CPU, Figure, PEAK, Results, TIME, is_pattern, median},
    targets::{Reached, Target, share, targets},
};

/// What the report says besides the figures.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Circumstances {
    pub(crate) command: String,
    pub(crate) date: String,
    pub(crate) rounds: usize,
    pub(crate) quick: bool,
    /// Load average before and after.
    pub(crate) load: (f64, f64),
    /// Peers that could not be had, and why.
    pub(crate) skipped: Vec<String>,
    /// Machine and tools.
    pub(crate) machine: Vec<String>,
}

/// The whole report. `small_pages` is the same work where nobody had large pages.
pub(crate) fn report(
    results: &Results,
    circumstances: &Circumstances,
    small_pages: Option<&(Results, Circumstances)>,
    reasons: &Reasons,
) -> String {
    let behind = reasons.behind(results);
    let mut text = String::from("# Results\n\n");
    text += &opening(results, circumstances, &behind);
    text += &target_table(results);
    text += &mean_table(results, "Geometric means");
    if let Some((results, circumstances)) = small_pages {
        text += &small_pages_tables(results, circumstances);
    }
    text += &extras::plots(results);
    text += &extras::behind_table(&behind);
    let title = |group| match group {
        Group::Pattern => "",
        Group::Program => "Real programs: ",
        _ => "Large in one way: ",
    };
    for group in [Group::Pattern, Group::Program, Group::Scale] {
        text += &figures(results, group, title(group));
    }
    text += &extras::latency_tables(results);
    text += &hello_table(results);
    text += &kept_table(results);
    text += &workload_list(results);
    text
}

/// Time and memory of a group: medians, and ratios.
fn figures(results: &Results, group: Group, prefix: &str) -> String {
    let mut text = String::new();
    if results
        .workloads
        .iter()
        .all(|workload| workload.group != group)
    {
        return text;
    }
    let subject = &results.allocators[results.subject()].name;
    let mut add = |title: String, about: &str, table: Table| {
        let mut title = format!("{prefix}{title}");
        // What follows a colon goes on in small letters.
        if let Some(first) = title
            .get(prefix.len()..prefix.len() + 1)
            .filter(|_| !prefix.is_empty())
        {
            let first = if title[prefix.len()..].starts_with("RSS") {
                first.to_owned()
            } else {
                first.to_lowercase()
            };
            title.replace_range(prefix.len()..prefix.len() + 1, &first);
        }
        section(&mut text, &title, about, &table);
    };
    let every = match group {
        Group::Pattern => "Medians.",
        _ => "Medians of every third round.",
    };
    add(
        "Wall time, ms".to_owned(),
        every,
        medians(results, group, TIME, 1000.0, 0),
    );
    let about = "Per round, then the median. Less than 1: the first is faster.";
    add(
        format!("Wall time, {subject} to each"),
        about,
        ratios(results, group, TIME),
    );
    add(
        "Peak RSS, MiB".to_owned(),
        every,
        medians(results, group, PEAK, 1.0, 1),
    );
    add(
        format!("Peak RSS, {subject} to each"),
        "",
        ratios(results, group, PEAK),
    );
    text
}

/// The targets alone.
pub(crate) fn target_table(results: &Results) -> String {
    let mut table = table(["target", "wanted", "reached", ""].map(str::to_owned));
    for Target {
        what,
        wanted,
        reached,
    } in targets(results)
    {
        let (figure, verdict) = match reached {
            Some(Reached { figure, met: true }) => (figure, "met"),
            Some(Reached { figure, met: false }) => (figure, "**missed**"),
            None => ("not measured here".to_owned(), ""),
        };
        table.add_row([what, &wanted, &figure, verdict]);
    }
    let mut text = String::new();
    section(&mut text, "Targets", "", &table);
    text
}

fn opening(results: &Results, circumstances: &Circumstances, behind: &[Behind]) -> String {
    let Circumstances {
        command,
        date,
        rounds,
        quick,
        load: (before, after),
        skipped,
        machine,
    } = circumstances;
    let mut lines = vec![
        format!("`{command}`, {date}; rounds: {rounds}, the allocators in turn in each."),
        String::new(),
    ];
    lines.extend(machine.iter().map(|line| format!("- {line}")));
    lines.push(format!(
        "- load average: {before:.2} before, {after:.2} after"
    ));
    if let Some(spread) = results.spread().filter(|_| *rounds > 1) {
        let spread = spread * 100.0;
        lines.push(format!(
            "- fastest to slowest round of the same, at the median: {spread:.0} %"
        ));
    }
    for allocator in &results.allocators {
        lines.push(format!("- {}: {}", allocator.name, allocator.version));
    }
    lines.extend(skipped.iter().map(|why| format!("- skipped: {why}")));
    let mut warnings = failures(results);
    if *quick {
        warnings.push("a twentieth of the work: these figures mean nothing".to_owned());
    }
    if *before > machine::QUIET {
        warnings.push("the machine was busy, do not trust the figures".to_owned());
    }
    let missing = behind
        .iter()
        .filter(|behind| behind.reason.is_none())
        .count();
    if missing > 0 {
        warnings.push(format!(
            "{missing} figures in which ralloc is not the best have no reason, see below"
        ));
    }
    for case in results.disagreements() {
        warnings.push(format!("a wrong checksum: {case}"));
    }
    lines.extend(warnings.iter().map(|warning| format!("- **{warning}**")));
    lines.join("\n") + "\n"
}

fn failures(results: &Results) -> Vec<String> {
    let rows = results.workloads.iter().zip(&results.cells);
    rows.flat_map(|(workload, row)| {
        row.iter()
            .zip(&results.allocators)
            .filter_map(|(cell, allocator)| {
                let why = cell.failure.as_ref()?;
                Some(format!(
                    "{} failed on {}, not in its means: {why}",
                    workload.name, allocator.name
                ))
            })
    })
    .collect()
}

/// What is left of the differences when nobody has large pages.
fn small_pages_tables(results: &Results, circumstances: &Circumstances) -> String {
    let Circumstances {
        command,
        date,
        rounds,
        load: (before, after),
        ..
    } = circumstances;
    let mut text = mean_table(results, "Nobody with large pages");
    let _ = writeln!(
        text,
        "\n`{command}`, {date}; rounds: {rounds}; load average: {before:.2} before, {after:.2} after. Large pages save page faults and \
         misses of the translation buffer; who asks the kernel for them in the tables below, and gets them, gains by that, which is no \
         merit of what it does with its blocks. Wall time, ralloc to each:\n"
    );
    for group in [Group::Pattern, Group::Program] {
        let table = ratios(results, group, TIME);
        let _ = writeln!(text, "{table}\n");
    }
    text
}

/// Geometric means of the subject to each peer.
fn mean_table(results: &Results, title: &str) -> String {
    let subject = results.subject();
    let heading = [
        "to",
        "wall time",
        "CPU time",
        "RSS, small heaps",
        "RSS, large heaps",
        "programs, wall time",
        "programs, RSS",
    ]
    .map(str::to_owned);
    let mut table = table(heading);
    for peer in results.peers() {
        let mean = |figure, heap: Option<Heap>| {
            let pass = |workload: &bench::Workload| {
                heap.is_none_or(|heap| is_pattern(workload) && workload.heap == heap)
            };
            show(
                results
                    .mean((subject, peer), figure, pass)
                    .map(|mean| mean.value),
                2,
            )
        };
        let programs = |figure| {
            let mean = results.mean((subject, peer), figure, |one| one.group == Group::Program);
            show(mean.map(|mean| mean.value), 2)
        };
        table.add_row([
            results.allocators[peer].name.to_owned(),
            mean(TIME, None),
            mean(CPU, None),
            mean(PEAK, Some(Heap::Small)),
            mean(PEAK, Some(Heap::Large)),
            programs(TIME),
            programs(PEAK),
        ]);
    }
    let mut text = String::new();
    let best = results
        .best_peer()
        .map_or("none", |best| &results.allocators[best].name);
    let about = format!("Less than 1: less than the peer. Best peer by time: {best}.");
    let title = format!("{title}, {} to each", results.allocators[subject].name);
    section(&mut text, &title, &about, &table);
    text
}

/// The workloads of a group, with their numbers.
pub(crate) fn of_group(
    results: &Results,
    group: Group,
) -> impl Iterator<Item = (usize, &&'static Workload)> {
    let all = results.workloads.iter().enumerate();
    all.filter(move |(_, workload)| workload.group == group)
}

fn medians(results: &Results, group: Group, figure: Figure, factor: f64, digits: usize) -> Table {
    let names = results
        .allocators
        .iter()
        .map(|allocator| allocator.name.to_owned());
    let mut table = table(["workload".to_owned()].into_iter().chain(names));
    for (number, workload) in of_group(results, group) {
        let of = |which| {
            results
                .median(number, which, figure)
                .map(|value| value * factor)
        };
        // A start takes a millisecond or two.
        let digits = if workload.name == "hello" {
            1.max(digits)
        } else {
            digits
        };
        let values = (0..results.allocators.len()).map(|which| show(of(which), digits));
        table.add_row([workload.name.to_owned()].into_iter().chain(values));
    }
    table
}

fn ratios(results: &Results, group: Group, figure: Figure) -> Table {
    let subject = results.subject();
    let names = results
        .peers()
        .map(|peer| results.allocators[peer].name.to_owned());
    let mut table = table(["workload".to_owned()].into_iter().chain(names));
    for (number, workload) in of_group(results, group) {
        let values = results
            .peers()
            .map(|peer| results.ratio(number, (subject, peer), figure));
        let values = values.map(|value| show(value, 2));
        table.add_row([workload.name.to_owned()].into_iter().chain(values));
    }
    if group == Group::Scale {
        return table;
    }
    let means = results
        .peers()
        .map(|peer| results.mean((subject, peer), figure, |workload| workload.group == group));
    let means = means.map(|mean| show(mean.map(|mean| mean.value), 2));
    table.add_row(["geometric mean".to_owned()].into_iter().chain(means));
    table
}

fn hello_table(results: &Results) -> String {
    let Some(hello) = results.workload("hello") else {
        return String::new();
    };
    let heading = [
        "hello",
        "start to end, ms",
        "system calls",
        "about memory, after the loader",
        "RSS, KiB",
        "private dirty, KiB",
    ];
    let mut table = table(heading.map(str::to_owned));
    for (which, allocator) in results.allocators.iter().enumerate() {
        let of = |figure| results.median(hello, which, figure);
        let calls = results.system_calls.as_ref().map(|calls| calls[which]);
        let dirty = of(|sample| sample.outcome.private_dirty_kib.unwrap_or_default() as f64);
        table.add_row([
            allocator.name.to_owned(),
            show(of(TIME).map(|seconds| seconds * 1000.0), 2),
            show(calls.map(|calls| calls.all as f64), 0),
            show(calls.map(|calls| calls.memory as f64), 0),
            show(of(PEAK).map(|mib| mib * 1024.0), 0),
            show(dirty, 0),
        ]);
    }
    let mut text = String::new();
    section(
        &mut text,
        "A small program",
        "Says hello and holds 20 blocks.",
        &table,
    );
    text
}

fn kept_table(results: &Results) -> String {
    let workloads: Vec<usize> = ["free-1gib", "dead-threads"]
        .iter()
        .filter_map(|name| results.workload(name))
        .collect();
    if workloads.is_empty() {
        return String::new();
    }
    let names = workloads
        .iter()
        .map(|&number| results.workloads[number].name.to_owned());
    let mut table = table(["allocator".to_owned()].into_iter().chain(names));
    for (which, allocator) in results.allocators.iter().enumerate() {
        let kept = workloads.iter().map(|&number| {
            let kept = || {
                results.cells[number][which]
                    .samples
                    .iter()
                    .filter_map(|s| s.outcome.kept)
            };
            let mib = median(kept().map(|kept| kept.kept_kib as f64 / 1024.0));
            let of = median(kept().map(share));
            mib.zip(of).map_or("failed".to_owned(), |(mib, of)| {
                format!("{mib:.1} MiB, {:.1} %", of * 100.0)
            })
        });
        table.add_row([allocator.name.to_owned()].into_iter().chain(kept));
    }
    let about =
        "Resident when everything has been freed, at once, and as a share of what was live.";
    let mut text = String::new();
    section(&mut text, "Kept", about, &table);
    text
}

fn workload_list(results: &Results) -> String {
    let mut text = String::from(
        "\n## Elsewhere\n\n\
         - what each resident byte is for at the peak: `cargo xtask explain WORKLOAD`\n\
         - what is asked of the Redox kernel, against dlmalloc: [tests/redox](../tests/redox/README.md#what-the-allocators-ask-of-the-kernel)\n\
         - what the security build costs: [SECURITY.md](../SECURITY.md)\n\
         \n## Workloads\n\n",
    );
    for workload in &results.workloads {
        let heap = if workload.heap == Heap::Small {
            "small"
        } else {
            "large"
        };
        let _ = writeln!(
            text,
            "- **{}** ({heap} heap): {}",
            workload.name, workload.what
        );
    }
    text
}

pub(crate) fn table(heading: impl IntoIterator<Item = String>) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header(heading);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(Right);
    }
    table
}

pub(crate) fn section(text: &mut String, title: &str, about: &str, table: &Table) {
    let _ = write!(text, "\n## {title}\n\n");
    if !about.is_empty() {
        let _ = write!(text, "{about}\n\n");
    }
    let _ = writeln!(text, "{table}");
}

pub(crate) fn show(value: Option<f64>, digits: usize) -> String {
    value.map_or("failed".to_owned(), |value| format!("{value:.digits$}"))
}
