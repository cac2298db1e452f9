//! The numbers that steer dispatch: declared once, validated once and then trusted.
//!
//! ```text
//! config.toml, PUT policy → PolicyPatch ──┐
//! DispatchPolicy::default() ──────────────┴→ PolicyBook → resolve(context) → pinned per attempt
//! ```

mod book;
mod dispatch;
mod keys;
mod matching;
mod split;

pub use book::{
    AttemptKind, BookError, EXPERIMENT_ARMS_MAX, Experiment, ExperimentArm, PolicyBook,
    PolicyContext, PolicyRule, RULES_MAX, Resolution, RuleMatch, TimeWindow,
};
pub use dispatch::{DispatchMode, DispatchPolicy, MatchAccept, PolicyPatch, Ranking};
pub use keys::{KeyDoc, PolicyError};
