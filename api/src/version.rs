//! What is running.

use std::process::ExitCode;

/// The version of the product.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The source revision it was built from, or `unknown` outside a checkout.
pub const REVISION: &str = env!("MUSTER_REVISION");

/// Prints version and revision.
#[expect(clippy::print_stdout, reason = "the command's result")]
pub fn print() -> ExitCode {
    println!("muster {VERSION} ({REVISION})");
    ExitCode::SUCCESS
}
