//! The kill -9 checker; see `crash --help`.

use std::process::ExitCode;

use clap::Parser;
use muster_benches::chaos::{CrashArgs, run};

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the report is what the tool is for")]
async fn main() -> anyhow::Result<ExitCode> {
    let report = run(&CrashArgs::parse(), &|line| println!("{line}")).await?;
    println!("{}", report.table());
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
