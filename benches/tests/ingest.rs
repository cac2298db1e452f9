//! `load ingest` from end to end: its own program with its generators, against a real server and the bare one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod server;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use server::{load, muster};

/// The bare server; killed when dropped.
struct Bare(Child);

impl Drop for Bare {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

fn bare() -> (Bare, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_bare"))
        .args(["serve", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
    (Bare(child), url)
}

/// Runs `load ingest` over 20 connections, which fails when one fix that was sent was not counted; the
/// figures of its second round.
fn ingest(url: &str, pid: u32, folder: &Path, args: &[&str]) -> Value {
    let short =
        ["ingest", "--connections", "20", "--rounds", "2", "--seconds", "0.3", "--warm-s", "0.1"];
    let figures = load(url, pid, folder, &[&short, args].concat());
    let round = figures["muster round 2"].clone();
    assert!(round["fixes_per_s"].as_f64().unwrap() > 0.0, "{figures}");
    round
}

#[test]
fn every_fix_is_counted_by_a_real_server() {
    let folder = tempfile::tempdir().unwrap();
    let (url, pid) = (muster(folder.path()), std::process::id());
    // At 200 frames a second no driver reports more often than is allowed.
    let at_a_rate = ["--rate", "200"];
    let round = ingest(&url, pid, folder.path(), &at_a_rate);
    assert!(round["latency_p50_ms"].as_f64().unwrap() > 0.0, "{round}");
    ingest(&url, pid, folder.path(), &["--rate", "100", "--encoding", "json", "--generators", "3"]);
}

#[test]
fn every_fix_is_counted_by_the_bare_server() {
    let folder = tempfile::tempdir().unwrap();
    let (bare, url) = bare();
    for args in [&["--fixes-per-frame", "10"][..], &["--encoding", "json", "--window", "4"]] {
        ingest(&url, bare.0.id(), folder.path(), args);
    }
}
