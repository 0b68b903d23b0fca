//! The plot: requests per second over connections, and of each load relative to the least
//! component.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::Findings;
use crate::load::{Request, Series};
use crate::peers::Peer;
use crate::plan::Case;
use crate::stats::Spread;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Bars, from the top.
const BARS: [(Case, &str); 7] = [
    (Case::PerformAction, "perform-action"),
    (Case::AttemptAction, "attempt-action"),
    (Case::Get1k, "GET 1 KB"),
    (Case::Put1k, "PUT 1 KB"),
    (Case::Get100k, "GET 100 KB"),
    (Case::Put100k, "PUT 100 KB"),
    (Case::Mixed, "90/10 mixed"),
];

/// A colour for each peer. The colours are distinguishable with colour blindness, too (Okabe and
/// Ito).
fn colour(peer: Peer) -> RGBColor {
    match peer {
        Peer::Service => RGBColor(213, 94, 0),
        Peer::Least | Peer::Scripted => RGBColor(0, 114, 178),
        Peer::Native => RGBColor(120, 120, 120),
        Peer::Fastapi => RGBColor(0, 158, 115),
        Peer::Webdis | Peer::Etcd => RGBColor(204, 121, 167),
    }
}

/// Writes the plot to a file.
///
/// # Errors
/// If it can't be written.
pub(super) fn draw(findings: &Findings, file: &Path) -> anyhow::Result<()> {
    let root = SVGBackend::new(file, (1000, 420)).into_drawing_area();
    root.fill(&WHITE)?;
    let (left, right) = root.split_horizontally(480);
    along_connections(&left, &findings.connections)?;
    beside_the_least(&right, findings)?;
    root.present()?;
    Ok(())
}

fn along_connections(area: &Area<'_>, all: &[Series]) -> anyhow::Result<()> {
    let rate = |series: &Series| {
        let spread = Spread::of(&series.each(|it| it.per_second));
        spread.map_or(0.0, |spread| spread.median)
    };
    let top = all.iter().map(rate).fold(1.0, f64::max) * 2.0;
    let bottom = all.iter().map(rate).fold(top, f64::min) / 2.0;
    let mut chart = ChartBuilder::on(area)
        .caption("perform-action: requests/s", ("sans-serif", 16))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(50)
        .build_cartesian_2d(
            (0.9f64..300.0).log_scale(),
            (bottom.max(1.0)..top).log_scale(),
        )?;
    chart
        .configure_mesh()
        .x_desc("connections")
        .x_labels(9)
        .x_label_formatter(&|connections| format!("{connections:.0}"))
        .y_label_formatter(&|rate| format!("{rate:.0}"))
        .light_line_style(WHITE)
        .draw()?;
    for peer in Peer::ALL {
        let own = all.iter().filter(|series| series.peer == peer);
        let own = own.filter(|series| series.load.request == Request::PerformAction);
        let points: Vec<(f64, f64)> = own
            .map(|series| (f64::from(series.load.connections), rate(series)))
            .collect();
        let dots = points.iter();
        let style = colour(peer).stroke_width(2);
        chart.draw_series(dots.map(|point| Circle::new(*point, 3, colour(peer).filled())))?;
        chart
            .draw_series(LineSeries::new(points.iter().copied(), style))?
            .label(peer.to_string())
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    Ok(())
}

/// Bars of the service and of FastAPI: medians of the ratios to the least component, with the
/// spread of the service's.
fn beside_the_least(area: &Area<'_>, findings: &Findings) -> anyhow::Result<()> {
    let rows = BARS.len() as f64;
    let mut chart = ChartBuilder::on(area)
        .caption(
            "requests/s relative to the least component",
            ("sans-serif", 16),
        )
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(110)
        .build_cartesian_2d(0.0f64..1.4, -0.5f64..rows - 0.5)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(BARS.len() + 1)
        .y_label_formatter(&|row| name_of(rows - 1.0 - row).to_owned())
        .x_desc("edgelatch with its spread; below it FastAPI; the line is the least component")
        .x_label_formatter(&|ratio| format!("{ratio:.1}"))
        .light_line_style(WHITE)
        .draw()?;
    for (index, (case, _)) in BARS.iter().enumerate() {
        let base = rows - 1.0 - index as f64;
        let Some(load) = findings.load(*case) else {
            continue;
        };
        let least = load.of(Peer::Least);
        let least = least.map_or_else(Vec::new, |series| series.each(|it| it.per_second));
        for (peer, low, high) in [(Peer::Service, 0.0, 0.35), (Peer::Fastapi, -0.3, -0.05)] {
            let own = load.of(peer);
            let own = own.map_or_else(Vec::new, |series| series.each(|it| it.per_second));
            let Some(ratio) = crate::stats::ratios(&own, &least) else {
                continue;
            };
            let corners = [(0.0, base + low), (ratio.median, base + high)];
            chart.draw_series([Rectangle::new(corners, colour(peer).filled())])?;
            let middle = base + f64::midpoint(low, high);
            let whisker = vec![(ratio.low, middle), (ratio.high, middle)];
            chart.draw_series([PathElement::new(whisker, BLACK.stroke_width(1))])?;
        }
    }
    let line = vec![(1.0, -0.5), (1.0, rows - 0.5)];
    chart.draw_series([PathElement::new(line, colour(Peer::Least).stroke_width(2))])?;
    Ok(())
}

/// The name of the bar in this row, counted from the top. Empty between rows.
fn name_of(row: f64) -> &'static str {
    let whole = (row - row.round()).abs() < 1e-6;
    let bar = BARS.get(row.round() as usize).filter(|_| whole);
    bar.map_or("", |(_, name)| name)
}
