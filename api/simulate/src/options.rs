//! What a simulation can be told, and the checks on it.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use crate::error::SimulateError;
use crate::people::{PeopleModel, Traits, patience_s_max};
use crate::policies::SimulatedMode;
use crate::travel::Travel;

/// Drivers of one run at most.
const DRIVERS_MAX: usize = 200_000;
/// Seeds of one simulation at most.
const SEEDS_MAX: u64 = 1_000;
/// Minutes of one pass at most: a day.
const MINUTES_MAX: u32 = 1_440;
/// Times that the minutes are run before they are measured, at most.
const WARM_UP_PASSES_MAX: u32 = 24;

/// Options of `muster simulate`.
#[derive(Debug, Clone, clap::Args)]
pub struct SimulateOptions {
    /// Trips to request, CSV or CSV packed with zstd (columns in docs/simulate.md) [default: the
    /// bundled Manhattan hour].
    #[arg(long, value_name = "FILE")]
    pub trips: Option<PathBuf>,
    /// A recorded log (docs/record.md), a file or a folder, whose city is simulated: its requests,
    /// drivers and people, upon its policy.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["trips", "minutes", "trip_share",
        "warm_up", "drivers", "roads", "people", "accept", "response_s", "dwell_s", "patience_s"])]
    pub log: Option<PathBuf>,
    /// Minutes of the trips, from the first on.
    #[arg(long, default_value_t = 60)]
    pub minutes: u32,
    /// Share of the trips that is requested, above 0 to 1.
    #[arg(long, default_value_t = 1.0)]
    pub trip_share: f64,
    /// How often the minutes are run before the pass that is measured: a city is not empty when an
    /// hour begins.
    #[arg(long, default_value_t = 1)]
    pub warm_up: u32,
    /// Cars, one or more sizes of the fleet.
    #[arg(long, value_delimiter = ',', value_name = "CARS,…", default_value = "4400")]
    pub drivers: Vec<usize>,
    /// How many seeds are run, from --seed on; figures are means over them.
    #[arg(long, default_value_t = 3)]
    pub seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Modes of dispatch, each a policy of its own upon the configured one. Without a list: none.
    #[arg(long, value_enum, value_delimiter = ',', num_args = 0.., require_equals = true,
        value_name = "MODE,…", default_values_t = [SimulatedMode::Sequential, SimulatedMode::Batched])]
    pub modes: Vec<SimulatedMode>,
    /// One more policy: NAME=FILE.toml with keys of the section policy, or NAME=key=value,key=value.
    #[arg(long = "policy", value_name = "NAME=…")]
    pub policies: Vec<String>,
    /// A key of all policies.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// How people behave; the next options change single traits.
    #[arg(long, value_enum, default_value = "city")]
    pub people: PeopleModel,
    /// Share of offers that drivers accept, 0 to 1, whatever the way.
    #[arg(long, value_name = "SHARE")]
    pub accept: Option<f64>,
    /// Seconds drivers take to answer.
    #[arg(long, value_name = "S")]
    pub response_s: Option<f64>,
    /// Seconds from arrival to departure.
    #[arg(long, value_name = "S")]
    pub dwell_s: Option<f64>,
    /// Seconds riders wait for a driver: a number, or `drawn` as published (median 88 s).
    #[arg(long, value_name = "S|drawn")]
    pub patience_s: Option<String>,
    /// Driving speed of the cars.
    #[arg(long, default_value_t = 15.0)]
    pub speed_kmh: f64,
    /// Street distance over straight-line distance.
    #[arg(long, default_value_t = 1.3)]
    pub detour: f64,
    /// Streets that cars drive on and dispatch knows: a file of muster roads build, or
    /// builtin:manhattan [default: straight lines].
    #[arg(long, value_name = "FILE")]
    pub roads: Option<String>,
    /// Runs made at once [default: as many as the machine has processors].
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// Print every figure of each run as JSON, and nothing else, on standard output.
    #[arg(long)]
    pub json: bool,
    /// Write a report that any browser shows, in one file.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Show no progress.
    #[arg(long, short)]
    pub quiet: bool,
}

impl SimulateOptions {
    /// How cars drive.
    pub(crate) fn travel(&self) -> Travel {
        Travel { detour_factor: self.detour, speed_mps: self.speed_kmh / 3.6 }
    }

    /// The sizes of the fleet, each once, in the order given.
    pub(crate) fn fleets(&self) -> Vec<usize> {
        let mut fleets = Vec::new();
        for &drivers in &self.drivers {
            if !fleets.contains(&drivers) {
                fleets.push(drivers);
            }
        }
        fleets
    }

    /// How people behave.
    pub(crate) fn traits(&self) -> Result<Traits, SimulateError> {
        let model = Traits::of(self.people);
        let patience_s = match self.patience_s.as_deref() {
            None => model.patience_s,
            Some("drawn") => None,
            Some(text) => Some(text.parse().map_err(|_| {
                invalid(format!("--patience-s must be seconds or drawn, got {text}"))
            })?),
        };
        Ok(Traits {
            accept_share: self.accept.or(model.accept_share),
            response_s: self.response_s.or(model.response_s),
            dwell_s: self.dwell_s.or(model.dwell_s),
            patience_s,
            varied: model.varied,
        })
    }

    /// Refuses what cannot be simulated.
    pub(crate) fn check(&self) -> Result<(), SimulateError> {
        let within = |name: &str, value: f64, (least, most): (f64, f64)| {
            let fits = (least..=most).contains(&value);
            let detail = || invalid(format!("{name} must be {least} to {most}, got {value}"));
            if fits { Ok(()) } else { Err(detail()) }
        };
        let traits = self.traits()?;
        let seconds_max = (0.0, 3_600.0);
        within("--minutes", f64::from(self.minutes), (1.0, f64::from(MINUTES_MAX)))?;
        within("--trip-share", self.trip_share, (0.000_001, 1.0))?;
        within("--warm-up", f64::from(self.warm_up), (0.0, f64::from(WARM_UP_PASSES_MAX)))?;
        within("--seeds", self.seeds as f64, (1.0, SEEDS_MAX as f64))?;
        within("--accept", traits.accept_share.unwrap_or(1.0), (0.0, 1.0))?;
        within("--response-s", traits.response_s.unwrap_or(0.0), seconds_max)?;
        within("--dwell-s", traits.dwell_s.unwrap_or(0.0), seconds_max)?;
        within("--patience-s", traits.patience_s.unwrap_or(patience_s_max()), seconds_max)?;
        within("--speed-kmh", self.speed_kmh, (1.0, 200.0))?;
        within("--detour", self.detour, (1.0, 5.0))?;
        if self.drivers.is_empty() {
            return Err(invalid("--drivers names no fleet".to_owned()));
        }
        for drivers in &self.drivers {
            within("--drivers", *drivers as f64, (1.0, DRIVERS_MAX as f64))?;
        }
        Ok(())
    }
}

fn invalid(detail: String) -> SimulateError {
    SimulateError::Options(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        options: SimulateOptions,
    }

    fn parse(arguments: &[&str]) -> SimulateOptions {
        let arguments = ["simulate"].iter().chain(arguments);
        <Cli as clap::Parser>::try_parse_from(arguments).map(|cli| cli.options).unwrap()
    }

    #[test]
    fn without_options_an_hour_is_compared_under_two_modes() {
        let options = parse(&[]);
        assert!(options.check().is_ok());
        assert_eq!(options.modes, [SimulatedMode::Sequential, SimulatedMode::Batched]);
        assert_eq!((options.drivers, options.seeds), (vec![4_400], 3));
        assert_eq!(parse(&["--modes=nearest"]).modes, [SimulatedMode::Sequential]);
        assert!(parse(&["--modes"]).modes.is_empty());
    }

    #[test]
    fn traits_stand_over_the_model() {
        let options = parse(&["--people", "reference", "--accept", "0.7", "--patience-s", "drawn"]);
        let traits = options.traits().unwrap();
        assert_eq!((traits.accept_share, traits.patience_s), (Some(0.7), None));
        assert_eq!(traits.dwell_s, Some(60.0));
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        let error = |arguments: &[&str]| parse(arguments).check().unwrap_err().to_string();
        assert_eq!(error(&["--accept", "1.5"]), "--accept must be 0 to 1, got 1.5");
        assert!(error(&["--drivers", "100,0"]).contains("--drivers must be 1 to 200000, got 0"));
        assert!(error(&["--patience-s", "soon"]).contains("seconds or drawn, got soon"));
        assert!(error(&["--speed-kmh", "nan"]).contains("--speed-kmh"));
    }
}
