//! The tables of detection: how many cases of each program each allocator notices, and each case.

use super::{
    case::Program,
    compare::Row,
    run::{End, Subject},
};
use std::fmt::Write;

/// Rows of one variant that end alike are one: its sizes, its threads, and a cell for each allocator.
struct Line {
    sizes: Vec<String>,
    threads: Vec<String>,
    cells: Vec<String>,
}

pub(super) fn detection(
    rows: &[Row<'_>],
    subjects: &[Subject],
    absent: &[String],
    runs: u32,
) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{} cases, each run {runs} times on each allocator; noticed means: every time.\n",
        rows.len()
    );
    text.push_str("| allocator | version | environment |\n|---|---|---|\n");
    for subject in subjects {
        let pairs = subject.environment.iter();
        let pairs: Vec<_> = pairs
            .map(|(name, value)| format!("`{name}={value}`"))
            .collect();
        let Subject { name, version, .. } = subject;
        let _ = writeln!(text, "| {name} | {version} | {} |", pairs.join(" "));
    }
    for line in absent {
        let _ = writeln!(
            text,
            "\nNot to be had here: {}.",
            line.trim_start_matches("skipping ")
        );
    }
    text.push('\n');
    summary(&mut text, rows, subjects);
    outdone(&mut text, rows, subjects);
    let mut programs: Vec<&Program> = Vec::new();
    for row in rows {
        if !programs
            .iter()
            .any(|program| program.name == row.program.name)
        {
            programs.push(row.program);
        }
    }
    for program in programs {
        each(&mut text, program, rows, subjects);
    }
    text
}

fn is_noticed(ends: &[End]) -> bool {
    ends.iter().all(End::is_noticed)
}

fn is_applicable(ends: &[End]) -> bool {
    !ends.contains(&End::NotApplicable)
}

fn heading(text: &mut String, first: &str, subjects: &[Subject]) {
    let _ = write!(text, "{first}");
    for subject in subjects {
        let _ = write!(text, " {} |", subject.name);
    }
    let columns = first.matches('|').count() - 1 + subjects.len();
    let _ = writeln!(text, "\n|{}", "---|".repeat(columns));
}

/// How many cases of each program are noticed.
fn summary(text: &mut String, rows: &[Row<'_>], subjects: &[Subject]) {
    heading(text, "| noticed |", subjects);
    let mut names: Vec<&str> = rows.iter().map(|row| row.program.name.as_str()).collect();
    names.dedup();
    names.push("all");
    for name in names {
        let mark = if name == "all" { "**" } else { "" };
        let shown = if name == "all" {
            name.to_owned()
        } else {
            format!("`{name}`")
        };
        let _ = write!(text, "| {mark}{shown}{mark} |");
        for number in 0..subjects.len() {
            let of = rows.iter().filter(|row| {
                (name == "all" || row.program.name == name) && is_applicable(&row.ends[number])
            });
            let (noticed, all) = of.fold((0, 0), |(noticed, all), row| {
                (
                    noticed + usize::from(is_noticed(&row.ends[number])),
                    all + 1,
                )
            });
            let _ = write!(text, " {mark}{noticed} of {all}{mark} |");
        }
        text.push('\n');
    }
    text.push('\n');
}

/// What a peer notices every time and the first of ours does not.
fn outdone(text: &mut String, rows: &[Row<'_>], subjects: &[Subject]) {
    let Some(peers) = subjects
        .first()
        .filter(|first| first.name == "ralloc-secure")
    else {
        return;
    };
    let mut any = false;
    for row in rows.iter().filter(|row| !is_noticed(&row.ends[0])) {
        let better = (1..subjects.len()).filter(|&number| is_noticed(&row.ends[number]));
        let names: Vec<_> = better
            .map(|number| subjects[number].name.as_str())
            .collect();
        let who = match names.is_empty() {
            true => "nobody notices it every time".to_owned(),
            false => format!("**noticed by {}**", names.join(", ")),
        };
        if !any {
            let _ = writeln!(text, "Not noticed every time by {}:\n", peers.name);
        }
        any = true;
        let _ = writeln!(text, "- `{} {}`: {who}", row.program.name, row.case.name());
    }
    if !any {
        let _ = writeln!(text, "{} notices every case, every time.", peers.name);
    }
    text.push('\n');
}

/// Every case of a program.
fn each(text: &mut String, program: &Program, rows: &[Row<'_>], subjects: &[Subject]) {
    let _ = writeln!(text, "### {}\n\n{}\n", program.name, program.about);
    heading(text, "| variant | size | thread |", subjects);
    let of: Vec<_> = rows
        .iter()
        .filter(|row| row.program.name == program.name)
        .collect();
    let mut variants: Vec<&str> = Vec::new();
    for row in &of {
        if !variants.contains(&row.case.variant.as_str()) {
            variants.push(&row.case.variant);
        }
    }
    for variant in variants {
        let rows = of.iter().filter(|row| row.case.variant == variant);
        for line in lines(rows.map(|row| {
            let cells = row.ends.iter().map(|ends| cell(ends)).collect();
            (row.case.size.clone(), row.case.thread.clone(), cells)
        })) {
            let (sizes, threads) = (line.sizes.join(", "), line.threads.join(", "));
            let cells = line.cells.join(" | ");
            let _ = writeln!(text, "| {variant} | {sizes} | {threads} | {cells} |");
        }
    }
    text.push('\n');
}

/// Puts together what ends alike: first threads of one size, then sizes.
fn lines(rows: impl Iterator<Item = (String, String, Vec<String>)>) -> Vec<Line> {
    let mut by_size: Vec<Line> = Vec::new();
    for (size, thread, cells) in rows {
        match by_size
            .iter_mut()
            .find(|line| line.sizes[0] == size && line.cells == cells)
        {
            Some(line) => line.threads.push(thread),
            None => by_size.push(Line {
                sizes: vec![size],
                threads: vec![thread],
                cells,
            }),
        }
    }
    let mut lines: Vec<Line> = Vec::new();
    for line in by_size {
        match lines
            .iter_mut()
            .find(|other| other.threads == line.threads && other.cells == line.cells)
        {
            Some(other) => other.sizes.extend(line.sizes),
            None => lines.push(line),
        }
    }
    lines
}

/// How a case ended each time, in a word or two.
fn cell(ends: &[End]) -> String {
    let mut words: Vec<(String, usize)> = Vec::new();
    for end in ends {
        let word = word(end);
        match words.iter_mut().find(|(other, _)| *other == word) {
            Some((_, count)) => *count += 1,
            None => words.push((word, 1)),
        }
    }
    match &words[..] {
        [(word, _)] => word.clone(),
        _ => {
            let parts: Vec<_> = words
                .iter()
                .map(|(word, count)| format!("{count}x {word}"))
                .collect();
            parts.join(", ")
        }
    }
}

fn word(end: &End) -> String {
    match end {
        End::Unnoticed => "-".to_owned(),
        End::Prevented => "prevented".to_owned(),
        End::Reported(_) => "message".to_owned(),
        End::Died { signal, line: None } => signal.clone(),
        End::Died {
            signal,
            line: Some(line),
        } => match line.strip_prefix("ralloc: ") {
            Some(line) => {
                let (line, address) = line.rsplit_once(": ").unwrap_or((line, "BLOCK"));
                let whose = if address == "BLOCK" {
                    ""
                } else {
                    " (of another)"
                };
                format!("`{line}`{whose} {signal}")
            }
            None => format!("message, {signal}"),
        },
        End::Exited(_) => "message, exit".to_owned(),
        End::Hung => "hangs".to_owned(),
        End::WentWrong(_) => "astray".to_owned(),
        End::NotApplicable => "n/a".to_owned(),
        End::Control => "control".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_alike_is_one_line() {
        let row = |size: &str, thread: &str, cell: &str| {
            (size.to_owned(), thread.to_owned(), vec![cell.to_owned()])
        };
        let rows = [
            row("small", "same", "x"),
            row("small", "other", "x"),
            row("huge", "same", "x"),
            row("huge", "other", "y"),
            row("large", "same", "x"),
            row("large", "other", "x"),
        ];
        let lines = lines(rows.into_iter());
        let text: Vec<_> = lines
            .iter()
            .map(|line| {
                format!(
                    "{} {} {}",
                    line.sizes.join(","),
                    line.threads.join(","),
                    line.cells[0]
                )
            })
            .collect();
        assert_eq!(
            text,
            ["small,large same,other x", "huge same x", "huge other y"]
        );
    }

    #[test]
    fn ends_that_differ_are_counted() {
        assert_eq!(
            cell(&[End::Unnoticed, End::Prevented, End::Unnoticed]),
            "2x -, 1x prevented"
        );
        let line = Some("ralloc: double free: BLOCK".to_owned());
        let signal = "ABRT".to_owned();
        assert_eq!(cell(&[End::Died { signal, line }]), "`double free` ABRT");
    }
}
