//! `muster explain RIDE`: asks a running server why a ride was offered to whom.

mod render;

use std::process::ExitCode;
use std::time::Duration;

use muster_engine::id::RideId;
use serde_json::Value;

use crate::cli::ExplainArgs;
use crate::explain::render::{Explanation, render};

/// How long the server may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Exit code of bad arguments.
const EXIT_ARGUMENTS: u8 = 2;

/// Prints the explanation.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the command's result")]
pub fn run(args: &ExplainArgs) -> ExitCode {
    let ride = match RideId::new(&args.ride) {
        Ok(ride) => ride,
        Err(error) => {
            eprintln!("muster explain: {} is no ride id: {error}", args.ride);
            return ExitCode::from(EXIT_ARGUMENTS);
        }
    };
    let explained = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime could not start: {error}"))
        .and_then(|runtime| runtime.block_on(ask(&args.url, &ride)));
    match explained {
        Ok(explanation) => {
            print!("{}", render(&explanation));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("muster explain: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn ask(server: &str, ride: &RideId) -> Result<Explanation, String> {
    let url = format!("{}/v1/rides/{ride}/explain", server.trim_end_matches('/'));
    let failed = |error: reqwest::Error| format!("{url}: {error}");
    let client = reqwest::Client::builder().no_proxy().timeout(ANSWER_WITHIN).build();
    let answer = client.map_err(failed)?.get(&url).send().await.map_err(failed)?;
    let status = answer.status();
    if status.is_success() {
        return answer.json().await.map_err(failed);
    }
    let problem: Value = answer.json().await.unwrap_or_default();
    let detail = problem["detail"].as_str().unwrap_or("no reason is told");
    Err(format!("{url}: {status}: {detail}"))
}
