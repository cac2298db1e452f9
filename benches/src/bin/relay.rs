//! How fast the history is published; see `relay --help`.

use clap::Parser;
use muster_benches::relay::{RelayArgs, run, suite};
use muster_benches::server::interrupted;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the report is what the tool is for")]
async fn main() -> anyhow::Result<()> {
    let args = RelayArgs::parse();
    let mut rounds = Vec::new();
    for _ in 0..args.rounds {
        // Interrupted, the run is dropped, and broker and server with it.
        let report = tokio::select! {
            report = run(&args, &|line| println!("{line}")) => report?,
            () = interrupted() => anyhow::bail!("interrupted"),
        };
        println!("{report}");
        rounds.push(report);
    }
    args.save.as_ref().map_or(Ok(()), |root| suite(&args, &rounds).save(root))
}
