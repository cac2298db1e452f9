//! `load ingest` from end to end: its own program with its generators, against a real server and the bare one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// `muster serve` in this process, which ends with the test; its address.
fn muster(folder: &Path) -> String {
    // Whoever else takes the port in between makes the test fail, not pass.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listen = format!("127.0.0.1:{port}");
    let data = folder.join("data");
    let args = ["muster", "serve", "--listen", &listen, "--data", data.to_str().unwrap()];
    let muster_api::cli::Command::Serve(args) =
        <muster_api::cli::Cli as clap::Parser>::parse_from(args).command
    else {
        panic!("no serve");
    };
    std::thread::spawn(move || muster_api::serve::run(&args));
    while std::net::TcpStream::connect(&listen).is_err() {
        std::thread::yield_now();
    }
    format!("http://{listen}")
}

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

/// Runs `load ingest` over 20 connections; its figures.
fn ingest(url: &str, pid: u32, folder: &Path, args: &[&str]) -> Value {
    let json = folder.join("figures.json");
    let output = Command::new(env!("CARGO_BIN_EXE_load"))
        .args(["ingest", "--connections", "20", "--rounds", "2", "--url", url])
        .args(["--seconds", "0.3", "--warm-s", "0.1", "--pid", &pid.to_string(), "--json"])
        .arg(&json)
        .args(args)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    // It fails when one fix that was sent was not counted.
    assert!(output.status.success(), "{args:?}: {told}{said}");
    let figures: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let round = figures["figures"]["muster round 2"].clone();
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
