//! Parts of the report that are not a figure for each workload: plots, reasons, latencies.

use std::fmt::Write;

use bench::{Calls, Group, Latency};

use crate::{
    plots::Plot,
    reasons::Behind,
    report::{of_group, section, show, table},
    stats::{Results, median},
};

/// The plots, where they are.
pub(crate) fn plots(results: &Results) -> String {
    let mut text = String::from("\n## Plots\n");
    for plot in Plot::all(results) {
        let _ = write!(text, "\n![{}](plots/{})\n", plot.about(), plot.file());
    }
    text
}

/// Where ralloc is not the best, and why; what nobody has written a reason for stands out.
pub(crate) fn behind_table(behind: &[Behind]) -> String {
    let mut table =
        table(["workload", "figure", "ralloc to", "the best", "why"].map(str::to_owned));
    for Behind {
        workload,
        what,
        ratio,
        peer,
        reason,
    } in behind
    {
        let reason = match reason {
            Some(reason) => reason.trim().replace('\n', " ").replace('|', "\\|"),
            None => "**NO REASON WRITTEN**".to_owned(),
        };
        table.add_row([
            (*workload).to_owned(),
            (*what).to_owned(),
            format!("{ratio:.2}"),
            peer.clone(),
            reason,
        ]);
    }
    if let Some(why) = table.column_mut(4) {
        why.set_cell_alignment(comfy_table::CellAlignment::Left);
    }
    let mut text = String::new();
    let about = "Each workload against the peer that is best on it, reasons from reasons.toml. How much work a single call may \
                 find is in [BOUNDS.md](BOUNDS.md).";
    section(&mut text, "Where ralloc is not the best", about, &table);
    text
}

/// A figure of an allocator's calls.
type Time = fn(&Calls) -> u64;

const TIMES: [(&str, Time); 4] = [
    ("median", |calls| calls.median),
    ("99 %", |calls| calls.p99),
    ("99.9 %", |calls| calls.p999),
    ("worst", |calls| calls.worst),
];

/// A table for each workload that times single calls.
pub(crate) fn latency_tables(results: &Results) -> String {
    let mut text = String::new();
    for (number, workload) in of_group(results, Group::Latency) {
        let heading = ["malloc", "free"]
            .iter()
            .flat_map(|verb| TIMES.map(|(name, _)| format!("{verb}, {name}")));
        let mut table = table(["allocator".to_owned()].into_iter().chain(heading));
        let mut clocks = Vec::new();
        for (which, allocator) in results.allocators.iter().enumerate() {
            let samples = &results.cells[number][which].samples;
            let of = |figure: &dyn Fn(&Latency) -> u64| {
                let all = samples.iter().filter_map(|sample| sample.outcome.latency);
                median(all.map(|latency| figure(&latency) as f64))
            };
            clocks.extend(of(&|latency| latency.clock));
            let verbs: [fn(&Latency) -> &Calls; 2] = [|of| &of.malloc, |of| &of.free];
            let row = verbs.iter().flat_map(|verb| {
                TIMES.map(|(_, time)| show(of(&|latency| time(verb(latency))), 0))
            });
            table.add_row([allocator.name.clone()].into_iter().chain(row));
        }
        let clock = show(median(clocks.into_iter()), 0);
        let about = format!(
            "{}. Nanoseconds, medians over the rounds of each figure, the clock's own {clock} included. The worst call of all is \
             mostly one from which the kernel took the processor.",
            workload.what
        );
        section(
            &mut text,
            &format!("Single calls: {}", workload.name),
            &about,
            &table,
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::{reasons::Reasons, report, stats::example};

    #[test]
    fn a_missing_reason_is_shown_loudly() {
        let (results, circumstances) = example();
        let text = |reasons| {
            report::report(
                &results,
                &circumstances,
                None,
                &Reasons::parse(reasons).unwrap(),
            )
        };
        let without = text("");
        assert!(without.contains("**NO REASON WRITTEN**"), "{without}");
        assert!(
            without.contains("**1 figures in which ralloc is not the best have no reason"),
            "{without}"
        );
        let with = text("[small]\ntime = \"it rests\"");
        assert!(
            with.contains("it rests") && !with.contains("REASON") && !with.contains("no reason"),
            "{with}"
        );
    }

    #[test]
    fn the_report_has_every_part() {
        let (results, circumstances) = example();
        let small = example();
        let reasons = Reasons::default();
        let text = report::report(&results, &circumstances, Some(&small), &reasons);
        for part in [
            "## Nobody with large pages, ralloc to each",
            "## Targets",
            "worst single workload, time",
            "## Single calls: latency",
            "(plots/time-memory.svg)",
            "a machine",
        ] {
            assert!(text.contains(part), "no `{part}` in\n{text}");
        }
    }
}
