//! `muster explain`: asks a running server why a ride was offered to whom, or a driver which rides.

mod driver;
mod render;

use std::process::ExitCode;
use std::time::Duration;

use muster_engine::id::{DriverId, RideId};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cli::ExplainArgs;

/// How long the server may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Exit code of bad arguments.
const EXIT_ARGUMENTS: u8 = 2;

/// Prints the explanation.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the command's result")]
pub fn run(args: &ExplainArgs) -> ExitCode {
    let subject = match subject(args) {
        Ok(subject) => subject,
        Err(error) => {
            eprintln!("muster explain: {error}");
            return ExitCode::from(EXIT_ARGUMENTS);
        }
    };
    let explained = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime could not start: {error}"))
        .and_then(|runtime| runtime.block_on(subject.explained(&args.url)));
    match explained {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("muster explain: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What is to be explained.
enum Subject {
    Ride(RideId),
    Driver(DriverId),
}

fn subject(args: &ExplainArgs) -> Result<Subject, String> {
    if let Some(driver) = &args.driver {
        let id = DriverId::new(driver).map_err(|e| format!("{driver} is no driver id: {e}"))?;
        return Ok(Subject::Driver(id));
    }
    let ride = args.ride.as_deref().unwrap_or_default();
    let id = RideId::new(ride).map_err(|error| format!("{ride} is no ride id: {error}"))?;
    Ok(Subject::Ride(id))
}

impl Subject {
    async fn explained(&self, server: &str) -> Result<String, String> {
        let server = server.trim_end_matches('/');
        Ok(match self {
            Self::Ride(ride) => {
                render::render(&ask(&format!("{server}/v1/rides/{ride}/explain")).await?)
            }
            Self::Driver(driver) => {
                driver::render(&ask(&format!("{server}/v1/drivers/{driver}/explain")).await?)
            }
        })
    }
}

pub(crate) async fn ask<T: DeserializeOwned>(url: &str) -> Result<T, String> {
    let failed = |error: reqwest::Error| format!("{url}: {error}");
    let client = reqwest::Client::builder().no_proxy().timeout(ANSWER_WITHIN).build();
    let answer = client.map_err(failed)?.get(url).send().await.map_err(failed)?;
    let status = answer.status();
    if status.is_success() {
        return answer.json().await.map_err(failed);
    }
    let problem: Value = answer.json().await.unwrap_or_default();
    let detail = problem["detail"].as_str().unwrap_or("no reason is told");
    Err(format!("{url}: {status}: {detail}"))
}
