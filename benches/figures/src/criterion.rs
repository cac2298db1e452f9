//! What criterion measured, as a suite.
//!
//! A group's benchmark becomes a figure: its path is `group: function, value`; a function that ends
//! with a name in parentheses is another contender's. Its values are the least, the middle and the most
//! of the 95 % confidence interval of the median, as time or, where a benchmark tells its throughput,
//! per second.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde::Deserialize;

use crate::documents::files_in;
use crate::suite::{Better, Figure, Suite};

/// The unit that times are told in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum TimeUnit {
    /// Nanoseconds.
    Ns,
    /// Microseconds.
    Us,
    /// Milliseconds.
    Ms,
}

/// What a benchmark is called and how much of its work a call does.
#[derive(Deserialize)]
struct Benchmark {
    group_id: String,
    function_id: Option<String>,
    value_str: Option<String>,
    throughput: Option<Throughput>,
}

/// Criterion's kinds of throughput that mean a count.
#[derive(Deserialize)]
enum Throughput {
    Elements(u64),
    Bytes(u64),
}

#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    confidence_interval: Interval,
    point_estimate: f64,
}

#[derive(Deserialize)]
struct Interval {
    lower_bound: f64,
    upper_bound: f64,
}

impl TimeUnit {
    const fn name(self) -> &'static str {
        match self {
            Self::Ns => "ns",
            Self::Us => "µs",
            Self::Ms => "ms",
        }
    }

    const fn in_ns(self) -> f64 {
        match self {
            Self::Ns => 1.0,
            Self::Us => 1e3,
            Self::Ms => 1e6,
        }
    }
}

/// Puts the newest results of `groups` below `folder` into a suite, in place of what it had of them.
///
/// # Errors
/// When a group has no results, or one cannot be read.
pub fn import_criterion(
    suite: &mut Suite,
    folder: &Path,
    groups: &[String],
    unit: TimeUnit,
) -> anyhow::Result<()> {
    let mut found = Vec::new();
    results_below(folder, &mut found)?;
    for group in groups {
        let before = suite.figures.len();
        suite.figures.retain(|figure| !figure.path.starts_with(&format!("{group}: ")));
        let kept = suite.figures.len();
        for result in &found {
            let benchmark: Benchmark = read(&result.join("benchmark.json"))?;
            if benchmark.group_id == *group {
                let estimates: Estimates = read(&result.join("estimates.json"))?;
                suite.figures.push(figure(benchmark, &estimates.median, unit));
            }
        }
        let none = suite.figures.len() == kept;
        ensure!(!none, "no results of {group:?} below {}, {before} figures kept", folder.display());
    }
    Ok(())
}

/// Folders named `new` with a result in them, in the order of their paths.
fn results_below(folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in files_in(folder)? {
        let is_result = entry.file_name().is_some_and(|name| name == "new");
        if is_result && entry.join("benchmark.json").is_file() {
            found.push(entry);
        } else if entry.is_dir() {
            results_below(&entry, found)?;
        }
    }
    Ok(())
}

fn read<T: serde::de::DeserializeOwned>(file: &Path) -> anyhow::Result<T> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not criterion's", file.display()))
}

fn figure(benchmark: Benchmark, median: &Estimate, unit: TimeUnit) -> Figure {
    let Benchmark { group_id, function_id, value_str, throughput } = benchmark;
    let function = function_id.unwrap_or_default();
    let (function, contender) = match function.strip_suffix(')').and_then(|f| f.rsplit_once(" (")) {
        Some((function, contender)) => (function.to_owned(), contender.to_owned()),
        None => (function, "muster".to_owned()),
    };
    let parts = [Some(function), value_str].into_iter().flatten().filter(|part| !part.is_empty());
    let path = format!("{group_id}: {}", parts.collect::<Vec<_>>().join(", "));
    let interval = &median.confidence_interval;
    let ns = [interval.lower_bound, median.point_estimate, interval.upper_bound];
    let times = |count: u64| ns.map(|ns| count as f64 * 1e9 / ns).to_vec();
    let (unit, better, values) = match throughput {
        Some(Throughput::Elements(count)) => ("/s", Better::Higher, times(count)),
        Some(Throughput::Bytes(count)) => ("bytes/s", Better::Higher, times(count)),
        None => (unit.name(), Better::Lower, ns.map(|ns| ns / unit.in_ns()).to_vec()),
    };
    Figure { path, contender, unit: unit.to_owned(), better, values }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ESTIMATES: &str = r#"{"mean":{},"median":{"confidence_interval":
        {"confidence_level":0.95,"lower_bound":1000.0,"upper_bound":4000.0},
        "point_estimate":2000.0,"standard_error":1.0}}"#;

    fn put(root: &Path, name: &str, benchmark: &str) {
        let folder = root.join(name).join("new");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("benchmark.json"), benchmark).unwrap();
        fs::write(folder.join("estimates.json"), ESTIMATES).unwrap();
    }

    #[test]
    fn benchmarks_become_figures_with_their_contender() {
        let root = tempfile::tempdir().unwrap();
        put(
            root.path(),
            "hop/send",
            r#"{"group_id":"hop","function_id":"send","value_str":null,"throughput":null}"#,
        );
        put(
            root.path(),
            "hop/send_bare",
            r#"{"group_id":"hop","function_id":"send (bare actix)","value_str":"64","throughput":{"Elements":10}}"#,
        );
        put(root.path(), "other/x", r#"{"group_id":"other","function_id":"x"}"#);
        let mut suite = Suite::new("actors", "Actors", "cargo bench");
        let groups = ["hop".to_owned()];
        for _twice in 0..2 {
            import_criterion(&mut suite, root.path(), &groups, TimeUnit::Us).unwrap();
        }
        assert_eq!(suite.figures.len(), 2);
        let own = suite.figure("hop: send", "muster", "µs").unwrap();
        assert_eq!(own.values, [1.0, 2.0, 4.0]);
        let bare = suite.figure("hop: send, 64", "bare actix", "/s").unwrap();
        assert_eq!((bare.median(), bare.range()), (5e6, (2.5e6, 1e7)));
        let error = import_criterion(&mut suite, root.path(), &["gone".to_owned()], TimeUnit::Us);
        assert!(error.unwrap_err().to_string().contains("no results of \"gone\""));
    }
}
