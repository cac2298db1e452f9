//! Changes of policies while the server runs: checked, made durable, then put in force.
//!
//! ```text
//! PUT policy ──┐
//! config file ─┴→ BookDocument → PolicyBook → PolicyLog (durable) → Dispatch::set_policies
//! ```

mod desk;
mod document;
mod log;

pub use desk::{DeskError, PolicyDesk, Standing, Standings};
pub use document::BookDocument;
pub use log::{ChangeCause, PolicyChange, PolicyLog};
