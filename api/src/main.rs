//! The `muster` binary: parse, configure, run.

use std::process::ExitCode;

use clap::Parser;
use muster_api::cli::{Cli, Command, KafkaCommand};
use muster_api::{
    explain, kafka, replay, roads, serve, shadow, simulate, store_command, values, version,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => serve::run(&args),
        Command::Replay(args) => replay::run(args.options),
        Command::Simulate(args) => simulate::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Shadow(args) => shadow::run(&args),
        Command::Roads(command) => roads::run(&command),
        Command::Values(args) => values::run(&args),
        Command::Kafka(KafkaCommand::Init(args)) => kafka::init::run(&args),
        Command::Dlq(args) => kafka::dlq::run(&args),
        Command::Migrate(args) => store_command::migrate(&args),
        Command::Export(args) => store_command::export(&args),
        Command::Import(args) => store_command::import(&args),
        Command::Version => version::print(),
    }
}
