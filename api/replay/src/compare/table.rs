//! A comparison as a table: a column for each run, a row for each figure.

use std::fmt;

use super::{ComparedRun, Comparison};
use crate::summary::ReplaySummary;

/// Width of a row's name with its unit.
const NAME_WIDTH: usize = 32;
/// Width of a column.
const COLUMN_WIDTH: usize = 11;

/// A row: what it is called, its unit, and the figure of a run.
type Row = (&'static str, &'static str, fn(&ReplaySummary) -> String);

const ROWS: [Row; 21] = [
    ("rides requested", "", |run| run.requested.to_string()),
    ("  served", "%", |run| share(run.boarded, run.requested)),
    ("  unfulfilled", "%", |run| share(run.unfulfilled_total(), run.requested)),
    ("  cancelled", "%", |run| share(run.cancelled_total(), run.requested)),
    ("  reallocations", "", |run| run.reallocations.to_string()),
    ("first driver told, p50", "real ms", |run| digits(run.time_to_first_offer_ms.p50, 1)),
    ("                   p99", "real ms", |run| digits(run.time_to_first_offer_ms.p99, 1)),
    ("time to assign, p50", "city s", |run| digits(run.time_to_assign_s.p50, 1)),
    ("                p99", "city s", |run| digits(run.time_to_assign_s.p99, 1)),
    ("assigned to arrived, p50", "city s", |run| digits(run.pickup_s.p50, 0)),
    ("                     p90", "city s", |run| digits(run.pickup_s.p90, 0)),
    ("driven to pickup, p50", "m", |run| digits(run.pickup_m.p50, 0)),
    ("                  p90", "m", |run| digits(run.pickup_m.p90, 0)),
    ("offers sent", "", |run| run.offers.to_string()),
    ("  per ride, mean", "", |run| digits(run.offers_per_ride.mean, 2)),
    ("  declined", "", |run| run.declines.values().sum::<u64>().to_string()),
    ("  expired", "", |run| run.offers_ended("expired").to_string()),
    ("  withdrawn", "", |run| run.offers_ended("withdrawn").to_string()),
    ("missed deadlines", "", |run| {
        (run.fix_deadlines_missed + run.request_deadlines_missed).to_string()
    }),
    ("errors", "", |run| run.errors.values().sum::<u64>().to_string()),
    ("invariant violations", "", |run| run.violations_total().to_string()),
];

/// A failed run has no figures.
const NO_FIGURE: &str = "-";

fn share(part: u64, whole: u64) -> String {
    digits(part as f64 / whole.max(1) as f64 * 100.0, 1)
}

fn digits(value: f64, digits: usize) -> String {
    format!("{value:.digits$}")
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { city, minutes, drivers, speed, seed, .. } = self;
        let interrupted = if self.interrupted { "  (interrupted)" } else { "" };
        writeln!(f, "{city}, {minutes} minutes, once per mode{interrupted}")?;
        let server = self.runs.iter().find_map(|run| Some(&run.summary.as_ref()?.server));
        let server = server.map_or("none", String::as_str);
        let trips = self.trip_share * 100.0;
        writeln!(
            f,
            "{drivers} drivers, {trips:.0} % of the trips, {speed} x real time, seed {seed}; \
             server {server}\n"
        )?;
        let heads = self.runs.iter().map(|run| run.mode.name().to_owned());
        line(f, "", "", heads)?;
        for (name, unit, figure) in ROWS {
            let of = |run: &ComparedRun| run.summary.as_ref().map(figure);
            let figures = self.runs.iter().map(|run| of(run).unwrap_or(NO_FIGURE.to_owned()));
            line(f, name, unit, figures)?;
        }
        for run in &self.runs {
            faults(f, run)?;
        }
        Ok(())
    }
}

fn line(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    unit: &str,
    cells: impl Iterator<Item = String>,
) -> fmt::Result {
    let gap = NAME_WIDTH.saturating_sub(name.len());
    let cells: String = cells.map(|cell| format!("{cell:>COLUMN_WIDTH$}")).collect();
    writeln!(f, "{}", format!("{name}{unit:>gap$}{cells}").trim_end())
}

/// What went wrong in a run, in words.
fn faults(f: &mut fmt::Formatter<'_>, run: &ComparedRun) -> fmt::Result {
    let name = run.mode.name();
    if let Some(failure) = &run.failure {
        writeln!(f, "\n{name} failed: {failure}")?;
    }
    let Some(summary) = &run.summary else { return Ok(()) };
    if let Some(fault) = &summary.server_fault {
        writeln!(f, "\n{name}: {fault}")?;
    }
    for example in &summary.wire_violation_examples {
        writeln!(f, "\n{name}: {example}")?;
    }
    for (code, times) in &summary.errors {
        writeln!(f, "\n{name}: {times} x error {code}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::ComparedMode;
    use crate::summary::Percentiles;

    fn comparison() -> Comparison {
        let counted = |name: &str, count| [(name.to_owned(), count)].into();
        let summary = ReplaySummary {
            server: "0.1.0".to_owned(),
            requested: 200,
            boarded: 150,
            cancelled: counted("rider: patience", 30),
            time_to_assign_s: Percentiles { p50: 3.24, p99: 12.0, ..Percentiles::default() },
            offers: 600,
            offers_ended: Some(counted("withdrawn", 340)),
            wire_violations: counted("ride_with_two_drivers", 1),
            wire_violation_examples: vec!["ride_with_two_drivers: ride 7".to_owned()],
            server_invariant_violations: Some(2),
            ..ReplaySummary::default()
        };
        let run = |mode, summary, failure: Option<&str>| ComparedRun {
            mode,
            summary,
            failure: failure.map(str::to_owned),
        };
        Comparison {
            city: "Manhattan".to_owned(),
            minutes: 15,
            drivers: 1_100,
            trip_share: 0.25,
            speed: 30.0,
            seed: 1,
            interrupted: false,
            runs: vec![
                run(ComparedMode::Broadcast, Some(summary), None),
                run(ComparedMode::Quotes, None, Some("no server")),
            ],
        }
    }

    #[test]
    fn each_run_is_a_column_and_a_failed_one_is_named() {
        let table = comparison().to_string();
        let row = |name: &str| {
            let found = table.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
            found.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert!(table.contains("1100 drivers, 25 % of the trips, 30 x real time, seed 1"));
        assert_eq!(row("broadcast"), ["broadcast", "quotes"]);
        assert_eq!(row("served"), ["served", "%", "75.0", "-"]);
        assert_eq!(row("cancelled"), ["cancelled", "%", "15.0", "-"]);
        assert_eq!(
            row("time to assign"),
            ["time", "to", "assign,", "p50", "city", "s", "3.2", "-"]
        );
        assert_eq!(row("withdrawn"), ["withdrawn", "340", "-"]);
        assert_eq!(row("invariant"), ["invariant", "violations", "3", "-"]);
        assert!(table.contains("\nquotes failed: no server\n"), "{table}");
        assert!(table.contains("\nbroadcast: ride_with_two_drivers: ride 7\n"), "{table}");
        let ends: Vec<usize> = table.lines().skip(3).take(22).map(str::len).collect();
        assert!(ends.iter().all(|end| *end == NAME_WIDTH + 2 * COLUMN_WIDTH), "{ends:?}\n{table}");
    }

    #[test]
    fn the_same_is_told_as_json() {
        let told = serde_json::to_value(comparison()).unwrap();
        assert_eq!(told["runs"][0]["mode"], "broadcast");
        assert_eq!(told["runs"][0]["summary"]["boarded"], 150);
        assert_eq!(told["runs"][1]["failure"], "no server");
    }
}
