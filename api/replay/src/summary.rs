//! The result of a replay, as a table for people and as JSON for programs.

use std::collections::BTreeMap;
use std::fmt;

use hdrhistogram::Histogram;
use serde::Serialize;

/// A distribution in short.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// Values recorded.
    pub count: u64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// Nine tenths are not above this.
    pub p90: f64,
    /// All but one percent are not above this.
    pub p99: f64,
    /// Highest value.
    pub max: f64,
}

impl Percentiles {
    /// The distribution of a histogram, in units of `unit` recorded steps.
    pub(crate) fn of(histogram: &Histogram<u64>, unit: f64) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / unit;
        Self {
            count: histogram.len(),
            mean: histogram.mean() / unit,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            max: histogram.max() as f64 / unit,
        }
    }
}

/// What a replay measured. Every figure is taken at the client's end of the wire.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ReplaySummary {
    /// What was replayed.
    pub city: String,
    /// Version and revision told by the server.
    pub server: String,
    /// Drivers that came online.
    pub drivers: u64,
    /// City seconds per real second.
    pub speed: f64,
    /// Seed of the behaviour.
    pub seed: u64,
    /// True when the replay was stopped by hand.
    pub interrupted: bool,
    /// City minutes from the first request to the end.
    pub city_minutes: f64,
    /// Real seconds from the first request to the end.
    pub real_s: f64,
    /// Rides requested.
    pub requested: u64,
    /// Rides assigned at least once.
    pub assigned: u64,
    /// Rides whose rider got in, completed or not.
    pub boarded: u64,
    /// Rides completed.
    pub completed: u64,
    /// Rides for which no driver was found, by reason.
    pub unfulfilled: BTreeMap<String, u64>,
    /// Rides cancelled, by who and why.
    pub cancelled: BTreeMap<String, u64>,
    /// Requests the server did not take, by code.
    pub refused: BTreeMap<String, u64>,
    /// Rides still open when the wind-down was over.
    pub open_at_end: u64,
    /// Assignments after the first one of a ride.
    pub reallocations: u64,
    /// Real milliseconds from just before the request is sent until the first driver is told of the
    /// ride on his socket: by an offer, or in mode `instant` by the assignment.
    pub time_to_first_offer_ms: Percentiles,
    /// Real milliseconds until the request was answered.
    pub request_ms: Percentiles,
    /// City seconds from request to first assignment.
    pub time_to_assign_s: Percentiles,
    /// City seconds from assignment to arrival at the pickup.
    pub pickup_s: Percentiles,
    /// Metres driven to the pickup.
    pub pickup_m: Percentiles,
    /// Offers per requested ride.
    pub offers_per_ride: Percentiles,
    /// Offers received by drivers.
    pub offers: u64,
    /// How offers ended, by the server's count during the replay; absent when it does not tell.
    pub offers_ended: Option<BTreeMap<String, u64>>,
    /// Riders' choices of a quote: `selected`, or why the quote was gone.
    pub choices: BTreeMap<String, u64>,
    /// Accepts sent.
    pub accepts: u64,
    /// Answers to accepts.
    pub accept_results: BTreeMap<String, u64>,
    /// Declines sent, by reason.
    pub declines: BTreeMap<String, u64>,
    /// Offers left unanswered on purpose.
    pub unanswered: u64,
    /// Offers of rides that this replay did not request.
    pub foreign_offers: u64,
    /// Position fixes sent.
    pub fixes_sent: u64,
    /// Fixes per real second while rides were requested.
    pub fixes_per_s: f64,
    /// Fixes refused by the server, by code.
    pub fixes_rejected: BTreeMap<String, u64>,
    /// Connections lost and opened again.
    pub reconnects: u64,
    /// Fixes sent more than one interval late, or not at all for that reason.
    pub fix_deadlines_missed: u64,
    /// Requests sent more than one city second late.
    pub request_deadlines_missed: u64,
    /// Errors by code.
    pub errors: BTreeMap<String, u64>,
    /// Contradictions between frames, by kind.
    pub wire_violations: BTreeMap<String, u64>,
    /// The first contradictions in words.
    pub wire_violation_examples: Vec<String>,
    /// The server's own `muster_invariant_violations_total`; absent when it does not tell.
    pub server_invariant_violations: Option<u64>,
    /// How the replay's own server failed to end cleanly.
    pub server_fault: Option<String>,
}

impl ReplaySummary {
    /// Whether nothing that must never happen was seen.
    #[must_use]
    pub fn clean(&self) -> bool {
        self.wire_violations.is_empty()
            && self.server_invariant_violations.unwrap_or(0) == 0
            && self.server_fault.is_none()
    }

    /// Rides for which no driver was found.
    #[must_use]
    pub fn unfulfilled_total(&self) -> u64 {
        self.unfulfilled.values().sum()
    }

    /// Contradictions between frames, and the server's own count of violations.
    #[must_use]
    pub fn violations_total(&self) -> u64 {
        sum(&self.wire_violations) + self.server_invariant_violations.unwrap_or(0)
    }

    /// Offers that ended this way, by the server's count.
    #[must_use]
    pub fn offers_ended(&self, how: &str) -> u64 {
        self.offers_ended.as_ref().and_then(|ended| ended.get(how)).copied().unwrap_or(0)
    }

    /// Rides that were cancelled.
    #[must_use]
    pub fn cancelled_total(&self) -> u64 {
        self.cancelled.values().sum()
    }
}

impl fmt::Display for ReplaySummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let interrupted = if self.interrupted { "  (interrupted)" } else { "" };
        writeln!(f, "{}{interrupted}", self.city)?;
        writeln!(
            f,
            "{} drivers, {} x real time, seed {}: {:.1} city minutes in {:.1} s; server {}\n",
            self.drivers, self.speed, self.seed, self.city_minutes, self.real_s, self.server
        )?;
        self.rides(f)?;
        self.times(f)?;
        self.traffic(f)?;
        self.faults(f)
    }
}

impl ReplaySummary {
    fn rides(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |part: u64| {
            let whole = self.requested.max(1) as f64;
            format!("{part:>9}  {:>5.1} %", part as f64 / whole * 100.0)
        };
        writeln!(f, "rides requested      {:>9}", self.requested)?;
        writeln!(f, "  assigned           {}", share(self.assigned))?;
        writeln!(f, "  completed          {}", share(self.completed))?;
        writeln!(
            f,
            "  unfulfilled        {}{}",
            share(self.unfulfilled_total()),
            parts(&self.unfulfilled)
        )?;
        writeln!(
            f,
            "  cancelled          {}{}",
            share(self.cancelled_total()),
            parts(&self.cancelled)
        )?;
        if !self.refused.is_empty() {
            let refused = self.refused.values().sum();
            writeln!(f, "  refused            {}{}", share(refused), parts(&self.refused))?;
        }
        writeln!(f, "  open at end        {}", share(self.open_at_end))?;
        writeln!(f, "  reallocations      {:>9}\n", self.reallocations)
    }

    fn times(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:31}{:>9}{:>9}{:>9}{:>9}", "", "p50", "p90", "p99", "max")?;
        let mut line = |name: &str, unit: &str, digits: usize, values: &Percentiles| {
            let Percentiles { p50, p90, p99, max, .. } = values;
            writeln!(
                f,
                "{name:21}{unit:10}{p50:>9.digits$}{p90:>9.digits$}{p99:>9.digits$}{max:>9.digits$}"
            )
        };
        line("time to first offer", "real ms", 2, &self.time_to_first_offer_ms)?;
        line("request answered", "real ms", 2, &self.request_ms)?;
        line("time to assign", "city s", 1, &self.time_to_assign_s)?;
        line("assigned to arrived", "city s", 0, &self.pickup_s)?;
        line("driven to pickup", "m", 0, &self.pickup_m)?;
        line("offers per ride", "", 0, &self.offers_per_ride)?;
        writeln!(f)
    }

    fn traffic(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "offers sent          {:>9}  accepted {}, left unanswered {}",
            self.offers, self.accepts, self.unanswered
        )?;
        writeln!(
            f,
            "  accepts answered   {:>9}{}",
            sum(&self.accept_results),
            parts(&self.accept_results)
        )?;
        writeln!(f, "  declined           {:>9}{}", sum(&self.declines), parts(&self.declines))?;
        writeln!(
            f,
            "position fixes       {:>9}  {:.0} per real second",
            self.fixes_sent, self.fixes_per_s
        )?;
        writeln!(
            f,
            "  refused            {:>9}{}\n",
            sum(&self.fixes_rejected),
            parts(&self.fixes_rejected)
        )
    }

    fn faults(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "missed deadlines     {:>9}  (fixes {}, requests {})",
            self.fix_deadlines_missed + self.request_deadlines_missed,
            self.fix_deadlines_missed,
            self.request_deadlines_missed
        )?;
        writeln!(f, "reconnects           {:>9}", self.reconnects)?;
        writeln!(f, "errors               {:>9}{}", sum(&self.errors), parts(&self.errors))?;
        let told = self.server_invariant_violations.map_or_else(
            || "not told by the server".to_owned(),
            |n| format!("{n} by the server's count"),
        );
        let seen = sum(&self.wire_violations);
        write!(f, "invariant violations {seen:>9}{}  ({told})", parts(&self.wire_violations))?;
        for example in &self.wire_violation_examples {
            write!(f, "\n  {example}")?;
        }
        if let Some(fault) = &self.server_fault {
            write!(f, "\n{fault}")?;
        }
        Ok(())
    }
}

fn sum(counters: &BTreeMap<String, u64>) -> u64 {
    counters.values().sum()
}

/// `  (name 3, other 1)`, most frequent first; nothing for no counters.
fn parts(counters: &BTreeMap<String, u64>) -> String {
    if counters.is_empty() {
        return String::new();
    }
    let mut sorted: Vec<_> = counters.iter().collect();
    sorted.sort_by_key(|&(name, &count)| (std::cmp::Reverse(count), name));
    let list: Vec<String> = sorted.iter().map(|(name, count)| format!("{name} {count}")).collect();
    format!("  ({})", list.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_recorded_values() {
        let mut histogram = Histogram::new(3).unwrap();
        assert_eq!(Percentiles::of(&histogram, 1.0), Percentiles::default());
        for value in 1..=1_000_u64 {
            histogram.record(value).unwrap();
        }
        let percentiles = Percentiles::of(&histogram, 1.0);
        assert_eq!(percentiles.count, 1_000);
        assert_eq!((percentiles.p50, percentiles.p90), (500.0, 900.0));
        assert_eq!((percentiles.p99, percentiles.max), (990.0, 1_000.0));
        assert!((percentiles.mean - 500.5).abs() < 0.01);
        assert_eq!(Percentiles::of(&histogram, 10.0).p50, 50.0);
    }

    #[test]
    fn the_table_shows_shares_and_reasons() {
        let counters = |pairs: &[(&str, u64)]| {
            pairs.iter().map(|&(name, count)| (name.to_owned(), count)).collect()
        };
        let summary = ReplaySummary {
            city: "Manhattan".to_owned(),
            requested: 200,
            completed: 150,
            cancelled: counters(&[("rider: patience", 30), ("rider: changed_plans", 2)]),
            wire_violations: counters(&[("ride_with_two_drivers", 1)]),
            ..ReplaySummary::default()
        };
        let table = summary.to_string();
        assert!(table.contains("completed                150   75.0 %"), "{table}");
        assert!(table.contains("(rider: patience 30, rider: changed_plans 2)"), "{table}");
        assert!(!summary.clean());
        assert!(ReplaySummary::default().clean());
        let json = serde_json::to_value(&summary).unwrap();
        assert_eq!(json["cancelled"]["rider: patience"], 30);
    }
}
