//! All runs of a simulation: each policy, fleet and seed once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use muster_city::trip_file;
use muster_city::trips::{self, Trip};
use muster_engine::policy::DispatchPolicy;
use muster_engine::roads::RoadNetwork;
use serde::Serialize;

use crate::city::City;
use crate::error::SimulateError;
use crate::figures::{Estimate, FIGURES};
use crate::options::SimulateOptions;
use crate::outcome::RunOutcome;
use crate::people::{PeopleModel, Traits};
use crate::policies::{self, NamedPolicy};
use crate::progress::Progress;
use crate::recorded::LogFacts;
use crate::runs::{run_all, threads_available};
use crate::travel::StreetWays;
use crate::world::{Plan, World};

/// Milliseconds of a minute.
pub(crate) const MINUTE_MS: u64 = 60_000;

/// What the runs of one policy and fleet say together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Column {
    /// The policy.
    pub policy: String,
    /// Size of the fleet.
    pub drivers: usize,
    /// Figures by name.
    pub figures: BTreeMap<&'static str, Estimate>,
    /// Riders who were not served, by reason, in per cent of all.
    pub unserved_pct: BTreeMap<String, Estimate>,
}

/// What was simulated, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Simulation {
    /// Where the trips are from.
    pub trips: String,
    /// Minutes that are measured.
    pub minutes: u32,
    /// Passes before them.
    pub warm_up: u32,
    /// Share of the trips requested.
    pub trip_share: f64,
    /// The model of people.
    pub people: PeopleModel,
    /// Their traits; absent ones are drawn.
    pub traits: Traits,
    /// The street network that cars drive on, if they do; then speed and detour are those of places
    /// that no street is near.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roads: Option<String>,
    /// Driving speed.
    pub speed_kmh: f64,
    /// Street distance over straight-line distance.
    pub detour: f64,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// Means over the seeds, by fleet and policy.
    pub columns: Vec<Column>,
    /// Every run.
    pub runs: Vec<RunOutcome>,
    /// The recorded log that it is of, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<LogFacts>,
}

impl Simulation {
    /// Whether nothing happened that must never happen.
    #[must_use]
    pub fn clean(&self) -> bool {
        self.runs.iter().all(|run| run.violations.is_empty())
    }

    /// How cars drive.
    pub(crate) fn driving(&self) -> String {
        let speed_kmh = (self.speed_kmh * 10.0).round() / 10.0;
        match &self.roads {
            Some(roads) => format!("by the streets of {roads}"),
            None => format!("straight line x {} at {speed_kmh} km/h", self.detour),
        }
    }

    /// The runs behind a column.
    pub(crate) fn runs_of(&self, column: &Column) -> impl Iterator<Item = &RunOutcome> + Clone {
        let (policy, drivers) = (column.policy.clone(), column.drivers);
        self.runs.iter().filter(move |run| run.policy == policy && run.drivers == drivers)
    }
}

/// Runs every fleet, policy and seed that `options` name; policies stand upon `base`. Cars drive on the
/// streets of `roads`, if there are any, and dispatch knows them.
///
/// # Errors
/// [`SimulateError`] when options, policies or trips cannot be used.
pub fn simulate(
    options: &SimulateOptions,
    base: &DispatchPolicy,
    roads: Option<Arc<RoadNetwork>>,
) -> Result<Simulation, SimulateError> {
    options.check()?;
    let streets = roads.map(StreetWays::new);
    let traits = options.traits()?;
    let policies = policies::compared(base, &options.modes, &options.policies, &options.set)?;
    let seeds: Vec<u64> = (0..options.seeds).map(|n| options.seed.wrapping_add(n)).collect();
    let days = seeds.iter().map(|seed| Day::of(options, *seed)).collect::<Result<Vec<Day>, _>>()?;
    let pass_ms = u64::from(options.minutes) * MINUTE_MS;
    let passes = u64::from(options.warm_up);
    let fleets = options.fleets();
    let runs_all = seeds.len() * fleets.len() * policies.len();
    let mut plans = Vec::with_capacity(runs_all);
    for drivers in fleets {
        for NamedPolicy { name, policy } in &policies {
            for (day, &seed) in days.iter().zip(&seeds) {
                let plan = Plan {
                    city: &day.city,
                    trips: &day.trips,
                    drivers,
                    policy,
                    traits,
                    travel: options.travel(),
                    streets: streets.as_ref(),
                    seed,
                    measured_from_ms: pass_ms * passes,
                    measured_until_ms: pass_ms * (passes + 1),
                    recorded: None,
                };
                plans.push((name.as_str(), plan));
            }
        }
    }
    let runs = outcomes(&plans, pass_ms * (passes + 1), options);
    Ok(Simulation {
        trips: options.trips.as_deref().map_or_else(manhattan, file_name),
        minutes: options.minutes,
        warm_up: options.warm_up,
        trip_share: options.trip_share,
        people: options.people,
        traits,
        roads: options.roads.clone(),
        speed_kmh: options.speed_kmh,
        detour: options.detour,
        seeds,
        columns: columns(&runs),
        runs,
        log: None,
    })
}

/// What comes of every plan, in their order.
pub(crate) fn outcomes(
    plans: &[(&str, Plan<'_>)],
    run_ms: u64,
    options: &SimulateOptions,
) -> Vec<RunOutcome> {
    let progress = Progress::new(plans.len(), run_ms, options.quiet);
    let threads = options.threads.unwrap_or_else(threads_available);
    let runs = run_all(plans, threads, |(name, plan)| {
        let mut shown = progress.begin(name, plan.drivers, plan.seed);
        let ledger = World::new(plan.clone()).run(&mut |ms| shown.show(ms));
        shown.finish();
        RunOutcome::of(name, plan, &ledger)
    });
    progress.finish();
    runs
}

fn manhattan() -> String {
    "Manhattan, Mon 18 Nov 2013, 16:00".to_owned()
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// The requests of one seed with their market.
struct Day {
    city: City,
    trips: Vec<Trip>,
}

impl Day {
    fn of(options: &SimulateOptions, seed: u64) -> Result<Self, SimulateError> {
        let mut hour = match &options.trips {
            Some(path) => trip_file::read(path, seed)?,
            None => trips::manhattan(seed)?,
        };
        let pass_ms = i64::from(options.minutes) * MINUTE_MS as i64;
        hour.retain(|trip| trip.after_ms < pass_ms);
        trips::keep_share(&mut hour, options.trip_share, seed);
        if hour.is_empty() {
            return Err(SimulateError::Options("no trip is left to request".to_owned()));
        }
        let passes = (0..=i64::from(options.warm_up)).flat_map(|pass| {
            let later =
                move |trip: &Trip| Trip { after_ms: trip.after_ms + pass * pass_ms, ..*trip };
            hour.iter().map(later)
        });
        Ok(Self { city: City::of(&hour)?, trips: passes.collect() })
    }
}

/// Runs of one policy and fleet stand together.
pub(crate) fn columns(runs: &[RunOutcome]) -> Vec<Column> {
    let groups = runs.chunk_by(|a, b| (&a.policy, a.drivers) == (&b.policy, b.drivers));
    groups.map(column).collect()
}

fn column(runs: &[RunOutcome]) -> Column {
    let estimate =
        |of: &dyn Fn(&RunOutcome) -> f64| Estimate::of(&runs.iter().map(of).collect::<Vec<f64>>());
    let figure = |key: &'static str| {
        (key, estimate(&|run: &RunOutcome| run.figures.get(key).copied().unwrap_or(0.0)))
    };
    let reasons = runs.iter().flat_map(|run| run.unserved.keys().cloned());
    let share = |reason: String| {
        let pct = estimate(&|run: &RunOutcome| {
            let count = run.unserved.get(&reason).copied().unwrap_or(0);
            let requested = run.figures.get("requested").copied().unwrap_or(0.0);
            count as f64 / requested.max(1.0) * 100.0
        });
        (reason, pct)
    };
    Column {
        policy: runs.first().map_or_else(String::new, |run| run.policy.clone()),
        drivers: runs.first().map_or(0, |run| run.drivers),
        figures: FIGURES.iter().map(|f| figure(f.key)).collect(),
        unserved_pct: reasons.map(share).collect(),
    }
}
