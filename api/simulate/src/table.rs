//! A simulation as a table: a column for each policy and fleet, a row for each figure.

use std::collections::BTreeSet;
use std::fmt;

use crate::figures::{Estimate, FIGURES};
use crate::simulation::{Column, Simulation};

/// Width of a row's name with its unit.
const NAME_WIDTH: usize = 34;

/// Narrowest column.
const COLUMN_WIDTH_MIN: usize = 14;

impl fmt::Display for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seeds = self.seeds.len();
        let (first, last) = (self.seeds.first().unwrap_or(&0), self.seeds.last().unwrap_or(&0));
        let share = self.trip_share * 100.0;
        writeln!(f, "{}: {} minutes, {share:.0} % of the trips", self.trips, self.minutes)?;
        if let Some(log) = &self.log {
            write!(f, "{log}")?;
        }
        writeln!(
            f,
            "{}, people as in {}, {} warm-up pass(es)",
            self.driving(),
            if self.log.is_some() {
                "the log"
            } else if self.traits.varied {
                "a replay"
            } else {
                "the reference"
            },
            self.warm_up
        )?;
        writeln!(f, "seeds {first} to {last}: mean ± 95 % confidence of {seeds} run(s) each\n")?;
        let names = self.columns.iter().map(|column| column.policy.len() + 2);
        let width = names.max().unwrap_or(0).max(COLUMN_WIDTH_MIN);
        line(f, width, "", "", self.columns.iter().map(|column| column.policy.clone()))?;
        let fleets = self.columns.iter().map(|column| format!("{} cars", column.drivers));
        line(f, width, "", "", fleets)?;
        for figure in &FIGURES {
            let cell = |column: &Column| {
                let estimate = column.figures.get(figure.key).copied().unwrap_or_default();
                shown(estimate, figure.digits)
            };
            line(f, width, figure.label, figure.unit, self.columns.iter().map(cell))?;
            if figure.key == "served_pct" {
                self.reasons(f, width)?;
            }
        }
        for run in self.runs.iter().filter(|run| !run.violations.is_empty()) {
            let (policy, drivers, seed) = (&run.policy, run.drivers, run.seed);
            writeln!(f, "\n{policy}, {drivers} cars, seed {seed}: {:?}", run.violations)?;
        }
        Ok(())
    }
}

impl Simulation {
    fn reasons(&self, f: &mut fmt::Formatter<'_>, width: usize) -> fmt::Result {
        let reasons: BTreeSet<&String> =
            self.columns.iter().flat_map(|column| column.unserved_pct.keys()).collect();
        for reason in reasons {
            let pct = |column: &Column| {
                let estimate = column.unserved_pct.get(reason).copied().unwrap_or_default();
                shown(estimate, 1)
            };
            line(f, width, &format!("  not: {reason}"), "%", self.columns.iter().map(pct))?;
        }
        Ok(())
    }
}

fn shown(Estimate { mean, ci95 }: Estimate, digits: usize) -> String {
    match ci95 {
        Some(ci95) if ci95 > 0.0 => format!("{mean:.digits$} ±{ci95:.digits$}"),
        Some(_) | None => format!("{mean:.digits$}"),
    }
}

fn line(
    f: &mut fmt::Formatter<'_>,
    width: usize,
    name: &str,
    unit: &str,
    cells: impl Iterator<Item = String>,
) -> fmt::Result {
    let gap = NAME_WIDTH.saturating_sub(name.len());
    let cells: String = cells.map(|cell| format!("{cell:>width$}")).collect();
    writeln!(f, "{}", format!("{name}{unit:>gap$}{cells}").trim_end())
}
