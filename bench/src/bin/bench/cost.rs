//! What security costs: an allocator that is built to notice misuse, against the same one as it is.

use std::fmt::Write;

use anyhow::Result;

use crate::{
    args::{self, Args},
    peers::{PAIRS, Peer},
    report::Circumstances,
    stats::{PEAK, Results, TIME},
};

/// The peers that are compared with themselves: all that can be, or those that the user named.
pub(crate) fn peers(args: &Args) -> Result<Vec<&'static Peer>> {
    let named: Vec<_> = args.peers()?.iter().map(|peer| peer.name).collect();
    let pairs = PAIRS.iter().filter(|(plain, _)| named.contains(plain));
    let names: Vec<String> = pairs
        .flat_map(|(plain, hardened)| [(*plain).to_owned(), (*hardened).to_owned()])
        .collect();
    args::any_of(&names)
}

/// One column for each pair: the medians of the quotients in the same round, and their geometric means.
pub(crate) fn table(results: &Results, circumstances: &Circumstances) -> String {
    let ours = [("ralloc", "ralloc-secure")];
    let pairs: Vec<_> = ours
        .iter()
        .chain(PAIRS)
        .filter_map(|&(plain, hardened)| {
            let pair = (results.allocator(hardened)?, results.allocator(plain)?);
            Some((hardened, pair))
        })
        .collect();
    let (before, after) = circumstances.load;
    let mut text = format!(
        "{}; {} rounds; load average {before:.2} at the start and {after:.2} at the end. Wall time / peak RSS, each relative to the \
         same allocator without its checks.\n\n| workload |",
        circumstances.date, circumstances.rounds
    );
    if circumstances.quick {
        text.insert_str(
            0,
            "A twentieth of the work: says that it runs, and nothing about cost. ",
        );
    }
    for (hardened, _) in &pairs {
        let _ = write!(text, " {hardened} |");
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(pairs.len()));
    let cell = |time: Option<f64>, peak: Option<f64>| match (time, peak) {
        (Some(time), Some(peak)) => format!(" {time:.2} / {peak:.2} |"),
        _ => " failed |".to_owned(),
    };
    for (number, workload) in results.workloads.iter().enumerate() {
        let _ = write!(text, "\n| {} |", workload.name);
        for &(_, pair) in &pairs {
            text.push_str(&cell(
                results.ratio(number, pair, TIME),
                results.ratio(number, pair, PEAK),
            ));
        }
    }
    text.push_str("\n| **geometric mean** |");
    for &(_, pair) in &pairs {
        let mean = |figure| Some(results.mean(pair, figure, |_| true)?.value);
        text.push_str(&cell(mean(TIME), mean(PEAK)));
    }
    for disagreement in results.disagreements() {
        let _ = write!(text, "\n\nNot the same result: {disagreement}.");
    }
    text.push('\n');
    for skipped in &circumstances.skipped {
        let _ = write!(text, "\nNot measured: {skipped}.\n");
    }
    text
}
