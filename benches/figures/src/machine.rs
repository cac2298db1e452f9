//! Where and on which revision something was measured.

use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// A machine, as far as figures depend on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name for itself.
    pub processor: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Main memory in GiB, rounded.
    pub memory_gib: u64,
    /// The kernel's release.
    pub kernel: String,
}

impl Machine {
    /// This machine. What it does not tell is `unknown` or 0.
    pub fn this() -> Self {
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            processor: value_of("/proc/cpuinfo", "model name").unwrap_or_else(unknown),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: value_of("/proc/meminfo", "MemTotal").map_or(0, |text| gib(&text)),
            kernel: if kernel.is_empty() { unknown() } else { kernel.trim().to_owned() },
        }
    }
}

/// The revision of the tree in the current folder, with `+` when files differ from it.
pub(crate) fn revision() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(revision) = git(&["rev-parse", "--short=12", "HEAD"]) else { return unknown() };
    // What was measured is code: results of a suite before it do not make the tree another one.
    let changed = git(&["status", "--porcelain", "--", ".", ":!benches/results", ":!README.md"]);
    if changed.is_none_or(|changed| changed.is_empty()) { revision } else { revision + "+" }
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn value_of(file: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Of a size in kB, as `/proc/meminfo` tells it.
fn gib(text: &str) -> u64 {
    let kib = text.trim_end_matches("kB").trim().parse::<u64>().unwrap_or(0);
    (kib + (1 << 19)) >> 20
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_tells_its_cores_and_memory() {
        let machine = Machine::this();
        assert!(machine.cores > 0 && machine.memory_gib > 0, "{machine:?}");
        assert_eq!(gib("25165824 kB"), 24);
    }
}
