//! `muster simulate`: the configured policy of a market and its rivals over a city hour, in virtual
//! time.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use muster_engine::policy::DispatchPolicy;
use muster_engine::roads::RoadNetwork;
use muster_simulate::Simulation;

use crate::cli::{SimulateArgs, config_file};
use crate::config::Config;
use crate::roads;

/// The market whose policy is simulated unless another is named.
const MARKET: &str = "nyc";

/// Simulates; the exit code says whether it went without violations (1), or could not begin (2).
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the command's result")]
pub fn run(args: &SimulateArgs) -> ExitCode {
    match simulated(args) {
        Ok((text, clean)) => {
            println!("{}", text.trim_end());
            if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(detail) => {
            eprintln!("simulation failed: {detail}");
            ExitCode::from(2)
        }
    }
}

fn simulated(args: &SimulateArgs) -> Result<(String, bool), String> {
    let told = |error: muster_simulate::SimulateError| error.to_string();
    let simulation = match &args.options.log {
        Some(log) => muster_simulate::simulate_log(&args.options, log, args.market.as_deref()),
        None => muster_simulate::simulate(&args.options, &policy_of(args)?, roads_of(args)?),
    };
    let simulation = simulation.map_err(told)?;
    if let Some(path) = &args.options.html {
        muster_simulate::write_html(&simulation, path).map_err(told)?;
    }
    Ok((shown(&simulation, args.options.json)?, simulation.clean()))
}

/// The streets that are named; files are looked for where the command is run.
fn roads_of(args: &SimulateArgs) -> Result<Option<Arc<RoadNetwork>>, String> {
    let Some(name) = &args.options.roads else { return Ok(None) };
    let network = roads::load(name, Path::new("")).map_err(|error| format!("--roads: {error}"))?;
    Ok(Some(Arc::new(network)))
}

/// The market's policy; its rules and experiments belong to places and times that a simulation
/// does not know.
fn policy_of(args: &SimulateArgs) -> Result<DispatchPolicy, String> {
    let file = config_file(args.config.as_ref());
    let config = Config::load(file.as_deref()).map_err(|error| error.to_string())?;
    let market = args.market.as_deref().unwrap_or(MARKET);
    let Some(section) = config.markets.get(market) else {
        let known: Vec<&str> = config.markets.keys().map(String::as_str).collect();
        return Err(format!("--market {market} is none of {}", known.join(", ")));
    };
    let mut policy = config.policy;
    policy.apply(&section.policy);
    policy.validated().map_err(|error| error.to_string())
}

/// The result for people, or for programs.
fn shown(simulation: &Simulation, json: bool) -> Result<String, String> {
    if json {
        serde_json::to_string_pretty(simulation).map_err(|error| error.to_string())
    } else {
        Ok(simulation.to_string())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn run_of(more: &[&str]) -> Result<(String, bool), String> {
        let small = ["muster", "simulate", "--drivers", "60", "--trip-share", "0.01"];
        let short = ["--minutes", "5", "--seeds", "1", "--quiet"];
        let arguments = small.iter().chain(&short).chain(more);
        let Command::Simulate(args) = Cli::try_parse_from(arguments).unwrap().command else {
            panic!("another subcommand");
        };
        simulated(&args)
    }

    #[test]
    fn the_configured_policy_is_simulated_and_told_as_json() {
        let (text, clean) = run_of(&["--json"]).unwrap();
        let told: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(clean);
        assert_eq!(told["columns"].as_array().unwrap().len(), 2);
        assert_eq!(told["columns"][1]["policy"], "batched");
        assert!(told["runs"][0]["figures"]["requested"].as_f64().unwrap() > 3.0, "{told}");
    }

    #[test]
    fn cars_drive_by_the_streets_that_are_named() {
        let (text, clean) = run_of(&["--modes=batched", "--roads", "builtin:manhattan"]).unwrap();
        assert!(clean && text.contains("by the streets of builtin:manhattan"), "{text}");
        assert_ne!(text, run_of(&["--modes=batched"]).unwrap().0);
        let missing = run_of(&["--roads", "/nowhere/city.roads"]).unwrap_err();
        assert!(
            missing.contains("--roads") && missing.contains("/nowhere/city.roads"),
            "{missing}"
        );
    }

    #[test]
    fn a_market_or_report_that_is_not_there_is_named() {
        let unknown = run_of(&["--market", "paris"]).unwrap_err();
        assert_eq!(unknown, "--market paris is none of nyc, sf");
        let folder = run_of(&["--html", "/nowhere/at/all.html"]).unwrap_err();
        assert!(folder.contains("/nowhere/at/all.html"), "{folder}");
    }
}
