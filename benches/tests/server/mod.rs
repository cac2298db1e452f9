//! A real server in the test's process, of which there may be one only, and `load` as a program of its own.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// `muster serve` in this process, which ends with the test; its address.
pub(crate) fn muster(folder: &Path) -> String {
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

/// Runs `load` against a server, which must not fail; its figures.
pub(crate) fn load(url: &str, pid: u32, folder: &Path, args: &[&str]) -> Value {
    let json = folder.join("figures.json");
    let output = Command::new(env!("CARGO_BIN_EXE_load"))
        .args(args)
        .args(["--url", url, "--pid", &pid.to_string(), "--json"])
        .arg(&json)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{args:?}: {told}{said}");
    let figures: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    figures["figures"].clone()
}
