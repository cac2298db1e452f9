//! The same hour under several modes of dispatch, one after the other, side by side.
//!
//! Each run has a fresh server on the same configuration, the same seed, trips, drivers, stands and
//! model of people. Before anyone is online the market's policies are replaced, as an operator
//! would: nothing else differs.

mod table;

use std::io::Write as _;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use crate::error::ReplayError;
use crate::http::Api;
use crate::options::{City, ReplayOptions};
use crate::run::{self, Setting};
use crate::stands::Stands;
use crate::summary::ReplaySummary;

/// A column of a comparison: a mode of dispatch with what belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum ComparedMode {
    /// Waves of drivers, the first accept wins.
    Broadcast,
    /// One driver at a time.
    Sequential,
    /// The requests of a dispatch window matched together.
    Batched,
    /// Drivers name fares, the rider chooses.
    Quotes,
    /// Drivers who opted in are assigned without being asked, then waves.
    Instant,
    /// At taxi stands the drivers who wait in line, in their order; elsewhere as broadcast.
    Queue,
    /// At taxi stands a driver there enters the code that the rider shows; elsewhere as broadcast.
    Otp,
}

impl ComparedMode {
    /// The name in the table, on the command line and in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Broadcast => "broadcast",
            Self::Sequential => "sequential",
            Self::Batched => "batched",
            Self::Quotes => "quotes",
            Self::Instant => "instant",
            Self::Queue => "queue",
            Self::Otp => "otp",
        }
    }

    /// Whether it is nothing without taxi stands.
    pub(crate) fn needs_stands(self) -> bool {
        self.keys_at_stands().is_some()
    }

    /// What it sets in the whole market.
    fn keys(self) -> Value {
        match self {
            Self::Broadcast | Self::Queue | Self::Otp => json!({"mode": "broadcast"}),
            Self::Sequential => json!({"mode": "sequential"}),
            Self::Batched => json!({"mode": "batched"}),
            Self::Quotes => json!({"mode": "quotes"}),
            Self::Instant => json!({"mode": "instant"}),
        }
    }

    /// What it sets for rides that begin at a stand.
    fn keys_at_stands(self) -> Option<Value> {
        match self {
            Self::Broadcast | Self::Sequential | Self::Batched | Self::Quotes | Self::Instant => {
                None
            }
            Self::Queue => Some(json!({"mode": "queue"})),
            Self::Otp => Some(json!({"mode": "otp"})),
        }
    }

    /// The policies of a market after this mode was put into them.
    fn book(self, mut book: Value, stands: Option<&Stands>) -> Value {
        let keys = self.keys();
        for (key, value) in keys.as_object().into_iter().flatten() {
            book["policy"][key] = value.clone();
        }
        let rule = |zone: &str, set: &Value| json!({"name": format!("stand-{zone}"), "match": {"pickup_zone": zone}, "set": set});
        if let (Some(set), Some(stands)) = (self.keys_at_stands(), stands)
            && let Some(rules) = book["rules"].as_array_mut()
        {
            rules.extend(stands.zones().map(|zone| rule(zone, &set)));
        }
        book
    }

    /// Puts the mode in force, as an operator would.
    pub(crate) async fn put_in_force(
        self,
        api: &Api,
        market: &str,
        stands: Option<&Stands>,
    ) -> Result<(), String> {
        let book = self.book(api.policy(market).await?, stands);
        api.put_policy(market, &book).await
    }
}

/// One run of a comparison: what it measured, or why it could not.
#[derive(Debug, Clone, Serialize)]
pub struct ComparedRun {
    /// The column.
    pub mode: ComparedMode,
    /// What was measured; absent when the run failed.
    pub summary: Option<ReplaySummary>,
    /// Why the run failed.
    pub failure: Option<String>,
}

/// A comparison of modes. Every figure is the client's, unless it says that the server counted.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// What was replayed.
    pub city: String,
    /// City minutes in which rides were requested.
    pub minutes: u32,
    /// Drivers asked for.
    pub drivers: usize,
    /// Share of the recorded trips that were requested, 0 to 1.
    pub trip_share: f64,
    /// City seconds per real second.
    pub speed: f64,
    /// Seed of the behaviour.
    pub seed: u64,
    /// True when it was stopped by hand.
    pub interrupted: bool,
    /// The runs, in the order they were made.
    pub runs: Vec<ComparedRun>,
}

impl Comparison {
    /// Whether every run was made and saw nothing that must never happen.
    #[must_use]
    pub fn clean(&self) -> bool {
        let clean = |run: &ComparedRun| run.summary.as_ref().is_some_and(ReplaySummary::clean);
        !self.interrupted && self.runs.iter().all(clean)
    }
}

/// Replays the same city hour under each mode that `options.compare` names, all if it names none.
///
/// # Errors
/// [`ReplayError`] when the options cannot be used. A run that fails is named in the result and the
/// others go on.
pub async fn compare(options: ReplayOptions) -> Result<Comparison, ReplayError> {
    options.check()?;
    let modes = options.compared_modes();
    let stands = match options.city {
        City::Manhattan => Some(Arc::new(Stands::manhattan()?)),
        City::SanFrancisco => None,
    };
    let mut comparison = Comparison {
        city: options.city.title().to_owned(),
        minutes: options.minutes().unwrap_or(60),
        drivers: options.drivers(),
        trip_share: options.trip_share(),
        speed: options.speed(),
        seed: options.seed,
        interrupted: false,
        runs: Vec::new(),
    };
    for (made, &mode) in modes.iter().enumerate() {
        if !options.quiet {
            let (number, all, name) = (made + 1, modes.len(), mode.name());
            let _ = writeln!(std::io::stderr(), "run {number} of {all}: {name}");
        }
        let setting = Setting { stands: stands.clone(), mode: Some(mode) };
        let run = match run::run_in(&options, &setting).await {
            Ok(summary) => ComparedRun { mode, summary: Some(summary), failure: None },
            Err(error) => ComparedRun { mode, summary: None, failure: Some(error.to_string()) },
        };
        comparison.interrupted = run.summary.as_ref().is_some_and(|summary| summary.interrupted);
        comparison.runs.push(run);
        if comparison.interrupted {
            break;
        }
    }
    Ok(comparison)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn each_mode_changes_only_what_belongs_to_it() {
        let stands = Stands::manhattan().unwrap();
        let own = json!({"policy": {"mode": "broadcast", "wave_size": 5},
            "rules": [{"name": "rush", "match": {}, "set": {"wave_size": 8}}],
            "experiment": null, "utc_offset_min": -300});
        for &mode in ComparedMode::value_variants() {
            let book = mode.book(own.clone(), Some(&stands));
            assert_eq!(book["policy"]["wave_size"], 5, "{mode:?}");
            assert_eq!(
                (&book["rules"][0], &book["utc_offset_min"]),
                (&own["rules"][0], &json!(-300))
            );
            let rules = book["rules"].as_array().unwrap();
            assert_eq!(rules.len() > 1, mode.keys_at_stands().is_some(), "{mode:?}");
        }
        let queue = ComparedMode::Queue.book(own, Some(&stands));
        let rule = json!({"name": "stand-penn-station", "match": {"pickup_zone": "penn-station"},
            "set": {"mode": "queue"}});
        assert!(queue["rules"].as_array().unwrap().contains(&rule), "{queue}");
    }

    #[test]
    fn a_comparison_with_a_failed_run_is_not_clean() {
        let run = |failure: Option<&str>| ComparedRun {
            mode: ComparedMode::Broadcast,
            summary: failure.is_none().then(ReplaySummary::default),
            failure: failure.map(str::to_owned),
        };
        let comparison = |runs| Comparison {
            city: String::new(),
            minutes: 1,
            drivers: 1,
            trip_share: 1.0,
            speed: 1.0,
            seed: 1,
            interrupted: false,
            runs,
        };
        assert!(comparison(vec![run(None), run(None)]).clean());
        assert!(!comparison(vec![run(None), run(Some("no server"))]).clean());
        assert!(!Comparison { interrupted: true, ..comparison(vec![run(None)]) }.clean());
    }
}
