//! The same figures as pictures: SVG files beside the report.

use std::{collections::BTreeSet, ops::Range, path::Path};

use anyhow::{Error, Result};
use bench::Workload;
use plotters::{coord::Shift, prelude::*};

use crate::{
    measure::Timeline,
    stats::{Figure, PEAK, Results, TIME, is_pattern},
};

/// One file.
pub(crate) enum Plot {
    TimeMemory,
    Means,
    TimeRatios,
    MemoryRatios,
    Timeline(String),
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// One for each allocator, in the order of the tables; ralloc's is the first.
const COLOURS: [RGBColor; 10] = [
    RGBColor(214, 39, 40),
    RGBColor(60, 60, 60),
    RGBColor(31, 119, 180),
    RGBColor(120, 180, 230),
    RGBColor(44, 160, 44),
    RGBColor(255, 127, 14),
    RGBColor(148, 103, 189),
    RGBColor(140, 86, 75),
    RGBColor(188, 189, 34),
    RGBColor(227, 119, 194),
];

const FONT: &str = "sans-serif";
const LEGEND: i32 = 26;

fn colour(which: usize) -> RGBColor {
    COLOURS[which % COLOURS.len()]
}

impl Plot {
    /// Those that there is data for.
    pub(crate) fn all(results: &Results) -> Vec<Plot> {
        let of: BTreeSet<_> = results
            .timelines
            .iter()
            .map(|line| &line.workload)
            .collect();
        let mut all = vec![
            Plot::Means,
            Plot::TimeMemory,
            Plot::TimeRatios,
            Plot::MemoryRatios,
        ];
        all.extend(
            of.into_iter()
                .map(|workload| Plot::Timeline(workload.clone())),
        );
        all
    }

    pub(crate) fn file(&self) -> String {
        match self {
            Plot::TimeMemory => "time-memory.svg".to_owned(),
            Plot::Means => "means.svg".to_owned(),
            Plot::TimeRatios => "time-ratios.svg".to_owned(),
            Plot::MemoryRatios => "memory-ratios.svg".to_owned(),
            Plot::Timeline(workload) => format!("rss-{workload}.svg"),
        }
    }

    /// What the reader sees, in one line.
    pub(crate) fn about(&self) -> String {
        match self {
            Plot::TimeMemory => {
                "Time (to the right, ms) against peak memory (up, MiB), one point for each allocator: less of both is down and left"
                    .to_owned()
            }
            Plot::Means => {
                "Geometric means over the workloads: time (to the right) and peak memory (up), each relative to ralloc's".to_owned()
            }
            Plot::TimeRatios => "Time of ralloc relative to each peer: bars to the left of 1 are faster".to_owned(),
            Plot::MemoryRatios => "Peak memory of ralloc relative to each peer: bars to the left of 1 are smaller".to_owned(),
            Plot::Timeline(workload) => format!("Resident memory over time, MiB and ms: {workload}"),
        }
    }

    fn size(&self, results: &Results) -> (u32, u32) {
        let rows = compared(results).count() as u32;
        match self {
            Plot::TimeMemory => (1100, LEGEND as u32 + rows.div_ceil(PANELS as u32) * 170),
            Plot::Means => (640, 460),
            Plot::TimeRatios | Plot::MemoryRatios => {
                (760, LEGEND as u32 + 40 + rows * row_height(results))
            }
            Plot::Timeline(_) => (760, 400),
        }
    }

    fn draw(&self, results: &Results, area: &Area<'_>) -> Result<()> {
        area.fill(&WHITE).map_err(wrong)?;
        let (top, area) = area.split_vertically(LEGEND);
        legend(&top, results)?;
        match self {
            Plot::TimeMemory => time_memory(results, &area),
            Plot::Means => means(results, &area),
            Plot::TimeRatios => ratios(results, &area, TIME),
            Plot::MemoryRatios => ratios(results, &area, PEAK),
            Plot::Timeline(workload) => timeline(results, &area, workload),
        }
    }
}

/// Writes all of them.
pub(crate) fn write(folder: &Path, results: &Results) -> Result<()> {
    for plot in Plot::all(results) {
        let path = folder.join(plot.file());
        let area = SVGBackend::new(&path, plot.size(results)).into_drawing_area();
        plot.draw(results, &area)?;
        area.present().map_err(wrong)?;
    }
    Ok(())
}

fn wrong(error: impl std::fmt::Display) -> Error {
    Error::msg(error.to_string())
}

fn text(size: i32) -> TextStyle<'static> {
    (FONT, size).into_font().color(&BLACK)
}

/// The workloads whose time is compared, with their numbers.
fn compared(results: &Results) -> impl Iterator<Item = (usize, &&'static Workload)> {
    let all = results.workloads.iter().enumerate();
    all.filter(|(_, workload)| workload.compares_time())
}

fn legend(area: &Area<'_>, results: &Results) -> Result<()> {
    let mut at = 12;
    for (which, allocator) in results.allocators.iter().enumerate() {
        let dot = Circle::new((at, 14), 4, colour(which).filled());
        area.draw(&dot).map_err(wrong)?;
        area.draw_text(&allocator.name, &text(12), (at + 7, 8))
            .map_err(wrong)?;
        at += 20 + 7 * allocator.name.len() as i32;
    }
    Ok(())
}

/// A range around the values, for a logarithmic axis.
fn around(values: impl Iterator<Item = f64>, spare: f64) -> Range<f64> {
    let (least, most) = values.fold((f64::MAX, 0.0_f64), |(least, most), value| {
        (least.min(value), most.max(value))
    });
    match least <= most {
        true => least.max(1e-6) / spare..most.max(1e-6) * spare,
        false => 0.1..10.0,
    }
}

/// Three places on a logarithmic axis, as far from each other on every one: powers of ten are mostly not within.
fn marks(range: &Range<f64>) -> Vec<f64> {
    let ratio = range.end / range.start;
    [0.15, 0.5, 0.85]
        .map(|part| range.start * ratio.powf(part))
        .into()
}

/// Panels beside each other.
const PANELS: usize = 6;

fn time_memory(results: &Results, area: &Area<'_>) -> Result<()> {
    let rows = compared(results).count().div_ceil(PANELS);
    for ((number, workload), panel) in compared(results).zip(area.split_evenly((rows, PANELS))) {
        let points: Vec<_> = (0..results.allocators.len())
            .filter_map(|which| {
                let time = results.median(number, which, TIME)? * 1000.0;
                Some((which, (time, results.median(number, which, PEAK)?)))
            })
            .collect();
        scatter(&panel, workload.name, &points, 12)?;
    }
    Ok(())
}

fn means(results: &Results, area: &Area<'_>) -> Result<()> {
    let subject = results.subject();
    let mean = |which, figure| match which == subject {
        true => Some(1.0),
        false => Some(results.mean((which, subject), figure, is_pattern)?.value),
    };
    let points: Vec<_> = (0..results.allocators.len())
        .filter_map(|which| Some((which, (mean(which, TIME)?, mean(which, PEAK)?))))
        .collect();
    scatter(
        area,
        "geometric means, time and peak memory, of ralloc's",
        &points,
        14,
    )
}

fn scatter(area: &Area<'_>, title: &str, points: &[(usize, (f64, f64))], size: i32) -> Result<()> {
    let x = around(points.iter().map(|point| point.1.0), 1.2);
    let y = around(points.iter().map(|point| point.1.1), 1.2);
    let mut chart = ChartBuilder::on(area)
        .caption(title, text(size))
        .margin(4)
        .x_label_area_size(16)
        .y_label_area_size(38)
        .build_cartesian_2d(
            x.clone().log_scale().with_key_points(marks(&x)),
            y.clone().log_scale().with_key_points(marks(&y)),
        )
        .map_err(wrong)?;
    chart
        .configure_mesh()
        .disable_mesh()
        .x_labels(4)
        .y_labels(4)
        .label_style(text(10))
        .x_label_formatter(&|value| short(*value))
        .y_label_formatter(&|value| short(*value))
        .draw()
        .map_err(wrong)?;
    // The subject last: on top of what is as good.
    let dots = points.iter().rev();
    let dots = dots.map(|&(which, at)| Circle::new(at, 4, colour(which).mix(0.85).filled()));
    chart.draw_series(dots).map_err(wrong)?;
    Ok(())
}

/// With two digits that mean something, or three.
fn short(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

const BAR: u32 = 4;

fn row_height(results: &Results) -> u32 {
    results.allocators.len() as u32 * BAR + 6
}

/// A row for each workload, in it a bar for each peer, from 1 on.
fn ratios(results: &Results, area: &Area<'_>, figure: Figure) -> Result<()> {
    let subject = results.subject();
    let rows: Vec<_> = compared(results)
        .map(|(number, workload)| {
            let ratio = |peer| Some((peer, results.ratio(number, (subject, peer), figure)?));
            (
                workload.name,
                results.peers().filter_map(ratio).collect::<Vec<_>>(),
            )
        })
        .collect();
    const LEAST: f64 = 1.0 / 16.0;
    let height = (row_height(results) as usize * rows.len()) as i32;
    let (left, _) = area.split_horizontally(150);
    let mut chart = ChartBuilder::on(area)
        .margin_right(20)
        .set_label_area_size(LabelAreaPosition::Left, 150)
        .set_label_area_size(LabelAreaPosition::Bottom, 36)
        .build_cartesian_2d((LEAST..16.0).log_scale(), height..0)
        .map_err(wrong)?;
    for mark in [0.0625, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0] {
        let strength = if mark == 1.0 { 0.8 } else { 0.15 };
        let line = PathElement::new(vec![(mark, 0), (mark, height)], BLACK.mix(strength));
        chart.draw_series([line]).map_err(wrong)?;
        let label = Text::new(short_ratio(mark), (mark, height + 8), text(11));
        chart.draw_series([label]).map_err(wrong)?;
    }
    for (row, (name, bars)) in rows.iter().enumerate() {
        let top = row as i32 * row_height(results) as i32;
        let middle = top + row_height(results) as i32 / 2 - 8;
        let scale = f64::from(area.dim_in_pixel().1 - 36) / f64::from(height.max(1));
        let at = (f64::from(middle) * scale) as i32;
        left.draw_text(name, &text(12), (6, at)).map_err(wrong)?;
        for (place, &(peer, ratio)) in bars.iter().enumerate() {
            let from = top + 3 + place as i32 * BAR as i32;
            let ends = [
                (1.0, from),
                (ratio.clamp(LEAST, 16.0), from + BAR as i32 - 1),
            ];
            let bar = Rectangle::new(ends, colour(peer).filled());
            chart.draw_series([bar]).map_err(wrong)?;
        }
    }
    Ok(())
}

fn short_ratio(mark: f64) -> String {
    if mark < 1.0 {
        format!("1/{}", 1.0 / mark)
    } else {
        format!("{mark}")
    }
}

fn timeline(results: &Results, area: &Area<'_>, workload: &str) -> Result<()> {
    let lines: Vec<&Timeline> = results
        .timelines
        .iter()
        .filter(|line| line.workload == workload)
        .collect();
    let points = || lines.iter().flat_map(|line| &line.points);
    let longest = points().map(|point| point.0).max().unwrap_or(1);
    let highest = points().map(|point| point.1).max().unwrap_or(1);
    let mib = |kib: u32| f64::from(kib) / 1024.0;
    let mut chart = ChartBuilder::on(area)
        .caption(workload, text(14))
        .margin(8)
        .x_label_area_size(20)
        .y_label_area_size(48)
        .build_cartesian_2d(0..longest, 0.0..mib(highest) * 1.05)
        .map_err(wrong)?;
    chart
        .configure_mesh()
        .disable_mesh()
        .x_labels(8)
        .y_labels(6)
        .label_style(text(11))
        .draw()
        .map_err(wrong)?;
    for line in lines.iter().rev() {
        let which = results.allocator(&line.allocator).unwrap_or_default();
        let points = line.points.iter().map(|&(time, kib)| (time, mib(kib)));
        let series = LineSeries::new(points, colour(which).stroke_width(2));
        chart.draw_series(series).map_err(wrong)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::example;

    #[test]
    fn every_plot_is_drawn_from_the_data() {
        let (results, _) = example();
        let folder = std::env::temp_dir().join(format!("ralloc-plots-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        write(&folder, &results).unwrap();
        for plot in Plot::all(&results) {
            let drawn = std::fs::read_to_string(folder.join(plot.file())).unwrap();
            assert!(
                drawn.starts_with("<svg") && drawn.contains("ralloc"),
                "{}",
                plot.file()
            );
        }
        assert!(folder.join("rss-small.svg").is_file());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
