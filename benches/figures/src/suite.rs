//! A suite of figures as a file.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use crate::documents::files_in;
use crate::machine::{Machine, revision};
use crate::page::page;

/// What one tool measured in one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// The name of the file, without its ending.
    pub name: String,
    /// What people read above the table.
    pub title: String,
    /// The command that measures it again.
    pub command: String,
    /// The day it was measured, as `2026-11-28`.
    pub date: String,
    /// The revision that was measured; `+` after it means with changes.
    pub revision: String,
    /// Where.
    pub machine: Machine,
    /// What was measured.
    pub figures: Vec<Figure>,
    /// What could not be.
    #[serde(default)]
    pub missing: Vec<Missing>,
    /// What one must know to read the figures, a sentence each.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// One quantity of one contender, measured in several rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// What is measured, for example `nearest 10 of 100,000, clustered, one writer`.
    pub path: String,
    /// Who does it; `muster`, or what is beside it.
    pub contender: String,
    /// The unit, for example `/s`, `µs`, `bytes`; `p99 µs` for a percentile.
    pub unit: String,
    /// Which direction is better.
    pub better: Better,
    /// One value a round, in the order of rounds.
    pub values: Vec<f64>,
}

/// Which direction of a quantity is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Throughput, for example.
    Higher,
    /// Latency and memory, for example.
    Lower,
}

/// A contender that was not there to be measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Missing {
    /// Who.
    pub contender: String,
    /// What is missing.
    pub why: String,
}

impl Figure {
    /// The median of the rounds; of an even number of them the mean of both in the middle. NaN
    /// without rounds.
    pub fn median(&self) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = |place: usize| sorted.get(place).copied().unwrap_or(f64::NAN);
        let upper = sorted.len() / 2;
        if sorted.len().is_multiple_of(2) {
            f64::midpoint(middle(upper.wrapping_sub(1)), middle(upper))
        } else {
            middle(upper)
        }
    }

    /// The least and the most of the rounds.
    pub fn range(&self) -> (f64, f64) {
        let least = self.values.iter().copied().fold(f64::INFINITY, f64::min);
        (least, self.values.iter().copied().fold(f64::NEG_INFINITY, f64::max))
    }

    /// The median with the least and the most of the rounds.
    pub fn spread(&self) -> Spread {
        Spread { median: self.median(), range: self.range() }
    }

    /// How many times better this is than `other`: round by round, for contenders alternate within a
    /// run; by medians where the rounds do not match.
    pub fn times_better(&self, other: &Self) -> Spread {
        let ratio = |own: f64, other: f64| match self.better {
            Better::Higher => own / other,
            Better::Lower => other / own,
        };
        let mut values: Vec<f64> =
            self.values.iter().zip(&other.values).map(|(own, other)| ratio(*own, *other)).collect();
        if self.values.len() != other.values.len() {
            values = vec![ratio(self.median(), other.median())];
        }
        Self { values, ..self.clone() }.spread()
    }
}

/// The median, the least and the most of some rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The least and the most.
    pub range: (f64, f64),
}

impl Suite {
    /// An empty suite, measured here and today.
    pub fn new(name: &str, title: &str, command: &str) -> Self {
        Self {
            name: name.to_owned(),
            title: title.to_owned(),
            command: command.to_owned(),
            date: jiff::Zoned::now().date().to_string(),
            revision: revision(),
            machine: Machine::this(),
            figures: Vec::new(),
            missing: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a figure.
    pub fn add(&mut self, path: &str, contender: &str, unit: &str, better: Better, values: &[f64]) {
        let (path, contender, unit) = (path.to_owned(), contender.to_owned(), unit.to_owned());
        self.figures.push(Figure { path, contender, unit, better, values: values.to_vec() });
    }

    /// The figure of a path, a contender and a unit.
    pub fn figure(&self, path: &str, contender: &str, unit: &str) -> Option<&Figure> {
        let is = |f: &&Figure| f.path == path && f.contender == contender && f.unit == unit;
        self.figures.iter().find(is)
    }

    /// The suite as the page that is made of it, without plots.
    pub fn markdown(&self) -> String {
        page(self, &[])
    }

    /// Where the suite `name` is kept in the tree whose folder is `root`.
    pub fn file_in(root: &Path, name: &str) -> PathBuf {
        root.join("benches/results").join(format!("{name}.json"))
    }

    /// Writes the suite to `benches/results` of the tree whose folder is `root`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, root: &Path) -> anyhow::Result<()> {
        let file = Self::file_in(root, &self.name);
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    }

    /// Reads the suite `name` from `benches/results` of the tree whose folder is `root`.
    ///
    /// # Errors
    /// When there is none, or one of another form.
    pub fn load(root: &Path, name: &str) -> anyhow::Result<Self> {
        let file = Self::file_in(root, name);
        let text =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no suite", file.display()))
    }

    /// Reads all suites of the tree whose folder is `root`, in the order of their names.
    ///
    /// # Errors
    /// When one cannot be read, or is named otherwise than its file.
    pub fn load_all(root: &Path) -> anyhow::Result<Vec<Self>> {
        let files = files_in(&root.join("benches/results"))?;
        let is_suite = |file: &PathBuf| file.extension().is_some_and(|ending| ending == "json");
        let names = files.iter().filter(|file| is_suite(file)).filter_map(|file| file.file_stem());
        names
            .map(|name| {
                let suite = Self::load(root, &name.to_string_lossy())?;
                let same = suite.name.as_str() == name;
                ensure!(same, "the suite in {} is named {:?}", name.display(), suite.name);
                Ok(suite)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_is_read_back_as_it_was_written() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("benches/results")).unwrap();
        let mut suite = Suite::new("moves", "Moves", "scripts/moves");
        suite.add("move", "muster", "/s", Better::Higher, &[3.0, 1.0, 2.0]);
        suite.missing.push(Missing { contender: "x".to_owned(), why: "not here".to_owned() });
        suite.save(root.path()).unwrap();
        assert_eq!(Suite::load(root.path(), "moves").unwrap(), suite);
        assert!(Suite::load(root.path(), "other").is_err());
    }

    #[test]
    fn a_figure_is_compared_round_by_round_in_its_own_direction() {
        let mut suite = Suite::new("s", "S", "s");
        suite.add("q", "muster", "/s", Better::Higher, &[30.0, 10.0, 20.0]);
        suite.add("q", "other", "/s", Better::Higher, &[4.0, 5.0, 6.0]);
        suite.add("q", "muster", "p99 µs", Better::Lower, &[10.0]);
        suite.add("q", "other", "p99 µs", Better::Lower, &[25.0, 20.0]);
        let figure = |who, unit| suite.figure("q", who, unit).unwrap();
        let times = figure("muster", "/s").times_better(figure("other", "/s"));
        assert_eq!((times.median, times.range), (20.0 / 6.0, (2.0, 7.5)));
        assert_eq!(figure("muster", "/s").range(), (10.0, 30.0));
        let times = figure("muster", "p99 µs").times_better(figure("other", "p99 µs"));
        assert_eq!((times.median, times.range), (2.25, (2.25, 2.25)));
    }
}
