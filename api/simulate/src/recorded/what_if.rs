//! `muster simulate --log`: the recorded city under the policy of that day and under others.

use std::fmt;
use std::path::Path;

use muster_engine::policy::DispatchPolicy;

use super::{LogFacts, RecordedCity};
use crate::error::SimulateError;
use crate::options::SimulateOptions;
use crate::outcome::RunOutcome;
use crate::people::{PeopleModel, Traits};
use crate::policies::{self, NamedPolicy};
use crate::simulation::{MINUTE_MS, Simulation, columns, outcomes};
use crate::world::Plan;

/// The column of what happened.
const RECORDED: &str = "recorded";
/// The column of the same policy, simulated: how far the simulation can be believed.
const SAME_POLICY: &str = "same_policy";

/// Simulates the city of the log at `path` under the policy it was served under, and under those that
/// `options` name upon it; what was recorded stands beside.
///
/// # Errors
/// [`SimulateError`] when options, policies or the log cannot be used.
pub fn simulate_log(
    options: &SimulateOptions,
    path: &Path,
    market: Option<&str>,
) -> Result<Simulation, SimulateError> {
    options.check()?;
    let recorded = RecordedCity::read(path, market)?;
    let base = recorded.policy()?;
    let policies = policies_of(options, &base)?;
    let city = recorded.city()?;
    let seeds: Vec<u64> = (0..options.seeds).map(|n| options.seed.wrapping_add(n)).collect();
    let traits = Traits::of(PeopleModel::City);
    let plan = |policy, seed| Plan {
        city: &city,
        trips: &recorded.trips,
        drivers: recorded.drivers.len(),
        policy,
        traits,
        travel: recorded.travel(options.travel()),
        streets: None,
        seed,
        measured_from_ms: 0,
        measured_until_ms: recorded.until_ms,
        recorded: Some(&recorded),
    };
    let as_it_was = plan(&base, options.seed);
    let mut runs = vec![RunOutcome::of(RECORDED, &as_it_was, &recorded.ledger(&as_it_was))];
    let mut plans = Vec::with_capacity(seeds.len() * policies.len());
    for NamedPolicy { name, policy } in &policies {
        plans.extend(seeds.iter().map(|&seed| (name.as_str(), plan(policy, seed))));
    }
    runs.extend(outcomes(&plans, recorded.until_ms, options));
    Ok(Simulation {
        trips: path.display().to_string(),
        minutes: u32::try_from(recorded.until_ms.div_ceil(MINUTE_MS)).unwrap_or(u32::MAX),
        warm_up: 0,
        trip_share: 1.0,
        people: PeopleModel::City,
        traits,
        roads: None,
        speed_kmh: as_it_was.travel.speed_mps * 3.6,
        detour: options.detour,
        seeds,
        columns: columns(&runs),
        log: Some(recorded.facts.clone()),
        runs,
    })
}

/// The policy of the log, then those that stand upon it.
fn policies_of(
    options: &SimulateOptions,
    base: &DispatchPolicy,
) -> Result<Vec<NamedPolicy>, SimulateError> {
    let mut all = vec![policies::upon(SAME_POLICY, base)?];
    if !(options.modes.is_empty() && options.policies.is_empty()) {
        let (modes, named, set) = (&options.modes, &options.policies, &options.set);
        all.extend(policies::compared(base, modes, named, set)?);
    }
    let taken = |policy: &NamedPolicy| [RECORDED, SAME_POLICY].contains(&policy.name.as_str());
    if all.iter().skip(1).any(taken) {
        let detail = format!("{RECORDED} and {SAME_POLICY} are names of columns already");
        return Err(SimulateError::Options(detail));
    }
    Ok(all)
}

impl fmt::Display for LogFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { market, files, rides, drivers, answers, .. } = self;
        writeln!(
            f,
            "market {market}: {rides} requests, {drivers} drivers, {answers} answers to offers, from \
             {files} file(s)"
        )?;
        let mut note = |count: u64, what: &str| match count {
            0 => Ok(()),
            _ => writeln!(f, "note: {count} {what}"),
        };
        note(
            self.rides_before as u64,
            "rides began before the log: their drivers begin after them",
        )?;
        note(
            self.rides_under_other_policies as u64,
            "rides were searched under another policy than the log's first",
        )?;
        note(self.files_unreadable, "file(s) could not be read and were passed over")?;
        note(self.files_cut_short, "file(s) end in the middle of something; the rest is missing")?;
        note(self.lines_damaged, "line(s) could not be read and were passed over")?;
        note(self.lines_dropped, "line(s) were dropped by the server")?;
        if self.policy_varies {
            writeln!(f, "note: the policy had rules or an experiment, which are not simulated")?;
        }
        Ok(())
    }
}
