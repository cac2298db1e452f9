//! A city of drivers in memory, and indexes of their positions that are measured beside each other.

pub mod contender;
pub mod measure;
pub mod muster;
pub mod plain;
pub mod workload;
