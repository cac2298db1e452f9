//! What Muster aims at: `benches/headlines.toml`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use serde::Deserialize;

use crate::number::{bound, number};
use crate::suite::{Figure, Spread, Suite};

/// One of the figures by which the project is judged.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Headline {
    /// The name of its plot, without the ending.
    pub name: String,
    /// What people read.
    pub title: String,
    /// The suite that has the figure.
    pub suite: String,
    /// The figure's path.
    pub path: String,
    /// Whose figure it is.
    #[serde(default = "muster")]
    pub contender: String,
    /// The figure's unit.
    pub unit: String,
    /// The target, where more is better.
    pub at_least: Option<f64>,
    /// The target, where less is better.
    pub at_most: Option<f64>,
    /// What it is compared with.
    pub beside: Option<Beside>,
    /// Whether the README shows its plot.
    #[serde(default)]
    pub featured: bool,
    /// What forbids a target that is missed.
    pub limit: Option<String>,
}

/// What a headline is compared with.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beside {
    /// Who.
    pub contender: String,
    /// Its path, where it is not the headline's.
    pub path: Option<String>,
    /// How many times better Muster is to be.
    pub at_least: f64,
    /// What was measured elsewhere, in the headline's unit: then no figure is looked for.
    pub value: Option<f64>,
    /// Where and how `value` was measured.
    pub source: Option<String>,
}

/// What a headline asks for in its own unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// No less than this.
    AtLeast(f64),
    /// No more than this.
    AtMost(f64),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    headline: Vec<Headline>,
}

fn muster() -> String {
    "muster".to_owned()
}

impl Headline {
    /// Reads `benches/headlines.toml` of the tree whose folder is `root`.
    ///
    /// # Errors
    /// When it cannot be read, or a headline of it asks for nothing or for two things at once.
    pub fn load_all(root: &Path) -> anyhow::Result<Vec<Self>> {
        let file = root.join("benches/headlines.toml");
        let text =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        Self::parse(&text).with_context(|| format!("{} is no list of headlines", file.display()))
    }

    pub(crate) fn parse(text: &str) -> anyhow::Result<Vec<Self>> {
        let File { headline } = toml::from_str(text)?;
        let mut names = BTreeSet::new();
        for one in &headline {
            let name = &one.name;
            ensure!(names.insert(name), "two headlines have the name {name:?}");
            let plain =
                name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
            ensure!(plain && !name.is_empty(), "the name {name:?} is to be of a-z, 0-9 and -");
            let two = one.at_least.is_some() && one.at_most.is_some();
            ensure!(!two, "headline {name:?} has both `at_least` and `at_most`");
            let asks = one.target().is_some() || one.beside.is_some();
            ensure!(asks, "headline {name:?} has neither `at_least`, `at_most` nor `beside`");
            let sourced =
                one.beside.as_ref().is_none_or(|b| b.value.is_some() == b.source.is_some());
            ensure!(sourced, "headline {name:?}: `value` and `source` go together");
        }
        Ok(headline)
    }

    /// What it asks for in its own unit.
    pub fn target(&self) -> Option<Target> {
        self.at_least.map(Target::AtLeast).or_else(|| self.at_most.map(Target::AtMost))
    }

    /// Whether it was measured and falls short of what it asks for, alone or beside the other.
    pub(crate) fn is_missed(&self, outcome: &Outcome) -> bool {
        let beside = self.beside.as_ref().map(|beside| Target::AtLeast(beside.at_least));
        let asked = [(self.target(), outcome.measured), (beside, outcome.ratio)];
        let mut asked = asked.into_iter().filter_map(|(target, measured)| target.zip(measured));
        asked.any(|(target, measured)| target.missed_by(measured.median) > 0.0)
    }

    /// What is missing, when its figure or the one beside it is in no suite.
    pub(crate) fn missing(&self, suites: &[Suite]) -> Option<String> {
        let outcome = self.outcome(suites);
        let missing = |path: &str, contender: &str| {
            let Self { name, unit, suite, .. } = self;
            format!(
                "{name} is not measured: no {path:?} of {contender} in {unit:?} in {suite}.json"
            )
        };
        match &self.beside {
            _ if outcome.measured.is_none() => Some(missing(&self.path, &self.contender)),
            Some(beside) if outcome.ratio.is_none() => {
                Some(missing(beside.path.as_ref().unwrap_or(&self.path), &beside.contender))
            }
            Some(_) | None => None,
        }
    }

    /// What the suites say about it.
    pub(crate) fn outcome(&self, suites: &[Suite]) -> Outcome {
        let suite = suites.iter().find(|suite| suite.name == self.suite);
        let own = suite.and_then(|s| s.figure(&self.path, &self.contender, &self.unit));
        let (Some(suite), Some(own)) = (suite, own) else { return Outcome::default() };
        let other = self.beside.as_ref().and_then(|beside| match beside.value {
            Some(value) => Some(Figure { values: vec![value; own.values.len()], ..own.clone() }),
            None => {
                let path = beside.path.as_ref().unwrap_or(&self.path);
                suite.figure(path, &beside.contender, &self.unit).cloned()
            }
        });
        let ratio = other.as_ref().map(|other| own.times_better(other));
        Outcome { measured: Some(own.spread()), other: other.map(|other| other.spread()), ratio }
    }
}

/// What the suites say about a headline.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Outcome {
    /// The figure itself.
    pub(crate) measured: Option<Spread>,
    /// That of the contender beside it.
    pub(crate) other: Option<Spread>,
    /// How many times better the first is.
    pub(crate) ratio: Option<Spread>,
}

impl Target {
    /// As people read it, in a headline's unit.
    pub(crate) fn told(self, unit: &str) -> String {
        match self {
            Self::AtLeast(value) => bound("≥", value, unit),
            Self::AtMost(value) => bound("≤", value, unit),
        }
    }

    /// Of the target, the part that a figure falls short by; none is left where this is not above zero.
    fn missed_by(self, measured: f64) -> f64 {
        match self {
            Self::AtLeast(value) => (value - measured) / value,
            Self::AtMost(value) => (measured - value) / value,
        }
    }

    /// Whether it is met, and how far a figure is from it otherwise.
    pub(crate) fn verdict(self, measured: f64) -> String {
        let missed_by = self.missed_by(measured);
        if missed_by <= 0.0 {
            "met".to_owned()
        } else {
            format!("**missed by {} %**", number((missed_by * 1_000.0).round() / 10.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(text: &str) -> String {
        format!("{:#}", Headline::parse(text).unwrap_err())
    }

    const ONE: &str = r#"
        [[headline]]
        name = "nearest"
        title = "Nearest"
        suite = "index"
        path = "nearest 10"
        unit = "/s"
    "#;

    #[test]
    fn a_headline_that_asks_for_nothing_or_twice_is_named() {
        assert!(error_of(ONE).contains("headline \"nearest\" has neither"));
        let both = format!("{ONE}\nat_least = 1\nat_most = 2");
        assert!(error_of(&both).contains("headline \"nearest\" has both"));
        let one = format!("{ONE}\nat_least = 1\n");
        assert!(error_of(&one.repeat(2)).contains("two headlines have the name \"nearest\""));
        let unsourced = r#"beside = { contender = "x", at_least = 2, value = 3 }"#;
        assert!(error_of(&format!("{ONE}\n{unsourced}")).contains("`value` and `source`"));
    }

    #[test]
    fn an_unknown_key_is_told_with_its_line() {
        let error = error_of(&format!("{ONE}\nat_leest = 1\n"));
        assert!(error.contains("unknown field `at_leest`") && error.contains("line"), "{error}");
    }

    #[test]
    fn a_target_tells_how_far_it_is_missed() {
        assert_eq!(Target::AtLeast(200.0).verdict(150.0), "**missed by 25 %**");
        assert_eq!(Target::AtMost(10.0).verdict(10.0), "met");
        assert_eq!(Target::AtMost(10.0).verdict(12.5), "**missed by 25 %**");
        assert_eq!(Target::AtMost(2_048.0).told("MiB"), "≤ 2,048 MiB");
        assert_eq!(Target::AtMost(10.0).told("p99 µs"), "p99 ≤ 10 µs");
    }

    #[test]
    fn a_figure_from_elsewhere_is_a_ratio_too() {
        let beside = r#"beside = { contender = "x", at_least = 2, value = 5, source = "there" }"#;
        let headline = Headline::parse(&format!("{ONE}\n{beside}")).unwrap().remove(0);
        let mut suite = Suite::new("index", "Index", "index");
        suite.add("nearest 10", "muster", "/s", crate::Better::Higher, &[10.0, 20.0, 15.0]);
        let ratio = headline.outcome(&[suite]).ratio.unwrap();
        assert_eq!((ratio.median, ratio.range), (3.0, (2.0, 4.0)));
        assert_eq!(headline.outcome(&[]), Outcome::default());
    }
}
