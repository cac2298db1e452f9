//! `muster replay`: runs the replay client on its own runtime and prints what it saw.

use std::process::ExitCode;

use muster_replay::ReplayOptions;

/// Replays a city; the exit code says whether it went without violations.
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
    match runtime.block_on(muster_replay::run(options)) {
        Ok(summary) => {
            match serde_json::to_string_pretty(&summary) {
                Ok(text) if json => println!("{text}"),
                Ok(_) | Err(_) => println!("{summary}"),
            }
            if summary.clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("replay failed: {error}");
            ExitCode::FAILURE
        }
    }
}
