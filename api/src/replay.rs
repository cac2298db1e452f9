//! `muster replay`: runs the replay client on its own runtime and prints what it saw.

use std::process::ExitCode;

use muster_replay::{ReplayError, ReplayOptions};
use serde::Serialize;

/// Replays a city, once or once per mode; the exit code says whether it went without violations.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the command's result")]
pub fn run(options: ReplayOptions) -> ExitCode {
    let json = options.json;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("the runtime could not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let replayed = runtime.block_on(async {
        if options.compare.is_some() {
            let comparison = muster_replay::compare(options).await?;
            Ok((shown(&comparison, json), comparison.clean()))
        } else {
            let summary = muster_replay::run(options).await?;
            Ok::<_, ReplayError>((shown(&summary, json), summary.clean()))
        }
    });
    match replayed {
        Ok((text, clean)) => {
            println!("{}", text.trim_end());
            if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("replay failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The result for people, or for programs.
fn shown(result: &(impl std::fmt::Display + Serialize), json: bool) -> String {
    match serde_json::to_string_pretty(result) {
        Ok(text) if json => text,
        Ok(_) | Err(_) => result.to_string(),
    }
}
