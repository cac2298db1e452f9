//! What a replay can be told, and the checks on it.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::compare::ComparedMode;
use crate::error::ReplayError;

/// The city that is replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum City {
    /// Manhattan, Monday 18 November 2013, 16:00 to 17:00: every taxi trip, simulated drivers.
    #[default]
    Manhattan,
    /// San Francisco, June 2008: one fleet's own noisy GPS traces and trips.
    SanFrancisco,
}

impl City {
    /// The market in which the city's rides and drivers live.
    pub(crate) fn market(self) -> &'static str {
        match self {
            Self::Manhattan => "nyc",
            Self::SanFrancisco => "sf",
        }
    }

    /// Whether its drivers can wait at taxi stands; recorded cabs go where they went.
    pub(crate) fn has_stands(self) -> bool {
        self == Self::Manhattan
    }

    /// The name shown to people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Manhattan => "Manhattan, Mon 18 Nov 2013, 16:00",
            Self::SanFrancisco => "San Francisco, June 2008",
        }
    }
}

/// Options of `muster replay`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ReplayOptions {
    /// City to replay.
    #[arg(long, value_enum, default_value_t)]
    pub city: City,
    /// HTTP base of a running server; without it a private one is started for the replay.
    #[arg(long)]
    pub url: Option<String>,
    /// Replay the same minutes once per mode, each on a fresh server, and print them side by side;
    /// without a list under all of them. A smaller city by default: see the other defaults.
    #[arg(long, value_enum, value_name = "MODE,…", value_delimiter = ',', num_args = 0..,
        require_equals = true, conflicts_with = "url")]
    pub compare: Option<Vec<ComparedMode>>,
    /// Drivers on the road, each with a socket of its own (San Francisco: at most the cabs seen)
    /// [default: 4400; with --compare 1100].
    #[arg(long)]
    pub drivers: Option<usize>,
    /// Share of the recorded trips that is requested, above 0 to 1 [default: 1; with --compare the
    /// share of 4400 drivers that are on the road].
    #[arg(long)]
    pub trip_share: Option<f64>,
    /// City seconds per real second, 1 to 60; the server's `clock.speed` must be the same
    /// [default: 20; with --compare 30].
    #[arg(long)]
    pub speed: Option<f64>,
    /// Seed of every drawn decision.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Replay only the first minutes of the hour [default: all; with --compare 15].
    #[arg(long)]
    pub minutes: Option<u32>,
    /// City minutes to wait for open rides after the last request [default: 20; with --compare 15].
    #[arg(long)]
    pub wind_down_minutes: Option<u32>,
    /// Folder with the San Francisco files, which are not part of the program.
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// San Francisco: first second of the window, unix time [default: Fri 6 Jun 2008 23:00 PDT].
    #[arg(long)]
    pub start: Option<i64>,
    /// Send position fixes as binary frames (`muster.bin.v1`).
    #[arg(long)]
    pub binary: bool,
    /// Keep each rider's event stream open until the ride ends, not only until boarding.
    #[arg(long)]
    pub follow_trips: bool,
    /// Configuration file for the private server; without it the built-in defaults apply.
    #[arg(long, conflicts_with = "url")]
    pub server_config: Option<PathBuf>,
    /// Print the summary as JSON, and nothing else, on standard output.
    #[arg(long)]
    pub json: bool,
    /// Show no progress.
    #[arg(long, short)]
    pub quiet: bool,
}

/// Drivers one process may be asked for.
const DRIVERS_MAX: usize = 100_000;

/// The fleet that goes with all trips of the Manhattan hour.
const DRIVERS_OF_THE_HOUR: usize = 4_400;
/// City minutes of a comparison.
const MINUTES_COMPARED: u32 = 15;

impl ReplayOptions {
    fn smaller<T>(&self, given: Option<T>, compared: T, alone: T) -> T {
        given.unwrap_or(if self.compare.is_some() { compared } else { alone })
    }

    /// Drivers on the road.
    pub(crate) fn drivers(&self) -> usize {
        self.smaller(self.drivers, 1_100, DRIVERS_OF_THE_HOUR)
    }

    /// City seconds per real second.
    pub(crate) fn speed(&self) -> f64 {
        self.smaller(self.speed, 30.0, 20.0)
    }

    /// City minutes in which rides are requested; absent: all there are.
    pub(crate) fn minutes(&self) -> Option<u32> {
        self.minutes.or(self.smaller(None, Some(MINUTES_COMPARED), None))
    }

    /// City minutes to wait for open rides.
    pub(crate) fn wind_down_minutes(&self) -> u32 {
        self.smaller(self.wind_down_minutes, 15, 20)
    }

    /// Share of the recorded trips that is requested.
    pub(crate) fn trip_share(&self) -> f64 {
        let fleet_share = self.drivers() as f64 / DRIVERS_OF_THE_HOUR as f64;
        self.smaller(self.trip_share, fleet_share.min(1.0), 1.0)
    }

    /// The modes to compare, each once, in the order given.
    pub(crate) fn compared_modes(&self) -> Vec<ComparedMode> {
        let mut modes = Vec::new();
        for &mode in self.compare.as_deref().unwrap_or_default() {
            if !modes.contains(&mode) {
                modes.push(mode);
            }
        }
        if modes.is_empty() {
            let all = ComparedMode::value_variants().iter().copied();
            let possible = |mode: &ComparedMode| !mode.needs_stands() || self.city.has_stands();
            modes = all.filter(possible).collect();
        }
        modes
    }

    /// Refuses what cannot be replayed, before anything is started.
    pub(crate) fn check(&self) -> Result<(), ReplayError> {
        if !(1.0..=60.0).contains(&self.speed()) {
            return Err(invalid(format!("--speed must be 1 to 60, got {}", self.speed())));
        }
        if self.drivers() == 0 || self.drivers() > DRIVERS_MAX {
            return Err(invalid(format!(
                "--drivers must be 1 to {DRIVERS_MAX}, got {}",
                self.drivers()
            )));
        }
        if !(self.trip_share() > 0.0 && self.trip_share() <= 1.0) {
            let share = self.trip_share();
            return Err(invalid(format!(
                "--trip-share must be above 0 and at most 1, got {share}"
            )));
        }
        let mut named = self.compare.iter().flatten();
        if let Some(mode) = named.find(|mode| mode.needs_stands() && !self.city.has_stands()) {
            let name = mode.name();
            let detail = format!("--compare={name} needs taxi stands, which only Manhattan has");
            return Err(invalid(detail));
        }
        if self.minutes == Some(0) {
            return Err(invalid("--minutes must be at least 1".to_owned()));
        }
        if let Some(url) = &self.url
            && !url.starts_with("http://")
        {
            return Err(invalid(format!("--url must start with http://, got {url}")));
        }
        Ok(())
    }
}

fn invalid(detail: String) -> ReplayError {
    ReplayError::Options(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        options: ReplayOptions,
    }

    fn parse(arguments: &[&str]) -> ReplayOptions {
        let words = std::iter::once("replay").chain(arguments.iter().copied());
        <Cli as clap::Parser>::try_parse_from(words).unwrap().options
    }

    #[test]
    fn a_comparison_is_smaller_unless_told_otherwise() {
        let alone = parse(&[]);
        assert_eq!((alone.drivers(), alone.speed(), alone.trip_share()), (4_400, 20.0, 1.0));
        assert_eq!((alone.minutes(), alone.wind_down_minutes()), (None, 20));
        let compared = parse(&["--compare"]);
        assert_eq!(
            (compared.drivers(), compared.speed(), compared.trip_share()),
            (1_100, 30.0, 0.25)
        );
        assert_eq!((compared.minutes(), compared.wind_down_minutes()), (Some(15), 15));
        assert_eq!(compared.compared_modes(), ComparedMode::value_variants());
        let whole = parse(&["--compare", "--drivers", "8800", "--minutes", "60"]);
        assert_eq!((whole.minutes(), whole.trip_share()), (Some(60), 1.0));
    }

    #[test]
    fn a_comparison_names_its_modes_once_each() {
        let named = parse(&["--compare=queue,broadcast,queue"]);
        assert_eq!(named.compared_modes(), [ComparedMode::Queue, ComparedMode::Broadcast]);
        let sf = ["--city", "san-francisco", "--compare"];
        assert!(!parse(&sf).compared_modes().contains(&ComparedMode::Queue));
        assert!(parse(&sf).check().is_ok());
        let refused = parse(&["--city", "san-francisco", "--compare=queue"]).check();
        assert!(refused.unwrap_err().to_string().contains("--compare=queue needs taxi stands"));
    }

    #[test]
    fn a_comparison_has_servers_of_its_own() {
        let words = ["replay", "--compare", "--url", "http://127.0.0.1:9996"];
        let refused = <Cli as clap::Parser>::try_parse_from(words).err().unwrap();
        assert!(refused.to_string().contains("cannot be used with"), "{refused}");
    }

    #[test]
    fn options_are_refused_before_anything_starts() {
        assert!(parse(&["--city", "san-francisco", "--speed", "60"]).check().is_ok());
        for wrong in [
            ["--speed", "0.5"],
            ["--speed", "61"],
            ["--speed", "nan"],
            ["--drivers", "0"],
            ["--minutes", "0"],
            ["--trip-share", "0"],
            ["--trip-share", "1.5"],
            ["--trip-share", "nan"],
            ["--url", "https://example.org"],
        ] {
            assert!(parse(&wrong).check().is_err(), "{wrong:?}");
        }
    }
}
