//! A simulation as one HTML file: no script, nothing loaded from elsewhere, charts as inline SVG.

mod charts;
mod map;

use std::fmt::Write as _;
use std::path::Path;

use crate::error::SimulateError;
use crate::figures::{Estimate, FIGURES};
use crate::simulation::{Column, Simulation};

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#6b7280;--line:#d5d9df;--paper:#fff}\
@media(prefers-color-scheme:dark){:root{--ink:#e6e8eb;--soft:#9aa3af;--line:#3a414b;--paper:#15181c}}\
body{font:15px/1.45 system-ui,sans-serif;color:var(--ink);background:var(--paper);\
max-width:72rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem;margin:0}h2{font-size:1.05rem;margin:2rem 0 .4rem}p{color:var(--soft);margin:.3rem 0}\
.row{display:flex;flex-wrap:wrap;gap:1.5rem}figure{margin:0}figcaption{color:var(--soft)}\
svg text{fill:var(--ink);font:12px system-ui,sans-serif}svg .soft{fill:var(--soft)}\
svg .axis{stroke:var(--line);fill:none}svg .whisker{stroke:var(--ink)}\
.street{stroke:var(--soft);fill:none;stroke-width:.4}\
.scroll{overflow-x:auto}table{border-collapse:collapse}\
td,th{padding:.15rem .7rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}\
td:first-child,th:first-child{text-align:left}\
td.part{padding-left:1.7rem}";

/// Writes the report of a simulation to `path`.
///
/// # Errors
/// [`SimulateError::Report`] when the file cannot be written.
pub fn write_html(simulation: &Simulation, path: &Path) -> Result<(), SimulateError> {
    std::fs::write(path, report(simulation)).map_err(|error| SimulateError::Report {
        path: path.display().to_string(),
        detail: error.to_string(),
    })
}

/// The report as text.
pub(crate) fn report(simulation: &Simulation) -> String {
    let title = escaped(&simulation.trips);
    let Simulation { minutes, warm_up, seeds, .. } = simulation;
    let people = if simulation.traits.varied { "people of a replay" } else { "reference people" };
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Simulation: {title}</title>\
         <style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n\
         <p>{minutes} minutes after {warm_up} warm-up pass(es), {} seed(s), {people}, {}. Bars are means over the seeds, whiskers their 95 % confidence.</p>\n",
        seeds.len(),
        escaped(&simulation.driving())
    );
    bars_of(
        &mut page,
        simulation,
        "Service",
        &[
            ("Riders served", "served_pct", "%"),
            ("Request to pickup, mean", "total_s_mean", "s"),
            ("Wait of all riders, p90", "wait_s_p90", "s"),
            ("Wait in the worst cell, p90", "cell_wait_s_p90_max", "s"),
        ],
    );
    page.push_str("<h2>Distributions</h2>\n<div class=\"row\">\n");
    let mean = |of: fn(&crate::outcome::RunOutcome) -> &Vec<f64>| quantiles(simulation, of);
    let names: Vec<String> = simulation.columns.iter().map(heading).collect();
    page.push_str(&charts::distribution(
        "Way to the pickup, s",
        &names,
        &mean(|r| &r.pickup_eta_s),
    ));
    page.push_str(&charts::distribution("Wait of all riders, s", &names, &mean(|r| &r.wait_s)));
    page.push_str("</div>\n<h2>Drivers</h2>\n<div class=\"row\">\n");
    let parts = simulation.columns.iter().map(|column| {
        let mean = |key: &str| column.figures.get(key).map_or(0.0, |figure| figure.mean);
        (heading(column), [mean("on_trip_pct"), mean("to_pickup_pct"), mean("idle_pct")])
    });
    page.push_str(&charts::utilisation(&parts.collect::<Vec<_>>()));
    page.push_str("</div>\n");
    bars_of(
        &mut page,
        simulation,
        "Fairness and offers",
        &[
            ("Gini of earnings", "earnings_gini", ""),
            ("Gini of idle time", "idle_gini", ""),
            ("Offers per ride", "offers_per_ride", ""),
            ("Refused per ride", "refused_per_ride", ""),
        ],
    );
    page.push_str("<h2>Where riders were not served</h2>\n");
    page.push_str(&map::maps(simulation));
    page.push_str("<h2>All figures</h2>\n");
    page.push_str(&table(simulation));
    page.push_str("</body></html>\n");
    page
}

fn bars_of(page: &mut String, simulation: &Simulation, title: &str, charts: &[(&str, &str, &str)]) {
    let _ = writeln!(page, "<h2>{title}</h2>\n<div class=\"row\">");
    for (name, key, unit) in charts {
        let bars = simulation
            .columns
            .iter()
            .map(|column| (heading(column), column.figures.get(key).copied().unwrap_or_default()));
        page.push_str(&charts::bars(name, unit, &bars.collect::<Vec<(String, Estimate)>>()));
    }
    page.push_str("</div>\n");
}

/// Quantiles of each column, each the mean over its seeds.
fn quantiles(
    simulation: &Simulation,
    of: fn(&crate::outcome::RunOutcome) -> &Vec<f64>,
) -> Vec<Vec<f64>> {
    let of_column = |column: &Column| {
        let runs = simulation.runs_of(column);
        let count = runs.clone().count().max(1) as f64;
        let mean = |n: usize| runs.clone().filter_map(|run| of(run).get(n)).sum::<f64>() / count;
        (0..crate::outcome::QUANTILES).map(mean).collect()
    };
    simulation.columns.iter().map(of_column).collect()
}

fn table(simulation: &Simulation) -> String {
    let mut text = "<div class=\"scroll\"><table><thead><tr><th></th>".to_owned();
    for column in &simulation.columns {
        let _ = write!(text, "<th>{}</th>", escaped(&heading(column)));
    }
    text.push_str("</tr></thead><tbody>\n");
    for figure in &FIGURES {
        let unit =
            if figure.unit.is_empty() { String::new() } else { format!(", {}", figure.unit) };
        let label = figure.label.trim_start();
        // What belongs to the row above is set in, as in the table of the terminal.
        let part = if label.len() < figure.label.len() { " class=\"part\"" } else { "" };
        let _ = write!(text, "<tr><td{part}>{}{unit}</td>", escaped(label));
        for column in &simulation.columns {
            let Estimate { mean, ci95 } =
                column.figures.get(figure.key).copied().unwrap_or_default();
            let digits = figure.digits;
            let spread = ci95.map_or_else(String::new, |ci95| format!(" ± {ci95:.digits$}"));
            let _ = write!(text, "<td>{mean:.digits$}{spread}</td>");
        }
        text.push_str("</tr>\n");
    }
    text.push_str("</tbody></table></div>\n");
    text
}

fn heading(column: &Column) -> String {
    format!("{}, {} cars", column.policy, column.drivers)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
