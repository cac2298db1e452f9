//! What a run found: a table for people, JSON for programs.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Latencies of one kind, recorded from many tasks, in microseconds up to two minutes.
#[derive(Debug)]
pub struct Latencies {
    histogram: Mutex<Histogram<u64>>,
}

const MICROS_MAX: u64 = 120_000_000;

/// An empty histogram of microseconds up to two minutes.
pub(crate) fn latencies_in_micros() -> Histogram<u64> {
    // The bounds are constants that the constructor takes.
    Histogram::new_with_bounds(1, MICROS_MAX, 3).expect("constant bounds")
}

impl Default for Latencies {
    fn default() -> Self {
        Self { histogram: Mutex::new(latencies_in_micros()) }
    }
}

impl Latencies {
    /// Notes one.
    pub fn record(&self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).clamp(1, MICROS_MAX);
        self.histogram.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(micros);
    }

    /// Adds those of another histogram: microseconds, and how often.
    pub fn add(&self, counts: &[(u64, u64)]) {
        let mut histogram = self.histogram.lock().unwrap_or_else(PoisonError::into_inner);
        for (micros, count) in counts {
            histogram.saturating_record_n((*micros).clamp(1, MICROS_MAX), *count);
        }
    }

    /// Adds those of another histogram of microseconds.
    ///
    /// # Errors
    /// When they are beyond two minutes.
    pub(crate) fn merge(&self, other: &Histogram<u64>) -> anyhow::Result<()> {
        let mut histogram = self.histogram.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(histogram.add(other)?)
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.histogram.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// A quantile, in milliseconds.
    pub fn quantile_ms(&self, quantile: f64) -> f64 {
        let histogram = self.histogram.lock().unwrap_or_else(PoisonError::into_inner);
        histogram.value_at_quantile(quantile) as f64 / 1000.0
    }

    fn summary(&self) -> Vec<(&'static str, f64)> {
        [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)]
            .map(|(name, quantile)| (name, self.quantile_ms(quantile)))
            .to_vec()
    }
}

/// Latencies by the second of the run in which they began.
#[derive(Debug)]
pub struct Course {
    seconds: Vec<Latencies>,
}

impl Course {
    /// Of a run of so many seconds; what begins later counts to the last.
    pub fn new(seconds: usize) -> Self {
        Self { seconds: (0..seconds.max(1)).map(|_| Latencies::default()).collect() }
    }

    /// Notes a latency that began so long after the run did.
    pub fn record(&self, began: Duration, latency: Duration) {
        let second = usize::try_from(began.as_secs()).unwrap_or(usize::MAX);
        self.seconds[second.min(self.seconds.len() - 1)].record(latency);
    }

    /// A quantile of every second, in milliseconds.
    pub fn quantiles_ms(&self, quantile: f64) -> Vec<f64> {
        self.seconds.iter().map(|second| second.quantile_ms(quantile)).collect()
    }
}

/// A growing report.
#[derive(Debug)]
pub struct Report {
    title: String,
    rows: Vec<(String, String)>,
    json: BTreeMap<String, Value>,
    failures: Vec<String>,
}

impl Report {
    /// An empty one.
    pub fn new(title: impl Into<String>) -> Self {
        let (rows, json, failures) = (Vec::new(), BTreeMap::new(), Vec::new());
        Self { title: title.into(), rows, json, failures }
    }

    /// Adds a figure: its key in JSON, and how people read it.
    pub fn add(&mut self, key: &str, label: &str, value: impl Into<Value>, shown: impl ToString) {
        self.json.insert(key.to_owned(), value.into());
        self.rows.push((label.to_owned(), shown.to_string()));
    }

    /// Adds a whole number.
    pub fn count(&mut self, key: &str, label: &str, count: u64) {
        self.add(key, label, count, count);
    }

    /// Adds a number with one decimal and its unit.
    pub fn number(&mut self, key: &str, label: &str, number: f64, unit: &str) {
        self.add(key, label, number, format!("{number:.1} {unit}"));
    }

    /// Adds bytes.
    pub fn bytes(&mut self, key: &str, label: &str, bytes: u64) {
        let shown = if bytes < 1 << 20 {
            format!("{:.1} KiB", bytes as f64 / 1024.0)
        } else {
            format!("{:.1} MiB", bytes as f64 / 1_048_576.0)
        };
        self.add(key, label, bytes, shown);
    }

    /// Adds quantiles.
    pub fn latencies(&mut self, key: &str, label: &str, latencies: &Latencies) {
        let summary = latencies.summary();
        let mut shown = String::new();
        let mut value = serde_json::Map::from_iter([("n".to_owned(), json!(latencies.count()))]);
        for (name, ms) in summary {
            // Writing to a String does not fail.
            let _infallible = write!(shown, "{name} {ms:.2}  ");
            value.insert(format!("{name}_ms"), json!(ms));
        }
        self.add(key, label, value, format!("{}ms  (n = {})", shown, latencies.count()));
    }

    /// Adds one quantile of every second, in whole milliseconds.
    pub fn course(&mut self, key: &str, label: &str, course: &Course, quantile: f64) {
        let quantiles = course.quantiles_ms(quantile);
        let shown: Vec<String> = quantiles.iter().map(|ms| format!("{ms:.0}")).collect();
        self.add(key, label, quantiles, shown.join(" "));
    }

    /// Adds what must not be: the run has failed.
    pub fn fail(&mut self, what: impl Into<String>) {
        self.failures.push(what.into());
    }

    /// Fails unless `holds`.
    pub fn require(&mut self, holds: bool, what: &str) {
        if !holds {
            self.fail(what);
        }
    }

    /// Whether nothing failed.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    /// The table.
    pub fn table(&self) -> String {
        let width = self.rows.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
        let mut text = format!("\n{}\n", self.title);
        for (label, shown) in &self.rows {
            // Writing to a String does not fail.
            let _infallible = writeln!(text, "  {label:<width$}  {shown}");
        }
        for failure in &self.failures {
            let _infallible = writeln!(text, "  FAILED: {failure}");
        }
        text
    }

    /// Writes the JSON.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_json(&self, path: &Path) -> anyhow::Result<()> {
        let whole = json!({
            "title": self.title, "passed": self.passed(),
            "failures": self.failures, "figures": self.json,
        });
        std::fs::write(path, serde_json::to_string_pretty(&whole)?)?;
        Ok(())
    }
}

/// Occurrences by name, such as answers by status code.
#[derive(Debug, Default)]
pub struct Tally {
    counts: Mutex<BTreeMap<String, u64>>,
}

impl Tally {
    /// Counts one.
    pub fn add(&self, name: impl Into<String>) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(name.into()).or_default() += 1;
    }

    /// All of them.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// As one line.
    pub fn line(&self) -> String {
        let counts = self.counts();
        let parts: Vec<String> = counts.iter().map(|(name, n)| format!("{name}: {n}")).collect();
        if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_that_failed_says_so() {
        let mut report = Report::new("t");
        report.count("n", "number", 3);
        assert!(report.passed());
        report.require(1 > 2, "one is more than two");
        assert!(!report.passed());
        assert!(report.table().contains("FAILED: one is more than two"));
    }

    #[test]
    fn a_course_keeps_seconds_apart() {
        let course = Course::new(2);
        course.record(Duration::from_millis(999), Duration::from_millis(1));
        course.record(Duration::from_secs(1), Duration::from_millis(3));
        course.record(Duration::from_secs(9), Duration::from_millis(3));
        let quantiles = course.quantiles_ms(0.99);
        assert!((quantiles[0] - 1.0).abs() < 0.1 && (quantiles[1] - 3.0).abs() < 0.1);
    }

    #[test]
    fn quantiles_are_in_milliseconds() {
        let latencies = Latencies::default();
        (1..=100).for_each(|ms| latencies.record(Duration::from_millis(ms)));
        assert!((latencies.quantile_ms(0.5) - 50.0).abs() < 0.1);
        assert_eq!(latencies.count(), 100);
    }
}
