//! A city of drivers in memory, and indexes of their positions that are measured beside each other.

pub mod brute_force;
pub mod contender;
pub mod measure;
pub mod muster;
pub mod pages;
pub mod plain;
pub mod square;
pub mod turns;
pub mod workload;
