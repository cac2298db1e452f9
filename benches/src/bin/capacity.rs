//! How much one node holds; see `capacity --help`.

use anyhow::Context;
use clap::Parser;
use muster_benches::capacity::{CapacityArgs, Task, memory, recovery, resident};
use muster_engine_benches::pages::use_small_pages;

// As the server has it: what is measured is its memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[expect(clippy::print_stdout, reason = "the figures are what the tool is for")]
fn main() -> anyhow::Result<()> {
    let CapacityArgs { task, save, rounds } = CapacityArgs::parse();
    use_small_pages();
    let suite = match task {
        Task::Drivers { drivers, start } => {
            let seen = actix::System::new().block_on(resident(drivers, start))?;
            println!("{}", serde_json::to_string(&seen)?);
            return Ok(());
        }
        Task::Memory(args) => memory(&args, rounds)?,
        Task::Recovery(args) => {
            let runtime = tokio::runtime::Runtime::new().context("a runtime")?;
            runtime.block_on(recovery(&args, rounds))?
        }
    };
    println!("{}", suite.markdown());
    save.map_or(Ok(()), |root| suite.save(&root))
}
