//! The load generator; see `load --help`.

use std::process::ExitCode;

use clap::Parser;
use muster_benches::load::{LoadArgs, run};

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the report is what the tool is for")]
async fn main() -> anyhow::Result<ExitCode> {
    let report = run(LoadArgs::parse()).await?;
    println!("{}", report.table());
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
