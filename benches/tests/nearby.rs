//! `load nearby` from end to end, against a real server and the bare one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod server;

use server::{load, muster};

#[test]
fn drivers_nearby_are_asked_for_beside_the_bare_server() {
    let folder = tempfile::tempdir().unwrap();
    let (url, pid) = (muster(folder.path()), std::process::id());
    let nearby = ["nearby", "--drivers", "40", "--radius-m", "20000", "--connections", "2"];
    let short = ["--rounds", "1", "--seconds", "0.3", "--warm-s", "0.1"];
    let figures = load(&url, pid, folder.path(), &[&nearby[..], &short].concat());
    for who in ["muster round 1", "bare actix-web round 1"] {
        assert!(figures[who]["per_s"].as_f64().unwrap() > 0.0, "{figures}");
    }
}
