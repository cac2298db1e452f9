//! What a replay can be told, and the checks on it.

use std::path::PathBuf;

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

    /// The name shown to people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Manhattan => "Manhattan, Mon 18 Nov 2013, 16:00",
            Self::SanFrancisco => "San Francisco, June 2008",
        }
    }
}

/// Options of `muster replay`.
#[derive(Debug, Clone, clap::Args)]
pub struct ReplayOptions {
    /// City to replay.
    #[arg(long, value_enum, default_value_t)]
    pub city: City,
    /// HTTP base of a running server; without it a private one is started for the replay.
    #[arg(long)]
    pub url: Option<String>,
    /// Drivers on the road, each with a socket of its own (San Francisco: at most the cabs seen).
    #[arg(long, default_value_t = 4_400)]
    pub drivers: usize,
    /// City seconds per real second, 1 to 60; the server's `clock.speed` must be the same.
    #[arg(long, default_value_t = 20.0)]
    pub speed: f64,
    /// Seed of every drawn decision.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Replay only the first minutes of the hour.
    #[arg(long)]
    pub minutes: Option<u32>,
    /// City minutes to wait for open rides after the last request.
    #[arg(long, default_value_t = 20)]
    pub wind_down_minutes: u32,
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

impl Default for ReplayOptions {
    fn default() -> Self {
        Self {
            city: City::default(),
            url: None,
            drivers: 4_400,
            speed: 20.0,
            seed: 1,
            minutes: None,
            wind_down_minutes: 20,
            data: None,
            start: None,
            binary: false,
            follow_trips: false,
            server_config: None,
            json: false,
            quiet: false,
        }
    }
}

/// Drivers one process may be asked for.
const DRIVERS_MAX: usize = 100_000;

impl ReplayOptions {
    /// Refuses what cannot be replayed, before anything is started.
    pub(crate) fn check(&self) -> Result<(), ReplayError> {
        if !(1.0..=60.0).contains(&self.speed) {
            return Err(invalid(format!("--speed must be 1 to 60, got {}", self.speed)));
        }
        if self.drivers == 0 || self.drivers > DRIVERS_MAX {
            return Err(invalid(format!(
                "--drivers must be 1 to {DRIVERS_MAX}, got {}",
                self.drivers
            )));
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
    fn defaults_on_the_command_line_are_the_defaults_in_code() {
        assert_eq!(format!("{:?}", parse(&[])), format!("{:?}", ReplayOptions::default()));
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
            ["--url", "https://example.org"],
        ] {
            assert!(parse(&wrong).check().is_err(), "{wrong:?}");
        }
    }
}
