//! The kill -9 checker; see `crash --help`.

use std::process::ExitCode;

use clap::Parser;
use muster_benches::chaos::{CrashArgs, run};
use muster_benches::server::interrupted;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the report is what the tool is for")]
async fn main() -> anyhow::Result<ExitCode> {
    let args = CrashArgs::parse();
    // Interrupted, the run is dropped, and its server with it.
    let report = tokio::select! {
        report = run(&args, &|line| println!("{line}")) => report?,
        () = interrupted() => return Ok(ExitCode::FAILURE),
    };
    println!("{}", report.table());
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
