//! Muster's supply index beside Redis, Tile38, PostGIS and what a Rust team would write first; see
//! `peers --help`.

use clap::Parser;
use muster_benches::peers::{PeersArgs, run};
use muster_engine_benches::pages::use_small_pages;

/// As the server allocates.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(
    about = "Moves and nearest drivers, side by side in one run; scripts/services installs the servers"
)]
struct Cli {
    #[command(flatten)]
    args: PeersArgs,
}

#[expect(clippy::print_stdout, reason = "the table is what the tool is for")]
fn main() -> anyhow::Result<()> {
    let args = Cli::parse().args;
    use_small_pages();
    let suite = run(&args)?;
    println!("{}", suite.markdown());
    if let Some(root) = &args.save {
        suite.save(root)?;
    }
    Ok(())
}
