//! The load generator; see `load --help`.

use std::process::ExitCode;

use clap::Parser;
use muster_benches::load::{LoadArgs, run};
use muster_benches::server::interrupted;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the report is what the tool is for")]
async fn main() -> anyhow::Result<ExitCode> {
    // Interrupted, the run is dropped, and its server with it.
    let report = tokio::select! {
        report = run(LoadArgs::parse()) => report?,
        () = interrupted() => return Ok(ExitCode::FAILURE),
    };
    let Some(report) = report else { return Ok(ExitCode::SUCCESS) };
    println!("{}", report.table());
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
